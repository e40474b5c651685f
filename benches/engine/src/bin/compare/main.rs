//! `compare`: the engine, Hollow, hand-made maps and embedded stores, side by side in one run.
//!
//! ```text
//! cargo run --release -p cenote-bench-engine --bin compare -- [--records N] [--systems a,b] [--quick] [--json] [--report DIR] [--markdown]
//! ```

#![deny(unsafe_code)]

#[expect(unsafe_code, reason = "implementing GlobalAlloc is unsafe")]
mod allocator;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use cenote_bench_engine::compare::{self, Conditions, Effort, Meter, Output, Plan};
use cenote_bench_engine::peers::{self, Answer, Refusal};
use clap::{Args, Parser, Subcommand, ValueEnum};

#[global_allocator]
static ALLOCATOR: allocator::Counting = allocator::Counting;

const METER: Meter =
    Meter { allocated: allocator::allocated, peak: allocator::peak, reset_peak: allocator::reset_peak };

/// Compare the engine with its peers on the catalog workload (see benches/engine/WORKLOAD.md).
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    run: Run,
    #[command(subcommand)]
    child: Option<Role>,
}

#[derive(Args)]
struct Run {
    /// Catalog sizes, such as 100000,1000000.
    #[arg(long, value_delimiter = ',', default_value = "100000")]
    records: Vec<u64>,
    /// Only these systems.
    #[arg(long, value_delimiter = ',')]
    systems: Vec<String>,
    /// The number of rounds [default: 5, or 1 with --quick].
    #[arg(long)]
    rounds: Option<usize>,
    /// Measure little of everything: a smoke test.
    #[arg(long)]
    quick: bool,
    /// Print JSON lines instead of the table.
    #[arg(long)]
    json: bool,
    /// Also write DIR/index.html, with charts.
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Also write the results as a Markdown page [default file: benches/RESULTS.md].
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "benches/RESULTS.md")]
    markdown: Option<PathBuf>,
    /// Netflix Hollow and its driver: a folder of jars, or a class path.
    #[arg(long, value_name = "CLASSPATH")]
    hollow: Option<String>,
}

#[derive(Subcommand)]
enum Role {
    /// One part of a system's turn; the comparison starts these processes.
    #[command(hide = true)]
    Child(Child),
}

#[derive(Args)]
struct Child {
    part: Part,
    #[arg(long)]
    system: String,
    #[arg(long)]
    records: u64,
    #[arg(long)]
    folder: PathBuf,
    #[arg(long)]
    quick: bool,
}

#[derive(Clone, ValueEnum)]
enum Part {
    Produce,
    Consume,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.child {
        Some(Role::Child(child)) => run_part(&child),
        None => run(cli.run).map_err(Refusal::from),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Refusal::Unsupported(why)) => fail(why),
        Err(Refusal::Failed(error)) => fail(&error.to_string()),
    }
}

fn fail(why: &str) -> ExitCode {
    eprintln!("compare: {why}");
    ExitCode::FAILURE
}

fn run_part(child: &Child) -> Answer<()> {
    let system = peers::all().into_iter().find(|system| system.name() == child.system);
    let system = system.ok_or_else(|| format!("there is no system {}", child.system))?;
    let effort = if child.quick { Effort::QUICK } else { Effort::FULL };
    let mut stdout = io::stdout();
    let mut out = Output(&mut stdout);
    match child.part {
        Part::Produce => compare::produce(&*system, child.records, &child.folder, effort, &mut out),
        Part::Consume => compare::consume(&*system, child.records, &child.folder, effort, METER, &mut out),
    }
}

fn run(run: Run) -> io::Result<()> {
    let plan = Plan {
        records: run.records,
        systems: run.systems,
        rounds: run.rounds.unwrap_or(if run.quick { 1 } else { 5 }),
        quick: run.quick,
        hollow: run.hollow,
        binary: std::env::current_exe()?,
    };
    let outcome = compare::run(&plan, &mut |line| eprintln!("{line}"))?;
    let mut stdout = io::stdout().lock();
    if run.json {
        for row in &outcome.rows {
            writeln!(stdout, "{}", serde_json::to_string(row)?)?;
        }
    } else {
        compare::write_table(&outcome.rows, &mut stdout)?;
    }
    if let Some(folder) = run.report {
        compare::write_report(&outcome.rows, &folder)?;
    }
    if let Some(file) = run.markdown {
        compare::write_results(&outcome, &Conditions::current()?, &file)?;
    }
    let failures = outcome.failures;
    if failures.is_empty() { Ok(()) } else { Err(io::Error::other(format!("failed:\n{}", failures.join("\n")))) }
}
