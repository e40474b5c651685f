//! How a producer is set up. Every option states its default; their order does not matter.

use std::sync::Arc;
use std::time::Duration;

use cenote_state::record::{Binding, Declared, Registry, Root};
use cenote_state::schema::{Allow, Schema};
use cenote_state::view::View;
use cenote_store::env::Env;
use cenote_store::log::retention::Retention;
use cenote_store::log::{LogReader, OnWait, Waiting, WriterOptions};
use cenote_store::storage::{DatasetUrl, Location, Storage};

use crate::BoxError;
use crate::base::CycleBase;
use crate::chain::Chain;
use crate::dry_run::DryRun;
use crate::error::{OpenCause, OpenError};
use crate::load::{Loaded, Loader};
use crate::metrics::Metrics;
use crate::open::{Opened, Opening, start};
use crate::producer::{Producer, Settings, Types};
use crate::snapshot::SnapshotPolicy;
use crate::validators::{ClosureValidator, Validator};

/// Sets a producer up. [`Producer::builder`] makes one, [`open`](ProducerBuilder::open) ends it.
///
/// ```
/// # use cenote_producer::{Producer, Record};
/// use std::time::Duration;
///
/// use cenote_producer::{RecordCountVariance, Retention, SnapshotPolicy};
///
/// # #[derive(Record)]
/// # #[record(key = "id")]
/// # struct Movie { id: u64 }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cenote_producer::BoxError> {
/// let producer = Producer::builder("memory://builder")
///     .with::<Movie>()
///     .owner("importer-1")
///     .validate(RecordCountVariance::of::<Movie>(0.10))
///     .retention(Retention::default())
///     .snapshots(SnapshotPolicy::Auto)
///     .commit_timeout(Duration::from_secs(30))
///     .open()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder does nothing until it is opened"]
pub struct ProducerBuilder<L: Location = DatasetUrl> {
    location: L,
    registry: Registry,
    declare: Option<Declare>,
    allow: Vec<Allow>,
    validators: Vec<Arc<dyn Validator>>,
    env: Env,
    writer: WriterOptions,
    retention: Retention,
    snapshots: SnapshotPolicy,
    bytes_max: u64,
}

/// Declares types when the dataset's schema is known.
type Declare = Box<dyn FnOnce(&Schema, Registry) -> Result<(Registry, Vec<Allow>), BoxError> + Send>;

impl Producer {
    /// A producer for the dataset at `url`: `s3://bucket/path`, `gs://bucket/path`, `az://container/path`,
    /// `file:///path`, a plain path, or `memory://name`.
    ///
    /// ```no_run
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # async fn open() -> Result<(), cenote_producer::BoxError> {
    /// let producer = Producer::builder("s3://media/catalog").with::<Movie>().open().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(url: impl Into<String>) -> ProducerBuilder {
        ProducerBuilder::new(DatasetUrl::new(url))
    }

    /// A producer for a dataset on a storage that is open already.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// use cenote_producer::storage::Storage;
    ///
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// let storage = Storage::open("memory://builder-on", &[]).await?;
    /// let producer = Producer::builder_on(storage).with::<Movie>().open().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder_on(storage: Storage) -> ProducerBuilder<Storage> {
        ProducerBuilder::new(storage)
    }
}

impl ProducerBuilder<DatasetUrl> {
    /// Sets an option of the store, like `aws_endpoint`; it overrides the environment's. Default: none.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// let builder = Producer::builder("s3://media/catalog").with::<Movie>();
    /// let builder = builder.storage_option("aws_endpoint", "http://localhost:9000");
    /// # Ok(())
    /// # }
    /// ```
    pub fn storage_option(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.location.add_option(key, value);
        self
    }
}

impl<L: Location> ProducerBuilder<L> {
    fn new(location: L) -> Self {
        ProducerBuilder {
            location,
            registry: Registry::new(),
            declare: None,
            allow: Vec::new(),
            validators: Vec::new(),
            env: Env::system(),
            writer: WriterOptions::default(),
            retention: Retention::default(),
            snapshots: SnapshotPolicy::default(),
            bytes_max: u64::MAX,
        }
    }

    /// Declares a root type, and all types that its fields lead to. A cycle replaces the records of declared root types.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// let producer = Producer::builder("memory://builder-with").with::<Movie>().open().await?;
    /// assert!(producer.schema().find("Movie").is_some());
    /// # Ok(())
    /// # }
    /// ```
    pub fn with<T: Root>(mut self) -> Self {
        self.registry = self.registry.with::<T>();
        self
    }

    /// Declares types without Rust structs; their records come as rows. The dataset's types and fields are found by name,
    /// whatever the numbers in `schema` are.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// # let movies = Producer::builder("memory://builder-other").with::<Movie>().open().await?;
    /// # let schema = movies.schema();
    /// let producer = Producer::builder("memory://builder-schema").with_schema(schema).open().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_schema(mut self, schema: &Schema) -> Self {
        self.registry = self.registry.with_schema(schema);
        self
    }

    /// Declares types when the dataset's schema is known. [`open`](ProducerBuilder::open) calls `declare` before anything
    /// is written, with the newest version's schema (empty if there is none) and the types that were declared so far.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// # let mut first = Producer::builder("memory://builder-declare").with::<Movie>().open().await?;
    /// # first.update(|changes| Ok(changes.upsert(&Movie { id: 1 })?)).await?;
    /// # first.close().await?;
    /// // All types that the dataset has.
    /// let builder = Producer::builder("memory://builder-declare");
    /// let builder = builder.declare_with(|schema, registry| Ok(registry.with_schema(schema)));
    /// let producer = builder.open().await?;
    /// assert!(producer.schema().find("Movie").is_some());
    /// # Ok(())
    /// # }
    /// ```
    pub fn declare_with(
        self,
        declare: impl FnOnce(&Schema, Registry) -> Result<Registry, BoxError> + Send + 'static,
    ) -> Self {
        self.declare_and_allow(|dataset, registry| Ok((declare(dataset, registry)?, Vec::new())))
    }

    /// The same, with what the schema may lose.
    #[doc(hidden)]
    pub fn declare_and_allow(
        mut self,
        declare: impl FnOnce(&Schema, Registry) -> Result<(Registry, Vec<Allow>), BoxError> + Send + 'static,
    ) -> Self {
        self.declare = Some(Box::new(declare));
        self
    }

    /// Allows a schema change that drops data: see [`Allow`]. Default: `open` refuses such a change.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// use cenote_producer::Allow;
    ///
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// let builder = Producer::builder("memory://builder-allow").with::<Movie>();
    /// // The struct lacks a field that the dataset has: its values are dropped.
    /// let producer = builder.allow(Allow::remove("Movie.subtitle")).open().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn allow(mut self, allow: Allow) -> Self {
        self.allow.push(allow);
        self
    }

    /// Adds a validator. All are asked, in the order in which they are added; [`open`](ProducerBuilder::open) refuses one that
    /// could never refuse a version, such as one for a type that is not declared. Default: none.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// use cenote_producer::MinimumCount;
    ///
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// let builder = Producer::builder("memory://builder-validators").with::<Movie>();
    /// let producer = builder.validate(MinimumCount::of::<Movie>(1_000)).open().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn validate(mut self, validator: impl Validator) -> Self {
        self.validators.push(Arc::new(validator));
        self
    }

    /// Adds a validator made of a closure, which gets the old view and the new one. The name is for its errors.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// let builder = Producer::builder("memory://builder-validate").with::<Movie>();
    /// let builder = builder.validate_with("no fewer movies", |old, new| {
    ///     let (old, new) = (old.len::<Movie>(), new.len::<Movie>());
    ///     if new < old { Err(format!("{old} became {new}").into()) } else { Ok(()) }
    /// });
    /// let producer = builder.open().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn validate_with(
        self,
        name: impl Into<String>,
        check: impl Fn(&View, &View) -> Result<(), BoxError> + Send + Sync + 'static,
    ) -> Self {
        self.validate(ClosureValidator { name: name.into(), check })
    }

    /// The name of this producer, for people who look at the dataset. Default: `unnamed`.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// let builder = Producer::builder("memory://builder-owner").with::<Movie>();
    /// let producer = builder.owner("importer-1").open().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn owner(mut self, name: impl Into<String>) -> Self {
        self.writer.owner = name.into();
        self
    }

    /// Opens although another producer seems to be alive, and fences it. Default: `open` waits until the other producer
    /// has closed, or its last heartbeat is too old.
    ///
    /// A producer that commits without a pause is overtaken between two commits. If it stays faster for a whole
    /// [`commit_timeout`](ProducerBuilder::commit_timeout), `open` fails with kind `Retry`.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// let builder = Producer::builder("memory://builder-take-over").with::<Movie>();
    /// let producer = builder.take_over().open().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn take_over(mut self) -> Self {
        self.writer.take_over = true;
        self
    }

    /// Calls `listener` when [`open`](ProducerBuilder::open) waits for another producer, with whom it waits for and since
    /// when that one was silent. Default: the wait is in the program's log only.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// let builder = Producer::builder("memory://builder-on-wait").with::<Movie>();
    /// let producer = builder.on_wait(|waiting| eprintln!("{waiting}")).open().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_wait(mut self, listener: impl Fn(&Waiting) + Send + Sync + 'static) -> Self {
        self.writer.on_wait = Some(OnWait(Arc::new(listener)));
        self
    }

    /// What the producer keeps after a new snapshot. Default: the newest 3 snapshots, and every one younger than a day.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// use cenote_producer::Retention;
    ///
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// let builder = Producer::builder("memory://builder-retention").with::<Movie>();
    /// let producer = builder.retention(Retention::new().snapshots(10)).open().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// When snapshots are made. Default: [`SnapshotPolicy::Auto`].
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
    /// let builder = Producer::builder("memory://builder-snapshots").with::<Movie>();
    /// let producer = builder.snapshots(SnapshotPolicy::Manual).open().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn snapshots(mut self, policy: SnapshotPolicy) -> Self {
        self.snapshots = policy;
        self
    }

    /// How long the producer tries a commit before its outcome is [unknown](crate::CycleError::unknown). Default: 60 s.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// use std::time::Duration;
    ///
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// let builder = Producer::builder("memory://builder-timeout").with::<Movie>();
    /// let producer = builder.commit_timeout(Duration::from_secs(20)).open().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn commit_timeout(mut self, timeout: Duration) -> Self {
        self.writer.commit_timeout = timeout;
        self
    }

    /// The longest time between two heartbeats, which tell readers and other producers that this one is alive. Another
    /// producer may take the dataset when it has seen none for longer. Default: 15 s; the producer writes one three times
    /// as often.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// use std::time::Duration;
    ///
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// let builder = Producer::builder("memory://builder-heartbeat").with::<Movie>();
    /// let producer = builder.heartbeat_interval(Duration::from_secs(60)).open().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.writer.heartbeat_interval = interval;
        self
    }

    /// The most memory that a state may take when it is loaded. Default: no limit.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// let builder = Producer::builder("memory://builder-memory").with::<Movie>();
    /// let producer = builder.max_state_bytes(8 << 30).open().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn max_state_bytes(mut self, bytes: u64) -> Self {
        self.bytes_max = bytes;
        self
    }

    /// The clock, the randomness and the threads; a test passes simulated ones. Default: the machine's.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// use cenote_producer::env::Env;
    ///
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// let builder = Producer::builder("memory://builder-env").with::<Movie>();
    /// let producer = builder.env(Env::simulated(7)).open().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn env(mut self, env: Env) -> Self {
        self.env = env;
        self
    }

    #[doc(hidden)]
    pub fn writer_options(mut self, change: impl FnOnce(&mut WriterOptions)) -> Self {
        change(&mut self.writer);
        self
    }

    /// Opens the dataset, or makes it: checks the schema and may refuse it, loads the newest version, takes the next
    /// epoch. Waits while another producer is alive, unless it [takes over](ProducerBuilder::take_over).
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// let producer = Producer::builder("memory://builder-open").with::<Movie>().open().await?;
    /// println!("the newest version is {}", producer.version());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`OpenError`]. Nothing was written, except perhaps the last step's `open` entry.
    pub async fn open(self) -> Result<Producer, OpenError> {
        Ok(self.open_dataset().await?)
    }

    /// Loads the dataset as [`open`](ProducerBuilder::open) does, and writes nothing: what is made of it are previews. Waits
    /// for no other producer.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// let dry = Producer::builder("memory://builder-dry-run").with::<Movie>().dry_run().await?;
    /// let preview = dry.update(|changes| Ok(changes.delete::<Movie>(17)?)).await?;
    /// assert!(preview.newer.diff::<Movie>(&preview.older).is_empty());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn dry_run(self) -> Result<DryRun, OpenError> {
        Ok(self.dry_run_dataset().await?)
    }

    async fn open_dataset(self) -> Result<Producer, OpenCause> {
        let (settings, loaded) = self.load().await?;
        let Newest { reader, newest, declared, allow } = loaded;
        let loader = &settings.loader;
        let opening = Opening { loader, options: &settings.writer, declared: &declared, allow: &allow };
        let Opened { log, heartbeat, committed, schema } = opening.take(reader, newest).await?;
        let types = types(&declared, &schema)?;
        let base = base(&settings.env, &committed, schema).await?;
        let version = committed.state.version();
        tracing::info!(dataset = log.storage().url(), epoch = %log.epoch(), %version, "dataset opened");
        Ok(Producer::new(Chain::new(log, committed, base), types, settings, heartbeat))
    }

    async fn dry_run_dataset(self) -> Result<DryRun, OpenCause> {
        let (settings, loaded) = self.load().await?;
        let Newest { reader, newest: committed, declared, allow } = loaded;
        let evolved = committed.state.schema().evolve(&declared, &allow)?;
        let types = types(&declared, &evolved.schema)?;
        let base = base(&settings.env, &committed, evolved.schema).await?;
        let metrics = Metrics::new(reader.storage().url());
        Ok(DryRun { reader, committed, base, types, settings, metrics, schema_changes: evolved.changes })
    }

    /// Loads the newest version, and declares the types.
    async fn load(self) -> Result<(Settings, Newest), OpenCause> {
        let storage = self.location.open().await?;
        let env = self.env;
        let loader = Loader { env: env.clone(), seed: env.random(), bytes_max: self.bytes_max };
        let reader = start(&storage, &self.writer).await?;
        let newest = loader.load(&reader, reader.log_state().version).await?;
        let mut allow = self.allow;
        let declared = declared(self.registry, self.declare, newest.state.schema(), &mut allow)?;
        check_validators(&self.validators, declared.schema())?;
        let settings = Settings {
            env,
            loader,
            writer: self.writer,
            validators: self.validators.into(),
            snapshots: self.snapshots,
            retention: self.retention,
        };
        Ok((settings, Newest { reader, newest, declared, allow }))
    }
}

/// The newest version of a dataset, and what the program declares.
struct Newest {
    reader: LogReader,
    newest: Loaded,
    declared: Declared,
    allow: Vec<Allow>,
}

/// What cycles start from, under the schema of the next version.
async fn base(env: &Env, committed: &Loaded, schema: Schema) -> Result<CycleBase, OpenCause> {
    let (state, threads) = (committed.state.clone(), env.threads());
    Ok(env.cpu(move || CycleBase::of_state(state.relayout(Arc::new(schema), threads)?)).await??)
}

/// All declared types, those of `declare` included.
fn declared(
    registry: Registry,
    declare: Option<Declare>,
    newest: &Schema,
    allow: &mut Vec<Allow>,
) -> Result<Declared, OpenCause> {
    let registry = match declare {
        Some(declare) => {
            let (registry, more) = declare(newest, registry).map_err(OpenCause::DeclareWith)?;
            allow.extend(more);
            registry
        }
        None => registry,
    };
    let declared = registry.finish()?;
    if declared.roots().is_empty() {
        return Err(OpenCause::NothingDeclared);
    }
    Ok(declared)
}

/// That each validator could refuse a version.
fn check_validators(validators: &[Arc<dyn Validator>], declared: &Schema) -> Result<(), OpenCause> {
    let idle = validators.iter().filter_map(|validator| {
        let reason = validator.check(declared).err()?;
        Some(format!("{}: {reason}", validator.name()))
    });
    let idle: Vec<String> = idle.collect();
    if idle.is_empty() { Ok(()) } else { Err(OpenCause::Validators(idle)) }
}

/// The declared types in the numbers of `schema`, the next version's.
fn types(declared: &Declared, schema: &Schema) -> Result<Types, OpenCause> {
    let roots = declared.roots().iter().map(|id| {
        let name = &declared.schema().get(*id).name;
        schema.find(name).expect("the next schema has every declared type")
    });
    Ok(Types { roots: roots.collect(), binding: Arc::new(Binding::new(declared, schema)?) })
}
