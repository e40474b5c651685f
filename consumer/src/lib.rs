//! Reads a Cenote dataset from memory: the library that a service links.
//!
//! A [`Consumer`] holds the newest version whole and follows the dataset; a read is a function call on immutable
//! memory.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use cenote_consumer::{Consumer, HashIndex, Record};
//!
//! #[derive(Record)]
//! #[record(key = "id")]
//! struct Movie { id: u64, title: String, country: String }
//!
//! const BY_COUNTRY: HashIndex<Movie, str> = HashIndex::on("country");
//!
//! let consumer = Consumer::builder("s3://media/catalog").with::<Movie>().index(&BY_COUNTRY).open().await?;
//! let view = consumer.view();                      // one version for as long as it is held
//! if let Some(movie) = view.get::<Movie>(42) {
//!     println!("{}, {} more from there", movie.title(), view.find(&BY_COUNTRY, movie.country()).len());
//! }
//! # Ok(()) }
//! ```
//!
//! The files, in the order of a refresh: when to look (`watch`), who looks (`task`), the order of steps (`follow`),
//! the way (`plan`), the computation (`refresh`), what failed (`quarantine`), the swap (`cell`), what
//! was replaced (`retire`), what is told (`status`, `report`).

#![forbid(unsafe_code)]

mod builder;
mod cell;
mod consumer;
mod error;
mod follow;
mod memory;
mod plan;
mod pulse;
mod quarantine;
mod refresh;
mod report;
mod retire;
mod shared;
mod status;
mod task;
mod verify;
mod watch;

pub use builder::Builder;
pub use consumer::Consumer;
pub use error::{NotYet, OpenError, RefreshFailed};
pub use refresh::RefreshError;
pub use report::{RefreshPath, Report, StepTimes};
pub use retire::OldViews;
pub use status::{Health, Status};
pub use verify::{Progress, Verified, VerifiedType, VerifyError, verify};

pub use cenote_state::ids::{Timestamp, Token, Version};
pub use cenote_state::record::Record;
pub use cenote_state::view::{HashIndex, Matches, View};
pub use cenote_state::{Key, KeyOf, List, Map, Root, Set, TableRef, Text};

pub use cenote_state::__derive::RecordOfConsumer as Record;
/// What generated code names.
#[doc(hidden)]
pub use cenote_state::{__derive, __one_value};
