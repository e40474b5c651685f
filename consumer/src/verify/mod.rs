//! Verification: every object of a version is read again, and every digest computed from the records.
//!
//! A refresh trusts sums that it carries along and checks what it touches; the verification trusts none. It walks the log
//! ([`run`]), loads every kept snapshot up to the version, and rolls the oldest forward by every delta. Then it compares the
//! state with the commit ([`state`]): digests by column and segment, counts, keys; and references ([`references`]), each of
//! which must lead to a live component, as each component must be referred to.

mod references;
mod run;
mod state;

use cenote_state::ids::{DatasetId, Position, Timestamp, Version};
use cenote_store::env::Env;
use cenote_store::storage::{DatasetUrl, Location, Storage};

use crate::error::VerifyError;
use run::Verification;

/// Verifies a version of a dataset, the newest by default.
///
/// Reads every object that the version consists of, and needs the memory of two states.
///
/// ```
/// # use cenote_producer::Producer;
/// # use cenote_consumer::Record;
/// use cenote_consumer::Verifier;
///
/// # #[derive(Record)]
/// # #[record(key = "id")]
/// # struct Movie { id: u64 }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let mut producer = Producer::builder("memory://verifier").with::<Movie>().open().await?;
/// # producer.update(|changes| Ok(changes.upsert(&Movie { id: 42 })?)).await?;
/// let verifier = Verifier::new("memory://verifier");
/// let verified = verifier.on_progress(|progress| println!("{}: {}", progress.step, progress.done)).run().await?;
/// assert_eq!(verified.types[0].records, 1);
/// # Ok(()) }
/// ```
#[must_use = "a verifier does nothing until .run().await"]
pub struct Verifier<L: Location = DatasetUrl> {
    location: L,
    version: Option<Version>,
    env: Env,
    on_progress: Box<OnProgress>,
}

/// How often a verification begins again because the log is trimmed during it.
const ATTEMPTS: usize = 5;

type OnProgress = dyn Fn(VerifyProgress) + Send + Sync;

/// How far a verification has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyProgress {
    /// The step: `reading the log`, `reading snapshots`, and so on.
    pub step: &'static str,
    /// How much of the step is done.
    pub done: u64,
    /// How much of the step there is.
    pub total: u64,
}

/// A version that is whole: what was read, and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// The dataset.
    pub dataset: DatasetId,
    /// The version.
    pub version: Version,
    /// When it was committed.
    pub committed_at: Timestamp,
    /// Its digest.
    pub digest: u128,
    /// The first position of the log that was read.
    pub first: Position,
    /// The last.
    pub last: Position,
    /// The versions whose snapshots were read.
    pub snapshots: Vec<Version>,
    /// How many deltas were applied.
    pub deltas: u64,
    /// How many bytes were read.
    pub bytes: u64,
    /// By type.
    pub types: Vec<VerifiedType>,
}

/// The records of one type in a version that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifiedType {
    /// The type's name.
    pub name: String,
    /// Whether it has a key: each record was looked up by it.
    pub is_root: bool,
    /// How many records it has; each was hashed.
    pub records: u64,
    /// How many references lead to its records, of a component.
    pub references: u64,
    /// How many keys in its records lead to no record. That is allowed; a validator can forbid it.
    pub dangling_keys: u64,
}

impl Verifier<DatasetUrl> {
    /// A verification of the dataset at `url`.
    ///
    /// ```
    /// # use cenote_consumer::Verifier;
    /// let verifier = Verifier::new("s3://media/catalog");
    /// # drop(verifier);
    /// ```
    pub fn new(url: impl Into<String>) -> Self {
        Verifier::at(DatasetUrl::new(url))
    }

    /// Sets an option of the store, like `aws_endpoint`; it overrides the environment's. Default: none.
    ///
    /// ```
    /// # use cenote_consumer::Verifier;
    /// let verifier = Verifier::new("s3://media/catalog").storage_option("aws_endpoint", "http://localhost:9000");
    /// # drop(verifier);
    /// ```
    pub fn storage_option(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.location.add_option(key, value);
        self
    }
}

impl Verifier<Storage> {
    /// A verification of a dataset on a storage that is open already.
    ///
    /// ```
    /// # use cenote_consumer::Verifier;
    /// # use cenote_consumer::error::StorageError;
    /// use cenote_consumer::storage::Storage;
    ///
    /// # async fn example() -> Result<(), StorageError> {
    /// let verifier = Verifier::on(Storage::open("memory://verifier-on", &[]).await?);
    /// # drop(verifier);
    /// # Ok(()) }
    /// ```
    pub fn on(storage: Storage) -> Self {
        Verifier::at(storage)
    }
}

impl<L: Location> Verifier<L> {
    fn at(location: L) -> Self {
        Verifier { location, version: None, env: Env::system(), on_progress: Box::new(|_| {}) }
    }

    /// Sets the version. Default: the newest.
    ///
    /// ```
    /// # use cenote_consumer::{Verifier, Version};
    /// let verifier = Verifier::new("s3://media/catalog").version(Version(42));
    /// # drop(verifier);
    /// ```
    pub fn version(mut self, version: Version) -> Self {
        self.version = Some(version);
        self
    }

    /// Calls `listener` whenever the verification has come further: keep it short. Default: none.
    ///
    /// ```
    /// # use cenote_consumer::Verifier;
    /// let verifier = Verifier::new("s3://media/catalog")
    ///     .on_progress(|progress| eprintln!("{}: {} of {}", progress.step, progress.done, progress.total));
    /// # drop(verifier);
    /// ```
    pub fn on_progress(mut self, listener: impl Fn(VerifyProgress) + Send + Sync + 'static) -> Self {
        self.on_progress = Box::new(listener);
        self
    }

    /// Sets the clock, the randomness and the threads. Default: the machine's.
    ///
    /// ```
    /// # use cenote_consumer::Verifier;
    /// use cenote_consumer::env::Env;
    ///
    /// let verifier = Verifier::new("memory://verifier-env").env(Env::simulated(7)); // for tests
    /// # drop(verifier);
    /// ```
    pub fn env(mut self, env: Env) -> Self {
        self.env = env;
        self
    }

    /// Verifies the version.
    ///
    /// ```
    /// # use cenote_consumer::{Verifier, error::VerifyError};
    /// # async fn example() -> Result<(), VerifyError> {
    /// let verified = Verifier::new("s3://media/catalog").run().await?;
    /// println!("version {} is whole: {} bytes read", verified.version, verified.bytes);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The first damage that is found, of kind [`Damaged`](crate::error::ErrorKind::Damaged); or why the version could not
    /// be read.
    pub async fn run(self) -> Result<Verified, VerifyError> {
        let storage = self.location.open().await.map_err(crate::error::VerifyCause::from)?;
        let mut attempt = 1;
        loop {
            let verified = Verification::run(&storage, &self.env, &*self.on_progress, self.version).await;
            match verified {
                // What was planned is gone, and nothing is damaged: the log has moved on.
                Err(error) if error.is_trimmed() && attempt < ATTEMPTS => attempt += 1,
                verified => return Ok(verified?),
            }
        }
    }
}

impl<L: Location> std::fmt::Debug for Verifier<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Verifier");
        debug.field("url", &self.location.url()).field("version", &self.version).finish_non_exhaustive()
    }
}
