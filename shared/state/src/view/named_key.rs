//! Keys without Rust types: shown to people, and read from what they type.

use serde_json::Value as Json;

use crate::ids::TypeId;
use crate::keys::{KeyBuf, KeyRef};
use crate::record::Source;
use crate::schema::{KeyForm, Schema, ValueKind};
use crate::state::State;

use super::{NamedRecord, NamedTable, NamedValue};

/// The key of a root record, by name. The record may not exist.
#[derive(Clone, Copy)]
pub struct NamedKey<'v> {
    state: &'v State,
    root: TypeId,
    key: KeyRef<'v>,
}

/// What was typed is not a key of the type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NamedKeyError {
    /// The type has no key.
    #[error("{type_name} is a component and has no key; look at the records that hold it")]
    NoKey {
        /// The type.
        type_name: String,
    },
    /// Another number of parts.
    #[error("a key of {type_name} has {expected} parts, not {found}; write a JSON array in the order of ({key})")]
    Parts {
        /// The type.
        type_name: String,
        /// The key as declared.
        key: String,
        /// Parts of the key.
        expected: usize,
        /// Parts that were typed.
        found: usize,
    },
    /// A part of another kind.
    #[error("{found} is no {expected}, which the key ({key}) of {type_name} needs")]
    Part {
        /// The type.
        type_name: String,
        /// The key as declared.
        key: String,
        /// What it should be.
        expected: String,
        /// What was typed.
        found: String,
    },
}

impl<'v> NamedTable<'v> {
    /// The key that a person typed: the number or text itself (bytes in hexadecimal), or a JSON array of several parts.
    pub fn key_of_text(self, text: &str) -> Result<KeyBuf, NamedKeyError> {
        match self.key_kinds()?.as_slice() {
            [ValueKind::String | ValueKind::Dedup(_) | ValueKind::Enum(_) | ValueKind::Bytes] => {
                self.key_of_json(&Json::String(text.to_owned()))
            }
            _ => self.key_of_json(&serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.to_owned()))),
        }
    }

    /// The key in JSON: a number, a bool or a text (bytes in hexadecimal), or an array of several parts.
    pub fn key_of_json(self, json: &Json) -> Result<KeyBuf, NamedKeyError> {
        let kinds = self.key_kinds()?;
        if let [kind] = kinds.as_slice() {
            return match self.part(kind, json)? {
                Part::Image(image) => Ok(KeyBuf::Image(image)),
                Part::Bytes(bytes) => Ok(KeyBuf::Bytes(bytes)),
            };
        }
        let parts = json.as_array().map_or(std::slice::from_ref(json), Vec::as_slice);
        if parts.len() != kinds.len() {
            let (type_name, key) = self.names();
            return Err(NamedKeyError::Parts { type_name, key, expected: kinds.len(), found: parts.len() });
        }
        let mut bytes = Vec::new();
        for (kind, part) in kinds.iter().zip(parts) {
            match self.part(kind, part)? {
                Part::Image(image) => bytes.extend_from_slice(&image.to_le_bytes()),
                Part::Bytes(part) => {
                    bytes.extend_from_slice(&(part.len() as u32).to_le_bytes());
                    bytes.extend_from_slice(&part);
                }
            }
        }
        Ok(KeyBuf::Bytes(bytes))
    }

    /// The kinds of the key's parts; those of a `Key<T>` are T's.
    fn key_kinds(self) -> Result<Vec<&'v ValueKind>, NamedKeyError> {
        let kinds = key_kinds(self.state.schema(), self.id);
        if kinds.is_empty() {
            return Err(NamedKeyError::NoKey { type_name: self.schema().name.clone() });
        }
        Ok(kinds)
    }

    fn part(self, kind: &ValueKind, json: &Json) -> Result<Part, NamedKeyError> {
        part(kind, json).ok_or_else(|| {
            let (type_name, key) = self.names();
            let expected = expected(kind);
            NamedKeyError::Part { type_name, key, expected, found: json.to_string() }
        })
    }

    fn names(self) -> (String, String) {
        (self.schema().name.clone(), self.schema().written_key())
    }
}

enum Part {
    Image(u64),
    Bytes(Vec<u8>),
}

fn part(kind: &ValueKind, json: &Json) -> Option<Part> {
    Some(match kind {
        ValueKind::Bool => Part::Image(u64::from(json.as_bool()?)),
        ValueKind::Int(bytes) => {
            let (number, spare) = (json.as_i64()?, 64 - 8 * u32::from(*bytes));
            (number << spare >> spare == number).then_some(Part::Image(number.cast_unsigned()))?
        }
        ValueKind::UInt(bytes) => {
            let (number, spare) = (json.as_u64()?, 64 - 8 * u32::from(*bytes));
            (number << spare >> spare == number).then_some(Part::Image(number))?
        }
        ValueKind::Bytes => Part::Bytes(from_hex(json.as_str()?)?),
        _ => Part::Bytes(json.as_str()?.as_bytes().to_vec()),
    })
}

fn expected(kind: &ValueKind) -> String {
    match kind {
        ValueKind::Bool => "bool".into(),
        ValueKind::Int(bytes) => format!("i{}", 8 * u32::from(*bytes)),
        ValueKind::UInt(bytes) => format!("u{}", 8 * u32::from(*bytes)),
        ValueKind::Bytes => "hexadecimal text".into(),
        ValueKind::Enum(names) => format!("one of {}", names.join(", ")),
        _ => "text".into(),
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.chars().map(|digit| Some(digit.to_digit(16)? as u8)).collect::<Option<_>>()?;
    digits.len().is_multiple_of(2).then(|| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// The kinds of a root's key parts; none for a component, or for a key that the schema does not bear out.
pub(super) fn key_kinds(schema: &Schema, id: TypeId) -> Vec<&ValueKind> {
    let mut kinds = Vec::new();
    // This also checks that no key leads back to itself.
    if schema.key_form(id).is_err() {
        return kinds;
    }
    for path in schema.get(id).key_paths() {
        match schema.key_part(id, path) {
            Ok(ValueKind::Key(target)) => kinds.extend(key_kinds(schema, *target)),
            Ok(kind) => kinds.push(kind),
            Err(_) => return Vec::new(),
        }
    }
    kinds
}

impl<'v> NamedKey<'v> {
    pub(super) fn read(state: &'v State, root: TypeId, source: impl Source<'v>) -> NamedKey<'v> {
        let key = match state.schema().key_form(root) {
            Ok(KeyForm::Image) => KeyRef::Image(source.image()),
            Ok(KeyForm::Text) => KeyRef::Bytes(source.text().as_bytes()),
            Ok(KeyForm::Bytes | KeyForm::Composite(_)) => KeyRef::Bytes(source.bytes()),
            Err(_) => KeyRef::Bytes(&[]),
        };
        NamedKey { state, root, key }
    }

    /// The root type that it refers to.
    #[must_use]
    pub fn type_name(self) -> &'v str {
        &self.state.schema().get(self.root).name
    }

    /// The canonical key.
    #[must_use]
    pub fn canonical(self) -> KeyRef<'v> {
        self.key
    }

    /// The record, if it is there.
    #[must_use]
    pub fn get(self) -> Option<NamedRecord<'v>> {
        NamedTable { state: self.state, id: self.root }.get(self.key)
    }

    /// Its parts; fewer if its bytes don't bear them out.
    #[must_use]
    pub fn parts(self) -> Vec<NamedValue<'v>> {
        let kinds = key_kinds(self.state.schema(), self.root);
        let mut rest = match self.key {
            KeyRef::Image(image) => return kinds.first().map(|kind| image_part(kind, image)).into_iter().collect(),
            KeyRef::Bytes(bytes) => bytes,
        };
        if let [kind] = kinds.as_slice() {
            return vec![bytes_part(kind, rest)];
        }
        kinds.iter().map_while(|kind| take_part(kind, &mut rest)).collect()
    }
}

fn take_part<'v>(kind: &ValueKind, rest: &mut &'v [u8]) -> Option<NamedValue<'v>> {
    if matches!(kind, ValueKind::Bool | ValueKind::Int(_) | ValueKind::UInt(_)) {
        let (image, after) = rest.split_first_chunk()?;
        *rest = after;
        return Some(image_part(kind, u64::from_le_bytes(*image)));
    }
    let (length, after) = rest.split_first_chunk()?;
    let (part, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = after;
    Some(bytes_part(kind, part))
}

fn image_part(kind: &ValueKind, image: u64) -> NamedValue<'static> {
    match kind {
        ValueKind::Bool => NamedValue::Bool(image != 0),
        ValueKind::Int(_) => NamedValue::Int(image.cast_signed()),
        _ => NamedValue::UInt(image),
    }
}

fn bytes_part<'v>(kind: &ValueKind, bytes: &'v [u8]) -> NamedValue<'v> {
    match (kind, std::str::from_utf8(bytes)) {
        (ValueKind::Bytes, _) | (_, Err(_)) => NamedValue::Bytes(bytes),
        (ValueKind::Enum(_), Ok(name)) => NamedValue::Variant(name),
        (_, Ok(text)) => NamedValue::Text(text),
    }
}

impl std::fmt::Debug for NamedKey<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key<{}>", self.type_name())?;
        f.debug_list().entries(self.parts()).finish()
    }
}
