//! Order: the log, one object per position, and everything that keeps it dense, single-written and whole.
//!
//! The log is the only truth. What is not named by an entry does not exist, and what an entry names was there before
//! it. From bytes to behaviour:
//!
//! - the objects: [`head`], [`entry`], [`tombstone`], [`hint`], [`checkpoint`], their [`names`] and errors ([`error`]);
//! - the log's state: [`mod@state`], advanced entry by entry, saved by checkpoints;
//! - [`order`]: the seven rules, which all code below asks;
//! - reading: [`LogReader::start`] finds the tail ([`mod@tail`]) by way of hint and checkpoint, [`LogReader::next`] follows,
//!   [`LogReader::walk_from`] reads what rolls a snapshot forward, [`plan`](mod@plan) picks the snapshot;
//! - writing: [`LogWriter::open`] takes the dataset, [`LogWriter::append`] puts an entry, [`LogWriter::publish`] an
//!   object and the entry that names it, [`LogWriter::close`] writes the last hint; a [`Heartbeat`] writes the others;
//! - [`retention`]: trim and sweep.
//!
//! A producer's opening, whole:
//!
//! ```
//! # use cenote_store::{env::Env, storage::Storage, log::*};
//! # async fn open(storage: Storage, env: Env) -> Result<LogWriter, Box<dyn std::error::Error>> {
//! let mut reader = match LogReader::start(storage.clone()).await {
//!     Err(ReadError::NotFound { .. }) => LogReader::empty(storage), // the first `open` makes the dataset
//!     started => started?,
//! };
//! loop {
//!     while let Some(_entry) = reader.next().await? { /* catch up */ }
//!     match LogWriter::open(&reader, env.clone(), WriterOptions::default()).await {
//!         Err(OpenError::Behind { .. }) => continue, // another producer wrote meanwhile
//!         opened => return Ok(opened?),
//!     }
//! }
//! # }
//! ```

pub mod checkpoint;
pub mod entry;
pub mod error;
mod frame;
pub(crate) mod gone;
pub mod head;
mod heartbeat;
pub mod hint;
pub mod names;
mod open;
pub mod order;
mod outcome;
pub mod plan;
pub mod proof;
mod reader;
#[cfg(any(test, feature = "testing"))]
mod repair;
pub mod retention;
mod sections;
mod start;
pub mod state;
pub mod tail;
pub mod tombstone;
mod walk;
mod wire;
mod writer;

#[cfg(test)]
mod tests;

pub use entry::{Body, Commit, DeltaPlace, Entry, LogObject, ObjectRef, Open, Snapshot, Trim, decode};
pub use error::{DecodeError, ReadError};
pub use head::{Head, Kind};
pub use heartbeat::Heartbeat;
pub use hint::Hint;
pub use open::{OnOpen, OnWait, OpenError, Waiting};
pub use order::{Rule, Rules};
pub use outcome::{Fenced, Lost, Outcome, Pending, Refused};
pub use reader::LogReader;
#[cfg(any(test, feature = "testing"))]
pub use repair::repair_checksums;
pub use start::CHECKPOINT_EVERY;
pub use state::LogState;
pub use tombstone::Tombstone;
pub use walk::Walk;
pub use writer::{LogWriter, NewObject, WriterOptions};
