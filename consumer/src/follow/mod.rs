//! Following: the task's state, and the order of a refresh.
//!
//! look → plan → fetch → apply → compare → index → swap → report. A failure before the swap leaves readers with the view
//! that they have; versions that were proven before the failure are still shown.
//!
//! Two steps can fail in one refresh: the look at the log, and the route that was taken with what is known of it. The one
//! with the greater [`Recovery`] is returned and acted upon, so that no error hides the other's remedy.
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
use cenote_state::ids::{Position, Timestamp, Version};
use cenote_store::env::{Env, Instant};
use cenote_store::log::{Entry, LogReader, LogState, ReadError, Rules, names};
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
/// Time between two starts from a checkpoint that are made to get past damage in the log.
const RESTART_EVERY: Duration = Duration::from_mins(1);

/// How a look at the log begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// After the entry that was read last.
    On,
    /// From the newest checkpoint.
    Anew,
}

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
    /// When the consumer may start from a checkpoint because of damage in the log.
    restart_at: Instant,
    budget: Budget,
    seed: u64,
    /// Whether the files of the log changed since it was looked at; if there is no new entry, it is another log.
    pub(crate) log_changed: bool,
    pub(crate) rules: Rules,
    #[cfg(feature = "testing")]
    pub(crate) torn_swaps: bool,
}

impl Follower {
    pub(crate) fn new(inner: Arc<Inner>, storage: Storage, program: Arc<Program>, limit: u64, seed: u64) -> Follower {
        let now = inner.env.instant();
        Follower {
            inner,
            storage,
            selection: program.selection.clone(),
            program,
            reader: None,
            recent: Vec::new(),
            recent_bytes: 0,
            quarantine: Quarantine::default(),
            liveness: ProducerLiveness::new(now),
            restart_at: now,
            budget: Budget::new(limit),
            seed,
            log_changed: false,
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
        let mut result = self.attempt(goal, Look::On).await;
        for _ in 1..REPLANS {
            match result.as_ref().err().map(|error| error.cause().recovery()) {
                Some(Recovery::Replan) => {}
                Some(Recovery::Restart) if self.env().instant() >= self.restart_at => {
                    self.restart_at = self.env().instant() + RESTART_EVERY;
                }
                _ => break,
            }
            result = self.attempt(goal, Look::Anew).await;
        }
        self.note(&result);
        result.map(|()| self.version())
    }

    async fn attempt(&mut self, goal: Goal, how: Look) -> Result<(), RefreshError> {
        let mut attempt = RefreshAttempt::starting(self.env().instant());
        let looked = self.look(goal, how, &mut attempt).await;
        attempt.times.look = self.env().instant() - attempt.started;
        let reached = match (&looked, how) {
            // What is known of the log is out of date, and no route by it leads anywhere.
            (Err(cause), _) if cause.recovery() == Recovery::Replan => Ok(()),
            (Err(_), Look::Anew) => Ok(()),
            // Entries that were read before the look failed still count.
            _ => match self.target(goal) {
                Ok(Some(target)) => self.reach(goal, target, &mut attempt).await,
                Ok(None) => Ok(()),
                Err(cause) => Err(cause.into()),
            },
        };
        if matches!(looked, Err(RefreshCause::Read(_))) {
            self.liveness.owe_check();
        }
        match (looked.map_err(RefreshError::from), reached) {
            (Err(looked), Err(reached)) if reached.cause().recovery() > looked.cause().recovery() => Err(reached),
            (Err(looked), _) => Err(looked),
            (Ok(()), reached) => reached,
        }
    }

    /// Reads the log to its end, and checks that it is the end if that is due, or if `goal` is not in what was read.
    async fn look(&mut self, goal: Goal, how: Look, attempt: &mut RefreshAttempt) -> Result<(), RefreshCause> {
        let mut entries = 0;
        loop {
            let go_on = how == Look::On && entries < ONE_BY_ONE;
            let Some(reader) = self.reader.as_mut().filter(|_| go_on) else { return self.start(attempt).await };
            let Some(entry) = reader.next().await? else { break };
            entries += 1;
            self.liveness.entry(self.inner.env.instant());
            self.keep(entry, attempt);
        }
        let now = self.env().instant();
        let is_other = std::mem::take(&mut self.log_changed) && entries == 0;
        let is_beyond = matches!(goal, Goal::Version(wanted) if wanted > self.reader().log_state().version);
        if is_other || is_beyond || self.liveness.is_check_due(now) {
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
        let last = self.reader.as_ref().map_or(Position(0), |before| before.log_state().position);
        if reader.log_state().position < last {
            return Err(ReadError::Restored { object: names::log_entry(last) }.into());
        }
        self.liveness.entry(self.inner.env.instant());
        self.liveness.owe_check();
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
            Goal::Version(wanted) if wanted > newest => Err(self.no_such_version(wanted)),
            Goal::Version(wanted) => Ok((wanted > current).then_some(wanted)),
        }
    }

    fn no_such_version(&self, wanted: Version) -> RefreshCause {
        let nothing = LogState::empty();
        let log_state = self.reader.as_ref().map_or(&nothing, LogReader::log_state);
        RefreshCause::NoSuchVersion { wanted, why: why_no_such_version(log_state, wanted) }
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
            Err(error) if error.cause().recovery() == Recovery::Refuse => {}
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

/// Why there is no version `wanted`, given that the log was read to its end.
pub(crate) fn why_no_such_version(log_state: &LogState, wanted: Version) -> String {
    match wanted {
        _ if log_state.version == Version::EMPTY => "nothing was committed yet".to_owned(),
        wanted if wanted > log_state.version => format!("the newest is {}", log_state.version),
        wanted if wanted.position() < log_state.log_start => {
            format!("it was trimmed, and the log begins at position {}", log_state.log_start)
        }
        _ => "that position has another kind of entry; `cenote-producer log` shows the commits".to_owned(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
