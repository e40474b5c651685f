//! What goes wrong at a store, sorted by what the caller does about it.
//!
//! One error type for every operation: the object, the operation, the kind, and the store's own words as the source.
//! The message ends with a remedy; where the store's answer is known to mislead (S3 answers 403 for a missing key to
//! who may not list), it says so.

use std::error::Error as StdError;
use std::fmt;

use crate::error::{ErrorKind, with_sources};

/// An operation on a store failed.
///
/// An error of a write leaves open whether it landed.
///
/// # Example
/// ```
/// use cenote_consumer::error::{ErrorKind, Operation, StorageError, StorageErrorKind};
///
/// // A store of a program's own makes them like this.
/// let full = StorageError::new("nfs://catalog/log/7", Operation::Create, StorageErrorKind::Full, "no space left");
/// assert_eq!(full.kind(), ErrorKind::Configuration);
/// assert!(!full.is_retryable());
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{operation} {object}: {remedy}")]
#[non_exhaustive]
pub struct StorageError {
    /// The object, as a URL.
    pub object: String,
    /// What was tried.
    pub operation: Operation,
    /// What to do about it.
    pub kind: StorageErrorKind,
    /// What the store said.
    #[source]
    pub source: Box<dyn StdError + Send + Sync>,
    remedy: String,
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

/// The remedies, one kind for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StorageErrorKind {
    /// The store refuses these credentials: grant the permission.
    Denied,
    /// Throttled, overloaded, unreachable, cut off: try again later.
    Unavailable,
    /// No space left, or a quota is used up: make room.
    Full,
    /// No answer in time: try again.
    Timeout,
    /// A wrong URL, option, bucket or endpoint: fix it.
    Configuration,
    /// The object is larger than the caller allows: it is not what it should be.
    TooLarge,
    /// Anything else: read the source.
    Other,
}

impl StorageError {
    /// An error about `object` (a URL), with the usual remedy for its kind.
    ///
    /// [Example](StorageError#example)
    pub fn new(
        object: impl Into<String>,
        operation: Operation,
        kind: StorageErrorKind,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> StorageError {
        let (object, source) = (object.into(), source.into());
        let remedy = remedy(&object, operation, kind, &with_sources(source.as_ref()));
        StorageError { object, operation, kind, source, remedy }
    }

    /// Sorts an error of `object_store`.
    pub(super) fn classify(object: String, operation: Operation, source: object_store::Error) -> StorageError {
        StorageError::new(object, operation, kind_of(&source), source)
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

fn kind_of(error: &object_store::Error) -> StorageErrorKind {
    use object_store::Error;
    match error {
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => StorageErrorKind::Denied,
        Error::InvalidPath { .. } => StorageErrorKind::Other,
        Error::NotImplemented { .. } | Error::NotSupported { .. } | Error::UnknownConfigurationKey { .. } => {
            StorageErrorKind::Configuration
        }
        error if is_bucket_missing(error) => StorageErrorKind::Configuration,
        error if asked_for_credentials(&with_sources(error)) => StorageErrorKind::Denied,
        // S3's 409: two conditional writes met; which of them landed is open.
        Error::AlreadyExists { .. } => StorageErrorKind::Unavailable,
        _ => kind_of_chain(error),
    }
}

/// The kind by the first cause that tells: an HTTP status, an I/O error, a transport error.
fn kind_of_chain(error: &object_store::Error) -> StorageErrorKind {
    if let Some(kind) = http_status(error).and_then(kind_of_status) {
        return kind;
    }
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    let mut transport = None;
    while let Some(current) = cause {
        if let Some(kind) = current.downcast_ref::<std::io::Error>().and_then(kind_of_io) {
            return kind;
        }
        transport = transport.or_else(|| kind_of_transport(current));
        cause = current.source();
    }
    transport.unwrap_or(StorageErrorKind::Other)
}

fn kind_of_status(status: u16) -> Option<StorageErrorKind> {
    match status {
        401 | 403 => Some(StorageErrorKind::Denied),
        408 | 504 => Some(StorageErrorKind::Timeout),
        409 | 429 | 500 | 502 | 503 => Some(StorageErrorKind::Unavailable),
        507 => Some(StorageErrorKind::Full),
        301 | 302 | 307 | 308 | 501 => Some(StorageErrorKind::Configuration),
        _ => None,
    }
}

fn kind_of_io(error: &std::io::Error) -> Option<StorageErrorKind> {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Some(StorageErrorKind::Full),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Some(StorageErrorKind::Denied),
        ErrorKind::TimedOut => Some(StorageErrorKind::Timeout),
        ErrorKind::ConnectionRefused
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::NotConnected
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof => Some(StorageErrorKind::Unavailable),
        _ => None,
    }
}

#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
fn kind_of_transport(error: &(dyn StdError + 'static)) -> Option<StorageErrorKind> {
    use object_store::client::{HttpError, HttpErrorKind};
    error.downcast_ref::<HttpError>().map(|error| match error.kind() {
        HttpErrorKind::Timeout => StorageErrorKind::Timeout,
        _ => StorageErrorKind::Unavailable,
    })
}

#[cfg(not(any(feature = "s3", feature = "gcs", feature = "azure")))]
fn kind_of_transport(_error: &(dyn StdError + 'static)) -> Option<StorageErrorKind> {
    None
}

/// The status of an HTTP answer, from the text: `object_store` keeps the type to itself.
pub(super) fn http_status(error: &(dyn StdError + 'static)) -> Option<u16> {
    let text = with_sources(error);
    if text.contains("redirect without LOCATION") {
        return Some(301);
    }
    let (_, rest) = text.split_once("status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// Whether "not found" speaks of the bucket and not of the key.
pub(super) fn is_bucket_missing(error: &object_store::Error) -> bool {
    let text = with_sources(error);
    ["NoSuchBucket", "ContainerNotFound", "bucket does not exist"].iter().any(|sign| text.contains(sign))
}

/// Whether it is the machine's own credentials that could not be had: none were set.
fn asked_for_credentials(said: &str) -> bool {
    ["/latest/api/token", "/latest/meta-data/iam"].iter().any(|path| said.contains(path))
}

/// Whether a read began after the object's end.
fn begins_after_end(said: &str) -> bool {
    ["status code: 416", "Wanted range starting at"].iter().any(|sign| said.contains(sign))
}

fn remedy(object: &str, operation: Operation, kind: StorageErrorKind, said: &str) -> String {
    match kind {
        StorageErrorKind::Denied => denied(object, operation, said),
        StorageErrorKind::Unavailable => "the store is throttling, unreachable or cut off; try again later".to_owned(),
        StorageErrorKind::Full => "no space left at the store; make room".to_owned(),
        StorageErrorKind::Timeout => "the store gave no answer in time; try again".to_owned(),
        StorageErrorKind::Configuration if said.contains("NoSuchBucket") => {
            "the bucket does not exist; create it, or check its name and the endpoint".to_owned()
        }
        StorageErrorKind::Configuration if operation != Operation::Open => {
            "the store cannot do this as configured; check URL, bucket, region, endpoint and options".to_owned()
        }
        StorageErrorKind::Configuration => "check the URL, the options and the environment".to_owned(),
        StorageErrorKind::TooLarge => {
            "larger than this object may be, so it is damaged or not ours; restore it from a copy".to_owned()
        }
        StorageErrorKind::Other if begins_after_end(said) => "the object is shorter than expected".to_owned(),
        StorageErrorKind::Other => "the store failed".to_owned(),
    }
}

fn denied(object: &str, operation: Operation, said: &str) -> String {
    if asked_for_credentials(said) {
        return "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine a role \
                (profiles in files are not read)"
            .to_owned();
    }
    let keys_are_wrong = ["InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"];
    if let Some(sign) = keys_are_wrong.iter().find(|sign| said.contains(**sign)) {
        return format!("the store does not accept the credentials ({sign}); check the keys, the token and the clock");
    }
    let (read, write, delete, list, scope) = match object.split_once("://").map(|(scheme, _)| scheme) {
        Some("s3") => ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket", "on the bucket"),
        Some("gs") => {
            ("storage.objects.get", "storage.objects.create", "storage.objects.delete", "storage.objects.list", "")
        }
        Some("az") => ("blob read", "blob write", "blob delete", "blob list", "on the container"),
        _ => return "access denied; check the owner and the mode of the folder and its files".to_owned(),
    };
    match operation {
        Operation::Read => {
            format!("access denied; grant {read}, and {list} {scope}: without it a missing key answers 403 too")
        }
        Operation::Delete => format!("access denied; grant {delete}"),
        Operation::List => format!("access denied; grant {list} {scope}"),
        Operation::Create | Operation::Write | Operation::Open => format!("access denied; grant {write}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(source: impl Into<Box<dyn StdError + Send + Sync>>) -> object_store::Error {
        object_store::Error::Generic { store: "test", source: source.into() }
    }

    fn kind(error: object_store::Error) -> StorageErrorKind {
        StorageError::classify("s3://b/log/1".into(), Operation::Read, error).kind
    }

    #[test]
    fn kinds_follow_the_remedy() {
        let io = |kind| generic(std::io::Error::from(kind));
        assert_eq!(kind(io(std::io::ErrorKind::StorageFull)), StorageErrorKind::Full);
        assert_eq!(kind(io(std::io::ErrorKind::FileTooLarge)), StorageErrorKind::Full);
        assert_eq!(kind(io(std::io::ErrorKind::PermissionDenied)), StorageErrorKind::Denied);
        assert_eq!(kind(io(std::io::ErrorKind::TimedOut)), StorageErrorKind::Timeout);
        let status = |code: &str| generic(format!("Server returned non-2xx status code: {code}: <Error/>"));
        assert_eq!(kind(status("503 Service Unavailable")), StorageErrorKind::Unavailable);
        assert_eq!(kind(status("429 Too Many Requests")), StorageErrorKind::Unavailable);
        assert_eq!(kind(status("403 Forbidden")), StorageErrorKind::Denied);
        assert_eq!(kind(status("507 Insufficient Storage")), StorageErrorKind::Full);
        assert_eq!(kind(status("418 Teapot")), StorageErrorKind::Other);
        assert_eq!(kind(generic("status code: x")), StorageErrorKind::Other);
    }

    #[test]
    fn a_403_names_the_permissions() {
        let source = object_store::Error::PermissionDenied { path: "log/1".into(), source: "403".into() };
        let error = StorageError::classify("s3://media/log/1".into(), Operation::Read, source);
        let text = error.to_string();
        for part in ["s3://media/log/1", "s3:GetObject", "s3:ListBucket", "missing key"] {
            assert!(text.contains(part), "{part} is missing in: {text}");
        }
        assert!(!error.is_retryable());
    }

    #[test]
    fn a_machine_without_a_role_gets_a_text_on_credentials() {
        let source = generic("Error performing PUT http://169.254.169.254/latest/api/token in 2s");
        let error = StorageError::classify("s3://media/log/1".into(), Operation::Read, source);
        assert_eq!(error.kind, StorageErrorKind::Denied);
        assert!(error.to_string().contains("AWS_ACCESS_KEY_ID"), "{error}");
    }

    #[test]
    fn wrong_keys_differ_from_missing_permissions() {
        let source = generic("status code: 403 Forbidden: <Code>SignatureDoesNotMatch</Code>");
        let error = StorageError::classify("s3://media/log/1".into(), Operation::Read, source);
        assert!(error.to_string().contains("does not accept the credentials"), "{error}");
    }
}
