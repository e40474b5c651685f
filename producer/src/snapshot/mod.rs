//! Snapshots: when the producer makes one, and the one that it makes in the background.
//!
//! A commit never waits for a snapshot. At most one is made at a time.

mod job;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cenote_state::ids::Version;
use cenote_store::env::{Env, Task};
use cenote_store::error::{ErrorKind, with_sources};
use cenote_store::log::LogState;
use cenote_store::log::plan::{CostModel, is_snapshot_due};
use cenote_store::log::retention::Trimmed;

use crate::error::{SnapshotCause, SnapshotError};
use crate::metrics::Metrics;
pub(crate) use job::{Job, settled};

/// When snapshots are made.
///
/// ```
/// # use cenote_producer::{Producer, Record};
/// use cenote_producer::SnapshotPolicy;
///
/// # #[derive(Record)]
/// # #[record(key = "id")]
/// # struct Movie { id: u64 }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cenote_producer::BoxError> {
/// let builder = Producer::builder("memory://snapshot-policy").with::<Movie>();
/// let mut producer = builder.snapshots(SnapshotPolicy::Manual).open().await?;
/// producer.update(|changes| Ok(changes.upsert(&Movie { id: 1 })?)).await?;
/// producer.snapshot().await?; // none is made without this call
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnapshotPolicy {
    /// In the background after a commit, when a start from the newest snapshot and its deltas costs twice what a start
    /// from a new snapshot would.
    #[default]
    Auto,
    /// Only by [`Producer::snapshot`](crate::Producer::snapshot).
    Manual,
}

/// A snapshot that was made, or was there already.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SnapshotReport {
    /// The version whose state it holds.
    pub version: Version,
    /// The object's size.
    pub bytes: u64,
    /// The time from encoding to the log entry that names it.
    pub took: Duration,
    /// What retention removed after it.
    pub trimmed: Trimmed,
    /// Whether it was made now; otherwise the log named one of this version already, and nothing was written.
    pub made: bool,
}

/// Why the last snapshot was not made, or the log not trimmed after it: see [`Status`](crate::Status).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotFailure {
    /// The version that it was of.
    pub version: Version,
    /// How many failed since one was made, this one included.
    pub in_a_row: u64,
    /// What the program or its operator can do.
    pub kind: ErrorKind,
    /// What happened.
    pub message: String,
}

/// Requests that a start may make for deltas before a new snapshot is worth its cost, whatever their size.
const ENTRIES_MIN: u64 = 16;

/// Whether a new snapshot is due.
///
/// By the planner's formula a request weighs megabytes, so that a small dataset would get a snapshot with nearly every
/// commit. So a snapshot also takes a number of entries, or as many bytes as the last snapshot has.
pub(crate) fn is_due(log_state: &LogState) -> bool {
    let is_worth_it = log_state.newest_snapshot().is_none_or(|newest| {
        let deltas = log_state.cost_at(log_state.version) - newest.cost;
        deltas.requests >= ENTRIES_MIN || deltas.bytes >= newest.snapshot.object.length
    });
    is_worth_it && is_snapshot_due(log_state, &CostModel::default())
}

/// The snapshot that is being made, if there is one. Dropping it stops the work.
#[derive(Default)]
pub(crate) struct Snapshots {
    running: Option<Task<Result<SnapshotReport, SnapshotCause>>>,
    failure: Arc<Mutex<Option<SnapshotFailure>>>,
}

impl Snapshots {
    /// Whether none is being made.
    pub(crate) fn is_idle(&self) -> bool {
        self.running.as_ref().is_none_or(|running| running.is_finished())
    }

    /// Why the last one failed, if it did.
    pub(crate) fn failure(&self) -> Option<SnapshotFailure> {
        self.failure.lock().expect("nothing panics while it holds this lock").clone()
    }

    /// Makes one.
    pub(crate) fn start(&mut self, env: &Env, job: Job, metrics: Metrics) {
        let (failure, version) = (Arc::clone(&self.failure), job.state.version());
        self.running = Some(env.spawn(async move {
            let result = job.run().await;
            let mut failure = failure.lock().expect("nothing panics while it holds this lock");
            match &result {
                Ok(report) => {
                    metrics.snapshot_made(report.bytes);
                    *failure = None;
                }
                Err(cause) => {
                    metrics.snapshot_failed();
                    let (kind, error) = (cause.kind(), cause as &dyn std::error::Error);
                    tracing::warn!(error, %version, "the snapshot was not made");
                    let in_a_row = failure.as_ref().map_or(0, |before| before.in_a_row) + 1;
                    *failure = Some(SnapshotFailure { version, in_a_row, kind, message: with_sources(cause) });
                }
            }
            drop(failure);
            result
        }));
    }

    /// Waits for the one that is being made.
    pub(crate) async fn finished(&mut self) -> Option<Result<SnapshotReport, SnapshotError>> {
        let running = self.running.as_mut()?;
        let result = running.await.unwrap_or(Err(SnapshotCause::Stopped));
        self.running = None;
        Some(result.map_err(SnapshotError::from))
    }
}

impl Drop for Snapshots {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}
