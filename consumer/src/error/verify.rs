//! Why a version is not whole, or could not be verified.

use cenote_state::ids::Version;
use cenote_store::env::Panicked;
use cenote_store::error::ErrorKind;
use cenote_store::load::LoadError;
use cenote_store::log::ReadError;
use cenote_store::storage::StorageError;

/// A version is damaged ([`ErrorKind::Damaged`]), or could not be verified (any other kind).
///
/// ```
/// # use cenote_consumer::Verifier;
/// use cenote_consumer::error::ErrorKind;
///
/// # async fn example() {
/// match Verifier::new("s3://media/catalog").run().await {
///     Ok(verified) => println!("version {} is whole", verified.version),
///     Err(error) if error.kind() == ErrorKind::Damaged => println!("damage: {error}"),
///     Err(error) => println!("not verified: {error}"),
/// }
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct VerifyError(#[from] VerifyCause);

/// Why a version is not whole, or could not be verified.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VerifyCause {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("{object} is damaged: {what}; republish an older version, or publish the data again")]
    Damaged { object: String, what: String },
    #[error("there is no version {wanted} in the log: {why}")]
    NoSuchVersion { wanted: Version, why: String },
    #[error("version {version} cannot be verified; please report this")]
    Panicked { version: Version, source: Panicked },
}

impl VerifyCause {
    /// Whether the log was trimmed while it was read.
    pub(crate) fn is_trimmed(&self) -> bool {
        let (VerifyCause::Read(read) | VerifyCause::Load(LoadError::Read(read))) = self else { return false };
        matches!(read, ReadError::Trimmed { .. })
    }

    pub(crate) fn damaged(object: impl Into<String>, what: impl Into<String>) -> VerifyCause {
        VerifyCause::Damaged { object: object.into(), what: what.into() }
    }
}

impl VerifyError {
    /// What the caller can do.
    ///
    /// ```
    /// # use cenote_consumer::error::{ErrorKind, VerifyError};
    /// fn is_damage(error: &VerifyError) -> bool {
    ///     error.kind() == ErrorKind::Damaged
    /// }
    /// ```
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match &self.0 {
            VerifyCause::Storage(error) => error.kind(),
            VerifyCause::Read(error) => error.kind(),
            VerifyCause::Load(error) => error.kind(),
            VerifyCause::Damaged { .. } => ErrorKind::Damaged,
            VerifyCause::NoSuchVersion { .. } | VerifyCause::Panicked { .. } => ErrorKind::Program,
        }
    }

    /// Whether the log has no such version: it was never committed, or was trimmed.
    ///
    /// ```
    /// # use cenote_consumer::error::VerifyError;
    /// fn advice(error: &VerifyError) -> &'static str {
    ///     if error.is_no_such_version() { "choose another version" } else { "see the message" }
    /// }
    /// ```
    #[must_use]
    pub fn is_no_such_version(&self) -> bool {
        matches!(self.0, VerifyCause::NoSuchVersion { .. })
    }
}
