//! The kinds of errors, by what the caller can do about them.
//!
//! Every public error of the producer and the consumer has a `kind()` that returns one of these. The message and the
//! sources say what happened; the kind says what to do.

/// What the caller can do about an error.
///
/// ```
/// use cenote_store::error::ErrorKind;
///
/// fn should_retry(kind: ErrorKind) -> bool {
///     kind == ErrorKind::Retry
/// }
/// assert!(should_retry(ErrorKind::Retry) && !should_retry(ErrorKind::Stop));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Try again: the store or the network failed, or another writer was faster.
    Retry,
    /// Stop: another producer took over, the handle was closed, or the dataset was replaced.
    Stop,
    /// Fix the program: a record, a schema or a call is wrong.
    Program,
    /// Fix the configuration: the URL, an option, credentials, a limit or the store itself.
    Configuration,
    /// An object is damaged or missing: see the message for which one, and `verify`.
    Damaged,
    /// Upgrade this program: the dataset uses a newer format.
    Upgrade,
}

/// The messages of an error and of its sources, joined by colons: what a program shows. A source whose message is part of
/// the line already is left out: some libraries repeat the messages of their sources.
///
/// ```
/// let wrong = "x".parse::<u8>().expect_err("it is no number");
/// assert_eq!(cenote_store::error::with_sources(&wrong), "invalid digit found in string");
/// ```
#[must_use]
pub fn with_sources(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let message = cause.to_string();
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        source = cause.source();
    }
    text
}
