//! From a program's records to the rows that a cycle takes.

use std::sync::Arc;

use cenote_state::ids::TypeId;
use cenote_state::record::{Root, RowWriter, WriteError};
use cenote_state::row::Row;
use cenote_state::schema::Schema;
use cenote_state::view::View;

use crate::check::RowError;
use crate::cycle::populate::Input;

/// Writes records to rows; buffers are reused from record to record.
pub(crate) struct Typed {
    /// The root types that may be written, in the chain's numbers.
    roots: Arc<[TypeId]>,
    /// The last version as the program's types see it.
    view: View,
    writer: RowWriter,
    row: Row,
    /// From a Rust type's number in this program to the chain's.
    known: Vec<Option<TypeId>>,
}

impl Typed {
    pub(crate) fn new(view: View, roots: Arc<[TypeId]>) -> Typed {
        Typed { roots, view, writer: RowWriter::new(), row: Row::default(), known: Vec::new() }
    }

    /// Adds a record that the last version has as it is, without writing it. `false` if that is
    /// not known, and the record must be written.
    pub(crate) fn add_same<T: Root>(&mut self, record: &T, input: &mut Input) -> Result<bool, WriteError> {
        let id = self.id::<T>(input.base.state.schema())?;
        Ok(self.view.find_same(record).is_some_and(|ordinal| input.add_same(id, ordinal)))
    }

    /// Writes the record, its components into `input`; its type, and the row to be given on.
    pub(crate) fn write<T: Root>(&mut self, record: &T, input: &mut Input) -> Result<(TypeId, &Row), WriteError> {
        let id = self.id::<T>(input.base.state.schema())?;
        self.writer.write(record, self.view.binding(), input, &mut self.row)?;
        Ok((id, &self.row))
    }

    /// The number of a root type in the chain.
    pub(crate) fn id<T: Root>(&mut self, schema: &Schema) -> Result<TypeId, WriteError> {
        let slot = T::slot().number() as usize;
        if let Some(Some(id)) = self.known.get(slot) {
            return Ok(*id);
        }
        let id = schema.find(T::NAME).filter(|id| self.roots.contains(id));
        let id = id.ok_or(WriteError::Undeclared { type_name: T::NAME })?;
        if self.known.len() <= slot {
            self.known.resize(slot + 1, None);
        }
        self.known[slot] = Some(id);
        Ok(id)
    }

    /// Checks a row made by hand against this root type.
    pub(crate) fn check_root(&self, input: &Input, id: TypeId, row: &Row) -> Result<(), RowError> {
        if !self.roots.contains(&id) {
            return Err(RowError::Type(id));
        }
        input.check_row(id, row)
    }

    pub(crate) fn is_root(&self, id: TypeId) -> bool {
        self.roots.contains(&id)
    }
}
