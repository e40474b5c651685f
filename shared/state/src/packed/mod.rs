//! Packed text: strings as codes of one byte, each for up to eight bytes of text (FSST).
//!
//! A column's values resemble each other, so a table of 255 symbols, found in a sample of them, halves what they take,
//! and yet each is read alone. The producer finds a table once per column, when there is enough text; it ships with
//! the blobs; packed bytes are copied as they are through deltas, patches and snapshots.
//!
//! | packed byte | means |
//! | --- | --- |
//! | below the number of symbols | that symbol |
//! | 255 | the byte after it |
//! | any other | nothing: such bytes are refused |
//!
//! Tables are numbered from 1 on within their type, and never change or go; number 0 is text that is not packed: it
//! came before there was a table, or would not shrink.
//!
//! Rules: what is read was validated when its segment was made: every code known, the whole UTF-8, no longer than a
//! record (I9); the same text and table give the same bytes (I12); digests and equality are over the plain text.

mod encode;
mod table;
#[cfg(test)]
mod tests;
mod text;

use std::sync::Arc;

pub use table::{SymbolTable, TableError};
pub use text::Text;

use crate::ids::ColumnId;

/// A type has at most this many tables. A column gets one, once, so more are needed only where packed columns come
/// and go; then the last ones stay plain.
pub const TABLES_MAX: usize = 255;
/// Less text than this is not worth a table, nor enough to find one.
pub const TRAINING_BYTES_MIN: usize = 16 << 10;

/// The symbol tables of one type, by number from 1 on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Symbols {
    tables: Vec<(ColumnId, Arc<SymbolTable>)>,
}

impl Symbols {
    /// How many tables there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tables.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// The table with this number; none for 0.
    #[inline]
    #[must_use]
    pub fn get(&self, number: u64) -> Option<&SymbolTable> {
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        self.tables.get(index).map(|(_, table)| &**table)
    }

    /// The newest table of a column, and its number.
    #[must_use]
    pub fn newest(&self, column: ColumnId) -> Option<(u64, &SymbolTable)> {
        let place = self.tables.iter().rposition(|(of, _)| *of == column)?;
        Some((place as u64 + 1, &self.tables[place].1))
    }

    /// Adds a column's table under the next number; refuses more than [`TABLES_MAX`].
    #[must_use]
    pub fn push(&mut self, column: ColumnId, table: SymbolTable) -> bool {
        let fits = self.tables.len() < TABLES_MAX;
        if fits {
            self.tables.push((column, Arc::new(table)));
        }
        fits
    }

    /// The tables in the order of their numbers, each with the column that it was made for.
    pub fn iter(&self) -> impl Iterator<Item = (ColumnId, &SymbolTable)> {
        self.tables.iter().map(|(column, table)| (*column, &**table))
    }

    /// Bytes in memory.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.tables.iter().map(|(_, table)| table.memory_bytes()).sum()
    }
}
