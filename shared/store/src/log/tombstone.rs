//! What is left of an entry that was trimmed.
//!
//! ```text
//!   0  magic "CENOTE-T"  8 | 8 format version 2 | 10 reserved, zero 6 | 16 dataset id 16 | 32 log start 8 | 40 hash 33
//! ```
//!
//! A log key is overwritten, so that put-if-absent does not forget that it was taken while a writer may still want it.
//! After [`retention::TOMBSTONE_LIFE`](super::retention::TOMBSTONE_LIFE) the key goes, but for that of position 1: its
//! tombstone says where the log begins, and is put again before others are deleted. A key at or above the log start that a
//! tombstone tells can't hold it.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use bytes::Bytes;

use super::error::DecodeError;
use super::head::{FORMAT_AT, FORMAT_VERSION, array_at, check_hash, check_magic, cut_off, section_count, u64_at};
use super::names;
use cenote_state::hash::{HASH_BYTES, Hash};
use cenote_state::ids::{DatasetId, Position, Timestamp};

const MAGIC: [u8; 8] = *b"CENOTE-T";
/// Always zero: a tombstone has no sections. Growth needs a new format version.
const SECTIONS_AT: usize = FORMAT_AT + 2;
const DATASET_AT: usize = SECTIONS_AT + 6;
const LOG_START_AT: usize = DATASET_AT + 16;
const TIME_AT: usize = LOG_START_AT + 8;
const HASH_AT: usize = TIME_AT + 8;
/// Bytes of a tombstone.
pub(crate) const TOMBSTONE_BYTES: usize = HASH_AT + HASH_BYTES;

const _: () = assert!(TOMBSTONE_BYTES == 81);

/// A log key whose entry was trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// The dataset.
    pub dataset: DatasetId,
    /// Where the log begins, as of the trim that wrote this.
    pub log_start: Position,
    /// When it was put, by its writer's clock.
    pub time: Timestamp,
}

impl Tombstone {
    /// As storage has it.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(TOMBSTONE_BYTES);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 6]);
        out.extend_from_slice(&self.dataset.0);
        out.extend_from_slice(&self.log_start.0.to_le_bytes());
        out.extend_from_slice(&self.time.0.to_le_bytes());
        let hash = Hash::of(&out).to_bytes();
        out.extend_from_slice(&hash);
        out.into()
    }

    /// Whether these bytes claim to be a tombstone.
    #[must_use]
    pub(crate) fn is_one(bytes: &[u8]) -> bool {
        bytes.starts_with(&MAGIC)
    }

    pub(super) fn decode(name: &str, bytes: &[u8]) -> Result<Tombstone, DecodeError> {
        check_magic(name, bytes, MAGIC)?;
        if section_count(name, bytes, SECTIONS_AT, TOMBSTONE_BYTES)? != 0 || bytes.len() != TOMBSTONE_BYTES {
            return Err(DecodeError::damaged(name, "it is longer than a tombstone"));
        }
        check_hash(name, bytes, HASH_AT, 0)?;
        let log_start = Position(u64_at(bytes, LOG_START_AT).ok_or_else(|| cut_off(name))?);
        if names::log_position(name).is_none_or(|position| position >= log_start) {
            return Err(DecodeError::damaged(name, format!("a tombstone of log start {log_start} can't be here")));
        }
        let dataset = DatasetId(array_at(bytes, DATASET_AT).ok_or_else(|| cut_off(name))?);
        let time = Timestamp(u64_at(bytes, TIME_AT).ok_or_else(|| cut_off(name))?);
        Ok(Tombstone { dataset, log_start, time })
    }
}

#[cfg(any(test, feature = "testing"))]
pub(super) const REPAIR: (usize, usize) = (SECTIONS_AT, HASH_AT);
