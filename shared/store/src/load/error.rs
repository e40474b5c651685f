//! Why a version cannot be loaded: one variant, and one message, for each kind of damage.
//!
//! Each message names the object, the cause, and what to do. The remedies differ by variant; see [`LoadError::kind`].

use cenote_state::blob::BlobError;
use cenote_state::delta::ApplyError;
use cenote_state::held::Lacking;
use cenote_state::ids::Version;
use cenote_state::schema::KeyError;

use crate::env::Panicked;
use crate::error::ErrorKind;
use crate::log::{ReadError, names};
use crate::storage::StorageError;

/// Why a version cannot be loaded.
///
/// # Example
/// ```
/// use cenote_consumer::Version;
/// use cenote_consumer::error::{ErrorKind, LoadError};
///
/// let error = LoadError::Missing { version: Version(7), object: "snapshots/7".into() };
/// assert_eq!(error.kind(), ErrorKind::Damaged);
/// assert_eq!(error.version(), Some(Version(7)));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The store refused or failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The log could not be read, or an object of a commit is missing.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A snapshot's object is missing.
    #[error("{object} is missing though the log names it; restore it from a copy or make another snapshot")]
    Missing {
        /// The version.
        version: Version,
        /// The object's name.
        object: String,
    },
    /// An object is not the one that the log names.
    #[error(
        "{object} is not the object that version {version} names: its length or hash differs; restore it from a copy, or make a snapshot"
    )]
    Altered {
        /// The version.
        version: Version,
        /// The object's name.
        object: String,
    },
    /// An object cannot be decoded.
    #[error("cannot decode {object} of version {version}{}", .source.remedy())]
    Blob {
        /// The version.
        version: Version,
        /// The object's name.
        object: String,
        /// What is wrong with its bytes.
        source: BlobError,
    },
    /// A commit names another parent than the version before it.
    #[error(
        "{} is damaged: version {version} follows version {parent}, and the version before it is {found}; restore it from a copy, or make a snapshot",
        names::log_entry(.version.position())
    )]
    Parent {
        /// The version.
        version: Version,
        /// The parent that its commit names.
        parent: Version,
        /// The version before it.
        found: Version,
    },
    /// A commit names another parent state than the one before it.
    #[error(
        "{} is damaged: version {version} follows a state with the digest {expected:032x}, and the state before it has {found:032x}; restore it from a copy, or make a snapshot",
        names::log_entry(.version.position())
    )]
    ParentDigest {
        /// The version.
        version: Version,
        /// The digest that its commit names.
        expected: u128,
        /// The digest of the state before it.
        found: u128,
    },
    /// A commit's schema has a key that cannot be one.
    #[error(
        "{} is damaged: the schema of version {version} has a wrong key; restore it from a copy, or make a snapshot",
        names::log_entry(.version.position())
    )]
    Key {
        /// The version.
        version: Version,
        /// What is wrong.
        source: KeyError,
    },
    /// A delta does not fit its parent.
    #[error("{object} does not fit the parent of version {version}; restore it from a copy, or make a snapshot")]
    Apply {
        /// The version.
        version: Version,
        /// The object's name.
        object: String,
        /// What does not fit.
        source: ApplyError,
    },
    /// The records are not those that were committed (I5).
    #[error(
        "version {version}, read from {object}, differs from what was committed: {what}; restore the object from a copy, or make a snapshot"
    )]
    Differs {
        /// The version.
        version: Version,
        /// The object's name.
        object: String,
        /// Which digest or count differs.
        what: String,
    },
    /// A schema change of the commit wants held what was not (a field was renamed to a declared one).
    #[error("version {version} needs records read again: a snapshot is loaded for what it holds of them")]
    Lacking {
        /// The version.
        version: Version,
        /// What is lacking.
        source: Lacking,
    },
    /// A computation panicked and was contained: a bug in Cenote.
    #[error("cannot load version {version} from {object}; please report this")]
    Panicked {
        /// The version.
        version: Version,
        /// The object's name.
        object: String,
        /// The panic's message.
        source: Panicked,
    },
}

impl LoadError {
    /// What the caller can do.
    ///
    /// [Example](LoadError#example)
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            LoadError::Storage(error) => error.kind(),
            LoadError::Read(error) => error.kind(),
            LoadError::Blob { source: BlobError::TooLarge { .. } | BlobError::OldFormat { .. }, .. } => {
                ErrorKind::Configuration
            }
            LoadError::Blob { source, .. } if source.needs_upgrade() => ErrorKind::Upgrade,
            LoadError::Panicked { .. } => ErrorKind::Program,
            LoadError::Lacking { .. } => ErrorKind::Retry,
            _ => ErrorKind::Damaged,
        }
    }

    /// The version that cannot be loaded, if the error knows it.
    ///
    /// [Example](LoadError#example)
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        match self {
            LoadError::Storage(_) | LoadError::Read(_) => None,
            LoadError::Missing { version, .. }
            | LoadError::Altered { version, .. }
            | LoadError::Blob { version, .. }
            | LoadError::Parent { version, .. }
            | LoadError::ParentDigest { version, .. }
            | LoadError::Key { version, .. }
            | LoadError::Apply { version, .. }
            | LoadError::Differs { version, .. }
            | LoadError::Lacking { version, .. }
            | LoadError::Panicked { version, .. } => Some(*version),
        }
    }
}
