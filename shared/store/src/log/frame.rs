//! The frame of hints and checkpoints: a short header around tagged sections.
//!
//! ```text
//!   0  magic 8 | 8 format version 2 | 10 sections in the table 2 | 12 reserved, zero 4 | 16 dataset id 16
//!  32  hash of bytes 0 to 32 and the section table 33 | 65 section table, 41 bytes a line; then the contents
//! ```

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use bytes::Bytes;

use super::error::DecodeError;
use super::head::{FORMAT_AT, FORMAT_VERSION, array_at, check_hash, check_magic, cut_off, section_count, split_table};
use super::sections::{Sections, Tag};
use cenote_state::hash::{HASH_BYTES, Hash};
use cenote_state::ids::DatasetId;

const SECTIONS_AT: usize = FORMAT_AT + 2;
const DATASET_AT: usize = SECTIONS_AT + 6;
const HASH_AT: usize = DATASET_AT + 16;
const HEADER_BYTES: usize = HASH_AT + HASH_BYTES;

const _: () = assert!(HASH_AT == 32 && HEADER_BYTES == 65);

/// Wraps sections into an object.
pub(super) fn encode(magic: [u8; 8], dataset: DatasetId, sections: &Sections) -> Bytes {
    let table = sections.table();
    let mut out = Vec::with_capacity(HEADER_BYTES.saturating_add(table.len()).saturating_add(256));
    out.extend_from_slice(&magic);
    out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    let count = u16::try_from(sections.len()).expect("an object has at most 64 sections");
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&dataset.0);
    let hash = Hash::of_parts([out.as_slice(), &table]).to_bytes();
    out.extend_from_slice(&hash);
    out.extend_from_slice(&table);
    sections.append_contents(&mut out);
    out.into()
}

/// Unwraps an object of at most `limit` bytes.
pub(super) fn decode(
    object: &str,
    bytes: &Bytes,
    magic: [u8; 8],
    limit: usize,
    known: &[Tag],
) -> Result<(DatasetId, Sections), DecodeError> {
    if bytes.len() > limit {
        return Err(DecodeError::too_large(object, "the object", bytes.len(), limit));
    }
    check_magic(object, bytes, magic)?;
    let sections = section_count(object, bytes, SECTIONS_AT, HEADER_BYTES)?;
    check_hash(object, bytes, HASH_AT, sections)?;
    let (table, contents) = split_table(object, bytes, HEADER_BYTES, sections)?;
    let sections = Sections::parse(object, &table, contents, known)?;
    let dataset = array_at(bytes, DATASET_AT).ok_or_else(|| cut_off(object))?;
    Ok((DatasetId(dataset), sections))
}

#[cfg(any(test, feature = "testing"))]
pub(super) const REPAIR: (usize, usize) = (SECTIONS_AT, HASH_AT);
