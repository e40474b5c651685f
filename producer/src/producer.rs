//! The producer: holds a dataset, and turns what it is given into versions.
//!
//! It owns the log's tail and the newest state, and does one thing at a time. What is about to be put is kept here
//! first, so that a future that is dropped loses nothing: the next call settles it before anything else (rule 2).

use std::collections::BTreeMap;
use std::sync::Arc;

use cenote_state::ids::{DatasetId, Epoch, TypeId, Version};
use cenote_state::record::Binding;
use cenote_state::schema::Schema;
use cenote_state::state::State;
use cenote_state::view::View;
use cenote_store::env::{Env, Task};
use cenote_store::log::names::Folder;
use cenote_store::log::retention::Keep;
use cenote_store::log::{Kind, LogReader, LogWriter, Lost, Outcome, Pending, WriterOptions};
use cenote_store::storage::Storage;

use crate::BoxError;
use crate::base::Base;
use crate::builder::{Place, ProducerBuilder};
use crate::cycle::commit::{CommitNotes, Next, Proposal};
use crate::cycle::populate::Input;
use crate::cycle::validate::Exhibit;
use crate::cycle::verify::Verified;
use crate::error::{CycleError, SnapshotError, Unknown};
use crate::load::{Loaded, Loader};
use crate::open::start;
use crate::report::{Cycled, Report, Settled, Updated};
use crate::republish;
use crate::snapshot::{Job, Running, SnapshotReport, Snapshots, is_due};
use crate::typed::Typed;
use crate::update::Update;
use crate::validators::Validator;
use crate::writer::Writer;

/// Holds a dataset and publishes its versions. See the [crate's page](crate) for the story.
///
/// Every method that writes is safe to drop half-way: the next one settles what was under way. Dropping the producer
/// stops its background work; [`close`](Producer::close) also tells others that the dataset is free.
pub struct Producer {
    pub(crate) env: Env,
    pub(crate) log: LogWriter,
    /// Held, so that it ends with us.
    pub(crate) _heartbeat: Heartbeat,
    pub(crate) loader: Loader,
    /// The newest committed version, as readers have it.
    pub(crate) committed: Loaded,
    /// The same under the schema of the next commit, and what is known about it.
    pub(crate) base: Base,
    pub(crate) binding: Arc<Binding>,
    pub(crate) roots: Arc<[TypeId]>,
    pub(crate) validators: Arc<[Arc<dyn Validator>]>,
    pub(crate) in_flight: Option<Next>,
    pub(crate) snapshots: Snapshots,
    pub(crate) keep: Keep,
    pub(crate) running: Option<Running>,
    pub(crate) options: WriterOptions,
}

/// What a version says beside its records.
#[derive(Default)]
struct Notes {
    tags: BTreeMap<String, String>,
    republishes: Option<Version>,
}

impl Producer {
    /// A producer for the dataset at `url`: `s3://bucket/path`, `file:///path`, a plain path, `memory://name`, …
    pub fn builder(url: impl Into<String>) -> ProducerBuilder {
        ProducerBuilder::new(Place::Url(url.into(), Vec::new()))
    }

    /// A producer for a dataset on a storage that one has.
    pub fn on(storage: Storage) -> ProducerBuilder {
        ProducerBuilder::new(Place::Storage(storage))
    }

    /// Publishes the whole dataset: the records that the closure adds replace all records of the types that were
    /// declared with `with`; other types are carried over. Keeps quiet if nothing differs.
    ///
    /// # Errors
    /// See [`CycleError`]. Unless it is `Unknown`, readers see no trace of the cycle, and the producer can go on.
    pub async fn cycle<F>(&mut self, fill: F) -> Result<Cycled, CycleError>
    where
        F: AsyncFnOnce(&mut Writer) -> Result<(), BoxError>,
    {
        let started = self.env.instant();
        self.settle().await?;
        let mut writer = self.writer();
        fill(&mut writer).await.map_err(CycleError::of_closure)?;
        self.written(writer, started).await
    }

    /// The same with a plain closure, which runs in place: call it where blocking is fine.
    ///
    /// # Errors
    /// As for [`cycle`](Producer::cycle).
    pub async fn cycle_blocking<F>(&mut self, fill: F) -> Result<Cycled, CycleError>
    where
        F: FnOnce(&mut Writer) -> Result<(), BoxError>,
    {
        let started = self.env.instant();
        self.settle().await?;
        let mut writer = self.writer();
        fill(&mut writer).map_err(CycleError::of_closure)?;
        self.written(writer, started).await
    }

    /// Publishes just changes: calls apply in order, and of those to one key the last stands. All of them become one
    /// version.
    ///
    /// # Errors
    /// As for [`cycle`](Producer::cycle).
    pub async fn update<R>(
        &mut self,
        change: impl FnOnce(&mut Update) -> Result<R, BoxError>,
    ) -> Result<Updated<R>, CycleError> {
        let started = self.env.instant();
        self.settle().await?;
        let mut update = Update::new(Input::new(self.base.clone(), &[]), self.typed());
        let value = change(&mut update).map_err(CycleError::of_closure)?;
        let (input, tags) = update.into_parts();
        let cycled = self.publish(input, Notes { tags, republishes: None }, started).await?;
        Ok(Updated { value, cycled })
    }

    /// Commits the state of an old version anew, as the newest one, under today's schema. Validators are not asked:
    /// the version passed them once.
    ///
    /// # Errors
    /// As for [`cycle`](Producer::cycle); `Republish` if the version can't be loaded.
    pub async fn republish(&mut self, version: Version) -> Result<Cycled, CycleError> {
        let started = self.env.instant();
        self.settle().await?;
        let failed = |source| CycleError::Republish { version, source: Box::new(source) };
        // Snapshots and trims are made beside us, so what we know of the log may be old.
        let reader = start(self.log.storage(), &self.options).await.map_err(failed)?;
        let old = self.loader.load(&reader, version).await.map_err(failed)?;
        let (base, threads) = (self.base.clone(), self.env.threads());
        let input = self.env.cpu(move || republish::input(base, &old.state, threads)).await??;
        self.publish(input, Notes { republishes: Some(version), ..Notes::default() }, started).await
    }

    /// Finds out what became of an earlier call that was dropped, or that ended in `Unknown`. All other methods do so
    /// first, by themselves.
    ///
    /// # Errors
    /// `Unknown` if it still can't be told, `MayHaveStood` if nobody will ever tell; `Fenced` if another producer holds
    /// the dataset.
    pub async fn settle(&mut self) -> Result<Settled, CycleError> {
        let outcome = self.log.settle().await;
        // The log's newest commit tells more than the outcome, which may be that of a checkpoint: nobody else commits
        // in our epoch.
        let newest = self.log.outline().version;
        if newest > self.committed.state.version() && self.in_flight.is_some() {
            self.install(newest);
            return Ok(Settled::Committed(newest));
        }
        match outcome {
            Some(Outcome::Unknown(pending)) => return Err(unknown(&pending).into()),
            Some(Outcome::Fenced(fenced)) => {
                self.in_flight = None;
                return Err(fenced.into());
            }
            // Of a checkpoint it tells nothing: the version comes after it, and was not put.
            Some(Outcome::Lost(lost @ Lost::MayHaveStood { kind: Kind::Commit, .. })) if self.in_flight.is_some() => {
                self.in_flight = None;
                return Err(lost.into());
            }
            _ => {}
        }
        Ok(if self.in_flight.take().is_some() { Settled::NotCommitted } else { Settled::Nothing })
    }

    /// Makes a snapshot of the newest version now, and waits for it. One that is under way is waited for first.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub async fn snapshot(&mut self) -> Result<SnapshotReport, SnapshotError> {
        if let Some(Err(error)) = self.finished_snapshot().await {
            tracing::warn!(%error, "the snapshot that was under way failed");
        }
        if self.committed.state.version() == Version::EMPTY {
            return Err(SnapshotError::Empty);
        }
        self.running = Some(self.env.spawn(self.job().run()));
        self.finished_snapshot().await.expect("one was started")
    }

    /// Waits for the snapshot that is made in the background, if there is one.
    pub async fn finished_snapshot(&mut self) -> Option<Result<SnapshotReport, SnapshotError>> {
        let running = self.running.as_mut()?;
        let result = running.await.unwrap_or(Err(SnapshotError::Stopped));
        self.running = None;
        Some(result)
    }

    /// Settles what is under way, waits for a snapshot that is being made, and tells others that the dataset is free.
    ///
    /// # Errors
    /// As for [`settle`](Producer::settle). The producer can then be closed again.
    pub async fn close(&mut self) -> Result<(), CycleError> {
        self.settle().await?;
        if let Some(Err(error)) = self.finished_snapshot().await {
            tracing::warn!(%error, "the snapshot failed; the next producer makes one");
        }
        match self.log.close().await {
            Some(pending) => Err(unknown(&pending).into()),
            None => Ok(()),
        }
    }

    /// The newest committed version, seen by the types that were declared.
    #[must_use]
    pub fn view(&self) -> View {
        View::new(self.base.state.clone(), self.binding.clone(), self.committed.committed_at)
    }

    /// The newest committed version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.committed.state.version()
    }

    /// The schema that the next version has.
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        self.base.state.schema()
    }

    /// The dataset's id.
    #[must_use]
    pub fn dataset(&self) -> DatasetId {
        self.log.outline().dataset
    }

    /// This producer's epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.log.epoch()
    }

    fn typed(&self) -> Typed {
        Typed::new(self.view(), self.roots.clone())
    }

    fn writer(&self) -> Writer {
        Writer::new(Input::new(self.base.clone(), &self.roots), self.typed())
    }

    async fn written(&mut self, writer: Writer, started: cenote_store::env::Instant) -> Result<Cycled, CycleError> {
        let (input, tags) = writer.into_parts();
        self.publish(input, Notes { tags, republishes: None }, started).await
    }

    /// All steps after populate.
    async fn publish(
        &mut self,
        input: Input,
        notes: Notes,
        started: cenote_store::env::Instant,
    ) -> Result<Cycled, CycleError> {
        let published = self.steps(input, notes, started).await;
        match &published {
            Ok(Cycled::Committed(report)) => {
                note_commit(report);
                self.snapshot_if_due();
            }
            Ok(Cycled::Unchanged(_)) => metrics::counter!("cenote_producer_unchanged_total").increment(1),
            Err(error) => {
                metrics::counter!("cenote_producer_failures_total").increment(1);
                tracing::warn!(%error, "nothing was committed");
            }
        }
        published
    }

    async fn steps(
        &mut self,
        input: Input,
        notes: Notes,
        started: cenote_store::env::Instant,
    ) -> Result<Cycled, CycleError> {
        let verified = self.verified(input).await?;
        if verified.bytes.is_none() && verified.after.schema() == self.committed.state.schema() {
            return Ok(Cycled::Unchanged(self.version()));
        }
        let exhibit =
            Exhibit { binding: self.binding.clone(), committed_at: self.committed.committed_at, now: self.env.now() };
        let validators = if notes.republishes.is_some() { Arc::new([]) } else { self.validators.clone() };
        let validated = self.env.cpu(move || verified.validate(&validators, &exhibit)).await??;
        let proposal = validated.commit(CommitNotes {
            tags: notes.tags,
            republishes: notes.republishes,
            parent_schema: self.committed.state.schema().as_ref().clone(),
            parent_digest: self.log.outline().digest,
            blob: self.log.object_name(Folder::Blobs, None),
        });
        let mut report = Report::of(&proposal.next);
        report.version = self.commit(proposal).await?;
        report.took = self.env.instant() - started;
        Ok(Cycled::Committed(report))
    }

    /// Diff, encode, verify: off the async threads.
    async fn verified(&self, input: Input) -> Result<Verified, CycleError> {
        if let Some(duplicates) = input.duplicate_keys() {
            return Err(duplicates.into());
        }
        let (dataset, threads) = (self.dataset(), self.env.threads());
        let version = Version(self.log.outline().position.next().0);
        let steps = move || -> Result<Verified, CycleError> {
            Ok(input.diff()?.encode(dataset, threads).verify(version, threads)?)
        };
        self.env.cpu(steps).await?
    }

    async fn commit(&mut self, proposal: Proposal) -> Result<Version, CycleError> {
        let Proposal { body, object, next } = proposal;
        self.in_flight = Some(next);
        let outcome = match object {
            Some(object) => self.log.publish(object, body).await,
            None => self.log.append(body).await,
        };
        match outcome {
            Ok(Outcome::Committed(position)) => {
                let version = Version(position.0);
                self.install(version);
                Ok(version)
            }
            Ok(Outcome::Unknown(pending)) => {
                if pending.is_earlier() {
                    self.in_flight = None;
                }
                Err(unknown(&pending).into())
            }
            Ok(Outcome::Lost(lost)) => {
                self.in_flight = None;
                Err(lost.into())
            }
            Ok(Outcome::Fenced(fenced)) => {
                self.in_flight = None;
                Err(fenced.into())
            }
            Err(refused) => {
                self.in_flight = None;
                Err(refused.into())
            }
        }
    }

    /// The entry in flight stands at this version: the producer moves on.
    fn install(&mut self, version: Version) {
        let next = self.in_flight.take().expect("what stands was in flight");
        let state = next.state.with_version(version);
        debug_assert_eq!(state.digest(), self.log.outline().digest, "the log and the producer agree");
        self.base.follow(state.clone(), &next.follow);
        self.committed = Loaded { state, committed_at: self.log.commit_time() };
    }

    fn snapshot_if_due(&mut self) {
        if self.running.as_ref().is_some_and(|running| !running.is_finished()) || self.snapshots == Snapshots::ByHand {
            return;
        }
        if is_due(self.log.outline()) {
            self.running = Some(self.env.spawn(background(self.job())));
        }
    }

    fn job(&self) -> Job {
        let reader = LogReader::at(self.log.storage().clone(), self.log.outline().clone());
        Job {
            env: self.env.clone(),
            writer: LogWriter::join(&reader, self.env.clone(), self.options.clone()),
            reader,
            state: self.committed.state.clone(),
            committed_at: self.committed.committed_at,
            keep: self.keep,
            bytes_max: self.loader.bytes_max,
        }
    }
}

/// The task that beats. It ends with whoever holds it: a heart on its own would promise what nobody keeps.
#[derive(Debug)]
pub(crate) struct Heartbeat(Task<()>);

impl Heartbeat {
    pub(crate) fn of(log: &LogWriter, env: &Env) -> Heartbeat {
        Heartbeat(env.spawn(log.heart().beat()))
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let url = self.log.storage().url();
        f.debug_struct("Producer").field("dataset", &url).field("version", &self.version()).finish_non_exhaustive()
    }
}

async fn background(job: Job) -> Result<SnapshotReport, SnapshotError> {
    let result = job.run().await;
    if let Err(error) = &result {
        metrics::counter!("cenote_producer_snapshot_failures_total").increment(1);
        tracing::warn!(%error, "no snapshot was made; it is tried again after the next commit");
    }
    result
}

fn note_commit(report: &Report) {
    metrics::counter!("cenote_producer_commits_total").increment(1);
    metrics::gauge!("cenote_producer_version").set(report.version.0 as f64);
    metrics::histogram!("cenote_producer_delta_bytes").record(report.delta_bytes as f64);
    metrics::histogram!("cenote_producer_cycle_seconds").record(report.took.as_secs_f64());
    tracing::info!(version = %report.version, changes = %report, took = ?report.took, "committed");
}

fn unknown(pending: &Pending) -> Unknown {
    Unknown::of(pending)
}

/// The state that readers have: for tests.
#[doc(hidden)]
impl Producer {
    #[must_use]
    pub fn committed_state(&self) -> &State {
        &self.committed.state
    }

    #[cfg(test)]
    pub(crate) fn check_invariants(&self) {
        self.base.check_invariants();
    }
}
