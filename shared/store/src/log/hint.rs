//! The hint: where the log was a moment ago, and who holds it.
//!
//! A place to start looking for the tail, and the owner's heartbeat. It is overwritten in place, can be late, lost or
//! put by someone who was superseded meanwhile; the log alone says what is true.
//!
//! Rules: it never runs ahead of the log (rule 1); it changes with every put, so that a reader's own clock can tell a
//! live owner from a dead one without comparing clocks.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use std::time::Duration;

use bytes::Bytes;

use super::error::DecodeError;
use super::head::NUMBER_MAX;
use super::sections::{Sections, Tag};
use super::wire::HintRecord;
use super::{frame, names};
use cenote_state::ids::{DatasetId, Epoch, Position};

const MAGIC: [u8; 8] = *b"CENOTE-H";
const HINT: Tag = Tag { number: 1, name: "hint" };

/// The largest hint.
pub(crate) const HINT_BYTES_MAX: usize = 4 << 10;
/// The longest promise that is believed: a forged one must not make a producer wait without end.
pub(crate) const PROMISE_MAX: Duration = Duration::from_mins(10);

/// The hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// The dataset.
    pub dataset: DatasetId,
    /// The newest position that its writer knew.
    pub position: Position,
    /// Its writer's epoch.
    pub epoch: Epoch,
    /// Counts the puts of one owner, so that no two hints are equal.
    pub beat: u64,
    /// The owner of the dataset; none after a `close`.
    pub owner: Option<String>,
    /// The owner's promise: the next hint comes within this time.
    pub heartbeat_interval: Duration,
}

impl Hint {
    /// As storage has it.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let record = HintRecord {
            position: self.position,
            epoch: self.epoch,
            beat: self.beat,
            owner: self.owner.clone(),
            heartbeat_interval_ms: u64::try_from(self.heartbeat_interval.as_millis()).unwrap_or(u64::MAX),
        };
        let mut sections = Sections::default();
        sections.control(HINT, &record, names::HINT).expect("a hint's owner is cut to 255 bytes");
        frame::encode(MAGIC, self.dataset, &sections)
    }

    /// From storage.
    ///
    /// # Errors
    /// If these bytes are not a hint known here.
    pub fn decode(name: &str, bytes: &Bytes) -> Result<Hint, DecodeError> {
        let (dataset, sections) = frame::decode(name, bytes, MAGIC, HINT_BYTES_MAX, &[HINT])?;
        let record: HintRecord = sections.required(name, HINT)?;
        let (position, epoch) = (record.position.0, record.epoch.0);
        if !(1..=NUMBER_MAX).contains(&position) || !(1..=position).contains(&epoch) {
            return Err(DecodeError::damaged(name, "its numbers contradict each other"));
        }
        Ok(Hint {
            dataset,
            position: record.position,
            epoch: record.epoch,
            beat: record.beat,
            owner: record.owner,
            heartbeat_interval: Duration::from_millis(record.heartbeat_interval_ms).min(PROMISE_MAX),
        })
    }
}

#[cfg(any(test, feature = "testing"))]
pub(super) fn is_one(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}
