//! The results of calls, for the caller and for logs.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use cenote_state::ids::{DatasetId, Version};
use cenote_state::state::State;
use cenote_state::token::Token;

use crate::base::BaseUpdates;
use crate::ground::Tags;

/// The result of a cycle.
///
/// ```
/// # use cenote_producer::{Producer, Record};
/// use cenote_producer::Cycled;
///
/// # #[derive(Record)]
/// # #[record(key = "id")]
/// # struct Movie { id: u64 }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cenote_producer::BoxError> {
/// # let mut producer = Producer::builder("memory://cycled").with::<Movie>().open().await?;
/// match producer.cycle(async |writer| Ok(writer.add(&Movie { id: 1 })?)).await? {
///     Cycled::Committed(report) => println!("version {}: {report}", report.version),
///     Cycled::Unchanged(token) => println!("version {} has these records already", token.version()),
///     _ => {}
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Cycled {
    /// A new version was committed.
    Committed(CommitReport),
    /// Nothing differs from the newest version, whose token this is, so nothing was written.
    Unchanged(Token),
}

/// The result of an update.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Updated<R> {
    /// What the closure returned.
    pub value: R,
    /// The new version, or the one that has these records already.
    pub cycled: Cycled,
}

/// What a new version changed. Its `Display` lists the root types: `Movie: 3 added, 1 changed, 0 removed`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CommitReport {
    /// The version.
    pub version: Version,
    /// What changed, by type; types without changes are left out.
    pub types: Vec<TypeReport>,
    /// The delta's size on storage.
    pub delta_bytes: u64,
    /// Whether the schema changed with it.
    pub schema_changed: bool,
    /// The tags that were attached to it.
    pub tags: BTreeMap<String, String>,
    /// From the call to the commit, reading the source included.
    pub took: Duration,
    dataset: DatasetId,
}

/// What a version changed in one type.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TypeReport {
    /// The type's name.
    pub name: String,
    /// Whether it is a root type; else it is a component type.
    pub is_root: bool,
    /// Records that were added.
    pub added: u64,
    /// Records that were removed.
    pub removed: u64,
    /// Records with new values.
    pub changed: u64,
}

/// The outcome of an earlier call that was dropped, or whose outcome was unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settled {
    /// There was no such call.
    Nothing,
    /// Its version was committed.
    Committed(Version),
    /// It was not committed and never will be.
    NotCommitted,
}

impl Cycled {
    /// The newest version: the new one, or the one that has these records already.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// # let mut producer = Producer::builder("memory://report-version").with::<Movie>().open().await?;
    /// let cycled = producer.cycle(async |writer| Ok(writer.add(&Movie { id: 1 })?)).await?;
    /// assert_eq!(cycled.version(), producer.version());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn version(&self) -> Version {
        match self {
            Cycled::Committed(report) => report.version,
            Cycled::Unchanged(token) => token.version(),
        }
    }

    /// A consumer's read of at least this token sees what was published.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// # let mut producer = Producer::builder("memory://report-token").with::<Movie>().open().await?;
    /// let cycled = producer.cycle(async |writer| Ok(writer.add(&Movie { id: 1 })?)).await?;
    /// // A consumer: consumer.view_at_least(token, Duration::from_secs(5)).await?
    /// let token = cycled.token();
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn token(&self) -> Token {
        match self {
            Cycled::Committed(report) => report.token(),
            Cycled::Unchanged(token) => *token,
        }
    }

    /// The report of the new version; `None` if nothing changed.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// # let mut producer = Producer::builder("memory://report-committed").with::<Movie>().open().await?;
    /// let cycled = producer.cycle(async |writer| Ok(writer.add(&Movie { id: 1 })?)).await?;
    /// assert_eq!(cycled.committed().map(|report| report.schema_changed), Some(true));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn committed(&self) -> Option<&CommitReport> {
        match self {
            Cycled::Committed(report) => Some(report),
            Cycled::Unchanged(_) => None,
        }
    }
}

impl<R> Updated<R> {
    /// The newest version.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// # let mut producer = Producer::builder("memory://report-updated").with::<Movie>().open().await?;
    /// let updated = producer.update(|changes| Ok(changes.upsert(&Movie { id: 1 })?)).await?;
    /// assert_eq!(updated.version(), producer.version());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn version(&self) -> Version {
        self.cycled.version()
    }

    /// A consumer's read of at least this token sees the update.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// # let mut producer = Producer::builder("memory://report-updated-token").with::<Movie>().open().await?;
    /// let updated = producer.update(|changes| Ok(changes.upsert(&Movie { id: 1 })?)).await?;
    /// // A consumer: consumer.view_at_least(token, Duration::from_secs(5)).await?
    /// let token = updated.token();
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn token(&self) -> Token {
        self.cycled.token()
    }
}

impl CommitReport {
    /// The report of a version that is not committed yet.
    pub(crate) fn of(
        state: &State,
        updates: &BaseUpdates,
        delta_bytes: u64,
        schema_changed: bool,
        (dataset, tags): (DatasetId, Tags),
    ) -> CommitReport {
        let types = updates.types.iter().map(|of_type| {
            let schema = state.schema().get(of_type.type_id);
            TypeReport {
                name: schema.name.clone(),
                is_root: schema.is_root(),
                added: of_type.added.len() as u64 - of_type.moved,
                removed: of_type.removed.len() as u64 - of_type.moved,
                changed: of_type.changed + of_type.moved,
            }
        });
        let (version, types) = (state.version(), types.collect());
        CommitReport { version, types, delta_bytes, schema_changed, tags, took: Duration::ZERO, dataset }
    }

    /// A consumer's read of at least this token sees the version.
    ///
    /// ```
    /// # use cenote_producer::{CommitReport, Token};
    /// fn header(report: &CommitReport) -> (&'static str, String) {
    ///     ("x-at-least", report.token().to_string())
    /// }
    /// ```
    #[must_use]
    pub fn token(&self) -> Token {
        Token::new(self.dataset, self.version)
    }

    /// What changed in the type with this name; `None` if nothing did.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// # let mut producer = Producer::builder("memory://report-of-type").with::<Movie>().open().await?;
    /// let cycled = producer.cycle(async |writer| Ok(writer.add(&Movie { id: 1 })?)).await?;
    /// let movies = cycled.committed().and_then(|report| report.of_type("Movie"));
    /// assert_eq!(movies.map(|of_type| of_type.added), Some(1));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn of_type(&self, name: &str) -> Option<&TypeReport> {
        self.types.iter().find(|of_type| of_type.name == name)
    }
}

impl fmt::Display for CommitReport {
    /// The roots' changes: `Movie: 3 added, 1 changed, 0 removed`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = Vec::new();
        if self.schema_changed {
            parts.push("new schema".to_owned());
        }
        for TypeReport { name, added, removed, changed, .. } in self.types.iter().filter(|of_type| of_type.is_root) {
            parts.push(format!("{name}: {added} added, {changed} changed, {removed} removed"));
        }
        f.write_str(&parts.join("; "))
    }
}
