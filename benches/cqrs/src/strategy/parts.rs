//! The stage of one run: its folder, world and settings, and the parts that its flags chose.
//!
//! Strategies ask for "the broker" and "the read store"; only this file decides which ones those are.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::Answer;
use crate::broker::{Broker, EmbeddedBroker, FaultyBroker};
use crate::clock::now;
use crate::domain::World;
use crate::metrics::Metrics;
use crate::points::Points;
use crate::read::{Live, ReadStores, SqliteReadStores};
use crate::settings::Settings;
use crate::write::{Hooks, SqliteWrite, WriteSide};

/// Where the write side is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum WriteKind {
    /// A file.
    #[default]
    Sqlite,
    /// A server.
    Postgres,
}

/// Which broker carries messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum BrokerKind {
    /// A durable queue in a file.
    #[default]
    Embedded,
    /// A server.
    Rabbitmq,
    /// A server.
    Kafka,
    /// A server.
    Nats,
}

/// Which read store the projector fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum StoreKind {
    /// A file.
    #[default]
    Sqlite,
    /// A server.
    Postgres,
    /// A server.
    Redis,
    /// A server.
    Cassandra,
}

/// The names of servers in flags, files and scripts.
pub const SERVERS: [&str; 6] = ["postgres", "rabbitmq", "kafka", "nats", "redis", "cassandra"];

/// One run's stage.
pub struct Stage {
    /// Where embedded parts have their files.
    pub folder: PathBuf,
    /// The catalogue.
    pub world: World,
    /// How parts are tuned.
    pub settings: Settings,
    /// The fault points.
    pub points: Arc<Points>,
    /// The counters of all parts.
    pub metrics: Arc<Metrics>,
    /// Where the write side is.
    pub write: WriteKind,
    /// Which broker carries messages.
    pub broker: BrokerKind,
    /// Which read store the projector fills.
    pub store: StoreKind,
    /// The addresses of servers by name, as given by flags.
    pub servers: Vec<(String, String)>,
    /// The name of this run at shared servers: letters and digits.
    pub name: String,
    /// Whether the read model stays at its server, for a later process.
    pub keep: bool,
    /// The address of the object server, such as `http://127.0.0.1:9000`; without it, datasets on S3 start one in this
    /// process.
    pub objects: Option<String>,
    /// When the write side was filled.
    seeded: OnceLock<Instant>,
}

impl Stage {
    /// A stage on embedded parts.
    #[must_use]
    pub fn embedded(folder: PathBuf, world: World, settings: Settings) -> Stage {
        Stage {
            folder,
            world,
            settings,
            points: Arc::default(),
            metrics: Arc::default(),
            write: WriteKind::default(),
            broker: BrokerKind::default(),
            store: StoreKind::default(),
            servers: Vec::new(),
            name: "cqrs".to_owned(),
            keep: false,
            objects: None,
            seeded: OnceLock::new(),
        }
    }

    /// The write side with these hooks, filled with the world. The time for that is in no figure.
    pub async fn write(&self, hooks: Hooks) -> Answer<Arc<dyn WriteSide>> {
        let write: Arc<dyn WriteSide> = match self.write {
            WriteKind::Sqlite => Arc::new(SqliteWrite::open(&self.folder, hooks, Arc::clone(&self.world.reference))?),
            WriteKind::Postgres => self.server_write(hooks).await?,
        };
        write.seed(&self.world).await?;
        let _ = self.seeded.set(now());
        Ok(write)
    }

    /// The broker, in a wrapper that can misbehave.
    pub async fn broker(&self) -> Answer<Arc<dyn Broker>> {
        let broker: Arc<dyn Broker> = match self.broker {
            BrokerKind::Embedded => Arc::new(EmbeddedBroker::open(&self.folder)?),
            kind => self.server_broker(kind).await?,
        };
        Ok(Arc::new(FaultyBroker::new(broker, Arc::clone(&self.points))))
    }

    /// How long ago the write side was filled: a strategy's bootstrap is measured from there.
    #[must_use]
    pub fn since_seeded(&self) -> Duration {
        self.seeded.get().map_or(Duration::ZERO, Instant::elapsed)
    }

    /// The read model, in a separate store.
    pub async fn live(&self) -> Answer<Arc<Live>> {
        self.live_in(self.stores().await?, 0).await
    }

    /// The read model as another process finds it: this generation, in a separate store or in the write side's.
    pub async fn find_live(&self, generation: u32, within: bool) -> Answer<Arc<Live>> {
        let stores = if within { self.stores_within().await? } else { self.stores().await? };
        self.live_in(stores, generation).await
    }

    async fn stores(&self) -> Answer<Arc<dyn ReadStores>> {
        Ok(match self.store {
            StoreKind::Sqlite => Arc::new(SqliteReadStores::open(&self.folder, Arc::clone(&self.world.reference))?),
            kind => self.server_stores(kind).await?,
        })
    }

    async fn stores_within(&self) -> Answer<Arc<dyn ReadStores>> {
        Ok(match self.write {
            WriteKind::Sqlite => {
                Arc::new(SqliteReadStores::open_at(&self.folder.join("write.db"), Arc::clone(&self.world.reference))?)
            }
            WriteKind::Postgres => self.server_stores_within().await?,
        })
    }

    /// The read model, in the write side's database, whose hooks know it.
    pub async fn live_within(&self, write: &dyn WriteSide) -> Answer<Arc<Live>> {
        self.live_in(write.read_stores()?, 0).await
    }

    async fn live_in(&self, stores: Arc<dyn ReadStores>, generation: u32) -> Answer<Arc<Live>> {
        Live::open(stores, generation, Arc::clone(&self.points), Arc::clone(&self.metrics)).await
    }
}
