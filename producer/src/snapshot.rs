//! Snapshots, made in the background, and what may go once there is a new one.
//!
//! The work goes through a log writer of its own, which takes part in the producer's epoch, so that a commit never
//! waits for a snapshot. Whichever entry comes second moves on to the next position.
//!
//! Rules: a snapshot is read back from storage, every record of it hashed again, and its digest compared with its
//! commit's before an entry names it (rule 7); retention comes after, and keeps what the settings say (rule 4).

use std::time::Duration;

use cenote_state::blob::encode_snapshot;
use cenote_state::digest::{Sums, state_digest};
use cenote_state::ids::{Timestamp, Version};
use cenote_state::state::State;
use cenote_store::env::{Env, Instant, Task};
use cenote_store::load::{self, SnapshotToLoad};
use cenote_store::log::names::Folder;
use cenote_store::log::plan::{CostModel, is_snapshot_due};
use cenote_store::log::retention::{self, Keep, Trimmed};
use cenote_store::log::{Body, LogReader, LogWriter, NewObject, Outcome, Outline, Snapshot};

use crate::error::{SnapshotError, Unknown};

/// When snapshots are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Snapshots {
    /// When starting from the newest one and its deltas would cost twice what a new one costs: in the background, after
    /// a commit.
    #[default]
    WhenDue,
    /// Only by [`Producer::snapshot`](crate::Producer::snapshot).
    ByHand,
}

/// What a snapshot took.
#[derive(Clone, Debug)]
pub struct SnapshotReport {
    /// The version whose state it is.
    pub version: Version,
    /// The object's size.
    pub bytes: u64,
    /// From encoding to the entry that names it.
    pub took: Duration,
    /// What went after it.
    pub trimmed: Trimmed,
}

/// Requests that a start may make for deltas before a new snapshot is worth its own, whatever they cost.
const ENTRIES_MIN: u64 = 16;

/// Whether a new snapshot is due.
///
/// By the planner's formula a request weighs megabytes, so that a small dataset would get a snapshot with nearly every
/// commit: it also takes some entries, or as many bytes as a snapshot has.
pub(crate) fn is_due(outline: &Outline) -> bool {
    let worth = outline.newest_snapshot().is_none_or(|newest| {
        let deltas = outline.cost_at(outline.version) - newest.cost;
        deltas.requests >= ENTRIES_MIN || deltas.bytes >= newest.snapshot.object.length
    });
    worth && is_snapshot_due(outline, &CostModel::default())
}

/// One snapshot to make.
pub(crate) struct Job {
    pub(crate) env: Env,
    /// Where the log stood when the job was made, and the storage.
    pub(crate) reader: LogReader,
    /// Joined to the log in the producer's epoch.
    pub(crate) writer: LogWriter,
    pub(crate) state: State,
    pub(crate) committed_at: Timestamp,
    pub(crate) keep: Keep,
    pub(crate) bytes_max: u64,
}

/// A job under way.
pub(crate) type Running = Task<Result<SnapshotReport, SnapshotError>>;

impl Job {
    /// Makes it, names it, trims.
    pub(crate) async fn run(mut self) -> Result<SnapshotReport, SnapshotError> {
        let started = self.env.instant();
        let snapshot = self.write().await?;
        self.prove(&snapshot).await?;
        let (version, bytes) = (snapshot.version, snapshot.object.length);
        settled(self.writer.append(Body::Snapshot(snapshot)).await?)?;
        let took = self.since(started);
        let trimmed = self.trim().await?;
        metrics::counter!("cenote_producer_snapshots_total").increment(1);
        metrics::gauge!("cenote_producer_snapshot_bytes").set(bytes as f64);
        tracing::info!(%version, bytes, ?took, floor = %trimmed.floor, "snapshot made");
        Ok(SnapshotReport { version, bytes, took, trimmed })
    }

    /// Lets go of what nobody needs any more, once a snapshot goes with it. Entries before the oldest snapshot stay
    /// until then: a reader that is a little behind goes on by them.
    async fn trim(&mut self) -> Result<Trimmed, SnapshotError> {
        let outline = self.writer.outline();
        let day = u64::try_from(self.keep.younger_than.as_millis()).unwrap_or(u64::MAX);
        let younger_than = Timestamp(self.env.now().0.saturating_sub(day));
        let floor = self.writer.rules().floor_limit(outline, self.keep.snapshots, younger_than);
        let oldest = outline.snapshots.first().map(|kept| kept.snapshot.version.position().next());
        if oldest.is_none_or(|oldest| floor <= oldest) {
            return Ok(Trimmed { floor: outline.floor, ..Trimmed::default() });
        }
        Ok(retention::trim(&mut self.writer, &self.keep).await?)
    }

    async fn write(&self) -> Result<Snapshot, SnapshotError> {
        let (dataset, threads, state) = (self.reader.outline().dataset, self.env.threads(), self.state.clone());
        let blob = self.env.cpu(move || encode_snapshot(dataset, &state, threads)).await?;
        let version = self.state.version();
        let name = self.writer.object_name(Folder::Snapshots, Some(version));
        let object = NewObject { name, parts: blob.parts };
        let reference = object.reference();
        self.reader.storage().put_large(&reference.name, object.parts).await?;
        let (digest, committed_at) = (self.state.digest(), self.committed_at);
        Ok(Snapshot { version, object: reference, digest, committed_at })
    }

    async fn prove(&self, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        let rules = self.writer.rules();
        if !rules.reads_back() {
            return Ok(());
        }
        let what = SnapshotToLoad {
            dataset: self.reader.outline().dataset,
            snapshot: snapshot.clone(),
            bytes_max: self.bytes_max,
            seed: self.state.seed(),
        };
        let (read, _) = load::snapshot(self.reader.storage(), &self.env, &what, &|_, _| {}).await?;
        let found = self.env.cpu(move || recomputed_digest(&read)).await?;
        if rules.is_proven(snapshot.digest, found) {
            return Ok(());
        }
        Err(SnapshotError::Digest { version: snapshot.version, expected: snapshot.digest, found })
    }

    fn since(&self, started: Instant) -> Duration {
        self.env.instant() - started
    }
}

fn settled(outcome: Outcome) -> Result<(), SnapshotError> {
    match outcome {
        Outcome::Committed(_) => Ok(()),
        Outcome::Lost(lost) => Err(lost.into()),
        Outcome::Fenced(fenced) => Err(fenced.into()),
        Outcome::Unknown(pending) => Err(Unknown::of(&pending).into()),
    }
}

/// The state's digest from its records, not from the sums that it carries.
fn recomputed_digest(state: &State) -> u128 {
    let mut scratch = Vec::new();
    state_digest(state.tables().iter().map(|table| {
        let mut sums = Sums::new(table.layout().columns.len());
        for ordinal in table.ordinals() {
            let row = table.row(ordinal).expect("a live ordinal has a row");
            sums.add_stored(ordinal, row, &mut scratch);
        }
        (table.layout().type_id, sums.total())
    }))
}
