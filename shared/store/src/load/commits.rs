//! Fetching commits: each one after a version, with its delta, in order.
//!
//! A reader that has just read the newest entries passes them in, so that only blobs are fetched; otherwise the log is
//! walked once more, in parallel.
//!
//! Rules: an object has the length and the hash that its commit names, or nothing of it is decoded; if it is missing, the
//! error says what became of its entry (rule 6).

use std::collections::VecDeque;

use bytes::Bytes;
use cenote_state::ids::{Timestamp, Version};

use super::LoadError;
use crate::log::plan::InHand;
use crate::log::{Body, Commit, DeltaPlace, Entry, LogReader, ObjectRef, ReadError, Walk, names};
use crate::storage::Part;

/// The commits after a version, up to and with another.
#[derive(Debug)]
pub struct Commits {
    reader: LogReader,
    source: Source,
    target: Version,
    bytes: u64,
}

#[derive(Debug)]
enum Source {
    Read(VecDeque<Entry>),
    Walk(Box<Walk>),
}

/// A commit with its delta, as fetched.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The version.
    pub version: Version,
    /// When it was committed.
    pub time: Timestamp,
    /// What its entry holds.
    pub commit: Box<Commit>,
    /// Its delta, if it has one.
    pub delta: Option<DeltaBytes>,
}

/// The bytes of a delta.
#[derive(Clone, Debug)]
pub struct DeltaBytes {
    /// The object that holds them: a blob, or the entry.
    pub object: String,
    /// The bytes, not decoded yet.
    pub bytes: Bytes,
}

impl Fetched {
    /// The name of the object that holds the delta; of the entry if there is none.
    #[must_use]
    pub fn object(&self) -> String {
        match &self.delta {
            Some(delta) => delta.object.clone(),
            None => names::log_entry(self.version.position()),
        }
    }
}

/// The place of the first commit after `from`, if it was read.
fn first_after(from: Version, recent: &[Entry]) -> Option<usize> {
    recent.iter().position(|entry| entry.commit().is_some_and(|(_, commit)| commit.parent == from))
}

impl Commits {
    /// The commits after `from`, up to and with `target`: from `recent`, entries without a gap up to the reader's
    /// position, if that begins early enough; otherwise read from the log.
    #[must_use]
    pub fn after(reader: &LogReader, from: Version, target: Version, recent: &[Entry]) -> Commits {
        let source = match first_after(from, recent) {
            Some(first) => Source::Read(recent.iter().skip(first).cloned().collect()),
            None if from == target => Source::Read(VecDeque::new()),
            None => Source::Walk(Box::new(reader.walk_from(from))),
        };
        Commits { reader: reader.clone(), source, target, bytes: 0 }
    }

    /// What of the commits after `from`, up to and with `target`, is in `recent`, and what is to be fetched; `None` if
    /// `recent` begins too late.
    #[must_use]
    pub fn in_hand(from: Version, target: Version, recent: &[Entry]) -> Option<InHand> {
        if from == target {
            return Some(InHand::default());
        }
        let mut in_hand = InHand::default();
        for entry in recent.iter().skip(first_after(from, recent)?) {
            let Some((_, commit)) = entry.commit().filter(|_| entry.head.position <= target.position()) else {
                continue;
            };
            if let DeltaPlace::Blob(blob) = &commit.delta {
                in_hand.blobs.add(blob.length);
            } else {
                in_hand.inline_bytes += entry.bytes;
            }
        }
        Some(in_hand)
    }

    /// Fetches the next commit and its delta; `None` after the target.
    ///
    /// # Errors
    /// If the log or the delta's object cannot be read, is missing, or is not what the log names.
    pub async fn next(&mut self) -> Result<Option<Fetched>, LoadError> {
        loop {
            let Some(entry) = self.entry().await? else { return Ok(None) };
            let version = Version(entry.head.position.0);
            if version > self.target {
                return Ok(None);
            }
            let time = entry.head.time;
            let Body::Commit(commit) = entry.body else { continue };
            let delta = self.delta(version, &commit.delta).await?;
            return Ok(Some(Fetched { version, time, commit, delta }));
        }
    }

    /// Bytes fetched since the last call.
    pub fn take_bytes(&mut self) -> u64 {
        std::mem::take(&mut self.bytes)
    }

    async fn entry(&mut self) -> Result<Option<Entry>, ReadError> {
        match &mut self.source {
            Source::Read(entries) => Ok(entries.pop_front()),
            Source::Walk(walk) => {
                let entry = walk.next().await?;
                self.bytes += entry.as_ref().map_or(0, |entry| entry.bytes);
                Ok(entry)
            }
        }
    }

    async fn delta(&mut self, version: Version, place: &DeltaPlace) -> Result<Option<DeltaBytes>, LoadError> {
        Ok(match place {
            DeltaPlace::None => None,
            DeltaPlace::Inline(bytes) => {
                Some(DeltaBytes { object: names::log_entry(version.position()), bytes: bytes.clone() })
            }
            DeltaPlace::Blob(blob) => {
                Some(DeltaBytes { object: blob.name.clone(), bytes: self.blob(version, blob).await? })
            }
        })
    }

    async fn blob(&mut self, version: Version, blob: &ObjectRef) -> Result<Bytes, LoadError> {
        let whole = Part::Whole { max_bytes: blob.length };
        let altered = || LoadError::Altered { version, object: blob.name.clone() };
        let check = |bytes: &Bytes| blob.is(bytes).then(|| bytes.clone()).ok_or_else(altered);
        let Some(bytes) = self.reader.storage().get_checked(&blob.name, whole, check).await? else {
            return Err(self.reader.explain_missing(version.position(), blob).await?.into());
        };
        let bytes = bytes?;
        self.bytes += bytes.len() as u64;
        Ok(bytes)
    }
}
