//! Why a view that a caller waited for did not come.

use std::time::Duration;

use cenote_state::ids::{DatasetId, Version};
use cenote_store::error::ErrorKind;

use super::RefreshError;
use crate::inner::Ended;

/// A view that a caller waited for did not come. Its source is the failure of the last refresh, if that failed.
///
/// ```
/// use cenote_consumer::{Consumer, OnEmpty, Token};
/// # use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let consumer = Consumer::builder("memory://wait-error").when_empty(OnEmpty::Open).open().await?;
/// let token: Token = "1-30313233343536373839616263646566-3".parse()?;
/// let error = consumer.view_at_least(token, Duration::from_millis(5)).await.unwrap_err();
/// assert!(error.is_timeout());
/// assert_eq!(error.to_string(), "version 3 did not come within 5 ms; this consumer serves version 0");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub struct WaitError(#[from] WaitCause);

/// Why the view did not come.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum WaitCause {
    #[error("version {wanted} did not come within {} ms; this consumer serves version {current}", .waited.as_millis())]
    TimedOut {
        wanted: Version,
        current: Version,
        waited: Duration,
        #[source]
        last_error: Option<RefreshError>,
    },
    #[error(
        "the token is of dataset {token}, and this consumer follows dataset {followed}: read where was written, or write again if the dataset was made again"
    )]
    OtherDataset { token: DatasetId, followed: DatasetId },
    #[error(transparent)]
    Ended(Ended),
}

impl WaitError {
    /// What the caller can do: after a timeout, what it can do about the last refresh.
    ///
    /// ```
    /// # use cenote_consumer::error::{ErrorKind, WaitError};
    /// fn should_retry(error: &WaitError) -> bool {
    ///     error.kind() == ErrorKind::Retry
    /// }
    /// ```
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match &self.0 {
            WaitCause::TimedOut { last_error, .. } => last_error.as_ref().map_or(ErrorKind::Retry, RefreshError::kind),
            WaitCause::OtherDataset { .. } => ErrorKind::Configuration,
            WaitCause::Ended(_) => ErrorKind::Stop,
        }
    }

    /// Whether the time was up.
    ///
    /// ```
    /// # use cenote_consumer::{Consumer, Token};
    /// # use std::time::Duration;
    /// # async fn example(consumer: &Consumer, written: Token) {
    /// match consumer.view_at_least(written, Duration::from_secs(1)).await {
    ///     Err(error) if error.is_timeout() => println!("stale: {error}"),
    ///     result => drop(result),
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.0, WaitCause::TimedOut { .. })
    }

    /// Whether the token is of another dataset than the one that the consumer follows.
    ///
    /// ```
    /// # use cenote_consumer::{Consumer, Token};
    /// # use std::time::Duration;
    /// # async fn example(consumer: &Consumer, token: Token) {
    /// match consumer.view_at_least(token, Duration::from_secs(1)).await {
    ///     Err(error) if error.is_other_dataset() => println!("write again: {error}"),
    ///     result => drop(result),
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn is_other_dataset(&self) -> bool {
        matches!(self.0, WaitCause::OtherDataset { .. })
    }

    /// Whether the consumer follows no more, so that nothing newer will come: it was closed, or its task is gone.
    ///
    /// ```
    /// # use cenote_consumer::Consumer;
    /// # async fn example(consumer: &Consumer) {
    /// while let Ok(view) = consumer.changed().await {
    ///     println!("version {}", view.version());
    /// }
    /// assert!(consumer.changed().await.is_err_and(|error| error.is_closed()));
    /// # }
    /// ```
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.0, WaitCause::Ended(_))
    }
}
