//! Retention: what no reader needs any more is removed, in an order that no crash can hurt (rules 4 and 5).
//!
//! [`trim`] raises the log start, [`sweep`] finds what crashes and superseded producers left behind. Both can be run by the
//! producer's own writer or by a janitor that joined, again and again, at the same time.
//!
//! Rules: read what must go, put `trim`, then tombstones in ascending order, a few at a time, then delete; the log start
//! never passes the version after the oldest kept snapshot, nor the newest checkpoint; judge garbage after reading the log to
//! its tail. A trim does a bounded share of what earlier ones left, so that it never holds up the next snapshot for long.
//!
//! Tombstones go, too: those older than their life, in ascending order, but for that of position 1, which says where the log
//! begins and is put again before. Until then they refuse what a writer that slept would put. A writer that has not seen the
//! log for a part of that time looks before it believes a put (`writer/look_back.rs`).

use std::collections::HashSet;
use std::time::Duration;

use futures::future::{join_all, try_join_all};

use super::entry::{Body, LogObject, Trim};
use super::error::ReadError;
use super::names::{self, Folder, ObjectName};
use super::order::{Rules, TrimStep};
use super::outcome::{Outcome, Refused};
use super::proof;
use super::reader::LogReader;
use super::tail::read_object;
use super::tombstone::Tombstone;
use super::writer::LogWriter;
use crate::error::ErrorKind;
use crate::storage::{Listed, Storage, StorageError};
use cenote_state::ids::{Position, Timestamp};

/// How long tombstones stay, unless [`Retention::tombstone_life`] says otherwise.
pub const TOMBSTONE_LIFE: Duration = Duration::from_hours(30 * 24);
/// The shortest life that is kept to: several times as long as a writer believes a put without looking.
const TOMBSTONE_LIFE_MIN: Duration = Duration::from_hours(1);
/// Log objects read, buried or deleted at once. After a crash, so many before the first entry may be entries as well.
const AT_ONCE: u64 = 32;
/// Log objects that a trim buries, and tombstones that it deletes, besides twice as many as it trims.
const BACKLOG: u64 = 10_000;

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
/// // A producer that stops for a week may go on, and notices what others wrote.
/// let two_weeks_of_tombstones = two_days.tombstone_life(Duration::from_secs(14 * 24 * 60 * 60));
/// assert_ne!(two_weeks_of_tombstones, two_days);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    snapshots: usize,
    younger_than: Duration,
    tombstone_life: Duration,
}

impl Retention {
    /// The default: the newest 3 snapshots, and every one younger than a day.
    ///
    /// [Example](Retention#example)
    #[must_use]
    pub const fn new() -> Retention {
        Retention { snapshots: 3, younger_than: Duration::from_hours(24), tombstone_life: TOMBSTONE_LIFE }
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

    /// How long a trimmed log position stays taken: longer than a producer may be stopped, or a machine asleep, and then
    /// go on. Default: 30 days; less than an hour counts as an hour. At most twice as long, a small object stays for
    /// each entry.
    ///
    /// [Example](Retention#example)
    #[must_use]
    pub const fn tombstone_life(self, life: Duration) -> Retention {
        Retention { tombstone_life: life, ..self }
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
    /// Tombstones whose life had ended.
    pub expired: u64,
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
    let before = writer.log_state().log_start;
    if log_start > before && log_start > writer.log_state().checkpoint {
        // Starts go by the newest checkpoint, so there must be one that is kept.
        committed(writer.checkpoint().await?)?;
    }
    let budget = BACKLOG + 2 * (log_start.0 - before.0);
    let condemned = Condemned::read(writer, log_start, budget).await?;
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
    done.expired = expire(writer, retention.tombstone_life.max(TOMBSTONE_LIFE_MIN), budget).await?;
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
    entries: Vec<Position>,
    names: Vec<String>,
}

impl Condemned {
    /// Up to `budget` entries. One that can't be read goes as well; what it named is found by a sweep.
    async fn read(writer: &LogWriter, log_start: Position, budget: u64) -> Result<Condemned, ReadError> {
        let (storage, dataset) = (writer.storage(), writer.log_state().dataset);
        let mut condemned = Condemned { entries: Vec::new(), names: Vec::new() };
        let mut position = first_entry(storage, log_start).await?.0.saturating_sub(AT_ONCE).max(1);
        while position < log_start.0 && (condemned.entries.len() as u64) < budget {
            let end = log_start.0.min(position + AT_ONCE);
            let reads = join_all((position..end).map(|position| read_object(storage, Position(position)))).await;
            for (at, read) in (position..end).map(Position).zip(reads) {
                match read {
                    Ok(Some(LogObject::Tombstone(_)) | None) => {}
                    Ok(Some(LogObject::Entry(entry))) if entry.head.dataset == dataset => {
                        condemned.names.extend(entry.body.object().map(|object| object.name.clone()));
                        condemned.entries.push(at);
                    }
                    Ok(Some(LogObject::Entry(entry))) => {
                        let (object, found) = (names::log_entry(at), entry.head.dataset);
                        return Err(ReadError::Replaced { object, expected: dataset, found });
                    }
                    Err(ReadError::Decode(error)) => {
                        tracing::warn!(%error, "an entry before the log start can't be read; it goes all the same");
                        condemned.entries.push(at);
                    }
                    Err(error) => return Err(error),
                }
            }
            position = end;
        }
        Ok(condemned)
    }

    /// In ascending order, a few at a time: what is that far below a tombstone is always one too.
    async fn bury(&self, writer: &LogWriter, log_start: Position) -> Result<u64, StorageError> {
        let tombstone = Tombstone { dataset: writer.log_state().dataset, log_start, time: writer.env.now() }.encode();
        for some in self.entries.chunks(AT_ONCE as usize) {
            let put = async |position| writer.storage().put(&names::log_entry(position), tombstone.clone()).await;
            try_join_all(some.iter().map(|position| put(*position))).await?;
        }
        Ok(self.entries.len() as u64)
    }

    async fn delete(&self, writer: &LogWriter) -> Result<u64, StorageError> {
        let kept: HashSet<_> = writer.log_state().snapshots.iter().map(|kept| &kept.snapshot.object.name).collect();
        let gone: Vec<_> = self.names.iter().filter(|name| !kept.contains(name)).collect();
        for some in gone.chunks(AT_ONCE as usize) {
            try_join_all(some.iter().map(|name| writer.storage().delete(name))).await?;
        }
        Ok(gone.len() as u64)
    }
}

/// The first position below `log_start` that still holds an entry, else `log_start`; a few before it may as well.
async fn first_entry(storage: &Storage, log_start: Position) -> Result<Position, ReadError> {
    let (mut low, mut high) = (1, log_start.0);
    while low < high {
        let middle = low + (high - low) / 2;
        match read_object(storage, Position(middle)).await {
            Ok(Some(LogObject::Tombstone(_)) | None) => low = middle + 1,
            Ok(Some(LogObject::Entry(_))) | Err(ReadError::Decode(_)) => high = middle,
            Err(error) => return Err(error),
        }
    }
    Ok(Position(low))
}

/// Deletes tombstones older than `life`, up to `budget` of them. The tombstone of position 1 tells when that was done last,
/// so that nothing is looked for in vain until as long again has passed.
async fn expire(writer: &LogWriter, life: Duration, budget: u64) -> Result<u64, TrimError> {
    let (storage, dataset, log_start) = (writer.storage(), writer.log_state().dataset, writer.log_state().log_start);
    let now = writer.env.now();
    let is_old = |tombstone: &Tombstone| u128::from(now.0.saturating_sub(tombstone.time.0)) >= life.as_millis();
    let first = match read_object(storage, Position(1)).await? {
        Some(LogObject::Tombstone(first)) if is_old(&first) => first,
        _ => return Ok(0),
    };
    // Without a hint, a reader begins where this says: at what is not deleted.
    let put_first =
        async |time| storage.put(&names::log_entry(Position(1)), Tombstone { dataset, log_start, time }.encode()).await;
    put_first(first.time).await?;
    let (mut expired, mut position) = (0, first_object(storage, log_start).await?.0.saturating_sub(AT_ONCE).max(2));
    while position < log_start.0 {
        if expired >= budget {
            return Ok(expired);
        }
        let end = log_start.0.min(position + AT_ONCE);
        let reads = join_all((position..end).map(|position| read_object(storage, Position(position)))).await;
        let mut old = Vec::new();
        let mut is_end = false;
        for (at, read) in (position..end).zip(reads) {
            match read? {
                None => {}
                Some(LogObject::Tombstone(tombstone)) if is_old(&tombstone) => old.push(names::log_entry(Position(at))),
                Some(_) => is_end = true,
            }
        }
        try_join_all(old.iter().map(|name| storage.delete(name))).await?;
        expired += old.len() as u64;
        if is_end {
            break;
        }
        position = end;
    }
    put_first(now).await?;
    Ok(expired)
}

/// The first position after 1 that holds anything, up to `log_start`; a few before it may as well.
async fn first_object(storage: &Storage, log_start: Position) -> Result<Position, StorageError> {
    let (mut low, mut high) = (2, log_start.0.max(2));
    while low < high {
        let middle = low + (high - low) / 2;
        match storage.size(&names::log_entry(Position(middle))).await? {
            None => low = middle + 1,
            Some(_) => high = middle,
        }
    }
    Ok(Position(low))
}

/// Objects that no entry names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unnamed {
    /// Those that none can name any more: a sweep deletes them.
    pub garbage: Vec<Listed>,
    /// Those that the owner of the dataset may be about to name, or has left behind; they are garbage once another producer
    /// has opened the dataset.
    pub owners: Vec<Listed>,
}

/// Finds the objects that no live entry names.
///
/// # Errors
/// If the log can't be read or the store fails.
pub async fn unnamed(storage: &Storage, rules: Rules) -> Result<Unnamed, SweepError> {
    // Listed first: what is put and named after this is not in the list at all.
    let mut found = Vec::new();
    for folder in Folder::ALL {
        let listed = storage.list(folder.name(), None).await?;
        found.extend(listed.into_iter().filter_map(|listed| Some((ObjectName::parse(&listed.name)?, listed))));
    }
    let reader = LogReader::start_with(storage.clone(), rules).await?;
    let named = live_names(&reader).await?;
    let (epoch, log_start) = (reader.log_state().epoch, reader.log_state().log_start);
    let mut unnamed = Unnamed::default();
    for (name, listed) in found {
        if rules.is_garbage(&name, named.contains(&name), epoch, log_start) {
            unnamed.garbage.push(listed);
        } else if !named.contains(&name) {
            unnamed.owners.push(listed);
        }
    }
    Ok(unnamed)
}

/// Deletes what no live entry names and none can name any more; returns how many objects that were.
///
/// # Errors
/// If the log can't be read or the store fails; running it again is always safe.
pub async fn sweep(storage: &Storage, rules: Rules) -> Result<u64, SweepError> {
    let garbage = unnamed(storage, rules).await?.garbage;
    for some in garbage.chunks(AT_ONCE as usize) {
        try_join_all(some.iter().map(|listed| storage.delete(&listed.name))).await?;
    }
    Ok(garbage.len() as u64)
}

/// Deletes what checks of the store left an hour ago or longer; returns how many objects that were.
///
/// # Errors
/// If the store fails.
pub async fn sweep_checks(storage: &Storage, now: Timestamp) -> Result<u64, StorageError> {
    let listed = storage.list(proof::FOLDER, None).await?;
    let old: Vec<_> = listed.iter().filter(|listed| proof::is_over(&listed.name, now)).collect();
    try_join_all(old.iter().map(|listed| storage.delete(&listed.name))).await?;
    Ok(old.len() as u64)
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
