//! A deterministic simulation: producers, consumers and retention jobs over a faulty store, in an order that a seed decides.
//!
//! It runs on one thread in virtual time, and every draw is seeded: hours pass in a second, and the same seed gives the same
//! trace, line by line, so that a failure can be repeated. Each rule of order can be broken on purpose; the simulation must
//! then fail.
//!
//! The files: `driver` draws steps and lets time pass; `producers`, `consumers` and `retention` are the actors, each in a
//! `slot`; `model` knows what each commit should hold and which answer its caller got; `audit` reads the log with separate
//! code; `store_faults` damages the store; `recovery` ends all faults and checks that everything works again.
//!
//! Rules: no real clock, no unseeded number, no iteration over an unordered map.

#![forbid(unsafe_code)]

mod audit;
mod consumers;
mod context;
mod driver;
mod model;
mod producers;
mod record;
mod recovery;
mod retention;
mod rng;
mod slot;
mod store_faults;
mod tally;

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use cenote_store::log::Rule;
pub use tally::{Outcome, Tally};

/// What to simulate.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The seed, which decides everything.
    pub seed: u64,
    /// The number of steps.
    pub steps: u64,
    /// A rule of order that no actor keeps.
    pub broken: Option<Rule>,
}

/// The result of a run without a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The hash of all lines of the trace.
    pub trace_hash: u64,
    /// How often each outcome occurred.
    pub tally: Tally,
    /// The newest position of the log at the end.
    pub position: u64,
    /// The virtual time that passed, in hours.
    pub hours: u64,
}

/// Something happened that must not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The seed, with which it happens again.
    pub seed: u64,
    /// The step.
    pub step: u64,
    /// What happened.
    pub what: String,
    /// The hash of the trace up to there.
    pub trace_hash: u64,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {} failed at step {}: {}", self.seed, self.step, self.what)
    }
}

impl std::error::Error for Failure {}

/// Runs the simulation; `log` gets every line of the trace.
///
/// # Errors
/// The first thing that must not happen.
pub fn run(plan: Plan, log: &mut dyn FnMut(&str)) -> Result<Summary, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime without files or threads can be made");
    let context = runtime.block_on(async { context::Context::new(plan) });
    let local = tokio::task::LocalSet::new();
    // A panic of the engine is a failure like others, and has a seed.
    let done = catch_unwind(AssertUnwindSafe(|| {
        local.block_on(&runtime, driver::drive(context.clone(), log));
    }));
    if let Err(panic) = done {
        context.fail(format!("a panic: {}", message(&*panic)));
    }
    let result = context.result();
    // Actors hold the context and must be dropped before the runtime that they wait on.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(local)));
    result
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
