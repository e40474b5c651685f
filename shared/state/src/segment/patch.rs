//! Changes cells of a segment: it copies the fixed rows alone if only numbers change, else it builds the segment again.

use std::sync::Arc;

use crate::layout::{Form, Layout};
use crate::packed::Symbols;
use crate::raw::{FixedRows, Slot, store};

use super::build::fit;
use super::{Cell, RowAt, Segment, SegmentBuilder, width_of};

/// One cell's new value.
#[derive(Clone, Copy)]
pub struct CellPatch<'a> {
    /// The row in its segment.
    pub row: u32,
    /// The field index.
    pub column: usize,
    /// The new value, or its absence: of the same column in any layout that has it.
    pub cell: Cell<'a>,
}

/// A number that takes the place of another.
struct Number {
    row: usize,
    slot: usize,
    value: u64,
}

/// Writes numbers over those of rows with these slots.
fn write(rows: &mut [u8], stride: usize, slot_of: impl Fn(usize) -> Slot, numbers: &[Number]) {
    for Number { row, slot, value } in numbers {
        let Slot { base, offset, width } = slot_of(*slot);
        store(rows, row * stride + offset as usize, width, value.wrapping_sub(base));
    }
}

impl Segment {
    /// This segment with some cells replaced and a new digest. Patches are sorted by row, each cell once; `symbols` are
    /// those of all their packed text.
    #[must_use]
    pub fn patched(
        &self,
        layout: &Layout,
        patches: &[CellPatch<'_>],
        symbols: Option<&Arc<Symbols>>,
        digest: u128,
    ) -> Segment {
        debug_assert!(patches.is_sorted_by_key(|patch| patch.row), "patches come by row");
        let numbers = patches.iter().map(|patch| self.number_of(layout, patch)).collect::<Option<Vec<_>>>();
        let Some(numbers) = numbers else { return self.rebuilt(layout, patches, symbols, digest) };
        let fits = |number: &Number| {
            let Slot { base, width, .. } = self.fixed.slot(number.slot);
            width_of(number.value.wrapping_sub(base)) <= width
        };
        let fixed = if numbers.iter().all(fits) {
            self.fixed.changed(|rows| write(rows, self.fixed.stride(), |slot| self.fixed.slot(slot), &numbers))
        } else {
            self.refitted(layout, &numbers, fits)
        };
        Segment { fixed, digest, ..self.clone() }
    }

    /// The number that a patch puts in place of another; none where it does something else.
    fn number_of(&self, layout: &Layout, patch: &CellPatch<'_>) -> Option<Number> {
        let column = &layout.columns[patch.column];
        let Form::Scalar { slot, .. } = column.form else { return None };
        let value = patch.cell.is_present().then(|| patch.cell.scalar())?;
        if let Some(presence) = column.presence
            && self.own_row(patch.row).number(presence.slot) >> presence.bit & 1 == 0
        {
            return None;
        }
        Some(Number { row: patch.row as usize, slot, value })
    }

    /// The rows with these numbers, under another base and width for each slot where one does not fit.
    fn refitted(&self, layout: &Layout, numbers: &[Number], fits: impl Fn(&Number) -> bool) -> FixedRows {
        let mut slots: Vec<Slot> = (0..layout.all_slots).map(|slot| self.fixed.slot(slot)).collect();
        for number in numbers.iter().filter(|number| !fits(number)) {
            let stored = (0..self.rows()).map(|row| self.own_row(row).number(number.slot));
            let coming = numbers.iter().filter(|other| other.slot == number.slot).map(|other| other.value);
            let (base, width) = fit(stored.chain(coming), layout.signed[number.slot]);
            slots[number.slot] = Slot { base, width, ..slots[number.slot] };
        }
        let mut stride = 0;
        for slot in &mut slots[..layout.row_slots] {
            slot.offset = stride;
            stride += u32::from(slot.width);
        }
        FixedRows::new(&slots, self.rows(), stride, |rows| {
            for (slot, place) in slots[..layout.row_slots].iter().enumerate() {
                self.fixed.copy_slot(slot, *place, rows, stride as usize);
            }
            write(rows, stride as usize, |slot| slots[slot], numbers);
        })
    }

    fn rebuilt(
        &self,
        layout: &Layout,
        patches: &[CellPatch<'_>],
        symbols: Option<&Arc<Symbols>>,
        digest: u128,
    ) -> Segment {
        let mut builder = SegmentBuilder::new(layout, symbols);
        let mut rest = patches;
        for row in 0..self.rows() {
            let of_row = rest.partition_point(|patch| patch.row <= row);
            let (these, after) = rest.split_at(of_row);
            rest = after;
            let at = RowAt::new(self, layout, self.own_row(row));
            builder
                .push_patched(at, |column| these.iter().find(|patch| patch.column == column).map(|patch| patch.cell));
        }
        builder.finish(digest)
    }
}
