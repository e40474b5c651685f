//! The producer: owns a dataset, and turns what it is given into versions.
//!
//! It does one thing at a time, and settles what an earlier call left before it does anything else.

mod publish;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use cenote_state::ids::{DatasetId, Epoch, TypeId, Version};
use cenote_state::record::Binding;
use cenote_state::schema::Schema;
use cenote_state::state::State;
use cenote_state::token::Token;
use cenote_state::view::View;
use cenote_store::env::Env;
use cenote_store::log::WriterOptions;
use cenote_store::log::retention::{Retention, Trimmed};

use crate::BoxError;
use crate::chain::Chain;
use crate::error::{CycleError, SnapshotCause, SnapshotError};
use crate::heartbeat::{HeartbeatTask, Releaser};
use crate::load::Loader;
use crate::metrics::Metrics;
use crate::report::{Cycled, Settled, Updated};
use crate::snapshot::{Job, SnapshotPolicy, SnapshotReport, Snapshots};
use crate::status::Status;
use crate::update::Update;
use crate::validators::Validator;
use crate::writer::Writer;

/// Owns a dataset and publishes its versions. The [crate's page](crate) has a whole program.
///
/// Every method that writes may be dropped half-way: the next call settles what was under way. Dropping the producer
/// stops its background work. [`close`](Producer::close) also marks the dataset as free; without it, the next producer
/// waits until the last [heartbeat](crate::ProducerBuilder::heartbeat_interval) is too old.
pub struct Producer {
    chain: Chain,
    types: Types,
    settings: Settings,
    snapshots: Snapshots,
    /// Snapshots that could not be loaded when the dataset was opened.
    damaged: HashSet<String>,
    metrics: Metrics,
    /// Held, so that it ends with the producer.
    _heartbeat: HeartbeatTask,
}

/// The program's types, in the dataset's numbers.
pub(crate) struct Types {
    pub(crate) binding: Arc<Binding>,
    pub(crate) roots: Arc<[TypeId]>,
}

/// How a producer works, by its builder.
pub(crate) struct Settings {
    pub(crate) env: Env,
    pub(crate) loader: Loader,
    pub(crate) writer: WriterOptions,
    pub(crate) validators: Arc<[Arc<dyn Validator>]>,
    pub(crate) snapshots: SnapshotPolicy,
    pub(crate) retention: Retention,
}

impl Producer {
    pub(crate) fn new(chain: Chain, types: Types, settings: Settings, heartbeat: HeartbeatTask) -> Producer {
        let metrics = Metrics::new(chain.log().storage().url());
        let damaged = chain.committed().damaged.iter().cloned().collect();
        let snapshots = Snapshots::default();
        Producer { chain, types, settings, snapshots, damaged, metrics, _heartbeat: heartbeat }
    }

    /// Publishes the whole dataset: the records that the closure adds replace all records of the types that were declared
    /// with `with`. Other types stay as they are. If nothing differs, nothing is written.
    ///
    /// The closure may read its source with `.await`, or hold synchronous code; code that blocks for long blocks the task
    /// that calls this.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// # let mut producer = Producer::builder("memory://producer-cycle").with::<Movie>().open().await?;
    /// let movies = [Movie { id: 1 }, Movie { id: 2 }];
    /// let cycled = producer
    ///     .cycle(async |writer| {
    ///         for movie in &movies {
    ///             writer.add(movie)?;
    ///         }
    ///         Ok(())
    ///     })
    ///     .await?;
    /// println!("version {}", cycled.version());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`CycleError`]. Unless the outcome is [unknown](CycleError::unknown), readers see no trace of the cycle.
    pub async fn cycle<F>(&mut self, fill: F) -> Result<Cycled, CycleError>
    where
        F: AsyncFnOnce(&mut Writer) -> Result<(), BoxError>,
    {
        let cycled = self.cycle_steps(fill).await;
        self.note(cycled.as_ref());
        Ok(cycled?)
    }

    /// Publishes changes only. They apply in order; the last change of a key counts. All of them become one version.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64, title: String }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// # let mut producer = Producer::builder("memory://producer-update").with::<Movie>().open().await?;
    /// let updated = producer
    ///     .update(|changes| {
    ///         changes.upsert(&Movie { id: 1, title: "Heat".into() })?;
    ///         Ok(changes.delete::<Movie>(2)?)
    ///     })
    ///     .await?;
    /// assert!(!updated.value, "there was no movie 2");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`cycle`](Producer::cycle).
    pub async fn update<R>(
        &mut self,
        change: impl FnOnce(&mut Update) -> Result<R, BoxError>,
    ) -> Result<Updated<R>, CycleError> {
        let updated = self.update_steps(change).await;
        self.note(updated.as_ref().map(|(_, cycled)| cycled));
        let (value, cycled) = updated?;
        Ok(Updated { value, cycled })
    }

    /// Publishes the records of an old version again, as the newest version, under today's schema. Validators are asked
    /// only if they [want to be](crate::Validator::is_asked_of_old_versions): the version passed them before.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// # let mut producer = Producer::builder("memory://producer-republish").with::<Movie>().open().await?;
    /// let good = producer.update(|changes| Ok(changes.upsert(&Movie { id: 1 })?)).await?.version();
    /// producer.update(|changes| Ok(changes.delete::<Movie>(1)?)).await?; // a mistake
    /// producer.republish(good).await?;
    /// assert!(producer.view().get::<Movie>(1).is_some());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`cycle`](Producer::cycle); also if the log does not have the version any more, or it can't be loaded.
    pub async fn republish(&mut self, version: Version) -> Result<Cycled, CycleError> {
        let republished = self.republish_steps(version).await;
        self.note(republished.as_ref());
        Ok(republished?)
    }

    /// Finds out what became of an earlier call that was dropped, or whose outcome was [unknown](CycleError::unknown). All
    /// other methods do so first.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// use cenote_producer::Settled;
    ///
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// # let mut producer = Producer::builder("memory://producer-settle").with::<Movie>().open().await?;
    /// match producer.settle().await? {
    ///     Settled::Committed(version) => println!("the earlier call committed version {version}"),
    ///     Settled::NotCommitted => println!("the earlier call committed nothing"),
    ///     _ => println!("there was none"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the outcome is still [unknown](CycleError::unknown), can't be known any more
    /// ([`may_have_committed`](CycleError::may_have_committed)), or another producer [took over](CycleError::is_fenced).
    pub async fn settle(&mut self) -> Result<Settled, CycleError> {
        Ok(self.chain.settle().await?)
    }

    /// Makes a snapshot of the newest version now, and waits for it. If one is being made already, waits for that first. If
    /// the log names a snapshot of this version, and its object is there, nothing is written.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record, SnapshotPolicy};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// # let builder = Producer::builder("memory://producer-snapshot").with::<Movie>();
    /// # let mut producer = builder.snapshots(SnapshotPolicy::Manual).open().await?;
    /// producer.update(|changes| Ok(changes.upsert(&Movie { id: 1 })?)).await?;
    /// let snapshot = producer.snapshot().await?;
    /// assert_eq!((snapshot.version, snapshot.made), (producer.version(), true));
    /// assert!(!producer.snapshot().await?.made, "there is one already");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`SnapshotError`].
    ///
    /// # Panics
    /// Never: the snapshot that is waited for was started.
    pub async fn snapshot(&mut self) -> Result<SnapshotReport, SnapshotError> {
        // If the one that is being made fails, it has said so in the program's log.
        self.snapshots.finished().await;
        if self.chain.is_closed() {
            return Err(SnapshotCause::Closed.into());
        }
        if self.version() == Version::EMPTY {
            return Err(SnapshotCause::Empty.into());
        }
        if let Some(report) = self.standing_snapshot().await? {
            return Ok(report);
        }
        self.chain.own().await?;
        self.start_snapshot();
        self.snapshots.finished().await.expect("a snapshot was started")
    }

    /// The snapshot of the newest version that is there already.
    async fn standing_snapshot(&mut self) -> Result<Option<SnapshotReport>, SnapshotCause> {
        let (version, log) = (self.version(), self.chain.tail().await);
        let standing = log.log_state().newest_snapshot().filter(|newest| newest.snapshot.version == version);
        let Some(object) = standing.map(|kept| &kept.snapshot.object) else { return Ok(None) };
        if self.damaged.contains(&object.name) || log.storage().size(&object.name).await? != Some(object.length) {
            return Ok(None);
        }
        let trimmed = Trimmed { log_start: log.log_state().log_start, ..Trimmed::default() };
        Ok(Some(SnapshotReport { version, bytes: object.length, took: Duration::ZERO, trimmed, made: false }))
    }

    /// Waits for the snapshot that is being made in the background; `None` if there is none.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// # let mut producer = Producer::builder("memory://producer-finished").with::<Movie>().open().await?;
    /// if let Some(finished) = producer.finished_snapshot().await {
    ///     println!("{} bytes", finished?.bytes);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn finished_snapshot(&mut self) -> Option<Result<SnapshotReport, SnapshotError>> {
        self.snapshots.finished().await
    }

    /// Settles what is under way, waits for a snapshot that is being made, and marks the dataset as free for other
    /// producers. After that, the producer can read, and no longer write.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// let mut producer = Producer::builder("memory://producer-close").with::<Movie>().open().await?;
    /// producer.close().await?;
    /// // The next producer need not wait.
    /// let next = Producer::builder("memory://producer-close").with::<Movie>().open().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`settle`](Producer::settle); the producer can then be closed again.
    pub async fn close(&mut self) -> Result<(), CycleError> {
        self.chain.settle().await?;
        self.snapshots.finished().await;
        Ok(self.chain.close().await?)
    }

    /// The newest committed version, for the types that were declared.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// # let mut producer = Producer::builder("memory://producer-view").with::<Movie>().open().await?;
    /// producer.update(|changes| Ok(changes.upsert(&Movie { id: 1 })?)).await?;
    /// assert_eq!(producer.view().len::<Movie>(), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn view(&self) -> View {
        let committed_at = self.chain.committed().committed_at;
        View::new(self.chain.base().state.clone(), self.types.binding.clone(), committed_at)
    }

    /// The number of the newest committed version; [`Version::EMPTY`] before the first.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record, Version};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// let producer = Producer::builder("memory://producer-version").with::<Movie>().open().await?;
    /// assert_eq!(producer.version(), Version::EMPTY);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn version(&self) -> Version {
        self.chain.version()
    }

    /// The token of the newest committed version, for example of one that [`settle`](Producer::settle) found committed.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// let mut producer = Producer::builder("memory://producer-token").with::<Movie>().open().await?;
    /// let cycled = producer.cycle(async |writer| Ok(writer.add(&Movie { id: 1 })?)).await?;
    /// assert_eq!(producer.token(), cycled.token());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn token(&self) -> Token {
        self.chain.token()
    }

    /// The schema of the next version.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// let producer = Producer::builder("memory://producer-schema").with::<Movie>().open().await?;
    /// assert_eq!(producer.schema().to_string(), "Movie (root, key id)\n    id: u64\n");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        self.chain.base().state.schema()
    }

    /// The dataset's URL, without a slash at its end.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// let producer = Producer::builder("memory://producer-url").with::<Movie>().open().await?;
    /// assert_eq!(producer.url(), "memory://producer-url");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn url(&self) -> &str {
        self.chain.log().storage().url()
    }

    /// This producer's epoch: one higher than that of the producer before it.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// let producer = Producer::builder("memory://producer-epoch").with::<Movie>().open().await?;
    /// assert_eq!(producer.epoch().0, 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.chain.log().epoch()
    }

    /// What this producer is doing, and what failed in the background.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// let producer = Producer::builder("memory://producer-status").with::<Movie>().open().await?;
    /// let status = producer.status();
    /// assert_eq!((status.version, status.snapshot_failure), (producer.version(), None));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn status(&self) -> Status {
        Status { version: self.version(), epoch: self.epoch(), snapshot_failure: self.snapshots.failure() }
    }

    /// A handle that marks the dataset as free while this producer is busy, for a handler of signals.
    ///
    /// [Example](Releaser#example)
    ///
    /// # Panics
    /// If the producer was closed.
    #[must_use]
    pub fn releaser(&self) -> Releaser {
        Releaser(self.chain.log().heartbeat())
    }

    fn start_snapshot(&mut self) {
        let (log, committed, settings) = (self.chain.log(), self.chain.committed(), &self.settings);
        let job = Job {
            env: settings.env.clone(),
            writer: log.beside(),
            state: committed.state.clone(),
            committed_at: committed.committed_at,
            retention: settings.retention,
            bytes_max: settings.loader.bytes_max,
        };
        self.snapshots.start(&settings.env, job, self.metrics.clone());
    }
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").field("url", &self.url()).field("version", &self.version()).finish_non_exhaustive()
    }
}

/// For the command line.
#[doc(hidden)]
impl Producer {
    /// The dataset.
    #[must_use]
    pub fn dataset(&self) -> DatasetId {
        self.chain.log().log_state().dataset
    }

    /// Puts this producer's `open` entry, if it has put nothing yet: objects of earlier producers are garbage from now on.
    ///
    /// # Errors
    /// If the entry is not put.
    pub async fn take_dataset(&mut self) -> Result<(), SnapshotError> {
        Ok(self.chain.own().await?)
    }

    /// Publishes the records of another dataset's state.
    #[cfg(feature = "cli")]
    pub(crate) async fn adopt(&mut self, old: State, tags: BTreeMap<String, String>) -> Result<Cycled, CycleError> {
        let adopted = self.adopt_steps(old, tags).await;
        self.note(adopted.as_ref());
        Ok(adopted?)
    }
}

/// For tests.
#[doc(hidden)]
impl Producer {
    /// The state that readers have.
    #[must_use]
    pub fn committed_state(&self) -> &State {
        &self.chain.committed().state
    }

    /// Asserts that the indexes, updated commit by commit, are those of the state.
    pub fn check_invariants(&self) {
        self.chain.check_invariants();
    }
}
