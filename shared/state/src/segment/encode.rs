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
use crate::raw::{PADDING, Slot};

use super::{Segment, width_of};

/// Appends a segment's bytes.
pub fn encode(layout: &Layout, segment: &Segment, out: &mut Vec<u8>) {
    let heap = &segment.bytes[..segment.bytes.len() - PADDING];
    let as_u32 = |len: usize| u32::try_from(len).expect("a segment has at most 1 GiB").to_le_bytes();
    out.extend_from_slice(&segment.rows().to_le_bytes());
    out.extend_from_slice(&as_u32(segment.text.len()));
    out.extend_from_slice(&as_u32(heap.len()));
    let regions = regions_of(layout);
    let of_slot = |(slot, is_region): (usize, &bool)| is_region.then(|| Lengths::of(segment, slot));
    let lengths: Vec<Option<Lengths>> = regions.iter().enumerate().map(of_slot).collect();
    for slot in 0..layout.all_slots {
        let (base, width) = match lengths.get(slot) {
            Some(Some(lengths)) => (lengths.base, lengths.width),
            _ => (segment.fixed.slot(slot).base, segment.fixed.slot(slot).width),
        };
        out.extend_from_slice(&base.to_le_bytes());
        out.push(width);
    }
    let fixed = &segment.fixed;
    for (slot, lengths) in lengths.iter().enumerate() {
        let Slot { offset, width, .. } = fixed.slot(slot);
        match lengths {
            Some(lengths) => lengths.encode(out),
            None if width == 0 => {}
            None => {
                let cell = offset as usize..offset as usize + usize::from(width);
                let rows = fixed.bytes().chunks_exact(fixed.stride());
                rows.for_each(|row| out.extend_from_slice(&row[cell.clone()]));
            }
        }
    }
    out.extend_from_slice(segment.text.as_bytes());
    out.extend_from_slice(heap);
}

/// Which slots of a row are starts of a region.
fn regions_of(layout: &Layout) -> Vec<bool> {
    let mut regions = vec![false; layout.row_slots];
    let slots = layout.text_regions.iter().chain(layout.byte_regions.iter().map(|(slot, _)| slot));
    slots.for_each(|slot| regions[*slot] = true);
    regions
}

/// How long the values of a region are, row by row: how a region is stored.
struct Lengths {
    values: Vec<u64>,
    base: u64,
    width: u8,
}

impl Lengths {
    fn of(segment: &Segment, slot: usize) -> Lengths {
        let spans = (0..segment.rows()).map(|row| segment.own_row(row).span(slot));
        let values: Vec<u64> = spans.map(|(start, end)| (end - start) as u64).collect();
        let (min, max) = values.iter().fold((u64::MAX, 0), |(min, max), length| (min.min(*length), max.max(*length)));
        let base = min.min(max);
        Lengths { base, width: width_of(max - base), values }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let width = usize::from(self.width);
        self.values.iter().for_each(|length| out.extend_from_slice(&(length - self.base).to_le_bytes()[..width]));
    }
}
