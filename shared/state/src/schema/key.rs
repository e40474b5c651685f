//! What a root's key is made of, and its canonical bytes.
//!
//! A key of one integer or bool is a *scalar*: 64 bits, sign-extended. A key of one string, enum (by name) or byte
//! field is its bytes. Several parts follow one another: scalars as 8 bytes, the others as length and bytes.
//! A `Key<T>` inside a key counts as T's parts.

use crate::ids::TypeId;

use super::{Schema, Shape, TypeKind, ValueKind};

/// The form of a type's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyForm {
    /// One integer or bool: compared and hashed as 64 bits.
    Scalar,
    /// One string or enum.
    Text,
    /// One byte field.
    Bytes,
    /// Several parts, each one of the above.
    Composite(Vec<KeyForm>),
}

/// Where a part of a key is: the way to it from the root's row, and how it is read there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPath {
    /// Fields of component references on the way, and the type that each leads to.
    pub through: Vec<(usize, TypeId)>,
    /// The part's field in the record that the way leads to.
    pub field: usize,
    /// How it is read.
    pub part: KeyPart,
}

/// How a part of a key is read from its cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPart {
    /// A number, or a `Key<T>` that is one.
    Scalar,
    /// Text, or a `Key<T>` that is text.
    Text,
    /// Bytes, or a `Key<T>` that is bytes.
    Bytes,
    /// Text of a component type with one field.
    Dedup(TypeId),
    /// An enum is its variant's name in a key, so that programs with other numbers mean the same.
    Name(Vec<String>),
    /// A `Key<T>` of several parts, which are parts of this key.
    Composite,
}

impl KeyPath {
    /// The field of the root's row that the part depends on.
    #[must_use]
    pub(crate) fn first_field(&self) -> usize {
        self.through.first().map_or(self.field, |(field, _)| *field)
    }

    /// The fields that the path leads through, each with its type; `root` is the key's type.
    pub fn fields(&self, root: TypeId) -> impl Iterator<Item = (TypeId, usize)> {
        let types = std::iter::once(root).chain(self.through.iter().map(|(_, next)| *next));
        types.zip(self.through.iter().map(|(field, _)| *field).chain([self.field]))
    }
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
    /// A root without key parts, or a component, which has no key.
    #[error("type {type_name} has no key; write #[record(key = \"field\")], or refer to it as a component")]
    NoKey {
        /// The type.
        type_name: String,
    },
}

impl KeyForm {
    fn of_leaf(kind: &ValueKind) -> KeyForm {
        match kind {
            ValueKind::Bool | ValueKind::Int(_) | ValueKind::UInt(_) => KeyForm::Scalar,
            ValueKind::String | ValueKind::Dedup(_) | ValueKind::Enum(_) => KeyForm::Text,
            ValueKind::Bytes => KeyForm::Bytes,
            ValueKind::Key(_) | ValueKind::F32 | ValueKind::F64 | ValueKind::Component(_) => {
                unreachable!("a path to one of these kinds is refused, and a key's leaves are no keys")
            }
        }
    }
}

impl Schema {
    /// The form of a root type's key.
    ///
    /// [Example](Schema#example)
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
    /// [Example](Schema#example)
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
            match self.follow(id, path)?.kind {
                ValueKind::Key(target) => self.collect_leaves(*target, within, leaves)?,
                leaf => leaves.push(leaf),
            }
        }
        within.pop();
        Ok(())
    }

    /// Where the parts of a root type's key are, in order; every step checked.
    ///
    /// # Errors
    /// If the type has no key, or one that can't be one.
    #[doc(hidden)]
    pub fn resolve_key(&self, id: TypeId) -> Result<Vec<KeyPath>, KeyError> {
        // Also finds a key that leads back to itself.
        self.key_leaves(id)?;
        let paths = self.get(id).key_paths().iter();
        paths
            .map(|path| {
                let Step { through, field, kind } = self.follow(id, path)?;
                let part = match kind {
                    ValueKind::Dedup(component) => KeyPart::Dedup(*component),
                    ValueKind::Enum(names) => KeyPart::Name(names.clone()),
                    ValueKind::Key(target) => match self.key_form(*target)? {
                        KeyForm::Scalar => KeyPart::Scalar,
                        KeyForm::Text => KeyPart::Text,
                        KeyForm::Bytes => KeyPart::Bytes,
                        KeyForm::Composite(_) => KeyPart::Composite,
                    },
                    leaf => match KeyForm::of_leaf(leaf) {
                        KeyForm::Scalar => KeyPart::Scalar,
                        KeyForm::Bytes => KeyPart::Bytes,
                        KeyForm::Text | KeyForm::Composite(_) => KeyPart::Text,
                    },
                };
                Ok(KeyPath { through, field, part })
            })
            .collect()
    }

    /// The fields that the path of a key's part names, each with its type, as far as the path leads.
    pub(crate) fn key_steps(&self, root: TypeId, path: &[String]) -> impl Iterator<Item = (TypeId, usize)> {
        let mut at = Some(root);
        path.iter().map_while(move |name| {
            let of = at?;
            let index = self.get(of).field(name)?;
            at = match self.get(of).fields[index].shape {
                Shape::One(ValueKind::Component(next)) => Some(next),
                _ => None,
            };
            Some((of, index))
        })
    }

    /// Follows the path of a key's part, with every step checked.
    fn follow(&self, id: TypeId, path: &[String]) -> Result<Step<'_>, KeyError> {
        let type_name = || self.get(id).name.clone();
        let written = || path.join(".");
        let missing = || KeyError::Missing { type_name: type_name(), path: written() };
        let mut through = Vec::new();
        for (depth, (of, index)) in self.key_steps(id, path).enumerate() {
            let field = &self.get(of).fields[index];
            if field.optional {
                return Err(KeyError::Optional { type_name: type_name(), path: written() });
            }
            if field.is_packed() {
                return Err(KeyError::Packed { type_name: type_name(), path: written() });
            }
            let wrong = || KeyError::Kind { type_name: type_name(), path: written(), found: self.display_field(field) };
            match &field.shape {
                Shape::One(ValueKind::Component(next)) if depth + 1 < path.len() => through.push((index, *next)),
                Shape::One(ValueKind::Component(_) | ValueKind::F32 | ValueKind::F64) => return Err(wrong()),
                Shape::One(kind) if depth + 1 == path.len() => return Ok(Step { through, field: index, kind }),
                Shape::One(_) => return Err(missing()),
                _ => return Err(wrong()),
            }
        }
        Err(missing())
    }
}

/// The end of a path.
struct Step<'s> {
    through: Vec<(usize, TypeId)>,
    field: usize,
    kind: &'s ValueKind,
}
