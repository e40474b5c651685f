//! Stores that fail, count, stop or delay requests: for tests and simulations only.
//!
//! Each is a handle (cheap to clone) that wraps a [`Storage`](cenote_store::storage::Storage); the test keeps the handle
//! to script it and to read its counts. They share one interception (`intercept`) and can wrap each other.
//!
//! Rules: all waiting and all chance go through [`Env`](cenote_store::env::Env), so that a seed replays; keys are names
//! relative to the dataset.

mod counting;
mod faulty;
mod intercept;
mod latency;
mod stale;
mod steps;
#[cfg(test)]
mod tests;

pub use counting::{CountingStore, Counts};
pub use faulty::{Fault, FaultyStore, Odds, Rule};
pub use intercept::RequestKind;
pub use latency::{Latency, LatencyStore};
pub use stale::StaleStore;
pub use steps::{Moment, Step, StepStore};
