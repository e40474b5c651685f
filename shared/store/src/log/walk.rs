//! A walk over entries that are known to be there, read ahead in parallel.
//!
//! Starts and refreshes read a stretch of the log whose end is known. One after another that is a round trip each;
//! several at once it is a few.
//!
//! Rules: entries come in order, each checked to follow the one before; the last one is checked against what the walk
//! was started with. Where the walk begins in the middle, that end is what proves its beginning.

use std::collections::VecDeque;

use futures::future::join_all;

use super::entry::{Entry, LogObject};
use super::error::ReadError;
use super::names;
use super::state::Link;
use super::tail::{read_object, why_missing};
use super::tombstone::Tombstone;
use crate::storage::Storage;
use cenote_state::hash::Hash;
use cenote_state::ids::{DatasetId, Position};

/// Entries read at once: up to 2 MiB each.
const AHEAD: u64 = 16;

/// A stretch of the log, entry by entry. A dropped `next` loses nothing.
#[derive(Debug)]
pub struct Walk {
    storage: Storage,
    dataset: DatasetId,
    next: Position,
    last: Position,
    last_hash: Hash,
    link: Option<Link>,
    ahead: VecDeque<Entry>,
}

impl Walk {
    /// The entries after `link`, or from `first` on, up to and with `last`, whose hash is `last_hash`.
    pub(super) fn new(
        storage: Storage,
        dataset: DatasetId,
        first: Position,
        link: Option<Link>,
        last: (Position, Hash),
    ) -> Walk {
        Walk { storage, dataset, next: first, last: last.0, last_hash: last.1, link, ahead: VecDeque::new() }
    }

    /// The next entry; `None` after the last.
    ///
    /// # Errors
    /// `Trimmed` if the stretch was trimmed meanwhile: plan again. Else damage, a replaced dataset, or the store's.
    pub async fn next(&mut self) -> Result<Option<Entry>, ReadError> {
        if self.ahead.is_empty() && self.next <= self.last {
            self.read_ahead().await?;
        }
        // Taken only once it is judged: an error comes again, it is never followed by "that was all".
        let Some(entry) = self.ahead.front() else { return Ok(None) };
        if let Some(link) = self.link {
            link.check(&entry.head)?;
        }
        if entry.head.position == self.last && entry.head.hash != self.last_hash {
            return Err(ReadError::damaged(names::log_entry(self.last), "it is not the entry that was read before"));
        }
        self.link = Some(Link::of_head(&entry.head));
        Ok(self.ahead.pop_front())
    }

    async fn read_ahead(&mut self) -> Result<(), ReadError> {
        let end = self.last.0.min(self.next.0 + AHEAD - 1);
        let reads = (self.next.0..=end).map(|position| read_object(&self.storage, Position(position)));
        let mut ahead = VecDeque::new();
        for (position, object) in (self.next.0..).zip(join_all(reads).await) {
            let Some(object) = object? else {
                let cause = "it is missing, and later entries exist";
                return Err(why_missing(&self.storage, self.dataset, Position(position), cause).await?);
            };
            ahead.push_back(expect_entry(Position(position), object, self.dataset)?);
        }
        self.ahead = ahead;
        self.next = Position(end + 1);
        Ok(())
    }
}

/// The entry at `position`, which was there a moment ago.
fn expect_entry(position: Position, object: LogObject, dataset: DatasetId) -> Result<Entry, ReadError> {
    let name = names::log_entry(position);
    match object {
        LogObject::Tombstone(tombstone) => Err(trimmed(name, dataset, tombstone)),
        LogObject::Entry(entry) if entry.head.dataset != dataset => {
            Err(ReadError::Replaced { object: name, expected: dataset, found: entry.head.dataset })
        }
        LogObject::Entry(entry) => Ok(*entry),
    }
}

/// What a tombstone means to who follows `dataset`.
pub(super) fn trimmed(object: String, dataset: DatasetId, tombstone: Tombstone) -> ReadError {
    if tombstone.dataset == dataset {
        return ReadError::Trimmed { object, log_start: tombstone.log_start };
    }
    ReadError::Replaced { object, expected: dataset, found: tombstone.dataset }
}
