//! Digests: sums of hashes by which two states are compared, updated at a cost that follows the change.
//!
//! Every live record adds, for each column that has a value, the xxh3-128 (seed 0) of
//! `ordinal u32 | column u16 | xxh3-128 of the cell's canonical bytes`, little-endian; its presence is column 0xFFFF
//! with no bytes. Sums wrap in 128 bits. They are kept per column, per segment, per type and per state, so a version's
//! digest follows from its parent's and the change (I5). An absent cell adds nothing: a new optional column, or a
//! widened one, changes no digest.
//!
//! The producer hashes what the user gave ([`RowRef`]), the consumer what it decoded ([`RowAt`]): two paths that must
//! agree.

use xxhash_rust::xxh3::xxh3_128;

use crate::ids::{ColumnId, Ordinal, TypeId};
use crate::row::RowRef;
use crate::segment::{Cell, RowAt};

/// The column number of a record's presence.
pub const PRESENCE: ColumnId = ColumnId(0xFFFF);

/// What one cell adds.
#[must_use]
pub fn cell_digest(ordinal: Ordinal, column: ColumnId, canonical: &[u8]) -> u128 {
    let mut bytes = [0; 22];
    bytes[..4].copy_from_slice(&ordinal.0.to_le_bytes());
    bytes[4..6].copy_from_slice(&column.0.to_le_bytes());
    bytes[6..].copy_from_slice(&xxh3_128(canonical).to_le_bytes());
    xxh3_128(&bytes)
}

/// What a record's presence adds.
#[must_use]
pub(crate) fn presence_digest(ordinal: Ordinal) -> u128 {
    cell_digest(ordinal, PRESENCE, &[])
}

/// The sums of one type: a column each, by field index, and the presence of its records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// By field index.
    pub columns: Vec<u128>,
    /// Of column 0xFFFF.
    pub presence: u128,
}

impl Sums {
    /// Sums of nothing.
    #[must_use]
    pub fn new(columns: usize) -> Sums {
        Sums { columns: vec![0; columns], presence: 0 }
    }

    /// The type's sum.
    #[must_use]
    pub fn total(&self) -> u128 {
        self.columns.iter().fold(self.presence, |sum, column| sum.wrapping_add(*column))
    }

    /// Adds what another counted.
    pub fn add(&mut self, other: &Sums) {
        self.presence = self.presence.wrapping_add(other.presence);
        for (sum, added) in self.columns.iter_mut().zip(&other.columns) {
            *sum = sum.wrapping_add(*added);
        }
    }

    /// Adds a record that the user gave. Returns what it adds in all.
    pub fn add_row(&mut self, ordinal: Ordinal, columns: &[ColumnId], row: RowRef<'_>) -> u128 {
        let before = self.total();
        self.presence = self.presence.wrapping_add(presence_digest(ordinal));
        for (index, column) in columns.iter().enumerate() {
            if let Some(canonical) = row.cell(index) {
                self.columns[index] = self.columns[index].wrapping_add(cell_digest(ordinal, *column, canonical));
            }
        }
        self.total().wrapping_sub(before)
    }

    /// Adds a record that a segment holds; `scratch` is overwritten. Returns what it adds in all.
    pub fn add_stored(&mut self, ordinal: Ordinal, row: RowAt<'_>, scratch: &mut Vec<u8>) -> u128 {
        self.count_stored(ordinal, row, scratch, u128::wrapping_add)
    }

    /// Takes a record away that a segment holds; `scratch` is overwritten. Returns what it added in all.
    pub fn remove_stored(&mut self, ordinal: Ordinal, row: RowAt<'_>, scratch: &mut Vec<u8>) -> u128 {
        self.count_stored(ordinal, row, scratch, u128::wrapping_sub)
    }

    fn count_stored(&mut self, ordinal: Ordinal, row: RowAt<'_>, scratch: &mut Vec<u8>, count: Count) -> u128 {
        let mut total = presence_digest(ordinal);
        self.presence = count(self.presence, total);
        for index in 0..row.columns() {
            let one = stored_cell_digest(ordinal, row.cell(index), scratch);
            self.columns[index] = count(self.columns[index], one);
            total = total.wrapping_add(one);
        }
        total
    }
}

type Count = fn(u128, u128) -> u128;

/// What a stored cell adds; 0 if it is absent. `scratch` is overwritten.
#[must_use]
pub fn stored_cell_digest(ordinal: Ordinal, cell: Cell<'_>, scratch: &mut Vec<u8>) -> u128 {
    scratch.clear();
    if cell.canonical(scratch) { cell_digest(ordinal, cell.column(), scratch) } else { 0 }
}

/// A state's digest from its types' sums, in the order of their numbers. Types without records add nothing.
#[must_use]
pub fn state_digest(types: impl Iterator<Item = (TypeId, u128)>) -> u128 {
    types.filter(|(_, sum)| *sum != 0).fold(0, |digest, (id, sum)| {
        let mut bytes = [0; 18];
        bytes[..2].copy_from_slice(&id.0.to_le_bytes());
        bytes[2..].copy_from_slice(&sum.to_le_bytes());
        digest.wrapping_add(xxh3_128(&bytes))
    })
}
