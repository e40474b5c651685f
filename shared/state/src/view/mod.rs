//! A view: one version of the dataset, as a program's types see it.
//!
//! Cheap to clone, `Send`, never changing; everything read from it borrows it. Types and fields were bound
//! when the view was made, so that a read looks into slots only.

mod diff;
mod find;
pub mod indexes;
mod internal;
mod many;
mod named;
mod named_key;
mod path;
mod same;
mod serialize;
mod shown;
mod table;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

pub use diff::{Diff, NamedDiff};
pub use find::{HashIndex, IndexValue, Matches};
pub use indexes::{IndexDeclaration, IndexError, Indexes, IndexesTooLarge};
pub use many::Many;
pub use named::{NameError, NamedList, NamedMap, NamedRecord, NamedTable, NamedValue};
pub use named_key::{NamedKey, NamedKeyError};
pub use table::{Records, TableRef};

use crate::ids::{Timestamp, Version};
use crate::record::bind::TypeBinding;
use crate::record::{Binding, KeyOf, KeyValue, Record, Root};
use crate::schema::Schema;
use crate::state::State;
use crate::table::Table;

/// One version of a dataset, for as long as it is held.
#[derive(Clone)]
pub struct View {
    viewed: Arc<Viewed>,
}

/// What a view shares with its clones, and what readers borrow.
#[doc(hidden)]
pub struct Viewed {
    pub(crate) state: State,
    pub(crate) binding: Arc<Binding>,
    /// By the types' places in the binding: what every read begins with, found once.
    bound: Box<[Bound]>,
    indexes: Indexes,
    committed_at: Timestamp,
}

/// A declared type, and the records that it has in this view.
struct Bound {
    /// None if the dataset lacks the type: consumers deploy first.
    table: Option<Arc<Table>>,
    binding: Arc<TypeBinding>,
}

impl Viewed {
    /// The binding of a declared type.
    #[inline(always)]
    pub(crate) fn binding_at(&self, place: u16) -> &TypeBinding {
        &self.bound[usize::from(place)].binding
    }
}

impl View {
    /// The version that all of it is of.
    ///
    /// ```
    /// use cenote_consumer::{Consumer, Version, View};
    ///
    /// fn served(consumer: &Consumer) -> Version {
    ///     consumer.with(View::version)
    /// }
    /// ```
    #[must_use]
    pub fn version(&self) -> Version {
        self.viewed.state.version()
    }

    /// When the version was committed, by its producer's clock.
    ///
    /// ```
    /// use cenote_consumer::View;
    ///
    /// fn etag(view: &View) -> String {
    ///     format!("{} of {}", view.version(), view.committed_at().to_rfc3339())
    /// }
    /// ```
    #[must_use]
    pub fn committed_at(&self) -> Timestamp {
        self.viewed.committed_at
    }

    /// The schema of what is held: the dataset's at this version, in which a type or field that is not held is like one that
    /// was removed.
    ///
    /// ```
    /// use cenote_consumer::View;
    ///
    /// fn has_type(view: &View, name: &str) -> bool {
    ///     view.schema().find(name).is_some()
    /// }
    /// ```
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        self.viewed.state.schema()
    }

    /// The dataset's whole schema at this version, whatever is held of it.
    ///
    /// ```
    /// use cenote_consumer::View;
    ///
    /// fn is_declared(view: &View, name: &str) -> bool {
    ///     let fields = |schema: &cenote_consumer::schema::Schema| Some(schema.get(schema.find(name)?).fields.len());
    ///     fields(view.schema()) == fields(view.dataset_schema())
    /// }
    /// ```
    #[must_use]
    pub fn dataset_schema(&self) -> &Arc<Schema> {
        self.viewed.state.dataset_schema()
    }

    /// Bytes of memory that its records, key indexes and hash indexes take, as if it shared nothing with other versions.
    ///
    /// ```
    /// use cenote_consumer::View;
    ///
    /// fn mebibytes(view: &View) -> u64 {
    ///     view.memory_bytes() >> 20
    /// }
    /// ```
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.viewed.state.memory_bytes() + self.viewed.indexes.memory_bytes() as u64
    }

    /// The record with this key: `view.get::<Movie>(42)`, `view.get::<Country>("nl")`.
    ///
    /// # Panics
    /// If the consumer or producer that made the view was not built `.with::<T>()`. So do all methods here that name a
    /// type.
    ///
    /// ```
    /// use cenote_consumer::{Record, View};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64, title: String, year: u16, genres: Vec<String> }
    ///
    /// fn title(view: &View, id: u64) -> Option<&str> {
    ///     view.get::<Movie>(id).map(|movie| movie.title())
    /// }
    /// ```
    #[inline(always)]
    #[must_use]
    pub fn get<T: Root>(&self, key: <T::Key as KeyValue>::Borrowed<'_>) -> Option<T::Ref<'_>> {
        self.table::<T>().get(key)
    }

    /// The records with these keys, in the keys' order: what [`get`](View::get) finds for each, faster if a request
    /// wants several. See [`Many`].
    ///
    /// ```
    /// use cenote_consumer::{Record, View};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64, title: String }
    /// fn titles(view: &View, ids: &[u64]) -> Vec<String> {
    ///     view.get_many::<Movie>(ids.iter().copied()).flatten().map(|movie| movie.title().to_owned()).collect()
    /// }
    /// ```
    #[inline(always)]
    pub fn get_many<'v, 'k, T: Root>(
        &'v self,
        keys: impl IntoIterator<Item = <T::Key as KeyValue>::Borrowed<'k>>,
    ) -> impl Iterator<Item = Option<T::Ref<'v>>> {
        self.table::<T>().get_many(keys)
    }

    /// The record that a [`Key`](crate::record::Key) refers to, if it is there.
    ///
    /// ```
    /// use cenote_consumer::{Key, Record, View};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64, title: String, year: u16, genres: Vec<String>, sequel: Option<Key<Movie>> }
    ///
    /// fn sequel(view: &View, id: u64) -> Option<&str> {
    ///     let key = view.get::<Movie>(id)?.sequel()?;
    ///     Some(view.get_key(key)?.title())
    /// }
    /// ```
    #[inline(always)]
    #[must_use]
    pub fn get_key<T: Root>(&self, key: KeyOf<'_, T>) -> Option<T::Ref<'_>> {
        self.table::<T>().get_key(key)
    }

    /// The records of one type.
    ///
    /// ```
    /// use cenote_consumer::{Record, View};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64, title: String, year: u16, genres: Vec<String> }
    ///
    /// fn years(view: &View, ids: &[u64]) -> Vec<u16> {
    ///     let movies = view.table::<Movie>(); // once, for all look-ups
    ///     ids.iter().filter_map(|id| Some(movies.get(*id)?.year())).collect()
    /// }
    /// ```
    #[inline(always)]
    #[must_use]
    pub fn table<T: Record>(&self) -> TableRef<'_, T> {
        TableRef::new(&self.viewed)
    }

    /// How many records of this type there are.
    ///
    /// ```
    /// use cenote_consumer::{Record, View};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64, title: String, year: u16, genres: Vec<String> }
    ///
    /// fn count(view: &View) -> usize {
    ///     view.len::<Movie>()
    /// }
    /// ```
    #[expect(
        clippy::len_without_is_empty,
        reason = "a view has a length per type; its tables can say if they are empty"
    )]
    #[must_use]
    pub fn len<T: Record>(&self) -> usize {
        self.table::<T>().len()
    }

    /// All records of one type, by ordinal.
    ///
    /// ```
    /// use cenote_consumer::{Record, View};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64, title: String, year: u16, genres: Vec<String> }
    ///
    /// fn of_year(view: &View, year: u16) -> Vec<&str> {
    ///     view.all::<Movie>().filter(|movie| movie.year() == year).map(|movie| movie.title()).collect()
    /// }
    /// ```
    #[must_use]
    pub fn all<T: Record>(&self) -> Records<'_, T> {
        self.table::<T>().iter()
    }

    /// What changed since `older`, a view of the same dataset. Costs what changed, and a look at each live bit.
    ///
    /// ```
    /// use cenote_consumer::{Record, View};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64, title: String, year: u16, genres: Vec<String> }
    ///
    /// fn report(older: &View, newer: &View) {
    ///     let diff = newer.diff::<Movie>(older);
    ///     println!("{} came, {} are gone", diff.added.len(), diff.removed.len());
    ///     for (before, after) in &diff.updated {
    ///         println!("{} is now {}", before.title(), after.title());
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn diff<'v, T: Root>(&'v self, older: &'v View) -> Diff<'v, T> {
        Diff::between(older.table::<T>(), self.table::<T>())
    }

    /// The same for a root type by its name, without a Rust type. A type that a view lacks has no records there.
    ///
    /// ```
    /// use cenote_consumer::View;
    ///
    /// fn removed(older: &View, newer: &View, type_name: &str) -> usize {
    ///     newer.named_diff(older, type_name).removed.len()
    /// }
    /// ```
    #[must_use]
    pub fn named_diff<'v>(&'v self, older: &'v View, type_name: &str) -> NamedDiff<'v> {
        NamedDiff::between(older.named(type_name).ok(), self.named(type_name).ok())
    }

    /// The records of a type by its name, without a Rust type. A consumer holds what the program declares, or everything if
    /// it was built with `.whole()`.
    ///
    /// ```
    /// use cenote_consumer::View;
    /// use cenote_consumer::dynamic::NameError;
    ///
    /// fn show(view: &View, type_name: &str) -> Result<(), NameError> {
    ///     for record in view.named(type_name)?.iter() {
    ///         println!("{record:?}");
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// If the dataset has no such type, or the consumer does not hold it.
    pub fn named(&self, type_name: &str) -> Result<NamedTable<'_>, NameError> {
        NamedTable::find(&self.viewed.state, type_name)
    }

    /// Every type that is held by its name, in the order of the schema.
    ///
    /// ```
    /// use cenote_consumer::View;
    ///
    /// fn show(view: &View) {
    ///     for table in view.named_tables() {
    ///         println!("{}: {} records", table.schema().name, table.len());
    ///     }
    /// }
    /// ```
    pub fn named_tables(&self) -> impl Iterator<Item = NamedTable<'_>> {
        NamedTable::all(&self.viewed.state)
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("version", &self.version()).field("committed_at", &self.committed_at()).finish()
    }
}
