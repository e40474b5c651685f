//! Keys of rows that are not in a table yet.
//!
//! The same canonical keys as [`cenote_state::keys`] makes from stored records, from a user's row: a key of one
//! integer or bool is an image, one of a string, enum (its name) or byte field is its bytes, several parts stand one
//! after another.

use cenote_state::ids::{Ordinal, TypeId};
use cenote_state::keys::KeyRef;
use cenote_state::row::Row;
use cenote_state::schema::{KeyError, KeyForm, Schema, Shape, ValueKind};

use crate::plan::ordinal_in;

/// Where the records are that a row refers to.
pub(crate) trait Components {
    /// Appends the canonical bytes of one field of a component.
    fn cell(&self, id: TypeId, ordinal: Ordinal, field: usize, out: &mut Vec<u8>);
}

/// How a type's key is read from its rows, and how it is shown.
pub(crate) struct KeyReader {
    parts: Vec<Part>,
    leaves: Vec<Leaf>,
}

struct Part {
    /// Fields of component references on the way to the part, and the type that each leads to.
    through: Vec<(usize, TypeId)>,
    field: usize,
    reading: Reading,
}

enum Reading {
    Image,
    Bytes,
    /// Text of a component type with one field.
    Dedup(TypeId),
    /// An enum is its name in a key.
    Name(Vec<String>),
    /// A key of several parts stands in the key as it is.
    Composite,
}

/// What one part is, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaf {
    Bool,
    Signed,
    Unsigned,
    Text,
    Bytes,
}

/// A key that was read, in a buffer that is reused.
#[derive(Default)]
pub(crate) struct KeyBuffer {
    image: Option<u64>,
    bytes: Vec<u8>,
    part: Vec<u8>,
}

impl KeyBuffer {
    /// The key.
    pub(crate) fn get(&self) -> KeyRef<'_> {
        match self.image {
            Some(image) => KeyRef::Image(image),
            None => KeyRef::Bytes(&self.bytes),
        }
    }
}

/// A key as one byte string: keys of one type have one form, so these are equal where the keys are.
pub(crate) fn key_bytes<R>(key: KeyRef<'_>, use_bytes: impl FnOnce(&[u8]) -> R) -> R {
    match key {
        KeyRef::Image(image) => use_bytes(&image.to_le_bytes()),
        KeyRef::Bytes(bytes) => use_bytes(bytes),
    }
}

impl KeyReader {
    /// The reader for a root type.
    pub(crate) fn new(schema: &Schema, id: TypeId) -> Result<KeyReader, KeyError> {
        // Checks every path, and that no key leads back to itself.
        schema.key_form(id)?;
        let parts = schema.get(id).key_paths().iter().map(|path| part(schema, id, path));
        let mut leaves = Vec::new();
        collect_leaves(schema, id, &mut leaves);
        Ok(KeyReader { parts: parts.collect::<Result<_, _>>()?, leaves })
    }

    /// Whether the field takes part in the key.
    pub(crate) fn has_field(&self, field: usize) -> bool {
        self.parts.iter().any(|part| part.through.first().map_or(part.field, |(first, _)| *first) == field)
    }

    /// Reads the key of a row.
    pub(crate) fn read(&self, row: &Row, components: &impl Components, key: &mut KeyBuffer) {
        let alone = self.parts.len() == 1;
        key.bytes.clear();
        key.image = None;
        for part in &self.parts {
            let mut bytes = std::mem::take(&mut key.part);
            bytes.clear();
            part.read(row, components, &mut bytes);
            match part.reading {
                Reading::Image if alone => {
                    let image = bytes.as_slice().try_into().expect("an image has eight canonical bytes");
                    key.image = Some(u64::from_le_bytes(image));
                }
                Reading::Bytes | Reading::Dedup(_) | Reading::Name(_) if !alone => {
                    key.bytes.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
                    key.bytes.extend_from_slice(&bytes);
                }
                _ => key.bytes.extend_from_slice(&bytes),
            }
            key.part = bytes;
        }
    }

    /// The key for people: `17`, `nl`, `nl, 17`. `key` is as [`key_bytes`] gives it.
    pub(crate) fn display(&self, key: &[u8]) -> String {
        let alone = self.leaves.len() == 1;
        let mut rest = key;
        let shown = self.leaves.iter().map(|leaf| leaf.take(&mut rest, alone).unwrap_or_else(|| "?".to_owned()));
        shown.collect::<Vec<_>>().join(", ")
    }
}

impl Part {
    fn read(&self, row: &Row, components: &impl Components, out: &mut Vec<u8>) {
        let first = self.through.first().map_or(self.field, |(field, _)| *field);
        out.extend_from_slice(row.cell(first).expect("a key field always has a value"));
        let fields = self.through.iter().skip(1).map(|(field, _)| *field).chain([self.field]);
        for ((_, component), field) in self.through.iter().zip(fields) {
            follow(components, *component, field, out);
        }
        match &self.reading {
            Reading::Dedup(component) => follow(components, *component, 0, out),
            Reading::Name(names) => {
                let index = out.as_slice().try_into().map_or(usize::MAX, |image| u64::from_le_bytes(image) as usize);
                out.clear();
                out.extend_from_slice(names.get(index).map_or(&[], |name| name.as_bytes()));
            }
            Reading::Image | Reading::Bytes | Reading::Composite => {}
        }
    }
}

/// Replaces a reference by a field of the record that it leads to.
fn follow(components: &impl Components, id: TypeId, field: usize, out: &mut Vec<u8>) {
    let ordinal = ordinal_in(out);
    out.clear();
    components.cell(id, ordinal, field, out);
}

impl Leaf {
    fn take(self, rest: &mut &[u8], alone: bool) -> Option<String> {
        let len = match self {
            Leaf::Bool | Leaf::Signed | Leaf::Unsigned => 8,
            Leaf::Text | Leaf::Bytes if alone => rest.len(),
            Leaf::Text | Leaf::Bytes => {
                let (len, after) = rest.split_first_chunk::<4>()?;
                *rest = after;
                u32::from_le_bytes(*len) as usize
            }
        };
        let (bytes, after) = rest.split_at_checked(len)?;
        *rest = after;
        let image = || bytes.try_into().ok().map(u64::from_le_bytes);
        Some(match self {
            Leaf::Bool => (image()? != 0).to_string(),
            Leaf::Signed => (image()? as i64).to_string(),
            Leaf::Unsigned => image()?.to_string(),
            Leaf::Text => String::from_utf8_lossy(bytes).into_owned(),
            Leaf::Bytes => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }
}

fn part(schema: &Schema, id: TypeId, path: &[String]) -> Result<Part, KeyError> {
    let (through, field, kind) = resolve(schema, id, path);
    let reading = match kind {
        ValueKind::Bool | ValueKind::Int(_) | ValueKind::UInt(_) => Reading::Image,
        ValueKind::Dedup(component) => Reading::Dedup(*component),
        ValueKind::Enum(names) => Reading::Name(names.clone()),
        ValueKind::Key(target) => match schema.key_form(*target)? {
            KeyForm::Image => Reading::Image,
            KeyForm::Text | KeyForm::Bytes => Reading::Bytes,
            KeyForm::Composite(_) => Reading::Composite,
        },
        _ => Reading::Bytes,
    };
    Ok(Part { through, field, reading })
}

/// Follows a key path to its field. The path was checked.
fn resolve<'s>(schema: &'s Schema, id: TypeId, path: &[String]) -> (Vec<(usize, TypeId)>, usize, &'s ValueKind) {
    let mut at = id;
    let mut through = Vec::new();
    let mut found = None;
    for name in path {
        let field = schema.get(at).field(name).expect("the key's paths were checked");
        let Shape::One(kind) = &schema.get(at).fields[field].shape else {
            unreachable!("the key's paths were checked to lead through single values")
        };
        if let ValueKind::Component(next) = kind {
            through.push((field, *next));
            at = *next;
        }
        found = Some((field, kind));
    }
    let (field, kind) = found.expect("a key path has a name");
    (through, field, kind)
}

fn collect_leaves(schema: &Schema, id: TypeId, leaves: &mut Vec<Leaf>) {
    for path in schema.get(id).key_paths() {
        match resolve(schema, id, path).2 {
            ValueKind::Bool => leaves.push(Leaf::Bool),
            ValueKind::Int(_) => leaves.push(Leaf::Signed),
            ValueKind::UInt(_) => leaves.push(Leaf::Unsigned),
            ValueKind::Bytes => leaves.push(Leaf::Bytes),
            ValueKind::Key(target) => collect_leaves(schema, *target, leaves),
            _ => leaves.push(Leaf::Text),
        }
    }
}
