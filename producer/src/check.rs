//! Rows made by hand: bytes from outside, checked before anything is computed from them.
//!
//! Rules: a row has a cell for each field of its type, with canonical bytes; sets and maps are sorted and hold nothing
//! twice, because readers search them by halves; each reference leads to a component that exists.

use cenote_state::ids::{Ordinal, TypeId};
use cenote_state::record::Interner;
use cenote_state::row::{Defect, Row};
use cenote_state::schema::{Field, Schema, TypeSchema};

use crate::cycle::populate::Input;
use crate::error::RecordCause;

/// A row made by hand that is not one of the type's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RowError {
    /// The type is not one of the producer's roots.
    #[error("type number {0} is not a root type of this producer; declare it where the producer is built")]
    Type(TypeId),
    /// Too few or too many cells.
    #[error("a row of {type_name} has {found} cells where the type has {expected} fields")]
    Cells {
        /// The type.
        type_name: String,
        /// Its fields.
        expected: usize,
        /// The row's cells.
        found: usize,
    },
    /// A value that every record must have is absent.
    #[error("{type_name}.{field} has no value, and every record must have one")]
    Absent {
        /// The type.
        type_name: String,
        /// The field.
        field: String,
    },
    /// A cell whose bytes are not canonical for its field.
    #[error("the bytes of {type_name}.{field} are not those of a {kind}")]
    Bytes {
        /// The type.
        type_name: String,
        /// The field.
        field: String,
        /// What they should be.
        kind: String,
    },
    /// A set, or a map, that is not in order.
    #[error(
        "{type_name}.{field} is not sorted by value, or holds a value twice; sort its elements, or its keys, and write each once"
    )]
    Order {
        /// The type.
        type_name: String,
        /// The field.
        field: String,
    },
    /// A reference that leads nowhere.
    #[error(
        "{type_name}.{field} refers to {component} {ordinal}, which does not exist; intern its row first and use the ordinal returned"
    )]
    Dangling {
        /// The type.
        type_name: String,
        /// The field.
        field: String,
        /// The type that it refers to.
        component: String,
        /// The ordinal that no record of the last version or of this cycle has.
        ordinal: Ordinal,
    },
    /// The type is not one whose rows are interned.
    #[error("type number {0} is not a component type of the dataset; add rows of root types instead")]
    Component(TypeId),
}

impl RowError {
    /// What is wrong with one field of a row of `of_type`.
    pub(crate) fn of(defect: Defect, schema: &Schema, of_type: &TypeSchema, field: &Field) -> RowError {
        let (type_name, field_name) = (of_type.name.clone(), field.name.clone());
        match defect {
            Defect::Bytes => RowError::Bytes { type_name, field: field_name, kind: schema.display_field(field) },
            Defect::Order => RowError::Order { type_name, field: field_name },
            Defect::Dangling(id, ordinal) => {
                RowError::Dangling { type_name, field: field_name, component: schema.get(id).name.clone(), ordinal }
            }
        }
    }
}

impl Input {
    /// Checks a row made by hand, of a type of the dataset: its cells, their canonical bytes, and that each reference leads
    /// to a component of the last version or of this cycle.
    pub(crate) fn check_row(&self, id: TypeId, row: &Row) -> Result<(), RowError> {
        let schema = self.base.state.schema();
        let of_type = schema.types.get(id.index()).ok_or(RowError::Type(id))?;
        let (expected, found) = (of_type.fields.len(), row.columns());
        if found != expected {
            return Err(RowError::Cells { type_name: of_type.name.clone(), expected, found });
        }
        let mut exists = |id: TypeId, ordinal: Ordinal| self.is_component(id, ordinal);
        for (index, (field, form)) in of_type.fields.iter().zip(&self.base.plans.of(id).cells).enumerate() {
            match row.cell(index) {
                None if field.sparse => {}
                None => {
                    return Err(RowError::Absent { type_name: of_type.name.clone(), field: field.name.clone() });
                }
                Some(cell) => {
                    form.check(cell, &mut exists).map_err(|defect| RowError::of(defect, schema, of_type, field))?;
                }
            }
        }
        Ok(())
    }

    /// Whether a row may refer to this component: a live one of the last version, or one that this cycle interned.
    fn is_component(&self, id: TypeId, ordinal: Ordinal) -> bool {
        let table = self.base.state.table(id);
        match ordinal.0.checked_sub(table.ordinal_ceiling()) {
            Some(number) => number < self.fresh[id.index()].len(),
            None => table.is_live(ordinal),
        }
    }

    /// The ordinal of a component row made by hand, which is checked first.
    pub(crate) fn intern_row(&mut self, component: TypeId, row: &Row) -> Result<Ordinal, RecordCause> {
        if self.base.state.schema().types.get(component.index()).is_none_or(TypeSchema::is_root) {
            return Err(RowError::Component(component).into());
        }
        self.check_row(component, row)?;
        self.check_size(component, row)?;
        Ok(self.intern(component, row)?)
    }
}
