//! The one validation of a segment that came from outside: it establishes the invariants that readers rely on.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use crate::layout::{Form, Layout, Many, Region, ScalarKind};
use crate::packed::SymbolTable;
use crate::raw::{PADDING, Slot, load};
use crate::row::RECORD_BYTES_MAX;

use super::{Ceilings, Segment, SegmentError};

impl Segment {
    /// Establishes the invariants of a segment that came from outside.
    pub(super) fn validate(&self, layout: &Layout, ceilings: Ceilings<'_>) -> Result<(), SegmentError> {
        let mut scratch = Vec::new();
        for (column, place) in layout.columns.iter().enumerate() {
            let outside = |row| SegmentError::Region { row, column };
            let mut rows = 0..self.rows();
            match &place.form {
                Form::Scalar { slot, kind } => {
                    let scalars = rows.map(|row| (row, self.own_row(row).number(*slot)));
                    Self::check_scalars(column, *kind, ceilings, scalars)?;
                }
                Form::Text(region) => {
                    rows.try_for_each(|row| self.check_text(*region, row).map(drop).ok_or(outside(row)))?;
                }
                Form::Bytes(region) => {
                    rows.try_for_each(|row| self.check_bytes(*region, row).map(drop).ok_or(outside(row)))?;
                }
                Form::Packed { region, table } => rows.try_for_each(|row| {
                    let packed = self.check_bytes(*region, row).ok_or(outside(row))?;
                    let table = self.own_row(row).number(*table);
                    self.check_packed(table, packed, &mut scratch).ok_or(SegmentError::Packed { row, column, table })
                })?,
                Form::Many(many) => {
                    rows.try_for_each(|row| self.check_many(many, row, column, ceilings).map(drop))?;
                }
                Form::Map(keys, values) => rows.try_for_each(|row| {
                    let found = self.check_many(keys, row, column, ceilings)?;
                    if found == self.check_many(values, row, column, ceilings)? { Ok(()) } else { Err(outside(row)) }
                })?,
            }
        }
        Ok(())
    }

    /// That these numbers, each with its row, are of a kind.
    fn check_scalars(
        column: usize,
        kind: ScalarKind,
        ceilings: Ceilings<'_>,
        mut scalars: impl Iterator<Item = (u32, u64)>,
    ) -> Result<(), SegmentError> {
        let below = match kind {
            ScalarKind::Number | ScalarKind::F64 => return Ok(()),
            ScalarKind::F32 => 1 << 32,
            ScalarKind::Variant(variants) => u64::from(variants),
            ScalarKind::Component(id) => u64::from(ceilings(id)),
        };
        // A row without a value stores the base, which may be anything where no row has one; so 0 always fits.
        match scalars.find(|(_, value)| *value >= below.max(1)) {
            None => Ok(()),
            Some((row, value)) => Err(SegmentError::Value { row, column, value }),
        }
    }

    /// The region's text, if it is inside the heap and on char boundaries.
    fn check_text(&self, region: Region, row: u32) -> Option<&str> {
        let (start, end) = self.own_row(row).span(region.slot);
        self.text.get(start..end)
    }

    fn check_bytes(&self, region: Region, row: u32) -> Option<&[u8]> {
        let (start, end) = self.own_row(row).span(region.slot);
        self.bytes.get(..self.bytes.len().saturating_sub(PADDING))?.get(start..end)
    }

    /// That packed bytes are text by the table of this number, and not more of it than a record may have.
    fn check_packed(&self, number: u64, packed: &[u8], scratch: &mut Vec<u8>) -> Option<()> {
        if number == 0 {
            return std::str::from_utf8(packed).is_ok().then_some(());
        }
        let table: &SymbolTable = self.symbols.as_ref()?.get(number)?;
        table.checked_len(packed).filter(|len| *len <= RECORD_BYTES_MAX)?;
        scratch.clear();
        table.unpack(packed, scratch);
        std::str::from_utf8(scratch).is_ok().then_some(())
    }

    /// The number of elements, if there are whole ones and all their content is where it should be.
    fn check_many(&self, many: &Many, row: u32, column: usize, ceilings: Ceilings<'_>) -> Result<usize, SegmentError> {
        let outside = || SegmentError::Region { row, column };
        let (Many::Scalars { region, lane, .. }
        | Many::Texts { ends: region, lane, .. }
        | Many::Blobs { ends: region, lane, .. }) = many;
        let numbers = self.check_bytes(*region, row).ok_or_else(outside)?;
        let Slot { base, width, .. } = self.fixed.slot(*lane);
        let whole = |len: &usize| len.checked_mul(usize::from(width)) == Some(numbers.len());
        let len = numbers.len().checked_div(usize::from(width)).filter(whole).ok_or_else(outside)?;
        let (start, _) = self.own_row(row).span(region.slot);
        // Nothing wraps: the region is inside the heap, and so is each of its numbers.
        let at = |index: usize| start.wrapping_add(index.wrapping_mul(usize::from(width)));
        let scalar = |index: usize| base.wrapping_add(load(&self.bytes, at(index), width));
        match many {
            Many::Scalars { kind, .. } => {
                Self::check_scalars(column, *kind, ceilings, (0..len).map(|index| (row, scalar(index))))?;
            }
            Many::Texts { content, .. } => {
                let text = self.check_text(*content, row).ok_or_else(outside)?;
                check_ends((0..len).map(scalar), text.len(), |end| text.is_char_boundary(end)).ok_or_else(outside)?;
            }
            Many::Blobs { content, .. } => {
                let bytes = self.check_bytes(*content, row).ok_or_else(outside)?;
                check_ends((0..len).map(scalar), bytes.len(), |_| true).ok_or_else(outside)?;
            }
        }
        Ok(len)
    }
}

/// Ends that rise, stay inside, are where a string may end, and leave nothing over.
fn check_ends(ends: impl Iterator<Item = u64>, len: usize, may_end: impl Fn(usize) -> bool) -> Option<()> {
    let mut before = 0;
    for end in ends {
        let end = usize::try_from(end).ok()?;
        if end < before || end > len || !may_end(end) {
            return None;
        }
        before = end;
    }
    (before == len).then_some(())
}
