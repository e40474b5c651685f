//! Evolution: what a producer's structs make of the chain's schema.
//!
//! Types and fields meet by name, and the chain only grows by itself: new types, new fields (sparse: older rows lack
//! them), wider integers, new variants, `Option` where there was none, new names (`was`). Whatever would lose a value
//! needs an `allow(…)` from the user, so that rolling back a deployment destroys nothing; a refusal lists all of it, with
//! the line to write.
//!
//! Rules: type and column numbers are never reused; a removed or replaced column's values are gone from that version
//! on; keys, and whether a type has one, never change.

use std::collections::BTreeSet;

use crate::ids::{ColumnId, TypeId};

use super::change::{Allow, Refusal, SchemaChange, SchemaError};
use super::{Declared, Field, FieldHints, Schema, Shape, TypeKind, TypeSchema, ValueKind, limits};

/// A schema that a producer's structs fit, and how it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evolved {
    /// The chain's next schema; the same as before if nothing changed.
    pub schema: Schema,
    /// What changed, in the order of declaration.
    pub changes: Vec<SchemaChange>,
}

/// Segments of a type whose rows were not measured yet: 1,024 rows.
const SEGMENT_ROWS_LOG2: u8 = 10;

impl Schema {
    /// What `declared` makes of this schema, the chain's.
    ///
    /// ```
    /// # use cenote_producer::Record;
    /// use cenote_producer::schema::{Registry, Schema};
    ///
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// let declared = Registry::new().with::<Movie>().finish()?;
    /// let first = Schema::default().evolve(&declared, &[])?;
    /// assert_eq!(first.changes[0].to_string(), "type Movie is new");
    /// assert!(first.schema.evolve(&declared, &[])?.changes.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// All changes that would lose values and that `allow` does not permit.
    pub fn evolve(&self, declared: &Declared, allow: &[Allow]) -> Result<Evolved, SchemaError> {
        let mut evolution = Evolution {
            declared,
            allow: allow.iter().collect(),
            schema: self.clone(),
            changes: Vec::new(),
            refusals: Vec::new(),
        };
        evolution.same_fields();
        evolution.rename();
        evolution.types();
        evolution.remove_types();
        evolution.allowed_nothing(self);
        evolution.check();
        let Evolution { schema, changes, refusals, .. } = evolution;
        if refusals.is_empty() { Ok(Evolved { schema, changes }) } else { Err(SchemaError { refusals }) }
    }
}

struct Evolution<'a> {
    declared: &'a Declared,
    allow: BTreeSet<&'a Allow>,
    schema: Schema,
    changes: Vec<SchemaChange>,
    refusals: Vec<Refusal>,
}

impl<'a> Evolution<'a> {
    /// Refuses structs of which two fields are one of the chain's: one under its name, the other under the name that it had.
    fn same_fields(&mut self) {
        for (id, schema) in self.declared.schema().iter() {
            let Some(chain) = self.schema.find(&schema.name).map(|id| self.schema.get(id)) else { continue };
            let met = schema.fields.iter().zip(self.declared.hints(id));
            let met: Vec<_> = met.map(|(field, hints)| (&field.name, hints.chain_field(chain, field))).collect();
            for (at, (first, found)) in met.iter().enumerate() {
                let Some(found) = found else { continue };
                let Some((second, _)) = met[at + 1..].iter().find(|(_, other)| *other == Some(*found)) else {
                    continue;
                };
                let (type_name, found) = (schema.name.clone(), chain.fields[*found].name.clone());
                let (first, second) = ((*first).clone(), (*second).clone());
                self.refusals.push(Refusal::SameField { type_name, first, second, found });
            }
        }
    }

    /// Whether the field was refused as one of two that are the same: it is not new, so it needs no default.
    fn is_same(&self, type_name: &str, field: &str) -> bool {
        self.refusals.iter().any(|refusal| match refusal {
            Refusal::SameField { type_name: of, first, second, .. } => {
                of == type_name && (first == field || second == field)
            }
            _ => false,
        })
    }

    /// Removes the types that may go: their fields; their numbers stay taken.
    fn remove_types(&mut self) {
        for allow in self.allow.clone() {
            let Allow::RemoveType(name) = allow else { continue };
            let Some(id) = self.schema.find(name).filter(|id| !self.schema.get(*id).fields.is_empty()) else {
                continue;
            };
            if let Some(user) = self.user_of(id) {
                self.refusals.push(Refusal::TypeInUse { type_name: name.clone(), user });
                continue;
            }
            let below = self.schema.reached_from(id);
            self.remove_type(id);
            // A component may lead to others of these, so one pass is not enough.
            while let Some(orphan) =
                below.iter().copied().find(|id| !self.schema.get(*id).fields.is_empty() && self.user_of(*id).is_none())
            {
                self.remove_type(orphan);
            }
        }
    }

    fn remove_type(&mut self, id: TypeId) {
        let of_type = &mut self.schema.types[id.index()];
        of_type.fields.clear();
        self.changes.push(SchemaChange::TypeRemoved { type_name: of_type.name.clone() });
    }

    /// What keeps a type from being removed.
    fn user_of(&self, id: TypeId) -> Option<String> {
        let others = self.schema.iter().filter(|(other, _)| *other != id);
        let mut fields = others.flat_map(|(_, of_type)| of_type.fields.iter().map(move |field| (of_type, field)));
        let refers = |field: &Field| field.shape.kinds().any(|kind| kind.refers_to() == Some(id));
        if let Some((of_type, field)) = fields.find(|(_, field)| refers(field)) {
            return Some(format!("{}.{} leads to it; remove that field first", of_type.name, field.name));
        }
        let is_declared = self.declared.schema().find(&self.schema.get(id).name).is_some();
        is_declared.then(|| "the program declares it; declare it no more".to_owned())
    }

    /// Refuses permissions for what the chain neither has nor could have lost.
    fn allowed_nothing(&mut self, old: &Schema) {
        // All are looked at before any is refused: a permission is spared for the refusals of changes, not of permissions.
        let refused = self.allow.iter().filter_map(|allow| {
            let reason = self.why_nothing(allow, old)?;
            Some(Refusal::AllowsNothing { call: allow.call(), reason })
        });
        let refused: Vec<_> = refused.collect();
        self.refusals.extend(refused);
    }

    fn why_nothing(&self, allow: &Allow, old: &Schema) -> Option<String> {
        let (Allow::Remove(path) | Allow::Replace(path) | Allow::WithoutVariant(path) | Allow::RemoveType(path)) =
            allow;
        if matches!(allow, Allow::RemoveType(_)) {
            return old.find(path).is_none().then(|| format!("the dataset has no type {path}"));
        }
        // The names of types and fields may have dots.
        let within = |of_type: &&TypeSchema| path.strip_prefix(&of_type.name).is_some_and(|rest| rest.starts_with('.'));
        let longest = |schema: &Schema| {
            schema
                .types
                .iter()
                .filter(within)
                .max_by_key(|of_type| of_type.name.len())
                .map(|of_type| of_type.name.clone())
        };
        let Some(type_name) = longest(old).or_else(|| longest(self.declared.schema())) else {
            return Some(match old.find(path) {
                Some(_) => "it is a type; a path leads to a field, and remove_type removes a type".to_owned(),
                None => "there is no such type".to_owned(),
            });
        };
        // What is new to the chain has nothing to lose yet.
        let of_type = old.get(old.find(&type_name)?);
        let rest = &path[type_name.len() + 1..];
        let has_lost = usize::from(of_type.next_column) > of_type.fields.len();
        let has = match allow {
            Allow::WithoutVariant(_) => of_type.fields.iter().any(|field| {
                let variant = rest.strip_prefix(&field.name).and_then(|rest| rest.strip_prefix('.'));
                field.shape.kinds().any(|kind| match kind {
                    ValueKind::Enum(names) => variant.is_some_and(|variant| names.iter().any(|name| name == variant)),
                    _ => false,
                })
            }),
            _ => of_type.field(rest).is_some(),
        };
        if has_lost || (has && self.is_used(allow, &type_name, rest)) {
            return None;
        }
        Some(match has {
            true => format!("{type_name} keeps {rest} as it is"),
            false => format!("{type_name} has no {rest}"),
        })
    }

    /// Whether the struct lacks what may be lost, or declares it as something else.
    fn is_used(&self, allow: &Allow, type_name: &str, rest: &str) -> bool {
        let removed = |change: &SchemaChange| match change {
            SchemaChange::FieldRemoved { type_name: of, field } => of == type_name && field == rest,
            _ => false,
        };
        match allow {
            Allow::Remove(_) | Allow::Replace(_) => {
                // What is refused for another reason is reported by that refusal.
                self.changes.iter().any(removed) || !self.refusals.is_empty()
            }
            Allow::WithoutVariant(_) | Allow::RemoveType(_) => true,
        }
    }

    /// Gives renamed fields their new names first, in keys as well, so that all else meets by name.
    fn rename(&mut self) {
        let declared = self.declared;
        let old = self.schema.clone();
        for (id, schema) in declared.schema().iter() {
            let Some(chain) = old.find(&schema.name) else { continue };
            self.rename_key(id, chain, &old);
            for (field, hints) in schema.fields.iter().zip(declared.hints(id)) {
                let Some(index) = hints.chain_field(old.get(chain), field) else { continue };
                let name = &mut self.schema.types[chain.index()].fields[index].name;
                if *name != field.name {
                    let from = std::mem::replace(name, field.name.clone());
                    let (type_name, to) = (schema.name.clone(), field.name.clone());
                    self.changes.push(SchemaChange::FieldRenamed { type_name, from, to });
                }
            }
        }
    }

    /// The key's paths in new names, if the declared key means the same fields.
    fn rename_key(&mut self, id: TypeId, chain: TypeId, old: &Schema) {
        let schema = self.declared.schema().get(id);
        if let TypeKind::Root { key } = &mut self.schema.types[chain.index()].kind
            && *key == self.declared.chain_key(id, old)
        {
            *key = schema.key_paths().to_vec();
        }
    }

    fn types(&mut self) {
        let declared = self.declared;
        let texts: BTreeSet<TypeId> = declared.schema().types.iter().flat_map(dedup_types).collect();
        let types = || declared.schema().iter().filter(|(id, _)| !texts.contains(id));
        // All take their places before any field refers to one.
        let known: Vec<bool> = types().map(|(_, schema)| self.exists(&schema.name)).collect();
        for (_, schema) in types() {
            self.place(schema);
        }
        for ((id, schema), known) in types().zip(known) {
            self.fields(id, schema, known);
        }
    }

    /// Whether the chain has records of this type, or had.
    fn exists(&self, name: &str) -> bool {
        self.schema.find(name).is_some_and(|id| !self.schema.get(id).fields.is_empty())
    }

    /// The type's place in the chain, taken now if there was none.
    fn place(&mut self, declared: &TypeSchema) -> TypeId {
        if let Some(id) = self.schema.find(&declared.name) {
            let found = &mut self.schema.types[id.index()];
            if found.fields.is_empty() {
                found.kind = declared.kind.clone();
            }
            return id;
        }
        let id = TypeId(u16::try_from(self.schema.types.len()).unwrap_or(u16::MAX));
        let (name, kind) = (declared.name.clone(), declared.kind.clone());
        self.changes.push(SchemaChange::TypeAdded { type_name: name.clone() });
        let segment_rows_log2 = SEGMENT_ROWS_LOG2;
        self.schema.types.push(TypeSchema { name, kind, fields: Vec::new(), next_column: 0, segment_rows_log2 });
        id
    }

    fn fields(&mut self, id: TypeId, declared: &'a TypeSchema, known: bool) {
        let chain = self.place(declared);
        if known && !self.check_kind(declared, chain) {
            return;
        }
        for (field, hints) in declared.fields.iter().zip(self.declared.hints(id)) {
            match self.schema.get(chain).field(&field.name) {
                Some(index) => self.meet(chain, index, field, hints),
                None => self.add(chain, field, hints, known),
            }
        }
        self.remove_lacking(chain, declared);
    }

    fn check_kind(&mut self, declared: &TypeSchema, chain: TypeId) -> bool {
        let found = self.schema.get(chain);
        let type_name = declared.name.clone();
        let word = |schema: &TypeSchema| if schema.is_root() { "root" } else { "component" };
        if declared.is_root() != found.is_root() {
            let (found, declared) = (word(found), word(declared));
            self.refusals.push(Refusal::KindChanged { type_name, found, declared });
            return false;
        }
        if declared.key_paths() != found.key_paths() {
            let (found, declared) = (found.written_key(), declared.written_key());
            self.refusals.push(Refusal::KeyChanged { type_name, found, declared });
        }
        true
    }

    fn add(&mut self, chain: TypeId, field: &Field, hints: &FieldHints, known: bool) {
        let type_name = self.schema.get(chain).name.clone();
        if known {
            if self.is_same(&type_name, &field.name) {
                return;
            }
            if !field.optional && !hints.default {
                let field = field.name.clone();
                self.refusals.push(Refusal::NoDefault { type_name, field });
                return;
            }
            self.changes.push(SchemaChange::FieldAdded { type_name, field: field.name.clone() });
        }
        let shape = self.translated(&field.shape);
        let schema = &mut self.schema.types[chain.index()];
        let column = ColumnId(schema.next_column);
        schema.next_column = schema.next_column.saturating_add(1);
        let sparse = field.optional || known;
        schema.fields.push(Field { column, sparse, shape, ..field.clone() });
    }

    /// A field that both have: widened, refused, replaced, or left alone.
    fn meet(&mut self, chain: TypeId, index: usize, declared: &Field, hints: &FieldHints) {
        let stored = self.schema.get(chain).fields[index].clone();
        let type_name = self.schema.get(chain).name.clone();
        // A default does not help: published again, what was absent would be a value. A column's rows are all packed or
        // all plain, and those that are there stay as they are: the other way is another column.
        let repacked = stored.encoding != declared.encoding;
        let shape = if repacked || (stored.optional && !declared.optional) {
            None
        } else {
            widened(&self.schema, self.declared.schema(), &stored.shape, &declared.shape)
        };
        let Some(shape) = shape else { return self.replace(chain, index, declared, hints) };
        self.check_variants(&type_name, &stored, declared);
        let optional = stored.optional || declared.optional;
        let next = Field { optional, sparse: stored.sparse || optional, shape, ..stored.clone() };
        self.note_widening(type_name, &stored, &next);
        self.schema.types[chain.index()].fields[index] = next;
    }

    fn note_widening(&mut self, type_name: String, before: &Field, after: &Field) {
        let field = before.name.clone();
        let old = before.shape.kinds().collect::<Vec<_>>();
        for (old, new) in old.into_iter().zip(after.shape.kinds()) {
            if let (ValueKind::Enum(old), ValueKind::Enum(new)) = (old, new) {
                let fresh = new[old.len()..].iter().map(|variant| SchemaChange::VariantAdded {
                    type_name: type_name.clone(),
                    field: field.clone(),
                    variant: variant.clone(),
                });
                self.changes.extend(fresh);
            }
        }
        let (from, to) = (plain(&self.schema, before), plain(&self.schema, after));
        if from != to {
            self.changes.push(SchemaChange::FieldWidened { type_name, field, from, to });
        }
    }

    fn check_variants(&mut self, type_name: &str, stored: &Field, declared: &Field) {
        for (stored_kind, wanted) in stored.shape.kinds().zip(declared.shape.kinds()) {
            let (ValueKind::Enum(known), ValueKind::Enum(wanted)) = (stored_kind, wanted) else { continue };
            for variant in known.iter().filter(|variant| !wanted.contains(variant)) {
                let allowed = Allow::without_variant(format!("{type_name}.{}.{variant}", stored.name));
                if !self.allow.contains(&allowed) {
                    let (type_name, field, variant) = (type_name.to_owned(), stored.name.clone(), variant.clone());
                    self.refusals.push(Refusal::LacksVariant { type_name, field, variant });
                }
            }
        }
    }

    fn replace(&mut self, chain: TypeId, index: usize, declared: &Field, hints: &FieldHints) {
        let schema = self.schema.get(chain);
        let (type_name, stored) = (schema.name.clone(), &schema.fields[index]);
        let (field, found) = (stored.name.clone(), self.schema.display_field(stored));
        let declared_as = self.declared.schema().display_field(declared);
        if self.is_in_key(chain, &field) {
            self.refusals.push(Refusal::NarrowsKey { type_name, field, found, declared: declared_as });
            return;
        }
        if !self.allow.contains(&Allow::replace(format!("{type_name}.{field}"))) {
            self.refusals.push(Refusal::Narrows { type_name, field, found, declared: declared_as });
            return;
        }
        self.schema.types[chain.index()].fields.remove(index);
        self.changes.push(SchemaChange::FieldRemoved { type_name, field });
        self.add(chain, declared, hints, true);
    }

    /// Whether any root's key leads to or through this field.
    fn is_in_key(&self, id: TypeId, field: &str) -> bool {
        let named = self.schema.get(id).field(field);
        self.schema.iter().any(|(root, of_root)| {
            let mut steps = of_root.key_paths().iter().flat_map(|path| self.schema.key_steps(root, path));
            steps.any(|(of, index)| of == id && Some(index) == named)
        })
    }

    fn remove_lacking(&mut self, chain: TypeId, declared: &TypeSchema) {
        let schema = self.schema.get(chain).clone();
        for field in schema.fields.iter().filter(|field| declared.field(&field.name).is_none()) {
            let (type_name, name) = (schema.name.clone(), field.name.clone());
            let allowed = self.allow.contains(&Allow::remove(format!("{type_name}.{name}")));
            if allowed && !self.is_in_key(chain, &name) {
                self.schema.types[chain.index()].fields.retain(|kept| kept.column != field.column);
                self.changes.push(SchemaChange::FieldRemoved { type_name, field: name });
            } else {
                let found = self.schema.display_field(field);
                self.refusals.push(Refusal::LacksField { type_name, field: name, found });
            }
        }
    }

    /// A declared shape with the chain's numbers.
    fn translated(&mut self, shape: &Shape) -> Shape {
        let mut shape = shape.clone();
        for kind in shape.kinds_mut() {
            match kind {
                ValueKind::Key(id) | ValueKind::Component(id) => {
                    *id = self.place(self.declared.schema().get(*id));
                }
                ValueKind::Dedup(id) => *id = self.place_text(*id),
                _ => {}
            }
        }
        shape
    }

    /// The component type of a deduplicated text.
    fn place_text(&mut self, declared: TypeId) -> TypeId {
        let schema = self.declared.schema().get(declared);
        let id = self.place(schema);
        let placed = &mut self.schema.types[id.index()];
        if placed.fields.is_empty() {
            placed.fields.clone_from(&schema.fields);
            placed.fields[0].column = ColumnId(placed.next_column);
            placed.next_column += 1;
        }
        id
    }

    fn check(&mut self) {
        let columns = self.schema.types.iter().map(|schema| schema.fields.len()).sum();
        let counts = [
            ("types", self.schema.types.len(), limits::TYPES),
            ("columns", columns, limits::COLUMNS),
            ("bytes of names in its schema", self.schema.stored_bytes(), limits::SCHEMA_BYTES),
        ];
        for (what, found, max) in counts.into_iter().filter(|(_, found, max)| found > max) {
            self.refusals.push(Refusal::TooMany { what, found, max });
        }
        if self.refusals.is_empty() {
            let roots = self.schema.iter().filter(|(_, schema)| schema.is_root() && !schema.fields.is_empty());
            let unsound = roots.filter_map(|(id, _)| self.schema.key_form(id).err()).map(Refusal::Key);
            self.refusals.extend(unsound.collect::<Vec<_>>());
        }
    }
}

fn dedup_types(schema: &TypeSchema) -> impl Iterator<Item = TypeId> {
    schema.fields.iter().flat_map(|field| field.shape.kinds()).filter_map(|kind| match kind {
        ValueKind::Dedup(id) => Some(*id),
        _ => None,
    })
}

/// What holds both; none if the declared shape holds less than the stored one, or something else.
fn widened(chain: &Schema, declared: &Schema, stored: &Shape, wanted: &Shape) -> Option<Shape> {
    let kind = |stored, wanted| widened_kind(chain, declared, stored, wanted);
    Some(match (stored, wanted) {
        (Shape::One(stored), Shape::One(wanted)) => Shape::One(kind(stored, wanted)?),
        (Shape::List(stored), Shape::List(wanted)) => Shape::List(kind(stored, wanted)?),
        (Shape::Set(stored), Shape::Set(wanted)) => Shape::Set(kind(stored, wanted)?),
        (Shape::Map(stored_key, stored), Shape::Map(wanted_key, wanted)) => {
            Shape::Map(kind(stored_key, wanted_key)?, kind(stored, wanted)?)
        }
        _ => return None,
    })
}

fn widened_kind(chain: &Schema, declared: &Schema, stored: &ValueKind, wanted: &ValueKind) -> Option<ValueKind> {
    use ValueKind::{Component, Dedup, Enum, Int, Key, UInt};
    match (stored, wanted) {
        (Int(old), Int(new)) | (UInt(old), UInt(new)) if old <= new => Some(wanted.clone()),
        (UInt(old), Int(new)) if old < new => Some(wanted.clone()),
        (Enum(known), Enum(wanted)) => {
            let fresh = wanted.iter().filter(|name| !known.contains(name));
            Some(Enum(known.iter().chain(fresh).cloned().collect()))
        }
        // Its type is named after the field that had it first, which may have had another name.
        (Dedup(_), Dedup(_)) => Some(stored.clone()),
        (Key(old), Key(new)) | (Component(old), Component(new)) => {
            (chain.get(*old).name == declared.get(*new).name).then(|| stored.clone())
        }
        (Int(_) | UInt(_), _) => None,
        _ => (stored == wanted).then(|| stored.clone()),
    }
}

/// A field's type with its enums' variants left out: they are reported one by one.
fn plain(schema: &Schema, field: &Field) -> String {
    let mut field = field.clone();
    for kind in field.shape.kinds_mut() {
        if let ValueKind::Enum(names) = kind {
            names.clear();
        }
    }
    schema.display_field(&field)
}
