//! The key index: from a key's 64-bit hash to the ordinal of the live row that has it.
//!
//! It stores (tag, ordinal) only; the row holds the key, so the caller decides which candidate matches (`is_match`) and
//! hashes a row again when its page is laid out again (`rehash`). A line is one cache line of 12 slots; an entry is
//! in its home line, or in one of the lines after it when that was full. A miss reads one line, a hit one line and its
//! row.
//!
//! Growth is linear hashing: pages are split one at a time, in their order, so the number of pages follows the number of
//! entries without aliases and without a moment when everything moves (I10). A page also has its own number of lines
//! and grows by a quarter, which keeps it filled while it waits for its turn to be split.
//!
//! Published structures that it follows: the tags of a line, compared at once, are those of Swiss tables and of F14 (whose
//! lines count what spilled out of them, too); the splitting of pages is Litwin's linear hashing.
//!
//! Rules: the low 32 bits of a hash choose the page, the next 24 the line, the top 8 the tag; tag 0 marks a free slot.
//! A page always has a free slot. A home line's `reach` and `spilled_tags` cover every entry that spilled out of it. The
//! same edits in the same order make the same structure.

use super::directory::Directory;
use crate::raw::prefetch;
use std::fmt;
use std::sync::Arc;

mod build;
mod line;
#[cfg(test)]
mod tests;

use line::Line;

/// Mean entries of a page: pages have a half to twice as many, up to 2.4 KiB.
const PAGE_ENTRIES: usize = 192;
/// Entries of a page whose keys are not all different: seeded hashes of different keys never crowd so. Work on a page
/// grows with the square of its equal hashes, so bytes from outside are refused before (I9).
const PAGE_ENTRIES_MAX: usize = 4_096;
/// Entries that a line gets when a page is laid out again: three quarters full.
const FRESH_LINE_ENTRIES: usize = 9;
/// Twice the entries a line may have before its page grows by a quarter: seven eighths full.
const FULL_LINE_ENTRIES_TWICE: usize = 21;
/// Twice the entries a line has when its page is worth shrinking: three eighths full.
const SPARSE_LINE_ENTRIES_TWICE: usize = 9;

/// A persistent map from hashes to ordinals; equality is the caller's.
///
/// ```
/// use cenote_state::index::KeyIndex;
/// let keys = [30_u64, 10, 20];
/// let hash = |key: u64| key.wrapping_mul(0x9E37_79B9_7F4A_7C15); // use a real, seeded hash
/// let mut index = KeyIndex::new();
/// for (ordinal, key) in keys.iter().enumerate() {
///     index.insert(hash(*key), ordinal as u32, &mut |ordinal| hash(keys[ordinal as usize]));
/// }
/// assert_eq!(index.find(hash(10), |ordinal| keys[ordinal as usize] == 10), Some(1));
/// ```
#[derive(Clone)]
pub struct KeyIndex {
    pages: Directory<Page>,
    /// Follows from the number of pages; every look-up wants it.
    page_mask: usize,
    len: usize,
}

/// Lines that share a copy-on-write unit, and how many entries they hold.
#[derive(Clone)]
struct Page {
    lines: Arc<[Line]>,
    len: u32,
}

impl KeyIndex {
    /// An empty index.
    #[must_use]
    pub fn new() -> Self {
        Self::of_pages([Page::default()].into_iter().collect(), 0)
    }

    fn of_pages(pages: Directory<Page>, len: usize) -> Self {
        Self { page_mask: page_mask(pages.len()), pages, len }
    }

    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first ordinal under this hash for which `is_match` returns `true`. It is called for entries with the hash's
    /// tag only: about once per hit, once in twenty misses.
    #[inline(always)]
    pub fn find(&self, hash: u64, mut is_match: impl FnMut(u32) -> bool) -> Option<u32> {
        let home = self.home(hash);
        home.ordinals().chain(home.spilled()).find(|ordinal| is_match(*ordinal))
    }

    /// The home line of this hash. Iterates the ordinals in the home line first, then, out of line, those
    /// that spilled.
    #[inline(always)]
    pub fn home(&self, hash: u64) -> Home<'_> {
        let lines = &*self.pages.page(page_in(hash, self.pages.len(), self.page_mask)).lines;
        let number = home_of(hash, lines.len());
        Home { lines, number, line: &lines[number], hash }
    }

    /// Adds an entry; it must not be there yet. `rehash` is asked for the hashes of earlier entries whose page is
    /// laid out again, never for this one's: about six of them per insert in an index that grows, seldom one otherwise.
    pub fn insert(&mut self, hash: u64, ordinal: u32, rehash: &mut impl FnMut(u32) -> u64) {
        self.balance(rehash);
        let number = page_of(hash, self.pages.len());
        let page = self.pages.page_mut(number);
        page.make_room(rehash);
        page.place(hash, ordinal);
        self.len += 1;
    }

    /// Whether so many entries have the place of this hash that their keys can't all be different.
    #[must_use]
    pub(crate) fn is_crowded(&self, hash: u64) -> bool {
        self.pages.page(page_of(hash, self.pages.len())).len as usize > PAGE_ENTRIES_MAX
    }

    /// Removes the entry; returns whether it was there. A miss copies nothing.
    pub fn remove(&mut self, hash: u64, ordinal: u32) -> bool {
        let number = page_of(hash, self.pages.len());
        let Some(place) = self.pages.page(number).locate(hash, ordinal) else {
            return false;
        };
        self.pages.page_mut(number).take_out(place);
        self.len -= 1;
        true
    }

    /// All ordinals, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.pages.iter().flat_map(Page::ordinals)
    }

    /// Bytes held, pages and both directory levels; what clones share is counted in each.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.pages.memory_bytes() + self.pages.iter().map(Page::memory_bytes).sum::<usize>()
    }

    /// Splits or merges one page when the mean page is too full or too empty. One step per insert is enough: a
    /// split makes room for `PAGE_ENTRIES` more.
    fn balance(&mut self, rehash: &mut impl FnMut(u32) -> u64) {
        let room = self.pages.len() * PAGE_ENTRIES;
        if self.len >= room {
            self.split_next(rehash);
        } else if self.len < room / 2 && self.pages.len() > 1 {
            self.merge_last(rehash);
        }
    }

    /// Splits the page whose turn it is; its upper half becomes the last page.
    fn split_next(&mut self, rehash: &mut impl FnMut(u32) -> u64) {
        let count = self.pages.len();
        let low = self.pages.page_mut(twin_of(count));
        let (lower, upper): (Vec<_>, Vec<_>) =
            low.entries(rehash).into_iter().partition(|(hash, _)| page_of(*hash, count + 1) != count);
        *low = Page::pack(&lower);
        self.pages.push(Page::pack(&upper));
        self.page_mask = page_mask(self.pages.len());
    }

    /// The reverse of `split_next`.
    fn merge_last(&mut self, rehash: &mut impl FnMut(u32) -> u64) {
        let last = self.pages.pop().expect("the index has a page");
        let low = self.pages.page_mut(twin_of(self.pages.len()));
        let mut entries = low.entries(rehash);
        entries.extend(last.entries(rehash));
        *low = Page::pack(&entries);
        self.page_mask = page_mask(self.pages.len());
    }

    /// Asserts the rules above; `rehash` as in `insert`.
    ///
    /// # Panics
    /// When a rule is broken: for tests and debug builds.
    pub fn check_invariants(&self, rehash: &mut impl FnMut(u32) -> u64) {
        let mut len = 0;
        for (number, page) in self.pages.iter().enumerate() {
            for (hash, _) in page.entries(rehash) {
                assert_eq!(page_of(hash, self.pages.len()), number, "an entry is in its hash's page");
            }
            page.check_invariants(rehash);
            len += page.len as usize;
        }
        assert_eq!(len, self.len, "the pages' entries are the index's");
        assert_eq!(self.page_mask, page_mask(self.pages.len()), "the mask is that of the pages");
    }
}

impl Default for KeyIndex {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for KeyIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyIndex").field("len", &self.len).field("pages", &self.pages.len()).finish()
    }
}

/// The line that a hash belongs to.
#[derive(Clone, Copy)]
pub struct Home<'i> {
    lines: &'i [Line],
    number: usize,
    line: &'i Line,
    hash: u64,
}

impl<'i> Home<'i> {
    /// Ordinals in this line under the hash's tag.
    #[inline(always)]
    pub fn ordinals(self) -> impl Iterator<Item = u32> + use<'i> {
        self.line.slots_with(tag_of(self.hash)).ordinals_in(self.line)
    }

    /// The line alone, for a look-up in stages.
    #[inline(always)]
    pub(crate) fn near(self) -> Near<'i> {
        Near { line: self.line, tag: tag_of(self.hash) }
    }

    /// Whether others may be in a later line.
    #[inline(always)]
    #[must_use]
    pub(crate) fn may_have_spilled(self) -> bool {
        self.line.may_have_spilled(tag_of(self.hash))
    }

    /// Those others.
    pub fn spilled(self) -> impl Iterator<Item = u32> + use<'i> {
        spilled(self.lines, self.number, self.hash).map(|(_, _, ordinal)| ordinal)
    }
}

/// What is left of a [`Home`] while its line is on its way.
#[derive(Clone, Copy)]
pub(crate) struct Near<'i> {
    line: &'i Line,
    tag: u8,
}

impl Near<'_> {
    /// Asks for the line before it is read.
    #[inline(always)]
    pub(crate) fn prefetch(self) {
        prefetch(self.line);
    }

    /// The first ordinal in this line under the tag.
    #[inline(always)]
    pub(crate) fn first(self) -> Option<u32> {
        self.line.slots_with(self.tag).ordinals_in(self.line).next()
    }
}

/// The position of an entry: its home line, how many lines after it, and the slot there.
struct EntryPosition {
    home: usize,
    distance: usize,
    slot: usize,
}

impl Page {
    /// The entries with their hashes, line by line.
    fn entries(&self, rehash: &mut impl FnMut(u32) -> u64) -> Vec<(u64, u32)> {
        self.ordinals().map(|ordinal| (rehash(ordinal), ordinal)).collect()
    }

    fn ordinals(&self) -> impl Iterator<Item = u32> {
        self.lines.iter().flat_map(Line::ordinals)
    }

    /// Lays the page out again, a quarter larger, when it is full; or at its usual fill when it is nearly empty.
    fn make_room(&mut self, rehash: &mut impl FnMut(u32) -> u64) {
        let (entries, lines) = (self.len as usize, self.lines.len());
        if (entries + 1) * 2 > lines * FULL_LINE_ENTRIES_TWICE {
            *self = Page::pack_into(&self.entries(rehash), lines + (lines / 4).max(1));
        } else if entries * 2 < lines * SPARSE_LINE_ENTRIES_TWICE && lines > 1 {
            *self = Page::pack(&self.entries(rehash));
        }
    }

    /// Puts an entry into the first free slot from its home line on.
    fn place(&mut self, hash: u64, ordinal: u32) {
        let lines = Arc::make_mut(&mut self.lines);
        let home = home_of(hash, lines.len());
        line::place(lines, home, tag_of(hash), ordinal);
        self.len += 1;
    }

    fn locate(&self, hash: u64, ordinal: u32) -> Option<EntryPosition> {
        let lines = &*self.lines;
        let home = home_of(hash, lines.len());
        let line = &lines[home];
        if let Some(slot) = line.slots_with(tag_of(hash)).find(|slot| line.ordinals[*slot] == ordinal) {
            return Some(EntryPosition { home, distance: 0, slot });
        }
        let (distance, slot, _) = spilled(lines, home, hash).find(|(_, _, found)| *found == ordinal)?;
        Some(EntryPosition { home, distance, slot })
    }

    fn take_out(&mut self, position: EntryPosition) {
        self.len -= 1;
        if self.len == 0 {
            *self = Self::default();
            return;
        }
        let lines = Arc::make_mut(&mut self.lines);
        let at = (position.home + position.distance) % lines.len();
        lines[at].clear(position.slot);
        if position.distance > 0 {
            lines[position.home].unspill();
        }
    }

    fn memory_bytes(&self) -> usize {
        // The counters in front of the lines are padded to a line.
        (self.lines.len() + 1) * size_of::<Line>()
    }

    fn check_invariants(&self, rehash: &mut impl FnMut(u32) -> u64) {
        let entries = self.entries(rehash);
        assert_eq!(entries.len(), self.len as usize, "a page counts its entries");
        assert!(entries.len() < self.lines.len() * line::SLOTS, "a page has a free slot");
        let mut spilled = vec![0_usize; self.lines.len()];
        for (hash, ordinal) in entries {
            let place = self.locate(hash, ordinal).expect("an entry is within its home line's reach");
            spilled[place.home] += usize::from(place.distance > 0);
        }
        for (line, spilled) in self.lines.iter().zip(spilled) {
            line.check_invariants(spilled);
        }
    }
}

impl Default for Page {
    fn default() -> Self {
        Self { lines: Arc::new([Line::EMPTY]), len: 0 }
    }
}

/// Candidates outside the home line, as (distance, slot, ordinal).
fn spilled(lines: &[Line], home: usize, hash: u64) -> impl Iterator<Item = (usize, usize, u32)> {
    (1..=lines[home].reach_in(lines.len())).flat_map(move |distance| {
        let line = &lines[(home + distance) % lines.len()];
        line.slots_with(tag_of(hash)).map(move |slot| (distance, slot, line.ordinals[slot]))
    })
}

/// The page of a hash among `count` pages: those before the twin of the next page are split already.
fn page_of(hash: u64, count: usize) -> usize {
    page_in(hash, count, page_mask(count))
}

/// The bits of a hash that number so many pages.
fn page_mask(count: usize) -> usize {
    count.next_power_of_two() - 1
}

/// `page_of` with its mask at hand.
#[inline(always)]
fn page_in(hash: u64, count: usize, mask: usize) -> usize {
    let number = (hash as u32) as usize & mask;
    if number < count { number } else { number & (mask >> 1) }
}

/// The page from which page `number` was split.
fn twin_of(number: usize) -> usize {
    number - (1 << number.ilog2())
}

#[inline(always)]
fn home_of(hash: u64, lines: usize) -> usize {
    (((hash >> 32 & 0xFF_FFFF) * lines as u64) >> 24) as usize
}

#[inline(always)]
fn tag_of(hash: u64) -> u8 {
    ((hash >> 56) as u8).max(1)
}
