//! The value index: from a field's value to the ordinals that have it; a hash index is one.
//!
//! Values are canonical bytes, compared as bytes; `None` is a value like another. Values are in numbered slots, a few
//! to a page with their bytes side by side; a key index finds the slot. A change copies one page of each (I10).
//!
//! Rules: a value has a slot exactly as long as it has an ordinal; slots are dense, so a freed one is filled with the
//! last value; the hash is seeded, since values come from outside.

use super::directory::Directory;
use super::{KeyIndex, Postings};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64_with_seed;

mod page;
#[cfg(test)]
mod tests;

use page::{PAGE_VALUES, ValuePage};

/// A persistent map from values to [`Postings`].
///
/// ```
/// use cenote_state::index::ValueIndex;
/// let mut index = ValueIndex::new(7);
/// index.insert(Some(b"Chile"), 0);
/// index.insert(Some(b"Chile"), 2);
/// index.insert(None, 1);
/// assert_eq!(index.find(Some(b"Chile")).map(|postings| postings.len()), Some(2));
/// assert!(index.find(Some(b"Peru")).is_none());
/// assert_eq!(index.distinct(), 2);
/// ```
#[derive(Clone, Debug)]
pub struct ValueIndex {
    seed: u64,
    none: Postings,
    slots: KeyIndex,
    values: Values,
}

/// Values and their postings by slot.
#[derive(Clone, Debug)]
struct Values {
    pages: Directory<Arc<ValuePage>>,
    len: usize,
}

impl ValueIndex {
    /// An empty index; the seed should be secret or random where values are hostile.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let values = Values { pages: [].into_iter().collect(), len: 0 };
        Self { seed, none: Postings::new(), slots: KeyIndex::new(), values }
    }

    /// Builds the index of these (value, ordinal) entries, in any order; repetitions count once.
    #[must_use]
    pub fn build<V: AsRef<[u8]>>(seed: u64, entries: impl IntoIterator<Item = (Option<V>, u32)>) -> Self {
        let mut builder = ValueIndexBuilder::new(seed);
        for (value, ordinal) in entries {
            builder.add(value.as_ref().map(AsRef::as_ref), ordinal);
        }
        builder.finish()
    }

    /// The ordinals with this value; `None` when there are none, so what comes back is never empty.
    #[must_use]
    pub fn find(&self, value: Option<&[u8]>) -> Option<&Postings> {
        let Some(value) = value else {
            return Some(&self.none).filter(|none| !none.is_empty());
        };
        let slot = self.slot_of(self.hash(value), value)?;
        Some(self.values.get(slot).1)
    }

    /// Notes that the ordinal has the value; returns whether that is new.
    pub fn insert(&mut self, value: Option<&[u8]>, ordinal: u32) -> bool {
        let Some(value) = value else {
            return self.none.insert(ordinal);
        };
        let hash = self.hash(value);
        if let Some(slot) = self.slot_of(hash, value) {
            return !self.values.get(slot).1.contains(ordinal) && self.values.postings_mut(slot).insert(ordinal);
        }
        let slot = self.values.push(value, Postings::one(ordinal));
        let Self { seed, slots, values, .. } = self;
        slots.insert(hash, slot, &mut |slot| values.hash(slot, *seed));
        true
    }

    /// Notes that the ordinal no longer has the value; returns whether it had. The value is removed with its last ordinal.
    pub fn remove(&mut self, value: Option<&[u8]>, ordinal: u32) -> bool {
        let Some(value) = value else {
            return self.none.remove(ordinal);
        };
        let hash = self.hash(value);
        let Some(slot) = self.slot_of(hash, value) else {
            return false;
        };
        let postings = self.values.get(slot).1;
        if !postings.contains(ordinal) {
            return false;
        }
        if postings.len() == 1 {
            self.remove_slot(hash, slot);
        } else {
            self.values.postings_mut(slot).remove(ordinal);
        }
        true
    }

    /// All values with their ordinals, `None` first if it has some, the others in no order that means anything.
    pub fn values(&self) -> impl Iterator<Item = (Option<&[u8]>, &Postings)> {
        let none = Some((None, &self.none)).filter(|(_, none)| !none.is_empty());
        none.into_iter().chain(self.values.iter().map(|(value, postings)| (Some(value), postings)))
    }

    /// The number of different values, `None` included.
    #[must_use]
    pub fn distinct(&self) -> usize {
        self.values.len + usize::from(!self.none.is_empty())
    }

    /// Bytes held; what clones share is counted in each.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        const COUNTERS: usize = 2 * size_of::<usize>();
        let pages = self.values.pages.iter().map(|page| COUNTERS + page.memory_bytes());
        let inline = size_of::<Self>() - size_of::<KeyIndex>() - size_of::<Postings>();
        let indexes = self.none.memory_bytes() + self.slots.memory_bytes();
        inline + indexes + self.values.pages.memory_bytes() + pages.sum::<usize>()
    }

    /// Asserts the rules above.
    ///
    /// # Panics
    /// When a rule is broken: for tests and debug builds.
    pub fn check_invariants(&self) {
        self.slots.check_invariants(&mut |slot| self.values.hash(slot, self.seed));
        assert_eq!(self.slots.len(), self.values.len, "every value has a slot");
        self.none.check_invariants();
        for (number, (value, postings)) in self.values.iter().enumerate() {
            assert_eq!(self.slot_of(self.hash(value), value), Some(number as u32), "a value is found in its slot");
            assert!(!postings.is_empty(), "a value has an ordinal");
            postings.check_invariants();
        }
    }

    fn hash(&self, value: &[u8]) -> u64 {
        xxh3_64_with_seed(value, self.seed)
    }

    fn slot_of(&self, hash: u64, value: &[u8]) -> Option<u32> {
        self.slots.find(hash, |slot| self.values.get(slot).0 == value)
    }

    /// Frees a slot and moves the last value into it.
    fn remove_slot(&mut self, hash: u64, slot: u32) {
        let Self { seed, slots, values, .. } = self;
        let last = values.last_slot();
        let last_hash = values.hash(last, *seed);
        slots.remove(hash, slot);
        if slot == last {
            values.pop();
            return;
        }
        slots.remove(last_hash, last);
        let (value, postings) = values.pop();
        values.replace(slot, &value, postings);
        slots.insert(last_hash, slot, &mut |slot| values.hash(slot, *seed));
    }
}

impl Values {
    fn get(&self, slot: u32) -> (&[u8], &Postings) {
        self.pages.page(slot as usize / PAGE_VALUES).get(slot as usize % PAGE_VALUES)
    }

    fn iter(&self) -> impl Iterator<Item = (&[u8], &Postings)> {
        self.pages.iter().flat_map(|page| page.iter())
    }

    fn hash(&self, slot: u32, seed: u64) -> u64 {
        xxh3_64_with_seed(self.get(slot).0, seed)
    }

    fn page_mut(&mut self, slot: u32) -> &mut ValuePage {
        Arc::make_mut(self.pages.page_mut(slot as usize / PAGE_VALUES))
    }

    fn postings_mut(&mut self, slot: u32) -> &mut Postings {
        self.page_mut(slot).postings_mut(slot as usize % PAGE_VALUES)
    }

    fn replace(&mut self, slot: u32, value: &[u8], postings: Postings) {
        self.page_mut(slot).replace(slot as usize % PAGE_VALUES, value, postings);
    }

    fn last_slot(&self) -> u32 {
        u32::try_from(self.len - 1).expect("there are no more values than ordinals")
    }

    fn push(&mut self, value: &[u8], postings: Postings) -> u32 {
        if self.len.is_multiple_of(PAGE_VALUES) {
            self.pages.push(Arc::default());
        }
        self.len += 1;
        let slot = self.last_slot();
        self.page_mut(slot).push(value, postings);
        slot
    }

    fn pop(&mut self) -> (Vec<u8>, Postings) {
        let slot = self.last_slot();
        let last = self.page_mut(slot).pop();
        self.len -= 1;
        if self.len.is_multiple_of(PAGE_VALUES) {
            self.pages.pop();
        }
        last
    }
}

/// Entries on their way into an index.
///
/// It takes memory by what the index will hold, not by what is met: a value is kept once, and a record that has it is noted
/// once, however often it is added for one record in succession.
#[derive(Debug)]
pub struct ValueIndexBuilder {
    seed: u64,
    none: Vec<u32>,
    /// The values' bytes, one after another.
    bytes: Vec<u8>,
    /// By number, in the order in which they came.
    values: Vec<Met>,
    numbers: KeyIndex,
    /// The number of a value, and an ordinal that has it.
    entries: Vec<(u32, u32)>,
}

/// A value that was met.
#[derive(Debug)]
struct Met {
    hash: u64,
    /// Where its bytes end.
    end: usize,
    /// The ordinal that it was added for last.
    last: u32,
}

impl ValueIndexBuilder {
    /// No entries yet; the seed should be secret or random where values are hostile.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let (none, bytes, values, entries) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { seed, none, bytes, values, numbers: KeyIndex::new(), entries }
    }

    /// Notes that the ordinal has the value.
    pub fn add(&mut self, value: Option<&[u8]>, ordinal: u32) {
        let Some(value) = value else {
            if self.none.last() != Some(&ordinal) {
                self.none.push(ordinal);
            }
            return;
        };
        self.add_hashed(xxh3_64_with_seed(value, self.seed), value, ordinal);
    }

    fn add_hashed(&mut self, hash: u64, value: &[u8], ordinal: u32) {
        let Self { bytes, values, numbers, entries, .. } = self;
        if let Some(number) = numbers.find(hash, |number| bytes[span(values, number)] == *value) {
            let last = &mut values[number as usize].last;
            if std::mem::replace(last, ordinal) != ordinal {
                entries.push((number, ordinal));
            }
            return;
        }
        let number = u32::try_from(values.len()).expect("there are no more values than ordinals");
        bytes.extend_from_slice(value);
        values.push(Met { hash, end: bytes.len(), last: ordinal });
        numbers.insert(hash, number, &mut |other| values[other as usize].hash);
        entries.push((number, ordinal));
    }

    /// About what it takes in memory.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        /// A value's place in the index of numbers, with what of it is empty.
        const NUMBER_BYTES: usize = 8;
        let values = self.values.capacity() * size_of::<Met>() + self.values.len() * NUMBER_BYTES;
        let entries = self.entries.capacity() * size_of::<(u32, u32)>() + self.none.capacity() * size_of::<u32>();
        self.bytes.capacity() + values + entries
    }

    /// The index; the same whatever the order of the entries was.
    #[must_use]
    pub fn finish(self) -> ValueIndex {
        let Self { seed, mut none, bytes, values, mut entries, .. } = self;
        none.sort_unstable();
        none.dedup();
        let mut order: Vec<u32> = (0..).take(values.len()).collect();
        let by_hash = |number: u32| (values[number as usize].hash, &bytes[span(&values, number)]);
        order.sort_unstable_by(|a, b| by_hash(*a).cmp(&by_hash(*b)));
        let mut places = vec![0; values.len()];
        (0_u32..).zip(&order).for_each(|(place, number)| places[*number as usize] = place);
        entries.iter_mut().for_each(|(number, _)| *number = places[*number as usize]);
        entries.sort_unstable();
        let (mut pages, mut slots, mut ordinals): (Vec<ValuePage>, Vec<_>, Vec<u32>) = Default::default();
        for of_value in entries.chunk_by(|a, b| a.0 == b.0) {
            let slot = of_value[0].0;
            let number = order[slot as usize];
            ordinals.clear();
            ordinals.extend(of_value.iter().map(|(_, ordinal)| *ordinal));
            ordinals.dedup();
            if (slot as usize).is_multiple_of(PAGE_VALUES) {
                if let Some(full) = pages.last_mut() {
                    full.shrink();
                }
                pages.push(ValuePage::default());
            }
            slots.push((values[number as usize].hash, slot));
            let page = pages.last_mut().expect("a page was pushed for slot 0");
            page.push(&bytes[span(&values, number)], Postings::from_sorted(&ordinals));
        }
        let values = Values { pages: pages.into_iter().map(Arc::new).collect(), len: slots.len() };
        ValueIndex { seed, none: Postings::from_sorted(&none), slots: KeyIndex::build(&slots), values }
    }
}

/// Where a value's bytes are.
fn span(values: &[Met], number: u32) -> std::ops::Range<usize> {
    let start = number.checked_sub(1).map_or(0, |before| values[before as usize].end);
    start..values[number as usize].end
}
