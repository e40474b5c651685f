//! Following: the task's state, and the order of a refresh.
//!
//! look → plan → fetch → apply → compare → index → swap → report. A failure before the swap leaves readers with the view
//! that they have; versions that were proven before the failure are still shown.
//!
//! Here: reading the log, and which version to go to. [`routes`] chooses a route there, and another when one fails;
//! [`attempt`] takes one.
//!
//! Rules: this task alone moves the view cell, forward only (I8); computations run off the async threads, panics
//! contained; every future here may be dropped at any await, since nothing but the swap changes what others see.

mod attempt;
mod routes;

use std::sync::Arc;
use std::time::Duration;

use cenote_state::held::Selection;
use cenote_state::ids::{Timestamp, Version};
use cenote_store::env::Env;
use cenote_store::log::{Entry, LogReader, ReadError, Rules};
use cenote_store::storage::Storage;

use crate::error::{Recovery, RefreshCause, RefreshError};
use crate::inner::Inner;
use crate::liveness::ProducerLiveness;
use crate::memory::Budget;
use crate::program::Program;
use crate::quarantine::Quarantine;
use attempt::RefreshAttempt;

/// After this many entries one by one, the rest is read in parallel.
const ONE_BY_ONE: usize = 16;
/// Bytes of entries that are kept for the next refresh; entries beyond that are read again.
const KEPT_BYTES: u64 = 64 << 20;
/// How often a refresh plans again because the log was trimmed during it.
const REPLANS: usize = 3;

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// To the newest version.
    Newest,
    /// To this version.
    Version(Version),
}

/// Follows one dataset.
pub(crate) struct Follower {
    pub(crate) inner: Arc<Inner>,
    storage: Storage,
    program: Arc<Program>,
    /// What is held: the program's, and what renamed fields turned out to need.
    selection: Selection,
    reader: Option<LogReader>,
    /// Commits after the view that the reader has passed, without a gap up to its position.
    recent: Vec<Entry>,
    recent_bytes: u64,
    quarantine: Quarantine,
    liveness: ProducerLiveness,
    budget: Budget,
    seed: u64,
    pub(crate) rules: Rules,
    #[cfg(feature = "testing")]
    pub(crate) torn_swaps: bool,
}

impl Follower {
    pub(crate) fn new(inner: Arc<Inner>, storage: Storage, program: Arc<Program>, limit: u64, seed: u64) -> Follower {
        let liveness = ProducerLiveness::new(inner.env.instant());
        Follower {
            inner,
            storage,
            selection: program.selection.clone(),
            program,
            reader: None,
            recent: Vec::new(),
            recent_bytes: 0,
            quarantine: Quarantine::default(),
            liveness,
            budget: Budget::new(limit),
            seed,
            rules: Rules::default(),
            #[cfg(feature = "testing")]
            torn_swaps: false,
        }
    }

    fn env(&self) -> &Env {
        &self.inner.env
    }

    fn version(&self) -> Version {
        self.inner.cell.version()
    }

    /// Reads the log and goes as far as `goal`.
    pub(crate) async fn refresh(&mut self, goal: Goal) -> Result<Version, RefreshError> {
        let mut result = self.attempt(goal).await;
        for _ in 1..REPLANS {
            match &result {
                Err(error) if error.cause().recovery() == Recovery::Replan => {
                    self.reader = None;
                    result = self.attempt(goal).await;
                }
                _ => break,
            }
        }
        self.note(&result);
        result.map(|()| self.version())
    }

    async fn attempt(&mut self, goal: Goal) -> Result<(), RefreshError> {
        let mut attempt = RefreshAttempt::starting(self.env().instant());
        let looked = self.look(&mut attempt).await;
        attempt.times.look = self.env().instant() - attempt.started;
        // Entries that were read before the look failed still count.
        if let Some(target) = self.target(goal)? {
            self.reach(goal, target, &mut attempt).await?;
        }
        looked.map_err(RefreshError::from)
    }

    /// Reads the log to its end.
    async fn look(&mut self, attempt: &mut RefreshAttempt) -> Result<(), RefreshCause> {
        let mut entries = 0;
        loop {
            let Some(reader) = self.reader.as_mut().filter(|_| entries < ONE_BY_ONE) else {
                return self.start(attempt).await;
            };
            let Some(entry) = reader.next().await? else { break };
            entries += 1;
            self.liveness.entry(self.inner.env.instant());
            self.keep(entry, attempt);
        }
        let now = self.env().instant();
        if entries == 0 && self.liveness.is_check_due(now) {
            let hint = self.reader().check_end().await?;
            self.liveness.hint(hint.as_ref(), now);
        }
        Ok(())
    }

    /// Keeps an entry that was read, if the view does not show it yet.
    fn keep(&mut self, entry: Entry, attempt: &mut RefreshAttempt) {
        attempt.bytes += entry.bytes;
        let version = Version(entry.head.position.0);
        if entry.commit().is_none() || version <= self.version() {
            return;
        }
        self.inner.note_newer(version, entry.head.time);
        self.recent_bytes += entry.bytes;
        if self.recent_bytes > KEPT_BYTES {
            // A consumer that can't go on must not collect the whole log; it reads again when it can.
            (self.recent_bytes, self.recent) = (entry.bytes, Vec::new());
        }
        self.recent.push(entry);
    }

    /// Starts at the log's tail. A missing log is an error only if there was one before.
    async fn start(&mut self, attempt: &mut RefreshAttempt) -> Result<(), RefreshCause> {
        let (reader, entries) = match LogReader::start_keeping(self.storage.clone(), self.rules, KEPT_BYTES).await {
            Err(ReadError::NotFound { .. }) if self.inner.dataset.get().is_none() => return Ok(()),
            started => started?,
        };
        let found = reader.log_state().dataset;
        let expected = *self.inner.dataset.get_or_init(|| found);
        if found != expected {
            return Err(ReadError::Replaced { object: self.storage.url().to_owned(), expected, found }.into());
        }
        self.liveness.entry(self.inner.env.instant());
        self.liveness.check_soon();
        (self.recent, self.recent_bytes) = (Vec::new(), 0);
        self.reader = Some(reader);
        entries.into_iter().for_each(|entry| self.keep(entry, attempt));
        Ok(())
    }

    /// The version to go to; none if the view shows it already.
    fn target(&self, goal: Goal) -> Result<Option<Version>, RefreshCause> {
        let newest = self.reader.as_ref().map_or(Version::EMPTY, |reader| reader.log_state().version);
        let current = self.version();
        match goal {
            Goal::Newest => Ok((newest > current).then_some(newest)),
            Goal::Version(wanted) if wanted < current => Err(RefreshCause::Backward { wanted, current }),
            Goal::Version(wanted) if wanted > newest => Err(RefreshCause::NoSuchVersion { wanted, newest }),
            Goal::Version(wanted) => Ok((wanted > current).then_some(wanted)),
        }
    }

    fn reader(&self) -> &LogReader {
        self.reader.as_ref().expect("there is a version to go to, so the log was read")
    }

    fn is_serving(&self) -> bool {
        self.version() > Version::EMPTY
    }

    /// Updates the status after a refresh.
    fn note(&self, result: &Result<(), RefreshError>) {
        let now = self.env().now();
        let overdue = self.liveness.broken_for(self.env().instant());
        let newest = self.reader.as_ref().map(|reader| reader.log_state().version);
        let mut status = self.inner.status_inner();
        let before = status.health();
        status.version = self.version();
        status.newest = newest.unwrap_or(status.newest).max(status.version);
        status.behind_since = (status.newest > status.version).then(|| status.behind_since.unwrap_or(now));
        status.heartbeat_overdue_since = overdue.map(|overdue| Timestamp(now.0.saturating_sub(millis(overdue))));
        status.quarantined = self.quarantine.version().map(|(version, error)| (version, error.clone()));
        match result {
            Ok(()) => status.succeeded(),
            Err(error) if error.cause().is_callers() => {}
            Err(error) => status.failed(error.clone(), now),
        }
        let after = status.health();
        drop(status);
        if std::mem::discriminant(&before) != std::mem::discriminant(&after) {
            let error = result.as_ref().err().map(tracing::field::display);
            tracing::info!(url = self.storage.url(), %before, %after, error, "health changed");
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
