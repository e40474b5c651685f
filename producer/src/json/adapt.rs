//! A schema for a type that the dataset has, from what the dataset keeps, what a file brings, and what the command line asks for.
//!
//! Rules: what is not asked for stays as it is, and values must fit it. A new field is an `Option`, because older records lack
//! it. A field that is asked to hold something else starts again, which costs nothing here: a cycle brings all records. Fields
//! of a key never change.

use std::collections::BTreeSet;

use cenote_state::ids::{ColumnId, TypeId};
use cenote_state::schema::{Field, PLAIN, Schema, Shape, TypeKind, TypeSchema, ValueKind};

use super::reading::{As, Reading};

/// What may become of a type's schema.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wishes {
    /// Fields that the dataset lacks are added.
    pub(crate) add_fields: bool,
    /// Fields that a record of the file lacks become `Option`s.
    pub(crate) optional: bool,
    /// Whole numbers become what holds the file's numbers.
    pub(crate) widen: bool,
    /// How fields are read.
    pub(crate) reading: Reading,
    /// Paths of fields that are dropped.
    pub(crate) dropped: Vec<Vec<String>>,
}

impl Wishes {
    /// Whether anything about the schema depends on the file.
    #[must_use]
    pub(crate) fn need_the_file(&self) -> bool {
        self.add_fields || self.optional || self.widen || !self.reading.paths().is_empty()
    }
}

/// How the file's fields are read: as the dataset keeps them, unless the command line says otherwise.
#[must_use]
pub(crate) fn reading_of(chain: &Schema, type_name: &str, wishes: &Wishes) -> Reading {
    let mut reading = Reading::default();
    if let Some(root) = chain.find(type_name) {
        maps_and_records(chain, root, &mut Vec::new(), &mut reading);
    }
    wishes.reading.paths().into_iter().for_each(|(path, how)| reading.set(&path, how));
    wishes.dropped.iter().for_each(|path| reading.set(path, As::Skip));
    reading
}

fn maps_and_records(schema: &Schema, id: TypeId, path: &mut Vec<String>, reading: &mut Reading) {
    for field in &schema.get(id).fields {
        path.push(field.name.clone());
        match &field.shape {
            Shape::Map(..) => reading.set(path, As::Map),
            Shape::One(ValueKind::Component(_)) => reading.set(path, As::Record),
            _ => {}
        }
        if let Some(below) = field.shape.kinds().find_map(component) {
            maps_and_records(schema, below, path, reading);
        }
        path.pop();
    }
}

/// The dataset's schema with what is asked for. Column numbers of new fields are not the dataset's: it is a schema to declare.
#[must_use]
pub(crate) fn adapt(chain: &Schema, inferred: Option<&Schema>, type_name: &str, wishes: &Wishes) -> Schema {
    let Some(root) = chain.find(type_name) else { return chain.clone() };
    let paths = chain.resolve_key(root).unwrap_or_default();
    let keys = paths.iter().flat_map(|path| path.fields(root)).collect();
    let mut adapting = Adapting { schema: chain.clone(), inferred, wishes, keys, renewed: BTreeSet::new() };
    for path in &wishes.dropped {
        adapting.drop_field(root, path);
    }
    if let Some(found) = inferred.and_then(|inferred| inferred.find(type_name)) {
        adapting.merge(root, found, &wishes.reading);
    }
    adapting.schema
}

struct Adapting<'i> {
    schema: Schema,
    inferred: Option<&'i Schema>,
    wishes: &'i Wishes,
    /// Fields that the key leads through.
    keys: BTreeSet<(TypeId, usize)>,
    /// Component types that were made for fields which start again.
    renewed: BTreeSet<TypeId>,
}

impl Adapting<'_> {
    fn drop_field(&mut self, mut id: TypeId, path: &[String]) {
        let Some((name, parents)) = path.split_last() else { return };
        for parent in parents {
            let of_type = self.schema.get(id);
            let below = of_type.field(parent).and_then(|field| of_type.fields[field].shape.kinds().find_map(component));
            let Some(below) = below else { return };
            id = below;
        }
        // The key stays: that the field can't go is the dataset's to say.
        self.schema.types[id.index()].fields.retain(|field| field.name != *name);
    }

    fn found(&self, id: TypeId) -> &TypeSchema {
        self.inferred.expect("there is something to merge").get(id)
    }

    fn merge(&mut self, known: TypeId, found: TypeId, reading: &Reading) {
        for field in self.found(found).fields.clone() {
            let below = reading.field(&field.name).unwrap_or(Reading::nothing_said());
            match self.schema.get(known).field(&field.name) {
                Some(index) => self.merge_field((known, index), &field, below),
                None if self.wishes.add_fields => self.add(known, &field, true),
                // The reader of the lines refuses it, and names the line.
                None => {}
            }
        }
        if self.wishes.optional && !self.renewed.contains(&known) {
            let names: Vec<String> = self.found(found).fields.iter().map(|field| field.name.clone()).collect();
            for index in 0..self.schema.get(known).fields.len() {
                if !names.contains(&self.schema.get(known).fields[index].name) {
                    self.make_optional((known, index));
                }
            }
        }
    }

    /// A field that both have.
    fn merge_field(&mut self, (known, index): (TypeId, usize), found: &Field, reading: &Reading) {
        if self.wishes.optional && found.optional {
            self.make_optional((known, index));
        }
        let stored = self.schema.get(known).fields[index].shape.clone();
        if self.keys.contains(&(known, index)) {
            return;
        }
        let is_asked = reading.how.is_some_and(|how| how != As::Skip);
        let shape = if is_asked && !is_like(&stored, &found.shape) {
            Some(self.placed(known, found, true))
        } else if self.wishes.widen {
            widened(&stored, &found.shape)
        } else {
            None
        };
        if let Some(shape) = shape {
            // Older records lack what starts again.
            let field = &mut self.schema.types[known.index()].fields[index];
            (field.shape, field.sparse, field.encoding) = (shape, true, PLAIN);
            return;
        }
        let (of_known, of_found) = (stored.kinds().find_map(component), found.shape.kinds().find_map(component));
        if let (Some(known), Some(found)) = (of_known, of_found) {
            self.merge(known, found, reading);
        }
    }

    fn make_optional(&mut self, (id, index): (TypeId, usize)) {
        if !self.keys.contains(&(id, index)) {
            let field = &mut self.schema.types[id.index()].fields[index];
            (field.optional, field.sparse) = (true, true);
        }
    }

    fn add(&mut self, known: TypeId, field: &Field, is_late: bool) {
        let shape = self.placed(known, field, false);
        let of_type = &mut self.schema.types[known.index()];
        let column = ColumnId(of_type.next_column);
        of_type.next_column = of_type.next_column.saturating_add(1);
        let optional = field.optional || is_late;
        of_type.fields.push(Field { column, optional, sparse: optional, shape, ..field.clone() });
    }

    /// The field's shape, with its components in this schema.
    fn placed(&mut self, parent: TypeId, field: &Field, is_renewed: bool) -> Shape {
        let mut shape = field.shape.clone();
        for kind in shape.kinds_mut() {
            if let ValueKind::Component(at) = kind {
                *at = self.place(parent, &field.name, *at, is_renewed);
            }
        }
        shape
    }

    /// The component type for a field: named after it, with what was found. What starts again gets a type of its own.
    fn place(&mut self, parent: TypeId, field: &str, found: TypeId, is_renewed: bool) -> TypeId {
        let name = format!("{}.{field}", self.schema.get(parent).name);
        let is_taken = |name: &str| self.schema.find(name).is_some_and(|id| !self.schema.get(id).fields.is_empty());
        let numbered = (2..).map(|number| format!("{name}.{number}"));
        let name = match is_renewed && is_taken(&name) {
            true => numbered.into_iter().find(|name| !is_taken(name)).expect("there is always another number"),
            false => name,
        };
        let known = self.schema.find(&name).filter(|id| !self.schema.get(*id).is_root());
        if let Some(known) = known.filter(|id| !self.schema.get(*id).fields.is_empty()) {
            self.merge(known, found, Reading::nothing_said());
            return known;
        }
        let id = known.unwrap_or_else(|| {
            let (kind, fields) = (TypeKind::Component, Vec::new());
            self.schema.types.push(TypeSchema { name, kind, fields, next_column: 0, segment_rows_log2: 0 });
            TypeId(self.schema.types.len() as u16 - 1)
        });
        self.renewed.insert(id);
        for field in self.found(found).fields.clone() {
            self.add(id, &field, false);
        }
        id
    }
}

/// Whether values of both are kept in the same way, but for what components hold.
fn is_like(stored: &Shape, found: &Shape) -> bool {
    let kind = |stored: &ValueKind, found: &ValueKind| match (stored, found) {
        (ValueKind::Component(_), ValueKind::Component(_)) | (ValueKind::Dedup(_), ValueKind::String) => true,
        (stored, found) => stored == found,
    };
    match (stored, found) {
        (Shape::One(stored), Shape::One(found))
        | (Shape::List(stored) | Shape::Set(stored), Shape::List(found))
        | (Shape::Map(_, stored), Shape::Map(_, found)) => kind(stored, found),
        _ => false,
    }
}

/// What holds the file's numbers, if the dataset's type does not.
fn widened(stored: &Shape, found: &Shape) -> Option<Shape> {
    let kind = |stored: &ValueKind, found: &ValueKind| match (stored, found) {
        (ValueKind::Int(_) | ValueKind::UInt(_), ValueKind::F64) => Some(ValueKind::F64),
        (ValueKind::Int(_), ValueKind::UInt(8)) => Some(ValueKind::UInt(8)),
        _ => None,
    };
    Some(match (stored, found) {
        (Shape::One(stored), Shape::One(found)) => Shape::One(kind(stored, found)?),
        (Shape::List(stored), Shape::List(found)) => Shape::List(kind(stored, found)?),
        (Shape::Map(key, stored), Shape::Map(_, found)) => Shape::Map(key.clone(), kind(stored, found)?),
        _ => return None,
    })
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

    fn inferred(line: &str, reading: &Reading) -> Schema {
        let key = [vec!["id".to_owned()]];
        infer(&mut Lines::new("f", line.as_bytes()), "T", &key, reading, &mut |_| {}).expect("sound lines").schema
    }

    fn check(before: &str, after: &str, wishes: &Wishes, expected: &str) {
        let chain = inferred(before, &Reading::default());
        let found = inferred(after, &reading_of(&chain, "T", wishes));
        let adapted = adapt(&chain, Some(&found), "T", wishes);
        assert_eq!(adapted.to_string(), expected);
        assert_eq!(adapted.check(), Ok(()));
    }

    #[test]
    fn new_fields_are_options_and_known_ones_stay() {
        check(
            "{\"id\":1,\"a\":1,\"c\":{\"x\":1}}",
            "{\"id\":1,\"a\":\"text\",\"b\":[1],\"c\":{\"y\":true},\"d\":{\"z\":{\"w\":0.5}}}",
            &Wishes { add_fields: true, ..Wishes::default() },
            "T (root, key id)\n    id: i64\n    a: i64\n    c: T.c\n    b: Option<Vec<i64>>\n    d: Option<T.d>\n\
             T.c (component)\n    x: i64\n    y: Option<bool>\n\
             T.d (component)\n    z: T.d.z\n\
             T.d.z (component)\n    w: f64\n",
        );
    }

    #[test]
    fn numbers_widen_and_fields_become_optional_if_that_is_asked_for() {
        let (before, after) = (
            "{\"id\":1,\"a\":1,\"b\":[1],\"c\":{\"x\":1,\"y\":1},\"d\":1}",
            "{\"id\":2,\"a\":0.5,\"b\":[0.5],\"c\":{\"x\":2}}",
        );
        check(
            before,
            after,
            &Wishes { optional: true, widen: true, ..Wishes::default() },
            "T (root, key id)\n    id: i64\n    a: f64\n    b: Vec<f64>\n    c: T.c\n    d: Option<i64>\n\
             T.c (component)\n    x: i64\n    y: Option<i64>\n",
        );
        check(
            before,
            after,
            &Wishes::default(),
            "T (root, key id)\n    id: i64\n    a: i64\n    b: Vec<i64>\n    c: T.c\n    d: i64\n\
             T.c (component)\n    x: i64\n    y: i64\n",
        );
    }

    #[test]
    fn fields_are_read_as_somebody_says_and_dropped() {
        let mut wishes = Wishes { dropped: vec![vec!["c".to_owned(), "y".to_owned()]], ..Wishes::default() };
        wishes.reading.set(&["a".to_owned()], As::String);
        wishes.reading.set(&["m".to_owned()], As::Map);
        check(
            "{\"id\":1,\"a\":1,\"c\":{\"x\":1,\"y\":1},\"m\":{\"nl\":{\"n\":1},\"fr\":{\"n\":2}}}",
            "{\"id\":1,\"a\":\"x\",\"c\":{\"x\":1,\"y\":[]},\"m\":{\"de\":{\"n\":1}}}\n{\"id\":1,\"a\":0.5,\"c\":{\"x\":1},\"m\":{}}",
            &wishes,
            "T (root, key id)\n    id: i64\n    a: String\n    c: T.c\n    m: BTreeMap<String, T.m.2>\n\
             T.c (component)\n    x: i64\n\
             T.m (component)\n    nl: T.m.nl\n    fr: T.m.fr\n\
             T.m.nl (component)\n    n: i64\n\
             T.m.fr (component)\n    n: i64\n\
             T.m.2 (component)\n    n: i64\n",
        );
    }
}
