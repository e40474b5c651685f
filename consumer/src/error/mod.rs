//! What can go wrong: an opaque error for each operation, with a kind that says what the caller can do.
//!
//! ```
//! use cenote_consumer::error::ErrorKind;
//! use cenote_consumer::{Consumer, OnEmpty};
//! # use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let nothing = Consumer::builder("memory://errors").when_empty(OnEmpty::Wait(Duration::ZERO)).open().await;
//! match nothing {
//!     Err(error) if error.is_not_found() => println!("start the producer first: {error}"),
//!     Err(error) if error.kind() == ErrorKind::Retry => println!("try again: {error}"),
//!     Err(error) => panic!("{error}"),
//!     Ok(consumer) => println!("serving version {}", consumer.version()),
//! }
//! # }
//! ```
//!
//! A refresh that fails is returned to its callers and is part of the status; readers keep the view that they have.
//!
//! The causes are crate-private enums, so that a release can add one. What a caller asks for beyond the kind has a method;
//! the types of all sources are exported here.
//!
//! Rule: a message never repeats its source; print the chain of sources to see all of it.

mod open;
mod refresh;
mod verify;
mod wait;

pub use cenote_state::blob::BlobError;
pub use cenote_state::codec::CodecError;
pub use cenote_state::delta::{ApplyError, DeltaError};
pub use cenote_state::hash::HashError;
pub use cenote_state::packed::TableError;
pub use cenote_state::record::{BindError, BindProblem, DeclareError};
pub use cenote_state::schema::KeyError;
pub use cenote_state::segment::SegmentError;
pub use cenote_state::table::EditError;
pub use cenote_state::token::TokenError;
pub use cenote_state::view::{IndexError, NamedKeyError};
pub use cenote_store::env::{Panicked, TimedOut};
pub use cenote_store::error::ErrorKind;
pub use cenote_store::load::LoadError;
pub use cenote_store::log::{DecodeError, ReadError};
pub use cenote_store::storage::{Operation, StorageError, StorageErrorKind};

pub(crate) use open::OpenCause;
pub use open::OpenError;
pub use refresh::RefreshError;
pub(crate) use refresh::{Recovery, RefreshCause};
pub(crate) use verify::VerifyCause;
pub use verify::VerifyError;
pub(crate) use wait::WaitCause;
pub use wait::WaitError;
