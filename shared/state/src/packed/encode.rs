//! Finding a table, and packing by it.
//!
//! The `fsst-rs` crate finds the symbols. Packing is done here, since it must take any table that can be read (one from
//! outside may break the crate's assumptions, which it asserts), and its bytes do not follow the crate's releases.

use super::table::{ESCAPE, SymbolTable};

/// Slots for longer symbols, which are found by a hash of their first three bytes. So many that most are empty, and a
/// look ends soon.
const LONG_SLOTS: usize = 1 << 12;

/// From text to codes: always the longest symbol that a look finds.
pub(super) struct Encoder {
    /// By the next two bytes: the code and length of a symbol of one or two bytes; 0 where there is none.
    short: Vec<u16>,
    /// Symbols of three bytes or more, each in its slot or in the next free one after it, longer ones first.
    long: Vec<Long>,
}

#[derive(Clone, Copy, Default)]
struct Long {
    symbol: u64,
    mask: u64,
    code: u8,
    /// 0 where there is none.
    length: u8,
}

impl SymbolTable {
    /// A table for texts like these; none if they have too little in common, or are too few.
    #[must_use]
    pub fn train(sample: &[&[u8]]) -> Option<SymbolTable> {
        let found = fsst::Compressor::train(&sample.to_vec());
        let (mut lengths, mut bytes) = (Vec::new(), Vec::new());
        for (symbol, length) in found.symbol_table().iter().zip(found.symbol_lengths()) {
            bytes.extend_from_slice(&symbol.to_u64().to_le_bytes()[..usize::from(*length)]);
            lengths.push(*length);
        }
        SymbolTable::new(&lengths, &bytes).ok()
    }
}

impl Encoder {
    pub(super) fn new(table: &SymbolTable) -> Encoder {
        let mut encoder = Encoder { short: vec![0; 1 << 16], long: vec![Long::default(); LONG_SLOTS] };
        // Symbols of two bytes come over those of one.
        let of_length = |wanted: u8| table.codes().filter(move |(_, _, length)| *length == wanted);
        for (code, symbol, _) in of_length(1) {
            let first = symbol as usize & 0xFF;
            (0..1 << 8).for_each(|second| encoder.short[second << 8 | first] = entry(code, 1));
        }
        for (code, symbol, _) in of_length(2) {
            encoder.short[symbol as usize & 0xFFFF] = entry(code, 2);
        }
        for (code, symbol, length) in (3..=8).rev().flat_map(of_length) {
            let mut at = long_slot(symbol);
            while encoder.long[at].length > 0 {
                at = (at + 1) % LONG_SLOTS;
            }
            encoder.long[at] = Long { symbol, mask: u64::MAX >> (64 - 8 * u32::from(length)), code, length };
        }
        encoder
    }

    pub(super) fn pack(&self, text: &[u8], out: &mut Vec<u8>) {
        let mut rest = text;
        while let Some(first) = rest.first() {
            let (code, length) = self.longest(word(rest), rest.len());
            let taken = if length > 0 {
                out.push(code);
                length
            } else {
                out.extend_from_slice(&[ESCAPE, *first]);
                1
            };
            rest = &rest[taken..];
        }
    }

    /// The longest symbol at the front of the word, of which so many bytes are text. Its length is 0 if there is none.
    fn longest(&self, word: u64, len: usize) -> (u8, usize) {
        let mut at = long_slot(word);
        loop {
            let long = &self.long[at];
            let length = usize::from(long.length);
            if length == 0 {
                break;
            }
            if word & long.mask == long.symbol && length <= len {
                return (long.code, length);
            }
            at = (at + 1) % LONG_SLOTS;
        }
        let short = self.short[word as usize & 0xFFFF];
        let length = usize::from(short >> 8);
        // At the end of the text a symbol of two bytes may have met a byte that is not there.
        if length <= len { (short as u8, length) } else { (0, 0) }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.short.len() * size_of::<u16>() + self.long.len() * size_of::<Long>()
    }
}

fn entry(code: u8, length: u16) -> u16 {
    length << 8 | u16::from(code)
}

/// The next eight bytes, or as many as there are.
fn word(rest: &[u8]) -> u64 {
    match rest.first_chunk() {
        Some(eight) => u64::from_le_bytes(*eight),
        None => {
            let mut eight = [0; 8];
            eight[..rest.len()].copy_from_slice(rest);
            u64::from_le_bytes(eight)
        }
    }
}

fn long_slot(word: u64) -> usize {
    let first_three = word & 0xFF_FFFF;
    (first_three.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - LONG_SLOTS.ilog2())) as usize
}
