//! From a program's records, or rows made by hand, to what a cycle takes.

use std::sync::Arc;

use cenote_state::ids::TypeId;
use cenote_state::layout::{ImageKind, ValueForm};
use cenote_state::record::{Root, RowWriter, WriteError};
use cenote_state::row::{LIST_ELEMENTS_MAX, Row};
use cenote_state::schema::{Schema, Shape, ValueKind};
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

    /// That a row made by hand is one of this root type's.
    pub(crate) fn check_root(&self, schema: &Schema, id: TypeId, row: &Row) -> Result<(), RowError> {
        if !self.roots.contains(&id) {
            return Err(RowError::Type(id));
        }
        check_row(schema, id, row)
    }

    pub(crate) fn is_root(&self, id: TypeId) -> bool {
        self.roots.contains(&id)
    }
}

/// That a row made by hand has the type's cells, in canonical bytes. References are the interner's, and not checked.
pub(crate) fn check_row(schema: &Schema, id: TypeId, row: &Row) -> Result<(), RowError> {
    let of_type = schema.types.get(id.index()).ok_or(RowError::Type(id))?;
    let type_name = || of_type.name.clone();
    if row.columns() != of_type.fields.len() {
        return Err(RowError::Cells { type_name: type_name(), expected: of_type.fields.len(), found: row.columns() });
    }
    for (index, field) in of_type.fields.iter().enumerate() {
        match row.cell(index) {
            None if field.sparse => {}
            None => return Err(RowError::Absent { type_name: type_name(), field: field.name.clone() }),
            Some(cell) if is_canonical(schema, &field.shape, cell) => {}
            Some(_) => {
                let kind = schema.display_field(field);
                return Err(RowError::Bytes { type_name: type_name(), field: field.name.clone(), kind });
            }
        }
    }
    Ok(())
}

fn is_canonical(schema: &Schema, shape: &Shape, cell: &[u8]) -> bool {
    match shape {
        Shape::One(kind) => is_value(schema, kind, cell),
        Shape::List(kind) => elements(schema, &[kind], cell).is_some(),
        Shape::Set(kind) => elements(schema, &[kind], cell).is_some(),
        Shape::Map(key, value) => elements(schema, &[key, value], cell).is_some(),
    }
}

fn elements(schema: &Schema, kinds: &[&ValueKind], cell: &[u8]) -> Option<()> {
    let (count, mut rest) = cell.split_first_chunk::<4>()?;
    let count = u32::from_le_bytes(*count) as usize;
    if count > LIST_ELEMENTS_MAX {
        return None;
    }
    for _ in 0..count {
        for kind in kinds {
            let len = match schema.value_form(kind).ok()? {
                ValueForm::Image(image) => image.canonical_bytes(),
                ValueForm::Text | ValueForm::Bytes => {
                    let (len, after) = rest.split_first_chunk::<4>()?;
                    rest = after;
                    u32::from_le_bytes(*len) as usize
                }
            };
            let (value, after) = rest.split_at_checked(len)?;
            rest = after;
            is_value(schema, kind, value).then_some(())?;
        }
    }
    rest.is_empty().then_some(())
}

fn is_value(schema: &Schema, kind: &ValueKind, bytes: &[u8]) -> bool {
    match schema.value_form(kind) {
        Ok(ValueForm::Image(ImageKind::Number)) if bytes.len() == 8 => is_in_range(kind, bytes),
        Ok(ValueForm::Image(ImageKind::Variant(variants))) if bytes.len() == 8 => image(bytes) < u64::from(variants),
        Ok(ValueForm::Image(image)) => bytes.len() == image.canonical_bytes(),
        Ok(ValueForm::Text) => std::str::from_utf8(bytes).is_ok(),
        Ok(ValueForm::Bytes) => true,
        Err(_) => false,
    }
}

fn image(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(u64::MAX, u64::from_le_bytes)
}

/// Whether an image fits the integer's declared width.
fn is_in_range(kind: &ValueKind, bytes: &[u8]) -> bool {
    let image = image(bytes);
    match kind {
        ValueKind::Bool => image <= 1,
        ValueKind::UInt(bytes) => image <= u64::MAX >> (64 - 8 * u32::from(*bytes)),
        ValueKind::Int(bytes) => {
            let spare = 64 - 8 * u32::from(*bytes);
            ((image as i64) << spare) >> spare == image as i64
        }
        _ => true,
    }
}
