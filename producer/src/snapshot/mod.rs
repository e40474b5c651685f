//! Snapshots: when the producer makes one, and the one that it makes in the background.
//!
//! A commit never waits for a snapshot. At most one is made at a time.

mod job;

use std::time::Duration;

use cenote_state::ids::Version;
use cenote_store::env::{Env, Task};
use cenote_store::log::LogState;
use cenote_store::log::plan::{CostModel, is_snapshot_due};
use cenote_store::log::retention::Trimmed;

use crate::error::{SnapshotCause, SnapshotError};
use crate::metrics::Metrics;
pub(crate) use job::Job;

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

/// A snapshot that was made.
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
}

impl Snapshots {
    /// Whether none is being made.
    pub(crate) fn is_idle(&self) -> bool {
        self.running.as_ref().is_none_or(|running| running.is_finished())
    }

    /// Makes one.
    pub(crate) fn start(&mut self, env: &Env, job: Job, metrics: Metrics) {
        self.running = Some(env.spawn(async move {
            let result = job.run().await;
            match &result {
                Ok(report) => metrics.snapshot_made(report.bytes),
                Err(error) => {
                    metrics.snapshot_failed();
                    let error = error as &dyn std::error::Error;
                    tracing::warn!(error, "the snapshot was not made");
                }
            }
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
