//! A checkpoint: the log's state as an object, so that no reader begins at the first entry.
//!
//! It tells the log start, the snapshots that are kept, and the running sums that price a way from each of them. A start
//! reads it and then the entries after the position that it describes, at most 1,000.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::error::DecodeError;
use super::frame;
use super::head::NUMBER_MAX;
use super::names::Folder;
use super::sections::{Sections, Tag};
use super::state::{Cost, KeptSnapshot, LogState, Mark};
use cenote_state::hash::Hash;
use cenote_state::ids::{Epoch, Position, Timestamp, Version};

const MAGIC: [u8; 8] = *b"CENOTE-C";
const PLACE: Tag = Tag { number: 1, name: "place" };
const SNAPSHOTS: Tag = Tag { number: 2, name: "snapshots" };
const MARKS: Tag = Tag { number: 3, name: "marks" };
const COMMIT_TIMES: Tag = Tag { number: 4, name: "commit times" };

/// The largest checkpoint.
pub(crate) const CHECKPOINT_BYTES_MAX: usize = 4 << 20;

#[derive(Serialize, Deserialize)]
struct Place {
    position: Position,
    hash: Hash,
    epoch: Epoch,
    checkpoint: Position,
    log_start: Position,
    version: Version,
    digest: u128,
    cost: Cost,
}

impl LogState {
    /// As a checkpoint has it.
    ///
    /// # Errors
    /// If there are more snapshots than a checkpoint can tell: trim the log.
    pub fn encode(&self) -> Result<Bytes, DecodeError> {
        let place = Place {
            position: self.position,
            hash: self.hash,
            epoch: self.epoch,
            checkpoint: self.checkpoint,
            log_start: self.log_start,
            version: self.version,
            digest: self.digest,
            cost: self.cost,
        };
        let object = Folder::Checkpoints.name();
        let mut sections = Sections::default();
        sections.control(PLACE, &place, object)?;
        sections.control(SNAPSHOTS, &self.snapshots, object)?;
        sections.control(MARKS, &self.marks, object)?;
        let times: Vec<Timestamp> = self.snapshots.iter().map(|kept| kept.snapshot.committed_at).collect();
        if times.iter().any(|time| *time != Timestamp::default()) {
            sections.optional(COMMIT_TIMES, &times, object)?;
        }
        Ok(frame::encode(MAGIC, self.dataset, &sections))
    }

    /// From a checkpoint.
    ///
    /// # Errors
    /// If these bytes are not a checkpoint known here.
    pub fn decode(name: &str, bytes: &Bytes) -> Result<LogState, DecodeError> {
        let known = [PLACE, SNAPSHOTS, MARKS, COMMIT_TIMES];
        let (dataset, sections) = frame::decode(name, bytes, MAGIC, CHECKPOINT_BYTES_MAX, &known)?;
        let place: Place = sections.required(name, PLACE)?;
        let mut snapshots = sections.required::<Vec<KeptSnapshot>>(name, SNAPSHOTS)?;
        let times = sections.record::<Vec<Timestamp>>(name, COMMIT_TIMES)?.unwrap_or_default();
        if !times.is_empty() && times.len() != snapshots.len() {
            return Err(DecodeError::damaged(name, "it has more or fewer commit times than snapshots"));
        }
        snapshots.iter_mut().zip(times).for_each(|(kept, time)| kept.snapshot.committed_at = time);
        let log_state = LogState {
            dataset,
            position: place.position,
            hash: place.hash,
            epoch: place.epoch,
            checkpoint: place.checkpoint,
            log_start: place.log_start,
            version: place.version,
            digest: place.digest,
            cost: place.cost,
            snapshots,
            marks: sections.required::<Vec<Mark>>(name, MARKS)?,
        };
        log_state.check(name)?;
        Ok(log_state)
    }

    fn check(&self, object: &str) -> Result<(), DecodeError> {
        self.snapshots.iter().try_for_each(|kept| kept.snapshot.object.check(Folder::Snapshots, object))?;
        let sound = (1..=NUMBER_MAX).contains(&self.position.0)
            && (1..=self.position.0).contains(&self.epoch.0)
            && self.checkpoint <= self.position
            && (1..=self.position.0).contains(&self.log_start.0)
            && self.version.position() <= self.position
            && self.marks.is_sorted_by_key(|mark| mark.version)
            && self.snapshots.is_sorted_by_key(|kept| kept.snapshot.version)
            && self.snapshots.iter().all(|kept| kept.snapshot.version <= self.version);
        if sound { Ok(()) } else { Err(DecodeError::damaged(object, "its numbers contradict each other")) }
    }
}

#[cfg(any(test, feature = "testing"))]
pub(super) fn is_one(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}
