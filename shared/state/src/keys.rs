//! Keys: what a look-up brings, and how it is compared with the key in a row.
//!
//! The plan is made once per type and schema. A key of one plain field, which is nearly every key, is compared in
//! place; one of several parts, or through components, is put together from the row first.

use std::borrow::Cow;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::ids::{Ordinal, TypeId};
use crate::layout::{Form, Layout};
use crate::schema::{KeyError, KeyForm, Schema, Shape, ValueKind};
use crate::segment::RowAt;
use crate::state::State;

/// A key in canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRef<'a> {
    /// One integer or bool.
    Image(u64),
    /// One string, enum (its variant's name) or byte field; or several parts: see
    /// [`KeyForm`].
    Bytes(&'a [u8]),
}

/// A key in canonical form that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyBuf {
    /// One integer or bool.
    Image(u64),
    /// Anything else.
    Bytes(Vec<u8>),
}

impl KeyBuf {
    /// The same, borrowed.
    #[must_use]
    pub fn as_ref(&self) -> KeyRef<'_> {
        match self {
            KeyBuf::Image(image) => KeyRef::Image(*image),
            KeyBuf::Bytes(bytes) => KeyRef::Bytes(bytes),
        }
    }
}

impl KeyRef<'_> {
    /// The seeded hash by which the key index finds it. Authors of records do not know the seed.
    #[inline(always)]
    #[must_use]
    pub fn hash(self, seed: u64) -> u64 {
        match self {
            KeyRef::Image(image) => {
                // A folded multiply: every bit of the key reaches every part of the hash that the index uses.
                let wide = u128::from(image ^ seed) * u128::from(seed.rotate_left(32) | 1 | 1 << 63);
                let folded = (wide as u64) ^ (wide >> 64) as u64;
                folded.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ folded >> 29
            }
            KeyRef::Bytes(bytes) => xxh3_64_with_seed(bytes, seed),
        }
    }

    /// The same, owned.
    #[must_use]
    pub fn to_buf(self) -> KeyBuf {
        match self {
            KeyRef::Image(image) => KeyBuf::Image(image),
            KeyRef::Bytes(bytes) => KeyBuf::Bytes(bytes.to_vec()),
        }
    }
}

/// How a type's key is read from its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPlan {
    direct: Direct,
    parts: Vec<Part>,
}

/// The short way to compare a key of one plain field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direct {
    /// A number in this slot.
    Image(usize),
    /// Text in this field.
    Text(usize),
    /// There is none.
    No,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    /// Fields of component references, from the row to the record that holds the part; the type that each leads to.
    through: Vec<(usize, TypeId)>,
    /// The part's own field.
    field: usize,
    reading: Reading,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Reading {
    Image,
    Text,
    Bytes,
    /// Text of a component type with one field.
    Dedup(TypeId),
    /// An enum is its name in a key, so that programs with other numbers mean the same.
    Name(Vec<String>),
    /// A key of several parts stands in the key as it is.
    Composite,
}

impl KeyPlan {
    /// The plan for a root type of this layout.
    pub fn new(schema: &Schema, id: TypeId, layout: &Layout) -> Result<KeyPlan, KeyError> {
        // Checks every path, and that no key leads back to itself.
        schema.key_form(id)?;
        let paths = schema.get(id).key_paths();
        let parts = paths.iter().map(|path| part(schema, id, path)).collect::<Result<Vec<_>, _>>()?;
        Ok(KeyPlan { direct: direct(&parts, layout), parts })
    }

    /// The fields of the root that its key depends on.
    pub fn fields(&self) -> impl Iterator<Item = usize> {
        self.parts.iter().map(|part| part.through.first().map_or(part.field, |(field, _)| *field))
    }

    /// The slot of a key that is one number.
    #[inline(always)]
    pub(crate) fn image_slot(&self) -> Option<usize> {
        match self.direct {
            Direct::Image(slot) => Some(slot),
            Direct::Text(_) | Direct::No => None,
        }
    }

    /// Whether the row has this key.
    #[must_use]
    pub fn matches(&self, row: RowAt<'_>, key: KeyRef<'_>, state: &State) -> bool {
        match (self.direct, key) {
            (Direct::Image(slot), KeyRef::Image(image)) => row.slot(slot) == image,
            (Direct::Text(field), KeyRef::Bytes(bytes)) => row.cell(field).text().as_bytes() == bytes,
            _ => self.with_key(row, state, |found| found == key),
        }
    }

    /// Hands the row's key to `use_key`, without copying a key of one part.
    pub fn with_key<R>(&self, row: RowAt<'_>, state: &State, use_key: impl FnOnce(KeyRef<'_>) -> R) -> R {
        if let [part] = self.parts.as_slice() {
            return match part.read(row, state) {
                Value::Image(image) => use_key(KeyRef::Image(image)),
                Value::Bytes(bytes, _) => use_key(KeyRef::Bytes(&bytes)),
            };
        }
        let mut key = Vec::new();
        for part in &self.parts {
            match part.read(row, state) {
                Value::Image(image) => key.extend_from_slice(&image.to_le_bytes()),
                Value::Bytes(bytes, framed) => {
                    if framed {
                        key.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
                    }
                    key.extend_from_slice(&bytes);
                }
            }
        }
        use_key(KeyRef::Bytes(&key))
    }
}

/// A part's value; byte-formed ones say whether they need their length before them among others.
enum Value<'s> {
    Image(u64),
    Bytes(Cow<'s, [u8]>, bool),
}

impl Part {
    fn read<'s>(&self, row: RowAt<'s>, state: &'s State) -> Value<'s> {
        let mut at = row;
        for (field, component) in &self.through {
            match component_row(state, *component, at.cell(*field).image()) {
                Some(next) => at = next,
                // Only a state that breaks its invariants gets here; an empty part matches no honest key.
                None => return Value::Bytes(Cow::Borrowed(&[]), true),
            }
        }
        let cell = at.cell(self.field);
        match &self.reading {
            Reading::Image => Value::Image(cell.image()),
            Reading::Text => Value::Bytes(Cow::Borrowed(cell.text().as_bytes()), true),
            Reading::Bytes => Value::Bytes(Cow::Borrowed(cell.bytes()), true),
            Reading::Composite => Value::Bytes(Cow::Borrowed(cell.bytes()), false),
            Reading::Dedup(component) => {
                let text = component_row(state, *component, cell.image()).map_or("", |row| row.cell(0).text());
                Value::Bytes(Cow::Borrowed(text.as_bytes()), true)
            }
            Reading::Name(names) => {
                let name = usize::try_from(cell.image()).ok().and_then(|index| names.get(index));
                Value::Bytes(Cow::Owned(name.map_or(Vec::new(), |name| name.clone().into_bytes())), true)
            }
        }
    }
}

fn direct(parts: &[Part], layout: &Layout) -> Direct {
    let [Part { through, field, reading }] = parts else { return Direct::No };
    match (reading, &layout.columns[*field].form) {
        _ if !through.is_empty() => Direct::No,
        (Reading::Image, Form::Image { slot, .. }) => Direct::Image(*slot),
        (Reading::Text, Form::Text(_)) => Direct::Text(*field),
        _ => Direct::No,
    }
}

fn component_row(state: &State, component: TypeId, image: u64) -> Option<RowAt<'_>> {
    state.table(component).row(Ordinal(u32::try_from(image).ok()?))
}

fn part(schema: &Schema, id: TypeId, path: &[String]) -> Result<Part, KeyError> {
    let reading = match schema.key_part(id, path)? {
        ValueKind::Bool | ValueKind::Int(_) | ValueKind::UInt(_) => Reading::Image,
        ValueKind::String => Reading::Text,
        ValueKind::Bytes => Reading::Bytes,
        ValueKind::Dedup(component) => Reading::Dedup(*component),
        ValueKind::Enum(names) => Reading::Name(names.clone()),
        ValueKind::Key(target) => match schema.key_form(*target)? {
            KeyForm::Image => Reading::Image,
            KeyForm::Text => Reading::Text,
            KeyForm::Bytes => Reading::Bytes,
            KeyForm::Composite(_) => Reading::Composite,
        },
        ValueKind::F32 | ValueKind::F64 | ValueKind::Component(_) => unreachable!("key_part refuses these kinds"),
    };
    let mut through = Vec::new();
    let mut at = id;
    let mut field = 0;
    for name in path {
        field = schema.get(at).field(name).expect("key_part found every field of the path");
        if let Shape::One(ValueKind::Component(next)) = schema.get(at).fields[field].shape {
            through.push((field, next));
            at = next;
        }
    }
    Ok(Part { through, field, reading })
}
