//! Sorting: the elements of a set, or the entries of a map, on their way into order.

use super::{Order, push_count, push_element};

/// Elements or entries, collected in any order. Keep it: its buffers are reused.
///
/// ```
/// # use cenote_state::row::{Order, Sorter};
/// let mut sorter = Sorter::default();
/// for number in [9_u64, 3, 9] {
///     sorter.push_entry(&number.to_le_bytes(), &[]);
/// }
/// assert!(!sorter.sort(Order::Unsigned), "9 is there twice");
/// let mut set = Vec::new();
/// sorter.write([false, false], &mut set);
/// assert_eq!(set, [2_u32.to_le_bytes().as_slice(), &3_u64.to_le_bytes(), &9_u64.to_le_bytes()].concat());
/// ```
#[derive(Debug, Default)]
pub struct Sorter {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    key_end: usize,
    end: usize,
}

impl Sorter {
    /// Forgets all elements; keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
    }

    /// Bytes collected so far.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Adds an element, or the key of an entry: `write` appends its canonical bytes.
    ///
    /// # Errors
    /// Those of `write`; the sorter is then to be cleared.
    #[inline]
    pub fn key<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let start = self.bytes.len();
        write(&mut self.bytes)?;
        let end = self.bytes.len();
        self.spans.push(Span { start, key_end: end, end });
        Ok(())
    }

    /// Adds the value of the entry whose key was added last.
    ///
    /// # Errors
    /// Those of `write`; the sorter is then to be cleared.
    ///
    /// # Panics
    /// If no key was added.
    #[inline]
    pub fn value<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        write(&mut self.bytes)?;
        self.spans.last_mut().expect("a value comes after its key").end = self.bytes.len();
        Ok(())
    }

    /// Adds an entry from its canonical bytes, without lengths.
    pub fn push_entry(&mut self, key: &[u8], value: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        self.spans.push(Span { start, key_end: start + key.len(), end: self.bytes.len() });
    }

    /// Sorts by key and keeps the first of equal ones. Returns whether all were different.
    pub fn sort(&mut self, order: Order) -> bool {
        let Sorter { bytes, spans } = self;
        let by_key = |left: &Span, right: &Span| {
            order.compare(&bytes[left.start..left.key_end], &bytes[right.start..right.key_end])
        };
        // Most sets come sorted already, from a BTreeSet.
        if spans.is_sorted_by(|left, right| by_key(left, right).is_lt()) {
            return true;
        }
        let before = spans.len();
        // Stable, so that of equal keys the first is kept.
        spans.sort_by(by_key);
        spans.dedup_by(|later, first| by_key(later, first).is_eq());
        spans.len() == before
    }

    /// Appends the count and the elements. `sized` is whether keys, and values, have their lengths before them; a set has
    /// no values, and `false` for them.
    pub fn write(&self, sized: [bool; 2], out: &mut Vec<u8>) {
        push_count(self.spans.len(), out);
        for span in &self.spans {
            push_element(&self.bytes[span.start..span.key_end], sized[0], out);
            push_element(&self.bytes[span.key_end..span.end], sized[1], out);
        }
    }
}
