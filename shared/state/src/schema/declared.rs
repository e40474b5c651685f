//! What a program declares: a schema with the program's numbers, and what only the program knows about a field.
//!
//! Made by [`Registry`](crate::record::Registry) from structs; read by evolution, which makes the chain's next schema of
//! it, and by binding, which finds it in the chain's.

use crate::ids::TypeId;

use super::{Field, Schema, Shape, TypeSchema, ValueKind};

/// What a program's structs declare: a schema with the program's numbers, and what only the program knows about a
/// field.
#[derive(Clone, Debug, Default)]
pub struct Declared {
    pub(crate) schema: Schema,
    pub(crate) hints: Vec<Vec<FieldHints>>,
    pub(crate) slots: Vec<(u32, TypeId)>,
    pub(crate) roots: Vec<TypeId>,
}

/// What a declaration has about a field beyond its shape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldHints {
    /// `#[record(default)]`: an absent value reads as the type's default.
    pub default: bool,
    /// `#[record(was = "old")]`: its name in older versions of the dataset.
    pub was: Option<&'static str>,
    /// `#[record(other)]`: the enum variant that unknown ones read as; a map has two kinds of value.
    pub other: [Option<u32>; 2],
}

impl Declared {
    /// The schema, in the program's numbers.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The root types named with `with`, in that order.
    #[must_use]
    pub fn roots(&self) -> &[TypeId] {
        &self.roots
    }

    /// What is declared of a type's fields beyond their shapes.
    #[must_use]
    pub fn hints(&self, id: TypeId) -> &[FieldHints] {
        &self.hints[id.index()]
    }

    /// Each Rust type's number in this program, and its declared type.
    pub(crate) fn slots(&self) -> impl Iterator<Item = (u32, TypeId)> {
        self.slots.iter().copied()
    }

    /// A declared key in the names that the chain has for its fields.
    pub(crate) fn chain_key(&self, id: TypeId, chain: &Schema) -> Vec<Vec<String>> {
        self.schema.get(id).key_paths().iter().map(|path| self.chain_path(id, chain, path)).collect()
    }

    fn chain_path(&self, mut id: TypeId, chain: &Schema, path: &[String]) -> Vec<String> {
        let mut found = Vec::with_capacity(path.len());
        for name in path {
            let of_type = self.schema.get(id);
            let index = of_type.field(name).expect("a declaration's keys were checked");
            let field = &of_type.fields[index];
            let of_chain = chain.find(&of_type.name).map(|id| chain.get(id));
            let in_chain = of_chain.and_then(|chain| {
                let index = self.hints(id)[index].chain_field(chain, field)?;
                Some(chain.fields[index].name.clone())
            });
            found.push(in_chain.unwrap_or_else(|| name.clone()));
            if let Shape::One(ValueKind::Component(next)) = field.shape {
                id = next;
            }
        }
        found
    }
}

impl FieldHints {
    /// The index of a declared field in the chain's type: under its name, or under the name that it had.
    pub(crate) fn chain_field(&self, chain: &TypeSchema, field: &Field) -> Option<usize> {
        chain.field(&field.name).or_else(|| chain.field(self.was?))
    }
}
