//! Binding: where each declared type and field is in the chain's schema.
//!
//! A program's structs and a dataset meet by name, once for each schema, off the read path: afterwards a read is a
//! look into a slot. What can't be read without loss is refused here, all of it in one error.
//!
//! Rules: a type or field that the dataset lacks is an empty table, or a default; integers may be declared wider than
//! they are stored, never narrower; enum variants meet by name.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::ids::TypeId;
use crate::layout::{Column, Layout};
use crate::schema::{Declared, Field, FieldHints, KeyError, Schema, Shape, TypeSchema, ValueKind, declare_as};

/// In place of an enum's number: the other side has no such variant.
pub(crate) const ABSENT: u32 = u32::MAX;
/// In place of a type's number: the program did not declare it.
const UNDECLARED: u16 = u16::MAX;

/// Where everything declared is in one schema of the chain.
#[derive(Debug)]
pub struct Binding {
    types: Box<[Arc<TypeBinding>]>,
    /// From a Rust type's number in this program to its place in `types`.
    by_slot: Box<[u16]>,
}

/// Where a declared type's fields are.
#[derive(Debug)]
pub(crate) struct TypeBinding {
    pub(crate) name: String,
    /// The type in the chain; none if the dataset lacks it.
    pub(crate) chain: Option<TypeId>,
    /// How many fields the chain's type has.
    pub(crate) chain_columns: usize,
    /// Whether the declared fields and the chain's are the same.
    pub(crate) is_whole: bool,
    /// In the order of declaration.
    pub(crate) fields: Box<[FieldBinding]>,
}

/// Where a declared field is: all that a read of it needs, in one place.
#[derive(Debug, Default)]
pub(crate) struct FieldBinding {
    /// Its index among the chain's fields, and its place in a row; none if the chain lacks it.
    pub(crate) column: Option<(usize, Column)>,
    /// What its values mean; a map has two kinds.
    pub(crate) values: [ValueBinding; 2],
    /// Its declared name, for errors.
    pub(crate) name: String,
}

/// What a value's numbers mean.
#[derive(Debug, Default)]
pub struct ValueBinding {
    /// The component that a reference leads to, as declared.
    pub(crate) declared: u16,
    /// The same in the chain.
    pub(crate) chain: TypeId,
    /// From the chain's enum numbers to the declared ones.
    pub(crate) to_declared: Box<[u32]>,
    /// From the declared enum numbers to the chain's; [`ABSENT`] if it lacks the variant.
    pub(crate) to_chain: Box<[u32]>,
}

/// What the program declares can't be read from this dataset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the program's records don't fit the dataset's: {}", list(.problems))]
pub struct BindError {
    /// All that does not fit, in the order of declaration.
    pub problems: Vec<BindProblem>,
}

/// One thing that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindProblem {
    /// One side has a key, the other has none.
    #[error("{type_name} is a {found} in the dataset, and a {declared} in the program; {}", root_remedy(.declared))]
    Kind {
        /// The type.
        type_name: String,
        /// In the dataset.
        found: &'static str,
        /// In the program.
        declared: &'static str,
    },
    /// The keys differ.
    #[error(
        "{type_name} has the key ({found}) in the dataset, and ({declared}) in the program; write #[record(key = \"{found}\")]"
    )]
    Key {
        /// The type.
        type_name: String,
        /// In the dataset.
        found: String,
        /// In the program.
        declared: String,
    },
    /// The dataset lacks a field that has no default.
    #[error("{type_name}.{field} is missing in the dataset; write Option, or add #[record(default)]")]
    Missing {
        /// The type.
        type_name: String,
        /// The field.
        field: String,
    },
    /// Some rows of the dataset lack the value.
    #[error("{type_name}.{field} may be absent in the dataset; write Option, or add #[record(default)]")]
    Optional {
        /// The type.
        type_name: String,
        /// The field.
        field: String,
    },
    /// The field holds something else.
    #[error("{type_name}.{field} is {found} in the dataset, and {declared} in the program; {}", declare_as(.found))]
    Shape {
        /// The type.
        type_name: String,
        /// The field.
        field: String,
        /// In the dataset.
        found: String,
        /// In the program.
        declared: String,
    },
    /// The dataset's type refers to a root that has no sound key.
    #[error("{type_name} can't be read from the dataset: the dataset's type has a key that is not sound")]
    Unsound {
        /// The type.
        type_name: String,
        /// What is wrong with the key.
        source: KeyError,
    },
    /// An enum has a variant that the program does not know.
    #[error("{type_name}.{field} can be {variant} in the dataset; add that variant, or mark one with #[record(other)]")]
    Variant {
        /// The type.
        type_name: String,
        /// The field.
        field: String,
        /// The variant.
        variant: String,
    },
}

fn list(problems: &[BindProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn root_remedy(declared: &str) -> &'static str {
    if declared == "root" { "remove its #[record(key = …)]" } else { "give it the dataset's #[record(key = …)]" }
}

impl Binding {
    /// Finds everything declared in `chain`.
    ///
    /// # Errors
    /// All that does not fit.
    pub fn new(declared: &Declared, chain: &Schema) -> Result<Binding, BindError> {
        let mut binder = Binder { whole: declared, declared: declared.schema(), chain, problems: Vec::new() };
        let types = declared.schema().iter().map(|(id, schema)| binder.type_binding(id, schema));
        let types: Box<[Arc<TypeBinding>]> = types.map(Arc::new).collect();
        if !binder.problems.is_empty() {
            return Err(BindError { problems: binder.problems });
        }
        Ok(Binding { types, by_slot: by_slot(declared) })
    }

    /// The binding of the type with this number in this program.
    #[inline(always)]
    pub(crate) fn by_slot(&self, number: u32) -> Option<&TypeBinding> {
        self.types.get(usize::from(self.place(number)?)).map(|binding| &**binding)
    }

    /// The place of the type with this number in this program.
    #[inline(always)]
    pub(crate) fn place(&self, number: u32) -> Option<u16> {
        self.by_slot.get(number as usize).copied()
    }

    /// The bindings of all declared types, by place.
    pub(crate) fn types(&self) -> impl Iterator<Item = &Arc<TypeBinding>> {
        self.types.iter()
    }

    /// The binding of a declared type.
    #[inline(always)]
    pub(crate) fn at(&self, declared: u16) -> &TypeBinding {
        &self.types[usize::from(declared)]
    }
}

fn by_slot(declared: &Declared) -> Box<[u16]> {
    let mut by_slot = Vec::new();
    for (number, id) in declared.slots() {
        let at = number as usize;
        if by_slot.len() <= at {
            by_slot.resize(at + 1, UNDECLARED);
        }
        by_slot[at] = id.0;
    }
    by_slot.into()
}

struct Binder<'a> {
    whole: &'a Declared,
    declared: &'a Schema,
    chain: &'a Schema,
    problems: Vec<BindProblem>,
}

impl Binder<'_> {
    fn type_binding(&mut self, id: TypeId, declared: &TypeSchema) -> TypeBinding {
        // A removed type keeps its place without fields: to a reader it is not there.
        let chain = self.chain.find(&declared.name).filter(|&id| !self.chain.get(id).fields.is_empty());
        let found = chain.map(|id| self.chain.get(id));
        if let Some(found) = found {
            self.check_kind(id, declared, found);
        }
        let layout = chain.and_then(|id| self.layout(id));
        let fields = declared.fields.iter().zip(self.whole.hints(id)).map(|(field, hints)| {
            let (index, values) = self.field_binding(declared, field, hints, found);
            let place = |index: usize| Some((index, layout.as_ref()?.columns[index].clone()));
            FieldBinding { column: index.and_then(place), values, name: field.name.clone() }
        });
        let fields: Box<[FieldBinding]> = fields.collect();
        let chain_columns = found.map_or(0, |found| found.fields.len());
        let columns: BTreeSet<Option<usize>> =
            fields.iter().map(|field| field.column.as_ref().map(|(index, _)| *index)).collect();
        TypeBinding {
            is_whole: columns.len() == chain_columns && !columns.contains(&None),
            fields,
            name: declared.name.clone(),
            chain,
            chain_columns,
        }
    }

    /// The layout of a type of the chain. It follows from the schema alone, so the tables have the same.
    fn layout(&mut self, chain: TypeId) -> Option<Layout> {
        match Layout::new(self.chain, chain) {
            Ok(layout) => Some(layout),
            Err(source) => {
                let type_name = self.chain.get(chain).name.clone();
                self.problems.push(BindProblem::Unsound { type_name, source });
                None
            }
        }
    }

    fn check_kind(&mut self, id: TypeId, declared: &TypeSchema, found: &TypeSchema) {
        let word = |schema: &TypeSchema| if schema.is_root() { "root" } else { "component" };
        let type_name = declared.name.clone();
        if declared.is_root() != found.is_root() {
            let (found, declared) = (word(found), word(declared));
            self.problems.push(BindProblem::Kind { type_name, found, declared });
        } else if self.whole.chain_key(id, self.chain) != found.key_paths() {
            let (found, declared) = (found.written_key(), declared.written_key());
            self.problems.push(BindProblem::Key { type_name, found, declared });
        }
    }

    fn field_binding(
        &mut self,
        declared: &TypeSchema,
        field: &Field,
        hints: &FieldHints,
        found: Option<&TypeSchema>,
    ) -> (Option<usize>, [ValueBinding; 2]) {
        // Without the type there is no row to read fields of.
        let Some(found) = found else { return Default::default() };
        let type_name = || declared.name.clone();
        let has_default = field.optional || hints.default;
        let Some(index) = hints.chain_field(found, field) else {
            if !has_default {
                self.problems.push(BindProblem::Missing { type_name: type_name(), field: field.name.clone() });
            }
            return Default::default();
        };
        let stored = &found.fields[index];
        if stored.sparse && !has_default {
            self.problems.push(BindProblem::Optional { type_name: type_name(), field: field.name.clone() });
        }
        // What is declared packed reads plain text, too; a `&str` can't be had of packed text.
        let unpacks = stored.is_packed() && !field.is_packed();
        if unpacks || !self.readable(&stored.shape, &field.shape) {
            let shape_of =
                |schema: &Schema, field: &Field| schema.display_field(&Field { optional: false, ..field.clone() });
            self.problems.push(BindProblem::Shape {
                type_name: type_name(),
                field: field.name.clone(),
                found: shape_of(self.chain, stored),
                declared: shape_of(self.declared, field),
            });
            return Default::default();
        }
        let mut bindings = <[ValueBinding; 2]>::default();
        for (at, (stored, wanted)) in stored.shape.kinds().zip(field.shape.kinds()).enumerate() {
            let mut unknown = Vec::new();
            bindings[at] = value_binding(stored, wanted, hints.other[at], &mut unknown);
            self.problems.extend(unknown.into_iter().map(|variant| BindProblem::Variant {
                type_name: type_name(),
                field: field.name.clone(),
                variant,
            }));
        }
        (Some(index), bindings)
    }

    fn readable(&self, stored: &Shape, wanted: &Shape) -> bool {
        match (stored, wanted) {
            (Shape::One(stored), Shape::One(wanted))
            | (Shape::List(stored), Shape::List(wanted))
            | (Shape::Set(stored), Shape::Set(wanted)) => self.readable_kind(stored, wanted),
            (Shape::Map(stored_key, stored), Shape::Map(wanted_key, wanted)) => {
                self.readable_kind(stored_key, wanted_key) && self.readable_kind(stored, wanted)
            }
            _ => false,
        }
    }

    fn readable_kind(&self, stored: &ValueKind, wanted: &ValueKind) -> bool {
        use ValueKind::{Component, Dedup, Enum, Int, Key, UInt};
        match (stored, wanted) {
            (Int(stored), Int(wanted)) | (UInt(stored), UInt(wanted)) => stored <= wanted,
            (UInt(stored), Int(wanted)) => stored < wanted,
            (Enum(_), Enum(_)) => true,
            // Its type is named after the field that had it first, which may have had another name.
            (Dedup(_), Dedup(_)) => true,
            (Key(stored), Key(wanted)) | (Component(stored), Component(wanted)) => {
                self.chain.get(*stored).name == self.declared.get(*wanted).name
            }
            _ => stored == wanted,
        }
    }
}

fn value_binding(
    stored: &ValueKind,
    wanted: &ValueKind,
    other: Option<u32>,
    unknown: &mut Vec<String>,
) -> ValueBinding {
    let mut binding = ValueBinding::default();
    if let (Some(chain), Some(declared)) = (stored.refers_to(), wanted.refers_to()) {
        binding.chain = chain;
        binding.declared = declared.0;
    }
    if let (ValueKind::Enum(stored), ValueKind::Enum(wanted)) = (stored, wanted) {
        let place = |names: &[String], name: &String| names.iter().position(|known| known == name).map(|at| at as u32);
        let to_declared = stored.iter().map(|name| {
            place(wanted, name).or(other).unwrap_or_else(|| {
                unknown.push(name.clone());
                ABSENT
            })
        });
        binding.to_declared = to_declared.collect();
        binding.to_chain = wanted.iter().map(|name| place(stored, name).unwrap_or(ABSENT)).collect();
    }
    binding
}
