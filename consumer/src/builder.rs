//! How a consumer is set up. Every option states its default; their order does not matter.

use std::sync::Arc;
use std::time::Duration;

use cenote_state::ids::Version;
use cenote_state::record::Root;
use cenote_state::view::{HashIndex, IndexDeclaration, IndexValue};
use cenote_store::env::Env;
#[cfg(feature = "testing")]
use cenote_store::log::Rules;
use cenote_store::storage::{DatasetUrl, Location, Storage};

use crate::consumer::Consumer;
use crate::error::OpenError;
use crate::follow::Goal;
use crate::report::RefreshReport;
use crate::start::{self, Options};
use crate::watch::ReloadPolicy;

/// What [`ConsumerBuilder::open`] does while no version exists.
///
/// ```
/// use cenote_consumer::{Consumer, Health, OnEmpty};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let consumer = Consumer::builder("memory://on-empty").when_empty(OnEmpty::Open).open().await?;
/// assert!(!consumer.is_serving());
/// assert_eq!(consumer.status().health, Health::Empty);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnEmpty {
    /// Waits this long for a first version, and through transient failures of the store; then fails.
    Wait(Duration),
    /// Opens at once. The view is empty until a first version comes.
    Open,
}

impl Default for OnEmpty {
    /// Waits for 60 seconds.
    fn default() -> OnEmpty {
        OnEmpty::Wait(Duration::from_mins(1))
    }
}

/// Sets a consumer up. [`Consumer::builder`] makes one, [`open`](ConsumerBuilder::open) ends it.
///
/// ```
/// # use cenote_producer::Producer;
/// use std::time::Duration;
///
/// use cenote_consumer::{Consumer, HashIndex, OnEmpty, Record, ReloadPolicy};
///
/// #[derive(Record)]
/// #[record(key = "id")]
/// struct Movie {
///     id: u64,
///     country: String,
/// }
///
/// const BY_COUNTRY: HashIndex<Movie, str> = HashIndex::on("country");
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let consumer = Consumer::builder("memory://consumer-builder")
///     .with::<Movie>()
///     .index(&BY_COUNTRY)
///     .reload(ReloadPolicy::Poll(Duration::from_secs(2)))
///     .when_empty(OnEmpty::Open)
///     .max_state_bytes(1 << 30)
///     .on_refresh(|report| println!("now at version {}", report.to))
///     .open()
///     .await?;
/// # Ok(()) }
/// ```
#[must_use = "a builder does nothing until it is opened"]
pub struct ConsumerBuilder<L: Location = DatasetUrl> {
    location: L,
    options: Options,
}

impl Consumer {
    /// A consumer of the dataset at `url`: `s3://bucket/path`, `gs://bucket/path`, `az://container/path`,
    /// `file:///path`, a plain path, or `memory://name`.
    ///
    /// ```no_run
    /// # use cenote_consumer::{Consumer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let consumer = Consumer::builder("s3://media/catalog").with::<Movie>().open().await?;
    /// # Ok(()) }
    /// ```
    pub fn builder(url: impl Into<String>) -> ConsumerBuilder {
        ConsumerBuilder { location: DatasetUrl::new(url), options: Options::default() }
    }

    /// A consumer of a dataset on a storage that is open already.
    ///
    /// ```
    /// # use cenote_consumer::{Consumer, OnEmpty};
    /// use cenote_consumer::storage::Storage;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let storage = Storage::open("memory://consumer-builder-on", &[]).await?;
    /// let consumer = Consumer::builder_on(storage).when_empty(OnEmpty::Open).open().await?;
    /// # Ok(()) }
    /// ```
    pub fn builder_on(storage: Storage) -> ConsumerBuilder<Storage> {
        ConsumerBuilder { location: storage, options: Options::default() }
    }
}

impl ConsumerBuilder<DatasetUrl> {
    /// Sets an option of the store, like `aws_endpoint`; it overrides the environment's. Default: none.
    ///
    /// ```
    /// # use cenote_consumer::Consumer;
    /// let builder = Consumer::builder("s3://media/catalog").storage_option("aws_endpoint", "http://localhost:9000");
    /// # drop(builder);
    /// ```
    pub fn storage_option(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.location.add_option(key, value);
        self
    }
}

impl<L: Location> ConsumerBuilder<L> {
    /// Declares a root type that the program reads, and all types that its fields lead to. A type that the dataset lacks is
    /// an empty table. Of the dataset, the consumer holds the types and fields that are declared, with what their keys
    /// need; see [`whole`](ConsumerBuilder::whole).
    ///
    /// ```
    /// # use cenote_consumer::{Consumer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[derive(Record)]
    /// # #[record(key = "name")]
    /// # struct Country { name: String }
    /// let builder = Consumer::builder("s3://media/catalog").with::<Movie>().with::<Country>();
    /// # drop(builder);
    /// ```
    pub fn with<T: Root>(mut self) -> Self {
        self.options.registry = self.options.registry.with::<T>();
        self
    }

    /// Keeps a hash index, for [`View::find`](crate::View::find). Default: none.
    ///
    /// ```
    /// # use cenote_consumer::{Consumer, HashIndex, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64, country: String }
    /// const BY_COUNTRY: HashIndex<Movie, str> = HashIndex::on("country");
    /// let builder = Consumer::builder("s3://media/catalog").with::<Movie>().index(&BY_COUNTRY);
    /// # drop(builder);
    /// ```
    pub fn index<T: Root, V: IndexValue + ?Sized>(mut self, index: &HashIndex<T, V>) -> Self {
        self.options.indexes.push(IndexDeclaration::new(index));
        self
    }

    /// Holds the whole dataset, declared or not: for programs that read by name, without Rust types. Default: only what the
    /// program declares is fetched, decoded and held.
    ///
    /// ```
    /// # use cenote_consumer::Consumer;
    /// let builder = Consumer::builder("s3://media/catalog").whole();
    /// # drop(builder);
    /// ```
    pub fn whole(mut self) -> Self {
        self.options.whole = true;
        self
    }

    /// Sets when the consumer looks for newer versions. Default: polls every 10 s; a local folder is watched as well.
    ///
    /// ```
    /// # use cenote_consumer::{Consumer, ReloadPolicy};
    /// let builder = Consumer::builder("s3://media/catalog").reload(ReloadPolicy::Manual);
    /// # drop(builder);
    /// ```
    pub fn reload(mut self, policy: ReloadPolicy) -> Self {
        self.options.reload = policy;
        self
    }

    /// Sets what [`open`](ConsumerBuilder::open) does while no version exists. Default: waits for 60 s.
    ///
    /// ```
    /// # use cenote_consumer::{Consumer, OnEmpty};
    /// # use std::time::Duration;
    /// let builder = Consumer::builder("s3://media/catalog").when_empty(OnEmpty::Wait(Duration::from_secs(5)));
    /// # drop(builder);
    /// ```
    pub fn when_empty(mut self, on_empty: OnEmpty) -> Self {
        self.options.when_empty = on_empty;
        self
    }

    /// Opens at this version instead of the newest; with [`ReloadPolicy::Manual`] the consumer stays there until a caller
    /// refreshes it. Default: the newest version.
    ///
    /// ```
    /// # use cenote_consumer::{Consumer, ReloadPolicy, Version};
    /// let builder = Consumer::builder("s3://media/catalog").start_at(Version(42)).reload(ReloadPolicy::Manual);
    /// # drop(builder);
    /// ```
    pub fn start_at(mut self, version: Version) -> Self {
        self.options.start_at = Goal::Version(version);
        self
    }

    /// Limits the memory of a state and its indexes; a version that takes more is refused, and the old one served. Default: the memory of the
    /// machine or the container.
    ///
    /// ```
    /// # use cenote_consumer::Consumer;
    /// let builder = Consumer::builder("s3://media/catalog").max_state_bytes(2 << 30);
    /// # drop(builder);
    /// ```
    pub fn max_state_bytes(mut self, bytes: u64) -> Self {
        self.options.max_state_bytes = Some(bytes);
        self
    }

    /// Calls `listener` after each new version, the first included, on the consumer's task: keep it short. Default: none.
    ///
    /// ```
    /// # use cenote_consumer::Consumer;
    /// let builder = Consumer::builder("s3://media/catalog").on_refresh(|report| println!("{report:?}"));
    /// # drop(builder);
    /// ```
    pub fn on_refresh(mut self, listener: impl Fn(&RefreshReport) + Send + Sync + 'static) -> Self {
        self.options.listeners.push(Arc::new(listener));
        self
    }

    /// Sets the clock, the randomness and the threads. Default: the machine's.
    ///
    /// ```
    /// # use cenote_consumer::Consumer;
    /// use cenote_consumer::env::Env;
    ///
    /// let builder = Consumer::builder("memory://env").env(Env::simulated(7)); // for tests
    /// # drop(builder);
    /// ```
    pub fn env(mut self, env: Env) -> Self {
        self.options.env = env;
        self
    }

    /// Rules of order that are broken on purpose, for the simulation that shows that it notices.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    pub fn rules(mut self, rules: Rules) -> Self {
        self.options.rules = rules;
        self
    }

    /// Swaps type by type, as no build may, for the test that shows that it notices.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    pub fn torn_swaps(mut self) -> Self {
        self.options.torn_swaps = true;
        self
    }

    /// Loads the newest version and follows the dataset from then on, in a separate task on the current runtime.
    ///
    /// ```
    /// # use cenote_producer::Producer;
    /// use cenote_consumer::{Consumer, Record};
    ///
    /// #[derive(Record)]
    /// #[record(key = "id")]
    /// struct Movie {
    ///     id: u64,
    ///     title: String,
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let mut producer = Producer::builder("memory://open").with::<Movie>().open().await?;
    /// # producer.update(|changes| Ok(changes.upsert(&Movie { id: 42, title: "Heat".into() })?)).await?;
    /// let consumer = Consumer::builder("memory://open").with::<Movie>().open().await?;
    /// assert_eq!(consumer.view().get::<Movie>(42).map(|movie| movie.title().to_owned()).as_deref(), Some("Heat"));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// If the program's records or indexes are wrong, the URL or the store fails, or no version can be loaded; see
    /// [`OpenError`].
    ///
    /// # Panics
    /// Outside of a tokio runtime; see [`open_blocking`](ConsumerBuilder::open_blocking).
    pub async fn open(self) -> Result<Consumer, OpenError> {
        let env = self.options.env.clone();
        let (consumer, task) = start::start(self.location, self.options).await?;
        drop(env.spawn(task.run()));
        Ok(consumer)
    }

    /// The same for a program without an async runtime: the consumer's task runs on a separate thread. Reads need nothing
    /// more; for the async methods there is [`Consumer::wait`].
    ///
    /// ```no_run
    /// # use cenote_consumer::{Consumer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let consumer = Consumer::builder("/data/catalog").with::<Movie>().open_blocking()?;
    /// println!("{} movies", consumer.view().len::<Movie>());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As for [`open`](ConsumerBuilder::open), or if the thread cannot be started.
    pub fn open_blocking(self) -> Result<Consumer, OpenError> {
        Ok(start::start_on_thread(self.location, self.options)?)
    }
}

impl<L: Location> std::fmt::Debug for ConsumerBuilder<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("ConsumerBuilder");
        debug.field("url", &self.location.url()).field("reload", &self.options.reload).finish_non_exhaustive()
    }
}
