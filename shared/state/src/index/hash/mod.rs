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
        let mut none = Vec::new();
        let mut some = Vec::new();
        for (value, ordinal) in entries {
            match value {
                Some(value) => some.push((xxh3_64_with_seed(value.as_ref(), seed), ordinal, value)),
                None => none.push(ordinal),
            }
        }
        let mut builder = Builder::default();
        builder.add_all(&mut some);
        none.sort_unstable();
        none.dedup();
        builder.finish(seed, Postings::from_sorted(&none))
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

/// Values in the order of their hashes, on their way into an index.
#[derive(Default)]
struct Builder {
    slots: Vec<(u64, u32)>,
    pages: Vec<ValuePage>,
    ordinals: Vec<u32>,
}

impl Builder {
    /// Adds (hash, ordinal, value) entries in any order.
    fn add_all<V: AsRef<[u8]>>(&mut self, entries: &mut [(u64, u32, V)]) {
        // By hash first: comparing the bytes of equal values a dozen times each would cost more than the sort.
        entries.sort_unstable_by_key(|(hash, ordinal, _)| (*hash, *ordinal));
        for run in entries.chunk_by_mut(|a, b| a.0 == b.0) {
            if run.iter().any(|entry| entry.2.as_ref() != run[0].2.as_ref()) {
                run.sort_by(|a, b| a.2.as_ref().cmp(b.2.as_ref()));
            }
            for same in run.chunk_by(|a, b| a.2.as_ref() == b.2.as_ref()) {
                self.add(same[0].0, same[0].2.as_ref(), same.iter().map(|entry| entry.1));
            }
        }
    }

    /// Adds a value that was not added before, its ordinals ascending.
    fn add(&mut self, hash: u64, value: &[u8], ordinals: impl Iterator<Item = u32>) {
        self.ordinals.clear();
        self.ordinals.extend(ordinals);
        self.ordinals.dedup();
        let slot = u32::try_from(self.slots.len()).expect("there are no more values than ordinals");
        self.slots.push((hash, slot));
        if (slot as usize).is_multiple_of(PAGE_VALUES) {
            if let Some(full) = self.pages.last_mut() {
                full.shrink();
            }
            self.pages.push(ValuePage::default());
        }
        let page = self.pages.last_mut().expect("a page was pushed for slot 0");
        page.push(value, Postings::from_sorted(&self.ordinals));
    }

    fn finish(self, seed: u64, none: Postings) -> ValueIndex {
        let values = Values { pages: self.pages.into_iter().map(Arc::new).collect(), len: self.slots.len() };
        ValueIndex { seed, none, slots: KeyIndex::build(&self.slots), values }
    }
}
