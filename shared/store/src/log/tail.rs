//! Finding the end of the log without listing.
//!
//! The hint says where the end was a moment ago; from there the positions that exist are doubled past and bisected.
//! With a good hint that takes three requests.
//!
//! Rule 6 is asked here: a missing key is the end of the log only after an entry, and not below the hint.

use bytes::Bytes;

use super::entry::{ENTRY_BYTES_MAX, LogObject, decode};
use super::error::{DecodeError, ReadError, is_markup};
use super::head::{HEAD_BYTES_MAX, Head, NUMBER_MAX};
use super::hint::{HINT_BYTES_MAX, Hint};
use super::names;
use super::order::{NotFound, Rules};
use super::tombstone::Tombstone;
use crate::storage::{Part, Storage, StorageErrorKind};
use cenote_state::ids::{DatasetId, Position};

/// Attempts to find an end that is trimmed away under us.
const ATTEMPTS: usize = 5;

/// The newest entry of the log.
#[derive(Clone, Debug)]
pub struct Tail {
    /// Its header.
    pub head: Head,
    /// The hint that led there.
    pub hint: Option<Hint>,
}

/// The proven beginning of a log object.
#[derive(Clone, Debug)]
pub(super) enum LogHead {
    Entry(Box<Head>),
    Tombstone(Tombstone),
}

impl LogHead {
    pub(super) fn dataset(&self) -> DatasetId {
        match self {
            LogHead::Entry(head) => head.dataset,
            LogHead::Tombstone(tombstone) => tombstone.dataset,
        }
    }
}

/// Finds the newest entry.
///
/// # Errors
/// `NotFound` if there is no log; damage if a key is missing that was there.
pub async fn find_tail(storage: &Storage, rules: Rules) -> Result<Tail, ReadError> {
    for _ in 0..ATTEMPTS {
        let hint = read_hint(storage).await?;
        let (low, low_head) = lower_bound(storage, rules, hint.as_ref()).await?;
        let tail = last_existing(storage, low).await?;
        let head = if tail == low { Some(low_head) } else { read_head(storage, tail).await? };
        if let Some(LogHead::Entry(head)) = head {
            return Ok(Tail { head: *head, hint });
        }
        // It was trimmed between two looks, so the log goes on after it: look again.
    }
    Err(ReadError::damaged(storage.url(), "the log ends in a tombstone, so later entries are missing"))
}

/// A position that exists: the hint's, else 1.
async fn lower_bound(storage: &Storage, rules: Rules, hint: Option<&Hint>) -> Result<(Position, LogHead), ReadError> {
    let Some(hint) = hint.filter(|hint| hint.position > Position(1)) else { return beginning(storage).await };
    if let Some(head) = read_head(storage, hint.position).await? {
        return Ok((hint.position, head));
    }
    let (first, head) = beginning(storage).await?;
    // A hint that outlived its dataset, or the tombstone at its position, says nothing about what is here now.
    let same = (head.dataset() == hint.dataset && hint.position > first).then_some(hint.position);
    match rules.is_end(first, true, same) {
        NotFound::End => Ok((first, head)),
        NotFound::Damage => {
            let cause = format!("it is missing, and the hint names position {}", hint.position);
            Err(ReadError::damaged(names::log_entry(hint.position), cause))
        }
    }
}

/// The first position from which on all exist: 1, or what the tombstone there says. Others may have been deleted.
async fn beginning(storage: &Storage) -> Result<(Position, LogHead), ReadError> {
    let first = Position(1);
    let Some(head) = read_head(storage, first).await? else { return Err(not_found(storage)) };
    match head {
        LogHead::Tombstone(Tombstone { log_start, .. }) => {
            let object = names::log_entry(log_start);
            let missing = || ReadError::damaged(object, "it is missing, and the log begins there");
            Ok((log_start, read_head(storage, log_start).await?.ok_or_else(missing)?))
        }
        LogHead::Entry(_) => Ok((first, head)),
    }
}

/// Why nothing is at `position` of `dataset`, where something was: it was trimmed so long ago that its tombstone is gone,
/// or it is damage, and `cause` says why.
///
/// # Errors
/// If the store fails.
pub(super) async fn why_missing(
    storage: &Storage,
    dataset: DatasetId,
    position: Position,
    cause: &str,
) -> Result<ReadError, ReadError> {
    let object = names::log_entry(position);
    Ok(match read_head(storage, Position(1)).await? {
        Some(first) if first.dataset() != dataset => {
            ReadError::Replaced { object, expected: dataset, found: first.dataset() }
        }
        Some(LogHead::Tombstone(Tombstone { log_start, .. })) if log_start > position => {
            ReadError::Trimmed { object, log_start }
        }
        _ => ReadError::damaged(object, cause),
    })
}

/// The last position that exists, from one that does: doubling, then bisecting.
async fn last_existing(storage: &Storage, low: Position) -> Result<Position, ReadError> {
    let (mut low, mut step) = (low.0, 1);
    let mut high = loop {
        let probe = low + step;
        // The bound ends the search at a store that says yes to everything.
        if probe > NUMBER_MAX || !exists(storage, probe).await? {
            break probe;
        }
        low = probe;
        step *= 2;
    };
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if exists(storage, middle).await? { low = middle } else { high = middle }
    }
    Ok(Position(low))
}

async fn exists(storage: &Storage, position: u64) -> Result<bool, ReadError> {
    Ok(storage.size(&names::log_entry(Position(position))).await?.is_some())
}

fn not_found(storage: &Storage) -> ReadError {
    ReadError::NotFound { url: storage.url().to_owned() }
}

/// The hint, if there is one that can be read. The log is the truth: a broken hint is only slower.
///
/// # Errors
/// If the store fails.
pub async fn read_hint(storage: &Storage) -> Result<Option<Hint>, ReadError> {
    let bytes = match storage.get_bounded(names::HINT, HINT_BYTES_MAX as u64).await {
        Err(error) if error.kind == StorageErrorKind::TooLarge => None,
        other => other?,
    };
    Ok(bytes.and_then(|bytes| match Hint::decode(names::HINT, &bytes) {
        Ok(hint) => Some(hint),
        Err(error) => {
            tracing::warn!(%error, "going on without the hint");
            None
        }
    }))
}

/// The object at `position`; `None` if there is nothing.
pub(super) async fn read_object(storage: &Storage, position: Position) -> Result<Option<LogObject>, ReadError> {
    let name = names::log_entry(position);
    let whole = Part::Whole { max_bytes: ENTRY_BYTES_MAX as u64 };
    Ok(storage.get_checked(&name, whole, |bytes| decode(&name, bytes)).await?.transpose()?)
}

/// The proven header at `position`, without the contents.
pub(super) async fn read_head(storage: &Storage, position: Position) -> Result<Option<LogHead>, ReadError> {
    let name = names::log_entry(position);
    let head = |bytes: &Bytes| match Tombstone::is_one(bytes) {
        true => Tombstone::decode(&name, bytes).map(LogHead::Tombstone),
        false => Head::read(&name, bytes).map(|head| LogHead::Entry(Box::new(head))),
    };
    Ok(storage.get_checked(&name, Part::Range(0..HEAD_BYTES_MAX as u64), head).await?.transpose()?)
}

/// Asks for a key that can't exist, and reads it: a store that answers "forbidden" instead of "not found" hides the end of
/// the log, and only the answer to a read has a body that says why.
///
/// # Errors
/// The store's answer, whose message says which permission is missing.
pub async fn probe(storage: &Storage) -> Result<(), ReadError> {
    match storage.get_range(names::NEVER, 0..HEAD_BYTES_MAX as u64).await? {
        None => Ok(()),
        Some(bytes) if is_markup(&bytes) => Err(DecodeError::not_cenote(names::NEVER, &bytes).into()),
        Some(_) => Err(ReadError::damaged(names::NEVER, "the log begins at 1: nothing may be there")),
    }
}
