//! What the command lines of the producer and the consumer share: where the dataset is, output, and exit codes.
//!
//! Both tools take the dataset's URL as their first argument, print in the same way and end with the same codes.
//!
//! Rules: results go to stdout, as lines for people or as JSON; errors and progress go to stderr, progress only on a
//! terminal. An error of the command line or of the configuration ends the process with 2, any other with 1
//! ([`exit_code`]). Names from a dataset are printed escaped.

use std::error::Error;
use std::fmt::Display;
use std::future::Future;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cenote_state::shown::shown;
use clap::Args;
use indicatif::HumanCount;

use crate::env::Env;
use crate::error::{ErrorKind, with_sources};
use crate::log::proof::UnfitStore;
use crate::log::{Heartbeat, ReadError};
use crate::storage::{Storage, StorageError};

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

impl Failure {
    /// A command failed with an error of this kind.
    pub fn of(kind: ErrorKind, error: &(dyn Error + 'static)) -> Failure {
        Failure { code: exit_code(kind), message: with_sources(error) }
    }
}

/// The exit code for errors of this kind: 2 if the command line, an option, the environment, permissions or the store have
/// to change, otherwise 1.
#[must_use]
pub fn exit_code(kind: ErrorKind) -> u8 {
    if kind == ErrorKind::Configuration { 2 } else { 1 }
}

/// The kinds of this crate's errors are known; errors of the crates on top come by [`Failure::of`].
impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure { code: kind_of(&error).map_or(1, exit_code), message: with_sources(&error) }
    }
}

fn kind_of(error: &(dyn Error + 'static)) -> Option<ErrorKind> {
    let storage = error.downcast_ref::<StorageError>().map(StorageError::kind);
    let unfit = error.is::<UnfitStore>().then_some(ErrorKind::Configuration);
    let read = || error.downcast_ref::<ReadError>().map(ReadError::kind);
    storage.or(unfit).or_else(read).or_else(|| kind_of(error.source()?))
}

/// An error and its sources on one line.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    with_sources(error)
}

/// Starts logging (by `RUST_LOG`, off by default) and a runtime, runs the command, prints its failure, and returns the
/// process's exit code.
pub fn run(command: impl Future<Output = Result<(), Failure>>) -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => ended(runtime.block_on(command)),
        Err(error) => ended(Err(error.into())),
    }
}

/// Prints a line for people to stderr: what the program waits for, or what a person should know.
pub fn note(line: impl Display) {
    // If stderr is closed, there is no reader.
    let _ = writeln!(io::stderr(), "{line}");
}

/// What a program does when it is asked to end (SIGINT, SIGTERM): it marks its dataset as free, so that the next producer need
/// not wait, and ends with the code of the signal, whatever it is doing. What it has not committed is not there, as after
/// a crash.
#[derive(Clone, Debug)]
pub struct Goodbye(Arc<Mutex<Option<Heartbeat>>>);

impl Goodbye {
    /// Listens from now on. Needs the runtime.
    #[must_use]
    pub fn listen() -> Goodbye {
        const GOODBYE: Duration = Duration::from_secs(5);
        let goodbye = Goodbye(Arc::default());
        let (signals, heard, env) = (Signals::new(), goodbye.clone(), Env::system());
        drop(env.clone().spawn(async move {
            let Some((name, code)) = signals.next().await else { return };
            note(format_args!("{name}: stopping; what was not committed is not published"));
            let heartbeat = heard.0.lock().expect("no thread panics while it holds the lock").take();
            if let Some(heartbeat) = heartbeat {
                let _ = env.timeout(GOODBYE, heartbeat.release()).await;
            }
            std::process::exit(code);
        }));
        goodbye
    }

    /// Marks as free this dataset when the time comes.
    pub fn set(&self, heartbeat: Heartbeat) {
        *self.0.lock().expect("no thread panics while it holds the lock") = Some(heartbeat);
    }
}

/// The signals that end a program. Listening begins when it is made.
struct Signals {
    #[cfg(unix)]
    unix: Option<(tokio::signal::unix::Signal, tokio::signal::unix::Signal)>,
}

impl Signals {
    fn new() -> Signals {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let both = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
            Signals {
                unix: if let (Ok(interrupt), Ok(terminate)) = both { Some((interrupt, terminate)) } else { None },
            }
        }
        #[cfg(not(unix))]
        Signals {}
    }

    /// The first signal's name, and the exit code that goes with it.
    #[cfg(unix)]
    async fn next(self) -> Option<(&'static str, i32)> {
        let (mut interrupt, mut terminate) = self.unix?;
        tokio::select! {
            biased;
            _ = interrupt.recv() => Some(("SIGINT", 130)),
            _ = terminate.recv() => Some(("SIGTERM", 143)),
        }
    }

    #[cfg(not(unix))]
    async fn next(self) -> Option<(&'static str, i32)> {
        tokio::signal::ctrl_c().await.ok()?;
        Some(("ctrl-c", 130))
    }
}

fn ended(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // If stderr is closed as well, the exit code is all that is left.
            let _ = writeln!(io::stderr(), "error: {}", shown_lines(&failure.message));
            ExitCode::from(failure.code)
        }
    }
}

/// A text of several lines, with everything else that controls a terminal escaped.
fn shown_lines(text: &str) -> String {
    text.lines().map(|line| shown(line).to_string()).collect::<Vec<_>>().join("\n")
}

/// Prints a line to stdout, as it is: its caller shows names from outside escaped.
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
        use crate::storage::StorageErrorKind::{Configuration, Denied, Unavailable};
        for (kind, code) in [(Configuration, 2), (Denied, 2), (Unavailable, 1)] {
            let error = StorageError::new("s3://b", crate::storage::Operation::Open, kind, "no such option");
            assert_eq!(Failure::from(ReadError::from(error.clone())).code, code);
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
