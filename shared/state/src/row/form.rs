//! What the cells of a type are in canonical bytes, worked out once from the schema.
//!
//! Everything that reads, checks, sorts or renumbers canonical bytes uses a [`CellForm`], so that the rules of the table
//! in [`row`](super) are written once.

use std::cmp::Ordering;

use crate::ids::TypeId;
use crate::schema::{KeyError, Schema, Shape, ValueKind};

/// What a field's cell holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CellForm {
    /// One value, without a count or a length.
    One(ElementForm),
    /// A count and values, in any order.
    List(ElementForm),
    /// A count and values, ascending, each once.
    Set(ElementForm),
    /// A count and entries, ascending by key, each key once.
    Map(ElementForm, ElementForm),
}

/// What one value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ElementForm {
    /// A scalar that is 0 or 1.
    Bool,
    /// A scalar that is the sign extension of an integer of so many bytes.
    Signed(u8),
    /// A scalar that fits so many bytes.
    Unsigned(u8),
    /// A scalar below the number of an enum's variants.
    Variant(u32),
    /// The bits of a float, 4 bytes.
    F32,
    /// The bits of a float, 8 bytes.
    F64,
    /// The ordinal of a record of this type, 4 bytes.
    Component(TypeId),
    /// UTF-8.
    Text,
    /// Any bytes.
    Bytes,
    /// A key of several parts, each written like an element.
    Parts(Box<[ElementForm]>),
}

/// How canonical bytes of one kind are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As signed numbers.
    Signed,
    /// As unsigned numbers: also floats, by their bits, and ordinals.
    Unsigned,
    /// Byte by byte: all that have a length.
    Bytewise,
}

impl CellForm {
    /// The form of a field of this shape.
    ///
    /// # Errors
    /// If the shape refers to a root whose key is not sound.
    pub fn new(schema: &Schema, shape: &Shape) -> Result<CellForm, KeyError> {
        let element = |kind| ElementForm::new(schema, kind);
        Ok(match shape {
            Shape::One(kind) => CellForm::One(element(kind)?),
            Shape::List(kind) => CellForm::List(element(kind)?),
            Shape::Set(kind) => CellForm::Set(element(kind)?),
            Shape::Map(key, value) => CellForm::Map(element(key)?, element(value)?),
        })
    }

    /// Whether a value, an element, a key or a value of a map is a component's ordinal.
    #[must_use]
    pub fn has_components(&self) -> bool {
        match self {
            CellForm::One(form) | CellForm::List(form) | CellForm::Set(form) => form.component().is_some(),
            CellForm::Map(key, value) => key.component().is_some() || value.component().is_some(),
        }
    }
}

impl ElementForm {
    /// The form of values of this kind.
    ///
    /// # Errors
    /// If the kind is the key of a root whose key is not sound.
    pub fn new(schema: &Schema, kind: &ValueKind) -> Result<ElementForm, KeyError> {
        Ok(match kind {
            ValueKind::Enum(names) => ElementForm::Variant(u32::try_from(names.len()).unwrap_or(u32::MAX)),
            ValueKind::F32 => ElementForm::F32,
            ValueKind::F64 => ElementForm::F64,
            ValueKind::Component(id) | ValueKind::Dedup(id) => ElementForm::Component(*id),
            ValueKind::Key(target) => ElementForm::of_key(&schema.key_leaves(*target)?),
            ValueKind::Bool | ValueKind::Int(_) | ValueKind::UInt(_) | ValueKind::String | ValueKind::Bytes => {
                ElementForm::of_leaf(kind)
            }
        })
    }

    /// The form of keys with these parts, as [`Schema::key_leaves`] gives them.
    #[must_use]
    pub(crate) fn of_key(leaves: &[&ValueKind]) -> ElementForm {
        match leaves {
            [leaf] => ElementForm::of_leaf(leaf),
            leaves => ElementForm::Parts(leaves.iter().map(|leaf| ElementForm::of_leaf(leaf)).collect()),
        }
    }

    /// A part of a key: an enum, or a deduplicated string, is its text.
    fn of_leaf(kind: &ValueKind) -> ElementForm {
        match kind {
            ValueKind::Bool => ElementForm::Bool,
            ValueKind::Int(bytes) => ElementForm::Signed(*bytes),
            ValueKind::UInt(bytes) => ElementForm::Unsigned(*bytes),
            ValueKind::Bytes => ElementForm::Bytes,
            _ => ElementForm::Text,
        }
    }

    /// Bytes of each value; none if values differ in length, so that elements have theirs before them.
    #[must_use]
    pub fn width(&self) -> Option<usize> {
        match self {
            ElementForm::F32 | ElementForm::Component(_) => Some(4),
            ElementForm::Bool
            | ElementForm::Signed(_)
            | ElementForm::Unsigned(_)
            | ElementForm::Variant(_)
            | ElementForm::F64 => Some(8),
            ElementForm::Text | ElementForm::Bytes | ElementForm::Parts(_) => None,
        }
    }

    /// Whether elements have their length before them.
    #[must_use]
    pub fn is_sized(&self) -> bool {
        self.width().is_none()
    }

    /// The component that values are ordinals of.
    #[must_use]
    pub fn component(&self) -> Option<TypeId> {
        match self {
            ElementForm::Component(id) => Some(*id),
            _ => None,
        }
    }

    /// The order of sets of these, and of maps with these as keys.
    #[must_use]
    pub fn order(&self) -> Order {
        match self {
            ElementForm::Signed(_) => Order::Signed,
            form if form.is_sized() => Order::Bytewise,
            _ => Order::Unsigned,
        }
    }
}

impl Order {
    /// Compares the canonical bytes of two values.
    #[inline]
    #[must_use]
    pub fn compare(self, left: &[u8], right: &[u8]) -> Ordering {
        match self {
            Order::Signed => scalar_of(left).cast_signed().cmp(&scalar_of(right).cast_signed()),
            Order::Unsigned => scalar_of(left).cmp(&scalar_of(right)),
            Order::Bytewise => left.cmp(right),
        }
    }
}

/// The number in canonical bytes, of which a number has 4 or 8.
#[inline]
#[must_use]
pub(crate) fn scalar_of(bytes: &[u8]) -> u64 {
    match (bytes.first_chunk(), bytes.first_chunk()) {
        (Some(eight), _) => u64::from_le_bytes(*eight),
        (None, Some(four)) => u64::from(u32::from_le_bytes(*four)),
        (None, None) => 0,
    }
}
