//! An arena: what one cycle brings, byte strings and rows, each kept until the cycle is over and found by its number.

use cenote_state::row::{RowMut, RowRef};

/// Byte strings side by side, numbered in the order in which they came.
#[derive(Default)]
pub(crate) struct Strings {
    blocks: Vec<Vec<u8>>,
    places: Vec<StringPlace>,
}

struct StringPlace {
    block: u32,
    start: u32,
    len: u32,
}

/// Blocks keep a growing arena from being copied again and again.
const BLOCK_BYTES: usize = 1 << 20;

impl Strings {
    /// Keeps a copy; its number.
    pub(crate) fn push(&mut self, string: &[u8]) -> u32 {
        self.push_with(string.len(), |block| block.extend_from_slice(string))
    }

    /// Keeps `len` bytes that `write` appends; their number.
    fn push_with(&mut self, len: usize, write: impl FnOnce(&mut Vec<u8>)) -> u32 {
        if self.blocks.last().is_none_or(|block| block.len() + len > BLOCK_BYTES) {
            // The first block grows, so that a small cycle stays small; later ones are there at once, and no larger.
            self.blocks.push(Vec::with_capacity(if self.blocks.is_empty() { 0 } else { BLOCK_BYTES.max(len) }));
        }
        let number = self.len();
        let block = self.blocks.last_mut().expect("a block was pushed");
        let start = block.len();
        write(block);
        debug_assert_eq!(block.len(), start + len, "as many bytes as promised");
        // A string is a row, or less than one: it is checked against 16 MiB when it is written.
        let (block, start, len) = ((self.blocks.len() - 1) as u32, start as u32, len as u32);
        self.places.push(StringPlace { block, start, len });
        number
    }

    /// The string with this number.
    pub(crate) fn get(&self, number: u32) -> &[u8] {
        let place = &self.places[number as usize];
        &self.blocks[place.block as usize][place.start as usize..][..place.len as usize]
    }

    fn get_mut(&mut self, number: u32) -> &mut [u8] {
        let place = &self.places[number as usize];
        &mut self.blocks[place.block as usize][place.start as usize..][..place.len as usize]
    }

    /// Frees the blocks that hold only strings before this one. They are not read any more.
    fn free_before(&mut self, number: u32) {
        let first = self.places[number as usize].block as usize;
        // Blocks are filled in order, so those before a freed one are free.
        let freed = self.blocks[..first].iter_mut().rev().take_while(|block| block.capacity() > 0);
        freed.for_each(|block| *block = Vec::new());
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.places.len()).expect("writers stop at the last ordinal")
    }
}

/// Rows side by side, numbered in the order in which they came.
#[derive(Default)]
pub(crate) struct Rows {
    strings: Strings,
}

impl Rows {
    /// Keeps a copy; its number.
    pub(crate) fn push(&mut self, row: RowRef<'_>) -> u32 {
        self.strings.push_with(row.byte_len(), |block| row.append_to(block))
    }

    /// The row with this number.
    pub(crate) fn get(&self, number: u32) -> RowRef<'_> {
        RowRef::of_bytes(self.strings.get(number))
    }

    /// Frees the memory of rows before this one, by blocks. They are not read any more.
    pub(crate) fn free_before(&mut self, number: u32) {
        self.strings.free_before(number);
    }

    /// The same, to be changed in place.
    pub(crate) fn get_mut(&mut self, number: u32) -> RowMut<'_> {
        RowMut::of_bytes(self.strings.get_mut(number))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u32 {
        self.strings.len()
    }
}

#[cfg(test)]
mod tests {
    use cenote_state::row::Row;

    use super::*;

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

    #[test]
    fn blocks_are_freed_from_the_front() {
        let mut strings = Strings::default();
        let numbers: Vec<_> = (0..4).map(|byte| strings.push(&vec![byte; BLOCK_BYTES])).collect();
        let held = |strings: &Strings| strings.blocks.iter().map(Vec::capacity).sum::<usize>() / BLOCK_BYTES;
        assert_eq!(held(&strings), 4);
        for (index, number) in numbers.into_iter().enumerate() {
            strings.free_before(number);
            assert_eq!((strings.get(number)[0] as usize, held(&strings)), (index, 4 - index));
        }
    }

    #[test]
    fn a_row_comes_back_from_the_arena() {
        let mut row = Row::new(4);
        row.set(0, |out| out.extend_from_slice(b"one"));
        row.set(2, |_| ());
        row.set(3, |out| out.extend_from_slice(b"four"));
        let mut rows = Rows::default();
        let numbers = [rows.push(RowRef::from(&row)), rows.push(RowRef::from(&Row::new(4)))];
        assert_eq!((numbers, rows.len()), ([0, 1], 2));
        assert_eq!(rows.get(0), RowRef::from(&row));
        rows.get_mut(0).cell(3).expect("it has a value").copy_from_slice(b"FOUR");
        let cells: Vec<_> = (0..4).map(|column| rows.get(0).cell(column)).collect();
        assert_eq!(cells, [Some(b"one".as_slice()), None, Some(b""), Some(b"FOUR")]);
        assert!((0..4).all(|column| rows.get(1).cell(column).is_none()));
    }
}
