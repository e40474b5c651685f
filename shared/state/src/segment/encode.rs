//! A segment as bytes.
//!
//! ```text
//! rows u32 | text bytes u32 | heap bytes u32 | per slot and lane: base u64, width u8
//! fixed rows, slot by slot, the rows of a slot one after another; of a region the length of each row's value
//! text heap, region by region
//! byte heap, region by region
//! ```
//! Little-endian. The file keeps numbers slot by slot, because equal columns compress better than rows; memory keeps them
//! row by row, because a read wants one cache line. The file keeps lengths, not starts: lengths compress better, and no
//! sum of them can lead backwards.

use crate::layout::Layout;
use crate::raw::Slot;

use super::parts::{PartBit, PartMap, Place};
use super::{Segment, width_of};

/// Appends a segment's bytes.
pub fn encode(layout: &Layout, segment: &Segment, out: &mut Vec<u8>) {
    let map = PartMap::new(layout, &[layout]).expect("a layout has its own columns");
    encode_part(layout, &map, segment, out);
}

/// Appends the bytes of some columns of a segment: those of `part`, which `map` finds in the segment's layout.
pub fn encode_part(part: &Layout, map: &PartMap, segment: &Segment, out: &mut Vec<u8>) {
    let regions = regions_of(part);
    let source = |slot: usize| match &map.places[slot] {
        Place::Slot(from) if regions.get(slot) == Some(&true) => Source::Made(Numbers::lengths(segment, from.slot)),
        Place::Slot(from) => Source::Stored(segment.fixed.slot(from.slot)),
        Place::Bits(bits) => Source::Made(Numbers::presence(segment, bits)),
    };
    let sources: Vec<Source> = (0..part.all_slots).map(source).collect();
    let span = |slot: &usize| match &map.places[*slot] {
        Place::Slot(from) => segment.region(from.slot),
        Place::Bits(_) => 0..0,
    };
    let texts: Vec<_> = part.text_regions.iter().map(span).collect();
    let heaps: Vec<_> = part.byte_regions.iter().map(|(slot, _)| span(slot)).collect();
    let length = |spans: &[std::ops::Range<usize>]| {
        let bytes = spans.iter().map(ExactSizeIterator::len).sum::<usize>();
        u32::try_from(bytes).expect("a segment has at most 1 GiB").to_le_bytes()
    };
    out.extend_from_slice(&segment.rows().to_le_bytes());
    out.extend_from_slice(&length(&texts));
    out.extend_from_slice(&length(&heaps));
    for source in &sources {
        let (base, width) = match source {
            Source::Stored(slot) => (slot.base, slot.width),
            Source::Made(numbers) => (numbers.base, numbers.width),
        };
        out.extend_from_slice(&base.to_le_bytes());
        out.push(width);
    }
    let fixed = &segment.fixed;
    for source in sources.iter().take(part.row_slots) {
        match source {
            Source::Made(numbers) => numbers.encode(out),
            Source::Stored(Slot { width: 0, .. }) => {}
            Source::Stored(Slot { offset, width, .. }) => {
                let cell = *offset as usize..*offset as usize + usize::from(*width);
                let rows = fixed.bytes().chunks_exact(fixed.stride());
                rows.for_each(|row| out.extend_from_slice(&row[cell.clone()]));
            }
        }
    }
    texts.into_iter().for_each(|text| out.extend_from_slice(segment.text[text].as_bytes()));
    heaps.into_iter().for_each(|heap| out.extend_from_slice(&segment.bytes[heap]));
}

/// About what the values of each column take, stored.
#[must_use]
pub fn column_bytes(layout: &Layout, segment: &Segment) -> Vec<usize> {
    let regions = regions_of(layout);
    let rows = segment.rows() as usize;
    let of_slot = |slot: usize| match regions.get(slot) {
        Some(true) => segment.region(slot).len(),
        Some(false) => usize::from(segment.fixed.slot(slot).width) * rows,
        // A lane has one base and one width for all rows.
        None => 0,
    };
    layout.columns.iter().map(|column| column.form.slots().into_iter().map(of_slot).sum()).collect()
}

/// Which slots of a row are starts of a region.
fn regions_of(layout: &Layout) -> Vec<bool> {
    let mut regions = vec![false; layout.row_slots];
    let slots = layout.text_regions.iter().chain(layout.byte_regions.iter().map(|(slot, _)| slot));
    slots.for_each(|slot| regions[*slot] = true);
    regions
}

/// Where a slot's numbers come from.
enum Source {
    /// They are stored as they are in memory.
    Stored(Slot),
    /// They are made of what is in memory.
    Made(Numbers),
}

/// Numbers row by row, with the base and the width that they need.
struct Numbers {
    values: Vec<u64>,
    base: u64,
    width: u8,
}

impl Numbers {
    fn new(values: Vec<u64>) -> Numbers {
        let (min, max) = values.iter().fold((u64::MAX, 0), |(min, max), value| (min.min(*value), max.max(*value)));
        let base = min.min(max);
        Numbers { base, width: width_of(max - base), values }
    }

    /// How long the values of a region are: how a region is stored.
    fn lengths(segment: &Segment, slot: usize) -> Numbers {
        let spans = (0..segment.rows()).map(|row| segment.own_row(row).span(slot));
        Numbers::new(spans.map(|(start, end)| (end - start) as u64).collect())
    }

    /// Presence bits in their places of the part.
    fn presence(segment: &Segment, bits: &[PartBit]) -> Numbers {
        let of_row = |row| {
            let row = segment.own_row(row);
            bits.iter().fold(0, |all, bit| all | (row.number(bit.from.slot) >> bit.from.bit & 1) << bit.bit)
        };
        Numbers::new((0..segment.rows()).map(of_row).collect())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let width = usize::from(self.width);
        self.values.iter().for_each(|value| out.extend_from_slice(&(value - self.base).to_le_bytes()[..width]));
    }
}

impl Segment {
    /// The bytes of a region in its heap.
    fn region(&self, slot: usize) -> std::ops::Range<usize> {
        let Some(last) = self.rows().checked_sub(1) else { return 0..0 };
        self.own_row(0).span(slot).0..self.own_row(last).span(slot).1
    }
}
