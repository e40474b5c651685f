//! The fixed header of an entry: who put it, where, after what. All numbers are little-endian.
//!
//! ```text
//!   0  magic "CENOTE-E"        8    72  position of the newest checkpoint entry, this one included; 0: none   8
//!   8  format version          2    80  log start: the first position that holds an entry                     8
//!  10  kind                    2    88  hash of the entry before                                             33
//!  12  sections in the table   2   121  this entry's hash: of bytes 0 to 121 and the section table           33
//!  14  reserved, zero          2   154  section table, 41 bytes a line; then the sections' contents
//!  16  position                8
//!  24  dataset id             16
//!  40  epoch                   8
//!  48  nonce                  16
//!  64  time, ms               8
//! ```
//!
//! An entry's hash covers its contents by way of the table, so that header and table prove a chain without them.
//!
//! Rules: the header never changes within a format version; what it doesn't hold goes into a section.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use std::fmt;

use bytes::Bytes;

use super::error::DecodeError;
use super::names;
use super::sections::{LINE_BYTES, SECTIONS_MAX};
use cenote_state::hash::{HASH_BYTES, Hash};
use cenote_state::ids::{DatasetId, Epoch, Position, Timestamp};

/// The version of every format in the log.
pub(crate) const FORMAT_VERSION: u16 = 2;

pub(super) const MAGIC: [u8; 8] = *b"CENOTE-E";
pub(super) const FORMAT_AT: usize = MAGIC.len();
const KIND_AT: usize = FORMAT_AT + 2;
const SECTIONS_AT: usize = KIND_AT + 2;
const RESERVED_AT: usize = SECTIONS_AT + 2;
const POSITION_AT: usize = RESERVED_AT + 2;
const DATASET_AT: usize = POSITION_AT + 8;
const EPOCH_AT: usize = DATASET_AT + 16;
const NONCE_AT: usize = EPOCH_AT + 8;
const TIME_AT: usize = NONCE_AT + 16;
const CHECKPOINT_AT: usize = TIME_AT + 8;
const LOG_START_AT: usize = CHECKPOINT_AT + 8;
const PREVIOUS_AT: usize = LOG_START_AT + 8;
const HASH_AT: usize = PREVIOUS_AT + HASH_BYTES;
/// Bytes of the fixed header.
pub const HEADER_BYTES: usize = HASH_AT + HASH_BYTES;
/// The largest position that is believed, so that the next one always exists.
pub(super) const NUMBER_MAX: u64 = 1 << 62;
/// Header and the longest table: what proves an entry without its contents.
pub(crate) const HEAD_BYTES_MAX: usize = HEADER_BYTES + SECTIONS_MAX * LINE_BYTES;

const _: () = assert!(HASH_AT == 121 && HEADER_BYTES == 154 && HEAD_BYTES_MAX == 2_778);

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Kind {
    /// A producer takes the next epoch.
    Open = 1,
    /// A version.
    Commit = 2,
    /// A state was written whole.
    Snapshot = 3,
    /// A place to start was written.
    Checkpoint = 4,
    /// The log start rises.
    Trim = 5,
}

/// Kinds that have a number but no meaning yet: a reader that meets one needs a newer release.
const RESERVED: [(u16, &str); 6] =
    [(6, "pin"), (7, "unpin"), (8, "merged"), (9, "lease"), (10, "abandon"), (11, "promote")];

impl Kind {
    fn read(object: &str, number: u16) -> Result<Kind, DecodeError> {
        let known = [Kind::Open, Kind::Commit, Kind::Snapshot, Kind::Checkpoint, Kind::Trim];
        known.into_iter().find(|kind| *kind as u16 == number).ok_or_else(|| {
            let reserved = RESERVED.iter().find(|(reserved, _)| *reserved == number);
            let what = match reserved {
                Some((_, name)) => format!("a `{name}` entry"),
                None => format!("an entry of unknown kind {number}"),
            };
            DecodeError::needs_upgrade(object, what)
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Open => "open",
            Kind::Commit => "commit",
            Kind::Snapshot => "snapshot",
            Kind::Checkpoint => "checkpoint",
            Kind::Trim => "trim",
        })
    }
}

/// The fixed header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The entry's position.
    pub position: Position,
    /// The dataset that it belongs to.
    pub dataset: DatasetId,
    /// Its writer's epoch: that of the entry before, or one more if it is an `open`.
    pub epoch: Epoch,
    /// What it is.
    pub kind: Kind,
    /// Drawn once per body: a writer knows its own entry by it.
    pub nonce: [u8; 16],
    /// When it was made, by its writer's clock.
    pub time: Timestamp,
    /// The newest checkpoint entry, this one included; 0 if there is none.
    pub checkpoint: Position,
    /// The first position that holds an entry, once this one is committed.
    pub log_start: Position,
    /// The hash of the entry before; [`Hash::NONE`] at position 1.
    pub previous: Hash,
    /// This entry's own hash.
    pub hash: Hash,
}

impl Head {
    /// Header and table as bytes; `hash` is computed.
    pub(super) fn write(&mut self, table: &[u8], out: &mut Vec<u8>) {
        let sections = u16::try_from(table.len() / LINE_BYTES).expect("an entry has at most 64 sections");
        let mut fixed = Vec::with_capacity(HEADER_BYTES);
        fixed.extend_from_slice(&MAGIC);
        fixed.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        fixed.extend_from_slice(&(self.kind as u16).to_le_bytes());
        fixed.extend_from_slice(&sections.to_le_bytes());
        fixed.extend_from_slice(&[0; 2]);
        fixed.extend_from_slice(&self.position.0.to_le_bytes());
        fixed.extend_from_slice(&self.dataset.0);
        fixed.extend_from_slice(&self.epoch.0.to_le_bytes());
        fixed.extend_from_slice(&self.nonce);
        fixed.extend_from_slice(&self.time.0.to_le_bytes());
        fixed.extend_from_slice(&self.checkpoint.0.to_le_bytes());
        fixed.extend_from_slice(&self.log_start.0.to_le_bytes());
        fixed.extend_from_slice(&self.previous.to_bytes());
        self.hash = Hash::of_parts([fixed.as_slice(), table]);
        fixed.extend_from_slice(&self.hash.to_bytes());
        out.extend_from_slice(&fixed);
        out.extend_from_slice(table);
    }

    /// Reads and proves the header at the beginning of `bytes`, which hold at least the section table too.
    ///
    /// # Errors
    /// If they are not an entry of a format and kind known here, are damaged, or belong to another name.
    pub fn read(object: &str, bytes: &[u8]) -> Result<Head, DecodeError> {
        check_magic(object, bytes, MAGIC)?;
        let sections = section_count(object, bytes, SECTIONS_AT, HEADER_BYTES)?;
        check_hash(object, bytes, HASH_AT, sections)?;
        let cut_off = || cut_off(object);
        let head = Head {
            position: Position(u64_at(bytes, POSITION_AT).ok_or_else(cut_off)?),
            dataset: DatasetId(array_at(bytes, DATASET_AT).ok_or_else(cut_off)?),
            epoch: Epoch(u64_at(bytes, EPOCH_AT).ok_or_else(cut_off)?),
            kind: Kind::read(object, u16_at(bytes, KIND_AT).ok_or_else(cut_off)?)?,
            nonce: array_at(bytes, NONCE_AT).ok_or_else(cut_off)?,
            time: Timestamp(u64_at(bytes, TIME_AT).ok_or_else(cut_off)?),
            checkpoint: Position(u64_at(bytes, CHECKPOINT_AT).ok_or_else(cut_off)?),
            log_start: Position(u64_at(bytes, LOG_START_AT).ok_or_else(cut_off)?),
            previous: Hash::from_bytes(&array_at(bytes, PREVIOUS_AT).ok_or_else(cut_off)?),
            hash: Hash::from_bytes(&array_at(bytes, HASH_AT).ok_or_else(cut_off)?),
        };
        head.check(object)?;
        Ok(head)
    }

    fn check(&self, object: &str) -> Result<(), DecodeError> {
        if names::log_position(object) != Some(self.position) {
            let cause = format!("it holds the entry of position {}", self.position);
            return Err(DecodeError::damaged(object, cause));
        }
        let sound = (1..=NUMBER_MAX).contains(&self.position.0)
            && (1..=self.position.0).contains(&self.epoch.0)
            && self.checkpoint <= self.position
            && (self.checkpoint == self.position) == (self.kind == Kind::Checkpoint)
            && (1..=self.position.0).contains(&self.log_start.0);
        if sound {
            Ok(())
        } else {
            Err(DecodeError::damaged(object, "the numbers in its header contradict each other"))
        }
    }
}

/// The section table of an entry, and what follows it.
pub(super) fn table_and_contents(object: &str, bytes: &Bytes) -> Result<(Bytes, Bytes), DecodeError> {
    split_table(object, bytes, HEADER_BYTES, section_count(object, bytes, SECTIONS_AT, HEADER_BYTES)?)
}

/// The table of so many sections after a header, and what follows it.
pub(super) fn split_table(
    object: &str,
    bytes: &Bytes,
    header: usize,
    sections: usize,
) -> Result<(Bytes, Bytes), DecodeError> {
    let end = table_end(header, sections);
    if bytes.len() < end {
        return Err(cut_off(object));
    }
    Ok((bytes.slice(header..end), bytes.slice(end..)))
}

fn table_end(header: usize, sections: usize) -> usize {
    header.saturating_add(sections.saturating_mul(LINE_BYTES))
}

/// Checks magic and format version: the only bytes that every format version shares.
pub(super) fn check_magic(object: &str, bytes: &[u8], magic: [u8; 8]) -> Result<(), DecodeError> {
    if !bytes.starts_with(&magic) {
        let found: Vec<u8> = bytes.iter().take(magic.len()).copied().collect();
        let [family @ .., _] = &magic;
        let ours = magic.starts_with(&found) || found.starts_with(family);
        return Err(if ours && found.len() < magic.len() {
            DecodeError::damaged(object, format!("it has only {} bytes", bytes.len()))
        } else if ours {
            DecodeError::damaged(object, format!("it begins like another kind of object: {found:02x?}"))
        } else {
            DecodeError::NotCenote { object: object.to_owned(), found }
        });
    }
    match u16_at(bytes, FORMAT_AT) {
        None => Err(DecodeError::damaged(object, format!("it has only {} bytes", bytes.len()))),
        Some(FORMAT_VERSION) => Ok(()),
        Some(found) => Err(DecodeError::format(object, found)),
    }
}

/// The number of sections at `at`, checked against the limit and against the bytes that are there.
pub(super) fn section_count(object: &str, bytes: &[u8], at: usize, header: usize) -> Result<usize, DecodeError> {
    if bytes.len() < header {
        let cause = format!("it has {} bytes, its header alone has {header}", bytes.len());
        return Err(DecodeError::damaged(object, cause));
    }
    let sections = usize::from(u16_at(bytes, at).ok_or_else(|| cut_off(object))?);
    if sections > SECTIONS_MAX {
        return Err(DecodeError::damaged(object, format!("{sections} sections, the limit is {SECTIONS_MAX}")));
    }
    if bytes.len() < table_end(header, sections) {
        return Err(DecodeError::damaged(object, "it ends inside its section table"));
    }
    Ok(sections)
}

/// Checks the hash at `at`, of what is before it and of the section table after it.
pub(super) fn check_hash(object: &str, bytes: &[u8], at: usize, sections: usize) -> Result<(), DecodeError> {
    let stored = Hash::from_bytes(&array_at(bytes, at).ok_or_else(|| cut_off(object))?);
    let table = at.saturating_add(HASH_BYTES);
    let (Some(before), Some(table)) = (bytes.get(..at), bytes.get(table..table_end(table, sections))) else {
        return Err(cut_off(object));
    };
    stored.check([before, table]).map_err(|error| DecodeError::hash(object, "its header", error))
}

/// Puts a right hash at `at`, if the table is there.
#[cfg(any(test, feature = "testing"))]
#[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "for tests, on bytes that they made")]
pub(super) fn repair(bytes: &mut [u8], hash_at: usize, sections: usize) {
    let table = hash_at + HASH_BYTES;
    let Some(rest) = bytes.get(table..table + sections * LINE_BYTES) else { return };
    let hash = Hash::of_parts([&bytes[..hash_at], rest]).to_bytes();
    bytes[hash_at..table].copy_from_slice(&hash);
}

#[cfg(any(test, feature = "testing"))]
pub(super) const REPAIR: (usize, usize) = (SECTIONS_AT, HASH_AT);

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array_at(bytes, at).map(u16::from_le_bytes)
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array_at(bytes, at).map(u64::from_le_bytes)
}

/// `N` bytes at `at`, if they are there.
pub(super) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

pub(super) fn cut_off(object: &str) -> DecodeError {
    DecodeError::damaged(object, "its header is cut off")
}
