//! The memory that a delta needs, by its chunks' headers, before any row is read (I9).
//!
//! Equal values take no bytes in a segment and a blob is compressed, so a few bytes may claim millions of rows, and as
//! many cells of each. A record takes memory all the same once it is applied.
//!
//! Rules: the bound of an honest delta is not above what it takes, and no delta takes much more than its bound.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use crate::layout::Layout;
use crate::segment::{Cell, RowAt, Segment};

use super::Chunk;

/// A row that is added, until it is in its table: its ordinal here, with the row there.
const ADDED_BYTES: u64 = (size_of::<u32>() + size_of::<(u32, RowAt<'_>)>()) as u64;
/// A cell that changes: once by chunk, once by table.
const PATCHED_BYTES: u64 = 2 * size_of::<(u32, usize, Cell<'_>)>() as u64;
/// A slot in the key index, with what of it is empty.
const KEY_BYTES: u64 = 8;
/// A slot's base, width and place.
const SLOT_BYTES: u64 = 16;
/// A number in memory that leads into a heap, in a segment of ordinary size.
const REGION_BYTES: u64 = 4;

/// The rows of a chunk, as it claims.
pub(super) struct ClaimedRows<'a> {
    pub(super) layout: &'a Layout,
    pub(super) is_root: bool,
    /// How many.
    pub(super) rows: u64,
    /// The segments that they are in.
    pub(super) segments: u64,
    /// What the chunk has of bytes.
    pub(super) stored: u64,
}

impl ClaimedRows<'_> {
    /// Rows that are added.
    pub(super) fn added(&self) -> u64 {
        let keys = if self.is_root { KEY_BYTES } else { 0 };
        let of_rows = self.rows.saturating_mul(ADDED_BYTES.saturating_add(keys));
        let of_segments = self.segments.saturating_mul(self.segment());
        self.content().saturating_add(of_rows).saturating_add(of_segments)
    }

    /// Rows of which some cells change; the layout is of just these.
    pub(super) fn patched(&self) -> u64 {
        let cells = self.rows.saturating_mul(self.layout.columns.len() as u64);
        self.content().saturating_add(cells.saturating_mul(PATCHED_BYTES))
    }

    /// The rows themselves. A region that is not empty has a byte of each row, here or in its heap.
    fn content(&self) -> u64 {
        let regions = self.layout.text_regions.len().saturating_add(self.layout.byte_regions.len()) as u64;
        let starts = self.rows.saturating_mul(regions).min(self.stored);
        self.stored.saturating_add(starts.saturating_mul(REGION_BYTES))
    }

    fn segment(&self) -> u64 {
        (size_of::<Segment>() as u64).saturating_add((self.layout.all_slots as u64).saturating_mul(SLOT_BYTES))
    }
}

/// A chunk, of any kind.
pub(super) const CHUNK_BYTES: u64 = size_of::<Chunk>() as u64;
/// A field that a patch names.
pub(super) const FIELD_BYTES: u64 = size_of::<crate::layout::Column>() as u64;
