//! The command line of `cenote-producer`: publishes files, shows a dataset and its log, and looks after it.
//!
//! What both tools have in common (where the dataset is, output, exit codes) is `cenote_store::cli`.

mod check_store;
mod counts;
mod gc;
mod input;
mod limits;
mod log;
mod preview;
mod repair;
mod republish;
mod run;
mod schema;
mod snapshot;
mod status;

use std::process::ExitCode;
use std::sync::Arc;

use crate::storage::Storage;
use crate::{Producer, ProducerBuilder};
use cenote_store::cli::{self, Failure};
use cenote_store::log::OnOpen;
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
  cenote-producer run ./catalog movies.jsonl --type Movie --key id
  cenote-producer log ./catalog
  cenote-producer schema ./catalog
  cenote-producer republish ./catalog 2
  cenote-producer status ./catalog

Exit code: 0 success, also if nothing changed; 1 failure, also if a limit refused the version; 2 wrong use. RUST_LOG=info shows the library's log.";

#[derive(Subcommand)]
enum Command {
    /// Publish a file of JSON Lines as all records of a type
    Run(run::Run),
    /// Show the log, entry by entry, from its oldest to its newest
    Log(log::Log),
    /// Publish the records of an old version again, as the newest version
    Republish(republish::Republish),
    /// Show who holds the dataset, its newest version, its snapshots, and what is left behind
    Status(status::Status),
    /// Make a snapshot of the newest version, and trim the log
    Snapshot(snapshot::Snapshot),
    /// Delete what crashed and superseded producers left behind
    Gc(gc::Gc),
    /// Say what of a damaged dataset is whole, and make it writable again
    Repair(repair::Repair),
    /// Check whether a store does what a dataset needs
    CheckStore(check_store::CheckStore),
    /// Print the dataset's schema: types, keys, fields
    Schema(schema::SchemaCommand),
}

/// How a command becomes the dataset's producer.
#[derive(Args)]
struct OwnerArgs {
    /// The name of this producer, for people who look at the log
    #[arg(long, value_name = "NAME", default_value = "cenote-producer")]
    owner: String,
    /// Don't wait for a producer that seems to be alive: fence it
    #[arg(long)]
    take_over: bool,
}

impl OwnerArgs {
    fn apply(&self, builder: ProducerBuilder<Storage>) -> ProducerBuilder<Storage> {
        let builder = builder.owner(&self.owner);
        let builder =
            builder.on_wait(|waiting| cli::note(format_args!("{waiting}; --take-over takes it over at once")));
        let goodbye = cli::Goodbye::listen();
        let builder = builder.writer_options(|options| {
            options.on_open = Some(OnOpen(Arc::new(move |heartbeat| goodbye.set(heartbeat))));
        });
        if self.take_over { builder.take_over() } else { builder }
    }
}

/// What failed in the background is a failure of the command, although the version is published.
fn snapshot_made(producer: &Producer) -> Result<(), Failure> {
    let Some(failure) = producer.status().snapshot_failure else { return Ok(()) };
    let (newest, version, message) = (producer.version(), failure.version, failure.message);
    Err(Failure::negative(format!(
        "version {newest} is published, but the snapshot of version {version} failed, so that starts take longer and the \
         log is not trimmed: {message}"
    )))
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    cli::run(async {
        match cli.command {
            Command::Run(run) => run.run().await,
            Command::Log(log) => log.run().await,
            Command::Republish(republish) => republish.run().await,
            Command::Status(status) => status.run().await,
            Command::Snapshot(snapshot) => snapshot.run().await,
            Command::Gc(gc) => gc.run().await,
            Command::Repair(repair) => repair.run().await,
            Command::CheckStore(check) => check.run().await,
            Command::Schema(schema) => schema.run().await,
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
