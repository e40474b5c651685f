//! Changing a table: removed ordinals, patches, added rows; segment by segment, on several threads.
//!
//! Only touched segments are read and made again, so the cost follows the change (I10). What comes in is checked
//! against the table before anything is built: an edit either fits as a whole or is an error.

use std::sync::Arc;

use crate::digest::{Sums, stored_cell_digest};
use crate::ids::Ordinal;
use crate::keys::KeyPlan;
use crate::parallel;
use crate::raw::prefetch_shared;
use crate::segment::{Cell, CellPatch, RowAt, SEGMENT_BYTES_MAX, Segment, SegmentBuilder};

use super::{Table, Tables};

/// What is to change in one table. All lists ascend by ordinal and name each once.
#[derive(Default)]
pub struct TableEdit<'d> {
    /// Records that are removed.
    pub removed: &'d [u32],
    /// Cells that change: ordinal, field index, the new value or its absence.
    pub patched: &'d [(u32, usize, Cell<'d>)],
    /// Records that are added: their ordinal and row.
    pub added: Vec<(u32, RowAt<'d>)>,
    /// Rows that are added as whole segments: the segment's number and its rows, in this table's layout.
    pub whole: Vec<(usize, &'d Segment)>,
}

impl TableEdit<'_> {
    /// How many records come.
    fn coming(&self) -> u64 {
        self.added.len() as u64 + self.whole.iter().map(|(_, segment)| u64::from(segment.rows())).sum::<u64>()
    }
}

/// Why an edit does not fit a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// Removing or patching what is not there.
    #[error("ordinal {ordinal} is removed or patched, but no record has it")]
    Absent {
        /// The ordinal.
        ordinal: u32,
    },
    /// Adding what is there.
    #[error("ordinal {ordinal} is added, but a record has it")]
    Present {
        /// The ordinal.
        ordinal: u32,
    },
    /// An ordinal far beyond the table's end.
    #[error("ordinal {ordinal} is added beyond {end}, or its segment is there already")]
    Beyond {
        /// The ordinal.
        ordinal: u32,
        /// Where the table would end.
        end: u64,
    },
    /// A list that does not ascend.
    #[error("ordinal {ordinal} is named out of order or twice")]
    Order {
        /// The ordinal.
        ordinal: u32,
    },
    /// Many records of one key.
    #[error("ordinal {ordinal} is added with the key of thousands of records, where each has its own")]
    EqualKeys {
        /// The ordinal.
        ordinal: u32,
    },
    /// More rows than a segment may have bytes for.
    #[error("the rows around ordinal {ordinal} take {bytes} bytes, and a segment holds {limit}")]
    TooLarge {
        /// The first ordinal of the segment.
        ordinal: u32,
        /// What its rows take.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// A component or a key that changes.
    #[error("field {field} of ordinal {ordinal} can't change: components and keys never do")]
    Fixed {
        /// The ordinal.
        ordinal: u32,
        /// The field index.
        field: usize,
    },
}

/// One segment's share of an edit.
struct Work<'e> {
    number: usize,
    removed: &'e [u32],
    patched: &'e [(u32, usize, Cell<'e>)],
    added: &'e [(u32, RowAt<'e>)],
    whole: Option<&'e Segment>,
}

/// What became of a segment, and what that does to the type's sums.
type Done = (usize, Option<Arc<Segment>>, Sums);

impl Table {
    /// This table with the edit applied; the key index is left as it was, see [`reindexed`](Table::reindexed).
    pub fn edited(&self, edit: &TableEdit<'_>, threads: usize) -> Result<Table, EditError> {
        let cut = self.cut_for(edit, threads);
        cut.as_ref().unwrap_or(self).edited_as_cut(edit, threads)
    }

    /// The same where each segment that the edit touches has the table's size.
    fn edited_as_cut(&self, edit: &TableEdit<'_>, threads: usize) -> Result<Table, EditError> {
        self.check(edit)?;
        let work = self.shares(edit);
        let done = self.all_done(&work, threads)?;
        let mut next = self.clone();
        for (at, (number, segment, sums)) in done.into_iter().enumerate() {
            // A new page of the tree counts one more owner of each segment in it, one cache miss each.
            work.get(at + 4).inspect(|later| {
                next.segments.chunk_of(later.number).iter().flatten().for_each(prefetch_shared);
            });
            next.sums.add(&sums);
            next.place(number, segment);
        }
        for ordinal in edit.removed {
            next.live.remove(*ordinal);
        }
        for (ordinal, _) in &edit.added {
            next.live.insert(*ordinal);
        }
        for (number, segment) in &edit.whole {
            let first = (*number as u32) << self.segment_rows_log2;
            (first..first + segment.rows()).for_each(|ordinal| {
                next.live.insert(ordinal);
            });
        }
        Ok(next)
    }

    /// This table with its key index brought up to date. `before` and `after` are all tables around the edit.
    pub fn reindexed(
        &self,
        edit: &TableEdit<'_>,
        before: &Tables,
        after: &Tables,
        threads: usize,
    ) -> Result<Table, EditError> {
        let Some(plan) = &self.key else { return Ok(self.clone()) };
        let old = &before[self.layout.type_id.index()];
        // Where most of it is new, it is built as a load builds it: an insert reads keys again wherever a page is split.
        // If too many keys are equal, the insert below finds which.
        if edit.coming() > old.len() as u64
            && let Some(built) = self.with_key_index(after, threads)
        {
            return Ok(built);
        }
        let mut keys = self.keys.clone();
        for ordinal in edit.removed {
            let row = old.row(Ordinal(*ordinal)).expect("removed ordinals were checked to be live");
            keys.remove(old.key_hash(plan, row, before), *ordinal);
        }
        let hash_of = |ordinal| {
            let row = self.row(Ordinal(ordinal)).expect("the key index names rows that exist");
            self.key_hash(plan, row, after)
        };
        let whole = edit.whole.iter().flat_map(|(number, segment)| {
            let first = (*number as u32) << self.segment_rows_log2;
            first..first + segment.rows()
        });
        for ordinal in edit.added.iter().map(|(ordinal, _)| *ordinal).chain(whole) {
            let hash = hash_of(ordinal);
            keys.insert(hash, ordinal, &mut |other| hash_of(other));
            if keys.is_crowded(hash) {
                return Err(EditError::EqualKeys { ordinal });
            }
        }
        Ok(Table { keys, ..self.clone() })
    }

    fn check(&self, edit: &TableEdit<'_>) -> Result<(), EditError> {
        let end = (u64::from(self.ordinal_ceiling()) + edit.coming()).next_multiple_of(u64::from(self.segment_rows()));
        ascending(edit.removed.iter().copied())?;
        ascending(edit.added.iter().map(|(ordinal, _)| *ordinal))?;
        for ordinal in edit.removed {
            self.check_live(*ordinal)?;
        }
        for (ordinal, field, _) in edit.patched {
            self.check_live(*ordinal)?;
            let key_field = |plan: &Arc<KeyPlan>| plan.fields().any(|of_key| of_key == *field);
            if self.key.as_ref().is_none_or(key_field) {
                return Err(EditError::Fixed { ordinal: *ordinal, field: *field });
            }
            if edit.removed.binary_search(ordinal).is_ok() {
                return Err(EditError::Absent { ordinal: *ordinal });
            }
        }
        let mut pairs = edit.patched.windows(2);
        if let Some(pair) = pairs.find(|pair| (pair[0].0, pair[0].1) >= (pair[1].0, pair[1].1)) {
            return Err(EditError::Order { ordinal: pair[1].0 });
        }
        for (ordinal, _) in &edit.added {
            self.check_free(*ordinal, end)?;
        }
        for (number, segment) in &edit.whole {
            let first = u32::try_from((*number as u64) << self.segment_rows_log2).unwrap_or(u32::MAX);
            let last = u64::from(first) + u64::from(segment.rows());
            if self.segment(*number).is_some() || last > end {
                return Err(EditError::Beyond { ordinal: first, end });
            }
            let twice = edit.added.partition_point(|(ordinal, _)| *ordinal < first);
            if edit.added.get(twice).is_some_and(|(ordinal, _)| *ordinal >> self.segment_rows_log2 == *number as u32) {
                return Err(EditError::Order { ordinal: first });
            }
        }
        ascending(edit.whole.iter().map(|(number, _)| *number as u32))
    }

    fn check_live(&self, ordinal: u32) -> Result<(), EditError> {
        if self.live.contains(ordinal) { Ok(()) } else { Err(EditError::Absent { ordinal }) }
    }

    fn check_free(&self, ordinal: u32, end: u64) -> Result<(), EditError> {
        if u64::from(ordinal) >= end || ordinal == u32::MAX {
            return Err(EditError::Beyond { ordinal, end });
        }
        if self.live.contains(ordinal) { Err(EditError::Present { ordinal }) } else { Ok(()) }
    }

    /// The edit, cut at segment boundaries, by ascending segment number.
    fn shares<'e>(&self, edit: &'e TableEdit<'_>) -> Vec<Work<'e>> {
        let shift = self.segment_rows_log2;
        let (mut removed, mut patched, mut added) = (edit.removed, edit.patched, edit.added.as_slice());
        let mut whole = edit.whole.as_slice();
        let mut shares = Vec::new();
        loop {
            let nexts = [
                removed.first().map(|ordinal| ordinal >> shift),
                patched.first().map(|(ordinal, ..)| ordinal >> shift),
                added.first().map(|(ordinal, _)| ordinal >> shift),
                whole.first().map(|(number, _)| *number as u32),
            ];
            let Some(number) = nexts.into_iter().flatten().min() else { return shares };
            shares.push(Work {
                number: number as usize,
                removed: take_while(&mut removed, |ordinal| ordinal >> shift == number),
                patched: take_while(&mut patched, |(ordinal, ..)| ordinal >> shift == number),
                added: take_while(&mut added, |(ordinal, _)| ordinal >> shift == number),
                whole: take_while(&mut whole, |(at, _)| *at as u32 == number).first().map(|(_, segment)| *segment),
            });
        }
    }

    fn all_done(&self, work: &[Work<'_>], threads: usize) -> Result<Vec<Done>, EditError> {
        // Below this many segments a thread costs more than it saves.
        const WORTH_A_THREAD: usize = 64;
        let threads = threads.min(work.len() / WORTH_A_THREAD).max(1);
        let pieces: Vec<_> = work.chunks(work.len().div_ceil(threads).max(1)).collect();
        let of_piece = |piece: &&[Work<'_>]| {
            let mut scratch = Vec::new();
            let done = piece.iter().enumerate().map(|(at, one)| {
                piece.get(at + 4).and_then(|later| self.segment(later.number)).inspect(|later| prefetch_shared(later));
                piece.get(at + 2).inspect(|next| self.prefetch(next));
                self.segment_done(one, &mut scratch)
            });
            done.collect::<Vec<_>>()
        };
        parallel::map(&pieces, threads, of_piece).into_iter().flatten().collect()
    }

    /// Asks for what is read of a segment that is worked on soon.
    fn prefetch(&self, work: &Work<'_>) {
        self.segment(work.number).inspect(|segment| segment.prefetch());
        let first = work.patched.first().map(|(ordinal, ..)| ordinal).or(work.removed.first());
        first.and_then(|ordinal| self.row(Ordinal(*ordinal))).inspect(|row| row.prefetch());
    }

    fn segment_done(&self, work: &Work<'_>, scratch: &mut Vec<u8>) -> Result<Done, EditError> {
        let (number, segment, sums) = self.segment_and_sums(work, scratch);
        let bytes = segment.as_ref().map_or(0, |segment| segment.content_bytes());
        if bytes > SEGMENT_BYTES_MAX {
            let ordinal = (number as u32) << self.segment_rows_log2;
            return Err(EditError::TooLarge { ordinal, bytes, limit: SEGMENT_BYTES_MAX });
        }
        Ok((number, segment, sums))
    }

    fn segment_and_sums(&self, work: &Work<'_>, scratch: &mut Vec<u8>) -> Done {
        let mut sums = Sums::new(self.layout.columns.len());
        let old = self.segment(work.number);
        let mut digest = old.map_or(0, |segment| segment.digest());
        for ordinal in work.removed {
            let row = self.row(Ordinal(*ordinal)).expect("removed ordinals were checked to be live");
            digest = digest.wrapping_sub(sums.remove_stored(Ordinal(*ordinal), row, scratch));
        }
        for (ordinal, field, cell) in work.patched {
            let row = self.row(Ordinal(*ordinal)).expect("patched ordinals were checked to be live");
            let before = stored_cell_digest(Ordinal(*ordinal), row.cell(*field), scratch);
            let after = stored_cell_digest(Ordinal(*ordinal), *cell, scratch);
            let change = after.wrapping_sub(before);
            sums.columns[*field] = sums.columns[*field].wrapping_add(change);
            digest = digest.wrapping_add(change);
        }
        if let Some(whole) = work.whole {
            let first = (work.number as u32) << self.segment_rows_log2;
            for row in 0..whole.rows() {
                let at = whole.row(&self.layout, row).expect("the row is below the segment's count");
                digest = digest.wrapping_add(sums.add_stored(Ordinal(first + row), at, scratch));
            }
            return (work.number, Some(Arc::new(whole.with_digest(digest))), sums);
        }
        for (ordinal, row) in work.added {
            digest = digest.wrapping_add(sums.add_stored(Ordinal(*ordinal), *row, scratch));
        }
        (work.number, self.segment_after(work, digest), sums)
    }

    fn segment_after(&self, work: &Work<'_>, digest: u128) -> Option<Arc<Segment>> {
        let old = self.segment(work.number);
        if !work.added.is_empty() {
            return Some(Arc::new(self.rebuilt(work, digest)));
        }
        if !work.removed.is_empty() {
            let live = self.live_in(work.number).count() - work.removed.len();
            if live == 0 {
                return None;
            }
            // Rebuilding at half empty keeps the cost in proportion: at least as many removals have paid for it.
            if live * 2 < old.map_or(0, |segment| segment.rows()) as usize {
                return Some(Arc::new(self.rebuilt(work, digest)));
            }
        }
        let old = old.expect("a segment with live rows and none added was there before");
        if work.patched.is_empty() {
            return Some(Arc::new(old.with_digest(digest)));
        }
        let mask = self.segment_rows() - 1;
        let patches: Vec<_> = work
            .patched
            .iter()
            .map(|(ordinal, column, cell)| CellPatch { row: ordinal & mask, column: *column, cell: *cell })
            .collect();
        Some(Arc::new(old.patched(&self.layout, &patches, self.symbols.as_ref(), digest)))
    }

    /// The segment's live rows, patched, with the new ones; dead rows lose their content.
    fn rebuilt(&self, work: &Work<'_>, digest: u128) -> Segment {
        let first = (work.number as u32) << self.segment_rows_log2;
        let old_end = self.segment(work.number).map_or(first, |segment| first + segment.rows());
        let end = work.added.last().map_or(0, |(ordinal, _)| ordinal + 1).max(old_end);
        let mut builder = SegmentBuilder::new(&self.layout, self.symbols.as_ref());
        let (mut added, mut patched) = (work.added, work.patched);
        for ordinal in first..end {
            let patches = take_while(&mut patched, |(at, ..)| *at == ordinal);
            if let [(_, row)] = take_while(&mut added, |(at, _)| *at == ordinal) {
                builder.push_stored(*row);
            } else if self.live.contains(ordinal) && work.removed.binary_search(&ordinal).is_err() {
                let row = self.row(Ordinal(ordinal)).expect("a live ordinal has a row");
                builder
                    .push_patched(row, |field| patches.iter().find(|(_, of, _)| *of == field).map(|(.., cell)| *cell));
            } else {
                builder.push_dead();
            }
        }
        builder.finish(digest)
    }
}

fn ascending(mut ordinals: impl Iterator<Item = u32>) -> Result<(), EditError> {
    let Some(mut before) = ordinals.next() else { return Ok(()) };
    for ordinal in ordinals {
        if ordinal <= before {
            return Err(EditError::Order { ordinal });
        }
        before = ordinal;
    }
    Ok(())
}

/// Takes the front of a slice while `fits` returns `true`.
fn take_while<'s, T>(rest: &mut &'s [T], fits: impl Fn(&T) -> bool) -> &'s [T] {
    let end = rest.iter().position(|item| !fits(item)).unwrap_or(rest.len());
    let (taken, left) = rest.split_at(end);
    *rest = left;
    taken
}
