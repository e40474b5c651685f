//! How many rows a segment of a type has: chosen from the type's first records, and again when its records have become
//! others.
//!
//! A segment is what a change copies and what a read of a cold row loads, so it should have about [`SEGMENT_BYTES`],
//! whatever its rows are: of too many large rows a change copies megabytes, of too few small ones each costs more than
//! it holds.
//!
//! Rules: a type is cut again only in a commit that changes its records, and only if the right number of rows is far from
//! the one it has, so that a type at a boundary is not cut again and again; no segment gets more than
//! [`SEGMENT_CONTENT_MAX`].

use std::collections::BTreeMap;
use std::sync::Arc;

use cenote_state::ids::Ordinal;
use cenote_state::layout::Layout;
use cenote_state::packed::Symbols;
use cenote_state::row::{Row, RowRef};
use cenote_state::schema::limits;
use cenote_state::segment::{SEGMENT_BYTES_MAX, SegmentBuilder};
use cenote_state::table::Table;

/// The approximate size of a segment.
const SEGMENT_BYTES: u64 = 64 << 10;
/// The number of rows that are read for the mean size of a row.
const SAMPLE_ROWS: usize = 1_024;
/// A table is cut again if the right number of rows is off by this power of two: a segment of a quarter of a MiB, or of 16 KiB.
const SLACK_LOG2: u8 = 2;
/// The content that a segment is given at most, as rows are given: half of what it may hold.
pub(super) const SEGMENT_CONTENT_MAX: u64 = SEGMENT_BYTES_MAX / 2;

/// Rows that a commit brings to a type, new or changed.
pub(super) struct Measured {
    count: u64,
    /// Bytes in memory of one of them, on average.
    mean: u64,
}

impl Measured {
    /// Measures rows by some of them; `rows` gives all, as often as it is called.
    pub(super) fn measure<'r, R: Iterator<Item = RowRef<'r>>>(
        layout: &Layout,
        symbols: Option<&Arc<Symbols>>,
        rows: impl Fn() -> R,
    ) -> Measured {
        let count = rows().count();
        let mut builder = SegmentBuilder::new(layout, symbols);
        rows().step_by(count.div_ceil(SAMPLE_ROWS).max(1)).for_each(|row| builder.push(row));
        let sampled = u64::from(builder.rows());
        Measured { count: count as u64, mean: builder.finish(0).content_bytes().checked_div(sampled).unwrap_or(0) }
    }
}

/// The logarithm of the number of rows that a segment of this table should have from now on; `None` if it may stay.
///
/// Records that are replaced count twice, as they were and as they come: a type that changes as a whole takes two commits to
/// find its size.
pub(super) fn new_segment_rows_log2(table: &Table, limit: u64, incoming: &Measured) -> Option<u8> {
    let bytes = table.content_bytes() + incoming.count * incoming.mean;
    let mean = bytes.checked_div(table.len() as u64 + incoming.count)?.max(1);
    let rows = (SEGMENT_BYTES / mean).max(1);
    let wanted = (rows.ilog2() as u8).min(limits::SEGMENT_ROWS_LOG2);
    let now = table.segment_rows().ilog2() as u8;
    if table.segment_count() == 0 {
        return Some(wanted);
    }
    let fitting = if wanted > now { largest_fitting(table, limit, now, wanted) } else { wanted };
    (fitting.abs_diff(now) >= SLACK_LOG2).then_some(fitting)
}

/// The largest segments up to `wanted` of which none gets more than half of `limit`: a few long records may be next to each
/// other among many short ones.
fn largest_fitting(table: &Table, limit: u64, now: u8, wanted: u8) -> u8 {
    let fits = |rows_log2: &u8| {
        let mut content = BTreeMap::new();
        for (first, segment) in table.segments() {
            *content.entry(first >> rows_log2).or_insert(0) += segment.content_bytes();
        }
        content.values().all(|bytes| *bytes <= limit / 2)
    };
    if table.content_bytes() <= limit / 2 {
        return wanted;
    }
    (now..=wanted).rev().find(fits).unwrap_or(now)
}

/// Whether a segment of this table would get more than `limit` bytes. `coming` visits each row that comes, with the ordinal that it
/// gets and its bytes as given; ordinals ascend, or do so several times.
pub(super) fn is_overfull(table: &Table, limit: u64, coming: impl Fn(&mut dyn FnMut(u32, u64))) -> bool {
    let mut all = table.content_bytes();
    coming(&mut |_, bytes| all += bytes);
    if all <= limit || table.segment_rows() == 1 {
        return false;
    }
    let mut content: BTreeMap<u32, u64> = BTreeMap::new();
    let (mut current, mut run) = (0, 0);
    coming(&mut |ordinal, bytes| {
        let number = ordinal / table.segment_rows();
        if number != current {
            *content.entry(current).or_default() += std::mem::take(&mut run);
            current = number;
        }
        run += bytes;
    });
    *content.entry(current).or_default() += run;
    content.into_iter().any(|(number, bytes)| bytes + content_of(table, number) > limit)
}

/// What the table has of the segment with this number.
fn content_of(table: &Table, number: u32) -> u64 {
    if let Some(segment) = table.segment(number as usize) {
        return segment.content_bytes();
    }
    let first = number * table.segment_rows();
    let ordinals = first..first.saturating_add(table.segment_rows()).min(table.ordinal_ceiling());
    let rows = ordinals.map(Ordinal).filter(|ordinal| table.is_live(*ordinal)).filter_map(|at| table.row(at));
    let mut scratch = Row::default();
    let bytes = rows.map(|row| {
        row.write_to(&mut scratch);
        scratch.bytes() as u64
    });
    bytes.sum()
}

#[cfg(test)]
mod tests {
    use cenote_state::delta::Changes;
    use cenote_state::ids::{ColumnId, TypeId, Version};
    use cenote_state::schema::{Field, PLAIN, Schema, Shape, TypeKind, TypeSchema, ValueKind};
    use cenote_state::state::State;

    use super::*;

    const TEXTS: TypeId = TypeId(0);

    fn schema(rows_log2: u8) -> Schema {
        let shape = Shape::One(ValueKind::String);
        let field =
            Field { name: "t".into(), column: ColumnId(0), optional: false, sparse: false, shape, encoding: PLAIN };
        let (kind, fields) = (TypeKind::Component, vec![field]);
        let of_type = TypeSchema { name: "T".into(), kind, fields, next_column: 1, segment_rows_log2: rows_log2 };
        Schema { types: vec![of_type] }
    }

    /// A state of texts of these lengths.
    fn state(rows_log2: u8, lengths: impl Iterator<Item = usize>) -> State {
        let empty = State::empty(Arc::new(schema(rows_log2)), 7).expect("the schema is sound");
        let mut changes = Changes::new(&empty);
        for (ordinal, length) in (0..).map(Ordinal).zip(lengths) {
            let mut row = Row::new(1);
            row.set(0, |out| out.resize(length, b'x'));
            changes.add(TEXTS, ordinal, &row);
        }
        empty.applied(&changes.finish(), Version(1), 1).expect("it fits")
    }

    fn incoming(count: u64, mean: u64) -> Measured {
        Measured { count, mean }
    }

    #[test]
    fn a_table_is_cut_anew_only_if_its_mean_row_is_far_from_its_cut() {
        let state = state(8, (0..1_000).map(|_| 250));
        let table = state.table(TEXTS);
        let new = |count, mean| new_segment_rows_log2(table, SEGMENT_CONTENT_MAX, &incoming(count, mean));
        assert_eq!(new(0, 0), None, "256 rows of 250 bytes are right");
        assert_eq!(new(40, 4_000), None, "they come to 400 bytes");
        assert_eq!(new(100, 4_000), Some(6), "they come to 600 bytes");
        assert_eq!(new(1_000, 4_000), Some(4), "they come to 2 kB");
        assert_eq!(new(100_000, 8), Some(12), "they come to 10 bytes");
        let empty = State::empty(Arc::new(schema(8)), 7).expect("the schema is sound");
        assert_eq!(new_segment_rows_log2(empty.table(TEXTS), SEGMENT_CONTENT_MAX, &incoming(9, 250)), Some(8));
        assert_eq!(new_segment_rows_log2(empty.table(TEXTS), SEGMENT_CONTENT_MAX, &incoming(0, 0)), None);
    }

    /// Long rows next to each other among many short ones: their segments stay small, whatever the mean row is.
    #[test]
    fn no_segment_gets_more_than_the_limit() {
        let state = state(1, (0..4_096).map(|at| if at < 32 { 10_000 } else { 1 }));
        let table = state.table(TEXTS);
        let none = incoming(0, 0);
        assert_eq!(new_segment_rows_log2(table, SEGMENT_CONTENT_MAX, &none), Some(9));
        assert_eq!(new_segment_rows_log2(table, 200_000, &none), Some(3), "eight rows of 10 kB and not sixteen");
        let coming = |visit: &mut dyn FnMut(u32, u64)| (0..8).for_each(|ordinal| visit(ordinal, 10_000));
        assert!(!is_overfull(table, 41_000, coming));
        assert!(is_overfull(table, 39_000, coming), "two rows of 10 kB, and two more");
        let mut coarser = schema(4);
        coarser.types[0].segment_rows_log2 = 4;
        let coarser = state.relayout(Arc::new(coarser), 1).expect("the key is sound");
        assert!(is_overfull(coarser.table(TEXTS), 200_000, coming), "of a table that is still to be cut, too");
        assert!(!is_overfull(coarser.table(TEXTS), 250_000, coming));
    }
}
