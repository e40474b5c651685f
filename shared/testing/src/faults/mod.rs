//! Stores that misbehave, count, stop, or take their time: for tests and simulations only.
//!
//! Each is a handle (cheap to clone) that wraps a [`Storage`](cenote_store::storage::Storage) and stays in the test's hands: script it,
//! ask it. They share one interception (`intercept`) and nest: wrap the wrapped.
//!
//! Rules: all waiting and all chance go through [`Env`](cenote_store::env::Env), so that a seed replays; keys are names
//! relative to the dataset.

mod counting;
mod faulty;
mod intercept;
mod latency;
mod steps;
#[cfg(test)]
mod tests;

pub use counting::{CountingStore, Counts};
pub use faulty::{Fault, FaultyStore, Odds, Rule};
pub use intercept::RequestKind;
pub use latency::{Latency, LatencyStore};
pub use steps::{Moment, Step, StepStore};
