//! Real time and real tasks, and the one place where the baseline asks for them.
//!
//! Cenote gets its time from `Env`, so that a simulation can control it; a baseline of databases and brokers can't be
//! simulated, and what is measured here is real time.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::domain::Micros;
pub use cenote_bench_support::clock::now;

/// Microseconds since 1970.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "messages carry the wall clock's time, as they do in production")]
pub fn wall() -> Micros {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// Waits.
#[expect(clippy::disallowed_methods, reason = "waits for real parts, in real time")]
pub async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Waits for `future`; `None` if it takes longer than `duration`.
#[expect(clippy::disallowed_methods, reason = "waits for real parts, in real time")]
pub async fn timeout<F: Future>(duration: Duration, future: F) -> Option<F::Output> {
    tokio::time::timeout(duration, future).await.ok()
}

/// Runs `future` concurrently with the caller.
#[expect(clippy::disallowed_methods, reason = "runs parts concurrently, as processes would")]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(future)
}

/// Runs blocking work off the async threads.
///
/// # Panics
/// If `work` does.
#[expect(clippy::disallowed_methods, reason = "embedded databases block")]
pub async fn blocking<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
    tokio::task::spawn_blocking(work).await.expect("blocking work does not panic")
}
