//! Lists, sets and maps as a reader sees them: they borrow the view and read each element in place.

use std::fmt::{self, Debug};
use std::marker::PhantomData;
use std::ops::Range;

use crate::segment::Elements as Stored;

use super::bind::ValueBinding;
use super::{Ordered, Scope, Value};

/// How many elements are prefetched before the first of them is read.
pub(super) const TOGETHER: usize = 8;

/// Values in their order.
///
/// # Example
/// ```
/// use cenote_consumer::{List, Record, View};
/// # #[derive(Record)]
/// # #[record(key = "id")]
/// # struct Movie { id: u64, title: String, year: u16, genres: Vec<String> }
///
/// fn genres(view: &View, id: u64) -> Option<Vec<String>> {
///     let genres: List<'_, String> = view.get::<Movie>(id)?.genres();
///     assert_eq!(genres.is_empty(), genres.len() == 0);
///     if genres.contains("drama") {
///         println!("the first is {:?} of {:?}", genres.get(0), genres.iter());
///     }
///     Some(genres.to_vec())
/// }
/// ```
pub struct List<'v, V> {
    /// None where the row has no value: the default is empty.
    stored: Option<(Stored<'v>, &'v ValueBinding, Scope<'v>)>,
    value: PhantomData<fn() -> V>,
}

/// Values, sorted as the dataset keeps them, each once.
///
/// Enum variants that this program does not know read as the one marked `#[record(other)]`, so a set yields that one as
/// often as it has unknown variants; `len` counts them all, and `contains` says yes if there is one.
///
/// # Example
/// ```
/// use cenote_consumer::{Record, Set, View};
/// # use std::collections::BTreeSet;
/// # #[derive(Record)]
/// # #[record(key = "id")]
/// # struct Movie { id: u64, genres: BTreeSet<String> }
///
/// fn is_drama(view: &View, id: u64) -> Option<bool> {
///     let genres: Set<'_, String> = view.get::<Movie>(id)?.genres();
///     println!("{} genres, sorted: {:?}", genres.len(), genres.iter());
///     Some(!genres.is_empty() && genres.contains("drama"))
/// }
/// ```
pub struct Set<'v, V> {
    list: List<'v, V>,
}

/// Values by key, sorted as the dataset keeps them.
///
/// Keys that are unknown variants of an enum read as the one marked `#[record(other)]`: a map yields an entry for each of
/// them, `get` has the first one's value, and a copy with one key has the last one's.
///
/// # Example
/// ```
/// use cenote_consumer::{Map, Record, View};
/// # use std::collections::BTreeMap;
/// # #[derive(Record)]
/// # #[record(key = "id")]
/// # struct Movie { id: u64, titles: BTreeMap<String, String> }
///
/// fn title(view: &View, id: u64, language: &str) -> Option<String> {
///     let titles: Map<'_, String, String> = view.get::<Movie>(id)?.titles();
///     assert_eq!(titles.is_empty(), titles.len() == 0);
///     assert_eq!(titles.contains_key(language), titles.keys().any(|known| known == language));
///     for (language, title) in titles.iter() {
///         println!("{language}: {title}");
///     }
///     titles.get(language).or_else(|| titles.values().next()).map(str::to_owned)
/// }
/// ```
pub struct Map<'v, K, V> {
    keys: List<'v, K>,
    values: List<'v, V>,
}

/// Iterates the values of a list or set.
pub struct Elements<'v, V> {
    list: List<'v, V>,
    range: Range<usize>,
}

/// Iterates the entries of a map.
pub struct Entries<'v, K, V> {
    keys: Elements<'v, K>,
    values: Elements<'v, V>,
}

impl<'v, V> List<'v, V> {
    pub(crate) const EMPTY: List<'v, V> = List { stored: None, value: PhantomData };

    #[inline]
    pub(crate) fn new(stored: Stored<'v>, binding: &'v ValueBinding, scope: Scope<'v>) -> List<'v, V> {
        List { stored: Some((stored, binding, scope)), value: PhantomData }
    }

    /// How many values there are.
    ///
    /// [Example](List#example)
    #[inline]
    #[must_use]
    pub fn len(self) -> usize {
        self.stored.map_or(0, |(stored, ..)| stored.len())
    }

    /// Whether there is none.
    ///
    /// [Example](List#example)
    #[inline]
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl<'v, V: Value> List<'v, V> {
    /// The value at `index`.
    ///
    /// [Example](List#example)
    #[inline]
    #[must_use]
    pub fn get(self, index: usize) -> Option<V::Ref<'v>> {
        let (stored, binding, scope) = self.stored?;
        (index < stored.len()).then(|| V::read((stored, index), binding, scope))
    }

    /// The values in their order.
    ///
    /// [Example](List#example)
    #[inline]
    #[must_use]
    pub fn iter(self) -> Elements<'v, V> {
        Elements { list: self, range: 0..self.len() }
    }

    #[inline(always)]
    fn prefetch(self, range: Range<usize>) {
        if let Some((stored, binding, scope)) = self.stored {
            V::prefetch(stored, range, binding, scope);
        }
    }

    /// Whether one of them is `wanted`; looks at each.
    ///
    /// [Example](List#example)
    #[must_use]
    pub fn contains(self, wanted: V::Ref<'_>) -> bool
    where
        V: Ordered,
    {
        self.stored.is_some_and(|(stored, binding, _)| {
            (0..stored.len()).any(|index| V::compare_at((stored, index), wanted, binding).is_eq())
        })
    }

    /// A copy.
    ///
    /// [Example](List#example)
    #[must_use]
    pub fn to_vec(self) -> Vec<V::Owned> {
        self.iter().map(V::own).collect()
    }

    /// The first place of `wanted` in sorted values.
    fn search(self, wanted: V::Ref<'_>) -> Option<usize>
    where
        V: Ordered,
    {
        let (stored, binding, _) = self.stored?;
        if V::is_scattered(wanted) {
            return (0..stored.len()).find(|index| V::compare_at((stored, *index), wanted, binding).is_eq());
        }
        let mut range = 0..stored.len();
        while !range.is_empty() {
            let middle = range.start + range.len() / 2;
            match V::compare_at((stored, middle), wanted, binding) {
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Less => range.start = middle + 1,
                std::cmp::Ordering::Greater => range.end = middle,
            }
        }
        None
    }
}

impl<'v, V> Set<'v, V> {
    #[inline]
    pub(crate) fn new(list: List<'v, V>) -> Set<'v, V> {
        Set { list }
    }

    /// How many values there are.
    ///
    /// [Example](Set#example)
    #[must_use]
    pub fn len(self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    ///
    /// [Example](Set#example)
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.list.is_empty()
    }
}

impl<'v, V: Value> Set<'v, V> {
    /// The values, sorted: integers by value, text and bytes bytewise, enums by their place in the dataset's schema.
    ///
    /// [Example](Set#example)
    #[must_use]
    pub fn iter(self) -> Elements<'v, V> {
        self.list.iter()
    }

    /// Whether `wanted` is one of them; a binary search.
    ///
    /// [Example](Set#example)
    #[must_use]
    pub fn contains(self, wanted: V::Ref<'_>) -> bool
    where
        V: Ordered,
    {
        self.list.search(wanted).is_some()
    }
}

impl<'v, K, V> Map<'v, K, V> {
    #[inline]
    pub(crate) fn new(keys: List<'v, K>, values: List<'v, V>) -> Map<'v, K, V> {
        Map { keys, values }
    }

    /// How many entries there are.
    ///
    /// [Example](Map#example)
    #[must_use]
    pub fn len(self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    ///
    /// [Example](Map#example)
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.keys.is_empty()
    }
}

impl<'v, K: Ordered, V: Value> Map<'v, K, V> {
    /// The value under `key`; a binary search.
    ///
    /// [Example](Map#example)
    #[must_use]
    pub fn get(self, key: K::Ref<'_>) -> Option<V::Ref<'v>> {
        self.values.get(self.keys.search(key)?)
    }

    /// Whether there is a value under `key`.
    ///
    /// [Example](Map#example)
    #[must_use]
    pub fn contains_key(self, key: K::Ref<'_>) -> bool {
        self.keys.search(key).is_some()
    }

    /// The entries, sorted by key.
    ///
    /// [Example](Map#example)
    #[must_use]
    pub fn iter(self) -> Entries<'v, K, V> {
        Entries { keys: self.keys(), values: self.values() }
    }

    /// The keys, sorted.
    ///
    /// [Example](Map#example)
    #[must_use]
    pub fn keys(self) -> Elements<'v, K> {
        self.keys.iter()
    }

    /// The values, in the order of their keys.
    ///
    /// [Example](Map#example)
    #[must_use]
    pub fn values(self) -> Elements<'v, V> {
        self.values.iter()
    }
}

impl<'v, V: Value> Iterator for Elements<'v, V> {
    type Item = V::Ref<'v>;

    #[inline]
    fn next(&mut self) -> Option<V::Ref<'v>> {
        let index = self.range.next()?;
        if index % TOGETHER == 0 && !self.range.is_empty() {
            self.list.prefetch(index..self.range.end.min(index + TOGETHER));
        }
        self.list.get(index)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.range.size_hint()
    }
}

impl<V: Value> DoubleEndedIterator for Elements<'_, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.list.get(self.range.next_back()?)
    }
}

impl<V: Value> ExactSizeIterator for Elements<'_, V> {}

impl<'v, K: Ordered, V: Value> Iterator for Entries<'v, K, V> {
    type Item = (K::Ref<'v>, V::Ref<'v>);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.keys.next()?, self.values.next()?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.keys.size_hint()
    }
}

impl<K: Ordered, V: Value> ExactSizeIterator for Entries<'_, K, V> {}

macro_rules! copy {
    ($name:ident<$($value:ident),*>) => {
        impl<$($value),*> Clone for $name<'_, $($value),*> {
            fn clone(&self) -> Self {
                *self
            }
        }
        impl<$($value),*> Copy for $name<'_, $($value),*> {}
    };
}
copy!(List<V>);
copy!(Set<V>);
copy!(Map<K, V>);

impl<'v, V: Value> IntoIterator for List<'v, V> {
    type Item = V::Ref<'v>;
    type IntoIter = Elements<'v, V>;
    fn into_iter(self) -> Elements<'v, V> {
        self.iter()
    }
}

impl<'v, V: Value> IntoIterator for Set<'v, V> {
    type Item = V::Ref<'v>;
    type IntoIter = Elements<'v, V>;
    fn into_iter(self) -> Elements<'v, V> {
        self.iter()
    }
}

impl<'v, K: Ordered, V: Value> IntoIterator for Map<'v, K, V> {
    type Item = (K::Ref<'v>, V::Ref<'v>);
    type IntoIter = Entries<'v, K, V>;
    fn into_iter(self) -> Entries<'v, K, V> {
        self.iter()
    }
}

impl<V: Value> PartialEq for List<'_, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().zip(other.iter()).all(|(mine, theirs)| mine == theirs)
    }
}

impl<V: Value> PartialEq for Set<'_, V> {
    /// Components are sorted by ordinal, which differs between views: an equal set may have another order.
    fn eq(&self, other: &Self) -> bool {
        self.list == other.list
            || (self.len() == other.len() && self.iter().all(|mine| other.iter().any(|theirs| mine == theirs)))
    }
}

impl<K: Ordered, V: Value> PartialEq for Map<'_, K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.keys == other.keys && self.values == other.values
    }
}

impl<V> Clone for Elements<'_, V> {
    fn clone(&self) -> Self {
        Elements { list: self.list, range: self.range.clone() }
    }
}

impl<K, V> Clone for Entries<'_, K, V> {
    fn clone(&self) -> Self {
        Entries { keys: self.keys.clone(), values: self.values.clone() }
    }
}

impl<V: Value> Debug for Elements<'_, V> {
    /// The values that are still to come.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

impl<K: Ordered, V: Value> Debug for Entries<'_, K, V> {
    /// The entries that are still to come.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.clone()).finish()
    }
}

impl<V: Value> Debug for List<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<V: Value> Debug for Set<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl<K: Ordered, V: Value> Debug for Map<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
