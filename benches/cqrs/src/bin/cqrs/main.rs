//! `cqrs`: event-driven read sides and Cenote, with the same commands and queries.
//!
//! ```text
//! cargo run --release -p cenote-bench-cqrs --bin cqrs -- [--strategies a,b] [--broker …] [--store …] [--faults] [--quick]
//!     [--json] [--report DIR]
//! ```
//!
//! `benches/cqrs/README.md` describes what runs and how to choose. Every strategy has its turn in a separate process, so that their
//! memory is separate.

mod cli;
mod turns;

use std::process::ExitCode;

use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    let began = cenote_bench_support::clock::now();
    let cli = cli::Cli::parse();
    let done = match cli.child {
        Some(cli::Child::Turn(turn)) => turns::take_turn(&turn).await,
        Some(cli::Child::Read(read)) => turns::read(&read, began).await,
        Some(cli::Child::Objects { folder }) => turns::objects(&folder).await,
        None => turns::run(&cli.run).await,
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("cqrs: {error}");
            ExitCode::FAILURE
        }
    }
}
