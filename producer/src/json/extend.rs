//! New fields for a type that the dataset has: what a file brings and the dataset lacks.
//!
//! Rules: what the dataset has stays as it is, and values must fit it; a new field of a known type is an `Option`,
//! because older records lack it.

use cenote_state::ids::{ColumnId, TypeId};
use cenote_state::schema::{Field, Schema, TypeKind, TypeSchema, ValueKind};

/// The dataset's schema with what `inferred` adds to the root type of the same name. Column numbers of new fields are
/// not the dataset's: it is a schema to declare.
#[must_use]
pub fn extend(chain: &Schema, inferred: &Schema, type_name: &str) -> Schema {
    let mut extending = Extending { schema: chain.clone(), inferred };
    if let (Some(known), Some(found)) = (chain.find(type_name), inferred.find(type_name)) {
        extending.merge(known, found);
    }
    extending.schema
}

struct Extending<'i> {
    schema: Schema,
    inferred: &'i Schema,
}

impl Extending<'_> {
    fn merge(&mut self, known: TypeId, found: TypeId) {
        for field in &self.inferred.get(found).fields {
            match self.schema.get(known).field(&field.name) {
                Some(index) => self.merge_field(known, index, field),
                None => self.add(known, field, true),
            }
        }
    }

    /// A field that both have: new fields may hide in the component that it leads to.
    fn merge_field(&mut self, known: TypeId, index: usize, field: &Field) {
        let shape = self.schema.get(known).fields[index].shape.clone();
        let of_known = shape.kinds().find_map(component);
        let of_found = field.shape.kinds().find_map(component);
        if let (Some(known), Some(found)) = (of_known, of_found) {
            self.merge(known, found);
        }
    }

    fn add(&mut self, known: TypeId, field: &Field, is_late: bool) {
        let mut shape = field.shape.clone();
        for kind in shape.kinds_mut() {
            if let ValueKind::Component(at) = kind {
                *at = self.place(known, &field.name, *at);
            }
        }
        let of_type = &mut self.schema.types[known.index()];
        let column = ColumnId(of_type.next_column);
        of_type.next_column = of_type.next_column.saturating_add(1);
        let optional = field.optional || is_late;
        of_type.fields.push(Field { column, optional, sparse: optional, shape, ..field.clone() });
    }

    /// The component type for a new field: named after it, with what was found.
    fn place(&mut self, parent: TypeId, field: &str, found: TypeId) -> TypeId {
        let name = format!("{}.{field}", self.schema.get(parent).name);
        let known = self.schema.find(&name).filter(|id| !self.schema.get(*id).is_root());
        if let Some(known) = known.filter(|id| !self.schema.get(*id).fields.is_empty()) {
            self.merge(known, found);
            return known;
        }
        let id = known.unwrap_or_else(|| {
            let (kind, fields) = (TypeKind::Component, Vec::new());
            self.schema.types.push(TypeSchema { name, kind, fields, next_column: 0, segment_rows_log2: 0 });
            TypeId(self.schema.types.len() as u16 - 1)
        });
        for field in &self.inferred.get(found).fields {
            self.add(id, field, false);
        }
        id
    }
}

fn component(kind: &ValueKind) -> Option<TypeId> {
    match kind {
        ValueKind::Component(id) => Some(*id),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Lines, infer};

    fn inferred(line: &str) -> Schema {
        let key = [vec!["id".to_owned()]];
        infer(&mut Lines::new("f", line.as_bytes()), "T", &key, &mut |_| {}).expect("a sound line").schema
    }

    #[test]
    fn new_fields_are_options_and_known_ones_stay() {
        let chain = inferred("{\"id\":1,\"a\":1,\"c\":{\"x\":1}}");
        let more = inferred("{\"id\":1,\"a\":\"text\",\"b\":[1],\"c\":{\"y\":true},\"d\":{\"z\":{\"w\":0.5}}}");
        let extended = extend(&chain, &more, "T");
        assert_eq!(
            extended.to_string(),
            "T (root, key id)\n    id: i64\n    a: i64\n    c: T.c\n    b: Option<Vec<i64>>\n    d: Option<T.d>\n\
             T.c (component)\n    x: i64\n    y: Option<bool>\n\
             T.d (component)\n    z: T.d.z\n\
             T.d.z (component)\n    w: f64\n"
        );
        assert_eq!(extended.check(), Ok(()));
    }
}
