//! Publishing a dataset as a chain of versions.
//!
//! A [`Producer`] holds a dataset on an object store. It is given the whole dataset ([`cycle`](Producer::cycle)) or
//! just changes ([`update`](Producer::update)), finds out what is new, proves that what it is about to write leads
//! readers there, asks the validators, and puts one entry into the log. Consumers follow that log.
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
//!         changes.delete::<Movie>(17)
//!     })
//!     .await?;
//! assert!(!updated.value, "there was no movie 17");
//! assert!(updated.version() > first.version());
//! producer.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! **What a cycle does**: populate → diff → encode → verify → validate → commit, each step a type that the next
//! consumes. Nothing leaves the process before the log is asked, so whatever fails before ends the cycle with nothing
//! visible and the producer as it was. Equal records cost a look-up and no bytes; components are stored once however
//! many records hold them, and go with the last that does.
//!
//! **What can become of a commit**, and what to do ([`CycleError`]): it stands; it is *refused*, *lost* or fails before
//! (go on, or run the cycle again); it is *fenced*, because another producer took over (stop); it is *unknown*, because
//! the store did not say ([`settle`](Producer::settle), or just make the next call). Dropping a future is like unknown:
//! the next call finds out first.
//!
//! **Beside the cycle**: snapshots are made in the background when they are due, read back and compared before anybody
//! is told of them; retention lets go of what is older than [`Keep`] says; a heartbeat tells rivals and readers that
//! the producer is alive.

#![forbid(unsafe_code)]

mod base;
mod builder;
mod content;
mod cycle;
mod error;
mod framed;
/// Reads JSON Lines for the program. No part of the library's interface.
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod json;
mod key;
mod load;
mod open;
mod ordinals;
mod plan;
mod producer;
mod references;
mod report;
mod republish;
mod snapshot;
mod typed;
mod update;
mod validators;
mod writer;

#[cfg(test)]
mod tests;

pub use builder::ProducerBuilder;
pub use cenote_state::record::Record;
pub use cenote_state::schema::Allow;
pub use cenote_state::{Key, Root, Version, View};
pub use cenote_store::log::retention::Keep;
pub use cycle::diff::DiffError;
pub use cycle::populate::DuplicateKeys;
pub use cycle::verify::VerifyError;
pub use error::{CycleError, OpenError, SnapshotError, Unknown};
pub use producer::Producer;
pub use report::{Cycled, Report, Settled, TypeReport, Updated};
pub use snapshot::{SnapshotReport, Snapshots};
pub use typed::RowError;
pub use update::Update;
pub use validators::{DanglingKeys, FractionChanged, MinimumCount, RecordCountVariance, ValidationError, Validator};
pub use writer::Writer;

pub use cenote_state::__derive::RecordOfProducer as Record;
/// What generated code names.
#[doc(hidden)]
pub use cenote_state::{__derive, __one_value};

/// What closures fail with: any error, ours and yours alike, becomes one with `?`.
///
/// ```
/// fn year(text: &str) -> Result<u16, cenote_producer::BoxError> {
///     Ok(text.parse()?)
/// }
/// assert!(year("1995").is_ok() && year("soon").is_err());
/// ```
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
