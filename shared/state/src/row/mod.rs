//! A row: one record in canonical form, a cell for each column of its type.
//!
//! Rows are what a producer is given, before it knows which of them are new, and what digests are computed from. The
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
//! Rules: sets, and maps by key, are sorted (integers by value, text and bytes bytewise, ordinals by number, floats by
//! their bits) and hold nothing twice; a cell without a value has no bytes at all, which differs from an empty one. What
//! a program brings as bytes is checked ([`CellForm::check`]); all else that reads canonical bytes relies on these rules.

mod form;
mod read;
mod sort;
mod write;

use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64_with_seed;

pub(crate) use form::scalar_of;
pub use form::{CellForm, ElementForm, Order};
pub use read::{CellReader, Defect};
pub use sort::Sorter;
pub use write::{push_count, push_element_with};
pub(crate) use write::{push_element, push_sized};

/// One record in canonical form, to be written cell by cell. Reused from record to record: clear it and write again.
///
/// # Example
/// ```
/// use cenote_producer::dynamic::Row;
///
/// let mut row = Row::new(3);
/// row.set(0, |out| out.extend_from_slice(&42_u64.to_le_bytes()));
/// row.set(2, |out| out.extend_from_slice(b"text"));
/// assert_eq!(row.cell(1), None);
/// assert_eq!(row.cell(2), Some(b"text".as_slice()));
/// assert_eq!(row.bytes(), 12);
///
/// row.clear(2); // for the next record, of a type with two fields
/// assert_eq!(row.columns(), 2);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    columns: usize,
    /// As in a [`RowRef`].
    ends: Vec<u8>,
    /// The cells in the order of their columns, whatever the order in which they were set.
    data: Vec<u8>,
}

/// One record in canonical form, borrowed from a [`Row`] or from bytes that hold it.
///
/// Equal records are equal byte by byte, so that the same form serves to hash, to compare and to keep a record:
///
/// ```text
/// ends u32 | for each column up to the last that has a value: where its cell ends u32, 2^31 added if it has none | cells
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowRef<'a> {
    ends: &'a [u8],
    data: &'a [u8],
}

/// One record in canonical form whose cells are changed in place, each to one of the same length.
#[derive(Debug)]
pub struct RowMut<'a> {
    ends: &'a [u8],
    data: &'a mut [u8],
}

/// Added to the end of a cell that has no value.
const ABSENT: u32 = 1 << 31;
/// Bytes of an end.
const END: usize = size_of::<u32>();

impl Row {
    /// A row of absent cells.
    ///
    /// [Example](Row#example)
    #[must_use]
    pub fn new(columns: usize) -> Row {
        Row { columns, ..Row::default() }
    }

    /// Makes every cell absent, for a type with `columns` columns; keeps the memory.
    ///
    /// [Example](Row#example)
    pub fn clear(&mut self, columns: usize) {
        self.columns = columns;
        self.ends.clear();
        self.data.clear();
    }

    /// How many cells it has, absent ones included.
    ///
    /// [Example](Row#example)
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The canonical bytes of the cell at this field index, if there is a value.
    ///
    /// [Example](Row#example)
    #[must_use]
    pub fn cell(&self, column: usize) -> Option<&[u8]> {
        RowRef::from(self).cell(column)
    }

    /// Writes a cell: `write` appends its canonical bytes. Rows are written fastest in the order of their columns.
    ///
    /// [Example](Row#example)
    ///
    /// # Panics
    /// If the row has no such column, or grows past 2 GiB: a row is checked against 16 MiB long before.
    pub fn set<R>(&mut self, column: usize, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        assert!(column < self.columns, "a row of {} cells has no cell {column}", self.columns);
        let start = self.data.len();
        let result = write(&mut self.data);
        if self.ends.len() > column * END {
            self.insert(column, start);
        } else {
            let before = end_bytes(start, ABSENT);
            (self.ends.len() / END..column).for_each(|_| self.ends.extend_from_slice(&before));
            self.ends.extend_from_slice(&end_bytes(self.data.len(), 0));
        }
        result
    }

    /// Moves a cell that was appended from `start` on to its place before other cells.
    fn insert(&mut self, column: usize, start: usize) {
        let (place, old_end) = span(&self.ends, column);
        let (added, removed) = (self.data.len() - start, old_end - place);
        self.data[place..].rotate_right(added);
        self.data.drain(place + added..place + added + removed);
        let (ends, _) = self.ends.as_chunks_mut::<END>();
        ends[column] = (u32::from_le_bytes(ends[column]) & !ABSENT).to_le_bytes();
        for end in &mut ends[column..] {
            let moved = u32::from_le_bytes(*end);
            let to = (moved & !ABSENT) as usize + added - removed;
            *end = end_bytes(to, moved & ABSENT);
        }
    }

    /// Bytes of all cells.
    ///
    /// [Example](Row#example)
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.data.len()
    }
}

fn end_bytes(end: usize, flag: u32) -> [u8; END] {
    let end = u32::try_from(end).ok().filter(|end| *end < ABSENT);
    (end.expect("a row is checked against 16 MiB before it grows past 2 GiB") | flag).to_le_bytes()
}

fn end_at(ends: &[u8], column: usize) -> Option<u32> {
    ends.get(column * END..)?.first_chunk().map(|end| u32::from_le_bytes(*end))
}

/// Where a cell's bytes start and end, whether it has a value or not.
fn span(ends: &[u8], column: usize) -> (usize, usize) {
    let end = |column| end_at(ends, column).map_or(0, |end| (end & !ABSENT) as usize);
    (column.checked_sub(1).map_or(0, end), end(column))
}

impl<'a> From<&'a Row> for RowRef<'a> {
    fn from(row: &'a Row) -> RowRef<'a> {
        RowRef { ends: &row.ends, data: &row.data }
    }
}

impl<'a> From<&'a mut Row> for RowMut<'a> {
    fn from(row: &'a mut Row) -> RowMut<'a> {
        RowMut { ends: &row.ends, data: &mut row.data }
    }
}

impl<'a> RowRef<'a> {
    /// The row in bytes that [`append_to`](RowRef::append_to) wrote.
    ///
    /// # Panics
    /// If the bytes are others.
    #[must_use]
    pub fn of_bytes(bytes: &'a [u8]) -> RowRef<'a> {
        let (ends, data) = parts(bytes);
        RowRef { ends: &bytes[ends], data: &bytes[data] }
    }

    /// Bytes that [`append_to`](RowRef::append_to) appends.
    #[must_use]
    pub fn byte_len(self) -> usize {
        END + self.ends.len() + self.data.len()
    }

    /// Appends the row as one byte string.
    pub fn append_to(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&((self.ends.len() / END) as u32).to_le_bytes());
        out.extend_from_slice(self.ends);
        out.extend_from_slice(self.data);
    }

    /// The canonical bytes of the cell at this field index, if there is a value.
    #[inline]
    #[must_use]
    pub fn cell(self, column: usize) -> Option<&'a [u8]> {
        if end_at(self.ends, column)? & ABSENT != 0 {
            return None;
        }
        let (start, end) = span(self.ends, column);
        Some(&self.data[start..end])
    }

    /// A hash of all cells.
    #[must_use]
    pub fn hash(self, seed: u64) -> u64 {
        xxh3_64_with_seed(self.data, xxh3_64_with_seed(self.ends, seed))
    }
}

impl<'a> RowMut<'a> {
    /// The row in bytes that [`append_to`](RowRef::append_to) wrote.
    ///
    /// # Panics
    /// If the bytes are others.
    #[must_use]
    pub fn of_bytes(bytes: &'a mut [u8]) -> RowMut<'a> {
        let (ends, data) = parts(bytes);
        let (head, data) = bytes.split_at_mut(data.start);
        RowMut { ends: &head[ends], data }
    }

    /// The canonical bytes of the cell at this field index, if there is a value.
    #[must_use]
    pub fn cell(&mut self, column: usize) -> Option<&mut [u8]> {
        if end_at(self.ends, column)? & ABSENT != 0 {
            return None;
        }
        let (start, end) = span(self.ends, column);
        Some(&mut self.data[start..end])
    }
}

/// Where a row's ends and its cells are in its byte string.
fn parts(bytes: &[u8]) -> (Range<usize>, Range<usize>) {
    let ends = bytes.first_chunk().map(|ends| u32::from_le_bytes(*ends) as usize * END);
    let ends = END..END + ends.expect("a row's bytes begin with the number of its ends");
    (ends.clone(), ends.end..bytes.len())
}

/// A record may have this many canonical bytes.
pub const RECORD_BYTES_MAX: usize = 16 << 20;
/// A list, set or map may have this many elements.
pub const LIST_ELEMENTS_MAX: usize = 1 << 24;

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[Option<&[u8]>], order: &[usize]) -> Row {
        let mut row = Row::new(cells.len());
        for column in order {
            if let Some(cell) = cells[*column] {
                row.set(*column, |out| out.extend_from_slice(cell));
            }
        }
        row
    }

    const CELLS: [Option<&[u8]>; 5] = [Some(b"one"), None, Some(b""), Some(b"four"), None];

    #[test]
    fn cells_are_the_same_in_whatever_order_they_are_set() {
        let straight = row(&CELLS, &[0, 1, 2, 3, 4]);
        for order in [[4, 3, 2, 1, 0], [3, 0, 4, 2, 1], [2, 3, 0, 1, 4]] {
            let other = row(&CELLS, &order);
            assert_eq!(other, straight, "{order:?}");
            assert_eq!((0..5).map(|column| other.cell(column)).collect::<Vec<_>>(), CELLS);
        }
    }

    #[test]
    fn a_cell_that_is_set_again_is_replaced() {
        for (column, cell) in [(0, b"1".as_slice()), (3, b"longer than before"), (1, b"now"), (2, b"")] {
            let mut cells = CELLS;
            cells[column] = Some(cell);
            let mut twice = row(&CELLS, &[0, 1, 2, 3, 4]);
            twice.set(column, |out| out.extend_from_slice(cell));
            assert_eq!(twice, row(&cells, &[0, 1, 2, 3, 4]), "{column}");
        }
    }

    #[test]
    fn a_row_comes_back_from_its_bytes_and_can_be_changed_in_them() {
        let mut bytes = Vec::new();
        RowRef::from(&row(&CELLS, &[0, 1, 2, 3, 4])).append_to(&mut bytes);
        let read = RowRef::of_bytes(&bytes);
        assert_eq!((0..6).map(|column| read.cell(column)).collect::<Vec<_>>(), [&CELLS[..], &[None]].concat());
        let mut changed = RowMut::of_bytes(&mut bytes);
        changed.cell(3).expect("it has a value").copy_from_slice(b"FOUR");
        assert_eq!(changed.cell(1), None);
        assert_eq!(RowRef::of_bytes(&bytes).cell(3), Some(b"FOUR".as_slice()));
        assert_eq!(RowRef::of_bytes(&bytes).cell(0), Some(b"one".as_slice()));
    }

    #[test]
    fn absent_and_empty_differ() {
        let (absent, empty) = (row(&[None], &[0]), row(&[Some(b"")], &[0]));
        assert_ne!(RowRef::from(&absent), RowRef::from(&empty));
        assert_ne!(RowRef::from(&absent).hash(7), RowRef::from(&empty).hash(7));
    }
}
