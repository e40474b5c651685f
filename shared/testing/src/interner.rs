//! Components for datasets that a test makes by hand, without a producer.

use std::collections::BTreeMap;
use std::vec::Drain;

use cenote_state::ids::{Ordinal, TypeId};
use cenote_state::record::{Interner, WriteError};
use cenote_state::row::Row;

/// Gives every component an ordinal, equal ones the same.
#[derive(Debug, Default)]
pub struct Components {
    known: BTreeMap<TypeId, Vec<Row>>,
    added: Vec<(TypeId, Ordinal, Row)>,
}

impl Components {
    /// Takes what was added since the last call: the test writes it into the next delta.
    pub fn take_added(&mut self) -> Drain<'_, (TypeId, Ordinal, Row)> {
        self.added.drain(..)
    }
}

impl Interner for Components {
    fn intern(&mut self, component: TypeId, row: &Row) -> Result<Ordinal, WriteError> {
        let known = self.known.entry(component).or_default();
        let index = known.iter().position(|known| known == row).unwrap_or_else(|| {
            known.push(row.clone());
            self.added.push((component, Ordinal(known.len() as u32 - 1), row.clone()));
            known.len() - 1
        });
        Ok(Ordinal(index as u32))
    }
}
