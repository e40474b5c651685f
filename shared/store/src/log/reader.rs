//! The reader: follows the log entry by entry and trusts none of them.
//!
//! A reader starts where a checkpoint says ([`LogReader::start`]), knows the log's state ([`LogReader::log_state`]),
//! and moves on one entry at a time ([`LogReader::next`]), which is one request whether or not there is a new entry.
//! The entries between a snapshot and the reader's position are a [`Walk`].
//!
//! Rules: each entry must follow the one before (position, hash, dataset, epoch, pointers); a tombstone means to start
//! again; "nothing there" is only "nothing yet" until [`LogReader::check_end`] has looked after it (rule 6).

use super::entry::{Entry, LogObject, ObjectRef};
use super::error::ReadError;
use super::gone::{explain_missing, still_there};
use super::hint::Hint;
use super::names;
use super::order::{NotFound, Rules};
use super::state::LogState;
use super::tail::{self, Tail, read_hint, read_object};
use super::tombstone::Tombstone;
use super::walk::{Walk, trimmed};
use crate::storage::Storage;
use cenote_state::hash::Hash;
use cenote_state::ids::{Position, Version};

/// Follows the log of one dataset. A dropped future loses nothing.
#[derive(Clone, Debug)]
pub struct LogReader {
    pub(super) storage: Storage,
    pub(super) rules: Rules,
    pub(super) log_state: LogState,
}

impl LogReader {
    /// A reader before the first entry: to make a dataset, or to read all of a log that was never trimmed.
    #[must_use]
    pub fn empty(storage: Storage) -> LogReader {
        LogReader::at(storage, LogState::empty())
    }

    /// A reader that goes on after `log_state`.
    #[must_use]
    pub fn at(storage: Storage, log_state: LogState) -> LogReader {
        LogReader { storage, rules: Rules::default(), log_state }
    }

    /// The same reader by rules of which a simulation broke one.
    #[doc(hidden)]
    #[must_use]
    pub fn with_rules(self, rules: Rules) -> LogReader {
        LogReader { rules, ..self }
    }

    /// The log's state, as far as this reader has read.
    #[must_use]
    pub fn log_state(&self) -> &LogState {
        &self.log_state
    }

    /// The storage that it reads.
    #[must_use]
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// The newest entry's header, wherever this reader is.
    ///
    /// # Errors
    /// See [`tail::find_tail`].
    pub async fn tail(&self) -> Result<Tail, ReadError> {
        tail::find_tail(&self.storage, self.rules).await
    }

    /// What the log holds at `position`; `None` if nothing. It is checked in itself, not against its neighbours.
    ///
    /// # Errors
    /// If the store fails or the bytes are wrong.
    pub async fn read(&self, position: Position) -> Result<Option<LogObject>, ReadError> {
        read_object(&self.storage, position).await
    }

    /// Reads the next entry and moves past it; `None` if there is none yet. One request.
    ///
    /// # Errors
    /// `Trimmed`: start again. `Replaced`: the dataset was made again. Else what is damaged, or the store's error. The
    /// reader stays where it is.
    pub async fn next(&mut self) -> Result<Option<Entry>, ReadError> {
        let position = self.log_state.position.next();
        match self.read(position).await? {
            None => Ok(None),
            Some(LogObject::Entry(entry)) => match self.log_state.advance(&entry) {
                Ok(()) => Ok(Some(*entry)),
                Err(error) => Err(self.why_it_does_not_follow(error).await),
            },
            Some(LogObject::Tombstone(tombstone)) => Err(self.trimmed(names::log_entry(position), tombstone)),
        }
    }

    /// After `next` found nothing: whether that is the end (rule 6). Up to three requests; gives the hint, with which a
    /// owner's promise is judged.
    ///
    /// # Errors
    /// What became of the log if it is not the end: trimmed, replaced, gone, or damaged.
    pub async fn check_end(&self) -> Result<Option<Hint>, ReadError> {
        // The hint first: what it tells of was there before it, so a later look at the log must find it.
        let hint = read_hint(&self.storage).await?;
        let last = self.log_state.position;
        let last_is_entry = last.0 == 0 || self.stands_unchanged(last, self.log_state.hash).await?;
        let announced = hint.as_ref().filter(|hint| last.0 > 0 && hint.dataset == self.log_state.dataset);
        let announced = announced.map(|hint| hint.position);
        let next = names::log_entry(last.next());
        if self.rules.is_end(last, last_is_entry, announced) == NotFound::Damage
            && self.storage.size(&next).await?.is_none()
        {
            let cause = format!("it is missing, and the hint names position {}", announced.unwrap_or(last));
            return Err(ReadError::damaged(next, cause));
        }
        Ok(hint)
    }

    /// Whether an entry that was read, or put, is still there; if not, the error says what happened to it.
    pub(super) async fn stands_unchanged(&self, position: Position, hash: Hash) -> Result<bool, ReadError> {
        let head = still_there(&self.storage, Some(self.log_state.dataset), position).await?;
        if head.hash == hash {
            return Ok(true);
        }
        Err(ReadError::Restored { object: names::log_entry(position) })
    }

    /// The next entry does not follow ours. If ours is there no more, that is the reason, and it has another remedy.
    async fn why_it_does_not_follow(&self, error: ReadError) -> ReadError {
        let last = self.log_state.position;
        match error {
            ReadError::Damaged { .. } if last.0 > 0 => match self.stands_unchanged(last, self.log_state.hash).await {
                Ok(_) | Err(ReadError::Storage(_) | ReadError::Decode(_)) => error,
                Err(became) => became,
            },
            error => error,
        }
    }

    /// The entries after `version`, up to this reader's place: what rolls a state of `version` forward.
    #[must_use]
    pub fn walk_from(&self, version: Version) -> Walk {
        let last = (self.log_state.position, self.log_state.hash);
        Walk::new(self.storage.clone(), self.log_state.dataset, version.position().next(), None, last)
    }

    /// All live entries, from the log start up to this reader's place.
    #[must_use]
    pub fn walk_live(&self) -> Walk {
        let last = (self.log_state.position, self.log_state.hash);
        Walk::new(self.storage.clone(), self.log_state.dataset, self.log_state.log_start, None, last)
    }

    /// Why the object that the entry at `position` names is not there (rule 6).
    ///
    /// # Errors
    /// If the store fails.
    pub async fn explain_missing(&self, position: Position, object: &ObjectRef) -> Result<ReadError, ReadError> {
        let dataset = (self.log_state.position.0 > 0).then_some(self.log_state.dataset);
        explain_missing(&self.storage, dataset, position, &object.name).await
    }

    fn trimmed(&self, object: String, tombstone: Tombstone) -> ReadError {
        // Before the first entry any dataset is ours.
        let dataset = if self.log_state.position.0 == 0 { tombstone.dataset } else { self.log_state.dataset };
        trimmed(object, dataset, tombstone)
    }
}
