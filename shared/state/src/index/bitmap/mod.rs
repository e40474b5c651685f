//! The live bits of a table: which of its ordinals have a record.
//!
//! Scans, counts and the choice of free ordinals read them; point reads do not. They are paged, so that a delta copies
//! 1 KiB per touched run of 8,192 ordinals instead of a bitmap of the whole table (I10).
//!
//! Rules: a page counts its live ordinals; the last page has one, so equal sets have equal pages.

use super::directory::Directory;
use std::ops::Range;
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// Words of a page: 1 KiB.
const PAGE_WORDS: usize = 128;
/// Ordinals of a page.
const PAGE_ORDINALS: usize = PAGE_WORDS * 64;

/// A persistent set of ordinals, dense from 0.
///
/// ```
/// use cenote_state::index::LiveSet;
/// let mut live: LiveSet = [0, 1, 4].into_iter().collect();
/// let older = live.clone();
/// live.remove(1);
/// assert_eq!(live.absent(0..5).collect::<Vec<_>>(), [1, 2, 3]);
/// assert!(older.contains(1));
/// ```
#[derive(Clone, Debug)]
pub struct LiveSet {
    pages: Directory<Page>,
    len: usize,
}

#[derive(Clone, Debug)]
struct Page {
    words: Arc<[u64; PAGE_WORDS]>,
    live: u32,
}

impl LiveSet {
    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self { pages: [].into_iter().collect(), len: 0 }
    }

    /// The number of live ordinals.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no ordinal is live.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// One more than the largest ordinal that fits into the pages at hand.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.pages.len() * PAGE_ORDINALS
    }

    /// Whether the ordinal is live.
    #[inline]
    #[must_use]
    pub fn contains(&self, ordinal: u32) -> bool {
        let (page, word, bit) = split(ordinal);
        self.pages.get(page).is_some_and(|page| page.words[word] & bit != 0)
    }

    /// Makes the ordinal live; returns whether it was not.
    pub fn insert(&mut self, ordinal: u32) -> bool {
        if self.contains(ordinal) {
            return false;
        }
        self.insert_word(ordinal as usize / 64, 1 << (ordinal % 64));
        true
    }

    /// Makes those ordinals from `first` on live whose bits are set.
    pub(crate) fn insert_bits(&mut self, first: u32, bits: &[u8]) {
        for (at, byte) in (first as usize..).step_by(8).zip(bits) {
            let bits = u128::from(*byte) << (at % 64);
            self.insert_word(at / 64, bits as u64);
            self.insert_word(at / 64 + 1, (bits >> 64) as u64);
        }
    }

    fn insert_word(&mut self, number: usize, bits: u64) {
        let (number, word) = (number / PAGE_WORDS, number % PAGE_WORDS);
        let new = bits & !self.word(number * PAGE_WORDS + word);
        if new == 0 {
            return;
        }
        if number >= self.pages.len() {
            let empty = Page::empty();
            while number >= self.pages.len() {
                self.pages.push(empty.clone());
            }
        }
        let page = self.pages.page_mut(number);
        Arc::make_mut(&mut page.words)[word] |= new;
        page.live += new.count_ones();
        self.len += new.count_ones() as usize;
    }

    /// Makes the ordinal absent; returns whether it was live.
    pub fn remove(&mut self, ordinal: u32) -> bool {
        if !self.contains(ordinal) {
            return false;
        }
        let (number, word, bit) = split(ordinal);
        let page = self.pages.page_mut(number);
        Arc::make_mut(&mut page.words)[word] &= !bit;
        page.live -= 1;
        self.len -= 1;
        self.drop_empty_tail();
        true
    }

    /// The live ordinals, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        let pages = self.pages.iter().enumerate().filter(|(_, page)| page.live > 0);
        pages.flat_map(|(number, page)| {
            let words = (number * PAGE_WORDS..).zip(page.words.iter());
            words.flat_map(|(number, word)| ordinals_of(number, *word))
        })
    }

    /// The live ordinals of a range, ascending. Empty pages cost nothing.
    pub(crate) fn range(&self, range: Range<u32>) -> impl Iterator<Item = u32> {
        let pages = range.start as usize / PAGE_ORDINALS..(range.end as usize).div_ceil(PAGE_ORDINALS);
        let pages = pages.filter(|number| self.live_in(*number) > 0);
        let words = pages.flat_map(|number| number * PAGE_WORDS..(number + 1) * PAGE_WORDS);
        let ordinals = words.flat_map(|number| ordinals_of(number, self.word(number)));
        let Range { start, end } = range;
        ordinals.skip_while(move |ordinal| *ordinal < start).take_while(move |ordinal| *ordinal < end)
    }

    /// The ordinals of a range that are not live, ascending; those beyond `capacity` are among them. Full pages cost
    /// nothing.
    pub fn absent(&self, range: Range<u32>) -> impl Iterator<Item = u32> {
        let pages = range.start as usize / PAGE_ORDINALS..(range.end as usize).div_ceil(PAGE_ORDINALS);
        let pages = pages.filter(|number| self.live_in(*number) < PAGE_ORDINALS);
        let words = pages.flat_map(|number| number * PAGE_WORDS..(number + 1) * PAGE_WORDS);
        let ordinals = words.flat_map(|number| ordinals_of(number, !self.word(number)));
        let Range { start, end } = range;
        ordinals.skip_while(move |ordinal| *ordinal < start).take_while(move |ordinal| *ordinal < end)
    }

    /// Bytes held, pages and both directory levels; what clones share is counted in each.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        const PAGE_BYTES: usize = PAGE_WORDS * 8 + 2 * size_of::<usize>();
        size_of::<Self>() + self.pages.memory_bytes() + self.pages.len() * PAGE_BYTES
    }

    /// Asserts the rules above.
    ///
    /// # Panics
    /// When a rule is broken: for tests and debug builds.
    pub fn check_invariants(&self) {
        let mut len = 0;
        for page in self.pages.iter() {
            let live: u32 = page.words.iter().map(|word| word.count_ones()).sum();
            assert_eq!(live, page.live, "a page counts its live ordinals");
            len += live as usize;
        }
        assert_eq!(len, self.len, "the pages' ordinals are the set's");
        assert!(self.pages.iter().next_back().is_none_or(|page| page.live > 0), "the last page is not empty");
    }

    fn live_in(&self, page: usize) -> usize {
        self.pages.get(page).map_or(0, |page| page.live as usize)
    }

    /// The word with this number; beyond the end no ordinal is live.
    pub(crate) fn word(&self, number: usize) -> u64 {
        self.pages.get(number / PAGE_WORDS).map_or(0, |page| page.words[number % PAGE_WORDS])
    }

    fn drop_empty_tail(&mut self) {
        while self.pages.len() > 0 && self.live_in(self.pages.len() - 1) == 0 {
            self.pages.pop();
        }
    }
}

impl Default for LiveSet {
    fn default() -> Self {
        Self::new()
    }
}

impl FromIterator<u32> for LiveSet {
    fn from_iter<I: IntoIterator<Item = u32>>(ordinals: I) -> Self {
        let mut set = Self::new();
        for ordinal in ordinals {
            set.insert(ordinal);
        }
        set
    }
}

impl PartialEq for LiveSet {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.pages.iter().zip(other.pages.iter()).all(|(a, b)| a == b)
    }
}

impl Eq for LiveSet {}

impl Page {
    fn empty() -> Self {
        Self { words: Arc::new([0; PAGE_WORDS]), live: 0 }
    }
}

impl PartialEq for Page {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.words, &other.words) || self.words == other.words
    }
}

/// An ordinal's page, word and bit.
#[inline]
fn split(ordinal: u32) -> (usize, usize, u64) {
    let ordinal = ordinal as usize;
    (ordinal / PAGE_ORDINALS, ordinal % PAGE_ORDINALS / 64, 1 << (ordinal % 64))
}

/// The ordinals of a word's set bits.
fn ordinals_of(number: usize, word: u64) -> impl Iterator<Item = u32> {
    Ones(word).map(move |bit| (number * 64) as u32 + bit)
}

/// The numbers of a word's set bits, ascending.
pub(super) struct Ones(pub(super) u64);

impl Iterator for Ones {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        if self.0 == 0 {
            return None;
        }
        let bit = self.0.trailing_zeros();
        self.0 &= self.0 - 1;
        Some(bit)
    }
}
