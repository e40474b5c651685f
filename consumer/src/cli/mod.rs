//! The command line: arguments in, lines and exit codes out.
//!
//! Rules: results go to stdout, as lines for people or as JSON; errors and progress go to stderr; progress is shown on
//! a terminal only; what is wrong with the command line itself ends with 2, whatever fails later with 1.

mod read;
mod stats;
mod text;
mod verify;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use cenote_consumer::{Consumer, View};
use cenote_state::view::NamedTable;
use cenote_store::log::LogReader;
use cenote_store::storage::{Storage, StorageError, StorageErrorKind};
use clap::{Args, Parser, Subcommand};
use indicatif::ProgressBar;

/// Looks into datasets: records, figures, proof.
#[derive(Parser)]
#[command(name = "cenote-consumer", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  cenote-consumer get ./catalog Movie 42
  cenote-consumer scan ./catalog Movie --limit 10
  cenote-consumer stats ./catalog
  cenote-consumer verify ./catalog

Exit code: 0 done, 1 failed (also: no such record, or damage), 2 wrong use. RUST_LOG=info shows what happens inside.";

#[derive(Subcommand)]
enum Command {
    /// Print one record as JSON
    Get(read::Get),
    /// Print the records of a type as JSON Lines
    Scan(read::Scan),
    /// Show what the newest version holds, type by type
    Stats(stats::Stats),
    /// Read everything that a version names again, and work every digest out from its records
    Verify(verify::Verify),
}

/// Where the dataset is.
#[derive(Args)]
struct Place {
    /// The dataset: s3://bucket/path, gs://…, az://…, file:///path or a plain path
    #[arg(value_name = "URL")]
    dataset: String,
    /// An option of the store, like aws_endpoint=http://localhost:9000; by default what the environment says
    #[arg(long = "option", value_name = "KEY=VALUE", value_parser = pair)]
    options: Vec<(String, String)>,
}

/// What went wrong, and the exit code for it.
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// The command did what it should, and found that something isn't so.
    fn found(message: impl Into<String>) -> Failure {
        Failure { code: 1, message: message.into() }
    }

    /// Something is wrong with the command line itself.
    fn usage(message: impl Into<String>) -> Failure {
        Failure { code: 2, message: message.into() }
    }
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure { code: if is_wrong_use(&error) { 2 } else { 1 }, message: chain(&error) }
    }
}

/// Whether the URL or an option is at fault.
fn is_wrong_use(error: &(dyn Error + 'static)) -> bool {
    let storage = error.downcast_ref::<StorageError>();
    storage.is_some_and(|error| error.kind == StorageErrorKind::Configuration)
        || error.source().is_some_and(is_wrong_use)
}

/// An error with its causes, each said once.
fn chain(error: &dyn Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !said.contains(&next) {
            said = format!("{said}: {next}");
        }
        cause = error.source();
    }
    said
}

/// Runs the command that the process was started with.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return ended(Err(error.into())),
    };
    ended(runtime.block_on(async {
        match cli.command {
            Command::Get(get) => get.run().await,
            Command::Scan(scan) => scan.run().await,
            Command::Stats(stats) => stats.run().await,
            Command::Verify(verify) => verify.run().await,
        }
    }))
}

fn ended(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // If stderr is gone, too, there is nobody left to tell.
            let _ = writeln!(io::stderr(), "error: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

/// Writes to stdout. Whoever stopped reading (`| head`) has seen enough: that ends the process well.
fn print(out: &mut impl Write, line: &str) -> Result<(), Failure> {
    written(writeln!(out, "{line}"))
}

fn written(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        written => Ok(written?),
    }
}

impl Place {
    async fn storage(&self) -> Result<Storage, Failure> {
        Ok(Storage::open(&self.dataset, &self.options).await?)
    }

    /// The newest version.
    async fn view(&self) -> Result<View, Failure> {
        let storage = self.storage().await?;
        // A tool doesn't wait for somebody to publish.
        let url = storage.url().to_owned();
        let reader = LogReader::start(storage.clone()).await?;
        if reader.outline().version.0 == 0 {
            return Err(Failure::found(format!("{url} has no version yet: publish one first")));
        }
        let spinner = ProgressBar::new_spinner().with_message(format!("loading {url}"));
        spinner.enable_steady_tick(Duration::from_millis(100));
        let opened = Consumer::on(storage).manual().wait_for_first(Duration::ZERO).open().await;
        spinner.finish_and_clear();
        let consumer = opened?;
        let view = consumer.view();
        consumer.close().await;
        Ok(view)
    }
}

/// The type of this name.
fn table<'v>(view: &'v View, type_name: &str) -> Result<NamedTable<'v>, Failure> {
    view.named(type_name).ok_or_else(|| {
        let names: Vec<&str> = view.named_tables().map(|table| table.schema().name.as_str()).collect();
        Failure::found(format!("the dataset has no type {type_name}; it has {}", names.join(", ")))
    })
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it as key=value".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
