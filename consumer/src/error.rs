//! What goes wrong in a consumer, by what the caller does about it.
//!
//! A refresh that fails is told to whoever asked for it and stands in the status; readers keep the old view.

use std::time::Duration;

use cenote_state::blob::BlobError;
use cenote_state::ids::Version;
use cenote_state::record::DeclareError;
use cenote_state::view::IndexError;
use cenote_store::load::LoadError;
use cenote_store::log::ReadError;
use cenote_store::storage::{StorageError, StorageErrorKind};

use crate::refresh::RefreshError;

/// Why a consumer did not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The structs can't be records: fix the program.
    #[error("the program's records can't be declared")]
    Declare(#[from] DeclareError),
    /// An index can't be: fix the program.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The URL or the store's options are wrong.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Nothing was published: start the producer, check the URL, or `.allow_empty()`.
    #[error(
        "no dataset at {url} after {} s: nothing was published there yet, or the URL is wrong; publish first, or open with .allow_empty()",
        .waited.as_secs()
    )]
    NotFound {
        /// Where we looked.
        url: String,
        /// How long.
        waited: Duration,
    },
    /// The dataset is there, and no version of it could be loaded.
    #[error("cannot load a version of {url}")]
    Refresh {
        /// Where.
        url: String,
        /// Why.
        source: RefreshFailed,
    },
    /// The thread of `open_blocking` could not be started.
    #[error("cannot start the consumer's thread")]
    Thread(#[from] std::io::Error),
}

/// A refresh failed; shared by all who waited for it.
pub type RefreshFailed = std::sync::Arc<RefreshError>;

/// What a caller, and the consumer itself, does about a refresh that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// The store, or time: the same again.
    Retry,
    /// An object is not there that should be: it may come.
    Wait,
    /// The log was trimmed under us: plan anew.
    Replan,
    /// The version's bytes are wrong: go around it.
    GoAround,
    /// The program's records do not fit: change the program.
    Change,
    /// A newer release is needed.
    Upgrade,
    /// Another dataset stands there: open anew.
    Reopen,
    /// The caller asked for what can't be, or a limit was met.
    Ask,
}

impl RefreshError {
    pub(crate) fn remedy(&self) -> Remedy {
        match self {
            RefreshError::Read(error) => of_read(error),
            RefreshError::Storage(error) => of_storage(error),
            RefreshError::Load(error) => of_load(error),
            RefreshError::Panicked { .. } => Remedy::GoAround,
            RefreshError::Bind { .. } | RefreshError::Index { .. } => Remedy::Change,
            RefreshError::Unreachable { .. } => Remedy::Retry,
            RefreshError::TooLarge { .. }
            | RefreshError::Backward { .. }
            | RefreshError::NoSuchVersion { .. }
            | RefreshError::Closed => Remedy::Ask,
        }
    }

    /// Whether the same may succeed later without anybody's help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self.remedy(), Remedy::Retry | Remedy::Wait | Remedy::Replan)
    }
}

fn of_read(error: &ReadError) -> Remedy {
    match error {
        ReadError::Storage(error) => of_storage(error),
        ReadError::Missing { .. } => Remedy::Wait,
        ReadError::Trimmed { .. } => Remedy::Replan,
        ReadError::Replaced { .. } => Remedy::Reopen,
        error if error.needs_upgrade() => Remedy::Upgrade,
        // Damage in the log itself can't be gone around: there is one log.
        _ => Remedy::Ask,
    }
}

fn of_storage(error: &StorageError) -> Remedy {
    match error.kind {
        StorageErrorKind::Unavailable | StorageErrorKind::Timeout | StorageErrorKind::Other => Remedy::Retry,
        StorageErrorKind::TooLarge => Remedy::GoAround,
        _ => Remedy::Ask,
    }
}

fn of_load(error: &LoadError) -> Remedy {
    match error {
        LoadError::Storage(error) => of_storage(error),
        LoadError::Read(error) => of_read(error),
        LoadError::Missing { .. } => Remedy::Wait,
        LoadError::Blob { source, .. } => of_blob(source),
        _ => Remedy::GoAround,
    }
}

fn of_blob(error: &BlobError) -> Remedy {
    match error {
        error if error.needs_upgrade() => Remedy::Upgrade,
        BlobError::TooLarge { .. } => Remedy::Ask,
        _ => Remedy::GoAround,
    }
}

/// A view at least as new as asked for did not come.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotYet {
    /// The time was up.
    #[error("version {wanted} is not there after {} ms; this consumer is at {have}", .waited.as_millis())]
    TimedOut {
        /// What was asked for.
        wanted: Version,
        /// What is there.
        have: Version,
        /// How long it was waited for.
        waited: Duration,
        /// What the last look for it met, if it failed.
        last_error: Option<RefreshFailed>,
    },
    /// The consumer was closed.
    #[error("the consumer is closed: open another to see newer versions")]
    Closed,
}
