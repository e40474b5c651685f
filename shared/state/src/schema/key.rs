//! What a root's key is made of, and its canonical bytes.
//!
//! A key of one integer or bool is an *image*: 64 bits, sign-extended. A key of one string, enum (by name) or byte
//! field is its bytes. Several parts stand one after another: images as 8 bytes, the others as length and bytes.
//! A `Key<T>` inside a key counts as T's parts.

use crate::ids::TypeId;

use super::{Schema, Shape, TypeKind, ValueKind};

/// The form of a type's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyForm {
    /// One integer or bool: compared and hashed as 64 bits.
    Image,
    /// One string or enum.
    Text,
    /// One byte field.
    Bytes,
    /// Several parts, each one of the above.
    Composite(Vec<KeyForm>),
}

/// Why a type's key can't be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A path that leads nowhere.
    #[error(
        "type {type_name}: the key names {path}, which is not a field; name fields of the record, or of its components with a dot"
    )]
    Missing {
        /// The type.
        type_name: String,
        /// The path as written.
        path: String,
    },
    /// A part that can be absent.
    #[error(
        "type {type_name}: the key field {path} is optional; a key must always be there, so declare it without Option"
    )]
    Optional {
        /// The type.
        type_name: String,
        /// The path as written.
        path: String,
    },
    /// A part of a kind that can't identify.
    #[error("type {type_name}: the key field {path} is {found}; use integers, bool, String, bytes, enums or Key")]
    Kind {
        /// The type.
        type_name: String,
        /// The path as written.
        path: String,
        /// What it is.
        found: String,
    },
    /// A part that is packed.
    #[error("type {type_name}: the key field {path} is packed; a key is read at every look-up, so leave it plain")]
    Packed {
        /// The type.
        type_name: String,
        /// The path as written.
        path: String,
    },
    /// A key that contains itself.
    #[error(
        "type {type_name}: the key contains a Key that leads back to {type_name}; identify the record by its own fields"
    )]
    Circular {
        /// The type.
        type_name: String,
    },
    /// A root without key parts, or a key asked of a component.
    #[error("type {type_name} has no key; write #[record(key = \"field\")], or refer to it as a component")]
    NoKey {
        /// The type.
        type_name: String,
    },
}

impl KeyForm {
    fn of_leaf(kind: &ValueKind) -> KeyForm {
        match kind {
            ValueKind::Bool | ValueKind::Int(_) | ValueKind::UInt(_) => KeyForm::Image,
            ValueKind::String | ValueKind::Dedup(_) | ValueKind::Enum(_) => KeyForm::Text,
            ValueKind::Bytes => KeyForm::Bytes,
            ValueKind::Key(_) | ValueKind::F32 | ValueKind::F64 | ValueKind::Component(_) => {
                unreachable!("key_part refuses these kinds, and a key's leaves are no keys")
            }
        }
    }
}

impl Schema {
    /// The form of a root type's key.
    ///
    /// # Errors
    /// If the type has no key, or one that can't be one.
    pub fn key_form(&self, id: TypeId) -> Result<KeyForm, KeyError> {
        let leaves = self.key_leaves(id)?;
        let mut parts: Vec<KeyForm> = leaves.into_iter().map(KeyForm::of_leaf).collect();
        Ok(if parts.len() == 1 { parts.remove(0) } else { KeyForm::Composite(parts) })
    }

    /// The kinds of the parts of a root type's key: at least one, and no keys among them, because those of a `Key<T>` are
    /// the parts of T's key.
    ///
    /// # Errors
    /// If the type has no key, or one that can't be one.
    pub fn key_leaves(&self, id: TypeId) -> Result<Vec<&ValueKind>, KeyError> {
        let mut leaves = Vec::new();
        self.collect_leaves(id, &mut Vec::new(), &mut leaves)?;
        if leaves.is_empty() {
            return Err(KeyError::NoKey { type_name: self.get(id).name.clone() });
        }
        Ok(leaves)
    }

    fn collect_leaves<'s>(
        &'s self,
        id: TypeId,
        within: &mut Vec<TypeId>,
        leaves: &mut Vec<&'s ValueKind>,
    ) -> Result<(), KeyError> {
        let schema = self.get(id);
        if within.contains(&id) {
            return Err(KeyError::Circular { type_name: schema.name.clone() });
        }
        let TypeKind::Root { key } = &schema.kind else {
            return Err(KeyError::NoKey { type_name: schema.name.clone() });
        };
        within.push(id);
        for path in key {
            match self.key_part(id, path)? {
                ValueKind::Key(target) => self.collect_leaves(*target, within, leaves)?,
                leaf => leaves.push(leaf),
            }
        }
        within.pop();
        Ok(())
    }

    /// The kind at the end of a key path; every step checked.
    pub(crate) fn key_part(&self, id: TypeId, path: &[String]) -> Result<&ValueKind, KeyError> {
        let type_name = || self.get(id).name.clone();
        let written = || path.join(".");
        let mut at = id;
        for (depth, name) in path.iter().enumerate() {
            let field = self.get(at).fields.iter().find(|field| field.name == *name);
            let field = field.ok_or_else(|| KeyError::Missing { type_name: type_name(), path: written() })?;
            if field.optional {
                return Err(KeyError::Optional { type_name: type_name(), path: written() });
            }
            if field.is_packed() {
                return Err(KeyError::Packed { type_name: type_name(), path: written() });
            }
            let wrong = || KeyError::Kind { type_name: type_name(), path: written(), found: self.display_field(field) };
            match &field.shape {
                Shape::One(ValueKind::Component(next)) if depth + 1 < path.len() => at = *next,
                Shape::One(ValueKind::Component(_) | ValueKind::F32 | ValueKind::F64) => return Err(wrong()),
                Shape::One(kind) if depth + 1 == path.len() => return Ok(kind),
                Shape::One(_) => return Err(KeyError::Missing { type_name: type_name(), path: written() }),
                _ => return Err(wrong()),
            }
        }
        Err(KeyError::Missing { type_name: type_name(), path: written() })
    }
}
