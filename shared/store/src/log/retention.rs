//! Retention: what no reader needs any more is removed, in an order that no crash can hurt (rules 4 and 5).
//!
//! [`trim`] raises the log start, [`sweep`] finds what crashes and superseded producers left behind. Both can be run by the
//! producer's own writer or by a janitor that joined, again and again, at the same time.
//!
//! Rules: read what must go, put `trim`, then tombstones in ascending order, then delete; the log start never passes the
//! version after the oldest kept snapshot, nor the newest checkpoint; judge garbage after reading the log to its tail.

use std::collections::HashSet;
use std::time::Duration;

use super::entry::{Body, LogObject, Trim};
use super::error::ReadError;
use super::names::{self, Folder, ObjectName};
use super::order::{Rules, TrimStep};
use super::outcome::{Outcome, Refused};
use super::reader::LogReader;
use super::tail::read_object;
use super::tombstone::Tombstone;
use super::walk::Walk;
use super::writer::LogWriter;
use crate::error::ErrorKind;
use crate::storage::{Storage, StorageError};
use cenote_state::ids::{Position, Timestamp};

/// What is kept when the log is trimmed: the newest snapshots, young ones, and all entries after the oldest of these.
///
/// # Example
/// ```
/// use std::time::Duration;
///
/// use cenote_producer::Retention;
///
/// let two_days = Retention::new().snapshots(1).younger_than(Duration::from_secs(2 * 24 * 60 * 60));
/// assert_ne!(two_days, Retention::default());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    snapshots: usize,
    younger_than: Duration,
}

impl Retention {
    /// The default: the newest 3 snapshots, and every one younger than a day.
    ///
    /// [Example](Retention#example)
    #[must_use]
    pub const fn new() -> Retention {
        Retention { snapshots: 3, younger_than: Duration::from_hours(24) }
    }

    /// Keeps this many of the newest snapshots. Default: 3.
    ///
    /// [Example](Retention#example)
    #[must_use]
    pub const fn snapshots(self, newest: usize) -> Retention {
        Retention { snapshots: newest, ..self }
    }

    /// Keeps every snapshot younger than this. Default: a day.
    ///
    /// [Example](Retention#example)
    #[must_use]
    pub const fn younger_than(self, age: Duration) -> Retention {
        Retention { younger_than: age, ..self }
    }
}

impl Default for Retention {
    fn default() -> Retention {
        Retention::new()
    }
}

/// What a trim did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// The log begins here now.
    pub log_start: Position,
    /// Entries that became tombstones.
    pub tombstones: u64,
    /// Objects that were deleted.
    pub deleted: u64,
}

/// Why a trim stopped. What it did stays done, and the next trim continues from there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrimError {
    /// An entry was not committed: see what became of it.
    #[error("the log was not trimmed: an entry was not committed")]
    NotCommitted(Outcome),
    /// Nothing was put.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A tombstone could not be put, or an object not deleted: run it again.
    #[error("the log was trimmed, what is before the log start is still there: trim again")]
    Storage(#[from] StorageError),
}

impl TrimError {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            TrimError::NotCommitted(Outcome::Lost(lost)) => lost.kind(),
            TrimError::NotCommitted(Outcome::Fenced(_)) => ErrorKind::Stop,
            TrimError::NotCommitted(Outcome::Unknown(_) | Outcome::Committed(_)) => ErrorKind::Retry,
            TrimError::Refused(refused) => refused.kind(),
            TrimError::Read(error) => error.kind(),
            TrimError::Storage(error) => error.kind(),
        }
    }
}

/// Raises the log start as far as `retention` allows, and finishes what an earlier trim left.
///
/// # Errors
/// See [`TrimError`]; running it again is always safe.
pub async fn trim(writer: &mut LogWriter, retention: &Retention) -> Result<Trimmed, TrimError> {
    let log_start = wanted_log_start(writer, retention);
    if log_start > writer.log_state().log_start && log_start > writer.log_state().checkpoint {
        // Starts go by the newest checkpoint, so there must be one that is kept.
        committed(writer.checkpoint().await?)?;
    }
    let condemned = Condemned::read(writer, log_start).await?;
    let mut done = Trimmed { log_start, ..Trimmed::default() };
    for step in writer.rules().trim_steps() {
        match step {
            TrimStep::Trim if log_start > writer.log_state().log_start => {
                committed(writer.append(Body::Trim(Trim { log_start })).await?)?;
            }
            TrimStep::Trim => {}
            TrimStep::Tombstones => done.tombstones = condemned.bury(writer, log_start).await?,
            TrimStep::Delete => done.deleted = condemned.delete(writer).await?,
        }
    }
    Ok(done)
}

/// Where the log would begin after a trim.
#[must_use]
pub fn wanted_log_start(writer: &LogWriter, retention: &Retention) -> Position {
    let age = u64::try_from(retention.younger_than.as_millis()).unwrap_or(u64::MAX);
    let younger_than = Timestamp(writer.env.now().0.saturating_sub(age));
    writer.rules().log_start_limit(writer.log_state(), retention.snapshots, younger_than)
}

fn committed(outcome: Outcome) -> Result<(), TrimError> {
    match outcome {
        Outcome::Committed(_) => Ok(()),
        other => Err(TrimError::NotCommitted(other)),
    }
}

/// The entries that go, and what they name.
struct Condemned {
    first: Position,
    names: Vec<String>,
}

impl Condemned {
    async fn read(writer: &LogWriter, log_start: Position) -> Result<Condemned, ReadError> {
        let log_state = writer.log_state();
        let first = first_entry(writer.storage(), log_start).await?;
        let end = (log_state.position, log_state.hash);
        let mut walk = Walk::new(writer.storage().clone(), log_state.dataset, first, None, end);
        let mut names = Vec::new();
        let mut position = first;
        while position < log_start {
            let Some(entry) = walk.next().await? else { break };
            names.extend(entry.body.object().map(|object| object.name.clone()));
            position = entry.head.position.next();
        }
        Ok(Condemned { first, names })
    }

    /// In ascending order, one after another: what is below a tombstone is always one too.
    async fn bury(&self, writer: &LogWriter, log_start: Position) -> Result<u64, StorageError> {
        let tombstone = Tombstone { dataset: writer.log_state().dataset, log_start }.encode();
        for position in self.first.0..log_start.0 {
            writer.storage().put(&names::log_entry(Position(position)), tombstone.clone()).await?;
        }
        Ok(log_start.0.saturating_sub(self.first.0))
    }

    async fn delete(&self, writer: &LogWriter) -> Result<u64, StorageError> {
        let kept: HashSet<_> = writer.log_state().snapshots.iter().map(|kept| &kept.snapshot.object.name).collect();
        let mut deleted = 0;
        for name in self.names.iter().filter(|name| !kept.contains(name)) {
            writer.storage().delete(name).await?;
            deleted += 1;
        }
        Ok(deleted)
    }
}

/// The first position below `log_start` that still holds an entry, else `log_start`: tombstones come in ascending order.
async fn first_entry(storage: &Storage, log_start: Position) -> Result<Position, ReadError> {
    let (mut low, mut high) = (1, log_start.0);
    while low < high {
        let middle = low + (high - low) / 2;
        match read_object(storage, Position(middle)).await? {
            Some(LogObject::Tombstone(_)) => low = middle + 1,
            Some(LogObject::Entry(_)) => high = middle,
            None => {
                let name = names::log_entry(Position(middle));
                return Err(ReadError::damaged(name, "it is missing, and later entries exist"));
            }
        }
    }
    Ok(Position(low))
}

/// Deletes what no live entry names and none can name any more; returns how many objects that were.
///
/// # Errors
/// If the log can't be read or the store fails; running it again is always safe.
pub async fn sweep(storage: &Storage, rules: Rules) -> Result<u64, SweepError> {
    // Listed first: what is put and named after this is not in the list at all.
    let mut found = Vec::new();
    for folder in Folder::ALL {
        let listed = storage.list(folder.name(), None).await?;
        found.extend(listed.into_iter().filter_map(|listed| ObjectName::parse(&listed.name)));
    }
    let reader = LogReader::start_with(storage.clone(), rules).await?;
    let named = live_names(&reader).await?;
    let (epoch, log_start) = (reader.log_state().epoch, reader.log_state().log_start);
    let mut deleted = 0;
    for name in found {
        if rules.is_garbage(&name, named.contains(&name), epoch, log_start) {
            storage.delete(&name.to_string()).await?;
            deleted += 1;
        }
    }
    Ok(deleted)
}

/// Why a sweep stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SweepError {
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An object could not be listed or deleted.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl SweepError {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            SweepError::Read(error) => error.kind(),
            SweepError::Storage(error) => error.kind(),
        }
    }
}

/// All that a live entry or the newest checkpoint names.
async fn live_names(reader: &LogReader) -> Result<HashSet<ObjectName>, ReadError> {
    let kept = reader.log_state().snapshots.iter().map(|kept| &kept.snapshot.object.name);
    let mut named: HashSet<_> = kept.filter_map(|name| ObjectName::parse(name)).collect();
    let mut walk = reader.walk_live();
    while let Some(entry) = walk.next().await? {
        named.extend(entry.body.object().and_then(|object| ObjectName::parse(&object.name)));
    }
    Ok(named)
}
