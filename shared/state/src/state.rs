//! A state: all records of all types at one version. An immutable tree of `Arc`s; cheap to clone.
//!
//! Applying a delta makes a new state that shares all that did not change, so a reader that holds one sees one version
//! for as long as it likes (I2, I3), and a delta's cost follows the delta (I10).

use std::sync::Arc;

use crate::digest::state_digest;
use crate::ids::{TypeId, Version};
use crate::packed::Symbols;
use crate::schema::{KeyError, Schema};
use crate::table::{Table, TableMemory};

/// What a table takes for each segment that it may have, whether or not it has it.
const PLACE_BYTES: u64 = 16;

/// All records of all types at one version.
#[derive(Clone, Debug)]
pub struct State {
    schema: Arc<Schema>,
    version: Version,
    tables: Arc<[Arc<Table>]>,
    seed: u64,
}

impl State {
    /// The state before the first commit. `seed` is this process's, for its key indexes.
    pub fn empty(schema: Arc<Schema>, seed: u64) -> Result<State, KeyError> {
        let tables = schema.iter().map(|(id, _)| Ok(Arc::new(Table::empty(&schema, id, seed)?)));
        Ok(State { version: Version::EMPTY, tables: tables.collect::<Result<_, _>>()?, schema, seed })
    }

    /// The chain's schema at this version.
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
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

    /// The digest by which two states are compared.
    #[must_use]
    pub fn digest(&self) -> u128 {
        state_digest(self.tables.iter().map(|table| (table.layout().type_id, table.sums().total())))
    }

    /// Records of each type.
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

    /// The same records under another schema of the chain: types and columns keep their numbers.
    pub fn relayout(&self, schema: Arc<Schema>, threads: usize) -> Result<State, KeyError> {
        if schema == self.schema {
            return Ok(self.clone());
        }
        let tables = schema.iter().map(|(id, _)| match self.tables.get(id.index()) {
            Some(table) => Ok(Arc::new(table.relayout(&schema, id, threads)?)),
            None => Ok(Arc::new(Table::empty(&schema, id, self.seed)?)),
        });
        let tables = tables.collect::<Result<Vec<_>, _>>()?;
        Ok(self.with_tables(Arc::clone(&schema), tables))
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
        self.with_tables(Arc::clone(&newer.schema), tables.cloned().collect())
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
