//! Why a refresh failed.

use std::sync::Arc;

use cenote_state::blob::BlobError;
use cenote_state::ids::Version;
use cenote_state::record::BindError;
use cenote_state::view::IndexError;
use cenote_store::env::Panicked;
use cenote_store::error::ErrorKind;
use cenote_store::load::LoadError;
use cenote_store::log::ReadError;
use cenote_store::storage::{StorageError, StorageErrorKind};

use crate::inner::Ended;

/// A refresh failed; the view stays. Cheap to clone: all callers that waited for one refresh get the same error.
///
/// ```
/// use cenote_consumer::{Consumer, OnEmpty, ReloadPolicy, Version};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let builder = Consumer::builder("memory://refresh-error").reload(ReloadPolicy::Manual);
/// let consumer = builder.when_empty(OnEmpty::Open).open().await?;
/// let error = consumer.refresh_to(Version(7)).await.unwrap_err();
/// assert!(error.is_no_such_version());
/// assert_eq!(error.to_string(), "there is no version 7: nothing was committed yet");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub struct RefreshError(Arc<RefreshCause>);

/// Why a refresh failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RefreshCause {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Load(LoadError),
    #[error("version {version} cannot be indexed; please report this")]
    Panicked { version: Version, source: Panicked },
    #[error("version {version} does not fit the program's records")]
    Bind { version: Version, source: BindError },
    #[error("version {version} does not fit an index of the program")]
    Index { version: Version, source: IndexError },
    #[error("version {version} takes {needed} bytes, more than the {limit} allowed; raise max_state_bytes")]
    TooLarge { version: Version, needed: u64, limit: u64 },
    #[error(
        "version {version} cannot be reached: its deltas were trimmed, and no snapshot is kept; wait for a newer one"
    )]
    Unreachable { version: Version },
    #[error("version {wanted} is older than the {current} that is served; a consumer never goes back")]
    Backward { wanted: Version, current: Version },
    #[error("there is no version {wanted}: {why}")]
    NoSuchVersion { wanted: Version, why: String },
    #[error(transparent)]
    Ended(Ended),
}

impl From<LoadError> for RefreshCause {
    fn from(error: LoadError) -> RefreshCause {
        match error {
            LoadError::Storage(error) => RefreshCause::Storage(error),
            LoadError::Read(error) => RefreshCause::Read(error),
            error => RefreshCause::Load(error),
        }
    }
}

impl From<RefreshCause> for RefreshError {
    fn from(cause: RefreshCause) -> RefreshError {
        RefreshError(Arc::new(cause))
    }
}

impl RefreshError {
    /// What the caller can do.
    ///
    /// ```
    /// # use cenote_consumer::Consumer;
    /// use cenote_consumer::error::ErrorKind;
    ///
    /// # async fn example(consumer: &Consumer) {
    /// if let Err(error) = consumer.refresh().await {
    ///     match error.kind() {
    ///         ErrorKind::Retry => println!("the consumer will try again by itself: {error}"),
    ///         _ => eprintln!("a person has to act: {error}"),
    ///     }
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match &*self.0 {
            RefreshCause::Read(error) => error.kind(),
            RefreshCause::Storage(error) => error.kind(),
            RefreshCause::Load(error) => error.kind(),
            RefreshCause::Panicked { .. }
            | RefreshCause::Bind { .. }
            | RefreshCause::Index { .. }
            | RefreshCause::Backward { .. }
            | RefreshCause::NoSuchVersion { .. } => ErrorKind::Program,
            RefreshCause::TooLarge { .. } => ErrorKind::Configuration,
            RefreshCause::Unreachable { .. } => ErrorKind::Retry,
            RefreshCause::Ended(_) => ErrorKind::Stop,
        }
    }

    /// Whether the consumer follows no more: it was closed, or its task is gone with the runtime that it ran on.
    ///
    /// ```
    /// # use cenote_consumer::{Consumer, OnEmpty};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let consumer = Consumer::builder("memory://is-closed").when_empty(OnEmpty::Open).open().await?;
    /// consumer.close().await;
    /// assert!(consumer.refresh().await.unwrap_err().is_closed());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(*self.0, RefreshCause::Ended(_))
    }

    /// Whether the version given to [`Consumer::refresh_to`](crate::Consumer::refresh_to) is older than the view.
    ///
    /// ```
    /// # use cenote_consumer::{Consumer, Version};
    /// # async fn example(consumer: &Consumer, version: Version) {
    /// match consumer.refresh_to(version).await {
    ///     Err(error) if error.is_backward() => println!("already past {version}"),
    ///     result => println!("{result:?}"),
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn is_backward(&self) -> bool {
        matches!(*self.0, RefreshCause::Backward { .. })
    }

    /// Whether the log has no commit at the version given to [`Consumer::refresh_to`](crate::Consumer::refresh_to).
    ///
    /// ```
    /// # use cenote_consumer::{Consumer, Version};
    /// # async fn example(consumer: &Consumer) {
    /// let error = consumer.refresh_to(Version(u64::MAX)).await.unwrap_err();
    /// assert!(error.is_no_such_version());
    /// # }
    /// ```
    #[must_use]
    pub fn is_no_such_version(&self) -> bool {
        matches!(*self.0, RefreshCause::NoSuchVersion { .. })
    }

    /// Whether the version takes more memory than
    /// [`ConsumerBuilder::max_state_bytes`](crate::ConsumerBuilder::max_state_bytes) allows.
    ///
    /// ```
    /// # use cenote_consumer::error::RefreshError;
    /// fn needs_a_larger_machine(error: &RefreshError) -> bool {
    ///     error.is_too_large()
    /// }
    /// ```
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        match &*self.0 {
            RefreshCause::TooLarge { .. } => true,
            RefreshCause::Load(error) => matches!(error, LoadError::Blob { source: BlobError::TooLarge { .. }, .. }),
            _ => false,
        }
    }

    /// The version that could not be reached, if the error knows it.
    ///
    /// ```
    /// # use cenote_consumer::error::RefreshError;
    /// fn log(error: &RefreshError) {
    ///     match error.version() {
    ///         Some(version) => eprintln!("version {version} was skipped: {error}"),
    ///         None => eprintln!("no refresh: {error}"),
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.0.version()
    }

    /// The failure of reading the log, if that is the reason.
    ///
    /// ```
    /// # use cenote_consumer::error::{ReadError, RefreshError};
    /// fn was_replaced(error: &RefreshError) -> bool {
    ///     matches!(error.log_error(), Some(ReadError::Replaced { .. }))
    /// }
    /// ```
    #[must_use]
    pub fn log_error(&self) -> Option<&ReadError> {
        match &*self.0 {
            RefreshCause::Read(error) => Some(error),
            _ => None,
        }
    }

    /// The failure of loading a snapshot or a commit, if that is the reason.
    ///
    /// ```
    /// # use cenote_consumer::error::{LoadError, RefreshError};
    /// fn snapshot_is_missing(error: &RefreshError) -> bool {
    ///     matches!(error.load_error(), Some(LoadError::Missing { .. }))
    /// }
    /// ```
    #[must_use]
    pub fn load_error(&self) -> Option<&LoadError> {
        match &*self.0 {
            RefreshCause::Load(error) => Some(error),
            _ => None,
        }
    }

    pub(crate) fn cause(&self) -> &RefreshCause {
        &self.0
    }
}

/// What the consumer itself does about a refresh that failed. When two steps of a refresh fail, the greater one counts: it
/// is the reason for the other, or nothing else would help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Recovery {
    /// Nothing: the caller requested something impossible, which does not affect the consumer's health.
    Refuse,
    /// Try again later: the store, or time, will help.
    Retry,
    /// Wait for an object that is missing: it may appear.
    AwaitObject,
    /// Take another route: bytes of the version are wrong.
    OtherRoute,
    /// Start again from a checkpoint, or take another route: bytes of the log are wrong.
    Restart,
    /// Nothing: the program, the configuration or the dataset has to change first.
    Report,
    /// Plan again: the log was trimmed since it was read. No route that was planned before leads anywhere.
    Replan,
}

impl Recovery {
    /// Whether the same refresh may succeed later without a change by a person.
    pub(crate) fn is_transient(self) -> bool {
        matches!(self, Recovery::Retry | Recovery::AwaitObject | Recovery::Replan)
    }
}

impl RefreshCause {
    /// The version that could not be reached, if the cause knows it.
    pub(crate) fn version(&self) -> Option<Version> {
        match self {
            RefreshCause::Load(error) => error.version(),
            RefreshCause::Panicked { version, .. }
            | RefreshCause::Bind { version, .. }
            | RefreshCause::Index { version, .. }
            | RefreshCause::TooLarge { version, .. }
            | RefreshCause::Unreachable { version } => Some(*version),
            _ => None,
        }
    }

    /// What the consumer does about it.
    pub(crate) fn recovery(&self) -> Recovery {
        match self {
            RefreshCause::Read(error) => of_read(error),
            RefreshCause::Storage(error) => of_storage(error),
            RefreshCause::Load(error) => of_load(error),
            RefreshCause::Panicked { .. } => Recovery::OtherRoute,
            RefreshCause::Unreachable { .. } => Recovery::Retry,
            RefreshCause::Bind { .. } | RefreshCause::Index { .. } | RefreshCause::TooLarge { .. } => Recovery::Report,
            RefreshCause::Backward { .. } | RefreshCause::NoSuchVersion { .. } | RefreshCause::Ended(_) => {
                Recovery::Refuse
            }
        }
    }
}

fn of_read(error: &ReadError) -> Recovery {
    match error {
        ReadError::Storage(error) => of_storage(error),
        ReadError::Missing { .. } => Recovery::AwaitObject,
        ReadError::Trimmed { .. } => Recovery::Replan,
        ReadError::Damaged { .. } => Recovery::Restart,
        ReadError::Decode(error) if error.kind() == ErrorKind::Damaged => Recovery::Restart,
        _ => Recovery::Report,
    }
}

fn of_storage(error: &StorageError) -> Recovery {
    match error.kind {
        StorageErrorKind::Unavailable | StorageErrorKind::Timeout | StorageErrorKind::Other => Recovery::Retry,
        StorageErrorKind::TooLarge => Recovery::OtherRoute,
        _ => Recovery::Report,
    }
}

fn of_load(error: &LoadError) -> Recovery {
    match error {
        LoadError::Storage(error) => of_storage(error),
        LoadError::Read(error) => of_read(error),
        LoadError::Missing { .. } => Recovery::AwaitObject,
        LoadError::Blob { source, .. } => of_blob(source),
        _ => Recovery::OtherRoute,
    }
}

fn of_blob(error: &BlobError) -> Recovery {
    match error {
        BlobError::TooLarge { .. } => Recovery::Report,
        error if error.needs_upgrade() => Recovery::Report,
        _ => Recovery::OtherRoute,
    }
}
