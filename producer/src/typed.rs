//! From a program's records, or rows made by hand, to what a cycle takes.

use std::sync::Arc;

use cenote_state::ids::{Ordinal, TypeId};
use cenote_state::record::{Root, RowWriter, WriteError};
use cenote_state::row::{Defect, Row};
use cenote_state::schema::{Field, Schema, TypeSchema};
use cenote_state::view::View;

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

/// A row made by hand that is not one of the type's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RowError {
    /// The type is not one of the producer's roots.
    #[error("type number {0} is not a root type of this producer; declare it where the producer is built")]
    Type(TypeId),
    /// Too few or too many cells.
    #[error("a row of {type_name} has {found} cells where the type has {expected} fields")]
    Cells {
        /// The type.
        type_name: String,
        /// Its fields.
        expected: usize,
        /// The row's cells.
        found: usize,
    },
    /// A value that every record must have is absent.
    #[error("{type_name}.{field} has no value, and every record must have one")]
    Absent {
        /// The type.
        type_name: String,
        /// The field.
        field: String,
    },
    /// A cell whose bytes are not canonical for its field.
    #[error("the bytes of {type_name}.{field} are not those of a {kind}")]
    Bytes {
        /// The type.
        type_name: String,
        /// The field.
        field: String,
        /// What they should be.
        kind: String,
    },
    /// A set, or a map, that is not in order.
    #[error(
        "{type_name}.{field} is not sorted by value, or holds a value twice; sort its elements, or its keys, and write each once"
    )]
    Order {
        /// The type.
        type_name: String,
        /// The field.
        field: String,
    },
    /// A reference that leads nowhere.
    #[error(
        "{type_name}.{field} refers to {component} {ordinal}, which does not exist; intern its row first and use the ordinal returned"
    )]
    Dangling {
        /// The type.
        type_name: String,
        /// The field.
        field: String,
        /// The type that it refers to.
        component: String,
        /// The ordinal that no record of the last version or of this cycle has.
        ordinal: Ordinal,
    },
    /// The type is not one whose rows are interned.
    #[error("type number {0} is not a component type of the dataset; add rows of root types instead")]
    Component(TypeId),
}

impl RowError {
    /// What is wrong with one field of a row of `of_type`.
    pub(crate) fn of(defect: Defect, schema: &Schema, of_type: &TypeSchema, field: &Field) -> RowError {
        let (type_name, field_name) = (of_type.name.clone(), field.name.clone());
        match defect {
            Defect::Bytes => RowError::Bytes { type_name, field: field_name, kind: schema.display_field(field) },
            Defect::Order => RowError::Order { type_name, field: field_name },
            Defect::Dangling(id, ordinal) => {
                RowError::Dangling { type_name, field: field_name, component: schema.get(id).name.clone(), ordinal }
            }
        }
    }
}

impl Typed {
    pub(crate) fn new(view: View, roots: Arc<[TypeId]>) -> Typed {
        Typed { roots, view, writer: RowWriter::new(), row: Row::default(), known: Vec::new() }
    }

    /// Adds a record that the last version has as it is, without writing it. `false` where that can't be told, and it
    /// is to be written.
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
