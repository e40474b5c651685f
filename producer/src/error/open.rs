//! Why a dataset was not opened.

use cenote_state::ids::Version;
use cenote_state::record::{BindError, DeclareError};
use cenote_state::schema::{KeyError, SchemaError};
use cenote_store::env::Panicked;
use cenote_store::error::ErrorKind;
use cenote_store::load::LoadError;
use cenote_store::log::{self, ReadError};
use cenote_store::storage::StorageError;

use super::cycle::{kind_of_lost, kind_of_refused};
use crate::BoxError;

/// A dataset was not opened. Nothing was written, except perhaps the last step's `open` entry.
///
/// # Example
/// ```
/// use cenote_producer::Producer;
/// use cenote_producer::error::ErrorKind;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let error = Producer::builder("memory://open-error").open().await.unwrap_err();
/// assert_eq!(error.to_string(), "no type is declared: add .with::<T>() for each root type that is published");
/// assert_eq!(error.kind(), ErrorKind::Program);
/// if let Some(loss) = error.schema() {
///     println!("the structs would lose data: {loss}");
/// }
/// assert!(error.declare_with().is_none() && error.panicked().is_none());
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct OpenError(#[from] OpenCause);

/// Why a dataset was not opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenCause {
    #[error("no type is declared: add .with::<T>() for each root type that is published")]
    NothingDeclared,
    #[error("validators that could never refuse a version: {}", .0.join("; "))]
    Validators(Vec<String>),
    #[error(transparent)]
    Declare(#[from] DeclareError),
    #[error("the closure given to declare_with failed")]
    DeclareWith(#[source] BoxError),
    #[error(transparent)]
    Schema(#[from] SchemaError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Load(LoadError),
    #[error("the log has no version {version}: it was trimmed, or is no version; the newest is {newest}")]
    NoSuchVersion { version: Version, newest: Version },
    #[error(transparent)]
    Log(#[from] log::OpenError),
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

impl From<LoadError> for OpenCause {
    fn from(error: LoadError) -> OpenCause {
        match error {
            LoadError::Storage(error) => OpenCause::Storage(error),
            LoadError::Read(error) => OpenCause::Read(error),
            error => OpenCause::Load(error),
        }
    }
}

impl OpenCause {
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            OpenCause::NothingDeclared
            | OpenCause::Validators(_)
            | OpenCause::Declare(_)
            | OpenCause::DeclareWith(_)
            | OpenCause::Schema(_)
            | OpenCause::Bind(_)
            | OpenCause::Key(_)
            | OpenCause::NoSuchVersion { .. }
            | OpenCause::Panicked(_) => ErrorKind::Program,
            OpenCause::Storage(error) => error.kind(),
            OpenCause::Read(error) => error.kind(),
            OpenCause::Load(error) => error.kind(),
            OpenCause::Log(error) => kind_of_log(error),
        }
    }
}

impl OpenError {
    /// What the caller can do.
    ///
    /// [Example](OpenError#example)
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind()
    }

    /// The changes of the schema that would lose data, if these are why: change the structs, or allow the loss with
    /// [`ProducerBuilder::allow`](crate::ProducerBuilder::allow).
    ///
    /// [Example](OpenError#example)
    #[must_use]
    pub fn schema(&self) -> Option<&SchemaError> {
        match &self.0 {
            OpenCause::Schema(error) => Some(error),
            _ => None,
        }
    }

    /// What the closure given to [`ProducerBuilder::declare_with`](crate::ProducerBuilder::declare_with) failed with.
    ///
    /// [Example](OpenError#example)
    #[must_use]
    pub fn declare_with(&self) -> Option<&BoxError> {
        match &self.0 {
            OpenCause::DeclareWith(error) => Some(error),
            _ => None,
        }
    }

    /// A computation that panicked, which is a bug in Cenote: please report it.
    ///
    /// [Example](OpenError#example)
    #[must_use]
    pub fn panicked(&self) -> Option<&Panicked> {
        match &self.0 {
            OpenCause::Panicked(panicked) => Some(panicked),
            _ => None,
        }
    }
}

fn kind_of_log(error: &log::OpenError) -> ErrorKind {
    match error {
        log::OpenError::Behind { .. } | log::OpenError::Unknown { .. } => ErrorKind::Retry,
        log::OpenError::Lost(lost) => kind_of_lost(lost),
        log::OpenError::Storage(error) => error.kind(),
        log::OpenError::Read(error) => error.kind(),
        log::OpenError::Refused(refused) => kind_of_refused(refused),
        _ => ErrorKind::Stop,
    }
}
