//! A segment: the rows of a run of ordinals of one type, immutable.
//!
//! Three parts, each in an `Arc`: *fixed rows*, whose columns are whole-byte numbers with the segment's
//! base and width (a constant column costs nothing); a *text heap*, one validated string, so that a `&str` is a slice
//! of it in safe code; a *byte heap* for bytes, lists, sets and maps. A patch of numbers copies the fixed rows and
//! shares the heaps, so a delta's cost follows its size (I10).
//!
//! Invariants, established by the builder and by `decode` alike: every slot is within its row; every region of every
//! row lies inside its heap and on char boundaries, after the row before; a region of elements holds whole elements; a
//! map has as many keys as values; packed text is text by a table that the segment holds. Readers rely on them and only
//! bounds-check.

mod build;
mod cell;
mod decode;
mod encode;
mod parts;
mod patch;
#[cfg(test)]
mod tests;
mod validate;

use std::sync::Arc;

pub use build::SegmentBuilder;
pub use cell::{Cell, Elements, RowAt};
pub use decode::{Ceilings, SegmentError, decode, decode_parts};
pub use encode::{column_bytes, encode, encode_part};
pub use parts::PartMap;
pub use patch::CellPatch;

use crate::layout::Layout;
use crate::packed::Symbols;
use crate::raw::{ARC_BYTES, FixedRow, FixedRows, prefetch_shared};

/// Bytes that the rows of a segment may take. Less in this crate's tests, so that they can pass it.
pub const SEGMENT_BYTES_MAX: u64 = if cfg!(test) { 48 << 20 } else { 1 << 30 };

/// Rows of one type. Cheap to clone: the parts are shared.
#[derive(Clone, Debug)]
pub struct Segment {
    fixed: FixedRows,
    text: Arc<str>,
    bytes: Arc<[u8]>,
    /// What packed text is packed by: the type's tables when the segment was made. None where it has none.
    symbols: Option<Arc<Symbols>>,
    digest: u128,
}

impl Segment {
    /// How many rows it has, dead ones included.
    #[must_use]
    pub fn rows(&self) -> u32 {
        self.fixed.count()
    }

    /// The sum over its live records: see [`digest`](crate::digest).
    #[must_use]
    pub fn digest(&self) -> u128 {
        self.digest
    }

    /// The same rows under another digest.
    #[must_use]
    pub(crate) fn with_digest(&self, digest: u128) -> Segment {
        Segment { digest, ..self.clone() }
    }

    /// Bytes of its parts, headers included, as if it shared none of them.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Segment>() + ARC_BYTES * 4 + self.fixed.len() + self.text.len() + self.bytes.len()
    }

    /// Bytes of its rows, without what a segment takes however few it has: by these the number of its rows is chosen. A slot
    /// counts for a byte at least, though it may take none where the rows are few and equal.
    #[must_use]
    pub fn content_bytes(&self) -> u64 {
        let rows = u64::from(self.rows()) * self.fixed.stride().max(self.fixed.slots()) as u64;
        rows + self.text.len() as u64 + self.bytes.len() as u64
    }

    /// The row at this index, to be read by `layout`.
    #[inline(always)]
    #[must_use]
    pub fn row<'s>(&'s self, layout: &'s Layout, row: u32) -> Option<RowAt<'s>> {
        Some(RowAt::new(self, layout, self.fixed.row(row)?))
    }

    /// The row at this index, which is one of ours.
    fn own_row(&self, row: u32) -> FixedRow<'_> {
        self.fixed.row(row).expect("the row is below the segment's count")
    }

    /// Asks for what a clone of it counts in, and a change of it reads first.
    pub(crate) fn prefetch(&self) {
        self.fixed.prefetch();
        prefetch_shared(&self.text);
        prefetch_shared(&self.bytes);
    }
}

/// The bytes that a number up to `range` needs.
fn width_of(range: u64) -> u8 {
    (u64::BITS - range.leading_zeros()).div_ceil(8) as u8
}
