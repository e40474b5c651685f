//! A checkpoint: the log's state as an object, so that no reader begins at the first entry.
//!
//! It tells the log start, the snapshots that are kept, and the running sums that price a way from each of them. A start
//! reads it and then the entries after the position that it describes, at most 1,000.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use bytes::Bytes;

use super::error::DecodeError;
use super::frame;
use super::head::NUMBER_MAX;
use super::names::Folder;
use super::sections::{Sections, Tag};
use super::state::LogState;
use super::wire::Place;

const MAGIC: [u8; 8] = *b"CENOTE-C";
const PLACE: Tag = Tag { number: 1, name: "place" };
const SNAPSHOTS: Tag = Tag { number: 2, name: "snapshots" };
const MARKS: Tag = Tag { number: 3, name: "marks" };

/// The largest checkpoint.
pub(crate) const CHECKPOINT_BYTES_MAX: usize = 4 << 20;

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
        Ok(frame::encode(MAGIC, self.dataset, &sections))
    }

    /// From a checkpoint.
    ///
    /// # Errors
    /// If these bytes are not a checkpoint known here.
    pub fn decode(name: &str, bytes: &Bytes) -> Result<LogState, DecodeError> {
        let known = [PLACE, SNAPSHOTS, MARKS];
        let (dataset, sections) = frame::decode(name, bytes, MAGIC, CHECKPOINT_BYTES_MAX, &known)?;
        let place: Place = sections.required(name, PLACE)?;
        let log_state = LogState {
            dataset,
            position: place.position,
            hash: place.hash,
            epoch: place.epoch,
            checkpoint: place.checkpoint,
            log_start: place.log_start,
            whole_from: cenote_state::ids::Position(0),
            version: place.version,
            digest: place.digest,
            cost: place.cost,
            snapshots: sections.required(name, SNAPSHOTS)?,
            marks: sections.required(name, MARKS)?,
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
