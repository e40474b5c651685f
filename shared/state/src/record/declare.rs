//! From structs to a declared schema: what `with::<T>()` collects, and what it refuses.
//!
//! Types are met by way of the fields that hold them, so that a program names its roots only. The numbers given here
//! are the program's own; they meet the dataset's by name.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::ids::{ColumnId, TypeId};
use crate::schema::{
    Field as SchemaField, KeyError, PACKED, PLAIN, Schema, Shape, TypeKind, TypeSchema, ValueKind, limits,
};

use super::{Enum, Field, Record, Root, Value};

/// Where a Rust type keeps its number in this program, so that a view finds its binding without hashing.
///
/// Numbers follow the order of first use and never leave the process.
#[derive(Debug, Default)]
pub struct Slot(AtomicU32);

/// The number that the next type gets; 0 means none yet.
static NEXT_SLOT: AtomicU32 = AtomicU32::new(1);

impl Slot {
    /// A slot without a number.
    #[must_use]
    pub const fn new() -> Slot {
        Slot(AtomicU32::new(0))
    }

    /// The number, given at the first call.
    #[inline(always)]
    #[must_use]
    pub fn number(&self) -> u32 {
        match self.0.load(Ordering::Relaxed) {
            0 => self.take_number(),
            number => number,
        }
    }

    #[cold]
    fn take_number(&self) -> u32 {
        let fresh = NEXT_SLOT.fetch_add(1, Ordering::Relaxed);
        match self.0.compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => fresh,
            Err(taken) => taken,
        }
    }
}

/// What a program's structs say: a schema with numbers of its own, and what only the program knows about a field.
#[derive(Clone, Debug, Default)]
pub struct Declared {
    schema: Schema,
    hints: Vec<Vec<FieldHints>>,
    slots: Vec<(u32, TypeId)>,
    roots: Vec<TypeId>,
}

/// What a declaration says about a field beyond its shape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldHints {
    /// `#[record(default)]`: an absent value reads as the type's default.
    pub default: bool,
    /// `#[record(was = "old")]`: its name in older versions of the dataset.
    pub was: Option<&'static str>,
    /// `#[record(other)]`: the enum variant that unknown ones read as; a map has two kinds of value.
    pub other: [Option<u32>; 2],
}

/// The structs of a program can't be a schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeclareError {
    /// Two fields of one name.
    #[error("type {type_name}: two fields are named {field}; give one of them another #[record(name = \"…\")]")]
    DuplicateField {
        /// The type.
        type_name: String,
        /// The name.
        field: String,
    },
    /// Two Rust types of one name.
    #[error("two types are named {type_name}; give one of them another #[record(name = \"…\")]")]
    DuplicateType {
        /// The name.
        type_name: String,
    },
    /// A component that contains itself.
    #[error(
        "component {type_name} contains itself by way of {path}; give it a key and refer to it by Key<{type_name}>"
    )]
    Recursive {
        /// The type.
        type_name: String,
        /// The fields that lead back to it.
        path: String,
    },
    /// A key that can't be one.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A type without fields.
    #[error("type {type_name} has no fields; a record holds at least one")]
    Empty {
        /// The type.
        type_name: String,
    },
    /// A name that is too long, or empty.
    #[error("the name {name:?} has {} bytes; a name has 1 to {}", .name.len(), limits::NAME_BYTES)]
    Name {
        /// The name.
        name: String,
    },
    /// More types or fields than a dataset can have.
    #[error("{found} {what} are declared; a dataset has {max} at most")]
    TooMany {
        /// Types or fields.
        what: &'static str,
        /// How many.
        found: usize,
        /// How many there may be.
        max: usize,
    },
}

/// Collects the types that a program declares.
#[derive(Debug, Default)]
pub struct Registry {
    declared: Declared,
    problem: Option<DeclareError>,
}

impl Registry {
    /// Nothing declared.
    #[must_use]
    pub fn new() -> Registry {
        Registry::default()
    }

    /// Declares a root, and whatever its fields lead to.
    #[must_use]
    pub fn with<T: Root>(mut self) -> Registry {
        let id = self.add::<T>();
        if !self.declared.roots.contains(&id) {
            self.declared.roots.push(id);
        }
        self
    }

    /// Declares the types of a schema that no Rust types stand for; its roots count as named. Numbers in it are its
    /// own: what it declares meets the dataset's by name.
    #[must_use]
    pub fn with_schema(mut self, schema: &Schema) -> Registry {
        // A removed type keeps its number and has no fields: it is not declared.
        let present = || schema.iter().filter(|(_, declared)| !declared.fields.is_empty());
        let numbers: Vec<(TypeId, TypeId)> = present()
            .map(|(id, declared)| {
                let key: Vec<Vec<&str>> =
                    declared.key_paths().iter().map(|path| path.iter().map(String::as_str).collect()).collect();
                let key: Vec<&[&str]> = key.iter().map(Vec::as_slice).collect();
                (id, self.add_type(&declared.name, &key))
            })
            .collect();
        for ((_, declared), (_, id)) in present().zip(&numbers) {
            for field in &declared.fields {
                let mut shape = field.shape.clone();
                for kind in shape.kinds_mut() {
                    if let ValueKind::Key(at) | ValueKind::Component(at) | ValueKind::Dedup(at) = kind {
                        *at = numbers.iter().find(|(old, _)| old == at).map_or(*at, |(_, new)| *new);
                    }
                }
                let default = field.sparse && !field.optional;
                self.add_field(
                    *id,
                    &field.name,
                    field.optional,
                    (shape, field.encoding),
                    FieldHints { default, ..FieldHints::default() },
                );
            }
            if declared.is_root() {
                self.declared.roots.push(*id);
            }
        }
        self
    }

    /// The same, but of its roots only `root` counts as named: the others are declared because it may lead to them.
    #[must_use]
    pub fn with_schema_of(self, schema: &Schema, root: &str) -> Registry {
        let named = self.declared.roots.len();
        let mut all = self.with_schema(schema);
        let mut roots = all.declared.roots.split_off(named);
        roots.retain(|id| all.declared.schema.get(*id).name == root);
        all.declared.roots.append(&mut roots);
        all
    }

    /// The declaration, or the first thing that is wrong with it.
    pub fn finish(self) -> Result<Declared, DeclareError> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        check(&self.declared.schema)?;
        Ok(self.declared)
    }

    /// The number of a type, declared now if it wasn't.
    fn add<T: Record>(&mut self) -> TypeId {
        let number = T::slot().number();
        if let Some((_, id)) = self.declared.slots.iter().find(|(known, _)| *known == number) {
            return *id;
        }
        let id = self.add_type(T::NAME, T::KEY);
        self.declared.slots.push((number, id));
        T::declare(&mut TypeDeclaration { registry: self, id });
        id
    }

    /// Takes the place of a type before its fields are known: they may lead back to it.
    fn add_type(&mut self, name: &str, key: &[&[&str]]) -> TypeId {
        if self.declared.schema.find(name).is_some() {
            self.problem.get_or_insert(DeclareError::DuplicateType { type_name: name.to_owned() });
        }
        let id = TypeId(u16::try_from(self.declared.schema.types.len()).unwrap_or(u16::MAX));
        let path = |path: &&[&str]| path.iter().map(|part| (*part).to_owned()).collect();
        let kind = match key {
            [] => TypeKind::Component,
            parts => TypeKind::Root { key: parts.iter().map(path).collect() },
        };
        let schema =
            TypeSchema { name: name.to_owned(), kind, fields: Vec::new(), next_column: 0, segment_rows_log2: 0 };
        self.declared.schema.types.push(schema);
        self.declared.hints.push(Vec::new());
        id
    }

    fn add_field(&mut self, id: TypeId, name: &str, optional: bool, (shape, encoding): (Shape, u8), hints: FieldHints) {
        let schema = &mut self.declared.schema.types[id.index()];
        let column = ColumnId(schema.next_column);
        schema.next_column = schema.next_column.saturating_add(1);
        let field = SchemaField { name: name.to_owned(), column, optional, sparse: optional, shape, encoding };
        schema.fields.push(field);
        self.declared.hints[id.index()].push(hints);
    }
}

/// Takes the fields of one type.
#[derive(Debug)]
pub struct TypeDeclaration<'r> {
    registry: &'r mut Registry,
    id: TypeId,
}

impl TypeDeclaration<'_> {
    /// Adds a field, after those before it.
    pub fn field<F: Field>(&mut self, name: &'static str, default: bool, was: Option<&'static str>) {
        let mut declaration =
            FieldDeclaration { registry: self.registry, id: self.id, name, other: [None; 2], seen: 0, encoding: PLAIN };
        let shape = F::declare(&mut declaration);
        let hints = FieldHints { default, was, other: declaration.other };
        let encoding = declaration.encoding;
        self.registry.add_field(self.id, name, F::OPTIONAL, (shape, encoding), hints);
    }
}

/// Takes what a field says about its values.
#[derive(Debug)]
pub struct FieldDeclaration<'r> {
    registry: &'r mut Registry,
    id: TypeId,
    name: &'static str,
    other: [Option<u32>; 2],
    seen: usize,
    encoding: u8,
}

impl FieldDeclaration<'_> {
    /// A plain value.
    pub(crate) fn plain(&mut self, kind: ValueKind) -> ValueKind {
        self.seen += 1;
        kind
    }

    /// Text that is packed.
    pub(crate) fn packed(&mut self) -> ValueKind {
        self.encoding = PACKED;
        self.plain(ValueKind::String)
    }

    /// An enum.
    pub fn enumeration<E: Enum>(&mut self) -> ValueKind {
        self.other[self.seen] = E::OTHER;
        self.plain(ValueKind::Enum(E::VARIANTS.iter().map(|name| (*name).to_owned()).collect()))
    }

    /// A reference to a root, by key.
    pub(crate) fn key<T: Root>(&mut self) -> ValueKind {
        let id = self.registry.add::<T>();
        self.plain(ValueKind::Key(id))
    }

    /// A component.
    pub(crate) fn component<T: Record>(&mut self) -> ValueKind {
        let id = self.registry.add::<T>();
        self.plain(ValueKind::Component(id))
    }

    /// Text that is kept once, in a component type named after the field.
    pub(crate) fn dedup(&mut self) -> ValueKind {
        let owner = &self.registry.declared.schema.get(self.id).name;
        let name = format!("{owner}.{}", self.name);
        let id = self.registry.add_type(&name, &[]);
        let shape = Shape::One(ValueKind::String);
        self.registry.add_field(id, "value", false, (shape, PLAIN), FieldHints::default());
        self.plain(ValueKind::Dedup(id))
    }
}

impl Declared {
    /// The schema, in the program's own numbers.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The root types named with `with`, in that order.
    #[must_use]
    pub fn roots(&self) -> &[TypeId] {
        &self.roots
    }

    /// What a type's fields say beyond their shapes.
    #[must_use]
    pub fn hints(&self, id: TypeId) -> &[FieldHints] {
        &self.hints[id.index()]
    }

    /// Each Rust type's number in this program, and its declared type.
    pub(crate) fn slots(&self) -> impl Iterator<Item = (u32, TypeId)> {
        self.slots.iter().copied()
    }
}

/// What a value is, in a schema of its own.
pub(crate) fn kind_of<V: Value>() -> (Schema, ValueKind) {
    let mut registry = Registry::new();
    let id = registry.add_type("", &[]);
    let mut field =
        FieldDeclaration { registry: &mut registry, id, name: "", other: [None; 2], seen: 0, encoding: PLAIN };
    let kind = V::declare(&mut field);
    (registry.declared.schema, kind)
}

fn check(schema: &Schema) -> Result<(), DeclareError> {
    let columns = schema.types.iter().map(|schema| schema.fields.len()).sum();
    for (what, found, max) in [("types", schema.types.len(), limits::TYPES), ("fields", columns, limits::COLUMNS)] {
        if found > max {
            return Err(DeclareError::TooMany { what, found, max });
        }
    }
    for (id, declared) in schema.iter() {
        check_type(declared)?;
        if declared.is_root() {
            schema.key_form(id)?;
        }
        check_recursion(schema, id, &mut vec![(id, String::new())])?;
    }
    Ok(())
}

fn check_type(schema: &TypeSchema) -> Result<(), DeclareError> {
    let names = std::iter::once(&schema.name).chain(schema.fields.iter().map(|field| &field.name));
    if let Some(name) = names.into_iter().find(|name| name.is_empty() || name.len() > limits::NAME_BYTES) {
        return Err(DeclareError::Name { name: name.clone() });
    }
    if schema.fields.is_empty() {
        return Err(DeclareError::Empty { type_name: schema.name.clone() });
    }
    let mut names: Vec<_> = schema.fields.iter().map(|field| &field.name).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(DeclareError::DuplicateField { type_name: schema.name.clone(), field: pair[0].clone() }),
        None => Ok(()),
    }
}

/// Walks the components below `id`; `path` is the way from the type that is looked for.
fn check_recursion(schema: &Schema, id: TypeId, path: &mut Vec<(TypeId, String)>) -> Result<(), DeclareError> {
    for field in &schema.get(id).fields {
        for next in field.shape.kinds().filter_map(ValueKind::component) {
            let step = format!("{}.{}", schema.get(id).name, field.name);
            if next == path[0].0 {
                let steps = path[1..].iter().map(|(_, step)| step.as_str()).chain([step.as_str()]);
                let path = steps.collect::<Vec<_>>().join(", ");
                return Err(DeclareError::Recursive { type_name: schema.get(next).name.clone(), path });
            }
            // A circle that does not lead back to the start is found when it is itself the start.
            if path.iter().all(|(seen, _)| *seen != next) {
                path.push((next, step));
                check_recursion(schema, next, path)?;
                path.pop();
            }
        }
    }
    Ok(())
}
