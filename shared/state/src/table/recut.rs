//! A table whose segments get another number of rows, a few of them at a time.
//!
//! A type's segments follow its records for as long as it lives: when the mean row has become another, a commit's schema
//! has another number of rows. A commit that copied the whole table for that would cost the table (I10). So segments of
//! the *former* size stay where they are; each edit first cuts those that it touches, and up to [`RECUT_BYTES`] more.
//!
//! Rules: ordinals, records and sums do not change. A *block* is the ordinals of one segment of the larger size: it is
//! either still to be cut as a whole or not at all, so a row is in one place. Reads try the table's own segments first,
//! so a table that is not being cut pays nothing. How far a table is cut is each process's matter: a snapshot is
//! written of one that is cut to the end.

use std::sync::Arc;

use crate::digest::Sums;
use crate::ids::Ordinal;
use crate::index::Directory;
use crate::parallel;
use crate::segment::{RowAt, Segment, SegmentBuilder};

use super::{Table, TableEdit};

/// Memory of segments that an edit cuts in addition to those that it touches: what a few milliseconds copy. In this
/// crate's tests so little that small tables stay half cut for several edits.
const RECUT_BYTES: usize = if cfg!(test) { 512 } else { 1 << 20 };

/// Segments of another size than the table's.
#[derive(Clone, Debug)]
pub(super) struct Former {
    pub(super) rows_log2: u8,
    pub(super) segments: Directory<Option<Arc<Segment>>>,
    /// How many there are.
    left: usize,
    /// Blocks below this one are cut.
    next: usize,
}

impl Former {
    pub(super) fn segment_of(&self, ordinal: Ordinal) -> Option<(u32, &Arc<Segment>)> {
        let number = ordinal.0 >> self.rows_log2;
        Some((number << self.rows_log2, self.segments.get(number as usize)?.as_ref()?))
    }

    /// The numbers of the segments in a block of so many ordinals.
    fn numbers(&self, block: usize, block_log2: u8) -> impl Iterator<Item = usize> + use<> {
        let per_block = block_log2 - self.rows_log2;
        (block << per_block..(block + 1) << per_block).take_while({
            let end = self.segments.len();
            move |number| *number < end
        })
    }

    /// Memory of what is still to be cut in a block.
    fn memory_bytes(&self, block: usize, block_log2: u8) -> usize {
        let segments = self.numbers(block, block_log2).filter_map(|number| self.segments.page(number).as_ref());
        segments.map(|segment| segment.memory_bytes()).sum()
    }
}

impl Table {
    /// The row of a segment that is still to be cut.
    #[cold]
    #[inline(never)]
    pub(super) fn former_row(&self, ordinal: Ordinal) -> Option<RowAt<'_>> {
        let (first, segment) = self.former.as_ref()?.segment_of(ordinal)?;
        segment.row(&self.layout, ordinal.0 - first)
    }

    /// The same records, to be kept in segments of 2^`rows_log2` rows. What is still to be cut for an earlier size is cut
    /// now.
    pub(super) fn with_segment_rows(&self, rows_log2: u8, threads: usize) -> Table {
        if rows_log2 == self.segment_rows_log2 {
            return self.clone();
        }
        let settled = self.settled(threads);
        let room = ((settled.segments.len() as u64) << settled.segment_rows_log2).div_ceil(1 << rows_log2);
        let (rows_log2_before, segments) = (settled.segment_rows_log2, settled.segments.clone());
        let left = segments.iter().flatten().count();
        let former = Former { rows_log2: rows_log2_before, segments, left, next: 0 };
        Table {
            segment_rows_log2: rows_log2,
            segments: Directory::filled(&None, room as usize),
            former: (left > 0).then(|| Arc::new(former)),
            ..settled
        }
    }

    /// Whether all segments are of the table's size.
    pub(crate) fn is_settled(&self) -> bool {
        self.former.is_none()
    }

    /// The same records, with all segments cut.
    pub(crate) fn settled(&self, threads: usize) -> Table {
        let Some(former) = &self.former else { return self.clone() };
        let blocks = former.segments.len().div_ceil(1 << (self.block_log2(former) - former.rows_log2));
        self.with_cut(&(former.next..blocks).collect::<Vec<_>>(), threads)
    }

    /// This table with the segments cut that an edit touches, and some more; none if all are cut already.
    pub(super) fn cut_for(&self, edit: &TableEdit<'_>, threads: usize) -> Option<Table> {
        let former = self.former.as_ref()?;
        let block_log2 = self.block_log2(former);
        let whole = edit.whole.iter().map(|(number, _)| (*number as u64) << self.segment_rows_log2);
        let ordinals = edit.removed.iter().chain(edit.patched.iter().map(|(ordinal, ..)| ordinal));
        let ordinals = ordinals.chain(edit.added.iter().map(|(ordinal, _)| ordinal)).map(|ordinal| u64::from(*ordinal));
        let mut blocks: Vec<usize> = ordinals.chain(whole).map(|ordinal| (ordinal >> block_log2) as usize).collect();
        let (mut bytes, mut next) = (0, former.next);
        let end = former.segments.len().div_ceil(1 << (block_log2 - former.rows_log2));
        while bytes < RECUT_BYTES && next < end {
            bytes += former.memory_bytes(next, block_log2);
            blocks.push(next);
            next += 1;
        }
        blocks.sort_unstable();
        blocks.dedup();
        let mut cut = self.with_cut(&blocks, threads);
        if let Some(former) = &mut cut.former {
            Arc::make_mut(former).next = next;
        }
        Some(cut)
    }

    /// The logarithm of the ordinals of a block.
    fn block_log2(&self, former: &Former) -> u8 {
        self.segment_rows_log2.max(former.rows_log2)
    }

    /// This table with these blocks cut; they ascend.
    fn with_cut(&self, blocks: &[usize], threads: usize) -> Table {
        let Some(former) = &self.former else { return self.clone() };
        let block_log2 = self.block_log2(former);
        let is_to_cut = |block: &usize| former.memory_bytes(*block, block_log2) > 0;
        let blocks: Vec<usize> = blocks.iter().copied().filter(is_to_cut).collect();
        let cut = parallel::map(&blocks, threads, |block| self.block(former, *block));
        let (mut next, mut rest) = (self.clone(), Former::clone(former));
        for (block, segments) in blocks.iter().zip(cut) {
            for number in rest.numbers(*block, block_log2) {
                if rest.segments.page(number).is_none() {
                    continue;
                }
                let taken = rest.segments.page_mut(number).take();
                next.content_bytes -= taken.map_or(0, |segment| segment.content_bytes());
                rest.left -= 1;
            }
            segments.into_iter().for_each(|(number, segment)| next.place(number, Some(segment)));
        }
        next.former = (rest.left > 0).then(|| Arc::new(rest));
        next
    }

    /// The segments of the table's size that a block becomes.
    fn block(&self, former: &Former, block: usize) -> Vec<(usize, Arc<Segment>)> {
        let per_block = self.block_log2(former) - self.segment_rows_log2;
        let numbers = block << per_block..(block + 1) << per_block;
        let cut = |number: usize| Some((number, Arc::new(self.cut_segment(former, number)?)));
        numbers.filter_map(cut).collect()
    }

    /// One segment of the table's size, of what are one or more of the former; none if no record is in it.
    fn cut_segment(&self, former: &Former, number: usize) -> Option<Segment> {
        let first = u32::try_from((number as u64) << self.segment_rows_log2).ok()?;
        let end = first.saturating_add(self.segment_rows());
        let last = self.live.range(first..end).last()?;
        let (mut sums, mut scratch) = (Sums::new(self.layout.columns.len()), Vec::new());
        let mut digest: u128 = 0;
        let is_merged = former.rows_log2 < self.segment_rows_log2;
        if is_merged {
            let parts = (first >> former.rows_log2..=last >> former.rows_log2).map(|part| part as usize);
            let parts = parts.filter_map(|part| former.segments.get(part)?.as_ref());
            digest = parts.fold(0, |sum, part| sum.wrapping_add(part.digest()));
        }
        let mut builder = SegmentBuilder::new(&self.layout, self.symbols.as_ref());
        for ordinal in first..=last {
            let row = self.live.contains(ordinal).then(|| self.former_row(Ordinal(ordinal))).flatten();
            let Some(row) = row else {
                builder.push_dead();
                continue;
            };
            builder.push_stored(row);
            if !is_merged {
                digest = digest.wrapping_add(sums.add_stored(Ordinal(ordinal), row, &mut scratch));
            }
        }
        Some(builder.finish(digest))
    }
}
