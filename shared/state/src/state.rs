//! A state: all records of all types at one version. An immutable tree of `Arc`s; cheap to clone.
//!
//! Applying a delta makes a new state that shares all that did not change, so a reader that holds one sees one version
//! for as long as it likes (I2, I3), and a delta's cost follows the delta (I10).

use std::sync::Arc;

use crate::digest::{PRESENCE, state_digest};
use crate::held::{HeldCounts, HeldPart, Lacking, Selection};
use crate::ids::{ColumnId, TypeId, Version};
use crate::layout::Layout;
use crate::packed::Symbols;
use crate::schema::{KeyError, Schema};
use crate::table::{Table, TableMemory};

/// What a table takes for each segment that it may have, whether or not it has it.
const PLACE_BYTES: u64 = 16;

/// All records of all types at one version; or of those that a reader holds.
#[derive(Clone, Debug)]
pub struct State {
    /// Of what it holds.
    schema: Arc<Schema>,
    /// What it knows of what it does not hold; none if it holds everything.
    part: Option<Arc<HeldPart>>,
    version: Version,
    tables: Arc<[Arc<Table>]>,
    seed: u64,
}

impl State {
    /// The state before the first commit. `seed` is this process's, for its key indexes.
    pub fn empty(schema: Arc<Schema>, seed: u64) -> Result<State, KeyError> {
        State::empty_of(&Selection::Whole, schema, seed)
    }

    /// The same for a reader that holds this of a dataset of this schema.
    pub fn empty_of(selection: &Selection, dataset: Arc<Schema>, seed: u64) -> Result<State, KeyError> {
        let (schema, part) = selection.of(dataset)?;
        let tables = schema.iter().map(|(id, _)| Ok(Arc::new(Table::empty(&schema, id, seed)?)));
        let tables = tables.collect::<Result<_, _>>()?;
        Ok(State { version: Version::EMPTY, tables, schema, part: part.map(Arc::new), seed })
    }

    /// The schema of what it holds: the dataset's at this version, without the types' fields that are not held.
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The dataset's schema at this version.
    #[must_use]
    pub fn dataset_schema(&self) -> &Arc<Schema> {
        self.part.as_ref().map_or(&self.schema, |part| part.dataset())
    }

    /// What is held of a dataset.
    #[must_use]
    pub fn selection(&self) -> &Selection {
        self.part.as_ref().map_or(&Selection::Whole, |part| part.selection())
    }

    /// How much of the dataset's schema is held.
    #[must_use]
    pub fn held_counts(&self) -> HeldCounts {
        let count = |schema: &Schema| {
            let fields = schema.types.iter().map(|of_type| of_type.fields.len());
            (fields.clone().filter(|fields| *fields > 0).count(), fields.sum())
        };
        let ((types, fields), (types_of, fields_of)) = (count(&self.schema), count(self.dataset_schema()));
        HeldCounts { types, types_of, fields, fields_of }
    }

    /// Whether the dataset has records of this type that are not held.
    #[must_use]
    pub fn lacks_type(&self, id: TypeId) -> bool {
        self.schema.get(id).fields.is_empty() && !self.dataset_schema().get(id).fields.is_empty()
    }

    /// How the rows of a type are stored: with all columns of the dataset's type.
    #[must_use]
    pub fn stored_layout(&self, id: TypeId) -> &Arc<Layout> {
        self.part.as_ref().and_then(|part| part.stored(id)).unwrap_or_else(|| self.table(id).layout())
    }

    /// What would be held under another schema of the chain and has values that are not held: only a snapshot brings them.
    #[must_use]
    pub fn lacking_under(&self, dataset: &Arc<Schema>) -> Option<Lacking> {
        let part = self.part.as_ref()?;
        let held = self.selection().held_in(dataset);
        let columns =
            held.iter().flat_map(|(id, of_type)| of_type.fields.iter().map(move |field| (id, of_type, field)));
        let has_values = |id, column| part.unheld(id, column).is_some_and(|sum| sum != 0);
        let lacking: Vec<_> = columns.filter(|(id, _, field)| has_values(*id, field.column)).collect();
        (!lacking.is_empty()).then(|| Lacking {
            fields: lacking.iter().map(|(_, of_type, field)| format!("{}.{}", of_type.name, field.name)).collect(),
            columns: lacking.iter().map(|(id, _, field)| (*id, field.column)).collect(),
        })
    }

    /// Takes over the sums of columns that are not held, as a commit or a snapshot tells them; others are ignored.
    #[must_use]
    pub fn with_sums_of_unheld(mut self, sums: impl Iterator<Item = (TypeId, ColumnId, u128)>) -> State {
        if let Some(part) = &mut self.part {
            let mut unheld = sums.filter(|(id, column, _)| part.unheld(*id, *column).is_some()).peekable();
            if unheld.peek().is_some() {
                let unheld = unheld.collect::<Vec<_>>();
                Arc::make_mut(part).note(unheld.into_iter());
            }
        }
        self
    }

    /// Whether the sum of a column is only known from the log.
    #[must_use]
    pub fn is_unheld(&self, id: TypeId, column: ColumnId) -> bool {
        self.part.as_ref().is_some_and(|part| part.unheld(id, column).is_some())
    }

    /// The version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The same records, as another version.
    #[must_use]
    pub fn with_version(&self, version: Version) -> State {
        State { version, ..self.clone() }
    }

    /// The seed of its key indexes.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The table of a type.
    ///
    /// # Panics
    /// If the schema has no such type: numbers come from this state's schema.
    #[inline(always)]
    #[must_use]
    pub fn table(&self, id: TypeId) -> &Arc<Table> {
        &self.tables[id.index()]
    }

    /// The tables by type number.
    #[must_use]
    pub fn tables(&self) -> &[Arc<Table>] {
        &self.tables
    }

    /// The digest by which two states are compared: the dataset's, whatever is held of it.
    #[must_use]
    pub fn digest(&self) -> u128 {
        let unheld = |id| self.part.as_ref().map_or(0, |part| part.unheld_total(id));
        state_digest(self.tables.iter().map(|table| {
            let id = table.layout().type_id;
            (id, table.sums().total().wrapping_add(unheld(id)))
        }))
    }

    /// Records of each type; 0 where they are not held.
    #[must_use]
    pub fn counts(&self) -> Vec<(TypeId, u64)> {
        self.tables.iter().map(|table| (table.layout().type_id, table.len() as u64)).collect()
    }

    /// What it takes in memory, by type, as if it shared nothing with other states.
    #[must_use]
    pub fn memory(&self) -> Vec<TableMemory> {
        self.tables.iter().map(|table| table.memory()).collect()
    }

    /// Bytes of all types together, as if it shared nothing with other states.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.tables.iter().map(|table| table.memory().bytes() as u64).sum()
    }

    /// Bytes of this state's segments that `newer`, which came of it, does not share: what letting go of it would free
    /// if `newer` were all that is left.
    #[must_use]
    pub fn bytes_apart(&self, newer: &State) -> u64 {
        let tables = self.tables.iter().zip(newer.tables.iter());
        tables.filter(|(old, new)| !Arc::ptr_eq(old, new)).map(|(old, new)| old.bytes_apart(new)).sum()
    }

    /// The same records under another schema of the chain: types and columns keep their numbers. What
    /// [`lacking_under`](State::lacking_under) names reads as absent, and the digest differs.
    pub fn relayout(&self, dataset: Arc<Schema>, threads: usize) -> Result<State, KeyError> {
        if dataset == *self.dataset_schema() {
            return Ok(self.clone());
        }
        let (schema, part) = self.selection().of(dataset)?;
        let tables = schema.iter().map(|(id, _)| match self.tables.get(id.index()) {
            Some(table) => Ok(Arc::new(table.relayout(&schema, id, threads)?)),
            None => Ok(Arc::new(Table::empty(&schema, id, self.seed)?)),
        });
        let tables = tables.collect::<Result<Vec<_>, _>>()?;
        let relaid = State { part: part.map(Arc::new), ..self.with_tables(schema, tables) };
        Ok(relaid.with_sums_of_unheld(self.all_sums().into_iter()))
    }

    /// The sums of all columns, held or not.
    fn all_sums(&self) -> Vec<(TypeId, ColumnId, u128)> {
        let held = self.tables.iter().flat_map(|table| {
            let (id, sums) = (table.layout().type_id, table.sums());
            let columns = table.layout().columns.iter().map(|column| column.id).chain([PRESENCE]);
            columns.zip(sums.columns.iter().chain([&sums.presence])).map(move |(column, sum)| (id, column, *sum))
        });
        held.chain(self.part.iter().flat_map(|part| part.all_unheld())).collect()
    }

    /// The same records, with the segments of every table cut as its schema says.
    #[must_use]
    pub fn settled(&self, threads: usize) -> State {
        let tables = self
            .tables
            .iter()
            .map(|table| if table.is_settled() { Arc::clone(table) } else { Arc::new(table.settled(threads)) });
        self.with_tables(Arc::clone(&self.schema), tables.collect())
    }

    /// Bytes of places for all segments that a type may have under `schema`, as of ordinals that are in use now.
    #[must_use]
    pub fn places_bytes(&self, schema: &Schema) -> u64 {
        let places = self
            .tables
            .iter()
            .zip(&schema.types)
            .map(|(table, of_type)| u64::from(table.ordinal_ceiling()).div_ceil(u64::from(of_type.segment_rows())));
        places.sum::<u64>().saturating_mul(PLACE_BYTES)
    }

    /// The same records, with symbol tables after those that types have.
    pub(crate) fn with_symbols(&self, symbols: &[(TypeId, Arc<Symbols>)]) -> State {
        let mut tables = self.tables().to_vec();
        for (id, symbols) in symbols {
            tables[id.index()] = Arc::new(self.table(*id).with_symbols(Arc::clone(symbols)));
        }
        self.with_tables(Arc::clone(&self.schema), tables)
    }

    /// This state with the first `types` tables of `newer`: what a view would be if types were swapped one by one.
    /// Never right; for the test that shows that such a build is caught.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn torn(&self, newer: &State, types: usize) -> State {
        let tables = newer.tables.iter().take(types).chain(self.tables.iter().skip(types));
        let torn = self.with_tables(Arc::clone(&newer.schema), tables.cloned().collect());
        State { part: newer.part.clone(), ..torn }
    }

    /// The same state with other tables; they fit the schema.
    pub(crate) fn with_tables(&self, schema: Arc<Schema>, tables: Vec<Arc<Table>>) -> State {
        State { schema, tables: tables.into(), ..self.clone() }
    }

    /// Asserts every table's invariants, and that references lead to live components.
    ///
    /// # Panics
    /// When one is broken: for tests and debug builds.
    pub fn check_invariants(&self) {
        self.tables.iter().for_each(|table| table.check_invariants(&self.tables));
    }
}
