//! The command line of `cenote-producer`: publishes files, shows the log and the schema, republishes a version.
//!
//! What both tools have in common (where the dataset is, output, exit codes) is `cenote_store::cli`.

mod counts;
mod input;
mod limits;
mod log;
mod preview;
mod republish;
mod run;
mod schema;

use std::process::ExitCode;

use cenote_producer::ProducerBuilder;
use cenote_producer::storage::Storage;
use cenote_store::cli;
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

Exit code: 0 success, also if nothing changed; 1 failure, also if a limit refused the version; 2 wrong use. RUST_LOG=info shows the library's log.";

#[derive(Subcommand)]
enum Command {
    /// Publish a file of JSON Lines as all records of a type
    Run(run::Run),
    /// Show the log, entry by entry, from its oldest to its newest
    Log(log::Log),
    /// Publish the records of an old version again, as the newest version
    Republish(republish::Republish),
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
        if self.take_over { builder.take_over() } else { builder }
    }
}

/// Runs the command that the process was started with.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    cli::run(async {
        match cli.command {
            Command::Run(run) => run.run().await,
            Command::Log(log) => log.run().await,
            Command::Republish(republish) => republish.run().await,
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
