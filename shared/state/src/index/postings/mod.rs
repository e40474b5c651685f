//! Postings: the ordinals that share a value, as a persistent sorted set.
//!
//! Most values have one record or a few, some have a million. One is inline, a few are in one small slice, more in
//! containers of 2^16 ordinals, so that a change to a large set copies one container (I10) and `and` works container by
//! container.
//!
//! The containers are those of Roaring bitmaps (sorted numbers or bits, by how many there are), each in an `Arc`, so that
//! versions share them.
//!
//! Rules: the shape follows from the content alone, so equal sets are structurally equal: up to `FEW_MAX` ordinals are
//! in a slice; a container is sorted numbers up to `SORTED_MAX`, bits above, and never empty.

use std::slice;
use std::sync::Arc;

mod container;
#[cfg(test)]
mod tests;

use container::Container;

/// The most ordinals kept in one slice: 128 bytes, copied whole by an edit.
const FEW_MAX: usize = 32;

/// A persistent set of ordinals, read in ascending order.
///
/// ```
/// use cenote_state::index::Postings;
/// let even = Postings::from_sorted(&[0, 2, 4, 6]);
/// let mut small = Postings::from_sorted(&[1, 2, 3]);
/// small.insert(4);
/// assert_eq!(even.and(&small).iter().collect::<Vec<_>>(), [2, 4]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Postings(Shape);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Shape {
    #[default]
    Empty,
    One(u32),
    Few(Arc<[u32]>),
    Many(Arc<Many>),
}

/// Containers by the high 16 bits of their ordinals, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Many {
    len: usize,
    containers: Vec<(u16, Container)>,
}

impl Postings {
    /// An empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self(Shape::Empty)
    }

    /// The set of one ordinal; allocates nothing.
    #[must_use]
    pub const fn one(ordinal: u32) -> Self {
        Self(Shape::One(ordinal))
    }

    /// The set of ordinals that ascend without repetition.
    ///
    /// # Panics
    /// In debug builds, when they do not.
    #[must_use]
    pub fn from_sorted(ordinals: &[u32]) -> Self {
        debug_assert!(ordinals.is_sorted_by(|a, b| a < b), "ordinals ascend");
        match ordinals {
            [] => Self::new(),
            [ordinal] => Self::one(*ordinal),
            few if few.len() <= FEW_MAX => Self(Shape::Few(Arc::from(few))),
            many => Self(Shape::Many(Arc::new(Many::from_sorted(many)))),
        }
    }

    /// The number of ordinals.
    #[must_use]
    pub fn len(&self) -> usize {
        self.many().map_or_else(|| self.few().len(), |many| many.len)
    }

    /// Whether there is no ordinal.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.0, Shape::Empty)
    }

    /// Whether the ordinal is in the set.
    #[must_use]
    pub fn contains(&self, ordinal: u32) -> bool {
        self.many().map_or_else(|| self.few().binary_search(&ordinal).is_ok(), |many| many.contains(ordinal))
    }

    /// The ordinals, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        let many = self.many().into_iter().flat_map(|many| &many.containers);
        self.few().iter().copied().chain(many.flat_map(|(high, container)| {
            let base = u32::from(*high) << 16;
            container.iter().map(move |low| base | u32::from(low))
        }))
    }

    /// Adds an ordinal; returns whether it was not there.
    pub fn insert(&mut self, ordinal: u32) -> bool {
        if let Shape::Many(many) = &mut self.0 {
            return !many.contains(ordinal) && Arc::make_mut(many).insert(ordinal);
        }
        let few = self.few();
        let Err(at) = few.binary_search(&ordinal) else {
            return false;
        };
        let (before, after) = few.split_at(at);
        *self = Self::from_sorted(&[before, &[ordinal], after].concat());
        true
    }

    /// Removes an ordinal; returns whether it was there.
    pub fn remove(&mut self, ordinal: u32) -> bool {
        if let Shape::Many(many) = &mut self.0 {
            let removed = many.contains(ordinal) && Arc::make_mut(many).remove(ordinal);
            self.settle();
            return removed;
        }
        let few = self.few();
        let Ok(at) = few.binary_search(&ordinal) else {
            return false;
        };
        *self = Self::from_sorted(&[&few[..at], &few[at + 1..]].concat());
        true
    }

    /// The ordinals that are in both sets; shares the containers that are the same in both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let (Some(left), Some(right)) = (self.many(), other.many()) else {
            let (few, other) = if self.many().is_none() { (self, other) } else { (other, self) };
            let both: Vec<u32> = few.iter().filter(|ordinal| other.contains(*ordinal)).collect();
            return Self::from_sorted(&both);
        };
        let mut both = Self(Shape::Many(Arc::new(left.and(right))));
        both.settle();
        both
    }

    /// Bytes held, this struct included; what clones share is counted in each.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        const COUNTERS: usize = 2 * size_of::<usize>();
        let behind = match &self.0 {
            Shape::Empty | Shape::One(_) => 0,
            Shape::Few(few) => COUNTERS + size_of_val(&**few),
            Shape::Many(many) => COUNTERS + many.memory_bytes(),
        };
        size_of::<Self>() + behind
    }

    /// Asserts the rules above.
    ///
    /// # Panics
    /// When a rule is broken: for tests and debug builds.
    pub fn check_invariants(&self) {
        assert_eq!(self.iter().count(), self.len(), "a set counts its ordinals");
        assert!(self.iter().is_sorted_by(|a, b| a < b), "ordinals ascend");
        assert!(self.many().is_none_or(|many| many.len > FEW_MAX), "few ordinals are in a slice");
        for (_, container) in self.many().into_iter().flat_map(|many| &many.containers) {
            container.check_invariants();
        }
    }

    /// The ordinals as a slice when they are few.
    fn few(&self) -> &[u32] {
        match &self.0 {
            Shape::One(ordinal) => slice::from_ref(ordinal),
            Shape::Few(few) => few,
            Shape::Empty | Shape::Many(_) => &[],
        }
    }

    fn many(&self) -> Option<&Many> {
        match &self.0 {
            Shape::Many(many) => Some(many),
            _ => None,
        }
    }

    /// Takes the shape of a small set when a large one has become small.
    fn settle(&mut self) {
        if self.many().is_some_and(|many| many.len <= FEW_MAX) {
            let few: Vec<u32> = self.iter().collect();
            *self = Self::from_sorted(&few);
        }
    }
}

impl Many {
    fn from_sorted(ordinals: &[u32]) -> Self {
        let same_high = |a: &u32, b: &u32| split(*a).0 == split(*b).0;
        let container = |run: &[u32]| {
            let lows: Vec<u16> = run.iter().map(|ordinal| split(*ordinal).1).collect();
            (split(run[0]).0, Container::from_sorted(lows))
        };
        Self { len: ordinals.len(), containers: ordinals.chunk_by(same_high).map(container).collect() }
    }

    /// Where the container with these high bits is, or would be.
    fn at(&self, high: u16) -> Result<usize, usize> {
        self.containers.binary_search_by_key(&high, |(high, _)| *high)
    }

    fn contains(&self, ordinal: u32) -> bool {
        let (high, low) = split(ordinal);
        self.at(high).is_ok_and(|at| self.containers[at].1.contains(low))
    }

    fn insert(&mut self, ordinal: u32) -> bool {
        let (high, low) = split(ordinal);
        let inserted = match self.at(high) {
            Ok(at) => self.containers[at].1.insert(low),
            Err(at) => {
                self.containers.insert(at, (high, Container::from_sorted(vec![low])));
                true
            }
        };
        self.len += usize::from(inserted);
        inserted
    }

    fn remove(&mut self, ordinal: u32) -> bool {
        let (high, low) = split(ordinal);
        let Ok(at) = self.at(high) else {
            return false;
        };
        let removed = self.containers[at].1.remove(low);
        if self.containers[at].1.len() == 0 {
            self.containers.remove(at);
        }
        self.len -= usize::from(removed);
        removed
    }

    fn and(&self, other: &Self) -> Self {
        let pairs = self.containers.iter().filter_map(|(high, container)| {
            let both = container.and(&other.containers[other.at(*high).ok()?].1);
            (both.len() > 0).then_some((*high, both))
        });
        let containers: Vec<_> = pairs.collect();
        Self { len: containers.iter().map(|(_, container)| container.len()).sum(), containers }
    }

    fn memory_bytes(&self) -> usize {
        let containers = self.containers.iter().map(|(_, container)| container.memory_bytes());
        size_of::<Self>() + self.containers.capacity() * size_of::<(u16, Container)>() + containers.sum::<usize>()
    }
}

/// An ordinal's container and its number there.
fn split(ordinal: u32) -> (u16, u16) {
    ((ordinal >> 16) as u16, ordinal as u16)
}
