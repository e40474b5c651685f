//! What a program's structs can't be, and the checks that find it.
//!
//! The checks run once, when everything is declared: types may refer to each other in any order.

use crate::ids::TypeId;
use crate::schema::{Declared, FieldHints, KeyError, Schema, TypeSchema, ValueKind, limits};
use crate::shown::is_plain;

/// The structs of a program can't be a schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeclareError {
    /// Two fields of one name.
    #[error("type {type_name}: two fields are named {field}; give one of them another #[record(name = \"…\")]")]
    DuplicateField {
        /// The type.
        type_name: String,
        /// The name.
        field: String,
    },
    /// Two Rust types of one name.
    #[error("two types are named {type_name}; give one of them another #[record(name = \"…\")]")]
    DuplicateType {
        /// The name.
        type_name: String,
    },
    /// A component that contains itself.
    #[error(
        "component {type_name} contains itself by way of {path}; give it a key and refer to it by Key<{type_name}>"
    )]
    Recursive {
        /// The type.
        type_name: String,
        /// The fields that lead back to it.
        path: String,
    },
    /// A key that can't be one.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Fields that give each other's names on.
    #[error(
        "type {type_name}: the fields {} exchange their names by was, and nothing tells whether that was done; publish one of them under a new name first",
        .fields.join(", ")
    )]
    SwappedNames {
        /// The type.
        type_name: String,
        /// The fields, in a circle.
        fields: Vec<String>,
    },
    /// A type without fields.
    #[error("type {type_name} has no fields; a record holds at least one")]
    Empty {
        /// The type.
        type_name: String,
    },
    /// A name that is too long, or empty.
    #[error("the name {name:?} has {} bytes; a name has 1 to {}", .name.len(), limits::NAME_BYTES)]
    Name {
        /// The name.
        name: String,
    },
    /// A name that could not be shown as it is.
    #[error("the name {name:?} has control characters; names of types, fields and variants have none")]
    Characters {
        /// The name.
        name: String,
    },
    /// More types or fields than a dataset can have.
    #[error("{found} {what} are declared; a dataset has {max} at most")]
    TooMany {
        /// Types or fields.
        what: &'static str,
        /// How many.
        found: usize,
        /// How many there may be.
        max: usize,
    },
}

/// Checks a whole declaration.
pub(super) fn check(declared: &Declared) -> Result<(), DeclareError> {
    let schema = declared.schema();
    let columns = schema.types.iter().map(|schema| schema.fields.len()).sum();
    for (what, found, max) in [("types", schema.types.len(), limits::TYPES), ("fields", columns, limits::COLUMNS)] {
        if found > max {
            return Err(DeclareError::TooMany { what, found, max });
        }
    }
    for (id, of_type) in schema.iter() {
        check_type(of_type)?;
        check_names(of_type, declared.hints(id))?;
        if of_type.is_root() {
            schema.key_form(id)?;
        }
        check_recursion(schema, id, &mut vec![(id, String::new())])?;
    }
    Ok(())
}

fn check_type(schema: &TypeSchema) -> Result<(), DeclareError> {
    let names = std::iter::once(&schema.name).chain(schema.fields.iter().map(|field| &field.name));
    if let Some(name) = names.into_iter().find(|name| name.is_empty() || name.len() > limits::NAME_BYTES) {
        return Err(DeclareError::Name { name: name.clone() });
    }
    if let Some(name) = schema.names().find(|name| !is_plain(name)) {
        return Err(DeclareError::Characters { name: name.to_owned() });
    }
    if schema.fields.is_empty() {
        return Err(DeclareError::Empty { type_name: schema.name.clone() });
    }
    let mut names: Vec<_> = schema.fields.iter().map(|field| &field.name).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(DeclareError::DuplicateField { type_name: schema.name.clone(), field: pair[0].clone() }),
        None => Ok(()),
    }
}

/// That no circle of fields gives its names on.
fn check_names(of_type: &TypeSchema, hints: &[FieldHints]) -> Result<(), DeclareError> {
    let before = |name: &str| of_type.field(name).and_then(|field| hints[field].was);
    for field in &of_type.fields {
        let mut fields = vec![field.name.clone()];
        // A walk that is longer than the fields are many is in a circle that a later start finds.
        while let Some(was) = before(&fields[fields.len() - 1]).filter(|_| fields.len() <= of_type.fields.len()) {
            if was == field.name && fields.len() > 1 {
                return Err(DeclareError::SwappedNames { type_name: of_type.name.clone(), fields });
            }
            fields.push(was.to_owned());
        }
    }
    Ok(())
}

/// Walks the components below `id`; `path` is the way from the type that is looked for.
fn check_recursion(schema: &Schema, id: TypeId, path: &mut Vec<(TypeId, String)>) -> Result<(), DeclareError> {
    for field in &schema.get(id).fields {
        for next in field.shape.kinds().filter_map(ValueKind::component) {
            let step = format!("{}.{}", schema.get(id).name, field.name);
            if next == path[0].0 {
                let steps = path[1..].iter().map(|(_, step)| step.as_str()).chain([step.as_str()]);
                let path = steps.collect::<Vec<_>>().join(", ");
                return Err(DeclareError::Recursive { type_name: schema.get(next).name.clone(), path });
            }
            // A circle that does not lead back to the start is found when it is itself the start.
            if path.iter().all(|(seen, _)| *seen != next) {
                path.push((next, step));
                check_recursion(schema, next, path)?;
                path.pop();
            }
        }
    }
    Ok(())
}
