//! Reading a dataset from memory: the library that a service links.
//!
//! A [`Consumer`] holds the newest version of a dataset whole, and follows the dataset. A read is a function call on
//! immutable memory: no network, no lock, no cache to invalidate.
//!
//! ```
//! # use cenote_producer::Producer;
//! use cenote_consumer::{Consumer, HashIndex, Record};
//!
//! #[derive(Record)]
//! #[record(key = "id")]
//! struct Movie {
//!     id: u64,
//!     title: String,
//!     country: String,
//! }
//!
//! const BY_COUNTRY: HashIndex<Movie, str> = HashIndex::on("country");
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let mut producer = Producer::builder("memory://media/catalog").with::<Movie>().open().await?;
//! # producer.update(|changes| Ok(changes.upsert(&Movie { id: 42, title: "Zus".into(), country: "nl".into() })?)).await?;
//! let consumer = Consumer::builder("memory://media/catalog").with::<Movie>().index(&BY_COUNTRY).open().await?;
//! let view = consumer.view(); // one version for as long as it is held
//! if let Some(movie) = view.get::<Movie>(42) {
//!     println!("{}, one of {} from there", movie.title(), view.find(&BY_COUNTRY, movie.country()).len());
//! }
//! # assert_eq!(view.find(&BY_COUNTRY, "nl").len(), 1);
//! # Ok(()) }
//! ```
//!
//! **A view** ([`Consumer::view`], [`Consumer::with`]) is one version: all records, lists, references and indexes in it. It
//! stays valid and unchanged for as long as it is held. Take one per request.
//!
//! **A refresh** loads deltas, or a snapshot, in the background, compares the result with what was committed, and swaps the
//! view in one step. Reads never wait for it. A refresh that fails leaves the old view in place; [`Consumer::status`] reports
//! how well the consumer follows, apart from [`Consumer::is_serving`]. A version that can't be reached is quarantined, and
//! the next one tried.
//!
//! # Modules
//!
//! The crate's root has what most programs use. The rest is grouped by subject, so that a program depends on this crate
//! alone:
//!
//! | module | for |
//! | --- | --- |
//! | [`error`] | every error, its kind, and the errors that it consists of |
//! | [`storage`] | a dataset's objects on a store |
//! | [`env`](mod@env) | the clock, the randomness and the threads |
//! | [`schema`] | types and fields at run time |
//! | [`dynamic`] | records by the names of their types and fields |
//!
//! # Features
//!
//! | feature | default | what it adds |
//! | --- | --- | --- |
//! | `cli` | yes | the program `cenote-consumer`; no part of the library |
//! | `s3` | yes | stores that speak S3 |
//! | `gcs` | no | Google Cloud Storage |
//! | `azure` | no | Azure Blob Storage |
//! | `testing` | no | swaps that go wrong on purpose, for Cenote's own tests |
//!
//! # Metrics
//!
//! A program that installs a recorder of the `metrics` crate gets these. Each has the label `dataset`, the dataset's URL.
//!
//! | name | type | what it counts |
//! | --- | --- | --- |
//! | `cenote_consumer_version` | gauge | the version of the newest view |
//! | `cenote_consumer_refresh_seconds` | histogram | a refresh that brought a version, from reading the log to the swap |
//! | `cenote_consumer_bytes_total` | counter | bytes fetched by such refreshes, log entries included |
//! | `cenote_consumer_old_views` | gauge | replaced views that readers still hold |
//! | `cenote_consumer_old_views_bytes` | gauge | memory that only those views use |
//! | `cenote_consumer_old_views_seconds` | gauge | time since the oldest of them was replaced |

// The files, in the order of a refresh: when to poll (`watch`, `local`), the loop (`task`), the order of steps (`follow`), the
// computation (`refresh`), what failed (`quarantine`), the swap (`cell`), what was replaced (`retire`), what is reported
// (`status`, `report`, `metrics`).

#![forbid(unsafe_code)]
#![warn(clippy::missing_errors_doc, clippy::missing_panics_doc)]

mod builder;
mod cell;
mod consumer;
pub mod error;
mod follow;
mod inner;
mod liveness;
mod local;
mod memory;
mod metrics;
mod program;
mod quarantine;
mod refresh;
mod report;
mod retire;
mod start;
mod status;
mod task;
mod verify;
mod watch;

pub use builder::{ConsumerBuilder, OnEmpty};
pub use cenote_state::held::HeldCounts;
pub use cenote_state::ids::{DatasetId, Ordinal, Position};
pub use cenote_state::record::{Adapter, Component, KeyValue, ListIter, MapIter, Record};
pub use cenote_state::view::{Diff, HashIndex, IndexValue, Many, Matches, Records, View};
pub use cenote_state::{Key, KeyOf, List, Map, Root, Set, TableRef, Text, Timestamp, Token, Version};
pub use consumer::Consumer;
pub use error::{OpenError, RefreshError, VerifyError, WaitError};
pub use report::{RefreshPath, RefreshReport, StepTimes};
pub use retire::OldViews;
pub use status::{Health, Status};
pub use verify::{Verified, VerifiedType, Verifier, VerifyProgress};
pub use watch::ReloadPolicy;

pub use cenote_state::__derive::RecordOfConsumer as Record;
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
    //! [`ConsumerBuilder::env`](crate::ConsumerBuilder::env).

    pub use cenote_store::env::{Env, Instant, Panicked, Task, TimedOut};
}

pub mod schema {
    //! The shape of a dataset's records at run time: types, their fields, what a field can hold.

    pub use cenote_state::ids::{ColumnId, TypeId};
    pub use cenote_state::schema::{Field, KeyForm, Schema, Shape, TypeKind, TypeSchema, ValueKind, limits};
    pub use cenote_state::schema::{PACKED, PLAIN};
}

pub mod dynamic {
    //! Records without Rust structs: look-ups by the names of types and fields, from [`View::named`] on.
    //!
    //! [`View::named`]: crate::View::named
    //!
    //! ```
    //! use cenote_consumer::View;
    //! use cenote_consumer::dynamic::NamedValue;
    //!
    //! fn print(view: &View, type_name: &str) {
    //!     let Ok(table) = view.named(type_name) else { return };
    //!     for record in table.iter() {
    //!         for (name, value) in record.fields() {
    //!             if let NamedValue::Text(text) = value {
    //!                 println!("{name}: {text}");
    //!             }
    //!         }
    //!     }
    //! }
    //! ```

    pub use cenote_state::keys::{KeyBuf, KeyRef};
    pub use cenote_state::view::{NameError, NamedDiff, NamedKey, NamedKeyError, NamedList, NamedMap, NamedRecord};
    pub use cenote_state::view::{NamedTable, NamedValue};
}
