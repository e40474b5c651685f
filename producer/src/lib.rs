//! Publishing a dataset as a chain of versions.
//!
//! A [`Producer`] owns a dataset on an object store. A program gives it the whole dataset ([`cycle`](Producer::cycle)) or
//! changes only ([`update`](Producer::update)). The producer finds out what is new, proves that the bytes it is about to
//! write lead readers to exactly these records, asks the validators, and puts one entry into the log. Consumers follow that
//! log.
//!
//! ```
//! use cenote_producer::{Producer, Record, RecordCountVariance};
//!
//! #[derive(Record)]
//! #[record(key = "id")]
//! struct Movie {
//!     id: u64,
//!     title: String,
//!     genres: Vec<Genre>,
//! }
//!
//! #[derive(Record)]
//! struct Genre {
//!     name: String,
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), cenote_producer::BoxError> {
//! let mut producer = Producer::builder("memory://media/catalog")
//!     .with::<Movie>()
//!     .validate(RecordCountVariance::of::<Movie>(0.10))
//!     .open()
//!     .await?; // resumes from the newest version, takes the next epoch
//!
//! let source = ["Heat", "Ran"].map(|title| Movie {
//!     id: title.len() as u64,
//!     title: title.into(),
//!     genres: vec![Genre { name: "drama".into() }],
//! });
//! let first = producer
//!     .cycle(async |writer| {
//!         for movie in &source {
//!             writer.add(movie)?;
//!         }
//!         Ok(())
//!     })
//!     .await?;
//! assert_eq!(first.committed().map(ToString::to_string), Some("new schema; Movie: 2 added, 0 changed, 0 removed".into()));
//!
//! let movie = Movie { id: 4, title: "Heat (1995)".into(), genres: vec![] };
//! let updated = producer
//!     .update(|changes| {
//!         changes.upsert(&movie)?;
//!         Ok(changes.delete::<Movie>(17)?)
//!     })
//!     .await?;
//! assert!(!updated.value, "there was no movie 17");
//! assert!(updated.version() > first.version());
//! producer.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! **A cycle** populates, diffs, encodes, verifies, validates, then commits. Nothing leaves the process before the commit,
//! so whatever fails before it ends the cycle with nothing visible and the producer as it was. A record that did not change
//! costs a look-up and no bytes; a component is stored once, however many records hold it, and is removed with its last
//! reference.
//!
//! **The outcome of a commit** is one of these ([`CycleError`]): it is committed; it is *refused*, *lost*, or fails before
//! (go on, or run the cycle again); it is *fenced*, because another producer took over (stop); it is *unknown*, because the
//! store did not confirm it ([`settle`](Producer::settle), or make the next call). Dropping a future is like an unknown
//! outcome: the next call finds out first.
//!
//! **In the background**, the producer makes snapshots when they are due, reads each back and compares it before the log
//! names it; it removes what is older than [`Retention`] says; and it writes heartbeats, which tell other producers and
//! readers that it is alive.
//!
//! # Modules
//!
//! The crate's root has what most programs use. The rest is grouped by subject, so that a program depends on this crate
//! alone:
//!
//! | module | for |
//! | --- | --- |
//! | [`error`] | every error, its kind, and what it consists of |
//! | [`storage`] | a dataset's objects on a store, the errors of stores |
//! | [`env`](mod@env) | the clock, the randomness and the threads |
//! | [`schema`] | types and fields at run time, declared without structs |
//! | [`dynamic`] | records as rows, look-ups by name |
//!
//! # Features
//!
//! | feature | default | what it adds |
//! | --- | --- | --- |
//! | `cli` | yes | the program `cenote-producer`; no part of the library |
//! | `s3` | yes | stores that speak S3 |
//! | `gcs` | no | Google Cloud Storage |
//! | `azure` | no | Azure Blob Storage |
//!
//! # Metrics
//!
//! A program that installs a recorder of the `metrics` crate gets these. Each has the label `dataset`, the dataset's URL.
//!
//! | name | type | what it counts |
//! | --- | --- | --- |
//! | `cenote_producer_version` | gauge | the newest committed version |
//! | `cenote_producer_commits_total` | counter | versions committed |
//! | `cenote_producer_unchanged_total` | counter | cycles and updates that found nothing to write |
//! | `cenote_producer_failures_total` | counter | calls that committed nothing: their closure failed or panicked, or what came after it |
//! | `cenote_producer_cycle_seconds` | histogram | from the call to the commit, reading the source included |
//! | `cenote_producer_delta_bytes` | histogram | a version's delta on storage |
//! | `cenote_producer_snapshots_total` | counter | snapshots made |
//! | `cenote_producer_snapshot_failures_total` | counter | snapshots that failed |
//! | `cenote_producer_snapshot_bytes` | gauge | the newest snapshot on storage |

#![forbid(unsafe_code)]
#![warn(clippy::missing_errors_doc, clippy::missing_panics_doc)]

mod arena;
mod base;
mod builder;
mod chain;
mod check;
#[cfg(feature = "cli")]
mod cli;
mod content;
mod cycle;
mod dry_run;
pub mod error;
mod ground;
mod heartbeat;
// Reads JSON Lines, for the program.
#[cfg(feature = "cli")]
mod json;
mod key;
mod load;
mod metrics;
mod open;
mod ordinals;
mod plan;
mod producer;
mod references;
// What the command `repair` does. No part of the library's interface.
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod repair;
mod report;
mod republish;
mod snapshot;
mod status;
mod typed;
mod update;
mod validators;
mod writer;

pub use builder::ProducerBuilder;
pub use cenote_state::ids::{DatasetId, Epoch, Ordinal, Position};
pub use cenote_state::record::{Adapter, Component, KeyValue, ListIter, MapIter, Record};
pub use cenote_state::schema::Allow;
pub use cenote_state::view::{Diff, HashIndex, IndexValue, Many, Matches, Records, View};
pub use cenote_state::{Key, KeyOf, List, Map, Root, Set, TableRef, Text, Timestamp, Token, Version};
pub use cenote_store::log::Waiting;
pub use cenote_store::log::retention::{Retention, Trimmed};
/// The program's `main`, which needs more than the library's interface. No part of it.
#[cfg(feature = "cli")]
#[doc(hidden)]
pub use cli::main;
pub use dry_run::{DryRun, Preview};
pub use error::{CycleError, OpenError, RecordError, SnapshotError};
pub use heartbeat::Releaser;
pub use producer::Producer;
pub use report::{CommitReport, Cycled, Settled, TypeReport, Updated};
pub use snapshot::{SnapshotFailure, SnapshotPolicy, SnapshotReport};
pub use status::Status;
pub use update::Update;
pub use validators::{
    DanglingKeys, FractionChanged, MinimumCount, RecordCountVariance, ValidationError, Validator, ValidatorRefusal,
};
pub use writer::Writer;

pub use cenote_state::__derive::RecordOfProducer as Record;
/// What generated code names.
#[doc(hidden)]
pub use cenote_state::{__derive, __one_value};

pub mod storage {
    //! A dataset's objects on a store: S3, Google, Azure, local files, memory.

    pub use cenote_store::storage::{
        Created, DatasetUrl, Listed, Location, Operation, Storage, StorageError, StorageErrorKind, Tail, object_store,
    };
}

/// Guides: storage and permissions, schema changes, packed text.
#[doc(inline)]
pub use cenote_store::docs;

pub mod env {
    //! The clock, the randomness and the threads. A test passes simulated ones to
    //! [`ProducerBuilder::env`](crate::ProducerBuilder::env).

    pub use cenote_store::env::{Env, Instant, Panicked, Task, TimedOut};
}

pub mod schema {
    //! The shape of a dataset's records at run time: types, their fields, what a field can hold.

    pub use cenote_state::ids::{ColumnId, TypeId};
    pub use cenote_state::record::{Declared, Registry};
    pub use cenote_state::schema::{
        Allow, Evolved, Field, KeyForm, PACKED, PLAIN, Schema, SchemaChange, SchemaTextError, Shape, TypeKind,
        TypeSchema, TypeText, ValueKind, limits,
    };
}

pub mod dynamic {
    //! Records without Rust structs: rows to write, and look-ups by the names of types and fields.
    //!
    //! A [`Row`] has one cell for each field of its type, in the order of [`TypeSchema::fields`]. A cell is the value's
    //! canonical bytes:
    //!
    //! | value | cell |
    //! | --- | --- |
    //! | integer, bool | 8 bytes, little-endian; signed integers are extended by their sign |
    //! | enum | 8 bytes: the variant's number |
    //! | float | the bytes of its bits, little-endian |
    //! | text, bytes | as they are |
    //! | a component, deduplicated text | 4 bytes: the ordinal that [`Writer::intern_row`](crate::Writer::intern_row) returns |
    //! | `Key<T>` | the key's value; several parts one after another, text and bytes after their length |
    //! | list, set, map | the number of elements in 4 bytes, then the elements; text and bytes after their length |
    //!
    //! The elements of a set and the keys of a map ascend, and none repeats.
    //!
    //! [`TypeSchema::fields`]: crate::schema::TypeSchema::fields

    pub use cenote_state::ids::{Ordinal, TypeId};
    pub use cenote_state::keys::{KeyBuf, KeyRef};
    pub use cenote_state::row::Row;
    pub use cenote_state::view::{NameError, NamedDiff, NamedKey, NamedKeyError, NamedList, NamedMap, NamedRecord};
    pub use cenote_state::view::{NamedTable, NamedValue};
}

/// The error of a closure: with `?` any error becomes one.
///
/// ```
/// fn year(text: &str) -> Result<u16, cenote_producer::BoxError> {
///     Ok(text.parse()?)
/// }
/// assert!(year("1995").is_ok() && year("soon").is_err());
/// ```
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
