//! Why a snapshot was not made.

use cenote_state::ids::Version;
use cenote_store::env::Panicked;
use cenote_store::error::ErrorKind;
use cenote_store::load::LoadError;
use cenote_store::log::retention::TrimError;
use cenote_store::log::{Fenced, Lost, Outcome, Refused};
use cenote_store::storage::StorageError;

use super::Unknown;
use super::cycle::{kind_of_lost, kind_of_refused};

/// A snapshot was not made, or the log was not trimmed after it. The dataset is as good as before: the producer makes
/// the next snapshot when it is due.
///
/// # Example
/// ```
/// # use cenote_producer::{Producer, Record};
/// use cenote_producer::error::ErrorKind;
///
/// # #[derive(Record)]
/// # #[record(key = "id")]
/// # struct Movie { id: u64 }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cenote_producer::BoxError> {
/// let mut producer = Producer::builder("memory://snapshot-error").with::<Movie>().open().await?;
/// let error = producer.snapshot().await.unwrap_err();
/// assert_eq!(error.to_string(), "there is nothing to take a snapshot of: commit a version first");
/// assert_eq!(error.kind(), ErrorKind::Program);
/// match &error {
///     error if error.is_fenced() => println!("another producer took over: {error}"),
///     error if error.unknown().is_some() || error.lost().is_some() => println!("not named by the log: {error}"),
///     error => println!("{error}, a bug: {}", error.panicked().is_some()),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct SnapshotError(#[from] SnapshotCause);

/// Why a snapshot was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotCause {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("the snapshot can't be read back, so the log does not name it")]
    Load(#[from] LoadError),
    #[error(
        "the snapshot of version {version} was read back with the digest {found:032x}, not {expected:032x}, so the log does not name it: this is a bug or broken memory, please report it"
    )]
    Digest { version: Version, expected: u128, found: u128 },
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("the log does not name the snapshot")]
    Lost(#[from] Lost),
    #[error(transparent)]
    Fenced(#[from] Fenced),
    #[error(transparent)]
    Unknown(#[from] Unknown),
    #[error("the snapshot was made, and the log was not trimmed")]
    Trim(#[from] TrimError),
    #[error("there is nothing to take a snapshot of: commit a version first")]
    Empty,
    #[error("the producer is closed; open another to make a snapshot")]
    Closed,
    #[error(transparent)]
    Panicked(#[from] Panicked),
    #[error("the snapshot was stopped before its end")]
    Stopped,
}

impl SnapshotCause {
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            SnapshotCause::Storage(error) => error.kind(),
            SnapshotCause::Load(error) => error.kind(),
            SnapshotCause::Refused(refused) => kind_of_refused(refused),
            SnapshotCause::Lost(lost) => kind_of_lost(lost),
            SnapshotCause::Trim(error) => kind_of_trim(error),
            SnapshotCause::Fenced(_) | SnapshotCause::Stopped | SnapshotCause::Closed => ErrorKind::Stop,
            SnapshotCause::Unknown(_) => ErrorKind::Retry,
            SnapshotCause::Digest { .. } | SnapshotCause::Empty | SnapshotCause::Panicked(_) => ErrorKind::Program,
        }
    }

    /// Whether the log may name the snapshot, now or later.
    pub(crate) fn may_be_named(&self) -> bool {
        matches!(self, SnapshotCause::Unknown(_) | SnapshotCause::Lost(Lost::MayHaveCommitted { .. }))
    }
}

impl SnapshotError {
    /// What the caller can do.
    ///
    /// [Example](SnapshotError#example)
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind()
    }

    /// Whether another producer took over.
    ///
    /// [Example](SnapshotError#example)
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        matches!(self.0, SnapshotCause::Fenced(_))
    }

    /// Why the log does not name the snapshot, if its entry was put and lost its position.
    ///
    /// [Example](SnapshotError#example)
    #[must_use]
    pub fn lost(&self) -> Option<&Lost> {
        match &self.0 {
            SnapshotCause::Lost(lost) => Some(lost),
            _ => None,
        }
    }

    /// The entry whose outcome is not known, if that is why. The next snapshot does not depend on it.
    ///
    /// [Example](SnapshotError#example)
    #[must_use]
    pub fn unknown(&self) -> Option<&Unknown> {
        match &self.0 {
            SnapshotCause::Unknown(unknown) => Some(unknown),
            _ => None,
        }
    }

    /// A computation that panicked, which is a bug in Cenote: please report it.
    ///
    /// [Example](SnapshotError#example)
    #[must_use]
    pub fn panicked(&self) -> Option<&Panicked> {
        match &self.0 {
            SnapshotCause::Panicked(panicked) => Some(panicked),
            _ => None,
        }
    }
}

fn kind_of_trim(error: &TrimError) -> ErrorKind {
    match error {
        TrimError::NotCommitted(Outcome::Lost(lost)) => kind_of_lost(lost),
        TrimError::NotCommitted(Outcome::Fenced(_)) => ErrorKind::Stop,
        TrimError::Refused(refused) => kind_of_refused(refused),
        TrimError::Read(error) => error.kind(),
        TrimError::Storage(error) => error.kind(),
        _ => ErrorKind::Retry,
    }
}
