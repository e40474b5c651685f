//! What can become of a schema, in words: changes, refusals, and the permission to lose something.
//!
//! Each refusal names what to write; see `evolve` for when it is made.

use super::KeyError;

/// Permission to lose something of the dataset's. Paths are `Type.field` and `Type.field.Variant`.
///
/// What is permitted stays in the program: after the loss it does nothing. But a path that leads to nothing that the dataset
/// has, or could have lost, is refused: it is misspelt.
///
/// # Example
/// ```
/// # use cenote_producer::{Producer, Record};
/// use cenote_producer::Allow;
///
/// # #[derive(Record)]
/// # #[record(key = "id")]
/// # struct Movie { id: u64 }
/// let builder = Producer::builder("memory://allow")
///     .with::<Movie>()
///     .allow(Allow::remove("Movie.tagline"))
///     .allow(Allow::replace("Movie.year"))
///     .allow(Allow::without_variant("Movie.rating.Unrated"))
///     .allow(Allow::remove_type("Actor"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Allow {
    /// The field is removed, with its values.
    Remove(String),
    /// The field's values are removed; it starts empty, as it is declared.
    Replace(String),
    /// The structs do without the variant; the dataset's schema keeps it.
    WithoutVariant(String),
    /// The type is removed, with its records and the component types that only it led to.
    RemoveType(String),
}

impl Allow {
    /// Allows the field at `Type.field` to be removed, with its values.
    ///
    /// [Example](Allow#example)
    #[must_use]
    pub fn remove(path: impl Into<String>) -> Allow {
        Allow::Remove(path.into())
    }

    /// Removes a type that the program does not declare, with its records, and the component types that only it led to.
    ///
    /// [Example](Allow#example)
    #[must_use]
    pub fn remove_type(name: impl Into<String>) -> Allow {
        Allow::RemoveType(name.into())
    }

    /// Allows the values of the field at `Type.field` to be removed; it starts empty, as it is declared.
    ///
    /// [Example](Allow#example)
    #[must_use]
    pub fn replace(path: impl Into<String>) -> Allow {
        Allow::Replace(path.into())
    }

    /// Lets the structs do without the variant at `Type.field.Variant`; the dataset's schema keeps it.
    ///
    /// [Example](Allow#example)
    #[must_use]
    pub fn without_variant(path: impl Into<String>) -> Allow {
        Allow::WithoutVariant(path.into())
    }
}

/// One change of a schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaChange {
    /// A new type. The producer sets its segment size at its first commit.
    #[error("type {type_name} is new")]
    TypeAdded {
        /// The type.
        type_name: String,
    },
    /// A type that is gone, with its records.
    #[error("type {type_name} is removed")]
    TypeRemoved {
        /// The type.
        type_name: String,
    },
    /// A new field; older rows read as its default.
    #[error("{type_name}.{field} is new")]
    FieldAdded {
        /// The type.
        type_name: String,
        /// The field.
        field: String,
    },
    /// A field that is gone.
    #[error("{type_name}.{field} is removed")]
    FieldRemoved {
        /// The type.
        type_name: String,
        /// The field.
        field: String,
    },
    /// A field with another name.
    #[error("{type_name}.{from} is renamed to {to}")]
    FieldRenamed {
        /// The type.
        type_name: String,
        /// Its name before.
        from: String,
        /// Its name now.
        to: String,
    },
    /// A field that holds more than before: a wider integer, or nothing.
    #[error("{type_name}.{field} widens from {from} to {to}")]
    FieldWidened {
        /// The type.
        type_name: String,
        /// The field.
        field: String,
        /// What it held.
        from: String,
        /// What it holds.
        to: String,
    },
    /// An enum with one more variant.
    #[error("{type_name}.{field} can be {variant}")]
    VariantAdded {
        /// The type.
        type_name: String,
        /// The field.
        field: String,
        /// The variant.
        variant: String,
    },
}

/// The structs can't be published on this chain as they are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the structs don't fit the dataset, so nothing was written: {}", list(.refusals))]
pub struct SchemaError {
    /// All reasons, in the order of declaration.
    pub refusals: Vec<Refusal>,
}

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The struct lacks a field of the dataset's.
    #[error(
        "{type_name}.{field} is in the dataset and not in the struct; declare it ({found}), or write .allow(Allow::remove(\"{type_name}.{field}\")) to lose its values"
    )]
    LacksField {
        /// The type.
        type_name: String,
        /// The field.
        field: String,
        /// What it holds.
        found: String,
    },
    /// An enum lacks a variant of the dataset's.
    #[error(
        "{type_name}.{field} can be {variant} in the dataset and not in the struct; add the variant, or write .allow(Allow::without_variant(\"{type_name}.{field}.{variant}\"))"
    )]
    LacksVariant {
        /// The type.
        type_name: String,
        /// The field.
        field: String,
        /// The variant.
        variant: String,
    },
    /// A field holds less than before, or something else.
    #[error(
        "{type_name}.{field} is {found} in the dataset and {declared} in the struct; {}, or write .allow(Allow::replace(\"{type_name}.{field}\")) to start a new column",
        declare_as(.found)
    )]
    Narrows {
        /// The type.
        type_name: String,
        /// The field.
        field: String,
        /// In the dataset.
        found: String,
        /// In the struct.
        declared: String,
    },
    /// The same of a field of the key, which can't start empty.
    #[error(
        "{type_name}.{field} is {found} in the dataset and {declared} in the struct; a key never narrows: {}",
        declare_as(.found)
    )]
    NarrowsKey {
        /// The type.
        type_name: String,
        /// The field.
        field: String,
        /// In the dataset.
        found: String,
        /// In the struct.
        declared: String,
    },
    /// A new field that older rows have no value for.
    #[error("{type_name}.{field} is new, and older records lack it; write Option, or add #[record(default)]")]
    NoDefault {
        /// The type.
        type_name: String,
        /// The field.
        field: String,
    },
    /// The key differs; it never changes.
    #[error(
        "{type_name} has the key ({found}) in the dataset and ({declared}) in the struct; a key never changes: write #[record(key = \"{found}\")], or publish a type of another name"
    )]
    KeyChanged {
        /// The type.
        type_name: String,
        /// In the dataset.
        found: String,
        /// In the struct.
        declared: String,
    },
    /// One side has a key, the other has none.
    #[error(
        "{type_name} is a {found} in the dataset and a {declared} in the program; that never changes: publish a type of another name"
    )]
    KindChanged {
        /// The type.
        type_name: String,
        /// In the dataset.
        found: &'static str,
        /// In the program.
        declared: &'static str,
    },
    /// More types, columns or names than a dataset can have.
    #[error("the dataset would have {found} {what}; {max} are the limit")]
    TooMany {
        /// Types, columns, or bytes of their names.
        what: &'static str,
        /// How many.
        found: usize,
        /// How many there may be.
        max: usize,
    },
    /// A permission without anything to lose.
    #[error("{call} allows nothing: {reason}; correct the path, or leave it out")]
    AllowsNothing {
        /// What was written.
        call: String,
        /// Why it allows nothing.
        reason: String,
    },
    /// A type that is to be removed, and that is still led to or declared.
    #[error("type {type_name} can't be removed: {user}")]
    TypeInUse {
        /// The type.
        type_name: String,
        /// What leads to it, and what to do.
        user: String,
    },
    /// Two fields of a struct are the same one of the dataset's.
    #[error(
        "{type_name}.{first} and {type_name}.{second} would both be the dataset's field {found}; rename first and publish, then add the other"
    )]
    SameField {
        /// The type.
        type_name: String,
        /// A field of the struct.
        first: String,
        /// Another.
        second: String,
        /// The dataset's.
        found: String,
    },
    /// A key that can't be one.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl Allow {
    /// As it is written in a program.
    pub(super) fn call(&self) -> String {
        let (name, path) = match self {
            Allow::Remove(path) => ("remove", path),
            Allow::Replace(path) => ("replace", path),
            Allow::WithoutVariant(path) => ("without_variant", path),
            Allow::RemoveType(name) => ("remove_type", name),
        };
        format!("Allow::{name}(\"{path}\")")
    }
}

fn list(refusals: &[Refusal]) -> String {
    refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// How to declare what the dataset has.
pub(crate) fn declare_as(found: &str) -> String {
    for attribute in ["dedup", "packed"] {
        if let Some((before, after)) = found.split_once(&format!(" ({attribute})")) {
            return format!("declare it as {before}{after} with #[record({attribute})]");
        }
    }
    format!("declare it as {found}")
}
