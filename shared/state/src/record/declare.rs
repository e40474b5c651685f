//! From structs to a declared schema: what `with::<T>()` collects, and what it refuses.
//!
//! Types are met by way of the fields that hold them, so that a program names its roots only. The numbers given here
//! are the program's; they meet the dataset's by name.

use crate::ids::{ColumnId, TypeId};
use crate::schema::{
    Declared, Field as SchemaField, FieldHints, PACKED, PLAIN, Schema, Shape, TypeKind, TypeSchema, ValueKind,
};

use super::declare_error::{DeclareError, check};
use super::{Enum, Field, Record, Root, Value};

/// Collects the types that a program declares.
///
/// # Example
/// ```
/// # use cenote_producer::Record;
/// use cenote_producer::schema::{Declared, Registry};
///
/// # #[derive(Record)]
/// # #[record(key = "id")]
/// # struct Movie { id: u64, genre: Genre }
/// # #[derive(Record)]
/// # struct Genre { name: String }
/// let movies: Declared = Registry::new().with::<Movie>().finish()?;
/// assert!(movies.schema().find("Genre").is_some());
///
/// // A program without the structs declares the same from a schema: all of its roots, or one.
/// let all = Registry::new().with_schema(movies.schema()).finish()?;
/// let one = Registry::new().with_schema_of(movies.schema(), "Movie").finish()?;
/// assert_eq!(all.roots(), one.roots());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Registry {
    declared: Declared,
    problem: Option<DeclareError>,
}

impl Registry {
    /// Nothing declared.
    ///
    /// [Example](Registry#example)
    #[must_use]
    pub fn new() -> Registry {
        Registry::default()
    }

    /// Declares a root, and whatever its fields lead to.
    ///
    /// [Example](Registry#example)
    #[must_use]
    pub fn with<T: Root>(mut self) -> Registry {
        let id = self.add::<T>();
        if !self.declared.roots.contains(&id) {
            self.declared.roots.push(id);
        }
        self
    }

    /// Declares the types of a schema, for programs without Rust types for them; its roots count as named. What the
    /// schema declares meets the dataset's types by name, so its numbers need not be theirs.
    ///
    /// [Example](Registry#example)
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
    ///
    /// [Example](Registry#example)
    #[must_use]
    pub fn with_schema_of(self, schema: &Schema, root: &str) -> Registry {
        let named = self.declared.roots.len();
        let mut all = self.with_schema(schema);
        let mut roots = all.declared.roots.split_off(named);
        roots.retain(|id| all.declared.schema.get(*id).name == root);
        all.declared.roots.append(&mut roots);
        all
    }

    /// The declaration.
    ///
    /// [Example](Registry#example)
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn finish(self) -> Result<Declared, DeclareError> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        check(&self.declared)?;
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

/// Takes what a field declares about its values.
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

/// What a value is, in a schema made for it alone.
pub(crate) fn kind_of<V: Value>() -> (Schema, ValueKind) {
    let mut registry = Registry::new();
    let id = registry.add_type("", &[]);
    let mut field =
        FieldDeclaration { registry: &mut registry, id, name: "", other: [None; 2], seen: 0, encoding: PLAIN };
    let kind = V::declare(&mut field);
    (registry.declared.schema, kind)
}
