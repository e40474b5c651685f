//! A schema from the text that it is shown as: a line for a type, a line for each of its fields, indented.
//!
//! Types and columns are numbered in the order of the text: what comes out is a schema to declare, which meets a dataset's by
//! name. Deduplicated text is a field with a type of its own, named after the field, which the text may leave out.

use std::str::FromStr;

use super::{Field, PACKED, PLAIN, Schema, Shape, TypeKind, TypeSchema, ValueKind};
use crate::ids::{ColumnId, TypeId};

/// A text that is no schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct SchemaTextError {
    /// The line, or the type and field.
    pub place: String,
    /// What is wrong, and what to write.
    pub what: String,
}

/// A type as text: its name, the key's paths, and each field's name and type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypeText {
    /// The type's name.
    pub name: String,
    /// The key's paths; empty for a component.
    pub key: Vec<Vec<String>>,
    /// Names and types, like `cast` and `Vec<Movie.cast>`.
    pub fields: Vec<(String, String)>,
}

impl FromStr for Schema {
    type Err = SchemaTextError;

    /// Reads what a schema's `Display` writes.
    fn from_str(text: &str) -> Result<Schema, SchemaTextError> {
        let mut types: Vec<TypeText> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let wrong = |what: &str| SchemaTextError { place: format!("line {number}"), what: what.to_owned() };
            if line.trim().is_empty() {
                continue;
            }
            if !line.starts_with([' ', '\t']) {
                types.push(TypeText::of_head(line).ok_or_else(|| {
                    wrong("a type is written as `Movie (root, key id)` or `Actor (component)`, its fields below it, indented")
                })?);
                continue;
            }
            let field = line.trim().split_once(": ");
            let (name, of_field) = field.ok_or_else(|| wrong("a field is written as `name: String`"))?;
            let of_type = types.last_mut().ok_or_else(|| wrong("a field without a type above it"))?;
            of_type.fields.push((name.to_owned(), of_field.to_owned()));
        }
        Schema::of_texts(&types)
    }
}

impl TypeText {
    fn of_head(line: &str) -> Option<TypeText> {
        let (name, kind) = line.trim_end().strip_suffix(')')?.rsplit_once(" (")?;
        let key = match kind {
            "component" => Vec::new(),
            root => root.strip_prefix("root, key ")?.split(", ").map(split).collect(),
        };
        Some(TypeText { name: name.to_owned(), key, fields: Vec::new() })
    }
}

fn split(path: &str) -> Vec<String> {
    path.split('.').map(str::to_owned).collect()
}

impl Schema {
    /// From types as texts.
    ///
    /// [Example](Schema#example)
    ///
    /// # Errors
    /// The first text that can't be read, or what makes the schema unfit for use.
    pub fn of_texts(types: &[TypeText]) -> Result<Schema, SchemaTextError> {
        let mut schema = Schema::default();
        for of_type in types {
            let kind = match of_type.key.as_slice() {
                [] => TypeKind::Component,
                key => TypeKind::Root { key: key.to_vec() },
            };
            if schema.find(&of_type.name).is_some() {
                let what = "there is another type of this name; rename one".to_owned();
                return Err(SchemaTextError { place: format!("type {}", of_type.name), what });
            }
            schema.types.push(TypeSchema {
                name: of_type.name.clone(),
                kind,
                fields: Vec::new(),
                next_column: 0,
                segment_rows_log2: 0,
            });
        }
        for (index, of_type) in types.iter().enumerate() {
            for (name, text) in &of_type.fields {
                let full = format!("{}.{name}", of_type.name);
                let wrong = |what| SchemaTextError { place: full.clone(), what };
                let (optional, shape, encoding) = schema.field_of_text(&full, text).map_err(wrong)?;
                let of_type = &mut schema.types[index];
                let column = ColumnId(of_type.next_column);
                of_type.next_column = of_type.next_column.saturating_add(1);
                of_type.fields.push(Field { name: name.clone(), column, optional, sparse: optional, shape, encoding });
            }
        }
        schema.check().map_err(|what| SchemaTextError { place: "the schema".to_owned(), what })?;
        Ok(schema)
    }

    fn field_of_text(&mut self, full: &str, text: &str) -> Result<(bool, Shape, u8), String> {
        let within = |text: &str, name: &str| -> Option<String> {
            Some(text.strip_prefix(name)?.strip_prefix('<')?.strip_suffix('>')?.to_owned())
        };
        let inner = within(text, "Option");
        let (optional, text) = (inner.is_some(), inner.as_deref().unwrap_or(text));
        if text == "String (packed)" {
            return Ok((optional, Shape::One(ValueKind::String), PACKED));
        }
        let mut kind = |text: &str| self.kind_of_text(full, text.trim());
        let shape = if let Some(element) = within(text, "Vec").filter(|element| element != "u8") {
            Shape::List(kind(&element)?)
        } else if let Some(element) = within(text, "BTreeSet") {
            Shape::Set(kind(&element)?)
        } else if let Some(entry) = within(text, "BTreeMap") {
            let (key, value) = entry.split_once(", ").ok_or("a map is written as BTreeMap<String, i64>")?;
            Shape::Map(kind(key)?, kind(value)?)
        } else {
            Shape::One(kind(text)?)
        };
        Ok((optional, shape, PLAIN))
    }

    fn kind_of_text(&mut self, full: &str, text: &str) -> Result<ValueKind, String> {
        Ok(match text {
            "bool" => ValueKind::Bool,
            "i8" | "i16" | "i32" | "i64" => ValueKind::Int(bytes(text)),
            "u8" | "u16" | "u32" | "u64" => ValueKind::UInt(bytes(text)),
            "f32" => ValueKind::F32,
            "f64" => ValueKind::F64,
            "String" => ValueKind::String,
            "Vec<u8>" => ValueKind::Bytes,
            "String (dedup)" => ValueKind::Dedup(self.text_type(full)),
            _ => return self.other_kind_of_text(text),
        })
    }

    fn other_kind_of_text(&self, text: &str) -> Result<ValueKind, String> {
        if let Some(names) = text.strip_prefix("enum { ").and_then(|names| names.strip_suffix(" }")) {
            return Ok(ValueKind::Enum(names.split(", ").map(str::to_owned).collect()));
        }
        let target = text.strip_prefix("Key<").and_then(|name| name.strip_suffix('>'));
        let id = self.find(target.unwrap_or(text)).ok_or_else(|| {
            format!(
                "there is no type {text}; write bool, i8 to i64, u8 to u64, f32, f64, String, String (dedup), String \
                 (packed), Vec<u8>, enum {{ A, B }}, Key<Root>, a component type of the text, or Option, Vec, BTreeSet or \
                 BTreeMap of these"
            )
        })?;
        Ok(if target.is_some() { ValueKind::Key(id) } else { ValueKind::Component(id) })
    }

    /// The component type of deduplicated text.
    fn text_type(&mut self, full: &str) -> TypeId {
        self.find(full).unwrap_or_else(|| {
            let (name, shape) = ("value".to_owned(), Shape::One(ValueKind::String));
            let value = Field { name, column: ColumnId(0), optional: false, sparse: false, shape, encoding: PLAIN };
            self.types.push(TypeSchema {
                name: full.to_owned(),
                kind: TypeKind::Component,
                fields: vec![value],
                next_column: 1,
                segment_rows_log2: 0,
            });
            TypeId(self.types.len() as u16 - 1)
        })
    }

    /// The types as texts; removed types are left out.
    ///
    /// [Example](Schema#example)
    #[must_use]
    pub fn to_texts(&self) -> Vec<TypeText> {
        let present = self.types.iter().filter(|of_type| !of_type.fields.is_empty());
        let texts = present.map(|of_type| TypeText {
            name: of_type.name.clone(),
            key: of_type.key_paths().to_vec(),
            fields: of_type.fields.iter().map(|field| (field.name.clone(), self.display_field(field))).collect(),
        });
        texts.collect()
    }
}

/// The bytes of an integer type, by its name.
fn bytes(name: &str) -> u8 {
    name[1..].parse().map_or(8, |bits: u8| bits / 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Movie (root, key id, at.code)\n    id: u32\n    at: Place\n    title: Option<String>\n    \
        country: String (dedup)\n    plot: Option<String (packed)>\n    poster: Vec<u8>\n    pages: Vec<Vec<u8>>\n    \
        genres: BTreeSet<enum { Drama, Comedy }>\n    sequels: Vec<Key<Movie>>\n    votes: BTreeMap<i8, Place>\n    \
        score: f64\n\
        Place (component)\n    code: String\n\
        Movie.country (component)\n    value: String\n";

    #[test]
    fn what_is_shown_can_be_read_again() {
        let schema: Schema = TEXT.parse().expect("a sound text");
        assert_eq!(schema.to_string(), TEXT);
        assert_eq!(Schema::of_texts(&schema.to_texts()).as_ref(), Ok(&schema));
        let without = TEXT.replace("Movie.country (component)\n    value: String\n", "");
        assert_eq!(without.parse().as_ref(), Ok(&schema), "the type of deduplicated text goes without saying");
    }

    #[test]
    fn what_is_no_schema_is_named() {
        let said = |text: &str| text.parse::<Schema>().expect_err(text).to_string();
        assert!(said("Movie\n    id: u32\n").starts_with("line 1: a type is written as `Movie (root, key id)`"));
        assert_eq!(said("    id: u32\n"), "line 1: a field without a type above it");
        assert_eq!(said("A (root, key id)\n    id\n"), "line 2: a field is written as `name: String`");
        assert!(
            said("A (root, key id)\n    id: int\n").starts_with("A.id: there is no type int; write bool, i8 to i64")
        );
        assert_eq!(
            said("A (root, key id)\n    id: u8\nA (component)\n    x: u8\n"),
            "type A: there is another type of this name; rename one"
        );
        assert!(said("A (root, key no)\n    id: u8\n").starts_with("the schema: "));
    }
}
