//! The stage of one run: its folder, its world, its settings, and the parts that its flags chose.
//!
//! Strategies ask for "the broker" and "the read store"; which ones those are is decided here and nowhere else.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use crate::cqrs::Answer;
use crate::cqrs::broker::{Broker, EmbeddedBroker, FaultyBroker};
use crate::cqrs::domain::World;
use crate::cqrs::metrics::Metrics;
use crate::cqrs::points::Points;
use crate::cqrs::read::{Live, ReadStores, SqliteReadStores};
use crate::cqrs::settings::Settings;
use crate::cqrs::write::{Hooks, SqliteWrite, WriteSide};

/// Where the write side is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "cqrs", derive(clap::ValueEnum))]
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
}

/// Addresses of servers, where there are any; as their clients take them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Servers {
    /// `postgres://user@host:port/database`.
    pub postgres: String,
    /// `amqp://host:port`.
    pub rabbitmq: String,
    /// `host:port`.
    pub kafka: String,
    /// `nats://host:port`.
    pub nats: String,
    /// `redis://host:port`.
    pub redis: String,
}

/// One run's stage.
pub struct Stage {
    /// Where embedded parts have their files.
    pub folder: PathBuf,
    /// What is published.
    pub world: World,
    /// How parts are tuned.
    pub settings: Settings,
    /// Where the run can hurt itself.
    pub points: Arc<Points>,
    /// What parts count.
    pub metrics: Arc<Metrics>,
    /// Where the write side is.
    pub write: WriteKind,
    /// Which broker carries messages.
    pub broker: BrokerKind,
    /// Which store is read.
    pub store: StoreKind,
    /// Where servers are.
    pub servers: Servers,
    /// Names this run at servers that others use, too: letters and digits.
    pub name: String,
    /// The write side, once it was opened.
    opened: Mutex<Option<Arc<dyn WriteSide>>>,
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
            servers: Servers::default(),
            name: "cqrs".to_owned(),
            opened: Mutex::default(),
        }
    }

    /// The write side with these hooks, filled with the world. How long that took is nobody's figure: strategies time what
    /// they do afterwards.
    pub async fn write(&self, hooks: Hooks) -> Answer<Arc<dyn WriteSide>> {
        let write: Arc<dyn WriteSide> = match self.write {
            WriteKind::Sqlite => Arc::new(SqliteWrite::open(&self.folder, hooks, Arc::clone(&self.world.reference))?),
            WriteKind::Postgres => return Err(needs_real("--write postgres")),
        };
        write.seed(&self.world).await?;
        *self.opened.lock().expect("nothing panics under this lock") = Some(Arc::clone(&write));
        Ok(write)
    }

    /// The broker, which can be made to misbehave.
    pub async fn broker(&self) -> Answer<Arc<dyn Broker>> {
        let broker: Arc<dyn Broker> = match self.broker {
            BrokerKind::Embedded => Arc::new(EmbeddedBroker::open(&self.folder)?),
            BrokerKind::Rabbitmq | BrokerKind::Kafka | BrokerKind::Nats => return Err(needs_real("--broker")),
        };
        Ok(Arc::new(FaultyBroker::new(broker, Arc::clone(&self.points))))
    }

    /// The read model, in a store of its own.
    pub async fn live(&self) -> Answer<Arc<Live>> {
        let stores: Arc<dyn ReadStores> = match self.store {
            StoreKind::Sqlite => Arc::new(SqliteReadStores::open(&self.folder, Arc::clone(&self.world.reference))?),
            StoreKind::Postgres | StoreKind::Redis => return Err(needs_real("--store")),
        };
        self.live_in(stores).await
    }

    /// The read model, in the write side's database, whose hooks know it.
    pub async fn live_within(&self, write: &dyn WriteSide) -> Answer<Arc<Live>> {
        self.live_in(write.read_stores()?).await
    }

    async fn live_in(&self, stores: Arc<dyn ReadStores>) -> Answer<Arc<Live>> {
        Live::open(stores, 0, Arc::clone(&self.points), Arc::clone(&self.metrics)).await
    }
}

fn needs_real(flag: &str) -> crate::cqrs::Failure {
    format!("{flag} needs the clients of servers: build with `--features real`").into()
}
