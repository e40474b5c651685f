//! A dataset in miniature: writes records to rows, rows to a state, and shows it as a view.

use std::collections::HashMap;
use std::sync::Arc;

use crate::delta::{Changes, Delta};
use crate::ids::{Ordinal, Timestamp, TypeId, Version};
use crate::packed::{SymbolTable, Symbols};
use crate::record::{Binding, Declared, Interner, Record, Registry, RowWriter, WriteError};
use crate::row::{CellForm, Row};
use crate::schema::Schema;
use crate::segment::RowAt;
use crate::state::State;
use crate::view::View;

pub(crate) struct World {
    pub(crate) declared: Declared,
    pub(crate) state: State,
    components: Components,
}

/// Equal rows become one, as in a producer.
#[derive(Default)]
struct Components {
    known: HashMap<TypeId, Vec<Row>>,
    fresh: Vec<(TypeId, Ordinal, Row)>,
}

impl Interner for Components {
    fn intern(&mut self, component: TypeId, row: &Row) -> Result<Ordinal, WriteError> {
        let cells = |row: &Row| (0..row.columns()).map(|at| row.cell(at).map(<[u8]>::to_vec)).collect::<Vec<_>>();
        let known = self.known.entry(component).or_default();
        if let Some(place) = known.iter().position(|known| cells(known) == cells(row)) {
            return Ok(Ordinal(place as u32));
        }
        let ordinal = Ordinal(known.len() as u32);
        known.push(row.clone());
        self.fresh.push((component, ordinal, row.clone()));
        Ok(ordinal)
    }
}

impl World {
    /// An empty dataset with the schema that these types declare.
    pub(crate) fn of(with: impl FnOnce(Registry) -> Registry) -> World {
        let declared = with(Registry::new()).finish().expect("the types are sound");
        let mut chain = declared.schema().clone();
        chain.types.iter_mut().for_each(|schema| schema.segment_rows_log2 = 4);
        World::on(declared, chain)
    }

    /// An empty dataset of this schema, met by these types.
    pub(crate) fn on(declared: Declared, chain: Schema) -> World {
        let state = State::empty(Arc::new(chain), 7).expect("the schema is sound");
        World { declared, state, components: Components::default() }
    }

    pub(crate) fn binding(&self) -> Binding {
        Binding::new(&self.declared, self.state.schema()).expect("the types fit the dataset")
    }

    pub(crate) fn row<T: Record>(&mut self, record: &T) -> Result<Row, WriteError> {
        let mut row = Row::default();
        RowWriter::new().write(record, &self.binding(), &mut self.components, &mut row)?;
        let id = self.state.schema().find(T::NAME).expect("the dataset has the type");
        self.check_canonical(id, &row);
        self.components.fresh.iter().for_each(|(id, _, row)| self.check_canonical(*id, row));
        Ok(row)
    }

    /// Asserts that each cell passes the check that rows made by hand must pass.
    fn check_canonical(&self, id: TypeId, row: &Row) {
        let schema = self.state.schema();
        for (index, field) in schema.get(id).fields.iter().enumerate() {
            let Some(cell) = row.cell(index) else { continue };
            let form = CellForm::new(schema, &field.shape).expect("the schema is sound");
            let checked = form.check(cell, &mut |_, ordinal| ordinal.0 != u32::MAX);
            assert_eq!(checked, Ok(()), "{}.{}", schema.get(id).name, field.name);
        }
    }

    /// Commits the records, from the table's end on.
    pub(crate) fn add_all<T: Record>(&mut self, records: &[T]) {
        let id = self.state.schema().find(T::NAME).expect("the dataset has the type");
        let first = self.state.table(id).ordinals().last().map_or(0, |last| last.0 + 1);
        let rows: Vec<Row> = records.iter().map(|record| self.row(record).expect("within the limits")).collect();
        let state = self.state.clone();
        let mut changes = changes_of(&state);
        for (component, ordinal, row) in self.components.fresh.drain(..) {
            changes.add(component, ordinal, &row);
        }
        for (at, row) in rows.iter().enumerate() {
            changes.add(id, Ordinal(first + at as u32), row);
        }
        let version = Version(state.version().0 + 1);
        self.state = state.applied(&changes.finish(), version, 1).expect("the changes fit");
        self.state.check_invariants();
    }

    /// Commits that these ordinals go; the components that only they held stay.
    pub(crate) fn remove<T: Record>(&mut self, ordinals: &[u32]) {
        let id = self.state.schema().find(T::NAME).expect("the dataset has the type");
        let state = self.state.clone();
        let mut changes = changes_of(&state);
        ordinals.iter().for_each(|ordinal| changes.remove(id, Ordinal(*ordinal)));
        let version = Version(state.version().0 + 1);
        self.state = state.applied(&changes.finish(), version, 1).expect("the changes fit");
    }

    /// Removes, adds and replaces roots of one type in one commit; gives the delta.
    pub(crate) fn change<T: Record>(&mut self, removed: &[u32], added: &[(u32, T)], replaced: &[(u32, T)]) -> Delta {
        let id = self.state.schema().find(T::NAME).expect("the dataset has the type");
        let mut rows = |records: &[(u32, T)]| -> Vec<(u32, Row)> {
            records.iter().map(|(at, record)| (*at, self.row(record).expect("within the limits"))).collect()
        };
        let (added, replaced) = (rows(added), rows(replaced));
        let state = self.state.clone();
        let mut changes = changes_of(&state);
        for (component, ordinal, row) in self.components.fresh.drain(..) {
            changes.add(component, ordinal, &row);
        }
        removed.iter().for_each(|ordinal| changes.remove(id, Ordinal(*ordinal)));
        added.iter().for_each(|(ordinal, row)| changes.add(id, Ordinal(*ordinal), row));
        for (ordinal, row) in &replaced {
            let stored = state.table(id).row(Ordinal(*ordinal)).expect("only what is there is replaced");
            let fields: Vec<usize> = (0..row.columns()).filter(|at| differs(stored, row, *at)).collect();
            if !fields.is_empty() {
                changes.patch(id, Ordinal(*ordinal), &fields, row);
            }
        }
        let delta = changes.finish();
        self.state = state.applied(&delta, Version(state.version().0 + 1), 1).expect("the changes fit");
        delta
    }

    pub(crate) fn view(&self) -> View {
        View::new(self.state.clone(), Arc::new(self.binding()), Timestamp(0))
    }
}

/// No changes yet; packed columns get a table with the first ones, as from a producer.
fn changes_of(state: &State) -> Changes<'_> {
    let mut changes = Changes::new(state);
    for (id, schema) in state.schema().iter().filter(|(id, _)| state.table(*id).symbols().is_none()) {
        let mut symbols = Symbols::default();
        for field in schema.fields.iter().filter(|field| field.is_packed()) {
            let table = SymbolTable::new(&[5, 4, 1, 2], b"pool the e\xC3\xB6").expect("it is a table");
            assert!(symbols.push(field.column, table));
        }
        if !symbols.is_empty() {
            changes.bring_symbols(id, Arc::new(symbols));
        }
    }
    changes
}

fn differs(stored: RowAt<'_>, row: &Row, field: usize) -> bool {
    let mut bytes = Vec::new();
    let is_present = stored.cell(field).canonical(&mut bytes);
    row.cell(field) != is_present.then_some(bytes.as_slice())
}
