//! Why a record, a row or a key was refused.

use cenote_state::record::WriteError;
use cenote_store::error::ErrorKind;

use crate::check::RowError;

/// A record, a row or a key was refused. Nothing of it was taken; the closure can go on with other records.
///
/// # Example
/// ```
/// # use cenote_producer::{Producer, Record};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cenote_producer::BoxError> {
/// # #[derive(Record)]
/// # #[record(key = "id")]
/// # struct Movie { id: u64 }
/// #[derive(Record)]
/// #[record(key = "code")]
/// struct Country {
///     code: String,
/// }
///
/// // The builder declares movies only.
/// let mut producer = Producer::builder("memory://record-error").with::<Movie>().open().await?;
/// producer
///     .update(|changes| {
///         let refused = changes.upsert(&Country { code: "nl".into() }).unwrap_err();
///         assert_eq!(refused.kind(), cenote_producer::error::ErrorKind::Program);
///         assert_eq!(refused.to_string(), "Country is not declared; add .with::<Country>()");
///         Ok(())
///     })
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct RecordError(#[from] RecordCause);

/// What is wrong with the record.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordCause {
    /// It breaks a limit, or its type was not declared.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// It is a row, and not one of the type's.
    #[error(transparent)]
    Row(#[from] RowError),
}

impl RecordError {
    /// What the caller can do: always [`ErrorKind::Program`].
    ///
    /// [Example](RecordError#example)
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Program
    }
}
