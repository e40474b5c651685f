//! The same data by name, without Rust types: for tools, sidecars and other languages.
//!
//! It needs no binding, since the dataset's schema has the names. Slower than typed reading, by a look at the schema.

use crate::ids::{Ordinal, TypeId};
use crate::keys::{KeyBuf, KeyRef};
use crate::packed::Text;
use crate::schema::{Field, Shape, TypeSchema, ValueKind};
use crate::segment::{Elements, RowAt};
use crate::state::State;
use crate::table::Table;

use crate::record::Source;

use super::named_key::NamedKey;

/// Why there is nothing under a name.
///
/// ```
/// use cenote_consumer::View;
/// use cenote_consumer::dynamic::NameError;
///
/// fn count(view: &View, type_name: &str) -> usize {
///     match view.named(type_name) {
///         Ok(table) => table.len(),
///         Err(error @ NameError::TypeNotHeld { .. }) => panic!("{error}"), // says how to hold it
///         Err(_) => 0,
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The dataset has no such type.
    #[error("the dataset has no type {type_name}; it has {known}")]
    UnknownType {
        /// The name.
        type_name: String,
        /// The types that it has.
        known: String,
    },
    /// The type has no such field.
    #[error("type {type_name} has no field {field}; it has {known}")]
    UnknownField {
        /// The type.
        type_name: String,
        /// The name.
        field: String,
        /// The fields that it has.
        known: String,
    },
    /// The dataset has the type, and the consumer does not hold it.
    #[error(
        "the consumer does not hold type {type_name}, which the program does not declare; add .with::<{type_name}>() or .whole() where the consumer is built"
    )]
    TypeNotHeld {
        /// The type.
        type_name: String,
    },
    /// The type has the field, and the consumer does not hold it.
    #[error(
        "the consumer does not hold {type_name}.{field}, which the program does not declare; declare the field, or add .whole() where the consumer is built"
    )]
    FieldNotHeld {
        /// The type.
        type_name: String,
        /// The field.
        field: String,
    },
}

/// The records of one type, by name.
///
/// # Example
/// ```
/// use cenote_consumer::View;
///
/// fn show(view: &View, type_name: &str) -> Option<()> {
///     let table = view.named(type_name).ok().filter(|table| !table.is_empty())?;
///     let fields: Vec<&str> = table.schema().fields.iter().map(|field| field.name.as_str()).collect();
///     println!("{type_name} has {} records of {}", table.len(), fields.join(", "));
///     let record = table.iter().next()?;
///     // The same record by its key in canonical form, and by its ordinal.
///     assert_eq!(table.get(record.key()?.as_ref())?.ordinal(), record.ordinal());
///     assert!(table.at(record.ordinal()).is_some());
///     // And by what a person types, or what a JSON document has.
///     println!("{:?}", table.get(table.key_of_text("42").ok()?.as_ref()));
///     assert_eq!(table.key_of_json(&42.into()), table.key_of_text("42"));
///     Some(())
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct NamedTable<'v> {
    pub(super) state: &'v State,
    pub(super) id: TypeId,
}

/// One record, by name.
///
/// # Example
/// ```
/// use cenote_consumer::View;
/// use cenote_consumer::dynamic::NameError;
///
/// fn show(view: &View, type_name: &str) -> Result<(), NameError> {
///     for record in view.named(type_name)?.iter().take(1) {
///         println!("{} {:?}, in row {}", record.schema().name, record.key(), record.ordinal());
///         println!("its key as messages show it: {:?}", record.key_text());
///         println!("the title is {:?}", record.get("title")?);
///         for (field, value) in record.fields() {
///             println!("{field} = {value:?}"); // or as JSON: a value implements `serde::Serialize`
///         }
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone, Copy)]
pub struct NamedRecord<'v> {
    pub(super) state: &'v State,
    pub(super) id: TypeId,
    pub(super) row: RowAt<'v>,
    pub(super) ordinal: Ordinal,
}

/// What a field holds.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum NamedValue<'v> {
    /// `None`, or a column that came after the row.
    Absent,
    /// A bool.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    UInt(u64),
    /// A 32-bit float.
    F32(f32),
    /// A 64-bit float.
    F64(f64),
    /// Text, deduplicated or not.
    Text(&'v str),
    /// Packed text.
    Packed(Text<'v>),
    /// Bytes.
    Bytes(&'v [u8]),
    /// An enum's variant.
    Variant(&'v str),
    /// The key of a root record, which may not exist.
    Key(NamedKey<'v>),
    /// A component.
    Record(NamedRecord<'v>),
    /// Values in their order.
    List(NamedList<'v>),
    /// Values, each once.
    Set(NamedList<'v>),
    /// Values by key.
    Map(NamedMap<'v>),
}

/// The values of a list or a set.
///
/// # Example
/// ```
/// use cenote_consumer::dynamic::{NamedList, NamedValue};
///
/// fn texts(list: NamedList<'_>) -> Vec<&str> {
///     assert_eq!(list.is_empty(), list.len() == 0);
///     assert_eq!(list.get(0).is_none(), list.is_empty());
///     list.iter().filter_map(|value| if let NamedValue::Text(text) = value { Some(text) } else { None }).collect()
/// }
/// ```
#[derive(Clone, Copy)]
pub struct NamedList<'v> {
    state: &'v State,
    kind: &'v ValueKind,
    stored: Elements<'v>,
}

/// The entries of a map.
///
/// # Example
/// ```
/// use cenote_consumer::dynamic::NamedMap;
///
/// fn show(map: NamedMap<'_>) {
///     if !map.is_empty() {
///         println!("{} entries", map.len());
///     }
///     for (key, value) in map.iter() {
///         println!("{key:?}: {value:?}");
///     }
/// }
/// ```
#[derive(Clone, Copy)]
pub struct NamedMap<'v> {
    keys: NamedList<'v>,
    values: NamedList<'v>,
}

impl<'v> NamedTable<'v> {
    pub(super) fn find(state: &'v State, name: &str) -> Result<NamedTable<'v>, NameError> {
        let type_name = || name.to_owned();
        match state.schema().find(name) {
            Some(id) if !state.schema().get(id).fields.is_empty() => Ok(NamedTable { state, id }),
            Some(id) if state.lacks_type(id) => Err(NameError::TypeNotHeld { type_name: type_name() }),
            _ => {
                let present = state.dataset_schema().types.iter().filter(|of_type| !of_type.fields.is_empty());
                let known = list(present.map(|of_type| &*of_type.name));
                Err(NameError::UnknownType { type_name: type_name(), known })
            }
        }
    }

    pub(super) fn all(state: &'v State) -> impl Iterator<Item = NamedTable<'v>> {
        let present = state.schema().iter().filter(|(_, schema)| !schema.fields.is_empty());
        present.map(move |(id, _)| NamedTable { state, id })
    }

    /// The type's name, fields and key.
    ///
    /// [Example](NamedTable#example)
    #[must_use]
    pub fn schema(self) -> &'v TypeSchema {
        self.state.schema().get(self.id)
    }

    /// How many records there are.
    ///
    /// [Example](NamedTable#example)
    #[must_use]
    pub fn len(self) -> usize {
        self.table().len()
    }

    /// Whether there is none.
    ///
    /// [Example](NamedTable#example)
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The record with this ordinal, if there is one in this version.
    ///
    /// [Example](NamedTable#example)
    #[must_use]
    pub fn at(self, ordinal: Ordinal) -> Option<NamedRecord<'v>> {
        self.table().is_live(ordinal).then(|| NamedRecord::new(self.state, self.id, ordinal))?
    }

    /// All records, by ordinal.
    ///
    /// [Example](NamedTable#example)
    pub fn iter(self) -> impl Iterator<Item = NamedRecord<'v>> {
        self.table().ordinals().filter_map(move |ordinal| NamedRecord::new(self.state, self.id, ordinal))
    }

    /// The record with this key in canonical form; see [`key_of_text`](NamedTable::key_of_text).
    ///
    /// [Example](NamedTable#example)
    #[must_use]
    pub fn get(self, key: KeyRef<'_>) -> Option<NamedRecord<'v>> {
        let (ordinal, row) = self.table().find_row(key, self.state.tables())?;
        Some(NamedRecord { state: self.state, id: self.id, row, ordinal })
    }

    pub(super) fn table(self) -> &'v Table {
        self.state.table(self.id)
    }
}

impl<'v> NamedRecord<'v> {
    pub(crate) fn new(state: &'v State, id: TypeId, ordinal: Ordinal) -> Option<NamedRecord<'v>> {
        let row = state.table(id).row(ordinal)?;
        Some(NamedRecord { state, id, row, ordinal })
    }

    /// The type's name, fields and key.
    ///
    /// [Example](NamedRecord#example)
    #[must_use]
    pub fn schema(self) -> &'v TypeSchema {
        self.state.schema().get(self.id)
    }

    /// The record's number in its type.
    ///
    /// [Example](NamedRecord#example)
    #[must_use]
    pub fn ordinal(self) -> Ordinal {
        self.ordinal
    }

    /// A root record's key in canonical form.
    ///
    /// [Example](NamedRecord#example)
    #[must_use]
    pub fn key(self) -> Option<KeyBuf> {
        let plan = self.state.table(self.id).key_plan()?;
        Some(plan.with_key(self.row, self.state.tables(), |key| key.to_buf()))
    }

    /// A root record's key as messages show it: `17`, or `nl, 17`.
    ///
    /// [Example](NamedRecord#example)
    #[must_use]
    pub fn key_text(self) -> Option<String> {
        let plan = self.state.table(self.id).key_plan()?;
        Some(plan.with_key(self.row, self.state.tables(), |key| plan.display(key)))
    }

    /// The value of the field with this name.
    ///
    /// [Example](NamedRecord#example)
    ///
    /// # Errors
    /// If the type has no such field, or the consumer does not hold it.
    pub fn get(self, field: &str) -> Result<NamedValue<'v>, NameError> {
        if let Some(index) = self.schema().field(field) {
            return Ok(self.value(index));
        }
        let of_dataset = self.state.dataset_schema().get(self.id);
        let (type_name, field_name) = (of_dataset.name.clone(), field.to_owned());
        Err(match of_dataset.field(field) {
            Some(_) => NameError::FieldNotHeld { type_name, field: field_name },
            None => {
                let known = list(of_dataset.fields.iter().map(|field| &*field.name));
                NameError::UnknownField { type_name, field: field_name, known }
            }
        })
    }

    /// The names and values of the fields that are held, in the schema's order.
    ///
    /// [Example](NamedRecord#example)
    pub fn fields(self) -> impl ExactSizeIterator<Item = (&'v str, NamedValue<'v>)> {
        let fields = self.schema().fields.iter().enumerate();
        fields.map(move |(index, field)| (field.name.as_str(), self.value(index)))
    }

    pub(crate) fn value(self, index: usize) -> NamedValue<'v> {
        let cell = self.row.cell(index);
        if !cell.is_present() {
            return NamedValue::Absent;
        }
        let field: &'v Field = &self.schema().fields[index];
        let list = |kind, stored| NamedList { state: self.state, kind, stored };
        match &field.shape {
            Shape::One(_) if field.is_packed() => NamedValue::Packed(cell.packed_text()),
            Shape::One(kind) => one(self.state, kind, cell),
            Shape::List(kind) => NamedValue::List(list(kind, cell.elements())),
            Shape::Set(kind) => NamedValue::Set(list(kind, cell.elements())),
            Shape::Map(key, value) => {
                let (keys, values) = cell.entries();
                NamedValue::Map(NamedMap { keys: list(key, keys), values: list(value, values) })
            }
        }
    }
}

fn list<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

/// One value, of a cell or of an element.
fn one<'v>(state: &'v State, kind: &'v ValueKind, source: impl Source<'v>) -> NamedValue<'v> {
    match kind {
        ValueKind::Bool => NamedValue::Bool(source.scalar() != 0),
        ValueKind::Int(_) => NamedValue::Int(source.scalar().cast_signed()),
        ValueKind::UInt(_) => NamedValue::UInt(source.scalar()),
        ValueKind::F32 => NamedValue::F32(f32::from_bits(source.scalar() as u32)),
        ValueKind::F64 => NamedValue::F64(f64::from_bits(source.scalar())),
        ValueKind::String => NamedValue::Text(source.text()),
        ValueKind::Bytes => NamedValue::Bytes(source.bytes()),
        ValueKind::Enum(names) => NamedValue::Variant(names.get(source.scalar() as usize).map_or("", String::as_str)),
        ValueKind::Key(root) => NamedValue::Key(NamedKey::read(state, *root, source)),
        ValueKind::Component(id) => match NamedRecord::new(state, *id, Ordinal(source.scalar() as u32)) {
            Some(record) => NamedValue::Record(record),
            None => NamedValue::Absent,
        },
        ValueKind::Dedup(id) => {
            let row = state.table(*id).row(Ordinal(source.scalar() as u32));
            row.map_or(NamedValue::Absent, |row| NamedValue::Text(row.cell(0).text()))
        }
    }
}

impl<'v> NamedList<'v> {
    /// How many values there are.
    ///
    /// [Example](NamedList#example)
    #[must_use]
    pub fn len(self) -> usize {
        self.stored.len()
    }

    /// Whether there is none.
    ///
    /// [Example](NamedList#example)
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.stored.is_empty()
    }

    /// The value at `index`.
    ///
    /// [Example](NamedList#example)
    #[must_use]
    pub fn get(self, index: usize) -> Option<NamedValue<'v>> {
        (index < self.stored.len()).then(|| one(self.state, self.kind, (self.stored, index)))
    }

    /// The values in their order.
    ///
    /// [Example](NamedList#example)
    pub fn iter(self) -> impl ExactSizeIterator<Item = NamedValue<'v>> {
        (0..self.len()).map(move |index| one(self.state, self.kind, (self.stored, index)))
    }
}

impl<'v> NamedMap<'v> {
    /// How many entries there are.
    ///
    /// [Example](NamedMap#example)
    #[must_use]
    pub fn len(self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    ///
    /// [Example](NamedMap#example)
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.keys.is_empty()
    }

    /// The entries, sorted by key.
    ///
    /// [Example](NamedMap#example)
    pub fn iter(self) -> impl ExactSizeIterator<Item = (NamedValue<'v>, NamedValue<'v>)> {
        self.keys.iter().zip(self.values.iter())
    }
}
