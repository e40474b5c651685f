//! A symbol table: the bytes that each code means.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use std::sync::OnceLock;

use super::encode::Encoder;

/// The code after which one byte is itself.
pub(super) const ESCAPE: u8 = 255;
/// Codes are below this.
const SYMBOLS_MAX: usize = 255;
const SYMBOL_BYTES_MAX: usize = 8;

/// What the codes of a column's packed text mean. Made once, by [`train`](SymbolTable::train) or from outside by
/// [`new`](SymbolTable::new).
pub struct SymbolTable {
    /// By code, low byte first; unused codes are empty.
    pub(super) symbols: [u64; 256],
    /// By code: how many bytes of the symbol count.
    pub(super) lengths: [u8; 256],
    count: usize,
    /// Made when something is packed: readers never need it.
    encoder: OnceLock<Box<Encoder>>,
}

/// Lengths and bytes that are not a symbol table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it has a symbol table of {count} symbols and {bytes} bytes; one has 1 to 255 symbols of 1 to 8 bytes each")]
#[non_exhaustive]
pub struct TableError {
    /// How many lengths there are.
    pub count: usize,
    /// How many bytes of symbols.
    pub bytes: usize,
}

impl SymbolTable {
    /// The table of symbols of these lengths, whose bytes follow each other.
    pub fn new(lengths: &[u8], bytes: &[u8]) -> Result<SymbolTable, TableError> {
        let error = TableError { count: lengths.len(), bytes: bytes.len() };
        let sound = |length: &u8| (1..=SYMBOL_BYTES_MAX).contains(&usize::from(*length));
        if !(1..=SYMBOLS_MAX).contains(&lengths.len()) || !lengths.iter().all(sound) {
            return Err(error);
        }
        let mut table =
            SymbolTable { symbols: [0; 256], lengths: [0; 256], count: lengths.len(), encoder: OnceLock::new() };
        let mut rest = bytes;
        for (code, length) in lengths.iter().enumerate() {
            let (symbol, after) = rest.split_at_checked(usize::from(*length)).ok_or(error)?;
            rest = after;
            let (Some(word), Some(bytes)) = (table.symbols.get_mut(code), table.lengths.get_mut(code)) else {
                return Err(error);
            };
            *word = symbol.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
            *bytes = *length;
        }
        if rest.is_empty() { Ok(table) } else { Err(error) }
    }

    /// The lengths of its symbols, and their bytes one after another: what [`new`](SymbolTable::new) takes.
    #[must_use]
    pub(crate) fn to_parts(&self) -> (Vec<u8>, Vec<u8>) {
        let lengths: Vec<u8> = self.lengths.iter().take(self.count).copied().collect();
        let symbols = lengths.iter().zip(&self.symbols);
        let bytes = symbols.flat_map(|(length, symbol)| symbol.to_le_bytes().into_iter().take(usize::from(*length)));
        (lengths.clone(), bytes.collect())
    }

    /// The length of what is packed here, unpacked; none if a code is not one of this table's.
    #[must_use]
    pub fn checked_len(&self, packed: &[u8]) -> Option<usize> {
        let mut codes = packed.iter();
        let mut len = 0;
        while let Some(code) = codes.next() {
            let bytes = if *code == ESCAPE {
                codes.next()?;
                1
            } else if usize::from(*code) < self.count {
                self.symbol(*code).1
            } else {
                return None;
            };
            // Below eight times the bytes that are packed.
            len = bytes.wrapping_add(len);
        }
        Some(len)
    }

    /// Appends the text. Of bytes that were not checked, something of at most eight times their length.
    pub fn unpack(&self, packed: &[u8], out: &mut Vec<u8>) {
        let mut codes = packed.iter();
        while let Some(code) = codes.next() {
            if *code == ESCAPE {
                out.extend(codes.next());
                continue;
            }
            // Eight bytes at a time, as a copy of a known length is one store.
            let (symbol, bytes) = self.symbol(*code);
            let end = out.len().wrapping_add(bytes);
            out.extend_from_slice(&symbol.to_le_bytes());
            out.truncate(end);
        }
    }

    /// A code's symbol, and how many of its bytes count.
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "a byte is below the 256 of each array; the compiler sees it")]
    fn symbol(&self, code: u8) -> (u64, usize) {
        (self.symbols[usize::from(code)], usize::from(self.lengths[usize::from(code)]))
    }

    /// Appends the text's codes.
    pub fn pack(&self, text: &[u8], out: &mut Vec<u8>) {
        self.encoder.get_or_init(|| Box::new(Encoder::new(self))).pack(text, out);
    }

    /// Bytes in memory.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<SymbolTable>().saturating_add(self.encoder.get().map_or(0, |encoder| encoder.memory_bytes()))
    }

    /// Its codes with their symbols.
    pub(super) fn codes(&self) -> impl Iterator<Item = (u8, u64, u8)> {
        let codes = (0..=u8::MAX).zip(self.symbols).zip(self.lengths);
        codes.map(|((code, symbol), length)| (code, symbol, length)).take(self.count)
    }
}

impl PartialEq for SymbolTable {
    fn eq(&self, other: &SymbolTable) -> bool {
        (self.symbols, self.lengths) == (other.symbols, other.lengths)
    }
}

impl Eq for SymbolTable {}

impl std::fmt::Debug for SymbolTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SymbolTable").field("symbols", &self.count).finish_non_exhaustive()
    }
}
