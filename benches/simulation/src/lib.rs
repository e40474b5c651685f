//! The simulation: producers, a janitor and consumers over a store that misbehaves, under one seeded scheduler.
//!
//! Whatever can go wrong in a night goes wrong in a second here, in an order that the seed alone decides: one thread,
//! virtual time, seeded draws. The same seed gives the same trace, line by line, so a failure is found once and seen as
//! often as one likes. Each rule of order can be broken on purpose, and something must then be seen to fail.
//!
//! The files, by who does what: [`driver`](self) draws a step and lets time pass; `producers`, `consumers` and `janitor`
//! are the engine's users; `book` knows what each commit should hold and what its caller was told; `audit` walks the
//! log with code of its own; `mishaps` are what befalls the store; `quiet` is the calm in which all must be well again.
//!
//! Rules: nothing here reads a real clock, draws an unseeded number, or walks a map without an order.

#![forbid(unsafe_code)]

mod audit;
mod book;
mod consumers;
mod dice;
mod driver;
mod janitor;
mod mishaps;
mod producers;
mod quiet;
mod record;
mod slot;
mod tally;
mod world;

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use cenote_store::log::Rule;
pub use tally::{Outcome, Tally};

/// What to simulate.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Decides everything.
    pub seed: u64,
    /// How many steps.
    pub steps: u64,
    /// A rule of order that nobody keeps.
    pub broken: Option<Rule>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Of every line of the trace.
    pub trace_hash: u64,
    /// How often each outcome was seen.
    pub tally: Tally,
    /// The log's newest position at the end.
    pub position: u64,
    /// How much virtual time went by, in hours.
    pub hours: u64,
}

/// Something that must not happen did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The seed, to see it again.
    pub seed: u64,
    /// When.
    pub step: u64,
    /// What.
    pub what: String,
    /// The trace up to there.
    pub trace_hash: u64,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {} failed at step {}: {}", self.seed, self.step, self.what)
    }
}

impl std::error::Error for Failure {}

/// Simulates; `tell` hears every line of the trace.
///
/// # Errors
/// The first thing that must not happen.
pub fn run(plan: Plan, tell: &mut dyn FnMut(&str)) -> Result<Summary, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime without files or threads can be made");
    let world = runtime.block_on(async { world::World::new(plan) });
    let local = tokio::task::LocalSet::new();
    // A panic of the engine's is a failure like others, and has its seed.
    let done = catch_unwind(AssertUnwindSafe(|| {
        local.block_on(&runtime, driver::drive(world.clone(), tell));
    }));
    if let Err(panic) = done {
        world.fail(format!("a panic: {}", message(&*panic)));
    }
    let result = world.result();
    // Actors hold the world; they go before the runtime that they wait on.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(local)));
    result
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
