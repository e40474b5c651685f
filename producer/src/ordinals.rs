//! Which ordinals new records get.
//!
//! New records are put into the tail segment until it is full; then into one with at least a quarter of its ordinals free,
//! or the emptiest if the dead share of the table passes an eighth; else into a new one. So few segments are
//! touched, and never many for a little.
//!
//! Rules: an ordinal freed in one version is reused from the next only, which holds because ordinals are chosen from
//! what the *last* version left free; the choice is a function of that version and the number of records (I12);
//! following a commit costs what it touched (I10).

use std::cmp::Reverse;
use std::collections::BTreeSet;

use cenote_state::ids::TypeId;
use cenote_state::state::State;
use cenote_state::table::Table;

/// Free ordinals of every type in one state, counted by segment.
#[derive(Clone)]
pub(crate) struct Ordinals {
    types: Vec<Free>,
}

/// Free ordinals of one type.
#[derive(Clone, Default)]
struct Free {
    segment_rows: u32,
    /// By segment.
    free: Vec<u32>,
    /// Segments with free ordinals, emptiest last; of equals the first in the table comes later.
    by_free: BTreeSet<(u32, Reverse<u32>)>,
    /// Free ordinals in all segments.
    dead: u64,
}

/// A segment is worth filling if this share of it is free: one in so many.
const WORTH_FILLING: u32 = 4;
/// A table is worth tidying if this share of it is dead: one in so many.
const WORTH_TIDYING: u64 = 8;

impl Ordinals {
    /// Of every table in the state.
    pub(crate) fn of_state(state: &State) -> Ordinals {
        Ordinals { types: state.tables().iter().map(|table| Free::of_table(table)).collect() }
    }

    /// Whether they are counted by the segments that the state has.
    pub(crate) fn are_cut_as(&self, state: &State) -> bool {
        state.tables().iter().zip(&self.types).all(|(table, of_type)| of_type.is_cut_as(table))
    }

    /// Counts again what is counted by other segments than the state has.
    pub(crate) fn recut(&mut self, state: &State) {
        let of_types = state.tables().iter().zip(&mut self.types);
        of_types.filter(|(table, of_type)| !of_type.is_cut_as(table)).for_each(|(table, of_type)| {
            *of_type = Free::of_table(table);
        });
    }

    /// So many ordinals for new records of a type, ascending. None if there are not so many.
    pub(crate) fn allocate(&self, state: &State, id: TypeId, count: usize) -> Option<Vec<u32>> {
        self.types[id.index()].allocate(state.table(id), count)
    }

    /// Follows a commit that freed and gave these ordinals of a type.
    pub(crate) fn update(&mut self, id: TypeId, state: &State, removed: &[u32], added: &[u32]) {
        let of_type = &mut self.types[id.index()];
        let table = state.table(id);
        if !of_type.is_cut_as(table) {
            *of_type = Free::of_table(table);
            return;
        }
        of_type.resize(table.segment_count());
        let shift = of_type.segment_rows.ilog2();
        for ordinal in removed {
            of_type.change((ordinal >> shift) as usize, |free| free + 1);
        }
        for ordinal in added {
            of_type.change((ordinal >> shift) as usize, |free| free - 1);
        }
    }

    /// Asserts that the counts are those of the state.
    ///
    /// # Panics
    /// When they are not: for tests and debug builds.
    pub(crate) fn check_invariants(&self, state: &State) {
        for (table, of_type) in state.tables().iter().zip(&self.types) {
            let expected = Free::of_table(table);
            assert_eq!(of_type.free, expected.free, "free ordinals by segment");
            assert_eq!(of_type.by_free, expected.by_free, "segments by free ordinals");
            assert_eq!(of_type.dead, expected.dead, "dead ordinals");
        }
    }
}

impl Free {
    fn is_cut_as(&self, table: &Table) -> bool {
        self.segment_rows == table.segment_rows()
    }

    fn of_table(table: &Table) -> Free {
        let rows = table.segment_rows();
        let mut of_type = Free { segment_rows: rows, ..Free::default() };
        of_type.resize(table.segment_count());
        let mut live = vec![0; table.segment_count()];
        table.ordinals().for_each(|ordinal| live[(ordinal.0 / rows) as usize] += 1);
        for (number, live) in live.into_iter().enumerate() {
            of_type.change(number, |_| rows - live);
        }
        of_type
    }

    /// Makes room for so many segments, all of their ordinals free; or forgets those after them.
    fn resize(&mut self, segments: usize) {
        for number in segments..self.free.len() {
            self.change(number, |_| 0);
        }
        let (before, rows) = (self.free.len(), self.segment_rows);
        self.free.resize(segments, 0);
        for number in before..segments {
            self.change(number, |_| rows);
        }
    }

    fn change(&mut self, number: usize, new: impl FnOnce(u32) -> u32) {
        let old = self.free[number];
        let new = new(old);
        self.free[number] = new;
        self.by_free.remove(&(old, Reverse(number as u32)));
        if new > 0 {
            self.by_free.insert((new, Reverse(number as u32)));
        }
        self.dead = self.dead + u64::from(new) - u64::from(old);
    }

    fn allocate(&self, table: &Table, count: usize) -> Option<Vec<u32>> {
        let mut given = Vec::with_capacity(count);
        let mut dead = self.dead;
        let tail = self.free.len().checked_sub(1);
        if let Some(tail) = tail {
            self.take(table, tail as u32, count, &mut given);
            dead -= u64::from(self.free[tail]);
        }
        let ceiling = self.free.len() as u64 * u64::from(self.segment_rows);
        for (free, Reverse(number)) in
            self.by_free.iter().rev().filter(|(_, Reverse(number))| Some(*number as usize) != tail)
        {
            let worth = free.saturating_mul(WORTH_FILLING) >= self.segment_rows || dead * WORTH_TIDYING > ceiling;
            if given.len() == count || !worth {
                break;
            }
            self.take(table, *number, count, &mut given);
            dead -= u64::from(*free);
        }
        let missing = (count - given.len()) as u64;
        // u32::MAX itself is no ordinal.
        if ceiling + missing > u64::from(u32::MAX) {
            return None;
        }
        given.extend((ceiling..ceiling + missing).map(|ordinal| ordinal as u32));
        given.sort_unstable();
        Some(given)
    }

    /// Takes a segment's free ordinals, until there are `count`.
    fn take(&self, table: &Table, number: u32, count: usize, given: &mut Vec<u32>) {
        let first = number * self.segment_rows;
        let end = first.saturating_add(self.segment_rows);
        given.extend(table.live().absent(first..end).take(count - given.len()));
    }
}
