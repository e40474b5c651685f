//! What can be wrong with the log, by what the caller does about it.

use super::head::FORMAT_VERSION;
use crate::error::ErrorKind;
use crate::storage::StorageError;
use cenote_state::codec::CodecError;
use cenote_state::hash::HashError;
use cenote_state::ids::{DatasetId, Position};

/// An object's bytes are not what they should be. Each variant names the object and the cause (I9).
///
/// # Example
/// ```
/// use cenote_consumer::error::{DecodeError, ErrorKind};
///
/// let error = DecodeError::NotCenote { object: "log/00000000000000000001".into(), found: b"PK".to_vec() };
/// assert_eq!(error.kind(), ErrorKind::Configuration);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Something else lies under this name: point at another place.
    #[error("{object} is not Cenote's: {}", is_instead(.found))]
    NotCenote {
        /// The object's name.
        object: String,
        /// Its first bytes.
        found: Vec<u8>,
    },
    /// Written by a newer release in a way that this one must not pass over: upgrade.
    #[error("{object} needs a newer release of Cenote: {what}")]
    NeedsUpgrade {
        /// The object's name.
        object: String,
        /// What is not known here.
        what: String,
    },
    /// Written in a format that was given up before the first release: make the dataset again.
    #[error("{object} has format {found}; this version reads format {FORMAT_VERSION}: make the dataset again")]
    OldFormat {
        /// The object's name.
        object: String,
        /// Its format version.
        found: u16,
    },
    /// The bytes changed since they were written, or were never right.
    #[error("{object} is damaged: {cause}; restore it from a copy, or create a new dataset")]
    Damaged {
        /// The object's name.
        object: String,
        /// What does not fit.
        cause: String,
    },
    /// Larger than anything that Cenote writes.
    #[error("{object} is too large: {what} has {found} bytes, the limit is {limit}")]
    TooLarge {
        /// The object's name.
        object: String,
        /// The part that is too large.
        what: &'static str,
        /// Its size.
        found: u64,
        /// The limit.
        limit: u64,
    },
}

impl DecodeError {
    /// What the caller can do.
    ///
    /// [Example](DecodeError#example)
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            DecodeError::NotCenote { .. } | DecodeError::OldFormat { .. } => ErrorKind::Configuration,
            DecodeError::NeedsUpgrade { .. } => ErrorKind::Upgrade,
            DecodeError::Damaged { .. } | DecodeError::TooLarge { .. } => ErrorKind::Damaged,
        }
    }

    pub(crate) fn not_cenote(object: &str, bytes: &[u8]) -> DecodeError {
        let found = bytes.iter().take(MAGIC_BYTES_SHOWN).copied().collect();
        DecodeError::NotCenote { object: object.to_owned(), found }
    }

    pub(crate) fn damaged(object: &str, cause: impl Into<String>) -> DecodeError {
        DecodeError::Damaged { object: object.to_owned(), cause: cause.into() }
    }

    pub(crate) fn needs_upgrade(object: &str, what: impl Into<String>) -> DecodeError {
        DecodeError::NeedsUpgrade { object: object.to_owned(), what: what.into() }
    }

    pub(crate) fn too_large(object: &str, what: &'static str, found: usize, limit: usize) -> DecodeError {
        DecodeError::TooLarge { object: object.to_owned(), what, found: found as u64, limit: limit as u64 }
    }

    /// A `part` of the object that its hash does not prove.
    pub(crate) fn hash(object: &str, part: &str, error: HashError) -> DecodeError {
        match error {
            HashError::Unknown(kind) => {
                DecodeError::needs_upgrade(object, format!("{part} has a hash of the unknown kind {kind}"))
            }
            HashError::Differs => DecodeError::damaged(object, format!("{part} does not match its hash")),
        }
    }

    /// An object of another format version.
    pub(crate) fn format(object: &str, found: u16) -> DecodeError {
        match found {
            0 => DecodeError::damaged(object, "there is no format version 0"),
            1..FORMAT_VERSION => DecodeError::OldFormat { object: object.to_owned(), found },
            _ => {
                let what = format!("its format version is {found}, known here is {FORMAT_VERSION}");
                DecodeError::needs_upgrade(object, what)
            }
        }
    }

    pub(crate) fn section(object: &str, section: &'static str, error: &CodecError) -> DecodeError {
        DecodeError::damaged(object, format!("its section {section}: {error}"))
    }
}

/// As many of a foreign object's first bytes are shown.
const MAGIC_BYTES_SHOWN: usize = 8;

/// What is there in place of an object of ours, and what to do.
fn is_instead(found: &[u8]) -> String {
    if is_markup(found) {
        let page = "it is a web page; a proxy or a login page answers in place of the store";
        return format!("{page}: check the endpoint and the proxy");
    }
    format!("it begins with {found:02x?}; check the dataset's URL")
}

/// Whether bytes begin as HTML or XML do: what proxies and servers send as pages.
pub(super) fn is_markup(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first() == Some(&b'<')
}

/// Why the log could not be read.
///
/// # Example
/// ```
/// use cenote_consumer::error::{ErrorKind, ReadError};
///
/// let error = ReadError::NotFound { url: "memory://media/catalog".into() };
/// assert_eq!(error.kind(), ErrorKind::Configuration);
/// assert!(!error.is_retryable() && !error.needs_upgrade());
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The store failed: try again.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// An object's bytes are wrong.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// There is no log here: nothing was published yet, or the URL is wrong.
    #[error("no dataset at {url}: nothing was published there yet, or the URL is wrong")]
    NotFound {
        /// Where we looked.
        url: String,
    },
    /// The dataset was made again under the same name: open it again.
    #[error("{object} belongs to dataset {found}, not {expected}: the dataset was created again; open it again")]
    Replaced {
        /// The object that says so.
        object: String,
        /// The dataset that we follow.
        expected: DatasetId,
        /// The one that is there now.
        found: DatasetId,
    },
    /// The log was put back to an earlier state under this reader: open it again.
    #[error(
        "{object} is not the entry that was read before: the dataset was restored from an older copy; open it again"
    )]
    Restored {
        /// The entry.
        object: String,
    },
    /// The log was trimmed past this point: plan again from a checkpoint.
    #[error("{object} was trimmed: the log begins at {log_start}, start again from its checkpoint")]
    Trimmed {
        /// The tombstone that was met.
        object: String,
        /// The first position that still holds an entry, as far as the tombstone knows.
        log_start: Position,
    },
    /// An object that an entry names is not there, and the entry is: wait a few minutes, then it is damage.
    #[error(
        "{object} is missing, and {named_by} names it: if it doesn't appear within minutes, restore it from a copy"
    )]
    Missing {
        /// The object.
        object: String,
        /// The entry.
        named_by: String,
    },
    /// The log itself does not fit together.
    #[error("the log is damaged at {object}: {cause}; restore it from a copy, or create a new dataset")]
    Damaged {
        /// The object.
        object: String,
        /// What does not fit.
        cause: String,
    },
}

impl ReadError {
    pub(crate) fn damaged(object: impl Into<String>, cause: impl Into<String>) -> ReadError {
        ReadError::Damaged { object: object.into(), cause: cause.into() }
    }

    /// What the caller can do.
    ///
    /// [Example](ReadError#example)
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            ReadError::Storage(error) => error.kind(),
            ReadError::Decode(error) => error.kind(),
            ReadError::NotFound { .. } => ErrorKind::Configuration,
            ReadError::Replaced { .. } | ReadError::Restored { .. } => ErrorKind::Stop,
            ReadError::Trimmed { .. } => ErrorKind::Retry,
            ReadError::Missing { .. } | ReadError::Damaged { .. } => ErrorKind::Damaged,
        }
    }

    /// Whether the same call may succeed later without a change.
    ///
    /// [Example](ReadError#example)
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, ReadError::Storage(error) if error.is_retryable())
    }

    /// Whether only a newer release can read on.
    ///
    /// [Example](ReadError#example)
    #[must_use]
    pub fn needs_upgrade(&self) -> bool {
        matches!(self, ReadError::Decode(DecodeError::NeedsUpgrade { .. }))
    }
}
