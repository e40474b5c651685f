//! A segment: the rows of a run of ordinals of one type, immutable.
//!
//! Three parts behind `Arc`s of their own: *fixed rows*, whose columns are whole-byte numbers with the segment's own
//! base and width (a constant column costs nothing); a *text heap*, one validated string, so that a `&str` is a slice
//! of it in safe code; a *byte heap* for bytes, lists, sets and maps. A patch of numbers copies the fixed rows and
//! shares the heaps, so a delta's cost follows its size (I10).
//!
//! Invariants, established by the builder and by `decode` alike: every slot is within its row; every region of every
//! row lies inside its heap and on char boundaries; a region of elements holds whole elements; a map has as many keys
//! as values. Readers rely on them and only bounds-check.

mod build;
mod cell;
mod decode;
mod patch;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use build::SegmentBuilder;
pub use cell::{Cell, Elements, RowAt};
pub use decode::{Ceilings, SegmentError, decode, encode};
pub use patch::CellPatch;

use crate::layout::{Layout, Many, Region};

/// A number's place in a row, its width in bytes and its base. A lane has no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Added to what is stored, wrapping.
    pub(crate) base: u64,
    /// From the row's start.
    pub(crate) offset: u32,
    /// 0 to 8 bytes.
    pub(crate) width: u8,
}

/// Every buffer that numbers are read from ends with this many spare bytes, so that a read is always 8 bytes wide.
const PADDING: usize = 8;

/// What is left of 8 bytes for each width.
const MASKS: [u64; 9] = {
    let mut masks = [0; 9];
    let mut width = 1;
    while width <= 8 {
        masks[width] = u64::MAX >> (64 - 8 * width);
        width += 1;
    }
    masks
};

/// Rows of one type. Cheap to clone: the parts are shared.
#[derive(Clone, Debug)]
pub struct Segment {
    rows: Arc<[u8]>,
    slots: Arc<[Slot]>,
    text: Arc<str>,
    bytes: Arc<[u8]>,
    count: u32,
    stride: u32,
    digest: u128,
}

impl Segment {
    /// How many rows it has, dead ones included.
    #[must_use]
    pub fn rows(&self) -> u32 {
        self.count
    }

    /// The sum over its live records: see [`digest`](crate::digest).
    #[must_use]
    pub fn digest(&self) -> u128 {
        self.digest
    }

    /// The same rows under another digest.
    #[must_use]
    pub fn with_digest(&self, digest: u128) -> Segment {
        Segment { digest, ..self.clone() }
    }

    /// Bytes of its parts, headers included, as if it shared none of them.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        // Each `Arc` allocation begins with two counters.
        const COUNTERS: usize = 16;
        size_of::<Segment>()
            + COUNTERS * 4
            + self.rows.len()
            + self.slots.len() * size_of::<Slot>()
            + self.text.len()
            + self.bytes.len()
    }

    /// The row at this index, to be read by `layout`.
    #[inline]
    #[must_use]
    pub fn row<'s>(&'s self, layout: &'s Layout, row: u32) -> Option<RowAt<'s>> {
        (row < self.count).then(|| RowAt::new(self, layout, row))
    }

    /// The number in a slot of a row.
    #[inline]
    fn image(&self, slot: usize, row: u32) -> u64 {
        let slot = &self.slots[slot];
        let at = row as usize * self.stride as usize + slot.offset as usize;
        slot.base.wrapping_add(load(&self.rows, at, slot.width))
    }

    /// From where to where a row's region reaches, in the heap whose start slot this is.
    #[inline]
    fn span(&self, start: Option<usize>, region: Region, row: u32) -> (usize, usize) {
        let start = start.map_or(0, |slot| self.image(slot, row));
        let before = region.before.map_or(0, |slot| self.image(slot, row));
        let end = self.image(region.end, row);
        (start.wrapping_add(before) as usize, start.wrapping_add(end) as usize)
    }

    fn width(&self, lane: usize) -> usize {
        usize::from(self.slots[lane].width)
    }

    /// The parts of several values: elements of the byte heap, and their content where that is apart.
    fn spans(&self, layout: &Layout, many: &Many, row: u32) -> ((usize, usize), (usize, usize)) {
        match many {
            Many::Images { region, .. } => (self.span(layout.byte_start, *region, row), (0, 0)),
            Many::Texts { ends, content, .. } => {
                (self.span(layout.byte_start, *ends, row), self.span(layout.text_start, *content, row))
            }
            Many::Blobs { ends, content, .. } => {
                (self.span(layout.byte_start, *ends, row), self.span(layout.byte_start, *content, row))
            }
        }
    }
}

/// A little-endian number of `width` bytes. The buffer is padded, so that 8 bytes can always be read.
#[inline]
fn load(bytes: &[u8], at: usize, width: u8) -> u64 {
    let eight = bytes[at..at + 8].try_into().expect("eight bytes are eight bytes");
    u64::from_le_bytes(eight) & MASKS[usize::from(width)]
}

/// Writes the low `width` bytes of `value`.
fn store(bytes: &mut [u8], at: usize, width: u8, value: u64) {
    let width = usize::from(width);
    bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
}

/// The bytes that a number up to `range` needs.
fn width_of(range: u64) -> u8 {
    (u64::BITS - range.leading_zeros()).div_ceil(8) as u8
}
