//! The shape of a dataset's records: types, their fields, what a field can hold.
//!
//! One structure serves twice. The *chain's* schema is written to the log; its type and column numbers are never
//! reused. A *declared* schema is what a program's structs declare; its numbers are the program's, and it meets the
//! chain's by name ([`Schema::evolve`] for producers, [`Binding`](crate::record::Binding) for readers).
//!
//! Rules: a type is a root (it has a key) or a component (it has none) and never changes from one to the other; nesting goes one level deep, what is
//! deeper is a component; a key is made of integers, bools, enums, strings, bytes and keys, never optional.

mod change;
mod declared;
mod evolve;
mod key;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeSet;
use std::fmt;

pub(crate) use change::declare_as;
pub use change::{Allow, Refusal, SchemaChange, SchemaError};
pub use declared::{Declared, FieldHints};
pub use evolve::Evolved;
pub use key::{KeyError, KeyForm, KeyPart, KeyPath};
pub use text::{SchemaTextError, TypeText};

use crate::codec::Wire;
use crate::ids::{ColumnId, TypeId};
use crate::shown::{is_plain, shown};

/// Limits that a schema must keep.
pub mod limits {
    /// Types in a dataset.
    pub const TYPES: usize = 1_024;
    /// Columns of all types together.
    pub const COLUMNS: usize = 8_192;
    /// Bytes of a schema on storage: an entry has room for it, and for the digests of all columns.
    pub const SCHEMA_BYTES: usize = 512 << 10;
    /// Bytes of a name.
    pub const NAME_BYTES: usize = 255;
    /// Rows of a segment, as a power of two.
    pub const SEGMENT_ROWS_LOG2: u8 = 12;
}

/// All types of a dataset. A [`TypeId`] is the index in `types`.
///
/// # Example
/// ```
/// use cenote_consumer::schema::{KeyForm, Schema};
///
/// fn show(schema: &Schema) -> Option<()> {
///     for (id, of_type) in schema.iter() {
///         println!("{} is type {id}", of_type.name);
///         for field in &of_type.fields {
///             println!("    {}: {}", field.name, schema.display_field(field));
///         }
///     }
///     let movie = schema.find("Movie")?;
///     println!("Movie has {} fields", schema.get(movie).fields.len());
///     println!("its key is made of {:?}", schema.key_leaves(movie).ok()?);
///     println!("one number: {}", schema.key_form(movie) == Ok(KeyForm::Scalar));
///     Some(())
/// }
///
/// // A schema that a program made is checked before it is used.
/// assert!(Schema::default().check().is_ok());
///
/// // As text, and by the names in it.
/// let text = "Movie (root, key id)\n    id: u32\n    place: Place\nPlace (component)\n    zip: u16\n";
/// let schema: Schema = text.parse().expect("it is written as it is shown");
/// assert_eq!(Schema::of_texts(&schema.to_texts()), Ok(schema.clone()));
/// assert_eq!(schema.field_at("Movie", &["place".into(), "zip".into()]), Some("Place.zip".into()));
/// let movie = schema.find("Movie").expect("it is in the text");
/// assert_eq!(schema.reached_from(movie), schema.led_to_from(movie));
/// assert_eq!(schema.only(&[movie].into()).types[1].fields.len(), 0);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    /// The types; removed ones keep their place and have no fields.
    pub types: Vec<TypeSchema>,
}

/// One type.
///
/// # Example
/// ```
/// use cenote_consumer::schema::TypeSchema;
///
/// fn show(of_type: &TypeSchema) {
///     match of_type.is_root() {
///         true => println!("{}, key ({})", of_type.name, of_type.written_key()),
///         false => println!("{}, a component", of_type.name),
///     }
///     // A key that leads through a component has paths of several names.
///     println!("paths: {:?}", of_type.key_paths());
///     let title = of_type.field("title").map(|index| &of_type.fields[index].shape);
///     println!("title: {title:?}; {} records in a segment", of_type.segment_rows());
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeSchema {
    /// Its name, unique in the dataset.
    pub name: String,
    /// Root or component, and the root's key.
    pub kind: TypeKind,
    /// Its fields, in the order in which their columns are laid out.
    pub fields: Vec<Field>,
    /// The number that the next new column gets.
    pub next_column: u16,
    /// A segment holds 2 to the power of this many rows; chosen at the type's first commit.
    pub segment_rows_log2: u8,
}

/// Whether a type has an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypeKind {
    /// Has a key; is added, updated, deleted; is referenced by key only.
    Root {
        /// The key's parts, in order. A path goes through components: `["address", "zip"]`.
        key: Vec<Vec<String>>,
    },
    /// Reached by ordinal only; equal ones are one; never changes.
    Component,
}

/// One field of a type: a column.
///
/// # Example
/// ```
/// use cenote_consumer::schema::{Field, ValueKind};
///
/// fn show(field: &Field) {
///     println!("{}{}", field.name, if field.is_packed() { " (packed)" } else { "" });
///     for kind in field.shape.kinds() {
///         match kind.refers_to() {
///             Some(id) if kind.component().is_some() => println!("a component of type {id}"),
///             Some(id) => println!("a key of type {id}"),
///             None => println!("{kind:?}"),
///         }
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, unique in the type.
    pub name: String,
    /// The column that holds it.
    pub column: ColumnId,
    /// `Option` in the declaration.
    pub optional: bool,
    /// Whether a row may lack the value: optional, or added after the type's first commit.
    pub sparse: bool,
    /// What it holds.
    pub shape: Shape,
    /// How values are encoded: [`PLAIN`] or [`PACKED`]. Numbered, so that others can come.
    pub encoding: u8,
}

/// Values as they are.
pub const PLAIN: u8 = 0;
/// One string, as packed text: see [`packed`](crate::packed).
pub const PACKED: u8 = 1;

/// One value or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One value.
    One(ValueKind),
    /// Several, in their order.
    List(ValueKind),
    /// Several, sorted, each once.
    Set(ValueKind),
    /// Sorted by the first, each once.
    Map(ValueKind, ValueKind),
}

/// What one value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// `true` or `false`.
    Bool,
    /// A signed integer of so many bytes: 1, 2, 4 or 8.
    Int(u8),
    /// An unsigned integer of so many bytes: 1, 2, 4 or 8.
    UInt(u8),
    /// A 32-bit float, kept bit by bit.
    F32,
    /// A 64-bit float, kept bit by bit.
    F64,
    /// UTF-8 text.
    String,
    /// Bytes.
    Bytes,
    /// One of these names; a value is the index. The list only grows.
    Enum(Vec<String>),
    /// The key of a root record, which may not exist.
    Key(TypeId),
    /// A component record, by ordinal.
    Component(TypeId),
    /// Text that is kept once: an ordinal of a component type with the one field `value`.
    Dedup(TypeId),
}

impl Schema {
    /// The type with this name.
    ///
    /// [Example](Schema#example)
    #[must_use]
    pub fn find(&self, name: &str) -> Option<TypeId> {
        let index = self.types.iter().position(|candidate| candidate.name == name)?;
        Some(TypeId(u16::try_from(index).expect("a schema has at most 1,024 types")))
    }

    /// The type with this number.
    ///
    /// [Example](Schema#example)
    ///
    /// # Panics
    /// If there is none: numbers come from this schema.
    #[must_use]
    pub fn get(&self, id: TypeId) -> &TypeSchema {
        &self.types[id.index()]
    }

    /// Checks a schema from outside: its limits, its numbers, its references.
    ///
    /// [Example](Schema#example)
    ///
    /// # Errors
    /// What makes it unfit for use.
    pub fn check(&self) -> Result<(), String> {
        let columns: usize = self.types.iter().map(|schema| schema.fields.len()).sum();
        if self.types.len() > limits::TYPES || columns > limits::COLUMNS {
            return Err(format!(
                "{} types with {columns} columns are more than {} and {}",
                self.types.len(),
                limits::TYPES,
                limits::COLUMNS
            ));
        }
        let bytes = self.stored_bytes();
        if bytes > limits::SCHEMA_BYTES {
            return Err(format!("a schema of {bytes} bytes; {} are the limit", limits::SCHEMA_BYTES));
        }
        for schema in &self.types {
            schema.check(self.types.len()).map_err(|what| format!("type {}: {what}", shown(&schema.name)))?;
        }
        for (id, _) in self.iter().filter(|(_, schema)| schema.is_root() && !schema.fields.is_empty()) {
            self.key_form(id).map_err(|error| error.to_string())?;
        }
        let mut done = vec![false; self.types.len()];
        for (id, _) in self.iter() {
            self.check_components(id, &mut Vec::new(), &mut done)?;
        }
        Ok(())
    }

    /// What it takes on storage.
    pub(crate) fn stored_bytes(&self) -> usize {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes.len()
    }

    /// That component references lead to components and never back: what is read by following them ends.
    fn check_components(&self, id: TypeId, within: &mut Vec<TypeId>, done: &mut [bool]) -> Result<(), String> {
        if within.contains(&id) {
            return Err(format!("component {} contains itself; refer to a root by Key instead", self.get(id).name));
        }
        if std::mem::replace(&mut done[id.index()], true) {
            return Ok(());
        }
        within.push(id);
        for kind in self.get(id).fields.iter().flat_map(|field| field.shape.kinds()) {
            let Some(target) = kind.refers_to() else { continue };
            if self.get(target).is_root() != matches!(kind, ValueKind::Key(_)) {
                return Err(format!("type {} is used both as a root and as a component", self.get(target).name));
            }
            let is_text = |target: &TypeSchema| match &target.fields[..] {
                // A removed type; nothing of it is left to be read.
                [] => true,
                [value] => value.shape == Shape::One(ValueKind::String) && !value.is_packed(),
                _ => false,
            };
            if matches!(kind, ValueKind::Dedup(_)) && !is_text(self.get(target)) {
                return Err(format!("type {} is used for texts, and is not one text", self.get(target).name));
            }
            if kind.component().is_some() {
                self.check_components(target, within, done)?;
            }
        }
        within.pop();
        Ok(())
    }

    /// `Type.field` of the field at this path from a type; a path leads through components.
    ///
    /// [Example](Schema#example)
    #[must_use]
    pub fn field_at(&self, type_name: &str, path: &[String]) -> Option<String> {
        let (name, parents) = path.split_last()?;
        let owner = parents.iter().try_fold(self.find(type_name)?, |at, parent| {
            let of_type = self.get(at);
            let field = &of_type.fields[of_type.field(parent)?];
            field.shape.kinds().find_map(|kind| match kind {
                ValueKind::Component(id) => Some(*id),
                _ => None,
            })
        })?;
        let owner = self.get(owner);
        owner.field(name).map(|_| format!("{}.{name}", owner.name))
    }

    /// This type, and the component types that it leads to.
    ///
    /// [Example](Schema#example)
    #[must_use]
    pub fn reached_from(&self, id: TypeId) -> BTreeSet<TypeId> {
        self.follow_kinds(id, ValueKind::component)
    }

    /// The same, with the root types that keys lead to.
    ///
    /// [Example](Schema#example)
    #[must_use]
    pub fn led_to_from(&self, id: TypeId) -> BTreeSet<TypeId> {
        self.follow_kinds(id, ValueKind::refers_to)
    }

    fn follow_kinds(&self, id: TypeId, step: impl Fn(&ValueKind) -> Option<TypeId>) -> BTreeSet<TypeId> {
        let (mut reached, mut ahead) = (BTreeSet::new(), vec![id]);
        while let Some(id) = ahead.pop() {
            if reached.insert(id) {
                let kinds = self.get(id).fields.iter().flat_map(|field| field.shape.kinds());
                ahead.extend(kinds.filter_map(&step));
            }
        }
        reached
    }

    /// The same types with the same numbers, of which only these have fields.
    ///
    /// [Example](Schema#example)
    #[must_use]
    pub fn only(&self, kept: &BTreeSet<TypeId>) -> Schema {
        let mut schema = self.clone();
        for (of_type, id) in schema.types.iter_mut().zip((0..).map(TypeId)) {
            if !kept.contains(&id) {
                of_type.fields.clear();
            }
        }
        schema
    }

    /// The types with their numbers.
    ///
    /// [Example](Schema#example)
    pub fn iter(&self) -> impl Iterator<Item = (TypeId, &TypeSchema)> {
        self.types.iter().enumerate().map(|(index, schema)| (TypeId(index as u16), schema))
    }
}

impl TypeSchema {
    /// Whether it has a key.
    ///
    /// [Example](TypeSchema#example)
    #[must_use]
    pub fn is_root(&self) -> bool {
        matches!(self.kind, TypeKind::Root { .. })
    }

    /// The index of the field with this name.
    ///
    /// [Example](TypeSchema#example)
    #[must_use]
    pub fn field(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// The paths of the key's parts; empty for a component.
    ///
    /// [Example](TypeSchema#example)
    #[must_use]
    pub fn key_paths(&self) -> &[Vec<String>] {
        match &self.kind {
            TypeKind::Root { key } => key,
            TypeKind::Component => &[],
        }
    }

    /// The key as it is written in an attribute.
    ///
    /// [Example](TypeSchema#example)
    #[must_use]
    pub fn written_key(&self) -> String {
        self.key_paths().iter().map(|path| path.join(".")).collect::<Vec<_>>().join(", ")
    }

    /// The names in it: its own, those of its fields, and those of their variants.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let kinds = self.fields.iter().flat_map(|field| field.shape.kinds());
        let variants = kinds.filter_map(|kind| match kind {
            ValueKind::Enum(variants) => Some(variants),
            _ => None,
        });
        let names = std::iter::once(&self.name).chain(self.fields.iter().map(|field| &field.name));
        names.chain(variants.flatten()).map(String::as_str)
    }

    fn check(&self, types: usize) -> Result<(), String> {
        if self.segment_rows_log2 > limits::SEGMENT_ROWS_LOG2 {
            return Err(format!("segments of 2^{} rows", self.segment_rows_log2));
        }
        let mut names = std::iter::once(&self.name).chain(self.fields.iter().map(|field| &field.name));
        if let Some(name) = names.find(|name| name.is_empty() || name.len() > limits::NAME_BYTES) {
            return Err(format!("a name of {} bytes; names have 1 to {}", name.len(), limits::NAME_BYTES));
        }
        if let Some(name) = self.names().find(|name| !is_plain(name)) {
            return Err(format!("the name {name:?}, and names have no control characters"));
        }
        for (index, field) in self.fields.iter().enumerate() {
            let twin =
                self.fields[..index].iter().any(|other| other.column == field.column || other.name == field.name);
            if twin || field.column.0 >= self.next_column {
                return Err(format!("field {} shares its name or column number", field.name));
            }
            let dangling = |kind: &ValueKind| kind.refers_to().is_some_and(|id| id.index() >= types);
            let encodes = match field.encoding {
                PLAIN => true,
                PACKED => field.shape == Shape::One(ValueKind::String),
                _ => false,
            };
            if !encodes || field.shape.kinds().any(dangling) || (field.optional && !field.sparse) {
                return Err(format!("field {} is not one that this release can read", field.name));
            }
        }
        Ok(())
    }

    /// Rows of a segment.
    ///
    /// [Example](TypeSchema#example)
    #[must_use]
    pub fn segment_rows(&self) -> u32 {
        1 << self.segment_rows_log2
    }
}

impl Field {
    /// Whether its values are packed text.
    ///
    /// [Example](Field#example)
    #[must_use]
    pub fn is_packed(&self) -> bool {
        self.encoding == PACKED
    }
}

impl Shape {
    /// The kinds of value in it: one, or a map's two.
    ///
    /// [Example](Field#example)
    pub fn kinds(&self) -> impl Iterator<Item = &ValueKind> {
        let (first, second) = match self {
            Shape::One(kind) | Shape::List(kind) | Shape::Set(kind) => (kind, None),
            Shape::Map(key, value) => (key, Some(value)),
        };
        std::iter::once(first).chain(second)
    }

    /// The same, to renumber references.
    #[doc(hidden)]
    pub fn kinds_mut(&mut self) -> impl Iterator<Item = &mut ValueKind> {
        let (first, second) = match self {
            Shape::One(kind) | Shape::List(kind) | Shape::Set(kind) => (kind, None),
            Shape::Map(key, value) => (key, Some(value)),
        };
        std::iter::once(first).chain(second)
    }
}

impl ValueKind {
    /// The component type that a value is an ordinal of.
    ///
    /// [Example](Field#example)
    #[must_use]
    pub fn component(&self) -> Option<TypeId> {
        match self {
            ValueKind::Component(id) | ValueKind::Dedup(id) => Some(*id),
            _ => None,
        }
    }

    /// The type that a value refers to, by ordinal or by key.
    ///
    /// [Example](Field#example)
    #[must_use]
    pub fn refers_to(&self) -> Option<TypeId> {
        match self {
            ValueKind::Component(id) | ValueKind::Dedup(id) | ValueKind::Key(id) => Some(*id),
            _ => None,
        }
    }
}

impl fmt::Display for Schema {
    /// As a person would write it: a line a type, a line a field.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for schema in self.types.iter().filter(|schema| !schema.fields.is_empty()) {
            match &schema.kind {
                TypeKind::Root { .. } => writeln!(f, "{} (root, key {})", schema.name, schema.written_key())?,
                TypeKind::Component => writeln!(f, "{} (component)", schema.name)?,
            }
            for field in &schema.fields {
                writeln!(f, "    {}: {}", field.name, self.display_field(field))?;
            }
        }
        Ok(())
    }
}

impl Schema {
    /// A field's type as Rust would write it.
    ///
    /// [Example](Schema#example)
    #[must_use]
    pub fn display_field(&self, field: &Field) -> String {
        let kind = |kind| self.display_kind(kind);
        let shape = match &field.shape {
            Shape::One(_) if field.is_packed() => "String (packed)".into(),
            Shape::One(one) => kind(one),
            Shape::List(element) => format!("Vec<{}>", kind(element)),
            Shape::Set(element) => format!("BTreeSet<{}>", kind(element)),
            Shape::Map(key, value) => format!("BTreeMap<{}, {}>", kind(key), kind(value)),
        };
        if field.optional { format!("Option<{shape}>") } else { shape }
    }

    fn display_kind(&self, kind: &ValueKind) -> String {
        match kind {
            ValueKind::Bool => "bool".into(),
            ValueKind::Int(bytes) => format!("i{}", u32::from(*bytes) * 8),
            ValueKind::UInt(bytes) => format!("u{}", u32::from(*bytes) * 8),
            ValueKind::F32 => "f32".into(),
            ValueKind::F64 => "f64".into(),
            ValueKind::String => "String".into(),
            ValueKind::Bytes => "Vec<u8>".into(),
            ValueKind::Enum(names) => format!("enum {{ {} }}", names.join(", ")),
            ValueKind::Key(id) => format!("Key<{}>", self.get(*id).name),
            ValueKind::Component(id) => self.get(*id).name.clone(),
            ValueKind::Dedup(_) => "String (dedup)".into(),
        }
    }
}
