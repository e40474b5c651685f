//! What became of an entry that was there: the one place that tells a trimmed log from one that was replaced, restored
//! from an older copy, or damaged.
//!
//! The remedies differ: a reader of a trimmed log plans again, one of a replaced or restored log opens again, and damage
//! needs a person. So whoever misses an entry, or an object that an entry names, asks here and decides nothing by itself.
//!
//! Rule: an entry is missing only if the log, as it is now, has a place for it; that takes a look at the log's end.

use super::error::ReadError;
use super::head::Head;
use super::names;
use super::order::Rules;
use super::tail::{LogHead, find_tail, read_head};
use super::walk::trimmed;
use crate::storage::Storage;
use cenote_state::ids::{DatasetId, Position};

/// The header of the entry at `position`, which was there before; `dataset` is whose it was, if that is known.
///
/// # Errors
/// What became of it: `Trimmed`, `Replaced`, `Restored`, `NotFound`, or damage; else the store's error.
pub(super) async fn still_there(
    storage: &Storage,
    dataset: Option<DatasetId>,
    position: Position,
) -> Result<Head, ReadError> {
    let name = names::log_entry(position);
    let dataset = match read_head(storage, position).await? {
        Some(LogHead::Tombstone(tombstone)) => {
            return Err(trimmed(name, dataset.unwrap_or(tombstone.dataset), tombstone));
        }
        Some(LogHead::Entry(head)) => match dataset {
            Some(expected) if head.dataset != expected => {
                return Err(ReadError::Replaced { object: name, expected, found: head.dataset });
            }
            _ => return Ok(*head),
        },
        None => dataset,
    };
    let tail = find_tail(storage, Rules::default()).await?.head;
    Err(match dataset {
        Some(expected) if tail.dataset != expected => {
            ReadError::Replaced { object: name, expected, found: tail.dataset }
        }
        _ if position < tail.log_start => ReadError::Trimmed { object: name, log_start: tail.log_start },
        _ if position > tail.position => ReadError::Restored { object: name },
        _ => ReadError::damaged(name, "it is missing, and later entries exist"),
    })
}

/// Why an object is missing that the entry at `position` names.
///
/// # Errors
/// If the store fails.
pub(crate) async fn explain_missing(
    storage: &Storage,
    dataset: Option<DatasetId>,
    position: Position,
    object: &str,
) -> Result<ReadError, ReadError> {
    match still_there(storage, dataset, position).await {
        Ok(_) => Ok(ReadError::Missing { object: object.to_owned(), named_by: names::log_entry(position) }),
        Err(ReadError::Storage(error)) => Err(error.into()),
        Err(became) => Ok(became),
    }
}
