//! How a producer is set up.

use std::sync::Arc;
use std::time::Duration;

use cenote_state::record::{Registry, Root};
use cenote_state::schema::{Allow, Schema};
use cenote_state::view::View;
use cenote_store::env::Env;
use cenote_store::log::WriterOptions;
use cenote_store::log::retention::Keep;
use cenote_store::storage::Storage;

use crate::BoxError;
use crate::error::OpenError;
use crate::producer::Producer;
use crate::snapshot::Snapshots;
use crate::validators::{Own, Validator};

/// Sets a producer up. Made by [`Producer::builder`]; ends with [`open`](ProducerBuilder::open).
#[must_use = "a builder does nothing until it is opened"]
pub struct ProducerBuilder {
    pub(crate) place: Place,
    pub(crate) registry: Registry,
    pub(crate) declare: Option<Declare>,
    pub(crate) allow: Vec<Allow>,
    pub(crate) validators: Vec<Arc<dyn Validator>>,
    pub(crate) env: Env,
    pub(crate) writer: WriterOptions,
    pub(crate) keep: Keep,
    pub(crate) snapshots: Snapshots,
    pub(crate) bytes_max: u64,
}

/// Declares types once the dataset's schema is known.
pub(crate) type Declare = Box<dyn FnOnce(&Schema, Registry) -> Result<Registry, BoxError> + Send>;

/// Where the dataset is.
pub(crate) enum Place {
    Url(String, Vec<(String, String)>),
    Storage(Storage),
}

impl ProducerBuilder {
    pub(crate) fn new(place: Place) -> ProducerBuilder {
        ProducerBuilder {
            place,
            registry: Registry::new(),
            declare: None,
            allow: Vec::new(),
            validators: Vec::new(),
            env: Env::system(),
            writer: WriterOptions::default(),
            keep: Keep::default(),
            snapshots: Snapshots::default(),
            bytes_max: u64::MAX,
        }
    }

    /// Declares a root type, and all that its fields lead to. Its records are what a cycle replaces.
    pub fn with<T: Root>(mut self) -> ProducerBuilder {
        self.registry = self.registry.with::<T>();
        self
    }

    /// Declares types without Rust structs; records come as rows. Numbers in `schema` are its own: the dataset's types
    /// and fields are found by name.
    pub fn with_schema(mut self, schema: &Schema) -> ProducerBuilder {
        self.registry = self.registry.with_schema(schema);
        self
    }

    /// Declares types once the dataset's schema is known: `declare` is called by [`open`](ProducerBuilder::open), before
    /// anything is written, with the newest version's schema (empty if there is none) and what was declared so far.
    pub fn declare_with(
        mut self,
        declare: impl FnOnce(&Schema, Registry) -> Result<Registry, BoxError> + Send + 'static,
    ) -> ProducerBuilder {
        self.declare = Some(Box::new(declare));
        self
    }

    /// Lets something of the dataset's be lost: see [`Allow`].
    pub fn allow(mut self, allow: Allow) -> ProducerBuilder {
        self.allow.push(allow);
        self
    }

    /// Adds a validator; they are asked in this order. None by default.
    pub fn validate(mut self, validator: impl Validator) -> ProducerBuilder {
        self.validators.push(Arc::new(validator));
        self
    }

    /// Adds a validator of one's own: it gets the old view and the new one. The name is for its errors.
    pub fn validate_with(
        self,
        name: impl Into<String>,
        check: impl Fn(&View, &View) -> Result<(), BoxError> + Send + Sync + 'static,
    ) -> ProducerBuilder {
        self.validate(Own { name: name.into(), check })
    }

    /// Who this is, for people who look at the dataset. Default: `unnamed`.
    pub fn holder(mut self, name: impl Into<String>) -> ProducerBuilder {
        self.writer.holder = name.into();
        self
    }

    /// Opens although another producer seems to be alive: from then on it is fenced. Default: waits until it has
    /// closed, or broken its promise.
    ///
    /// One that puts version after version without a pause is overtaken between two of them. Should it be faster for as
    /// long as a commit may take, `open` says that the log's position was taken: open again.
    pub fn take_over(mut self) -> ProducerBuilder {
        self.writer.take_over = true;
        self
    }

    /// What retention keeps. Default: the newest 3 snapshots, and every one younger than a day.
    pub fn keep(mut self, keep: Keep) -> ProducerBuilder {
        self.keep = keep;
        self
    }

    /// When snapshots are made. Default: when they are due.
    pub fn snapshots(mut self, snapshots: Snapshots) -> ProducerBuilder {
        self.snapshots = snapshots;
        self
    }

    /// How long a commit is tried before its outcome is `Unknown`. Default: 60 s.
    pub fn commit_timeout(mut self, timeout: Duration) -> ProducerBuilder {
        self.writer.commit_timeout = timeout;
        self
    }

    /// The promise to readers and rivals: a sign of life at least this often. Default: 15 s.
    pub fn heartbeat_interval(mut self, promise: Duration) -> ProducerBuilder {
        self.writer.heartbeat_interval = promise;
        self
    }

    /// The most that a state may take in memory when it is loaded. Default: no limit.
    pub fn max_state_bytes(mut self, bytes: u64) -> ProducerBuilder {
        self.bytes_max = bytes;
        self
    }

    /// An option of the store, like `aws_endpoint`. Default: what the environment says. Without effect on a dataset
    /// given as a [`Storage`].
    pub fn option(mut self, key: impl Into<String>, value: impl Into<String>) -> ProducerBuilder {
        if let Place::Url(_, options) = &mut self.place {
            options.push((key.into(), value.into()));
        }
        self
    }

    /// The clock, the randomness and the threads. Default: the machine's.
    pub fn env(mut self, env: Env) -> ProducerBuilder {
        self.env = env;
        self
    }

    #[doc(hidden)]
    pub fn writer_options(mut self, change: impl FnOnce(&mut WriterOptions)) -> ProducerBuilder {
        change(&mut self.writer);
        self
    }

    /// Opens the dataset, or makes it: reads the schema and may refuse, loads the newest version, takes the next epoch.
    /// Waits for a live holder to go, unless told to [take over](ProducerBuilder::take_over).
    ///
    /// # Errors
    /// See [`OpenError`]. Nothing was written, but for the last step's `open` entry.
    pub async fn open(self) -> Result<Producer, OpenError> {
        Producer::open(self).await
    }
}
