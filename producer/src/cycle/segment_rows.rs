//! How many rows a segment of a type has, decided from the type's first records.

use std::sync::Arc;

use cenote_state::layout::Layout;
use cenote_state::packed::Symbols;
use cenote_state::row::RowRef;
use cenote_state::schema::limits;
use cenote_state::segment::SegmentBuilder;

/// The approximate size of a segment.
const SEGMENT_BYTES: usize = 64 << 10;
/// The number of rows that are read for the mean size of a row.
const SAMPLE_ROWS: usize = 1_024;

/// The logarithm of the number of rows that make a segment of the right size; `None` if there are no rows.
pub(super) fn segment_rows_log2<'r>(
    layout: &Layout,
    symbols: Option<&Arc<Symbols>>,
    rows: impl Iterator<Item = RowRef<'r>>,
) -> Option<u8> {
    let mut builder = SegmentBuilder::new(layout, symbols);
    rows.take(SAMPLE_ROWS).for_each(|row| builder.push(row));
    let count = builder.rows() as usize;
    let mean = builder.finish(0).memory_bytes().checked_div(count)?.max(1);
    let rows = (SEGMENT_BYTES / mean).max(1);
    Some((rows.ilog2() as u8).min(limits::SEGMENT_ROWS_LOG2))
}
