//! Where to start: hint → its entry's header → checkpoint → the entries after it, at most 1,000.
//!
//! A log that is years long is known after a handful of requests. The resulting reader is at the tail and
//! knows the snapshots and what each way costs; [`super::plan`] picks one.
//!
//! If the checkpoint, or an entry after it, is damaged or missing, the live log is read from its start, one stretch after
//! another. What counts is the last stretch, which ends at the tail: its entries follow one another, and a snapshot that
//! one of them names replaces everything before.

use std::collections::VecDeque;

use bytes::Bytes;
use futures::future::join_all;

use super::entry::{Body, Entry, LogObject, ObjectRef};
use super::error::{DecodeError, ReadError};
use super::head::Head;
use super::names;
use super::order::Rules;
use super::reader::LogReader;
use super::state::{Link, LogState};
use super::tail::{find_tail, probe, read_object, why_missing};
use super::walk::{Walk, trimmed};
use crate::storage::{Part, Storage};
use cenote_state::ids::Position;

/// Entries since the last checkpoint; the next one is written before there are so many.
pub const CHECKPOINT_EVERY: u64 = 1_000;
/// A writer begins to try a little earlier, so that a store that fails now and then does not stop it.
pub(super) const CHECKPOINT_FROM: u64 = 900;

/// Entries read at once where some are damaged.
const AHEAD: u64 = 16;

/// Times that a start is trimmed away under us before we say so.
const ATTEMPTS: usize = 5;

impl LogReader {
    /// A reader at the log's tail.
    ///
    /// # Errors
    /// `NotFound` if nothing was published; else what is wrong, by what to do about it.
    pub async fn start(storage: Storage) -> Result<LogReader, ReadError> {
        LogReader::start_with(storage, Rules::default()).await
    }

    /// The same by rules of which a simulation broke one.
    ///
    /// # Errors
    /// As [`start`](LogReader::start).
    #[doc(hidden)]
    pub async fn start_with(storage: Storage, rules: Rules) -> Result<LogReader, ReadError> {
        Ok(start_at_tail(storage, rules, 0).await?.0)
    }

    /// The same by `rules`, with the newest of the entries that it read on the way, up to `bytes_max` of them: who
    /// rolls a state forward from here need not read them again.
    ///
    /// # Errors
    /// As for [`LogReader::start`].
    pub async fn start_keeping(
        storage: Storage,
        rules: Rules,
        bytes_max: u64,
    ) -> Result<(LogReader, Vec<Entry>), ReadError> {
        start_at_tail(storage, rules, bytes_max).await
    }
}

async fn start_at_tail(storage: Storage, rules: Rules, bytes_max: u64) -> Result<(LogReader, Vec<Entry>), ReadError> {
    probe(&storage).await?;
    let mut attempt = 1;
    loop {
        let mut kept = Kept { entries: VecDeque::new(), bytes: 0, bytes_max };
        match start_once(&storage, rules, &mut kept).await {
            Err(ReadError::Trimmed { .. }) if attempt < ATTEMPTS => attempt += 1,
            result => return Ok((LogReader { log_state: result?, storage, rules }, kept.entries.into())),
        }
    }
}

/// The newest entries that were read, without a gap.
struct Kept {
    entries: VecDeque<Entry>,
    bytes: u64,
    bytes_max: u64,
}

impl Kept {
    fn keep(&mut self, entry: Entry) {
        self.bytes += entry.bytes;
        self.entries.push_back(entry);
        while self.bytes > self.bytes_max {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.bytes -= oldest.bytes;
        }
    }
}

async fn start_once(storage: &Storage, rules: Rules, kept: &mut Kept) -> Result<LogState, ReadError> {
    let head = find_tail(storage, rules).await?.head;
    match from_checkpoint(storage, &head, kept).await {
        Err(error) if is_damage(&error) => {
            tracing::warn!(%error, url = storage.url(), "reading the log around what is damaged");
            *kept = Kept { entries: VecDeque::new(), bytes: 0, bytes_max: kept.bytes_max };
            around_damage(storage, &head, error).await
        }
        result => result,
    }
}

async fn from_checkpoint(storage: &Storage, head: &Head, kept: &mut Kept) -> Result<LogState, ReadError> {
    let mut log_state = beginning(storage, head).await?;
    let link = (log_state.position.0 > 0).then(|| Link::of_log_state(&log_state));
    let end = (head.position, head.hash);
    let mut walk = Walk::new(storage.clone(), head.dataset, log_state.position.next(), link, end);
    while let Some(entry) = walk.next().await? {
        log_state.advance(&entry)?;
        kept.keep(entry);
    }
    Ok(log_state)
}

/// Whether bytes are wrong or missing, so that reading them again does not help.
fn is_damage(error: &ReadError) -> bool {
    match error {
        ReadError::Missing { .. } | ReadError::Damaged { .. } => true,
        ReadError::Decode(error) => matches!(error, DecodeError::Damaged { .. } | DecodeError::TooLarge { .. }),
        _ => false,
    }
}

/// The log's state from the entries after the last damaged one, if one of them names a snapshot to start from.
async fn around_damage(storage: &Storage, head: &Head, damage: ReadError) -> Result<LogState, ReadError> {
    let mut stretch: Option<LogState> = None;
    let mut position = head.log_start.0;
    while position <= head.position.0 {
        let end = head.position.0.min(position + AHEAD - 1);
        let reads = join_all((position..=end).map(|position| read_object(storage, Position(position)))).await;
        for (at, read) in (position..).zip(reads) {
            let name = names::log_entry(Position(at));
            match read {
                Ok(Some(LogObject::Entry(entry))) if entry.head.dataset == head.dataset => {
                    let follows = stretch.take().and_then(|mut state| state.advance(&entry).is_ok().then_some(state));
                    stretch = Some(follows.map_or_else(|| LogState::beginning_with(&entry), Ok)?);
                }
                Ok(Some(LogObject::Entry(entry))) => {
                    let (expected, found) = (head.dataset, entry.head.dataset);
                    return Err(ReadError::Replaced { object: name, expected, found });
                }
                Ok(Some(LogObject::Tombstone(tombstone))) => return Err(trimmed(name, head.dataset, tombstone)),
                Ok(None) => stretch = None,
                Err(error) if is_damage(&error) => stretch = None,
                Err(error) => return Err(error),
            }
        }
        position = end + 1;
    }
    match stretch {
        Some(state) if state.hash == head.hash && !state.snapshots.is_empty() => Ok(state),
        _ => Err(damage),
    }
}

/// The newest checkpoint as of `head`, else the beginning of the log.
async fn beginning(storage: &Storage, head: &Head) -> Result<LogState, ReadError> {
    if head.checkpoint.0 == 0 {
        return Ok(LogState::empty());
    }
    let entry = checkpoint_entry(storage, head).await?;
    let name = names::log_entry(head.checkpoint);
    let Body::Checkpoint(object) = &entry.body else {
        return Err(ReadError::damaged(name, "it is no checkpoint, and the newest entry says that it is"));
    };
    let log_state = read_checkpoint(storage, head.checkpoint, object).await?;
    if log_state.dataset != head.dataset || log_state.position.next() != head.checkpoint {
        return Err(ReadError::damaged(object.name.clone(), "it tells of another place than the entry that names it"));
    }
    Ok(log_state)
}

async fn checkpoint_entry(storage: &Storage, head: &Head) -> Result<Entry, ReadError> {
    let name = names::log_entry(head.checkpoint);
    match read_object(storage, head.checkpoint).await? {
        Some(LogObject::Entry(entry)) if entry.head.dataset == head.dataset => Ok(*entry),
        Some(LogObject::Entry(entry)) => {
            Err(ReadError::Replaced { object: name, expected: head.dataset, found: entry.head.dataset })
        }
        Some(LogObject::Tombstone(tombstone)) => Err(trimmed(name, head.dataset, tombstone)),
        None => {
            let cause = "it is missing, and later entries exist";
            Err(why_missing(storage, head.dataset, head.checkpoint, cause).await?)
        }
    }
}

async fn read_checkpoint(storage: &Storage, named_by: Position, object: &ObjectRef) -> Result<LogState, ReadError> {
    let max_bytes = super::checkpoint::CHECKPOINT_BYTES_MAX as u64;
    let check = |bytes: &Bytes| {
        if !object.is(bytes) {
            return Err(ReadError::damaged(object.name.clone(), "it is not the object that its entry names"));
        }
        Ok(LogState::decode(&object.name, bytes)?)
    };
    match storage.get_checked(&object.name, Part::Whole { max_bytes }, check).await? {
        Some(log_state) => log_state,
        None => Err(LogReader::empty(storage.clone()).explain_missing(named_by, object).await?),
    }
}
