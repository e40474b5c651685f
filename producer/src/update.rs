//! An update: just changes. Calls apply in order, and of those to one key the last stands.

use std::collections::BTreeMap;
use std::sync::Arc;

use cenote_state::ids::{Ordinal, TypeId};
use cenote_state::keys::KeyRef;
use cenote_state::record::{KeyValue, Root};
use cenote_state::row::Row;
use cenote_state::schema::Schema;

use crate::BoxError;
use crate::cycle::populate::Input;
use crate::typed::{RowError, Typed};

/// Takes changes. All of them become one version, or none does.
///
/// Every method fails with the same boxed error that the closure does, so that any of them can be its last expression.
pub struct Update {
    input: Input,
    typed: Typed,
    tags: BTreeMap<String, String>,
}

impl Update {
    pub(crate) fn new(input: Input, typed: Typed) -> Update {
        Update { input, typed, tags: BTreeMap::new() }
    }

    /// Adds the record, or replaces the one with its key.
    ///
    /// # Errors
    /// If the record breaks a limit, or its type was not declared with `with`.
    pub fn upsert<T: Root>(&mut self, record: &T) -> Result<(), BoxError> {
        let (id, row) = self.typed.write(record, &mut self.input)?;
        Ok(self.input.upsert(id, row)?)
    }

    /// Deletes the record with this key; `false` if there is none.
    ///
    /// # Errors
    /// If its type was not declared with `with`.
    pub fn delete<T: Root>(&mut self, key: <T::Key as KeyValue>::Borrowed<'_>) -> Result<bool, BoxError> {
        let id = self.typed.id::<T>(self.input.base.state.schema())?;
        Ok(T::Key::with(key, |key| self.input.delete(id, key)))
    }

    /// The same as [`upsert`](Update::upsert) for a row in canonical form: see [`Writer::add_row`](crate::Writer::add_row).
    ///
    /// # Errors
    /// If the row is not one of the type's: see [`RowError`].
    pub fn upsert_row(&mut self, id: TypeId, row: &Row) -> Result<(), BoxError> {
        self.typed.check_root(&self.input, id, row)?;
        Ok(self.input.upsert(id, row)?)
    }

    /// The same as [`delete`](Update::delete) for a key in canonical form.
    ///
    /// # Errors
    /// If the type is not one of the producer's.
    pub fn delete_key(&mut self, id: TypeId, key: KeyRef<'_>) -> Result<bool, BoxError> {
        if !self.typed.is_root(id) {
            return Err(RowError::Type(id).into());
        }
        Ok(self.input.delete(id, key))
    }

    /// The ordinal of a component row for this update; equal rows have the same.
    ///
    /// # Errors
    /// If the row is not one of the type's.
    pub fn intern_row(&mut self, component: TypeId, row: &Row) -> Result<Ordinal, BoxError> {
        Ok(self.input.intern_row(component, row)?)
    }

    /// Attaches a tag to the version. Nothing is written for a tag alone.
    pub fn tag(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.tags.insert(name.into(), value.into());
    }

    /// The dataset's schema, whose numbers rows made by hand are in.
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        self.input.base.state.schema()
    }

    pub(crate) fn into_parts(self) -> (Input, BTreeMap<String, String>) {
        (self.input, self.tags)
    }
}
