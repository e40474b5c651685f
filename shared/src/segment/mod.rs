//! A segment: the rows of a run of ordinals of one type, immutable.
//!
//! Three parts behind `Arc`s of their own: *fixed rows*, whose columns are whole-byte numbers with the segment's own
//! base and width (a constant column costs nothing); a *text heap*, one validated string, so that a `&str` is a slice
//! of it in safe code; a *byte heap* for bytes, lists, sets and maps. A patch of numbers copies the fixed rows and
//! shares the heaps, so a delta's cost follows its size (I10).
//!
//! Invariants, established by the builder and by `decode` alike: every slot is within its row; every region of every
//! row lies inside its heap and on char boundaries, behind the row before; a region of elements holds whole elements; a map has as many keys
//! as values; packed text is text by a table that the segment holds. Readers rely on them and only bounds-check.

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
use crate::packed::Symbols;

/// A number's place in a row, its width in bytes and its base. A lane has no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    /// Added to what is stored, wrapping.
    base: u64,
    /// From the row's start.
    offset: u32,
    /// 0 to 8 bytes.
    width: u8,
}

/// Slots stand before the rows, in the same buffer: a read finds both without another pointer, and near each other.
const SLOT_BYTES: usize = 16;

impl Slot {
    /// `base u64 | offset u32 | width u8`, in 16 bytes.
    #[inline(always)]
    fn to_bytes(self) -> [u8; SLOT_BYTES] {
        let place = u64::from(self.width) << 32 | u64::from(self.offset);
        (u128::from(place) << 64 | u128::from(self.base)).to_le_bytes()
    }

    #[inline(always)]
    fn from_bytes(bytes: [u8; SLOT_BYTES]) -> Slot {
        let [b0, b1, b2, b3, b4, b5, b6, b7, o0, o1, o2, o3, width, ..] = bytes;
        let base = u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7]);
        Slot { base, offset: u32::from_le_bytes([o0, o1, o2, o3]), width }
    }
}

/// Every buffer that numbers are read from ends with this many spare bytes, so that a read is always 8 bytes wide.
const PADDING: usize = 8;

/// What is left of 8 bytes for each width. As long as a byte counts, so that looking it up needs no check.
static MASKS: [u64; 256] = {
    let mut masks = [u64::MAX; 256];
    let mut width = 0;
    while width < 8 {
        masks[width] = (1 << (8 * width)) - 1;
        width += 1;
    }
    masks
};

/// Rows of one type. Cheap to clone: the parts are shared.
#[derive(Clone, Debug)]
pub struct Segment {
    /// The slots, the rows, one more row that only says where the last one's values end, padding.
    fixed: Arc<[u8]>,
    text: Arc<str>,
    bytes: Arc<[u8]>,
    /// What packed text is packed by: the type's tables when the segment was made. None where it has none.
    symbols: Option<Arc<Symbols>>,
    count: u32,
    stride: u32,
    /// Where the rows begin in the fixed part, behind the slots.
    rows_at: u32,
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
        size_of::<Segment>() + COUNTERS * 4 + self.fixed.len() + self.text.len() + self.bytes.len()
    }

    /// The row at this index, to be read by `layout`.
    #[inline(always)]
    #[must_use]
    pub fn row<'s>(&'s self, layout: &'s Layout, row: u32) -> Option<RowAt<'s>> {
        if row < self.count { Some(RowAt::new(self, layout, row)) } else { None }
    }

    /// Where a row starts in the fixed part. A segment has at most 1 GiB, so 32 bits hold it; that they do spares every
    /// read a check for overflow.
    #[inline(always)]
    fn row_start(&self, row: u32) -> u32 {
        self.rows_at.wrapping_add(row.wrapping_mul(self.stride))
    }

    /// The number in a slot of the row that starts here.
    #[inline(always)]
    fn image(&self, slot: usize, row_start: u32) -> u64 {
        let slot = self.slot(slot);
        slot.base.wrapping_add(load(&self.fixed, row_start as usize + slot.offset as usize, slot.width))
    }

    #[inline(always)]
    fn slot(&self, slot: usize) -> Slot {
        let at = slot * SLOT_BYTES;
        Slot::from_bytes(self.fixed[at..at + SLOT_BYTES].try_into().expect("16 bytes are 16 bytes"))
    }

    /// From where to where a row's value reaches in its heap.
    #[inline(always)]
    fn span(&self, region: Region, row_start: u32) -> (usize, usize) {
        let slot = self.slot(region.slot);
        let at = row_start as usize + slot.offset as usize;
        let (start, end) =
            (load(&self.fixed, at, slot.width), load(&self.fixed, at + self.stride as usize, slot.width));
        (slot.base.wrapping_add(start) as usize, slot.base.wrapping_add(end) as usize)
    }

    fn width(&self, lane: usize) -> usize {
        usize::from(self.slot(lane).width)
    }

    /// The parts of several values: elements of the byte heap, and their content where that is apart.
    #[inline(always)]
    fn spans(&self, many: &Many, row_start: u32) -> ((usize, usize), (usize, usize)) {
        match many {
            Many::Images { region, .. } => (self.span(*region, row_start), (0, 0)),
            Many::Texts { ends, content, .. } | Many::Blobs { ends, content, .. } => {
                (self.span(*ends, row_start), self.span(*content, row_start))
            }
        }
    }
}

/// A little-endian number of `width` bytes. The buffer is padded, so that 8 bytes can always be read.
#[inline(always)]
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

/// Slots and rows in one buffer, which `fill` writes the rows into; where they begin in it.
fn fixed_part(slots: &[Slot], rows_len: usize, fill: impl FnOnce(&mut [u8])) -> (Arc<[u8]>, u32) {
    let rows_at = slots.len() * SLOT_BYTES;
    let fixed = filled(rows_at + rows_len, |fixed| {
        let (table, rows) = fixed.split_at_mut(rows_at);
        table.chunks_exact_mut(SLOT_BYTES).zip(slots).for_each(|(place, slot)| place.copy_from_slice(&slot.to_bytes()));
        fill(rows);
    });
    (fixed, rows_at as u32)
}

/// Shared bytes, written where they will stay.
fn filled(len: usize, fill: impl FnOnce(&mut [u8])) -> Arc<[u8]> {
    let mut bytes: Arc<[u8]> = std::iter::repeat_n(0, len).collect();
    fill(Arc::get_mut(&mut bytes).expect("nobody else has it yet"));
    bytes
}
