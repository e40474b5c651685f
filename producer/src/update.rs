//! An update: changes only. They apply in order; the last change of a key counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use cenote_state::ids::{Ordinal, TypeId};
use cenote_state::keys::KeyRef;
use cenote_state::record::{KeyValue, Root};
use cenote_state::row::Row;
use cenote_state::schema::Schema;

use crate::check::RowError;
use crate::cycle::populate::Input;
use crate::error::{RecordCause, RecordError};
use crate::typed::Typed;

/// Takes changes. All of them become one version, or none does. [`Producer::update`](crate::Producer::update) passes it to
/// its closure.
pub struct Update {
    input: Input,
    typed: Typed,
    tags: BTreeMap<String, String>,
}

impl Update {
    pub(crate) fn new(input: Input, typed: Typed) -> Update {
        Update { input, typed, tags: BTreeMap::new() }
    }

    /// Adds the record, or replaces the one with its key.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// # let mut producer = Producer::builder("memory://update-upsert").with::<Movie>().open().await?;
    /// producer.update(|changes| Ok(changes.upsert(&Movie { id: 1 })?)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the record exceeds a limit, or its type was not declared with `with`.
    pub fn upsert<T: Root>(&mut self, record: &T) -> Result<(), RecordError> {
        Ok(self.upsert_record(record)?)
    }

    fn upsert_record<T: Root>(&mut self, record: &T) -> Result<(), RecordCause> {
        let (id, row) = self.typed.write(record, &mut self.input)?;
        Ok(self.input.upsert(id, row)?)
    }

    /// Deletes the record with this key; `false` if there is none.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// # let mut producer = Producer::builder("memory://update-delete").with::<Movie>().open().await?;
    /// let updated = producer.update(|changes| Ok(changes.delete::<Movie>(17)?)).await?;
    /// assert!(!updated.value, "there was no movie 17");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If its type was not declared with `with`.
    pub fn delete<T: Root>(&mut self, key: <T::Key as KeyValue>::Borrowed<'_>) -> Result<bool, RecordError> {
        let id = self.typed.id::<T>(self.input.base.state.schema()).map_err(RecordCause::from)?;
        Ok(T::Key::with(key, |key| self.input.delete(id, key)))
    }

    /// The same as [`upsert`](Update::upsert) for a row in canonical form: see [`Writer::add_row`](crate::Writer::add_row).
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// use cenote_producer::dynamic::Row;
    ///
    /// # #[derive(Record)]
    /// # #[record(key = "code")]
    /// # struct Country { code: String }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// # let mut producer = Producer::builder("memory://update-row").with::<Country>().open().await?;
    /// let country = producer.schema().find("Country").ok_or("the type is declared")?;
    /// let mut row = Row::new(1);
    /// row.set(0, |cell| cell.extend_from_slice(b"nl"));
    /// producer.update(|changes| Ok(changes.upsert_row(country, &row)?)).await?;
    /// assert!(producer.view().get::<Country>("nl").is_some());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`Writer::add_row`](crate::Writer::add_row).
    pub fn upsert_row(&mut self, id: TypeId, row: &Row) -> Result<(), RecordError> {
        Ok(self.upsert_checked_row(id, row)?)
    }

    fn upsert_checked_row(&mut self, id: TypeId, row: &Row) -> Result<(), RecordCause> {
        self.typed.check_root(&self.input, id, row)?;
        Ok(self.input.upsert(id, row)?)
    }

    /// The same as [`delete`](Update::delete) for a key in canonical form.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// use cenote_producer::dynamic::KeyRef;
    ///
    /// # #[derive(Record)]
    /// # #[record(key = "code")]
    /// # struct Country { code: String }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// # let mut producer = Producer::builder("memory://update-key").with::<Country>().open().await?;
    /// let country = producer.schema().find("Country").ok_or("the type is declared")?;
    /// let updated = producer.update(|changes| Ok(changes.delete_key(country, KeyRef::Bytes(b"nl"))?)).await?;
    /// assert!(!updated.value, "there was no such country");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the type is not one of the producer's root types.
    pub fn delete_key(&mut self, id: TypeId, key: KeyRef<'_>) -> Result<bool, RecordError> {
        if !self.typed.is_root(id) {
            return Err(RecordCause::from(RowError::Type(id)).into());
        }
        Ok(self.input.delete(id, key))
    }

    /// The ordinal of a component row, for the rows of this update; equal rows have the same.
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
    /// # let mut producer = Producer::builder("memory://update-intern").with::<Movie>().open().await?;
    /// let genre = producer.schema().find("Genre").ok_or("the type is declared")?;
    /// let mut drama = Row::new(1);
    /// drama.set(0, |cell| cell.extend_from_slice(b"drama"));
    /// producer
    ///     .update(|changes| {
    ///         assert_eq!(changes.intern_row(genre, &drama)?, changes.intern_row(genre, &drama)?);
    ///         Ok(())
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`Writer::intern_row`](crate::Writer::intern_row).
    pub fn intern_row(&mut self, component: TypeId, row: &Row) -> Result<Ordinal, RecordError> {
        Ok(self.input.intern_row(component, row)?)
    }

    /// Attaches a tag to the version. The producer writes nothing for a tag alone.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// # let mut producer = Producer::builder("memory://update-tag").with::<Movie>().open().await?;
    /// producer
    ///     .update(|changes| {
    ///         changes.tag("ticket", "4711");
    ///         Ok(changes.upsert(&Movie { id: 1 })?)
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
    /// # let mut producer = Producer::builder("memory://update-schema").with::<Movie>().open().await?;
    /// producer.update(|changes| Ok(assert!(changes.schema().find("Movie").is_some()))).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        self.input.base.state.schema()
    }

    pub(crate) fn into_parts(self) -> (Input, BTreeMap<String, String>) {
        (self.input, self.tags)
    }
}
