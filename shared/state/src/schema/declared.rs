//! What a program declares: a schema with the program's numbers, and what only the program knows about a field.
//!
//! Made by [`Registry`](crate::record::Registry) from structs; read by evolution, which makes the chain's next schema of
//! it, and by binding, which finds it in the chain's.

use crate::ids::TypeId;

use super::{Field, Schema, TypeSchema};

/// What a program's structs declare: a schema with the program's numbers, and what only the program knows about a
/// field.
///
/// # Example
/// ```
/// # use cenote_producer::Record;
/// use cenote_producer::schema::{Declared, Registry};
///
/// # #[derive(Record)]
/// # #[record(key = "id")]
/// # struct Movie { id: u64 }
/// let declared: Declared = Registry::new().with::<Movie>().finish()?;
/// let root = declared.roots()[0];
/// assert_eq!(declared.schema().get(root).name, "Movie");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    ///
    /// [Example](Declared#example)
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The root types named with `with`, in that order.
    ///
    /// [Example](Declared#example)
    #[must_use]
    pub fn roots(&self) -> &[TypeId] {
        &self.roots
    }

    /// What is declared of a type's fields beyond their shapes.
    #[doc(hidden)]
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

    fn chain_path(&self, id: TypeId, chain: &Schema, path: &[String]) -> Vec<String> {
        let steps = self.schema.key_steps(id, path);
        let in_chain = |(of, index): (TypeId, usize)| {
            let of_type = self.schema.get(of);
            let field = &of_type.fields[index];
            let of_chain = chain.find(&of_type.name).map(|id| chain.get(id));
            let found =
                of_chain.and_then(|chain| Some(&chain.fields[self.hints(of)[index].chain_field(chain, field)?]));
            found.unwrap_or(field).name.clone()
        };
        steps.map(in_chain).collect()
    }
}

impl FieldHints {
    /// The index of a declared field in the chain's type: under its name, or under the name that it had.
    pub(crate) fn chain_field(&self, chain: &TypeSchema, field: &Field) -> Option<usize> {
        chain.field(&field.name).or_else(|| chain.field(self.was?))
    }
}
