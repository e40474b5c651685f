//! Emit: writes the delta, and sums up the digests of what the user gave.
//!
//! Rule: the digests are summed from the user's rows and the old state's records, never from the delta, so that verifying
//! the delta against them compares two computations.

use std::collections::BTreeMap;
use std::sync::Arc;

use cenote_state::delta::{Changes, Delta};
use cenote_state::digest::{Sums, cell_digest, stored_cell_digest};
use cenote_state::ids::{Ordinal, TypeId};
use cenote_state::packed::Symbols;
use cenote_state::row::{RowMut, RowRef};
use cenote_state::state::State;

use super::diff::{DiffError, RootChanges};
use super::root_input::RootInput;
use crate::base::{CycleBase, TypeUpdates};
use crate::content::Fresh;
use crate::plan::Plans;
use crate::references::Recounted;

/// Free ordinals for new records of a type.
fn allocate(base: &CycleBase, id: TypeId, count: usize) -> Result<Vec<u32>, DiffError> {
    base.ordinals.allocate(&base.state, id, count).ok_or_else(|| {
        let type_name = base.state.schema().get(id).name.clone();
        DiffError::OrdinalsExhausted { type_name }
    })
}

/// The ordinals of a cycle's new records: of components by their provisional ordinals, of roots as they were added.
pub(super) struct NewOrdinals {
    /// By type: provisional ordinals begin here.
    ceilings: Vec<u32>,
    /// By component type and number; `None` for components without a reference.
    given: Vec<Vec<Option<u32>>>,
    /// By root type, ascending.
    roots: Vec<Vec<u32>>,
}

impl NewOrdinals {
    /// Chooses them. Provisional ordinals are those of `before`; each root type gets as many as `added` says.
    pub(super) fn new(
        base: &CycleBase,
        before: &State,
        recounted: &Recounted,
        added: &[usize],
    ) -> Result<NewOrdinals, DiffError> {
        let ceilings = before.tables().iter().map(|table| table.ordinal_ceiling()).collect();
        let mut given = Vec::new();
        for (counts, id) in recounted.fresh.iter().zip((0..).map(TypeId)) {
            let kept = counts.iter().filter(|count| **count > 0).count();
            let mut ordinals = allocate(base, id, kept)?.into_iter();
            given.push(counts.iter().map(|count| if *count > 0 { ordinals.next() } else { None }).collect());
        }
        let roots = added.iter().zip((0..).map(TypeId)).map(|(count, id)| allocate(base, id, *count));
        Ok(NewOrdinals { ceilings, given, roots: roots.collect::<Result<_, _>>()? })
    }

    /// The ordinals of a root type's new records, in their order.
    pub(super) fn of_root(&self, id: TypeId) -> &[u32] {
        &self.roots[id.index()]
    }

    /// The number and the ordinal of each new component that is kept.
    pub(super) fn of_component(&self, id: TypeId) -> impl Iterator<Item = (u32, u32)> {
        (0..).zip(&self.given[id.index()]).filter_map(|(number, ordinal)| Some((number, (*ordinal)?)))
    }

    fn get(&self, id: TypeId, ordinal: u32) -> u32 {
        match ordinal.checked_sub(self.ceilings[id.index()]) {
            Some(number) => self.given[id.index()][number as usize].expect("what is referred to is kept"),
            None => ordinal,
        }
    }

    /// The changes in reference counts, under the ordinals given.
    pub(super) fn references(&self, recounted: Recounted) -> Vec<(TypeId, u32, i64)> {
        let known = recounted.known.into_iter().map(|((id, ordinal), change)| (id, ordinal, change));
        let fresh = self.given.iter().zip(&recounted.fresh).zip((0..).map(TypeId)).flat_map(|((given, counts), id)| {
            let pairs = given.iter().zip(counts);
            pairs.filter_map(move |(given, count)| Some((id, (*given)?, *count as i64)))
        });
        known.chain(fresh).filter(|(_, _, change)| *change != 0).collect()
    }
}

/// Writes the delta, and sums up what the user gave.
pub(super) struct Emitter<'s> {
    state: &'s State,
    plans: &'s Plans,
    numbers: &'s NewOrdinals,
    changes: Changes<'s>,
    sums: Vec<Sums>,
    types: Vec<TypeUpdates>,
    scratch: Vec<u8>,
}

impl<'s> Emitter<'s> {
    pub(super) fn new(
        state: &'s State,
        plans: &'s Plans,
        numbers: &'s NewOrdinals,
        symbols: BTreeMap<TypeId, Arc<Symbols>>,
    ) -> Emitter<'s> {
        let mut changes = Changes::new(state);
        symbols.into_iter().for_each(|(id, symbols)| changes.bring_symbols(id, symbols));
        Emitter {
            state,
            plans,
            numbers,
            changes,
            sums: state.tables().iter().map(|table| table.sums().clone()).collect(),
            types: Vec::new(),
            scratch: Vec::new(),
        }
    }

    pub(super) fn component(&mut self, id: TypeId, fresh: &mut Fresh, removed: Vec<u32>) {
        self.remove(id, &removed);
        let numbers = self.numbers;
        let mut added = Vec::new();
        for (number, ordinal) in numbers.of_component(id) {
            self.renumber(id, fresh.get_mut(number));
            self.add(id, ordinal, fresh.get(number));
            added.push(ordinal);
        }
        self.update(TypeUpdates { type_id: id, removed, added, changed: 0, moved: 0 });
    }

    pub(super) fn root(&mut self, id: TypeId, root: &mut RootInput, changes: &RootChanges) {
        self.remove(id, &changes.removed);
        for changed in &changes.changed {
            self.renumber(id, root.rows.get_mut(changed.number));
            self.patch(id, changed.ordinal, root.rows.get(changed.number));
        }
        let ordinals = self.numbers.of_root(id);
        // Rows that came in this order are read for the last time here: a large input is not held twice.
        let is_in_order = changes.added.is_sorted();
        for (ordinal, number) in ordinals.iter().zip(&changes.added) {
            if is_in_order {
                root.rows.free_before(*number);
            }
            self.renumber(id, root.rows.get_mut(*number));
            self.add(id, *ordinal, root.rows.get(*number));
        }
        let (removed, changed) = (changes.removed.clone(), changes.changed.len() as u64);
        self.update(TypeUpdates { type_id: id, removed, added: ordinals.to_vec(), changed, moved: changes.moved });
    }

    fn remove(&mut self, id: TypeId, ordinals: &[u32]) {
        let table = self.state.table(id);
        for ordinal in ordinals {
            let ordinal = Ordinal(*ordinal);
            let row = table.row(ordinal).expect("only live records are removed");
            self.sums[id.index()].remove_stored(ordinal, row, &mut self.scratch);
            self.changes.remove(id, ordinal);
        }
    }

    fn add(&mut self, id: TypeId, ordinal: u32, row: RowRef<'_>) {
        self.sums[id.index()].add_row(Ordinal(ordinal), &self.plans.of(id).columns, row);
        self.changes.add(id, Ordinal(ordinal), row);
    }

    fn patch(&mut self, id: TypeId, ordinal: u32, row: RowRef<'_>) {
        let ordinal = Ordinal(ordinal);
        let stored = self.state.table(id).row(ordinal).expect("only live records change");
        let fields = stored.changed_fields(row, &mut self.scratch);
        let columns = &self.plans.of(id).columns;
        for field in &fields {
            let before = stored_cell_digest(ordinal, stored.cell(*field), &mut self.scratch);
            let after = row.cell(*field).map_or(0, |cell| cell_digest(ordinal, columns[*field], cell));
            let sum = &mut self.sums[id.index()].columns[*field];
            *sum = sum.wrapping_sub(before).wrapping_add(after);
        }
        if !fields.is_empty() {
            self.changes.patch(id, ordinal, &fields, row);
        }
    }

    /// Replaces the provisional ordinals in a row by those of its components. Called once for each row.
    fn renumber(&self, id: TypeId, row: RowMut<'_>) {
        self.plans.of(id).renumber(row, |id, ordinal| self.numbers.get(id, ordinal));
    }

    fn update(&mut self, of_type: TypeUpdates) {
        if !of_type.removed.is_empty() || !of_type.added.is_empty() || of_type.changed > 0 {
            self.types.push(of_type);
        }
    }

    pub(super) fn finish(self) -> (Delta, Vec<Sums>, Vec<TypeUpdates>) {
        (self.changes.finish(), self.sums, self.types)
    }
}
