//! `cqrs`: event-driven read sides and the engine's, with the same commands and queries.
//!
//! The parts are in place (`cenote_benches::cqrs`); the strategies, the measuring and the faults follow.

fn main() {}
