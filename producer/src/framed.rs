//! Records as byte strings: the *framed* form of a row, and an arena of such strings.
//!
//! A framed record is its cells one after another, each with its length (u32; `u32::MAX` for an absent one). Equal
//! records have equal framed bytes, whether they come from a user's row or from a segment, so the same form serves to
//! hash, to compare and to keep what one cycle brings.

use cenote_state::row::Row;
use cenote_state::segment::RowAt;

const ABSENT: u32 = u32::MAX;
const LENGTH_BYTES: usize = 4;

/// Appends the framed form of a row.
pub(crate) fn frame(row: &Row, out: &mut Vec<u8>) {
    for column in 0..row.columns() {
        match row.cell(column) {
            Some(cell) => {
                // A row is checked against 16 MiB when it is written.
                out.extend_from_slice(&(cell.len() as u32).to_le_bytes());
                out.extend_from_slice(cell);
            }
            None => out.extend_from_slice(&ABSENT.to_le_bytes()),
        }
    }
}

/// Appends the framed form of a record that a segment holds.
pub(crate) fn frame_stored(row: RowAt<'_>, out: &mut Vec<u8>) {
    for column in 0..row.columns() {
        let start = out.len();
        out.extend_from_slice(&ABSENT.to_le_bytes());
        if row.cell(column).canonical(out) {
            let length = (out.len() - start - LENGTH_BYTES) as u32;
            out[start..start + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
        }
    }
}

/// The cells of a framed record, in the order of its columns.
pub(crate) fn cells(mut framed: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    std::iter::from_fn(move || {
        let (length, rest) = framed.split_at_checked(LENGTH_BYTES)?;
        let length = u32::from_le_bytes(length.try_into().expect("four bytes are four bytes"));
        if length == ABSENT {
            framed = rest;
            return Some(None);
        }
        let (cell, rest) = rest.split_at(length as usize);
        framed = rest;
        Some(Some(cell))
    })
}

/// Makes a framed record a row again.
pub(crate) fn unframe(framed: &[u8], columns: usize, row: &mut Row) {
    row.clear(columns);
    for (column, cell) in cells(framed).enumerate() {
        if let Some(cell) = cell {
            row.set(column, |out| out.extend_from_slice(cell));
        }
    }
}

/// Whether a row says the same as a stored record. `scratch` is overwritten.
pub(crate) fn is_same(row: &Row, stored: RowAt<'_>, scratch: &mut Vec<u8>) -> bool {
    (0..row.columns()).all(|field| stored.cell(field).is_canonical(row.cell(field), scratch))
}

/// The fields in which a row differs from a stored record, ascending.
pub(crate) fn changed_fields(row: &Row, stored: RowAt<'_>, scratch: &mut Vec<u8>) -> Vec<usize> {
    (0..row.columns()).filter(|field| !stored.cell(*field).is_canonical(row.cell(*field), scratch)).collect()
}

/// Byte strings side by side, numbered in the order in which they came.
#[derive(Default)]
pub(crate) struct Strings {
    blocks: Vec<Vec<u8>>,
    places: Vec<Place>,
}

struct Place {
    block: u32,
    start: u32,
    len: u32,
}

/// Blocks keep a growing arena from being copied again and again.
const BLOCK_BYTES: usize = 1 << 20;

impl Strings {
    /// Keeps a copy; its number.
    pub(crate) fn push(&mut self, string: &[u8]) -> u32 {
        if self.blocks.last().is_none_or(|block| block.len() + string.len() > BLOCK_BYTES) {
            self.blocks.push(Vec::new());
        }
        let number = self.len();
        let block = self.blocks.last_mut().expect("a block was pushed");
        let start = block.len() as u32;
        block.extend_from_slice(string);
        let (block, len) = ((self.blocks.len() - 1) as u32, string.len() as u32);
        self.places.push(Place { block, start, len });
        number
    }

    /// The string with this number.
    pub(crate) fn get(&self, number: u32) -> &[u8] {
        let place = &self.places[number as usize];
        &self.blocks[place.block as usize][place.start as usize..][..place.len as usize]
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.places.len()).expect("writers stop at the last ordinal")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[Option<&[u8]>]) -> Row {
        let mut row = Row::new(cells.len());
        for (column, cell) in cells.iter().enumerate() {
            if let Some(cell) = cell {
                row.set(column, |out| out.extend_from_slice(cell));
            }
        }
        row
    }

    #[test]
    fn a_row_comes_back_from_its_frame() {
        let before = row(&[Some(b"one"), None, Some(b""), Some(b"four")]);
        let mut framed = Vec::new();
        frame(&before, &mut framed);
        let mut after = Row::default();
        unframe(&framed, 4, &mut after);
        assert_eq!(after, before);
    }

    #[test]
    fn absent_and_empty_differ() {
        let (mut absent, mut empty) = (Vec::new(), Vec::new());
        frame(&row(&[None]), &mut absent);
        frame(&row(&[Some(b"")]), &mut empty);
        assert_ne!(absent, empty);
    }

    #[test]
    fn strings_longer_than_a_block_are_kept() {
        let mut strings = Strings::default();
        let long = vec![7; BLOCK_BYTES * 2];
        let numbers = [strings.push(b"short"), strings.push(&long), strings.push(b""), strings.push(b"end")];
        assert_eq!(numbers, [0, 1, 2, 3]);
        assert_eq!(strings.get(0), b"short");
        assert_eq!(strings.get(1), long);
        assert_eq!(strings.get(2), b"");
        assert_eq!(strings.get(3), b"end");
    }
}
