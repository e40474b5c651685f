//! What a store or the system said, taken apart; and what it means: the one place that sorts failures.
//!
//! `object_store` keeps its types of HTTP answers to itself, so statuses and codes are found in its texts. A code of the
//! store says more than the HTTP status, and either more than the kind of transport error.

use std::error::Error as StdError;
use std::io;

use cenote_state::shown::shown;

use super::{Operation, StorageErrorKind};
use crate::error::with_sources;

/// As much of a server's text is shown.
const SHOWN_CHARS: usize = 300;

/// What was said about a failed request.
pub(super) struct Answer {
    /// The words for a person, short, on one line, without control characters.
    pub(super) words: String,
    /// Whether the client had tried before: then a refusal says nothing of the earlier attempts.
    pub(super) is_retried: bool,
    status: Option<u16>,
    code: Option<String>,
    io: Option<(io::ErrorKind, Option<i32>)>,
    /// All texts, to look for signs in.
    whole: String,
}

impl Answer {
    pub(super) fn of(error: &(dyn StdError + 'static)) -> Answer {
        let whole = with_sources(error);
        let io = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).last();
        let (words, status, code) = match answered(error, &whole) {
            Some(http) => (http.words(), Some(http.status), http.code),
            None if whole.contains(BARE_REDIRECT) => ("a redirect that names no address".to_owned(), Some(301), None),
            None => (innermost(error, io), None, None),
        };
        Answer {
            words: one_line(&words),
            is_retried: whole.contains(" retries, max_retries: "),
            status,
            code,
            io: io.map(|error| (error.kind(), error.raw_os_error())),
            whole,
        }
    }

    /// Whether a transport error will be the same until a person changes something.
    pub(super) fn is_lasting(&self) -> bool {
        let meaning = self.of_io().unwrap_or_else(|| self.of_transport(Operation::Write));
        meaning.0 == StorageErrorKind::Configuration
    }

    fn says(&self, signs: &[&str]) -> bool {
        signs.iter().any(|sign| self.whole.contains(sign))
    }

    /// Which kind of failure it is, and what to do.
    pub(super) fn meaning(
        &self,
        error: &object_store::Error,
        object: &str,
        operation: Operation,
    ) -> (StorageErrorKind, String) {
        use StorageErrorKind::{Configuration, Denied, Other, Unavailable};
        use object_store::Error;
        if let Some(meaning) = self.of_credentials() {
            return meaning;
        }
        if let Some((kind, remedy)) = self.code.as_deref().and_then(of_code) {
            return (kind, remedy.to_owned());
        }
        let is_missing_bucket = is_bucket_missing(error);
        let (kind, remedy) = match error {
            _ if is_missing_bucket => {
                (Configuration, "the bucket does not exist; create it, or check its name and the endpoint")
            }
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                return (Denied, grant(object, operation));
            }
            Error::InvalidPath { .. } => (Other, "no object has such a name"),
            Error::NotImplemented { .. } | Error::NotSupported { .. } | Error::UnknownConfigurationKey { .. } => {
                (Configuration, "the store cannot do this as configured; check the options")
            }
            // S3's 409: two conditional writes met; which of them landed is open.
            Error::AlreadyExists { .. } => (Unavailable, "two writes met; try again"),
            _ => match self.status.map(of_status).or_else(|| self.of_io()) {
                Some((Denied, "")) => return (Denied, grant(object, operation)),
                Some(meaning) => meaning,
                None => self.of_transport(operation),
            },
        };
        (kind, remedy.to_owned())
    }

    /// Whether it is the credentials that could not be had.
    fn of_credentials(&self) -> Option<(StorageErrorKind, String)> {
        let remedy = if self.says(&["/latest/api/token", "/latest/meta-data/iam"]) {
            "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine a role (profiles in \
             files are not read)"
        } else if self.says(&["http://169.254.170.2", "http://169.254.170.23", "container-credentials"]) {
            "the container's role gives no credentials; check AWS_CONTAINER_CREDENTIALS_… and the role"
        } else if self.says(&["WebIdentity", "://sts."]) {
            "the web identity gives no credentials; check AWS_ROLE_ARN, AWS_WEB_IDENTITY_TOKEN_FILE and the endpoint of STS"
        } else {
            return None;
        };
        // What is down may come back; what answers says no.
        let kind = match self.status {
            Some(500..) => StorageErrorKind::Unavailable,
            _ => StorageErrorKind::Denied,
        };
        Some((kind, remedy.to_owned()))
    }

    fn of_io(&self) -> Option<(StorageErrorKind, &'static str)> {
        use StorageErrorKind::{Configuration, Denied, Full, Other, Timeout, Unavailable};
        use io::ErrorKind;
        let (kind, raw) = self.io?;
        let meaning = match kind {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => (Full, "make room"),
            ErrorKind::FileTooLarge => (Full, "raise the limit on the size of files"),
            ErrorKind::PermissionDenied => (Denied, "check the owner and the mode of the folder and its files"),
            ErrorKind::ReadOnlyFilesystem => (Denied, "mount it for writing, or choose another folder"),
            ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::AlreadyExists => {
                (Configuration, "something else is in the way; look at the dataset's folder")
            }
            ErrorKind::InvalidFilename => (Configuration, "choose a shorter path"),
            ErrorKind::TimedOut => (Timeout, "the store gave no answer in time; try again"),
            ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::NotConnected
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::BrokenPipe
            | ErrorKind::StaleNetworkFileHandle
            | ErrorKind::UnexpectedEof => (Unavailable, "the store is unreachable or cut off; try again later"),
            _ => match raw {
                Some(23 | 24) => (Unavailable, "raise the limit of open files (ulimit -n)"),
                Some(5) => (Other, "the disk failed; look at the system's log"),
                _ => return None,
            },
        };
        Some(meaning)
    }

    /// What broke on the way, by the texts of the HTTP client, of TLS and of the resolver.
    fn of_transport(&self, operation: Operation) -> (StorageErrorKind, &'static str) {
        use StorageErrorKind::{Configuration, Other, Timeout, Unavailable};
        if self.says(&["invalid peer certificate", "certificate"]) {
            let remedy = "the server's certificate is not trusted; name the file of its CA with AWS_CA_BUNDLE or \
                          SSL_CERT_FILE, and check the endpoint's host name";
            return (Configuration, remedy);
        }
        if self.says(&["InvalidContentType", "corrupt message", "wrong version number"]) {
            return (Configuration, "the server does not speak TLS there; check the endpoint's port, or use http://");
        }
        if self.says(&["invalid HTTP version", "HandshakeFailure", "handshake failure"]) {
            return (Configuration, "the server does not speak HTTP there; check the endpoint's scheme and port");
        }
        if self.says(&["URL scheme is not allowed", "builder error", "relative URL without a base"]) {
            return (
                Configuration,
                "check the endpoint: https://host:port, or http:// where the option allow_http is set",
            );
        }
        if self.says(&["failed to lookup address"]) && !self.says(&["Temporary failure", "Try again"]) {
            return (Configuration, "the host is unknown; check the endpoint and the region");
        }
        // Only of reads: a write with a strange answer may have landed.
        let answers_strangely =
            ["non-partial response", "missing from response", "Content-Range header", "header missing"];
        if operation == Operation::Read && self.says(&answers_strangely) {
            let remedy = "this is no answer of an object store: a proxy or a login page may answer in its place; check \
                          the endpoint and the proxy";
            return (Configuration, remedy);
        }
        if self.says(&["status code: 416", "Wanted range starting at"]) {
            return (Other, "the object is shorter than expected");
        }
        if self.says(&["operation timed out", "timed out"]) {
            return (Timeout, "the store gave no answer in time; try again");
        }
        if self.says(&["HTTP error", "error sending request", "connection closed", "tunnel"]) {
            return (Unavailable, "the store is unreachable or cut off; try again later");
        }
        (Other, "the store failed")
    }
}

const WRONG_REGION: &str = "the bucket is in another region; set AWS_REGION to it";

/// What the codes of S3, and of servers that follow it, mean. `None` if the status says as much.
fn of_code(code: &str) -> Option<(StorageErrorKind, &'static str)> {
    use StorageErrorKind::{Configuration, Denied, Full, Timeout, Unavailable};
    Some(match code {
        "InvalidAccessKeyId" => (Denied, "the store does not know the key; check AWS_ACCESS_KEY_ID and the endpoint"),
        "SignatureDoesNotMatch" => {
            (Denied, "the store does not accept the credentials; check AWS_SECRET_ACCESS_KEY and the region")
        }
        "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" | "ExpiredTokenException" => {
            (Denied, "the store does not accept the session token; renew the credentials and AWS_SESSION_TOKEN")
        }
        "RequestTimeTooSkewed" | "RequestExpired" => {
            (Configuration, "this machine's clock and the store's differ; set the clock")
        }
        "AuthorizationHeaderMalformed" | "PermanentRedirect" | "IllegalLocationConstraintException" => {
            (Configuration, WRONG_REGION)
        }
        "InvalidBucketName" => (Configuration, "check the bucket's name in the URL"),
        "SlowDown" | "Throttling" | "ThrottlingException" | "TooManyRequests" | "RequestLimitExceeded" => {
            (Unavailable, "the store is throttling; try again later")
        }
        "InternalError" | "ServiceUnavailable" | "OperationAborted" | "ServerBusy" => {
            (Unavailable, "the store failed or is overloaded; try again later")
        }
        "BadDigest" | "XAmzContentSHA256Mismatch" | "IncompleteBody" | "InvalidDigest" => {
            (Unavailable, "the body was damaged on its way; try again")
        }
        "RequestTimeout" | "OperationTimedOut" => (Timeout, "the store gave no answer in time; try again"),
        "QuotaExceeded" | "XMinioStorageFull" | "InsufficientCapacity" | "StorageQuotaExceeded" => (Full, "make room"),
        "InvalidEncryptionAlgorithmError" | "ServerSideEncryptionConfigurationNotFoundError" => {
            (Configuration, ENCRYPTION)
        }
        code if code.starts_with("KMS.") => (Configuration, ENCRYPTION),
        "InvalidRequest" | "InvalidArgument" | "NotImplemented" | "MalformedXML" | "MethodNotAllowed" => (
            Configuration,
            "the store refuses the request as it is configured; check the options (encryption, checksum, tags) against \
             what this store supports",
        ),
        _ => return None,
    })
}

const ENCRYPTION: &str = "check the options of encryption (aws_server_side_encryption, aws_sse_kms_key_id), and the key's \
                          permissions";

/// What HTTP statuses mean; `Denied` with an empty remedy names the permission instead.
fn of_status(status: u16) -> (StorageErrorKind, &'static str) {
    use StorageErrorKind::{Configuration, Denied, Full, Other, Timeout, Unavailable};
    match status {
        401 | 403 => (Denied, ""),
        407 | 511 => (Configuration, "log in at the proxy, or go around it (proxy_url, NO_PROXY)"),
        408 | 504 => (Timeout, "the store gave no answer in time; try again"),
        409 | 425 | 429 | 500 | 502 | 503 => {
            (Unavailable, "the store is throttling, overloaded or cut off; try again later")
        }
        416 => (Other, "the object is shorter than expected"),
        507 => (Full, "make room"),
        301 | 302 | 307 | 308 => (Configuration, WRONG_REGION),
        400 | 405 | 411 | 413 | 415 | 501 => (
            Configuration,
            "the store refuses the request; check the endpoint, the region and the options against what it supports",
        ),
        _ => (Other, "the store failed"),
    }
}

/// The permission that an operation needs.
fn grant(object: &str, operation: Operation) -> String {
    let (read, write, delete, list, scope) = match object.split_once("://").map(|(scheme, _)| scheme) {
        Some("s3") => ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket", " on the bucket"),
        Some("gs") => {
            ("storage.objects.get", "storage.objects.create", "storage.objects.delete", "storage.objects.list", "")
        }
        Some("az") => ("blob read", "blob write", "blob delete", "blob list", " on the container"),
        _ => return "check the owner and the mode of the folder and its files".to_owned(),
    };
    match operation {
        Operation::Read => format!("grant {read}, and {list}{scope}: without it a missing key answers 403 too"),
        Operation::Delete => format!("grant {delete}"),
        Operation::List => format!("grant {list}{scope}"),
        Operation::Create | Operation::Write | Operation::Open => format!("grant {write}"),
    }
}

/// An HTTP answer, as far as its text tells.
struct Http {
    status: u16,
    reason: String,
    code: Option<String>,
    message: String,
}

impl Http {
    /// `403 AccessDenied: Access Denied`, or what else there is.
    fn words(&self) -> String {
        let what = self.code.as_ref().unwrap_or(&self.reason);
        let colon = if self.message.is_empty() { "" } else { ": " };
        format!("{} {what}{colon}{}", self.status, self.message).trim_end().to_owned()
    }
}

const STATUS: &str = "status code: ";
/// What `object_store` says of a redirect of S3's.
const BARE_REDIRECT: &str = "redirect without LOCATION";

fn answered(error: &(dyn StdError + 'static), whole: &str) -> Option<Http> {
    // The innermost text is the answer alone.
    let text = causes(error).map(ToString::to_string).filter(|text| text.contains(STATUS)).last()?;
    let (_, answer) = text.split_once(STATUS)?;
    let status = answer.get(..3)?.parse().ok()?;
    let (reason, body) = answer.get(3..)?.split_once(": ").unwrap_or((answer.get(3..)?, ""));
    let code = tag(body, "Code").filter(|code| !code.is_empty() && whole.contains(code.as_str()));
    let message = match tag(body, "Message") {
        Some(message) => message,
        None if is_html(body) => {
            let title = tag(body, "title").map(|title| format!(", \"{}\"", collapsed(&title)));
            format!("an HTML page{}", title.unwrap_or_default())
        }
        None if code.is_some() => String::new(),
        None => body.trim().to_owned(),
    };
    Some(Http { status, reason: reason.trim().to_owned(), code, message })
}

fn is_html(body: &str) -> bool {
    let start: String = body.trim_start().chars().take(200).collect::<String>().to_ascii_lowercase();
    start.starts_with("<!doctype html") || start.contains("<html")
}

/// The text of the first element of this name.
fn tag(body: &str, name: &str) -> Option<String> {
    let (_, rest) = body.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&amp;", "&")];
    Some(entities.iter().fold(text.trim().to_owned(), |text, (entity, letter)| text.replace(entity, letter)))
}

fn collapsed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The words of an error without an HTTP answer: the system's, else the innermost that say something.
fn innermost(error: &(dyn StdError + 'static), io: Option<&io::Error>) -> String {
    if let Some(io) = io {
        return with_sources(io);
    }
    if error.source().is_none() {
        return error.to_string();
    }
    // From the client's error on: what is before it repeats the URL and the time it took.
    let is_client = |cause: &&(dyn StdError + 'static)| cause.to_string().starts_with("HTTP error");
    causes(error).filter(is_client).last().and_then(StdError::source).map_or_else(|| with_sources(error), with_sources)
}

fn one_line(words: &str) -> String {
    let mut short: String = words.chars().take(SHOWN_CHARS).collect();
    if short.len() < words.len() {
        short.push('…');
    }
    shown(&short).to_string()
}

fn causes<'e>(error: &'e (dyn StdError + 'static)) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| (**error).source())
}

/// The status of an HTTP answer.
pub(super) fn http_status(error: &(dyn StdError + 'static)) -> Option<u16> {
    let whole = with_sources(error);
    if whole.contains(BARE_REDIRECT) {
        return Some(301);
    }
    answered(error, &whole).map(|http| http.status)
}

/// Whether "not found" speaks of the bucket and not of the key.
pub(super) fn is_bucket_missing(error: &object_store::Error) -> bool {
    let text = with_sources(error);
    ["NoSuchBucket", "ContainerNotFound", "bucket does not exist"].iter().any(|sign| text.contains(sign))
}
