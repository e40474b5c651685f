//! The command line: arguments in, lines and exit codes out.
//!
//! Rules: results go to stdout, as lines for people or as JSON; errors and progress go to stderr; progress is shown on
//! a terminal only; what is wrong with the command line itself ends with 2, whatever fails later with 1.

mod log;
mod republish;
mod run;
mod text;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use cenote_producer::ProducerBuilder;
use cenote_store::storage::{Storage, StorageError, StorageErrorKind};
use clap::{Args, Parser, Subcommand};

/// Publishes datasets that services read from memory.
#[derive(Parser)]
#[command(name = "cenote-producer", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  cenote-producer run --dataset ./catalog --type Movie --key id movies.jsonl
  cenote-producer log --dataset ./catalog
  cenote-producer republish --dataset ./catalog 2

Exit code: 0 done (also if nothing differs), 1 failed, 2 wrong use. RUST_LOG=info shows what happens inside.";

#[derive(Subcommand)]
enum Command {
    /// Publish a file of JSON Lines as all records of a type
    Run(run::Run),
    /// Show the log, entry by entry, from its oldest to its newest
    Log(log::Log),
    /// Commit the records of an old version anew, as the newest version
    Republish(republish::Republish),
}

/// Where the dataset is.
#[derive(Args)]
struct Place {
    /// The dataset: s3://bucket/path, gs://…, az://…, file:///path or a plain path
    #[arg(long, value_name = "URL")]
    dataset: String,
    /// An option of the store, like aws_endpoint=http://localhost:9000; by default what the environment says
    #[arg(long = "option", value_name = "KEY=VALUE", value_parser = pair)]
    options: Vec<(String, String)>,
}

/// How a producer takes its turn.
#[derive(Args)]
struct Turn {
    /// The name of this producer, for people who look at the log
    #[arg(long, default_value = "cenote-producer")]
    owner: String,
    /// Don't wait for a producer that seems to be alive: fence it
    #[arg(long)]
    take_over: bool,
}

/// What went wrong, and the exit code for it.
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
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
            Command::Run(run) => run.run().await,
            Command::Log(log) => log.run().await,
            Command::Republish(republish) => republish.run().await,
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
fn print(line: &str) -> Result<(), Failure> {
    match writeln!(io::stdout().lock(), "{line}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        written => Ok(written?),
    }
}

impl Place {
    async fn storage(&self) -> Result<Storage, Failure> {
        Ok(Storage::open(&self.dataset, &self.options).await?)
    }
}

impl Turn {
    fn take(&self, builder: ProducerBuilder<Storage>) -> ProducerBuilder<Storage> {
        let builder = builder.owner(&self.owner);
        if self.take_over { builder.take_over() } else { builder }
    }
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
