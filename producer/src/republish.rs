//! An old version's records as the input of a cycle.
//!
//! Populate finds by key and content which records and components the newest version has already, so that the delta is as
//! small as possible, and records keep the ordinals of the newest version.

use std::collections::HashMap;

use cenote_state::ids::{Ordinal, TypeId};
use cenote_state::record::Interner;
use cenote_state::row::Row;
use cenote_state::state::State;

use crate::base::CycleBase;
use crate::cycle::populate::Input;
use crate::error::{CycleCause, RecordCause};

/// All records of `old`, under the base's schema, in place of all that the base has.
pub(crate) fn input(base: CycleBase, old: &State, threads: usize) -> Result<Input, CycleCause> {
    let old = old.relayout(base.state.schema().clone(), threads).map_err(crate::cycle::diff::DiffError::from)?;
    let schema = base.state.schema().clone();
    let roots = || schema.iter().filter(|(_, of_type)| of_type.is_root() && !of_type.fields.is_empty());
    let all: Vec<TypeId> = roots().map(|(id, _)| id).collect();
    let mut copier = Copier { old: &old, input: Input::new(base, &all), components: HashMap::new() };
    for (id, _) in roots() {
        for ordinal in old.table(id).ordinals() {
            let row = copier.row(id, ordinal)?;
            copier.input.add(id, &row).map_err(RecordCause::from)?;
        }
    }
    Ok(copier.input)
}

struct Copier<'o> {
    old: &'o State,
    input: Input,
    /// From the old version's components to the input's.
    components: HashMap<(TypeId, u32), u32>,
}

impl Copier<'_> {
    /// The record in the input's ordinals.
    fn row(&mut self, id: TypeId, ordinal: Ordinal) -> Result<Row, CycleCause> {
        let stored = self.old.table(id).row(ordinal).expect("a live ordinal has a row");
        let plans = self.input.base.plans.clone();
        let mut referred = Vec::new();
        plans.of(id).stored_references(stored, |id, ordinal| referred.push((id, ordinal)));
        for (component, ordinal) in referred {
            // Components nest as deep as types do, and no type contains itself.
            if !self.components.contains_key(&(component, ordinal)) {
                let row = self.row(component, Ordinal(ordinal))?;
                let given = self.input.intern(component, &row).map_err(RecordCause::from)?;
                self.components.insert((component, ordinal), given.0);
            }
        }
        let mut row = Row::default();
        stored.write_to(&mut row);
        let components = &self.components;
        plans.of(id).renumber((&mut row).into(), |id, ordinal| components[&(id, ordinal)]);
        Ok(row)
    }
}
