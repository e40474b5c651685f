//! From a struct to a row in canonical form (see [`row`](crate::row)).
//!
//! The row is in the chain's numbers: columns, enum variants and component ordinals are translated on the way.
//! Components are written first, each into a separate row, and an [`Interner`] makes ordinals of them.
//!
//! Rules: sets and maps are sorted by value and hold nothing twice; limits are checked before bytes are copied; rows
//! and buffers are reused, so that a record costs no allocation once they have grown.

use crate::ids::{Ordinal, TypeId};
use crate::row::{LIST_ELEMENTS_MAX, RECORD_BYTES_MAX, Row, Sorter, push_count, push_element_with};

use super::at::DEDUP_FIELD;
use super::bind::{TypeBinding, ValueBinding};
use super::{Binding, Element, Field, Record, Value};

/// Turns component rows into ordinals: equal rows into the same one.
pub trait Interner {
    /// The ordinal of this row among those of `component`, a type of the chain.
    ///
    /// # Errors
    /// If the type has no ordinal left.
    fn intern(&mut self, component: TypeId, row: &Row) -> Result<Ordinal, WriteError>;
}

/// A record can't be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// A record's canonical bytes are too many.
    #[error(
        "a {type_name} has more than {RECORD_BYTES_MAX} bytes at field {field}; split it, or keep large content elsewhere"
    )]
    RecordTooLarge {
        /// The type.
        type_name: String,
        /// The field that passes the limit.
        field: String,
    },
    /// A list, set or map has too many elements.
    #[error("{type_name}.{field} has {elements} elements; {LIST_ELEMENTS_MAX} are the limit")]
    TooManyElements {
        /// The type.
        type_name: String,
        /// The field.
        field: String,
        /// How many it has.
        elements: usize,
    },
    /// An enum variant that the dataset does not have.
    #[error("{type_name}.{field} can't be {variant}: the dataset's schema does not have that variant")]
    UnknownVariant {
        /// The type.
        type_name: String,
        /// The field.
        field: String,
        /// The variant.
        variant: &'static str,
    },
    /// A type that the program did not declare, or that the dataset lacks.
    #[error("{type_name} is not declared; add .with::<{type_name}>()")]
    Undeclared {
        /// The type.
        type_name: &'static str,
    },
    /// A type has no more room.
    #[error("{type_name} has no free ordinal; a type holds 4,294,967,295 records")]
    OrdinalsExhausted {
        /// The type.
        type_name: String,
    },
}

/// Writes records to rows, one after another. Keep it: its buffers are reused.
#[derive(Debug, Default)]
pub struct RowWriter {
    pool: Pool,
}

#[derive(Debug, Default)]
struct Pool {
    rows: Vec<Row>,
    sorters: Vec<Sorter>,
}

impl Pool {
    fn sorter(&mut self) -> Sorter {
        let mut sorter = self.sorters.pop().unwrap_or_default();
        sorter.clear();
        sorter
    }
}

/// What a write needs besides the value: the binding, the interner, and the field being written, for errors.
pub struct WriteContext<'w> {
    binding: &'w Binding,
    interner: &'w mut dyn Interner,
    pool: &'w mut Pool,
    at: &'w TypeBinding,
    field: usize,
}

/// Takes the fields of one record.
pub struct RecordWriter<'r, 'w> {
    row: &'r mut Row,
    context: &'r mut WriteContext<'w>,
}

/// Takes one field's values.
pub struct CellWriter<'c, 'b, 'w> {
    out: &'c mut Vec<u8>,
    bindings: &'b [ValueBinding; 2],
    context: &'c mut WriteContext<'w>,
}

impl RowWriter {
    /// A writer with empty buffers.
    #[must_use]
    pub fn new() -> RowWriter {
        RowWriter::default()
    }

    /// Writes `record` into `row`, which is cleared first, and its components to `interner`.
    ///
    /// # Errors
    /// If the record passes a limit, or its type was not declared.
    pub fn write<T: Record>(
        &mut self,
        record: &T,
        binding: &Binding,
        interner: &mut dyn Interner,
        row: &mut Row,
    ) -> Result<(), WriteError> {
        let at = binding.by_slot(T::slot().number()).filter(|at| at.chain.is_some());
        let at = at.ok_or(WriteError::Undeclared { type_name: T::NAME })?;
        let mut context = WriteContext { binding, interner, pool: &mut self.pool, at, field: 0 };
        context.record(record, row)
    }
}

impl<'w> WriteContext<'w> {
    fn record<T: Record>(&mut self, record: &T, row: &mut Row) -> Result<(), WriteError> {
        row.clear(self.at.chain_columns);
        record.write(&mut RecordWriter { row, context: self })
    }

    /// Writes a component and gives its ordinal.
    pub(crate) fn component<T: Record>(&mut self, record: &T, binding: &ValueBinding) -> Result<Ordinal, WriteError> {
        let outer = (self.at, self.field);
        (self.at, self.field) = (self.binding.at(binding.declared), 0);
        let mut row = self.pool.rows.pop().unwrap_or_default();
        let written = self.record(record, &mut row);
        (self.at, self.field) = outer;
        self.intern(binding, row, written)
    }

    /// Writes a deduplicated text and gives its ordinal.
    pub(crate) fn dedup(&mut self, text: &str, binding: &ValueBinding) -> Result<Ordinal, WriteError> {
        let mut row = self.pool.rows.pop().unwrap_or_default();
        row.clear(1);
        let written = row.set(DEDUP_FIELD, |out| self.append(out, text.as_bytes()));
        self.intern(binding, row, written)
    }

    fn intern(
        &mut self,
        binding: &ValueBinding,
        row: Row,
        written: Result<(), WriteError>,
    ) -> Result<Ordinal, WriteError> {
        let ordinal = written.and_then(|()| self.interner.intern(binding.chain, &row));
        self.pool.rows.push(row);
        ordinal
    }

    /// Appends bytes, if the record stays within its limit.
    pub(crate) fn append(&self, out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), WriteError> {
        self.check_room(out.len(), bytes.len())?;
        out.extend_from_slice(bytes);
        Ok(())
    }

    fn check_room(&self, used: usize, more: usize) -> Result<(), WriteError> {
        if used.saturating_add(more) > RECORD_BYTES_MAX {
            let (type_name, field) = self.place();
            return Err(WriteError::RecordTooLarge { type_name, field });
        }
        Ok(())
    }

    fn check_elements(&self, elements: usize) -> Result<(), WriteError> {
        if elements > LIST_ELEMENTS_MAX {
            let (type_name, field) = self.place();
            return Err(WriteError::TooManyElements { type_name, field, elements });
        }
        Ok(())
    }

    pub(crate) fn unknown_variant(&self, variant: &'static str) -> WriteError {
        let (type_name, field) = self.place();
        WriteError::UnknownVariant { type_name, field, variant }
    }

    fn place(&self) -> (String, String) {
        (self.at.name.clone(), self.at.fields[self.field].name.clone())
    }
}

impl<'w> RecordWriter<'_, 'w> {
    /// Writes the declared field at `index`.
    ///
    /// # Errors
    /// If the record passes a limit, or the chain's schema lacks an enum variant.
    pub fn field<F: Field>(&mut self, index: usize, value: &F::Owned) -> Result<(), WriteError> {
        F::write(value, index, self)
    }

    /// Writes one cell, unless the chain lacks its column.
    pub(crate) fn cell(
        &mut self,
        index: usize,
        write: impl FnOnce(CellWriter<'_, '_, 'w>) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        let field = &self.context.at.fields[index];
        let Some((column, _)) = field.column else { return Ok(()) };
        let context = &mut *self.context;
        context.field = index;
        self.row.set(column, |out| {
            write(CellWriter { out, bindings: &field.values, context })?;
            context.check_room(out.len(), 0)
        })
    }
}

impl CellWriter<'_, '_, '_> {
    /// One value.
    ///
    /// # Errors
    /// Those of [`RecordWriter::field`].
    pub fn one<V: Value>(self, value: &V::Owned) -> Result<(), WriteError> {
        V::write(value, &self.bindings[0], self.out, self.context)
    }

    /// A list: the elements as they come.
    pub(crate) fn list<V: Element>(self, values: &[V::Owned]) -> Result<(), WriteError> {
        self.context.check_elements(values.len())?;
        push_count(values.len(), self.out);
        for value in values {
            push_element_with(V::VARIABLE, self.out, |out| {
                V::write(value, &self.bindings[0], out, self.context)?;
                self.context.check_room(out.len(), 0)
            })?;
        }
        Ok(())
    }

    /// A set: sorted, each once.
    pub(crate) fn set<'a, V: Value>(
        self,
        values: impl ExactSizeIterator<Item = &'a V::Owned>,
    ) -> Result<(), WriteError> {
        self.context.check_elements(values.len())?;
        let mut sorter = self.context.pool.sorter();
        for value in values {
            sorter.key(|out| V::write(value, &self.bindings[0], out, self.context))?;
            self.context.check_room(self.out.len(), sorter.bytes())?;
        }
        sorter.sort(V::ORDER);
        sorter.write([V::VARIABLE, false], self.out);
        self.context.pool.sorters.push(sorter);
        Ok(())
    }

    /// A map: sorted by key, each once.
    pub(crate) fn map<'a, K: Value, V: Value>(
        self,
        entries: impl ExactSizeIterator<Item = (&'a K::Owned, &'a V::Owned)>,
    ) -> Result<(), WriteError> {
        self.context.check_elements(entries.len())?;
        let mut sorter = self.context.pool.sorter();
        for (key, value) in entries {
            sorter.key(|out| K::write(key, &self.bindings[0], out, self.context))?;
            sorter.value(|out| V::write(value, &self.bindings[1], out, self.context))?;
            self.context.check_room(self.out.len(), sorter.bytes())?;
        }
        sorter.sort(K::ORDER);
        sorter.write([K::VARIABLE, V::VARIABLE], self.out);
        self.context.pool.sorters.push(sorter);
        Ok(())
    }
}
