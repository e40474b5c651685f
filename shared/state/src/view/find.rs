//! Look-ups by value: `view.find(&BY_COUNTRY, "nl")`.
//!
//! A [`HashIndex`] is a constant of the program; it names a field by its path and does nothing until it is declared
//! where a consumer is built. What it finds borrows the view and copies nothing.

use std::any::TypeId as RustType;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use crate::ids::Ordinal;
use crate::index::Postings;
use crate::keys::KeyRef;
use crate::record::{KeyValue, Root, Sealed, Value, kind_of};
use crate::schema::{Schema, ValueKind};

use super::indexes::Identity;
use super::{TableRef, View};

/// An index on a field of `T`, by its values of type `V`.
///
/// The path leads through components and lists (`"cast.name"`), and to a map's `keys` or `values`
/// (`"facts.keys"`). A record is found under each of its values; an absent `Option` is the value `None`.
///
/// ```
/// use cenote_consumer::{HashIndex, Record};
///
/// #[derive(Record)]
/// #[record(key = "id")]
/// struct Movie { id: u64, country: String, rating: Option<f32> }
///
/// const BY_COUNTRY: HashIndex<Movie, str> = HashIndex::on("country");
/// const BY_RATING: HashIndex<Movie, f32> = HashIndex::on("rating");
/// ```
pub struct HashIndex<T, V: ?Sized> {
    path: &'static str,
    of: PhantomData<fn(&T, &V)>,
}

impl<T, V: ?Sized> HashIndex<T, V> {
    /// The index on the field at `path`. A consumer checks that the field exists when it opens.
    ///
    /// ```
    /// use cenote_consumer::{HashIndex, Record, View};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64, title: String, year: u16, genres: Vec<String> }
    ///
    /// const BY_YEAR: HashIndex<Movie, u16> = HashIndex::on("year");
    ///
    /// // The consumer is built `.index(&BY_YEAR)`.
    /// fn count(view: &View) -> usize {
    ///     view.find(&BY_YEAR, 1995).len()
    /// }
    /// ```
    #[must_use]
    pub const fn on(path: &'static str) -> HashIndex<T, V> {
        HashIndex { path, of: PhantomData }
    }

    /// The path.
    ///
    /// ```
    /// use cenote_consumer::{HashIndex, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64, title: String, year: u16, genres: Vec<String> }
    ///
    /// const BY_GENRE: HashIndex<Movie, str> = HashIndex::on("genres");
    /// assert_eq!(BY_GENRE.path(), "genres");
    /// ```
    #[must_use]
    pub const fn path(&self) -> &'static str {
        self.path
    }
}

impl<T: Root, V: IndexValue + ?Sized> HashIndex<T, V> {
    #[inline]
    pub(super) fn identity(&self) -> Identity {
        Identity { slot: T::slot().number(), value: RustType::of::<V::Stored>(), path: self.path }
    }
}

impl<T, V: ?Sized> fmt::Debug for HashIndex<T, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HashIndex").field(&self.path).finish()
    }
}

/// What an index can be asked for: whatever can be a key, `str` and `[u8]` for short, and floats (by their bits).
#[diagnostic::on_unimplemented(
    message = "an index can't be asked for `{Self}`",
    note = "values are bool, integers, f32, f64, str, [u8], fieldless enums and Key<T>; lead to them with a path"
)]
pub trait IndexValue: Sealed + 'static {
    /// What a field declares it as.
    #[doc(hidden)]
    type Stored: Value;
    /// The value as a look-up takes it.
    type Borrowed<'a>: Copy;

    /// Calls `look` with its bytes in the index.
    #[doc(hidden)]
    fn with_bytes<R>(value: Self::Borrowed<'_>, look: impl FnOnce(&[u8]) -> R) -> R;
    /// What an absent one reads as under `#[record(default)]`.
    #[doc(hidden)]
    fn default_bytes() -> Option<Vec<u8>>;
    /// What it is, in a schema that has nothing else.
    #[doc(hidden)]
    fn kind() -> (Schema, ValueKind) {
        kind_of::<Self::Stored>()
    }
}

fn key_bytes<R>(key: KeyRef<'_>, look: impl FnOnce(&[u8]) -> R) -> R {
    match key {
        KeyRef::Scalar(scalar) => look(&scalar.to_le_bytes()),
        KeyRef::Bytes(bytes) => look(bytes),
    }
}

impl<V> IndexValue for V
where
    V: KeyValue + for<'a> Value<Ref<'a> = <V as KeyValue>::Borrowed<'a>>,
{
    type Stored = V;
    type Borrowed<'a> = <V as KeyValue>::Borrowed<'a>;

    #[inline]
    fn with_bytes<R>(value: Self::Borrowed<'_>, look: impl FnOnce(&[u8]) -> R) -> R {
        V::with(value, |key| key_bytes(key, look))
    }
    fn default_bytes() -> Option<Vec<u8>> {
        <V as Value>::HAS_DEFAULT.then(|| Self::with_bytes(V::absent(), <[u8]>::to_vec))
    }
}

macro_rules! borrowed {
    ($borrowed:ty, $stored:ty, $value:ident => $bytes:expr) => {
        impl IndexValue for $borrowed {
            type Stored = $stored;
            type Borrowed<'a> = &'a $borrowed;

            #[inline]
            fn with_bytes<R>($value: &$borrowed, look: impl FnOnce(&[u8]) -> R) -> R {
                look($bytes)
            }
            fn default_bytes() -> Option<Vec<u8>> {
                Some(Vec::new())
            }
        }
    };
}

borrowed!(str, String, value => value.as_bytes());
borrowed!([u8], Vec<u8>, value => value);

macro_rules! float {
    ($float:ty) => {
        impl IndexValue for $float {
            type Stored = $float;
            type Borrowed<'a> = $float;

            fn with_bytes<R>(value: $float, look: impl FnOnce(&[u8]) -> R) -> R {
                look(&value.to_bits().to_le_bytes())
            }
            fn default_bytes() -> Option<Vec<u8>> {
                Some(<$float>::default().to_bits().to_le_bytes().to_vec())
            }
        }
    };
}

float!(f32);
float!(f64);

/// The records found under a value, by ordinal.
pub struct Matches<'v, T> {
    table: TableRef<'v, T>,
    postings: Cow<'v, Postings>,
}

static NOTHING: Postings = Postings::new();

#[cold]
#[inline(never)]
fn undeclared(path: &str) -> ! {
    panic!("the index on {path} is not declared: add .index(&…) where the consumer is built")
}

impl View {
    /// The records of `T` with this value; `None` finds those without one.
    ///
    /// # Panics
    /// If the consumer that made the view was not built `.index(index)`.
    ///
    /// ```
    /// use cenote_consumer::{HashIndex, Record, View};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64, title: String, year: u16, genres: Vec<String> }
    ///
    /// const BY_GENRE: HashIndex<Movie, str> = HashIndex::on("genres");
    ///
    /// fn dramas(view: &View) -> Vec<&str> {
    ///     view.find(&BY_GENRE, "drama").iter().map(|movie| movie.title()).collect()
    /// }
    /// ```
    #[inline]
    #[must_use]
    pub fn find<'v, 'k, T: Root, V: IndexValue + ?Sized>(
        &'v self,
        index: &HashIndex<T, V>,
        value: impl Into<Option<V::Borrowed<'k>>>,
    ) -> Matches<'v, T> {
        let Some(values) = self.indexes().get(&index.identity()) else { undeclared(index.path) };
        let found = match value.into() {
            Some(value) => V::with_bytes(value, |bytes| values.find(Some(bytes))),
            None => values.find(None),
        };
        Matches { table: self.table::<T>(), postings: Cow::Borrowed(found.unwrap_or(&NOTHING)) }
    }
}

impl<'v, T: Root> Matches<'v, T> {
    /// How many records there are.
    ///
    /// ```
    /// use cenote_consumer::{Matches, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64, title: String, year: u16, genres: Vec<String> }
    ///
    /// fn text(found: &Matches<'_, Movie>) -> String {
    ///     format!("{} movies", found.len())
    /// }
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.postings.len()
    }

    /// Whether there is none.
    ///
    /// ```
    /// use cenote_consumer::{Matches, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64, title: String, year: u16, genres: Vec<String> }
    ///
    /// fn is_known(found: &Matches<'_, Movie>) -> bool {
    ///     !found.is_empty()
    /// }
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.postings.is_empty()
    }

    /// The records, by ordinal.
    ///
    /// ```
    /// use cenote_consumer::{Matches, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64, title: String, year: u16, genres: Vec<String> }
    ///
    /// fn first<'v>(found: &Matches<'v, Movie>) -> Option<&'v str> {
    ///     found.iter().next().map(|movie| movie.title())
    /// }
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = T::Ref<'v>> {
        let table = self.table;
        self.postings
            .iter()
            .map(move |ordinal| table.named(Ordinal(ordinal)).expect("an index names live records only"))
    }

    /// The records that are in both, which are of the same view.
    ///
    /// # Panics
    /// If they are of two views: ordinals of one mean nothing in the other.
    ///
    /// ```
    /// use cenote_consumer::{HashIndex, Record, View};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64, title: String, year: u16, genres: Vec<String> }
    ///
    /// const BY_GENRE: HashIndex<Movie, str> = HashIndex::on("genres");
    /// const BY_YEAR: HashIndex<Movie, u16> = HashIndex::on("year");
    ///
    /// fn dramas_of(view: &View, year: u16) -> usize {
    ///     view.find(&BY_GENRE, "drama").and(&view.find(&BY_YEAR, year)).len()
    /// }
    /// ```
    #[must_use]
    pub fn and(&self, other: &Matches<'_, T>) -> Matches<'v, T> {
        assert!(self.table.is_of_same_view(other.table), "matches of two views can't be combined");
        Matches { table: self.table, postings: Cow::Owned(self.postings.and(&other.postings)) }
    }
}

impl<T> Clone for Matches<'_, T> {
    fn clone(&self) -> Self {
        Matches { table: self.table, postings: self.postings.clone() }
    }
}

impl<T: Root> fmt::Debug for Matches<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
