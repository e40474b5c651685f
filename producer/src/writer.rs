//! The writer: takes the records that a cycle's closure gives.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cenote_state::ids::{Ordinal, TypeId};
use cenote_state::record::Root;
use cenote_state::row::Row;
use cenote_state::schema::Schema;

use crate::check::RowError;
use crate::cycle::populate::{Emptied, Input};
use crate::error::{RecordCause, RecordError};
use crate::typed::Typed;

/// Takes the whole dataset, record by record. [`Producer::cycle`](crate::Producer::cycle) passes it to its closure.
pub struct Writer {
    pub(crate) input: Input,
    typed: Typed,
    tags: BTreeMap<String, String>,
    added: u64,
    /// Types that are meant to have no record.
    may_be_empty: BTreeSet<TypeId>,
}

impl Writer {
    pub(crate) fn new(input: Input, typed: Typed) -> Writer {
        Writer { input, typed, tags: BTreeMap::new(), added: 0, may_be_empty: BTreeSet::new() }
    }

    /// Adds a record. A key that is added twice makes the cycle fail after its last record; the error names the first ten
    /// such keys.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// # let mut producer = Producer::builder("memory://writer-add").with::<Movie>().open().await?;
    /// let movies = [Movie { id: 1 }, Movie { id: 2 }];
    /// let cycled = producer.cycle(async |writer| Ok(movies.iter().try_for_each(|movie| writer.add(movie))?)).await?;
    /// assert!(cycled.committed().is_some());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the record exceeds a limit, or its type was not declared with `with`.
    pub fn add<T: Root>(&mut self, record: &T) -> Result<(), RecordError> {
        self.add_record(record)?;
        self.added += 1;
        Ok(())
    }

    fn add_record<T: Root>(&mut self, record: &T) -> Result<(), RecordCause> {
        if !self.typed.add_same(record, &mut self.input)? {
            let (id, row) = self.typed.write(record, &mut self.input)?;
            self.input.add(id, row)?;
        }
        Ok(())
    }

    /// Adds a record as a row in canonical form (see [`dynamic`](crate::dynamic)), of a root type of the [`schema`].
    /// Its components come first, by [`intern_row`]; the row refers to them by the ordinals that it returns.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// use cenote_producer::dynamic::Row;
    ///
    /// # #[derive(Record)]
    /// # #[record(key = "code")]
    /// # struct Country { code: String, people: i64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// # let mut producer = Producer::builder("memory://writer-row").with::<Country>().open().await?;
    /// let country = producer.schema().find("Country").ok_or("the type is declared")?;
    /// let mut row = Row::new(2);
    /// row.set(0, |cell| cell.extend_from_slice(b"nl"));
    /// row.set(1, |cell| cell.extend_from_slice(&17_900_000_i64.to_le_bytes()));
    /// producer.cycle(async |writer| Ok(writer.add_row(country, &row)?)).await?;
    /// assert_eq!(producer.view().get::<Country>("nl").map(|country| country.people()), Some(17_900_000));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the row is not one of the type's, a cell is not canonical (a set or map is sorted and holds nothing twice), a
    /// reference leads nowhere, or the type is not one of the producer's root types.
    ///
    /// [`schema`]: Writer::schema
    /// [`intern_row`]: Writer::intern_row
    pub fn add_row(&mut self, id: TypeId, row: &Row) -> Result<(), RecordError> {
        self.typed.check_root(&self.input, id, row).map_err(RecordCause::from)?;
        self.add_canonical(id, row)
    }

    /// The same for a row of a root type whose cells this crate wrote.
    pub(crate) fn add_canonical(&mut self, id: TypeId, row: &Row) -> Result<(), RecordError> {
        self.input.add(id, row).map_err(RecordCause::from)?;
        self.added += 1;
        Ok(())
    }

    /// The ordinal of a component row, for the rows of this cycle; equal rows have the same.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// use cenote_producer::dynamic::Row;
    ///
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64, genre: Genre }
    /// # #[derive(Record)]
    /// # struct Genre { name: String }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// # let mut producer = Producer::builder("memory://writer-intern").with::<Movie>().open().await?;
    /// let schema = producer.schema().clone();
    /// let (movie, genre) = (schema.find("Movie").ok_or("declared")?, schema.find("Genre").ok_or("declared")?);
    /// producer
    ///     .cycle(async |writer| {
    ///         let mut row = Row::new(1);
    ///         row.set(0, |cell| cell.extend_from_slice(b"drama"));
    ///         let drama = writer.intern_row(genre, &row)?;
    ///         let mut row = Row::new(2);
    ///         row.set(0, |cell| cell.extend_from_slice(&1_u64.to_le_bytes()));
    ///         row.set(1, |cell| cell.extend_from_slice(&drama.0.to_le_bytes()));
    ///         Ok(writer.add_row(movie, &row)?)
    ///     })
    ///     .await?;
    /// assert_eq!(producer.view().get::<Movie>(1).map(|movie| movie.genre().name()), Some("drama"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`add_row`](Writer::add_row); the type is a component type.
    pub fn intern_row(&mut self, component: TypeId, row: &Row) -> Result<Ordinal, RecordError> {
        Ok(self.input.intern_row(component, row)?)
    }

    /// Attaches a tag to the version, such as the source's version. The producer writes nothing for a tag alone.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// # let mut producer = Producer::builder("memory://writer-tag").with::<Movie>().open().await?;
    /// producer
    ///     .cycle(async |writer| {
    ///         writer.tag("release", "8.1.9");
    ///         Ok(writer.add(&Movie { id: 1 })?)
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn tag(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.tags.insert(name.into(), value.into());
    }

    /// The dataset's schema. The type numbers of hand-made rows are its numbers.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// # let mut producer = Producer::builder("memory://writer-schema").with::<Movie>().open().await?;
    /// producer
    ///     .cycle(async |writer| {
    ///         assert!(writer.schema().find("Movie").is_some());
    ///         Ok(writer.add(&Movie { id: 1 })?)
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        self.input.base.state.schema()
    }

    /// The number of records that were added so far.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// # let mut producer = Producer::builder("memory://writer-added").with::<Movie>().open().await?;
    /// producer
    ///     .cycle(async |writer| {
    ///         writer.add(&Movie { id: 1 })?;
    ///         if writer.added() == 0 {
    ///             return Err("the source is empty".into()); // ends the cycle, nothing is written
    ///         }
    ///         Ok(())
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn added(&self) -> u64 {
        self.added
    }

    /// Says that this type may be left without a record. Without it, a cycle fails that is given no record of a type that has
    /// some, or no record at all in a dataset without any: a source that answers with nothing must not look like one that has
    /// nothing.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// # let mut producer = Producer::builder("memory://writer-empty").with::<Movie>().open().await?;
    /// producer.cycle(async |writer| Ok(writer.add(&Movie { id: 1 })?)).await?;
    /// assert!(producer.cycle(async |_| Ok(())).await.is_err());
    /// producer.cycle(async |writer| Ok(writer.allow_empty::<Movie>()?)).await?;
    /// assert_eq!(producer.view().len::<Movie>(), 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the type was not declared with `with`.
    pub fn allow_empty<T: Root>(&mut self) -> Result<(), RecordError> {
        let id = self.typed.id::<T>(self.input.base.state.schema()).map_err(RecordCause::from)?;
        self.may_be_empty.insert(id);
        Ok(())
    }

    /// The same for a type by its number in the [`schema`](Writer::schema).
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// # let mut producer = Producer::builder("memory://writer-empty-type").with::<Movie>().open().await?;
    /// let movie = producer.schema().find("Movie").ok_or("the type is declared")?;
    /// producer.cycle(async |writer| Ok(writer.allow_empty_type(movie)?)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the type is not one of the producer's root types.
    pub fn allow_empty_type(&mut self, id: TypeId) -> Result<(), RecordError> {
        if !self.typed.is_root(id) {
            return Err(RecordCause::from(RowError::Type(id)).into());
        }
        self.may_be_empty.insert(id);
        Ok(())
    }

    /// What was given, and the version's tags.
    ///
    /// # Errors
    /// If types would be left without a record and that was not said to be meant.
    pub(crate) fn into_parts(self) -> Result<(Input, BTreeMap<String, String>), Emptied> {
        match self.input.emptied(&self.may_be_empty) {
            Some(emptied) => Err(emptied),
            None => Ok((self.input, self.tags)),
        }
    }
}
