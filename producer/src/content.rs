//! Which component records there are, found by their content: equal records are one record.
//!
//! A hash of the row finds candidates, bytes decide. The indexes are persistent: a cycle reads the last
//! version's and keeps what it adds apart, so that a cycle that fails changes nothing (I6). They are made
//! from the state when a producer opens, and follow each commit at its cost.

use cenote_state::ids::{Ordinal, TypeId};
use cenote_state::index::KeyIndex;
use cenote_state::row::{Row, RowMut, RowRef};
use cenote_state::state::State;

use crate::arena::Rows;

/// The live component records of one state, by content.
#[derive(Clone)]
pub(crate) struct Content {
    seed: u64,
    /// By type; those of roots stay empty.
    types: Vec<KeyIndex>,
    /// Whether no two records are equal. A schema change that drops a column can make some so.
    distinct: bool,
}

impl Content {
    /// Of every component in the state.
    pub(crate) fn of_state(state: &State) -> Content {
        let seed = state.seed();
        let types = state.schema().iter().map(|(id, schema)| {
            if schema.is_root() {
                return (KeyIndex::new(), true);
            }
            let entries = entries(state, id, seed);
            (KeyIndex::build(&entries), are_distinct(&entries))
        });
        let (types, distinct): (_, Vec<bool>) = types.unzip();
        Content { seed, types, distinct: distinct.into_iter().all(|distinct| distinct) }
    }

    /// Whether equal records are one record, judged by their hashes.
    pub(crate) fn is_distinct(&self) -> bool {
        self.distinct
    }

    /// The hash by which a row is found.
    pub(crate) fn hash(&self, row: RowRef<'_>) -> u64 {
        row.hash(self.seed)
    }

    /// The record with this content, in the state that the index is of. `scratch` is overwritten.
    pub(crate) fn find(
        &self,
        state: &State,
        id: TypeId,
        hash: u64,
        row: RowRef<'_>,
        scratch: &mut Vec<u8>,
    ) -> Option<Ordinal> {
        let table = state.table(id);
        let found = self.types[id.index()].find(hash, |ordinal| {
            table.row(Ordinal(ordinal)).expect("the index names live rows only").is_row(row, scratch)
        });
        found.map(Ordinal)
    }

    /// Follows a commit: what was removed from `old`, what was added in `new`.
    pub(crate) fn update(&mut self, id: TypeId, old: &State, removed: &[u32], new: &State, added: &[u32]) {
        let Content { seed, types, .. } = self;
        let (seed, index) = (*seed, &mut types[id.index()]);
        // Where most of it is new: an insert reads content again wherever a page is split.
        if added.len() > old.table(id).len() {
            *index = KeyIndex::build(&entries(new, id, seed));
            return;
        }
        let mut scratch = Row::default();
        for ordinal in removed {
            let hash = stored_hash(old, id, *ordinal, seed, &mut scratch);
            let found = index.remove(hash, *ordinal);
            debug_assert!(found, "the index names every live component");
        }
        for ordinal in added {
            let hash = stored_hash(new, id, *ordinal, seed, &mut scratch);
            index.insert(hash, *ordinal, &mut |other| stored_hash(new, id, other, seed, &mut Row::default()));
        }
    }

    /// Asserts that every live component is found, and nothing else is named.
    ///
    /// # Panics
    /// When that is not so: for tests.
    pub(crate) fn check_invariants(&self, state: &State) {
        for table in state.tables().iter().filter(|table| table.key_plan().is_none()) {
            let id = table.layout().type_id;
            let index = &self.types[id.index()];
            index.check_invariants(&mut |ordinal| stored_hash(state, id, ordinal, self.seed, &mut Row::default()));
            let mut named: Vec<u32> = index.iter().collect();
            named.sort_unstable();
            assert!(named.iter().copied().eq(table.ordinals().map(|ordinal| ordinal.0)), "components of type {id}");
        }
    }
}

/// Every live record of a component type.
fn entries(state: &State, id: TypeId, seed: u64) -> Vec<(u64, u32)> {
    let mut scratch = Row::default();
    let entry = |ordinal: Ordinal| (stored_hash(state, id, ordinal.0, seed, &mut scratch), ordinal.0);
    state.table(id).ordinals().map(entry).collect()
}

fn are_distinct(entries: &[(u64, u32)]) -> bool {
    let mut hashes: Vec<u64> = entries.iter().map(|(hash, _)| *hash).collect();
    hashes.sort_unstable();
    hashes.is_sorted_by(|left, right| left < right)
}

fn stored_hash(state: &State, id: TypeId, ordinal: u32, seed: u64, scratch: &mut Row) -> u64 {
    state.table(id).row(Ordinal(ordinal)).expect("a live ordinal has a row").write_to(scratch);
    RowRef::from(&*scratch).hash(seed)
}

/// Component records of one type that a cycle brings and the last version lacks, in the order in which they came.
#[derive(Default)]
pub(crate) struct Fresh {
    rows: Rows,
    hashes: Vec<u64>,
    index: KeyIndex,
}

impl Fresh {
    /// The number of the record with this content, which is now there if it wasn't.
    pub(crate) fn intern(&mut self, hash: u64, row: RowRef<'_>) -> u32 {
        let Fresh { rows, hashes, index } = self;
        if let Some(number) = index.find(hash, |number| rows.get(number) == row) {
            return number;
        }
        let number = rows.push(row);
        hashes.push(hash);
        index.insert(hash, number, &mut |other| hashes[other as usize]);
        number
    }

    /// The row with this number.
    pub(crate) fn get(&self, number: u32) -> RowRef<'_> {
        self.rows.get(number)
    }

    /// The same, to be renumbered once nothing is looked up any more.
    pub(crate) fn get_mut(&mut self, number: u32) -> RowMut<'_> {
        self.rows.get_mut(number)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u32 {
        self.rows.len()
    }
}
