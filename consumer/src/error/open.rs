//! Why a consumer was not opened.

use std::time::Duration;

use cenote_state::record::DeclareError;
use cenote_state::view::IndexError;
use cenote_store::error::ErrorKind;
use cenote_store::storage::StorageError;

use super::RefreshError;

/// A consumer was not opened.
///
/// # Example
/// ```
/// use cenote_consumer::error::ErrorKind;
/// use cenote_consumer::{Consumer, OnEmpty};
/// # use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let builder = Consumer::builder("memory://open-error").when_empty(OnEmpty::Wait(Duration::ZERO));
/// let error = builder.open().await.unwrap_err();
/// assert!(error.is_not_found());
/// assert_eq!(error.kind(), ErrorKind::Configuration);
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct OpenError(#[from] OpenCause);

/// Why a consumer was not opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenCause {
    #[error("the program's records cannot be declared")]
    Declare(#[from] DeclareError),
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(
        "no dataset at {url} after {} s: nothing was published there yet, or the URL is wrong; publish first, or open with .when_empty(OnEmpty::Open)",
        .waited.as_secs()
    )]
    NotFound { url: String, waited: Duration },
    #[error("cannot load a version of {url}")]
    Refresh { url: String, source: RefreshError },
    #[error("cannot start the consumer's thread")]
    Thread(#[from] std::io::Error),
}

impl OpenError {
    /// What the caller can do.
    ///
    /// ```
    /// use cenote_consumer::Consumer;
    /// use cenote_consumer::error::ErrorKind;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let error = Consumer::builder("ftp://media/catalog").open().await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Configuration);
    /// # }
    /// ```
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match &self.0 {
            OpenCause::Declare(_) | OpenCause::Index(_) => ErrorKind::Program,
            OpenCause::Storage(error) => error.kind(),
            OpenCause::NotFound { .. } | OpenCause::Thread(_) => ErrorKind::Configuration,
            OpenCause::Refresh { source, .. } => source.kind(),
        }
    }

    /// Whether the reason is that no version exists: nothing was published there yet, or the URL is wrong.
    ///
    /// ```
    /// # use cenote_consumer::error::OpenError;
    /// fn advice(error: &OpenError) -> &'static str {
    ///     if error.is_not_found() { "publish a first version" } else { "see the message" }
    /// }
    /// ```
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self.0, OpenCause::NotFound { .. })
    }

    /// The failure of the first refresh, if that is the reason: the dataset exists, and no version of it was loaded.
    ///
    /// ```
    /// # use cenote_consumer::error::OpenError;
    /// fn failed_version(error: &OpenError) -> Option<u64> {
    ///     Some(error.refresh_error()?.version()?.0)
    /// }
    /// ```
    #[must_use]
    pub fn refresh_error(&self) -> Option<&RefreshError> {
        match &self.0 {
            OpenCause::Refresh { source, .. } => Some(source),
            _ => None,
        }
    }
}
