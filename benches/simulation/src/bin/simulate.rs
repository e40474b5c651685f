//! `simulate`: the simulation with any seed and number of steps.
//!
//! ```text
//! cargo run -p cenote-simulation --bin simulate -- --seed 7 --steps 200000
//! cargo run -p cenote-simulation --bin simulate -- --seed 1 --break TrimOrder --trace
//! cargo run -p cenote-simulation --bin simulate -- --score --seeds 10
//! ```

#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::process::ExitCode;

use cenote_simulation::{Outcome, Plan, Rule};
use clap::Parser;

/// Simulate producers, consumers and retention over a faulty store; the seed decides everything.
#[derive(Parser)]
#[command(after_help = "\
Examples:
  simulate --seed 7 --steps 200000      a long run
  simulate --seeds 20                   twenty runs, with seeds from --seed on
  simulate --seed 1 --break TrimOrder   must fail: this rule of order is not kept
  simulate --seed 1 --steps 500 --trace print every line of the trace
  simulate --score --seeds 10           how many of ten seeds find each rule broken

Exit code: 0 without a failure, 1 with one, 2 if the command is wrong. With --score: 1 if fewer than nine seeds in ten find a
broken rule.")]
struct Cli {
    /// The seed, which decides everything.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The number of seeds, one after another; stops at the first failure.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// The number of steps for each seed.
    #[arg(long, default_value_t = 20_000)]
    steps: u64,
    /// A rule of order that is not kept, by its name: something must then fail.
    #[arg(long = "break", value_name = "RULE", value_parser = rule)]
    broken: Option<Rule>,
    /// Print every line of the trace.
    #[arg(long)]
    trace: bool,
    /// Break each rule in turn, and print how many of the seeds find it.
    #[arg(long, conflicts_with_all = ["broken", "trace"])]
    score: bool,
}

fn rule(name: &str) -> Result<Rule, String> {
    let known = Rule::ALL.into_iter().find(|rule| format!("{rule:?}").eq_ignore_ascii_case(name));
    known.ok_or_else(|| format!("the rules are {:?}", Rule::ALL))
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.score {
        return match score(&cli) {
            Ok(true) => ExitCode::SUCCESS,
            // Too low, or the reader of the output has closed it.
            Ok(false) | Err(_) => ExitCode::FAILURE,
        };
    }
    for seed in cli.seed..cli.seed.saturating_add(cli.seeds) {
        match simulate(&cli, seed) {
            Ok(true) => {}
            Ok(false) => return ExitCode::FAILURE,
            // The reader of the output has closed it.
            Err(_) => return ExitCode::FAILURE,
        }
    }
    ExitCode::SUCCESS
}

/// Prints the simulation's own score; returns whether it is high enough.
fn score(cli: &Cli) -> io::Result<bool> {
    let mut is_high = true;
    for rule in Rule::ALL {
        let (mut found, mut steps, mut missed) = (0, Vec::new(), Vec::new());
        for seed in cli.seed..cli.seed.saturating_add(cli.seeds) {
            match cenote_simulation::run(Plan { seed, steps: cli.steps, broken: Some(rule) }, &mut |_| {}) {
                Ok(_) => missed.push(seed),
                Err(failure) => {
                    found += 1;
                    steps.push(failure.step);
                }
            }
        }
        steps.sort_unstable();
        let median = steps.get(steps.len() / 2).map_or("never".to_owned(), |step| format!("step {step}"));
        let unseen = if missed.is_empty() { String::new() } else { format!("; unseen by {missed:?}") };
        let mut out = io::stdout().lock();
        writeln!(
            out,
            "{:<20} found by {found} of {} seeds, in the middle at {median}{unseen}",
            format!("{rule:?}"),
            cli.seeds
        )?;
        out.flush()?;
        is_high &= 10 * found >= 9 * cli.seeds;
    }
    Ok(is_high)
}

fn simulate(cli: &Cli, seed: u64) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    let mut written = Ok(());
    let plan = Plan { seed, steps: cli.steps, broken: cli.broken };
    let result = cenote_simulation::run(plan, &mut |line| {
        if cli.trace && written.is_ok() {
            written = writeln!(out, "{line}");
        }
    });
    written?;
    match result {
        Ok(summary) => {
            let (position, hours, hash) = (summary.position, summary.hours, summary.trace_hash);
            writeln!(out, "seed {seed}: no failure in {} steps, {hours} hours, log position {position}", cli.steps)?;
            writeln!(out, "  trace {hash:016x}")?;
            for outcome in Outcome::ALL {
                writeln!(out, "  {:>7} {outcome:?}", summary.tally.of(outcome))?;
            }
            Ok(true)
        }
        Err(failure) => {
            writeln!(out, "{failure}")?;
            writeln!(out, "  trace {:016x}", failure.trace_hash)?;
            Ok(false)
        }
    }
}
