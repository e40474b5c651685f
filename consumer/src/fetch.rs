//! Fetching: the commits behind a version, with their deltas, in order.
//!
//! A look has just read the newest entries, so a usual refresh finds them here and asks storage for blobs only; a start,
//! or a long way, walks the log once more, in parallel.
//!
//! Rules: a blob is as long as its commit says and has its hash, or it is not used; one that is missing is explained
//! by what became of its entry (rule 6).

use std::collections::VecDeque;

use cenote_state::ids::Version;
use cenote_store::log::{Body, ContentHash, DeltaPlace, Entry, LogReader, ObjectRef, ReadError, Walk, names};
use cenote_store::storage::Storage;

use crate::refresh::{Fetched, RefreshError};

/// Commits behind a version, up to and with another.
pub(crate) struct Commits {
    storage: Storage,
    reader: LogReader,
    source: Source,
    target: Version,
    bytes: u64,
}

enum Source {
    Read(VecDeque<Entry>),
    Walk(Box<Walk>),
}

impl Commits {
    /// The commits behind `from`, from `recent` if they are all there.
    pub(crate) fn behind(reader: &LogReader, from: Version, target: Version, recent: &[Entry]) -> Commits {
        let first = recent.iter().position(|entry| entry.commit().is_some_and(|(_, commit)| commit.parent == from));
        let source = match first {
            Some(first) => Source::Read(recent.iter().skip(first).cloned().collect()),
            None if from == target => Source::Read(VecDeque::new()),
            None => Source::Walk(Box::new(reader.walk_from(from))),
        };
        Commits { storage: reader.storage().clone(), reader: reader.clone(), source, target, bytes: 0 }
    }

    /// The next commit and its delta.
    pub(crate) async fn next(&mut self) -> Result<Option<Fetched>, RefreshError> {
        loop {
            let Some(entry) = self.entry().await? else { return Ok(None) };
            let version = Version(entry.head.position.0);
            if version > self.target {
                return Ok(None);
            }
            let (position, time) = (entry.head.position, entry.head.time);
            let Body::Commit(commit) = entry.body else { continue };
            let delta = match &commit.delta {
                DeltaPlace::None => None,
                DeltaPlace::Inline(bytes) => Some((names::log_entry(position), bytes.clone())),
                DeltaPlace::Blob(blob) => {
                    let bytes = self.blob(version, blob).await?;
                    let Some(bytes) = bytes else {
                        return Err(self.reader.explain_missing(position, blob).await?.into());
                    };
                    Some((blob.name.clone(), bytes))
                }
            };
            return Ok(Some(Fetched { version, time, commit, delta }));
        }
    }

    /// Bytes fetched since the last call.
    pub(crate) fn take_bytes(&mut self) -> u64 {
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

    async fn blob(&mut self, version: Version, blob: &ObjectRef) -> Result<Option<bytes::Bytes>, RefreshError> {
        let Some(bytes) = self.storage.get_bounded(&blob.name, blob.length).await? else { return Ok(None) };
        self.bytes += bytes.len() as u64;
        // What is not the object that the entry names is not decoded at all; what it is, decoding would say less well.
        if blob.hash.is_known() && (bytes.len() as u64 != blob.length || ContentHash::of(&bytes) != blob.hash) {
            return Err(RefreshError::Altered { version, object: blob.name.clone() });
        }
        Ok(Some(bytes))
    }
}
