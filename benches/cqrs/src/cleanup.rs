//! Removes what a part has created at a server when the part is dropped.
//!
//! A destructor can't wait in async code, and servers outlive the run, so the removal runs on a separate thread, with a time
//! limit. A server that is gone has nothing to remove; `benches/cqrs/services/down` removes what a killed run has left.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::{Answer, clock};

/// The time limit.
const PATIENCE: Duration = Duration::from_secs(5);

/// Does `work` and waits for it.
pub(super) fn in_destructor<F: Future<Output = Answer<()>>>(work: impl FnOnce() -> F + Send) {
    let run = || -> Answer<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async { clock::timeout(PATIENCE, work()).await }).unwrap_or(Ok(()))
    };
    std::thread::scope(|scope| drop(scope.spawn(run).join()));
}

/// A name at a server that no other part uses: `cqrs_PROCESS_NUMBER_what`.
pub(super) fn unique_name(what: &str) -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    format!("cqrs_{}_{}_{what}", std::process::id(), NUMBER.fetch_add(1, Relaxed))
}
