//! What can go wrong, by what the caller does about it.

use cenote_state::ids::{Position, Version};
use cenote_state::record::{BindError, DeclareError, WriteError};
use cenote_state::schema::{KeyError, SchemaError};
use cenote_store::env::Panicked;
use cenote_store::load::LoadError;
use cenote_store::log::{self, Fenced, Lost, Pending, ReadError, Refused};
use cenote_store::storage::StorageError;

use crate::BoxError;
use crate::cycle::diff::DiffError;
use crate::cycle::populate::DuplicateKeys;
use crate::cycle::verify::VerifyError;
use crate::validators::ValidationError;

/// Why a cycle, an update or a republishing did not commit.
///
/// After most of them the producer can go on; not after `Fenced` and `MayHaveStood`, nor when the log is gone, trimmed
/// past us, or another's (`Refused`, `Lost`). After all of them the last committed version is what readers see. These are
/// told apart: `Unknown` and `MayHaveStood` leave open whether the version was committed, all others say that it was not
/// and never will be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CycleError {
    /// The closure failed: fix the source, and run the cycle again.
    #[error("the records could not be read: {0}")]
    Populate(#[source] BoxError),
    /// A record could not be taken: fix the record.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Keys came twice: fix the source.
    #[error(transparent)]
    DuplicateKeys(#[from] DuplicateKeys),
    /// The records can't become a version.
    #[error(transparent)]
    Diff(#[from] DiffError),
    /// The delta does not lead where it should: a bug of ours.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// A validator said no: look at the input.
    #[error(transparent)]
    Validation(#[from] ValidationError),
    /// A computation panicked: a bug, of ours or in a validator.
    #[error(transparent)]
    Panicked(#[from] Panicked),
    /// Nothing was put. Mostly the store did not take an object: run it again.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The version does not stand in the log and never will: run the cycle again, or open the dataset anew.
    #[error("the version was not committed: {0}")]
    Lost(#[source] Lost),
    /// Nobody can tell any more whether the version was committed: the store gave no clear answer, another producer
    /// took over, and the log was trimmed past it. Open the dataset anew and look at what it holds. Final for this
    /// producer.
    #[error("the version may have been committed: {0}")]
    MayHaveStood(#[source] Lost),
    /// Another producer holds the dataset: stop, or open it anew to take over. Final for this producer.
    #[error(transparent)]
    Fenced(#[from] Fenced),
    /// Nobody knows whether the version stands. [`Producer::settle`](crate::Producer::settle) finds out; every other
    /// call does so first.
    #[error(transparent)]
    Unknown(#[from] Unknown),
    /// The version to republish can't be loaded.
    #[error("version {version} can't be republished: {source}")]
    Republish {
        /// The version.
        version: Version,
        /// Why.
        source: Box<OpenError>,
    },
}

impl From<Lost> for CycleError {
    fn from(lost: Lost) -> CycleError {
        match lost {
            Lost::MayHaveStood { .. } => CycleError::MayHaveStood(lost),
            lost => CycleError::Lost(lost),
        }
    }
}

impl CycleError {
    /// From what a closure failed with: our own errors keep their kind.
    pub(crate) fn of_closure(error: BoxError) -> CycleError {
        match error.downcast::<WriteError>() {
            Ok(error) => CycleError::Write(*error),
            Err(error) => CycleError::Populate(error),
        }
    }

    /// Whether the same call may succeed later without anybody's help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            CycleError::Refused(Refused::Object(error)) => error.is_retryable(),
            CycleError::Refused(Refused::Unsettled { .. }) | CycleError::Unknown(_) => true,
            CycleError::Lost(lost) => matches!(lost, Lost::StaleParent { .. } | Lost::BelowFloor { .. }),
            _ => false,
        }
    }
}

/// An entry was put and the store did not say what became of it: it may still land. The producer keeps its bytes and
/// puts the same ones until that is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "nobody knows whether log position {position} was written ({cause}): call settle, or any other method, to find out"
)]
pub struct Unknown {
    /// Where it may land.
    pub position: Position,
    /// What the store said last, with its remedy.
    pub cause: String,
}

impl Unknown {
    pub(crate) fn of(pending: &Pending) -> Unknown {
        Unknown { position: pending.position(), cause: pending.cause().to_owned() }
    }
}

/// Why a dataset was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// No type was declared: add `.with::<T>()`.
    #[error("no type is declared: add .with::<T>() for each root type that is published")]
    NothingDeclared,
    /// The structs can't be a schema.
    #[error(transparent)]
    Declare(#[from] DeclareError),
    /// What was given to `declare_with` failed: see what it says.
    #[error("the types could not be declared: {0}")]
    DeclareWith(#[source] BoxError),
    /// The structs don't fit the dataset: change them, or `allow` the loss.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The structs can't be read from the dataset.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A key that can't be one.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store refused or failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The log can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A snapshot or a commit can't be loaded, or is damaged.
    #[error(transparent)]
    Load(LoadError),
    /// A version that the log does not have, or no longer.
    #[error("version {version} is not in the log: it was trimmed, or was never a commit; the newest is {newest}")]
    NoSuchVersion {
        /// The version.
        version: Version,
        /// The newest.
        newest: Version,
    },
    /// The dataset could not be taken.
    #[error(transparent)]
    Log(#[from] log::OpenError),
    /// A computation panicked: a bug of ours.
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

impl From<LoadError> for OpenError {
    fn from(error: LoadError) -> OpenError {
        match error {
            LoadError::Storage(error) => OpenError::Storage(error),
            LoadError::Read(error) => OpenError::Read(error),
            error => OpenError::Load(error),
        }
    }
}

/// Why there is no snapshot. The dataset is as good as before: the next one is tried when it is due.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The store refused or failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// It can't be read back, so nobody was told of it.
    #[error("the snapshot can't be read back: {0}")]
    Load(#[from] LoadError),
    /// It was read back and is another state, so nobody was told of it: a bug of ours, or broken memory.
    #[error("the snapshot of version {version} was read back with the digest {found:032x}, not {expected:032x}")]
    Digest {
        /// The version.
        version: Version,
        /// The commit's.
        expected: u128,
        /// The snapshot's.
        found: u128,
    },
    /// Nothing was put in the log.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Its entry does not stand in the log; or may have stood, by `MayHaveStood`.
    #[error("the snapshot's entry: {0}")]
    Lost(#[from] Lost),
    /// Another producer holds the dataset.
    #[error(transparent)]
    Fenced(#[from] Fenced),
    /// Nobody knows whether its entry stands.
    #[error(transparent)]
    Unknown(#[from] Unknown),
    /// What nobody needs any more could not be trimmed.
    #[error("the log could not be trimmed: {0}")]
    Trim(#[from] log::retention::TrimError),
    /// There is no version yet.
    #[error("there is nothing to take a snapshot of: commit a version first")]
    Empty,
    /// A computation panicked: a bug of ours.
    #[error(transparent)]
    Panicked(#[from] Panicked),
    /// The work was stopped before its end.
    #[error("the snapshot was stopped")]
    Stopped,
}
