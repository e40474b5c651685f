//! The steps of a cycle after populate, in order, and the snapshot that may be due after them.

use std::error::Error;

use cenote_state::ids::Version;
#[cfg(feature = "cli")]
use cenote_state::state::State;
use cenote_store::env::Instant;
use cenote_store::log::names::Folder;

use super::Producer;
use crate::BoxError;
use crate::cycle::commit::{CommitNotes, Next};
use crate::cycle::populate::Input;
use crate::error::CycleCause;
use crate::ground::{Ground, Tags};
use crate::open::start;
use crate::report::{CommitReport, Cycled};
#[cfg(feature = "cli")]
use crate::republish;
use crate::snapshot::{SnapshotPolicy, is_due};
use crate::update::Update;
use crate::writer::Writer;

/// What a version holds besides its records.
#[derive(Default)]
struct Notes {
    tags: Tags,
    republishes: Option<Version>,
}

impl Producer {
    pub(super) async fn cycle_steps<F>(&mut self, fill: F) -> Result<Cycled, CycleCause>
    where
        F: AsyncFnOnce(&mut Writer) -> Result<(), BoxError>,
    {
        let started = self.settings.env.instant();
        self.ready().await?;
        let (input, tags) = self.ground().filled(fill).await?;
        self.steps(input, Notes { tags, republishes: None }, started).await
    }

    pub(super) async fn update_steps<R>(
        &mut self,
        change: impl FnOnce(&mut Update) -> Result<R, BoxError>,
    ) -> Result<(R, Cycled), CycleCause> {
        let started = self.settings.env.instant();
        self.ready().await?;
        let (input, tags, value) = self.ground().changed(change)?;
        // A dataset that has nothing yet does not begin with nothing.
        if self.version() == Version::EMPTY && input.is_empty() {
            return Ok((value, Cycled::Unchanged(self.chain.token())));
        }
        Ok((value, self.steps(input, Notes { tags, republishes: None }, started).await?))
    }

    pub(super) async fn republish_steps(&mut self, version: Version) -> Result<Cycled, CycleCause> {
        let started = self.settings.env.instant();
        self.ready().await?;
        // Snapshots and trims are made in the background, so this producer's picture of the log may be old.
        let reader = start(self.chain.log().storage(), &self.settings.writer).await;
        let reader = reader.map_err(|source| CycleCause::Republish { version, source: Box::new(source) })?;
        let input = self.ground().republished(&reader, version).await?;
        self.steps(input, Notes { republishes: Some(version), ..Notes::default() }, started).await
    }

    #[cfg(feature = "cli")]
    pub(super) async fn adopt_steps(&mut self, old: State, tags: Tags) -> Result<Cycled, CycleCause> {
        let started = self.settings.env.instant();
        self.ready().await?;
        let (base, threads) = (self.chain.base().clone(), self.settings.env.threads());
        let input = self.settings.env.cpu(move || republish::input(base, &old, threads)).await??;
        self.steps(input, Notes { tags, republishes: None }, started).await
    }

    /// That nothing of an earlier call is under way, and that the producer may write.
    async fn ready(&mut self) -> Result<(), CycleCause> {
        if self.chain.is_closed() {
            return Err(CycleCause::Closed);
        }
        self.chain.settle().await.map(drop)
    }

    /// What the next version is made on.
    fn ground(&self) -> Ground<'_> {
        let log_state = self.chain.log().log_state();
        Ground {
            committed: self.chain.committed(),
            base: self.chain.base(),
            types: &self.types,
            settings: &self.settings,
            metrics: &self.metrics,
            dataset: log_state.dataset,
            next: Version(log_state.position.next().0),
        }
    }

    /// Notes the result of a call in metrics and the program's log.
    pub(super) fn note(&mut self, result: Result<&Cycled, &CycleCause>) {
        match result {
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
    }

    async fn steps(&mut self, input: Input, notes: Notes, started: Instant) -> Result<Cycled, CycleCause> {
        let Some(validated) = self.ground().validated(input, notes.republishes).await? else {
            return Ok(Cycled::Unchanged(self.chain.token()));
        };
        let (log, committed) = (self.chain.log(), self.chain.committed());
        let tags = notes.tags.clone();
        let proposal = validated.propose(CommitNotes {
            tags: notes.tags,
            republishes: notes.republishes,
            parent_schema: committed.state.schema().as_ref().clone(),
            parent_digest: log.log_state().digest,
            blob: log.object_name(Folder::Blobs, None),
        });
        let Next { state, updates, delta_bytes, schema_changed } = &proposal.next;
        let dataset = log.log_state().dataset;
        let mut report = CommitReport::of(state, updates, *delta_bytes, *schema_changed, (dataset, tags));
        report.version = self.chain.commit(proposal).await?;
        report.took = self.settings.env.instant() - started;
        Ok(Cycled::Committed(report))
    }

    fn start_snapshot_if_due(&mut self) {
        let is_auto = self.settings.snapshots == SnapshotPolicy::Auto;
        let log_state = self.chain.log().log_state();
        let is_damaged =
            log_state.newest_snapshot().is_some_and(|kept| self.damaged.contains(&kept.snapshot.object.name));
        if is_auto && self.snapshots.is_idle() && (is_damaged || is_due(log_state)) {
            self.start_snapshot();
        }
    }
}
