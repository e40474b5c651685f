//! What the command lines of the producer and the consumer share: where the dataset is, output, and exit codes.
//!
//! Both tools take the dataset's URL as their first argument, print in the same way and end with the same codes.
//!
//! Rules: results go to stdout, as lines for people or as JSON; errors and progress go to stderr, progress only on a
//! terminal. An error of the command line or of its configuration ends the process with 2, any other with 1.

use std::error::Error;
use std::fmt::Display;
use std::future::Future;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use indicatif::HumanCount;

use crate::log::proof::UnfitStore;
use crate::storage::{Storage, StorageError, StorageErrorKind};

/// Which dataset, and how its store is reached: the first argument of every command.
#[derive(Args, Clone, Debug)]
pub struct DatasetArgs {
    /// The dataset: s3://bucket/path, gs://…, az://…, file:///path or a plain path
    #[arg(value_name = "URL")]
    pub url: String,
    /// An option of the store, like aws_endpoint=http://localhost:9000, in addition to those of the environment
    #[arg(long = "option", value_name = "KEY=VALUE", value_parser = key_and_value)]
    pub options: Vec<(String, String)>,
}

impl DatasetArgs {
    /// Opens the dataset's storage.
    ///
    /// # Errors
    /// If the URL or an option is wrong; the failure's exit code is 2.
    pub async fn storage(&self) -> Result<Storage, Failure> {
        Ok(Storage::open(&self.url, &self.options).await?)
    }
}

/// Parses `key=value`, for an argument of clap.
///
/// # Errors
/// If there is no `=`, or no key before it.
pub fn key_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it as key=value".to_owned()),
    }
}

/// A command failed: the message to print and the exit code to end with.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// The command ran, and its answer is negative: no such record, or damage. Exit code 1.
    pub fn negative(message: impl Into<String>) -> Failure {
        Failure { code: 1, message: message.into() }
    }

    /// The command line is wrong. Exit code 2.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure { code: 2, message: message.into() }
    }
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure { code: if is_configuration(&error) { 2 } else { 1 }, message: chain(&error) }
    }
}

/// Whether the URL or an option of the store is at fault.
fn is_configuration(error: &(dyn Error + 'static)) -> bool {
    let storage = error.downcast_ref::<StorageError>();
    storage.is_some_and(|error| error.kind == StorageErrorKind::Configuration)
        || error.is::<UnfitStore>()
        || error.source().is_some_and(is_configuration)
}

/// An error and its sources on one line. A source whose message is part of the line already is left out: some
/// libraries repeat the messages of their sources.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let message = error.to_string();
        if !line.contains(&message) {
            line = format!("{line}: {message}");
        }
        source = error.source();
    }
    line
}

/// Starts logging (by `RUST_LOG`, off by default) and a runtime, runs the command, prints its failure, and returns the
/// process's exit code.
pub fn run(command: impl Future<Output = Result<(), Failure>>) -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => exit_code(runtime.block_on(command)),
        Err(error) => exit_code(Err(error.into())),
    }
}

fn exit_code(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // If stderr is closed as well, the exit code is all that is left.
            let _ = writeln!(io::stderr(), "error: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

/// Prints a line to stdout.
///
/// # Errors
/// If stdout can't be written to; see [`written`].
pub fn print_line(line: impl Display) -> Result<(), Failure> {
    written(writeln!(io::stdout().lock(), "{line}"))
}

/// Checks the result of a write to stdout. A reader that has closed the pipe (`| head`) has read enough: the process
/// ends with success.
///
/// # Errors
/// Any other error of the write.
pub fn written(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        written => Ok(written?),
    }
}

/// `1 record`, `2,000 records`.
#[must_use]
pub fn counted(number: u64, singular: &str) -> String {
    format!("{} {singular}{}", HumanCount(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot load version 3")]
    struct Outer(#[source] Middle);

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read log/3: try again")]
    struct Middle(#[source] io::Error);

    #[test]
    fn a_failure_shows_the_chain_once() {
        let failure = Failure::from(Outer(Middle(io::Error::other("try again"))));
        assert_eq!(
            (failure.code, failure.message.as_str()),
            (1, "cannot load version 3: cannot read log/3: try again")
        );
    }

    #[test]
    fn a_wrong_option_is_wrong_use() {
        assert_eq!(key_and_value("region=eu=1"), Ok(("region".to_owned(), "eu=1".to_owned())));
        assert!(key_and_value("=eu").is_err() && key_and_value("region").is_err());
        let kinds = [(StorageErrorKind::Configuration, 2), (StorageErrorKind::Denied, 1)];
        for (kind, code) in kinds {
            let error = StorageError::new("s3://b", crate::storage::Operation::Open, kind, "no such option");
            assert_eq!(Failure::from(error).code, code);
        }
    }

    #[test]
    fn numbers_have_separators_and_nouns_a_plural() {
        assert_eq!(
            [0, 1, 999, 1_234_567].map(|number| counted(number, "byte")),
            ["0 bytes", "1 byte", "999 bytes", "1,234,567 bytes"]
        );
    }
}
