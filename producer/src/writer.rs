//! The writer: what a cycle's closure gives records to.

use std::collections::BTreeMap;
use std::sync::Arc;

use cenote_state::ids::{Ordinal, TypeId};
use cenote_state::record::{Root, WriteError};
use cenote_state::row::Row;
use cenote_state::schema::Schema;

use crate::BoxError;
use crate::cycle::populate::Input;
use crate::typed::Typed;

/// Takes the whole dataset, record by record.
pub struct Writer {
    pub(crate) input: Input,
    typed: Typed,
    tags: BTreeMap<String, String>,
    added: u64,
}

impl Writer {
    pub(crate) fn new(input: Input, typed: Typed) -> Writer {
        Writer { input, typed, tags: BTreeMap::new(), added: 0 }
    }

    /// Adds a record. A key that comes twice ends the cycle, once all records are there, with the first ten such keys.
    ///
    /// # Errors
    /// If the record breaks a limit, or its type was not declared with `with`.
    pub fn add<T: Root>(&mut self, record: &T) -> Result<(), WriteError> {
        if !self.typed.add_same(record, &mut self.input)? {
            let (id, row) = self.typed.write(record, &mut self.input)?;
            self.input.add(id, row)?;
        }
        self.added += 1;
        Ok(())
    }

    /// Adds a record as a row in canonical form (see [`cenote_state::row`]), of a root type of the [`schema`].
    /// Components come first, by [`intern_row`], and are referred to by the ordinals that it gives.
    ///
    /// # Errors
    /// If the row is not one of the type's, its cells are not canonical (a set or map is sorted and holds nothing twice), or
    /// a reference leads nowhere: see [`RowError`](crate::RowError).
    ///
    /// [`schema`]: Writer::schema
    /// [`intern_row`]: Writer::intern_row
    pub fn add_row(&mut self, id: TypeId, row: &Row) -> Result<(), BoxError> {
        self.typed.check_root(&self.input, id, row)?;
        self.input.add(id, row)?;
        self.added += 1;
        Ok(())
    }

    /// The ordinal of a component row for this cycle; equal rows have the same.
    ///
    /// # Errors
    /// If the row is not one of the type's.
    pub fn intern_row(&mut self, component: TypeId, row: &Row) -> Result<Ordinal, BoxError> {
        Ok(self.input.intern_row(component, row)?)
    }

    /// Attaches a tag to the version, like the source's own version. Nothing is written for a tag alone.
    pub fn tag(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.tags.insert(name.into(), value.into());
    }

    /// The dataset's schema, whose numbers rows made by hand are in.
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        self.input.base.state.schema()
    }

    /// How many records were added so far.
    #[must_use]
    pub fn added(&self) -> u64 {
        self.added
    }

    pub(crate) fn into_parts(self) -> (Input, BTreeMap<String, String>) {
        (self.input, self.tags)
    }
}
