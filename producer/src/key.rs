//! Where keys of rows are read from that are not in a table yet: a row that a cycle is given may refer to components of
//! the last version, and to those that the cycle itself brings.

use cenote_state::ids::{Ordinal, TypeId};
use cenote_state::keys::{Components, KeyRow};
use cenote_state::row::RowRef;
use cenote_state::segment::RowAt;
use cenote_state::state::State;

use crate::content::Fresh;

/// The components of the last version and of a cycle.
#[derive(Clone, Copy)]
pub(crate) struct CycleComponents<'c> {
    pub(crate) state: &'c State,
    /// By type; their ordinals begin at the ceiling of the last version's table.
    pub(crate) fresh: &'c [Fresh],
}

/// A row of the last version or of a cycle.
#[derive(Clone, Copy)]
pub(crate) enum CycleRow<'c> {
    Given(RowRef<'c>),
    Stored(RowAt<'c>),
}

impl<'c> Components<'c> for CycleComponents<'c> {
    type Row = CycleRow<'c>;

    fn component(self, id: TypeId, ordinal: Ordinal) -> Option<CycleRow<'c>> {
        let table = self.state.table(id);
        match ordinal.0.checked_sub(table.ordinal_ceiling()) {
            Some(number) => Some(CycleRow::Given(self.fresh[id.index()].get(number))),
            None => table.row(ordinal).map(CycleRow::Stored),
        }
    }
}

impl<'c> KeyRow<'c> for CycleRow<'c> {
    fn scalar(self, field: usize) -> u64 {
        match self {
            CycleRow::Given(row) => row.scalar(field),
            CycleRow::Stored(row) => row.scalar(field),
        }
    }

    fn text(self, field: usize) -> &'c [u8] {
        match self {
            CycleRow::Given(row) => row.text(field),
            CycleRow::Stored(row) => row.text(field),
        }
    }

    fn bytes(self, field: usize) -> &'c [u8] {
        match self {
            CycleRow::Given(row) => row.bytes(field),
            CycleRow::Stored(row) => row.bytes(field),
        }
    }
}
