//! What goes wrong at a store, sorted by what the caller does about it.
//!
//! One error type for every operation: the object, the operation, the store's or the system's own words, and what to do.
//! What the words mean is decided in one place, [`Answer::meaning`].
//!
//! Rules: a message says the cause first, in the words of who refused; it holds no secrets and no control characters.

use std::error::Error as StdError;
use std::fmt;

use cenote_state::shown::shown;

use super::answer::Answer;
use crate::error::ErrorKind;

/// An operation on a store failed.
///
/// An error of a write leaves open whether the object exists, unless it is a refusal
/// ([`is_refused`](StorageError::is_refused)).
///
/// # Example
/// ```
/// use cenote_consumer::error::{ErrorKind, Operation, StorageError, StorageErrorKind};
///
/// // A store of a program's own makes them like this.
/// let full = StorageError::new("nfs://catalog/log/7", Operation::Create, StorageErrorKind::Full, "no space left");
/// assert_eq!(full.kind(), ErrorKind::Configuration);
/// assert!(full.is_refused() && !full.is_retryable());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operation} {object}: {cause}; {remedy}")]
#[non_exhaustive]
pub struct StorageError {
    /// The object, as a URL.
    pub object: String,
    /// What was tried.
    pub operation: Operation,
    /// What to do about it.
    pub kind: StorageErrorKind,
    /// What the store or the system said, in its own words.
    pub cause: String,
    remedy: String,
    is_retried: bool,
}

/// What a failed operation wanted to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Open the store.
    Open,
    /// Read an object, a range of it, or its size.
    Read,
    /// Put an object that must not be there.
    Create,
    /// Put an object.
    Write,
    /// Delete an object.
    Delete,
    /// List objects.
    List,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::Open => "cannot open",
            Operation::Read => "cannot read",
            Operation::Create => "cannot create",
            Operation::Write => "cannot write",
            Operation::Delete => "cannot delete",
            Operation::List => "cannot list",
        })
    }
}

/// The remedies, one kind for each. `Denied`, `Full` and `Configuration` last until a person changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StorageErrorKind {
    /// The store refuses these credentials: correct them, or grant the permission.
    Denied,
    /// Throttled, overloaded, unreachable, cut off: try again later.
    Unavailable,
    /// No space left, or a quota is used up: make room.
    Full,
    /// No answer in time: try again.
    Timeout,
    /// A wrong URL, option, bucket, endpoint or certificate: fix it.
    Configuration,
    /// The object is larger than the caller allows: it is not what it should be.
    TooLarge,
    /// Anything else: read the message.
    Other,
}

impl StorageError {
    /// An error about `object` (a URL), with the usual remedy for its kind.
    ///
    /// [Example](StorageError#example)
    pub fn new(
        object: impl AsRef<str>,
        operation: Operation,
        kind: StorageErrorKind,
        cause: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> StorageError {
        let answer = Answer::of(cause.into().as_ref());
        StorageError::made(object.as_ref(), operation, (kind, usual_remedy(kind).to_owned()), answer)
    }

    /// Sorts an error of `object_store`.
    pub(super) fn classify(object: &str, operation: Operation, error: &object_store::Error) -> StorageError {
        let answer = Answer::of(error);
        StorageError::made(object, operation, answer.meaning(error, object, operation), answer)
    }

    fn made(
        object: &str,
        operation: Operation,
        (kind, remedy): (StorageErrorKind, String),
        answer: Answer,
    ) -> StorageError {
        let (object, cause) = (shown(object).to_string(), answer.words);
        StorageError { object, operation, kind, cause, remedy, is_retried: answer.is_retried }
    }

    /// What the caller can do.
    ///
    /// [Example](StorageError#example)
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self.kind {
            StorageErrorKind::Unavailable | StorageErrorKind::Timeout | StorageErrorKind::Other => ErrorKind::Retry,
            StorageErrorKind::Denied | StorageErrorKind::Full | StorageErrorKind::Configuration => {
                ErrorKind::Configuration
            }
            StorageErrorKind::TooLarge => ErrorKind::Damaged,
        }
    }

    /// Whether the same call may succeed in a while without anyone doing anything.
    ///
    /// [Example](StorageError#example)
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, StorageErrorKind::Unavailable | StorageErrorKind::Timeout)
    }

    /// Whether the store refused, so that a write certainly did not take effect, and will not until a person changes
    /// something. After a retry within the store's client that is not certain: the first attempt may have landed.
    ///
    /// [Example](StorageError#example)
    #[must_use]
    pub fn is_refused(&self) -> bool {
        use StorageErrorKind::{Configuration, Denied, Full};
        !self.is_retried && matches!(self.kind, Denied | Full | Configuration)
    }
}

fn usual_remedy(kind: StorageErrorKind) -> &'static str {
    match kind {
        StorageErrorKind::Denied => "check the credentials and their permissions",
        StorageErrorKind::Unavailable | StorageErrorKind::Timeout => "try again later",
        StorageErrorKind::Full => "make room",
        StorageErrorKind::Configuration => "check the URL, the options and the environment",
        StorageErrorKind::TooLarge => "it is damaged or not ours: restore it from a copy",
        StorageErrorKind::Other => "the store failed",
    }
}

/// An object is larger than the caller allows.
#[derive(Debug, thiserror::Error)]
#[error("the object has {size} bytes, allowed are {max}")]
pub(super) struct TooLarge {
    pub(super) size: u64,
    pub(super) max: u64,
}

/// A body had another length than announced.
#[derive(Debug, thiserror::Error)]
#[error("{expected} bytes were announced, {found} came")]
pub(super) struct WrongLength {
    pub(super) expected: u64,
    pub(super) found: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(source: impl Into<Box<dyn StdError + Send + Sync>>) -> object_store::Error {
        object_store::Error::Generic { store: "test", source: source.into() }
    }

    fn read(error: object_store::Error) -> StorageError {
        StorageError::classify("s3://media/log/1", Operation::Read, &error)
    }

    fn answered(text: &str) -> StorageError {
        read(generic(format!("Server returned non-2xx status code: {text}")))
    }

    #[test]
    fn kinds_follow_the_remedy() {
        let io = |kind| read(generic(std::io::Error::from(kind))).kind;
        assert_eq!(io(std::io::ErrorKind::StorageFull), StorageErrorKind::Full);
        assert_eq!(io(std::io::ErrorKind::FileTooLarge), StorageErrorKind::Full);
        assert_eq!(io(std::io::ErrorKind::PermissionDenied), StorageErrorKind::Denied);
        assert_eq!(io(std::io::ErrorKind::TimedOut), StorageErrorKind::Timeout);
        assert_eq!(read(generic(std::io::Error::from_raw_os_error(24))).kind, StorageErrorKind::Unavailable);
        let status = |text| answered(text).kind;
        assert_eq!(status("503 Service Unavailable: "), StorageErrorKind::Unavailable);
        assert_eq!(status("429 Too Many Requests: "), StorageErrorKind::Unavailable);
        assert_eq!(status("403 Forbidden: "), StorageErrorKind::Denied);
        assert_eq!(status("507 Insufficient Storage: "), StorageErrorKind::Full);
        assert_eq!(status("418 Teapot: "), StorageErrorKind::Other);
        assert_eq!(read(generic("status code: x")).kind, StorageErrorKind::Other);
        // A code says more than its status.
        assert_eq!(status("400 Bad Request: <Error><Code>RequestTimeout</Code></Error>"), StorageErrorKind::Timeout);
        assert_eq!(status("403 Forbidden: <Error><Code>SlowDown</Code></Error>"), StorageErrorKind::Unavailable);
    }

    #[test]
    fn a_403_names_the_permissions_after_the_stores_own_words() {
        let body = "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>no &lt;way&gt;</Message></Error>";
        let source = format!("Server returned non-2xx status code: 403 Forbidden: {body}");
        let error = object_store::Error::PermissionDenied { path: "log/1".into(), source: source.into() };
        assert_eq!(
            read(error).to_string(),
            "cannot read s3://media/log/1: 403 AccessDenied: no <way>; grant s3:GetObject, and s3:ListBucket on the \
             bucket: without it a missing key answers 403 too"
        );
        assert!(!answered("403 Forbidden: ").is_retryable());
    }

    #[test]
    fn the_machine_without_a_role_is_told_of_credentials() {
        let error = read(generic("Error performing PUT http://169.254.169.254/latest/api/token in 2s"));
        assert_eq!(error.kind, StorageErrorKind::Denied);
        assert!(error.to_string().contains("AWS_ACCESS_KEY_ID"), "{error}");
    }

    #[test]
    fn a_refusal_after_a_retry_is_not_certain() {
        let first = "Error performing PUT http://h/k in 1ms - Server returned non-2xx status code: 403 Forbidden: ";
        let third = "Error performing PUT http://h/k in 1s, after 2 retries, max_retries: 3, retry_timeout: 10s  - \
                     Server returned non-2xx status code: 403 Forbidden: ";
        assert!(read(generic(first)).is_refused());
        assert!(!read(generic(third)).is_refused());
        assert!(!answered("503 Service Unavailable: ").is_refused());
    }

    #[test]
    fn what_a_server_says_is_shown_escaped_and_short() {
        let error = answered(&format!("400 Bad Request: \u{1b}[31m\nforged {}", "long ".repeat(1_000)));
        let text = error.to_string();
        assert!(text.contains("\\u{1b}[31m\\nforged") && text.len() < 600, "{text}");
        let page = "<!DOCTYPE html><html><head><title>Log in,\nplease</title></head><body>…</body></html>";
        let error = answered(&format!("407 Proxy Authentication Required: {page}"));
        assert!(error.cause.ends_with("an HTML page, \"Log in, please\""), "{error}");
        assert_eq!(error.kind, StorageErrorKind::Configuration);
    }
}
