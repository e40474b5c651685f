//! What can go wrong: an opaque error for each operation, with a kind that says what the caller can do.
//!
//! The causes are crate-private enums, so that a release can add one. What a caller asks for beyond the kind has a method.
//!
//! Rule: a message never repeats its source; print the chain of sources to see all of it.

pub use cenote_state::blob::BlobError;
pub use cenote_state::hash::HashError;
pub use cenote_state::record::{BindError, BindProblem, DeclareError, WriteError};
pub use cenote_state::schema::{KeyError, Refusal, SchemaError};
pub use cenote_state::token::TokenError;
pub use cenote_store::env::Panicked;
pub use cenote_store::error::ErrorKind;
pub use cenote_store::log::{DecodeError, Fenced, Kind, Lost, ReadError, Refused};
pub use cenote_store::storage::{StorageError, StorageErrorKind};

pub use crate::cycle::populate::{DuplicateKeys, DuplicatesOfType, Emptied};
pub use crate::validators::{ValidationError, ValidatorRefusal};

mod cycle;
mod open;
mod record;
mod snapshot;

pub(crate) use cycle::CycleCause;
pub use cycle::{CycleError, Unknown};
pub(crate) use open::OpenCause;
pub use open::OpenError;
pub(crate) use record::RecordCause;
pub use record::RecordError;
pub(crate) use snapshot::SnapshotCause;
pub use snapshot::SnapshotError;
