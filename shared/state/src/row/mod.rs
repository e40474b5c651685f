//! A row: one record in canonical form, a cell for each column of its type.
//!
//! Rows are what a producer is given, before it knows what of it is new, and what digests are computed from. The
//! canonical bytes of a cell, little-endian throughout:
//!
//! | kind | bytes |
//! | --- | --- |
//! | bool, integers, enum | a *scalar*: 8 bytes, sign-extended; an enum is its number in the chain's schema |
//! | f32, f64 | 4 or 8 bytes, bit by bit |
//! | string, bytes | themselves |
//! | component, deduplicated text | the ordinal, 4 bytes |
//! | `Key<T>` | the key's canonical bytes: 8 bytes for a scalar, else as in [`schema::KeyForm`](crate::schema::KeyForm) |
//! | list, set | a count (u32), then the elements; strings, bytes and byte-formed keys with their length (u32) before each |
//! | map | a count (u32), then key, value, key, value, …, each written like an element |
//!
//! Sets and maps are sorted by value (integers by value, text and bytes bytewise, ordinals by number, floats by their bits) and hold nothing twice. An absent cell has no
//! bytes at all, which differs from an empty one.

mod form;
mod read;

pub use form::{CellForm, ElementForm, Order, scalar};
pub use read::{CellReader, Defect};

/// One record in canonical form. Reused from record to record: clear it and write again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    cells: Vec<Option<(u32, u32)>>,
    data: Vec<u8>,
}

impl Row {
    /// A row of absent cells.
    #[must_use]
    pub fn new(columns: usize) -> Row {
        Row { cells: vec![None; columns], data: Vec::new() }
    }

    /// Makes every cell absent, for a type with `columns` columns; keeps the memory.
    pub fn clear(&mut self, columns: usize) {
        self.cells.clear();
        self.cells.resize(columns, None);
        self.data.clear();
    }

    /// How many cells it has, absent ones included.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.cells.len()
    }

    /// The canonical bytes of the cell at this field index, if there is a value.
    #[must_use]
    pub fn cell(&self, column: usize) -> Option<&[u8]> {
        self.cells[column].map(|(start, end)| &self.data[start as usize..end as usize])
    }

    /// Writes a cell: `write` appends its canonical bytes.
    pub fn set<R>(&mut self, column: usize, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let start = self.data.len();
        let result = write(&mut self.data);
        let end = self.data.len();
        let as_u32 = |at| u32::try_from(at).expect("a row is checked against 16 MiB before it grows past 4 GiB");
        self.cells[column] = Some((as_u32(start), as_u32(end)));
        result
    }

    /// Bytes of all cells.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.data.len()
    }
}

/// A record may have this many canonical bytes.
pub const RECORD_BYTES_MAX: usize = 16 << 20;
/// A list, set or map may have this many elements.
pub const LIST_ELEMENTS_MAX: usize = 1 << 24;
