//! Diff: finds what of the input is new, which ordinals it gets, and which components are removed.
//!
//! Each step needs the one before: what happens to each root record; which components are referred to in the end; which
//! ordinals new records get; the delta, and with it the digest of what the user gave.
//!
//! Rules: a fresh component without a reference is never emitted; an orphan is removed, and components that only it
//! referred to; the same input on the same parent gives the same delta (I12).

use std::collections::BTreeMap;
use std::sync::Arc;

use cenote_state::delta::Delta;
use cenote_state::digest::Sums;
use cenote_state::ids::{Ordinal, TypeId};
use cenote_state::packed::Symbols;
use cenote_state::row::RowRef;
use cenote_state::schema::KeyError;

use super::emit::{Emitter, NewOrdinals};
use super::populate::Input;
use super::root_input::RootInput;
use super::segment_rows::{Measured, SEGMENT_CONTENT_MAX, is_overfull, new_segment_rows_log2};
use super::train::new_symbols;
use crate::base::{BaseUpdates, CycleBase};
use crate::content::Fresh;
use crate::references::{Recount, Recounted};

/// The change that a cycle found.
pub(crate) struct Diffed {
    /// What it was found against.
    pub(crate) base: CycleBase,
    /// What turns the base's state into the next.
    pub(crate) delta: Delta,
    /// What the next state's sums must be, by type.
    pub(crate) sums: Vec<Sums>,
    /// What changes in the base's indexes.
    pub(crate) updates: BaseUpdates,
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
pub(super) struct RootChanges {
    pub(super) removed: Vec<u32>,
    pub(super) changed: Vec<Changed>,
    pub(super) added: Vec<u32>,
    /// Records among both that have the same key: they get another ordinal.
    pub(super) moved: u64,
}

/// A record that keeps its ordinal and gets other values.
pub(super) struct Changed {
    pub(super) ordinal: u32,
    pub(super) number: u32,
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
        let (base, new_ordinals) = placed(base, &incoming, &symbols)?;
        let mut emitter = Emitter::new(&base.state, &base.plans, &new_ordinals, symbols);
        for (index, (fresh, root)) in fresh.iter_mut().zip(&mut roots).enumerate() {
            let id = TypeId(index as u16);
            if base.state.schema().get(id).is_root() {
                emitter.root(id, root, &changes[index]);
            } else {
                let orphans = recounted.orphans.iter().filter(|(of, _)| *of == id).map(|(_, ordinal)| *ordinal);
                emitter.component(id, fresh, orphans.collect());
            }
        }
        let (delta, sums, types) = emitter.finish();
        let updates = BaseUpdates { types, references: new_ordinals.references(recounted) };
        Ok(Diffed { base, delta, sums, updates })
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
        // A key that leads through a component can be the same although the component is another one. Its index entry
        // depends on the reference, so the record gets another ordinal.
        let fields = stored.changed_fields(root.rows.get(value), &mut scratch);
        if key.is_some_and(|key| key.fields().any(|field| fields.contains(&field))) {
            changes.removed.push(*ordinal);
            changes.added.push(value);
            changes.moved += 1;
        } else if !fields.is_empty() {
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
        let outdated = changes.removed.iter().chain(relinked().map(|changed| &changed.ordinal));
        outdated.for_each(|ordinal| recount.remove_all(id, *ordinal));
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

    /// Whether the records of a type change.
    fn changes(&self, id: TypeId) -> bool {
        self.rows(id).next().is_some()
            || !self.changes[id.index()].removed.is_empty()
            || self.recounted.orphans.iter().any(|(of, _)| *of == id)
    }

    /// Visits the rows of a type with their ordinals.
    fn visit(&self, id: TypeId, ordinals: &NewOrdinals, visit: &mut dyn FnMut(u32, u64)) {
        let (root, changes, fresh) = (&self.roots[id.index()], &self.changes[id.index()], &self.fresh[id.index()]);
        let mut visit_row = |ordinal, row: RowRef<'_>| visit(ordinal, row.byte_len() as u64);
        changes.changed.iter().for_each(|changed| visit_row(changed.ordinal, root.rows.get(changed.number)));
        let added = ordinals.of_root(id).iter().zip(&changes.added);
        added.for_each(|(ordinal, number)| visit_row(*ordinal, root.rows.get(*number)));
        ordinals.of_component(id).for_each(|(number, ordinal)| visit_row(ordinal, fresh.get(number)));
    }
}

/// Decides how many rows a segment of each changed type has, and then which ordinals new records get.
fn placed(
    mut base: CycleBase,
    incoming: &Incoming<'_>,
    symbols: &BTreeMap<TypeId, Arc<Symbols>>,
) -> Result<(CycleBase, NewOrdinals), DiffError> {
    let before = base.state.clone();
    let mut schema = before.schema().as_ref().clone();
    for (of_type, id) in schema.types.iter_mut().zip((0..).map(TypeId)).filter(|(_, id)| incoming.changes(*id)) {
        let table = before.table(id);
        let measured = Measured::measure(table.layout(), symbols.get(&id).or(table.symbols()), || incoming.rows(id));
        let rows_log2 = new_segment_rows_log2(table, SEGMENT_CONTENT_MAX, &measured);
        of_type.segment_rows_log2 = rows_log2.unwrap_or(of_type.segment_rows_log2);
    }
    loop {
        base.state = before.relayout(Arc::new(schema.clone()), 1)?;
        if !base.ordinals.are_cut_as(&base.state) {
            Arc::make_mut(&mut base.ordinals).recut(&base.state);
        }
        let added: Vec<usize> = incoming.changes.iter().map(|changes| changes.added.len()).collect();
        let ordinals = NewOrdinals::new(&base, &before, incoming.recounted, &added)?;
        let overfull = |id: &TypeId| {
            let coming = |visit: &mut dyn FnMut(u32, u64)| incoming.visit(*id, &ordinals, visit);
            is_overfull(base.state.table(*id), SEGMENT_CONTENT_MAX, coming)
        };
        let overfull: Vec<TypeId> = schema.iter().map(|(id, _)| id).filter(overfull).collect();
        if overfull.is_empty() {
            return Ok((base, ordinals));
        }
        overfull.iter().for_each(|id| schema.types[id.index()].segment_rows_log2 -= 1);
    }
}
