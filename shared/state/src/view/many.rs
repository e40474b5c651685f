//! Several look-ups by key at once.
//!
//! Look-ups one after another wait for their cache misses one after another; sixteen at a time wait together.

use std::fmt;
use std::marker::PhantomData;

use crate::keys::KeyRef;
use crate::record::{KeyValue, RecordAt, Root};
use crate::table::{Found, MANY};

use super::TableRef;

/// The records under several keys, each where it is there: made by [`View::get_many`](super::View::get_many).
///
/// Keys that are one number are looked up sixteen at a time, so that their cache misses overlap: about half the time for
/// each in a dataset that is larger than the caches. Other keys are looked up one by one.
pub struct Many<'v, 'k, T, K> {
    table: TableRef<'v, T>,
    keys: K,
    /// The slot of a key that is one number.
    slot: Option<usize>,
    found: [Found<'v>; MANY],
    /// Which of `found` are still to come.
    left: std::ops::Range<usize>,
    borrowed: PhantomData<fn(&'k ())>,
}

impl<'v, 'k, T: Root, K: Iterator<Item = <T::Key as KeyValue>::Borrowed<'k>>> Many<'v, 'k, T, K> {
    #[inline(always)]
    pub(super) fn new(table: TableRef<'v, T>, keys: K) -> Self {
        let slot = table.table.and_then(|table| table.scalar_slot());
        Many { table, keys, slot, found: [None; MANY], left: 0..0, borrowed: PhantomData }
    }

    /// Looks up the next keys; `false` if there are none.
    fn refill(&mut self, slot: usize) -> bool {
        let mut scalars = [0; MANY];
        let mut count = 0;
        for (scalar, key) in scalars.iter_mut().zip(self.keys.by_ref()) {
            *scalar = T::Key::with(key, |key| if let KeyRef::Scalar(scalar) = key { scalar } else { 0 });
            count += 1;
        }
        if let Some(table) = self.table.table {
            table.find_scalars(slot, &scalars[..count], &mut self.found);
        }
        self.left = 0..count;
        count > 0
    }
}

impl<'v, 'k, T: Root, K: Iterator<Item = <T::Key as KeyValue>::Borrowed<'k>>> Iterator for Many<'v, 'k, T, K> {
    type Item = Option<T::Ref<'v>>;

    #[inline(always)]
    fn next(&mut self) -> Option<Option<T::Ref<'v>>> {
        let Some(slot) = self.slot else { return Some(self.table.get(self.keys.next()?)) };
        if self.left.is_empty() && !self.refill(slot) {
            return None;
        }
        let Some((ordinal, row)) = self.found[self.left.next()?] else { return Some(None) };
        Some(Some(self.table.reader(RecordAt::new(row, self.table.binding, self.table.scope, ordinal))))
    }
}

impl<T, K> fmt::Debug for Many<'_, '_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Many").field("left", &self.left).finish_non_exhaustive()
    }
}
