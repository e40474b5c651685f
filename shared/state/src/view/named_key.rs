//! Keys without Rust types: shown to people, and read from what they type.

use serde_json::Value as Json;

use crate::ids::TypeId;
use crate::keys::{KeyBuf, KeyRef, from_hex};
use crate::record::Source;
use crate::row::push_sized;
use crate::schema::{KeyForm, ValueKind};
use crate::state::State;

use super::{NamedRecord, NamedTable, NamedValue};

/// The key of a root record, by name. The record may not exist.
///
/// # Example
/// ```
/// use cenote_consumer::View;
/// use cenote_consumer::dynamic::NamedKey;
///
/// fn show(view: &View, key: NamedKey<'_>) -> Option<()> {
///     println!("{} {:?}", key.type_name(), key.parts());
///     let record = key.get()?;
///     let same = view.named(key.type_name()).ok()?.get(key.canonical())?;
///     assert_eq!(record.ordinal(), same.ordinal());
///     Some(())
/// }
/// ```
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
    ///
    /// [Example](NamedTable#example)
    ///
    /// # Errors
    /// If the text is not a key of this type, or the type has no key.
    pub fn key_of_text(self, text: &str) -> Result<KeyBuf, NamedKeyError> {
        match self.key_kinds()?.as_slice() {
            [ValueKind::String | ValueKind::Dedup(_) | ValueKind::Enum(_) | ValueKind::Bytes] => {
                self.key_of_json(&Json::String(text.to_owned()))
            }
            _ => self.key_of_json(&serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.to_owned()))),
        }
    }

    /// The key in JSON: a number, a bool or a text (bytes in hexadecimal), or an array of several parts.
    ///
    /// [Example](NamedTable#example)
    ///
    /// # Errors
    /// If the value is not a key of this type, or the type has no key.
    pub fn key_of_json(self, json: &Json) -> Result<KeyBuf, NamedKeyError> {
        let kinds = self.key_kinds()?;
        if let [kind] = kinds.as_slice() {
            return self.part(kind, json);
        }
        let parts = json.as_array().map_or(std::slice::from_ref(json), Vec::as_slice);
        if parts.len() != kinds.len() {
            let (type_name, key) = self.names();
            return Err(NamedKeyError::Parts { type_name, key, expected: kinds.len(), found: parts.len() });
        }
        let mut bytes = Vec::new();
        for (kind, part) in kinds.iter().zip(parts) {
            match self.part(kind, part)? {
                KeyBuf::Scalar(scalar) => bytes.extend_from_slice(&scalar.to_le_bytes()),
                KeyBuf::Bytes(part) => push_sized(&part, &mut bytes),
            }
        }
        Ok(KeyBuf::Bytes(bytes))
    }

    /// The kinds of the key's parts; those of a `Key<T>` are T's.
    fn key_kinds(self) -> Result<Vec<&'v ValueKind>, NamedKeyError> {
        let no_key = |_| NamedKeyError::NoKey { type_name: self.schema().name.clone() };
        self.state.schema().key_leaves(self.id).map_err(no_key)
    }

    fn part(self, kind: &ValueKind, json: &Json) -> Result<KeyBuf, NamedKeyError> {
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

fn part(kind: &ValueKind, json: &Json) -> Option<KeyBuf> {
    Some(match kind {
        ValueKind::Bool => KeyBuf::Scalar(u64::from(json.as_bool()?)),
        ValueKind::Int(bytes) => {
            let (number, spare) = (json.as_i64()?, 64 - 8 * u32::from(*bytes));
            (number << spare >> spare == number).then_some(KeyBuf::Scalar(number.cast_unsigned()))?
        }
        ValueKind::UInt(bytes) => {
            let (number, spare) = (json.as_u64()?, 64 - 8 * u32::from(*bytes));
            (number << spare >> spare == number).then_some(KeyBuf::Scalar(number))?
        }
        ValueKind::Bytes => KeyBuf::Bytes(from_hex(json.as_str()?)?),
        _ => KeyBuf::Bytes(json.as_str()?.as_bytes().to_vec()),
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

impl<'v> NamedKey<'v> {
    pub(super) fn read(state: &'v State, root: TypeId, source: impl Source<'v>) -> NamedKey<'v> {
        let key = match state.schema().key_form(root) {
            Ok(KeyForm::Scalar) => KeyRef::Scalar(source.scalar()),
            Ok(KeyForm::Text) => KeyRef::Bytes(source.text().as_bytes()),
            Ok(KeyForm::Bytes | KeyForm::Composite(_)) => KeyRef::Bytes(source.bytes()),
            Err(_) => KeyRef::Bytes(&[]),
        };
        NamedKey { state, root, key }
    }

    /// The root type that it refers to.
    ///
    /// [Example](NamedKey#example)
    #[must_use]
    pub fn type_name(self) -> &'v str {
        &self.state.schema().get(self.root).name
    }

    /// The canonical key.
    ///
    /// [Example](NamedKey#example)
    #[must_use]
    pub fn canonical(self) -> KeyRef<'v> {
        self.key
    }

    /// The record, if it is there.
    ///
    /// [Example](NamedKey#example)
    #[must_use]
    pub fn get(self) -> Option<NamedRecord<'v>> {
        NamedTable { state: self.state, id: self.root }.get(self.key)
    }

    /// Its parts; fewer if its bytes don't bear them out.
    ///
    /// [Example](NamedKey#example)
    #[must_use]
    pub fn parts(self) -> Vec<NamedValue<'v>> {
        let kinds = self.state.schema().key_leaves(self.root).unwrap_or_default();
        kinds.iter().zip(self.key.parts(&kinds)).map(|(kind, part)| shown(kind, part)).collect()
    }
}

fn shown<'v>(kind: &ValueKind, part: KeyRef<'v>) -> NamedValue<'v> {
    match (kind, part) {
        (ValueKind::Bool, KeyRef::Scalar(scalar)) => NamedValue::Bool(scalar != 0),
        (ValueKind::Int(_), KeyRef::Scalar(scalar)) => NamedValue::Int(scalar.cast_signed()),
        (_, KeyRef::Scalar(scalar)) => NamedValue::UInt(scalar),
        (kind, KeyRef::Bytes(bytes)) => match (kind, std::str::from_utf8(bytes)) {
            (ValueKind::Bytes, _) | (_, Err(_)) => NamedValue::Bytes(bytes),
            (ValueKind::Enum(_), Ok(name)) => NamedValue::Variant(name),
            (_, Ok(text)) => NamedValue::Text(text),
        },
    }
}

impl std::fmt::Debug for NamedKey<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key<{}>", self.type_name())?;
        f.debug_list().entries(self.parts()).finish()
    }
}
