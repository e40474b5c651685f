//! The command line of `cenote-consumer`: reads records, shows figures, verifies.
//!
//! What both tools have in common (where the dataset is, output, exit codes) is `cenote_store::cli`.

mod read;
mod stats;
mod verify;

use std::process::ExitCode;
use std::time::Duration;

use cenote_consumer::dynamic::NamedTable;
use cenote_consumer::{Consumer, OnEmpty, ReloadPolicy, View};
use cenote_store::cli::{self, DatasetArgs, Failure};
use cenote_store::log::LogReader;
use clap::{Parser, Subcommand};
use indicatif::ProgressBar;

/// Reads datasets: records, figures, verification.
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

Exit code: 0 success; 1 failure, no such record, or damage; 2 wrong use. RUST_LOG=info shows the library's log.";

#[derive(Subcommand)]
enum Command {
    /// Print one record as JSON
    Get(read::Get),
    /// Print the records of a type as JSON Lines
    Scan(read::Scan),
    /// Show what the newest version holds, type by type
    Stats(stats::Stats),
    /// Read every object of a version again, and compute every digest from its records
    Verify(verify::Verify),
}

/// Runs the command that the process was started with.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    cli::run(async {
        match cli.command {
            Command::Get(get) => get.run().await,
            Command::Scan(scan) => scan.run().await,
            Command::Stats(stats) => stats.run().await,
            Command::Verify(verify) => verify.run().await,
        }
    })
}

/// The newest version of the dataset. It must exist: a tool does not wait for a first version.
async fn newest_view(dataset: &DatasetArgs) -> Result<View, Failure> {
    let storage = dataset.storage().await?;
    let url = storage.url().to_owned();
    let reader = LogReader::start(storage.clone()).await?;
    if reader.log_state().version.0 == 0 {
        return Err(Failure::negative(format!("{url} has no version yet: publish one first")));
    }
    let spinner = ProgressBar::new_spinner().with_message(format!("loading {url}"));
    spinner.enable_steady_tick(Duration::from_millis(100));
    let builder = Consumer::builder_on(storage).whole().reload(ReloadPolicy::Manual);
    let opened = builder.when_empty(OnEmpty::Wait(Duration::ZERO)).open().await;
    spinner.finish_and_clear();
    let consumer = opened.map_err(|error| Failure::of(error.kind(), &error))?;
    let view = consumer.view();
    consumer.close().await;
    Ok(view)
}

/// The table of the type with this name.
fn table<'v>(view: &'v View, type_name: &str) -> Result<NamedTable<'v>, Failure> {
    view.named(type_name).map_err(|error| Failure::negative(error.to_string()))
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
