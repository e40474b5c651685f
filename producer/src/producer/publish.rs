//! The steps of a cycle after populate, in order, and the snapshot that may be due after them.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use cenote_state::ids::Version;
use cenote_store::env::Instant;
use cenote_store::log::names::Folder;

use super::Producer;
use crate::cycle::commit::CommitNotes;
use crate::cycle::populate::Input;
use crate::cycle::validate::ValidationContext;
use crate::cycle::verify::Verified;
use crate::error::CycleCause;
use crate::report::{CommitReport, Cycled};
use crate::snapshot::{SnapshotPolicy, is_due};

/// What a version holds besides its records.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) tags: BTreeMap<String, String>,
    pub(super) republishes: Option<Version>,
}

impl Producer {
    /// Publishes the input, and notes the result in metrics and the program's log.
    pub(super) async fn publish(&mut self, input: Input, notes: Notes, started: Instant) -> Result<Cycled, CycleCause> {
        let published = self.steps(input, notes, started).await;
        match &published {
            Ok(Cycled::Committed(report)) => {
                self.metrics.committed(report);
                tracing::info!(version = %report.version, changes = %report, took = ?report.took, "committed");
                self.start_snapshot_if_due();
            }
            Ok(Cycled::Unchanged(_)) => self.metrics.unchanged(),
            Err(error) => {
                self.metrics.failed();
                tracing::warn!(error = error as &dyn Error, "nothing was committed");
            }
        }
        published
    }

    async fn steps(&mut self, input: Input, notes: Notes, started: Instant) -> Result<Cycled, CycleCause> {
        let verified = self.verified(input).await?;
        let (log, committed) = (self.chain.log(), self.chain.committed());
        if verified.bytes.is_none() && verified.after.schema() == committed.state.schema() {
            return Ok(Cycled::Unchanged(self.chain.token()));
        }
        let env = &self.settings.env;
        let context = ValidationContext {
            binding: self.types.binding.clone(),
            committed_at: committed.committed_at,
            now: env.now(),
        };
        let validators = if notes.republishes.is_some() { Arc::new([]) } else { Arc::clone(&self.settings.validators) };
        let validated = env.cpu(move || verified.validate(&validators, &context)).await??;
        let proposal = validated.propose(CommitNotes {
            tags: notes.tags,
            republishes: notes.republishes,
            parent_schema: committed.state.schema().as_ref().clone(),
            parent_digest: log.log_state().digest,
            blob: log.object_name(Folder::Blobs, None),
        });
        let mut report = CommitReport::of(&proposal.next, log.log_state().dataset);
        report.version = self.chain.commit(proposal).await?;
        report.took = self.settings.env.instant() - started;
        Ok(Cycled::Committed(report))
    }

    /// Diff, encode, verify: off the async threads.
    async fn verified(&self, input: Input) -> Result<Verified, CycleCause> {
        if let Some(duplicates) = input.duplicate_keys() {
            return Err(duplicates.into());
        }
        let (log_state, threads) = (self.chain.log().log_state(), self.settings.env.threads());
        let (dataset, version) = (log_state.dataset, Version(log_state.position.next().0));
        let steps = move || -> Result<Verified, CycleCause> {
            Ok(input.diff()?.encode(dataset, threads).verify(version, threads)?)
        };
        self.settings.env.cpu(steps).await?
    }

    fn start_snapshot_if_due(&mut self) {
        let is_auto = self.settings.snapshots == SnapshotPolicy::Auto;
        if is_auto && self.snapshots.is_idle() && is_due(self.chain.log().log_state()) {
            self.start_snapshot();
        }
    }
}
