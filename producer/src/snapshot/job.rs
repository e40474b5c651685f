//! Making one snapshot: write it, prove it, name it in the log, trim the log.
//!
//! The job has a log writer next to the producer's, so that a commit never waits for a snapshot, only for the moment in
//! which the snapshot's entry is put.
//!
//! Rules: a snapshot is read back from storage, its records are hashed again, and its digest is compared with its commit's
//! before an entry names it; the log is trimmed after that, and retention decides what is kept.

use std::time::Duration;

use cenote_state::blob::encode_snapshot;
use cenote_state::digest::{Sums, state_digest};
use cenote_state::held::Selection;
use cenote_state::ids::Timestamp;
use cenote_state::state::State;
use cenote_store::env::{Env, Instant};
use cenote_store::load::{self, SnapshotToLoad};
use cenote_store::log::names::Folder;
use cenote_store::log::retention::{self, Retention, Trimmed};
use cenote_store::log::{Body, LogWriter, ObjectRef, Outcome, Snapshot};

use super::SnapshotReport;
use crate::error::{SnapshotCause, Unknown};

/// One snapshot to make.
pub(crate) struct Job {
    pub(crate) env: Env,
    /// Next to the producer's.
    pub(crate) writer: LogWriter,
    pub(crate) state: State,
    pub(crate) committed_at: Timestamp,
    pub(crate) retention: Retention,
    pub(crate) bytes_max: u64,
}

impl Job {
    /// Makes it, names it, trims.
    pub(crate) async fn run(mut self) -> Result<SnapshotReport, SnapshotCause> {
        let started = self.env.instant();
        let snapshot = self.write().await?;
        if let Err(error) = self.prove(&snapshot).await {
            // No entry names it, and none will.
            let _ = self.writer.storage().delete(&snapshot.object.name).await;
            return Err(error);
        }
        let (version, bytes) = (snapshot.version, snapshot.object.length);
        let (name, entry) = (snapshot.object.name.clone(), self.writer.append(Body::Snapshot(snapshot)).await);
        if let Err(error) = entry.map_err(SnapshotCause::from).and_then(settled) {
            if !error.may_be_named() {
                let _ = self.writer.storage().delete(&name).await;
            }
            return Err(error);
        }
        let took = self.since(started);
        let trimmed = self.trim().await?;
        tracing::info!(%version, bytes, ?took, log_start = %trimmed.log_start, "snapshot made");
        Ok(SnapshotReport { version, bytes, took, trimmed, made: true })
    }

    /// Trims the log if that removes a snapshot. Entries before the oldest snapshot are kept until then, because a reader
    /// that is a little late still needs them.
    async fn trim(&mut self) -> Result<Trimmed, SnapshotCause> {
        let log_state = self.writer.log_state();
        let log_start = retention::wanted_log_start(&self.writer, &self.retention);
        let oldest = log_state.snapshots.first().map(|kept| kept.snapshot.version.position().next());
        if oldest.is_none_or(|oldest| log_start <= oldest) {
            return Ok(Trimmed { log_start: log_state.log_start, ..Trimmed::default() });
        }
        Ok(retention::trim(&mut self.writer, &self.retention).await?)
    }

    async fn write(&self) -> Result<Snapshot, SnapshotCause> {
        let (dataset, threads, state) = (self.writer.log_state().dataset, self.env.threads(), self.state.clone());
        let blob = self.env.cpu(move || encode_snapshot(dataset, &state, threads)).await?;
        let version = self.state.version();
        let name = self.writer.object_name(Folder::Snapshots, Some(version));
        let reference = ObjectRef::of_snapshot(&name, &blob);
        self.writer.storage().put_large(&reference.name, blob.parts).await?;
        let (digest, committed_at) = (self.state.digest(), self.committed_at);
        Ok(Snapshot { version, object: reference, digest, committed_at })
    }

    async fn prove(&self, snapshot: &Snapshot) -> Result<(), SnapshotCause> {
        let rules = self.writer.rules();
        if !rules.reads_back() {
            return Ok(());
        }
        let what = SnapshotToLoad {
            dataset: self.writer.log_state().dataset,
            snapshot: snapshot.clone(),
            selection: Selection::Whole,
            bytes_max: self.bytes_max,
            seed: self.state.seed(),
        };
        let (read, _) = load::snapshot(self.writer.storage(), &self.env, &what, &|_, _| {}).await?;
        let found = self.env.cpu(move || recomputed_digest(&read)).await?;
        if rules.is_proven(snapshot.digest, found) {
            return Ok(());
        }
        Err(SnapshotCause::Digest { version: snapshot.version, expected: snapshot.digest, found })
    }

    fn since(&self, started: Instant) -> Duration {
        self.env.instant() - started
    }
}

/// The error of an entry that was not committed.
pub(crate) fn settled(outcome: Outcome) -> Result<(), SnapshotCause> {
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
