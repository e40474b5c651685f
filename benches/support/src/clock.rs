//! The real clock, and the one place where the benches read it.
//!
//! The engine goes through its `Env`, so that a simulation can own time. A measurement must not.

use std::thread;
use std::time::{Duration, Instant};

/// The current time of the machine's monotonic clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "measures real time")]
pub fn now() -> Instant {
    Instant::now()
}

/// Blocks this thread.
#[expect(clippy::disallowed_methods, reason = "waits for other processes, in real time")]
pub fn sleep(duration: Duration) {
    thread::sleep(duration);
}

/// Runs the work and returns how long it took, in seconds, with its result.
pub fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let start = now();
    let result = work();
    (start.elapsed().as_secs_f64(), result)
}
