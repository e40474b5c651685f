//! Changing cells of a segment: the fixed rows alone where numbers still fit, else the segment anew.

use std::sync::Arc;

use crate::layout::{Form, Layout};
use crate::packed::Symbols;

use super::{Cell, Segment, SegmentBuilder, store, width_of};

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
        self.patched_in_place(layout, patches, digest).unwrap_or_else(|| self.rebuilt(layout, patches, symbols, digest))
    }

    /// The heaps shared, the numbers overwritten; none where a patch does not fit that.
    fn patched_in_place(&self, layout: &Layout, patches: &[CellPatch<'_>], digest: u128) -> Option<Segment> {
        let numbers = patches.iter().map(|patch| self.as_number(layout, patch)).collect::<Option<Vec<_>>>()?;
        let mut fixed: Arc<[u8]> = Arc::from(&self.fixed[..]);
        let bytes = Arc::make_mut(&mut fixed);
        for (patch, (slot, value)) in patches.iter().zip(numbers) {
            let slot = self.slot(slot);
            store(
                bytes,
                self.row_start(patch.row) as usize + slot.offset as usize,
                slot.width,
                value.wrapping_sub(slot.base),
            );
        }
        Some(Segment { fixed, digest, ..self.clone() })
    }

    /// The slot and number of a patch that the segment's base and width can take.
    fn as_number(&self, layout: &Layout, patch: &CellPatch<'_>) -> Option<(usize, u64)> {
        let column = &layout.columns[patch.column];
        let Form::Image { slot, .. } = column.form else { return None };
        let value = patch.cell.is_present().then(|| patch.cell.image())?;
        if let Some(presence) = column.presence
            && self.image(presence.slot, self.row_start(patch.row)) >> presence.bit & 1 == 0
        {
            return None;
        }
        let place = self.slot(slot);
        (width_of(value.wrapping_sub(place.base)) <= place.width).then_some((slot, value))
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
        for row in 0..self.count {
            let of_row = rest.partition_point(|patch| patch.row <= row);
            let (these, after) = rest.split_at(of_row);
            rest = after;
            let at = super::RowAt::new(self, layout, row);
            builder
                .push_patched(at, |column| these.iter().find(|patch| patch.column == column).map(|patch| patch.cell));
        }
        builder.finish(digest)
    }
}
