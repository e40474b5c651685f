//! Diff: what of the input is new, which ordinals it gets, which components go.
//!
//! In this order, each answer needed by the next: what happens to each root; which components are referred to in the
//! end; which ordinals new records get; the delta, and beside it the digest of what the user gave.
//!
//! Rules: fresh components that nobody refers to are never emitted; an orphan goes, and what only it referred to; the
//! digest is summed from the user's rows and the old state's records, never from the delta, so that verifying the
//! delta against it compares two paths; the same input on the same parent gives the same delta (I12).

use std::collections::BTreeMap;
use std::sync::Arc;

use cenote_state::delta::{Changes, Delta};
use cenote_state::digest::{Sums, cell_digest, stored_cell_digest};
use cenote_state::ids::{Ordinal, TypeId};
use cenote_state::layout::Layout;
use cenote_state::packed::Symbols;
use cenote_state::row::{RowMut, RowRef};
use cenote_state::schema::{KeyError, limits};
use cenote_state::segment::SegmentBuilder;
use cenote_state::state::State;

use super::populate::{Input, RootInput};
use super::train::new_symbols;
use crate::base::{CycleBase, Follow, TypeFollow};
use crate::content::Fresh;
use crate::plan::Plans;
use crate::references::{Recount, Recounted};

/// A segment is about this large in all.
const SEGMENT_BYTES: usize = 64 << 10;
/// Rows that are looked at to tell how large a type's rows are.
const SAMPLE_ROWS: usize = 1_024;

/// The change that a cycle found.
pub(crate) struct Diffed {
    /// What it was found against.
    pub(crate) base: CycleBase,
    /// What turns the base's state into the next.
    pub(crate) delta: Delta,
    /// What the next state's sums must be, by type.
    pub(crate) sums: Vec<Sums>,
    /// How the base's indexes follow.
    pub(crate) follow: Follow,
}

/// Why an input can't become a version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DiffError {
    #[error("{type_name} has no free ordinals; a type holds 4,294,967,295 records")]
    OrdinalsExhausted { type_name: String },
    /// Only a schema made by hand has such a key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// What happens to the records of one root type; numbers are those of the input's rows.
#[derive(Default)]
struct RootChanges {
    removed: Vec<u32>,
    changed: Vec<Changed>,
    added: Vec<u32>,
}

/// A record that keeps its ordinal and gets other values.
struct Changed {
    ordinal: u32,
    number: u32,
    /// Whether it may refer to other components than before.
    relinked: bool,
}

impl Input {
    /// Finds what changes.
    pub(crate) fn diff(self) -> Result<Diffed, DiffError> {
        let Input { base, mut fresh, mut roots, .. } = self;
        let changes: Vec<RootChanges> =
            roots.iter().zip(0..).map(|(root, id)| changes(root, TypeId(id), &base)).collect();
        let recounted = recount(&base, &fresh, &roots, &changes);
        let incoming = Incoming { fresh: &fresh, roots: &roots, changes: &changes, recounted: &recounted };
        let symbols = new_symbols(&base.state, |id| incoming.rows(id).collect());
        let base = with_segment_rows(base, &incoming, &symbols)?;
        let numbers = Numbers::new(&base, &recounted)?;
        let mut emitter = Emitter::new(&base.state, &base.plans, &numbers, symbols);
        for (index, (fresh, root)) in fresh.iter_mut().zip(&mut roots).enumerate() {
            let id = TypeId(index as u16);
            if base.state.schema().get(id).is_root() {
                let changes = &changes[index];
                let ordinals = allocate(&base, id, changes.added.len())?;
                emitter.root(id, root, changes, ordinals);
            } else {
                let orphans = recounted.orphans.iter().filter(|(of, _)| *of == id).map(|(_, ordinal)| *ordinal);
                emitter.component(id, fresh, orphans.collect());
            }
        }
        let (delta, sums, types) = emitter.finish();
        let follow = Follow { types, references: numbers.references(recounted) };
        Ok(Diffed { base, delta, sums, follow })
    }
}

fn changes(root: &RootInput, id: TypeId, base: &CycleBase) -> RootChanges {
    let table = base.state.table(id);
    let mut changes = RootChanges::default();
    if root.replaces {
        changes.removed = table.live().iter().filter(|ordinal| !root.was_seen(*ordinal)).collect();
    }
    let (plan, key, mut scratch) = (base.plans.of(id), table.key_plan(), Vec::new());
    for (ordinal, value) in &root.known {
        let Some(value) = *value else {
            changes.removed.push(*ordinal);
            continue;
        };
        let stored = table.row(Ordinal(*ordinal)).expect("a known record has a row");
        // A key that leads through a component can be the same though the component is another: its index entry
        // hangs on the reference, so the record moves.
        let fields = stored.changed_fields(root.rows.get(value), &mut scratch);
        if key.is_some_and(|key| key.fields().any(|field| fields.contains(&field))) {
            changes.removed.push(*ordinal);
            changes.added.push(value);
        } else {
            let relinked = fields.iter().any(|field| plan.refers_by(*field));
            changes.changed.push(Changed { ordinal: *ordinal, number: value, relinked });
        }
    }
    changes.removed.sort_unstable();
    changes.added.extend(root.new.rows.iter().flatten());
    changes
}

/// Counts references: of roots first, then of the fresh components that they lead to; orphans last.
fn recount(base: &CycleBase, fresh: &[Fresh], roots: &[RootInput], changes: &[RootChanges]) -> Recounted {
    let (state, plans) = (&base.state, &*base.plans);
    let counts: Vec<u32> = fresh.iter().map(Fresh::len).collect();
    let mut recount = Recount::new(state, plans, &base.references, &counts);
    for ((root, changes), id) in roots.iter().zip(changes).zip((0..).map(TypeId)) {
        let relinked = || changes.changed.iter().filter(|changed| changed.relinked);
        let gone = changes.removed.iter().chain(relinked().map(|changed| &changed.ordinal));
        gone.for_each(|ordinal| recount.remove_all(id, *ordinal));
        for number in relinked().map(|changed| &changed.number).chain(&changes.added) {
            plans.of(id).references(root.rows.get(*number), |id, ordinal| recount.add(id, ordinal));
        }
    }
    while let Some((id, number)) = recount.next_reached() {
        plans.of(id).references(fresh[id.index()].get(number), |id, ordinal| recount.add(id, ordinal));
    }
    recount.finish(&base.orphans)
}

/// All records that the delta may bring, as they were given.
struct Incoming<'i> {
    fresh: &'i [Fresh],
    roots: &'i [RootInput],
    changes: &'i [RootChanges],
    recounted: &'i Recounted,
}

impl<'i> Incoming<'i> {
    /// The rows of a type: a root's changed ones, then its new ones; a component's fresh ones.
    fn rows(&self, id: TypeId) -> impl Iterator<Item = RowRef<'i>> + use<'i> {
        let index = id.index();
        let (root, changes, components) = (&self.roots[index], &self.changes[index], &self.fresh[index]);
        let numbers = changes.changed.iter().map(|changed| &changed.number).chain(&changes.added);
        let kept = (0..).zip(&self.recounted.fresh[index]).filter(|(_, count)| **count > 0);
        numbers.map(|number| root.rows.get(*number)).chain(kept.map(|(number, _)| components.get(number)))
    }
}

/// Decides how many rows a segment has, for types that get their first records.
fn with_segment_rows(
    mut base: CycleBase,
    incoming: &Incoming<'_>,
    symbols: &BTreeMap<TypeId, Arc<Symbols>>,
) -> Result<CycleBase, DiffError> {
    let mut schema = base.state.schema().as_ref().clone();
    for (of_type, id) in schema.types.iter_mut().zip((0..).map(TypeId)) {
        let table = base.state.table(id);
        if table.segment_count() > 0 {
            continue;
        }
        let rows_log2 = segment_rows_log2(table.layout(), symbols.get(&id), incoming.rows(id));
        of_type.segment_rows_log2 = rows_log2.unwrap_or(of_type.segment_rows_log2);
    }
    if schema != **base.state.schema() {
        base.state = base.state.relayout(Arc::new(schema), 1)?;
    }
    Ok(base)
}

/// How many of these rows make a segment of the right size; none if there are no rows.
fn segment_rows_log2<'r>(
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

fn allocate(base: &CycleBase, id: TypeId, count: usize) -> Result<Vec<u32>, DiffError> {
    base.ordinals.allocate(&base.state, id, count).ok_or_else(|| {
        let type_name = base.state.schema().get(id).name.clone();
        DiffError::OrdinalsExhausted { type_name }
    })
}

/// From provisional ordinals to the ones that fresh components get.
struct Numbers {
    /// By type: provisional ordinals begin here.
    ceilings: Vec<u32>,
    /// By type and number; none for those that nobody refers to.
    given: Vec<Vec<Option<u32>>>,
}

impl Numbers {
    fn new(base: &CycleBase, recounted: &Recounted) -> Result<Numbers, DiffError> {
        let ceilings = base.state.tables().iter().map(|table| table.ordinal_ceiling()).collect();
        let mut given = Vec::new();
        for (counts, id) in recounted.fresh.iter().zip((0..).map(TypeId)) {
            let kept = counts.iter().filter(|count| **count > 0).count();
            let mut ordinals = allocate(base, id, kept)?.into_iter();
            given.push(counts.iter().map(|count| if *count > 0 { ordinals.next() } else { None }).collect());
        }
        Ok(Numbers { ceilings, given })
    }

    fn get(&self, id: TypeId, ordinal: u32) -> u32 {
        match ordinal.checked_sub(self.ceilings[id.index()]) {
            Some(number) => self.given[id.index()][number as usize].expect("what is referred to is kept"),
            None => ordinal,
        }
    }

    /// The changes in reference counts, under the ordinals given.
    fn references(&self, recounted: Recounted) -> Vec<(TypeId, u32, i64)> {
        let known = recounted.known.into_iter().map(|((id, ordinal), change)| (id, ordinal, change));
        let fresh = self.given.iter().zip(&recounted.fresh).zip((0..).map(TypeId)).flat_map(|((given, counts), id)| {
            let pairs = given.iter().zip(counts);
            pairs.filter_map(move |(given, count)| Some((id, (*given)?, *count as i64)))
        });
        known.chain(fresh).filter(|(_, _, change)| *change != 0).collect()
    }
}

/// Writes the delta, and sums up what the user gave.
struct Emitter<'s> {
    state: &'s State,
    plans: &'s Plans,
    numbers: &'s Numbers,
    changes: Changes<'s>,
    sums: Vec<Sums>,
    types: Vec<TypeFollow>,
    scratch: Vec<u8>,
}

impl<'s> Emitter<'s> {
    fn new(
        state: &'s State,
        plans: &'s Plans,
        numbers: &'s Numbers,
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

    fn component(&mut self, id: TypeId, fresh: &mut Fresh, removed: Vec<u32>) {
        self.remove(id, &removed);
        let numbers = self.numbers;
        let mut added = Vec::new();
        for (number, ordinal) in (0..).zip(&numbers.given[id.index()]) {
            if let Some(ordinal) = *ordinal {
                self.renumber(id, fresh.get_mut(number));
                self.add(id, ordinal, fresh.get(number));
                added.push(ordinal);
            }
        }
        self.follow(id, removed, added, 0);
    }

    fn root(&mut self, id: TypeId, root: &mut RootInput, changes: &RootChanges, ordinals: Vec<u32>) {
        self.remove(id, &changes.removed);
        for changed in &changes.changed {
            self.renumber(id, root.rows.get_mut(changed.number));
            self.patch(id, changed.ordinal, root.rows.get(changed.number));
        }
        for (ordinal, number) in ordinals.iter().zip(&changes.added) {
            self.renumber(id, root.rows.get_mut(*number));
            self.add(id, *ordinal, root.rows.get(*number));
        }
        self.follow(id, changes.removed.clone(), ordinals, changes.changed.len() as u64);
    }

    fn remove(&mut self, id: TypeId, ordinals: &[u32]) {
        let table = self.state.table(id);
        for ordinal in ordinals {
            let ordinal = Ordinal(*ordinal);
            let row = table.row(ordinal).expect("only records that are there go");
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
        let stored = self.state.table(id).row(ordinal).expect("only records that are there change");
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

    /// Gives a row the ordinals that its components were given, instead of their provisional ones. Each row comes here
    /// once.
    fn renumber(&self, id: TypeId, row: RowMut<'_>) {
        self.plans.of(id).renumber(row, |id, ordinal| self.numbers.get(id, ordinal));
    }

    fn follow(&mut self, type_id: TypeId, removed: Vec<u32>, added: Vec<u32>, changed: u64) {
        if !removed.is_empty() || !added.is_empty() || changed > 0 {
            self.types.push(TypeFollow { type_id, removed, added, changed });
        }
    }

    fn finish(self) -> (Delta, Vec<Sums>, Vec<TypeFollow>) {
        (self.changes.finish(), self.sums, self.types)
    }
}
