//! Following: the task that owns the consumer's writing side, and the order of a refresh.
//!
//! look → plan → fetch → apply → compare → index → swap → tell. Whatever fails before the swap leaves readers with the
//! view that they have; what was proven on the way there is not thrown away.
//!
//! Here: the look, and where to go. [`ways`] picks a way there, and the next when one fails; [`trip`] takes one.
//!
//! Rules: this task alone moves the view cell, forward only (I8); computations run off the async threads, panics
//! contained; every future here may be dropped at any await, since nothing but the swap changes what others see.

mod trip;
mod ways;

use std::sync::Arc;
use std::time::Duration;

use cenote_state::ids::{DatasetId, Timestamp, Version};
use cenote_store::env::Env;
use cenote_store::log::{Entry, LogReader, ReadError, Rules};
use cenote_store::storage::Storage;

use crate::error::{RefreshFailed, Remedy};
use crate::memory::Budget;
use crate::pulse::Pulse;
use crate::quarantine::Quarantine;
use crate::refresh::{Program, RefreshError};
use crate::shared::Shared;
use trip::Trip;

/// After so many entries one by one, the rest is read in parallel.
const ONE_BY_ONE: usize = 16;
/// Entries that are kept for the next refresh, in bytes; beyond that they are read again.
const KEPT_BYTES: u64 = 64 << 20;
/// Times that the log is trimmed under us before a refresh gives up.
const REPLANS: usize = 3;

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// To the newest version.
    Newest,
    /// To this one.
    Version(Version),
}

/// Follows one dataset.
pub(crate) struct Follower {
    pub(crate) shared: Arc<Shared>,
    storage: Storage,
    program: Arc<Program>,
    dataset: Option<DatasetId>,
    reader: Option<LogReader>,
    /// Commits behind the view that the reader has passed, without a gap up to its place.
    recent: Vec<Entry>,
    recent_bytes: u64,
    quarantine: Quarantine,
    pulse: Pulse,
    budget: Budget,
    seed: u64,
    pub(crate) rules: Rules,
    #[cfg(feature = "testing")]
    pub(crate) torn_swaps: bool,
}

impl Follower {
    pub(crate) fn new(shared: Arc<Shared>, storage: Storage, program: Arc<Program>, limit: u64, seed: u64) -> Follower {
        let pulse = Pulse::new(shared.env.instant());
        Follower {
            shared,
            storage,
            program,
            dataset: None,
            reader: None,
            recent: Vec::new(),
            recent_bytes: 0,
            quarantine: Quarantine::default(),
            pulse,
            budget: Budget::new(limit),
            seed,
            rules: Rules::default(),
            #[cfg(feature = "testing")]
            torn_swaps: false,
        }
    }

    fn env(&self) -> &Env {
        &self.shared.env
    }

    fn version(&self) -> Version {
        self.shared.cell.version()
    }

    /// Looks at the log and goes as far as `goal`.
    pub(crate) async fn refresh(&mut self, goal: Goal) -> Result<Version, RefreshFailed> {
        let mut result = self.attempt(goal).await;
        for _ in 1..REPLANS {
            match &result {
                Err(error) if error.remedy() == Remedy::Replan => {
                    self.reader = None;
                    result = self.attempt(goal).await;
                }
                _ => break,
            }
        }
        self.note(&result);
        result.map(|()| self.version())
    }

    async fn attempt(&mut self, goal: Goal) -> Result<(), RefreshFailed> {
        let mut trip = Trip::starting(self.env().instant());
        let looked = self.look(&mut trip).await;
        trip.times.look = self.env().instant() - trip.started;
        // What was read before the look failed still counts.
        if let Some(target) = self.target(goal)? {
            self.reach(goal, target, &mut trip).await?;
        }
        looked.map_err(RefreshFailed::from)
    }

    /// Reads the log to its end.
    async fn look(&mut self, trip: &mut Trip) -> Result<(), RefreshError> {
        let mut entries = 0;
        loop {
            let Some(reader) = self.reader.as_mut().filter(|_| entries < ONE_BY_ONE) else {
                return self.start(trip).await;
            };
            let Some(entry) = reader.next().await? else { break };
            entries += 1;
            self.pulse.entry(self.shared.env.instant());
            self.keep(entry, trip);
        }
        let now = self.env().instant();
        if entries == 0 && self.pulse.is_check_due(now) {
            let hint = self.reader().check_end().await?;
            self.pulse.hint(hint.as_ref(), now);
        }
        Ok(())
    }

    /// Takes an entry in that was read.
    fn keep(&mut self, entry: Entry, trip: &mut Trip) {
        trip.bytes += entry.bytes;
        let version = Version(entry.head.position.0);
        if entry.commit().is_none() || version <= self.version() {
            return;
        }
        self.shared.behind(version, entry.head.time);
        self.recent_bytes += entry.bytes;
        if self.recent_bytes > KEPT_BYTES {
            // A consumer that can't go on must not gather the log; it reads again when it can.
            (self.recent_bytes, self.recent) = (entry.bytes, Vec::new());
        }
        self.recent.push(entry);
    }

    /// Starts at the log's tail. That there is no log is an error only if there was one.
    async fn start(&mut self, trip: &mut Trip) -> Result<(), RefreshError> {
        let (reader, entries) = match LogReader::start_keeping(self.storage.clone(), self.rules, KEPT_BYTES).await {
            Err(ReadError::NotFound { .. }) if self.dataset.is_none() => return Ok(()),
            started => started?,
        };
        let found = reader.outline().dataset;
        let expected = *self.dataset.get_or_insert(found);
        if found != expected {
            return Err(ReadError::Replaced { object: self.storage.url().to_owned(), expected, found }.into());
        }
        self.pulse.entry(self.shared.env.instant());
        self.pulse.check_soon();
        (self.recent, self.recent_bytes) = (Vec::new(), 0);
        self.reader = Some(reader);
        entries.into_iter().for_each(|entry| self.keep(entry, trip));
        Ok(())
    }

    /// The version to go to; none if the view is there already.
    fn target(&self, goal: Goal) -> Result<Option<Version>, RefreshError> {
        let newest = self.reader.as_ref().map_or(Version::EMPTY, |reader| reader.outline().version);
        let current = self.version();
        match goal {
            Goal::Newest => Ok((newest > current).then_some(newest)),
            Goal::Version(wanted) if wanted < current => Err(RefreshError::Backward { wanted, current }),
            Goal::Version(wanted) if wanted > newest => Err(RefreshError::NoSuchVersion { wanted, newest }),
            Goal::Version(wanted) => Ok((wanted > current).then_some(wanted)),
        }
    }

    fn reader(&self) -> &LogReader {
        self.reader.as_ref().expect("there is a version to go to, so the log was read")
    }

    fn is_serving(&self) -> bool {
        self.version() > Version::EMPTY
    }

    /// What is known now, for the status.
    fn note(&self, result: &Result<(), RefreshFailed>) {
        let now = self.env().now();
        let broken = self.pulse.broken_for(self.env().instant());
        let newest = self.reader.as_ref().map(|reader| reader.outline().version);
        let mut situation = self.shared.situation();
        let before = situation.health();
        situation.version = self.version();
        situation.newest = newest.unwrap_or(situation.newest).max(situation.version);
        situation.behind_since = (situation.newest > situation.version).then(|| situation.behind_since.unwrap_or(now));
        situation.promise_broken_since = broken.map(|broken| Timestamp(now.0.saturating_sub(millis(broken))));
        situation.quarantined = self.quarantine.version().map(|(version, why)| (version, why.clone()));
        match result {
            Ok(()) => situation.succeeded(),
            // A caller who asks for what can't be says nothing about the consumer.
            Err(error) if error.is_callers() => {}
            Err(error) => situation.failed(error.clone(), now),
        }
        let after = situation.health();
        drop(situation);
        if std::mem::discriminant(&before) != std::mem::discriminant(&after) {
            let error = result.as_ref().err().map(tracing::field::display);
            tracing::info!(url = self.storage.url(), %before, %after, error, "health changed");
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl RefreshError {
    /// Whether the caller asked for what can't be.
    fn is_callers(&self) -> bool {
        matches!(self, RefreshError::Backward { .. } | RefreshError::NoSuchVersion { .. } | RefreshError::Closed)
    }
}
