//! The records of one type in a view.

use std::fmt;
use std::marker::PhantomData;

use crate::ids::Ordinal;
use crate::keys::KeyRef;
use crate::record::bind::TypeBinding;
use crate::record::{KeyOf, KeyValue, Record, RecordAt, Root, Scope};
use crate::table::Table;

use super::{Many, Viewed};

/// The records of one type in a view. Cheap to copy; keep it if several look-ups follow.
pub struct TableRef<'v, T> {
    /// None if the dataset lacks the type: consumers deploy first.
    pub(super) table: Option<&'v Table>,
    pub(super) binding: &'v TypeBinding,
    pub(super) scope: Scope<'v>,
    record: PhantomData<fn() -> T>,
}

/// Iterates the records of one type, by ordinal.
pub struct Records<'v, T> {
    table: TableRef<'v, T>,
    /// The live bits of the 64 ordinals from `first` on that are still to come.
    live: u64,
    first: u32,
    left: usize,
}

#[cold]
#[inline(never)]
fn undeclared(name: &str) -> ! {
    panic!("{name} is not declared: add .with::<{name}>() where the consumer or producer is built")
}

impl<'v, T: Record> TableRef<'v, T> {
    #[inline(always)]
    pub(super) fn new(viewed: &'v Viewed) -> TableRef<'v, T> {
        let place = viewed.binding.place(T::slot().number());
        let Some(bound) = place.and_then(|place| viewed.bound.get(usize::from(place))) else { undeclared(T::NAME) };
        let scope = Scope { view: viewed };
        TableRef { table: bound.table.as_deref(), binding: &bound.binding, scope, record: PhantomData }
    }

    /// Whether both are the same table of the same view.
    pub(super) fn is_of_same_view(self, other: TableRef<'_, T>) -> bool {
        std::ptr::eq(self.scope.view, other.scope.view)
    }

    /// How many records there are.
    ///
    /// ```
    /// use cenote_consumer::{Record, TableRef};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64, title: String, year: u16, genres: Vec<String> }
    ///
    /// fn count(movies: TableRef<'_, Movie>) -> usize {
    ///     movies.len()
    /// }
    /// ```
    #[must_use]
    pub fn len(self) -> usize {
        self.table.map_or(0, Table::len)
    }

    /// Whether there is none.
    ///
    /// ```
    /// use cenote_consumer::{Record, TableRef};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64, title: String, year: u16, genres: Vec<String> }
    ///
    /// fn is_ready(movies: TableRef<'_, Movie>) -> bool {
    ///     !movies.is_empty()
    /// }
    /// ```
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The record with this ordinal, if there is one in this version.
    ///
    /// ```
    /// use cenote_consumer::{Record, View};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64, title: String, year: u16, genres: Vec<String> }
    ///
    /// /// A record keeps its ordinal while it lives, so the ordinal of one view may be looked for in a newer one.
    /// fn again(older: &View, newer: &View, id: u64) -> Option<String> {
    ///     let ordinal = older.get::<Movie>(id)?.ordinal();
    ///     Some(newer.table::<Movie>().at(ordinal)?.title().to_owned())
    /// }
    /// ```
    #[must_use]
    pub fn at(self, ordinal: Ordinal) -> Option<T::Ref<'v>> {
        self.table.filter(|table| table.is_live(ordinal))?;
        self.named(ordinal)
    }

    /// The record with this ordinal. The caller must know that it is live.
    #[inline]
    pub(super) fn named(self, ordinal: Ordinal) -> Option<T::Ref<'v>> {
        let row = self.table?.row(ordinal)?;
        row.prefetch();
        Some(self.reader(RecordAt::new(row, self.binding, self.scope, ordinal)))
    }

    /// All records, by ordinal.
    ///
    /// ```
    /// use cenote_consumer::{Record, TableRef};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64, title: String, year: u16, genres: Vec<String> }
    ///
    /// fn newest(movies: TableRef<'_, Movie>) -> Option<u16> {
    ///     movies.iter().map(|movie| movie.year()).max()
    /// }
    /// ```
    #[must_use]
    pub fn iter(self) -> Records<'v, T> {
        Records { table: self, live: self.table.map_or(0, |table| table.live().word(0)), first: 0, left: self.len() }
    }

    #[inline(always)]
    pub(super) fn reader(self, at: RecordAt<'v>) -> T::Ref<'v> {
        T::view(at)
    }
}

impl<'v, T: Root> TableRef<'v, T> {
    /// The record with this key.
    ///
    /// ```
    /// use cenote_consumer::{Record, TableRef};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64, title: String, year: u16, genres: Vec<String> }
    ///
    /// fn title<'v>(movies: TableRef<'v, Movie>, id: u64) -> Option<&'v str> {
    ///     Some(movies.get(id)?.title())
    /// }
    /// ```
    #[inline(always)]
    #[must_use]
    pub fn get(self, key: <T::Key as KeyValue>::Borrowed<'_>) -> Option<T::Ref<'v>> {
        T::Key::with(key, |key| self.find(key))
    }

    /// The records with these keys, in the keys' order.
    ///
    /// ```
    /// use cenote_consumer::{Record, TableRef};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64, title: String, year: u16, genres: Vec<String> }
    ///
    /// fn titles<'v>(movies: TableRef<'v, Movie>, ids: &[u64]) -> Vec<&'v str> {
    ///     movies.get_many(ids.iter().copied()).flatten().map(|movie| movie.title()).collect()
    /// }
    /// ```
    #[inline(always)]
    pub fn get_many<'k, K>(self, keys: K) -> Many<'v, 'k, T, K::IntoIter>
    where
        K: IntoIterator<Item = <T::Key as KeyValue>::Borrowed<'k>>,
    {
        Many::new(self, keys.into_iter())
    }

    /// The record that a [`Key`](crate::record::Key) refers to, if it is there.
    ///
    /// ```
    /// use cenote_consumer::{Key, Record, TableRef};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64, title: String, year: u16, genres: Vec<String>, sequel: Option<Key<Movie>> }
    ///
    /// fn title<'v>(movies: TableRef<'v, Movie>, key: &Key<Movie>) -> Option<&'v str> {
    ///     Some(movies.get_key(key.lend())?.title())
    /// }
    /// ```
    #[inline(always)]
    #[must_use]
    pub fn get_key(self, key: KeyOf<'_, T>) -> Option<T::Ref<'v>> {
        self.find(key.canonical())
    }

    /// The record with this key in canonical form.
    ///
    /// ```
    /// use cenote_consumer::{Record, TableRef, View};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64, title: String, year: u16, genres: Vec<String> }
    ///
    /// /// A key in canonical form, as a record has it that was found by name.
    /// fn typed<'v>(view: &'v View, movies: TableRef<'v, Movie>, text: &str) -> Option<&'v str> {
    ///     let key = view.named("Movie").ok()?.key_of_text(text).ok()?;
    ///     Some(movies.find(key.as_ref())?.title())
    /// }
    /// ```
    #[inline(always)]
    #[must_use]
    pub fn find(self, key: KeyRef<'_>) -> Option<T::Ref<'v>> {
        let (ordinal, row) = self.table?.find_row(key, self.scope.view.state.tables())?;
        Some(self.reader(RecordAt::new(row, self.binding, self.scope, ordinal)))
    }
}

impl<'v, T: Record> Iterator for Records<'v, T> {
    type Item = T::Ref<'v>;

    #[inline]
    fn next(&mut self) -> Option<T::Ref<'v>> {
        let table = self.table.table.filter(|_| self.left > 0)?;
        while self.live == 0 {
            self.first += u64::BITS;
            self.live = table.live().word((self.first / u64::BITS) as usize);
        }
        let ordinal = Ordinal(self.first + self.live.trailing_zeros());
        self.live &= self.live - 1;
        self.left -= 1;
        let row = table.row(ordinal)?;
        Some(self.table.reader(RecordAt::new(row, self.table.binding, self.table.scope, ordinal)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T: Record> ExactSizeIterator for Records<'_, T> {}

impl<'v, T: Record> IntoIterator for TableRef<'v, T> {
    type Item = T::Ref<'v>;
    type IntoIter = Records<'v, T>;
    fn into_iter(self) -> Records<'v, T> {
        self.iter()
    }
}

impl<T> Clone for TableRef<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for TableRef<'_, T> {}

impl<T: Record> fmt::Debug for TableRef<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableRef").field("type", &T::NAME).field("len", &self.len()).finish()
    }
}
