//! The strategies: ways to bring what a command changed to where it is read. Each file shows one, put together from parts.
//!
//! | name | how | processes beside service, database and reader |
//! | --- | --- | --- |
//! | `sync` | the read model is in the command's transaction | – |
//! | `async` | published after the commit, from memory | broker, projector |
//! | `outbox` | a row in the same transaction, relayed | relay, broker, projector |
//! | `cdc` | captured from the database, relayed | relay, broker, projector |
//! | `polling` | rows that changed since the watermark | poller |
//! | `hybrid` | stock as `sync`, the rest as `outbox` | relay, broker, projector |
//! | `event-sourced` | events are all that is stored; read models follow them | projector |
//! | `cenote-cycle` | the whole dataset, every few seconds | publisher |
//! | `cenote-update` | outbox rows become versions | publisher |

mod asynchronous;
mod cdc;
pub mod cenote;
mod direct;
mod event_sourced;
mod hybrid;
mod mailer;
mod outbox;
mod parts;
mod pipeline;
mod polling;
mod projector;
mod relay;
mod servers;
mod sync;
mod tasks;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Answer;
use super::domain::{Ack, Command, CommandError, Key, Micros, Truth};
use super::metrics::Reading;
use super::points::Points;
use super::read::{NearCache, Queries};

pub use parts::{BrokerKind, SERVERS, Stage, StoreKind, WriteKind};
pub use pipeline::Pipeline;
pub use tasks::{Replaced, Tasks};

/// Where a `cenote` dataset is, and how often its readers look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A local folder, which is watched.
    Files,
    /// S3 with the latencies of S3, polled at the settings' interval.
    S3,
    /// The same, polled every 10 s, which is the consumer's default.
    S3Slow,
}

/// One way to do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// See the module.
    Sync,
    /// See the module.
    Async,
    /// See the module.
    Outbox,
    /// `outbox` behind a near cache that a timer empties.
    OutboxNearTimer,
    /// `outbox` behind a near cache that the projector keeps right.
    OutboxNearEvents,
    /// See the module.
    Cdc,
    /// See the module.
    Polling,
    /// See the module.
    Hybrid,
    /// See the module.
    EventSourced,
    /// See the module.
    CenoteCycle(Place),
    /// See the module.
    CenoteUpdate(Place),
}

impl Strategy {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Strategy; 14] = [
        Strategy::Sync,
        Strategy::Async,
        Strategy::Outbox,
        Strategy::OutboxNearTimer,
        Strategy::OutboxNearEvents,
        Strategy::Cdc,
        Strategy::Polling,
        Strategy::Hybrid,
        Strategy::EventSourced,
        Strategy::CenoteCycle(Place::Files),
        Strategy::CenoteCycle(Place::S3),
        Strategy::CenoteUpdate(Place::Files),
        Strategy::CenoteUpdate(Place::S3),
        Strategy::CenoteUpdate(Place::S3Slow),
    ];

    /// What it is called, on whatever parts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Strategy::Sync => "sync",
            Strategy::Async => "async",
            Strategy::Outbox => "outbox",
            Strategy::OutboxNearTimer => "outbox-near-timer",
            Strategy::OutboxNearEvents => "outbox-near-events",
            Strategy::Cdc => "cdc",
            Strategy::Polling => "polling",
            Strategy::Hybrid => "hybrid",
            Strategy::EventSourced => "event-sourced",
            Strategy::CenoteCycle(Place::Files) => "cenote-cycle",
            Strategy::CenoteCycle(_) => "cenote-cycle-s3",
            Strategy::CenoteUpdate(Place::Files) => "cenote-update",
            Strategy::CenoteUpdate(Place::S3) => "cenote-update-s3",
            Strategy::CenoteUpdate(Place::S3Slow) => "cenote-update-s3-10s",
        }
    }

    /// What it is called in reports: captured by triggers is not captured from a log.
    #[must_use]
    pub fn title(self, write: WriteKind) -> &'static str {
        match (self, write) {
            (Strategy::Cdc, WriteKind::Sqlite) => "cdc-embedded",
            _ => self.name(),
        }
    }

    /// By name; `cdc-embedded` is `cdc`.
    #[must_use]
    pub fn find(name: &str) -> Option<Strategy> {
        let name = if name == "cdc-embedded" { "cdc" } else { name };
        Strategy::ALL.into_iter().find(|strategy| strategy.name() == name)
    }

    /// Whether it is one of the engine's.
    #[must_use]
    pub fn is_cenote(self) -> bool {
        matches!(self, Strategy::CenoteCycle(_) | Strategy::CenoteUpdate(_))
    }

    /// Whether its dataset is at a server of objects.
    #[must_use]
    pub fn is_far(self) -> bool {
        let far = |place| place != Place::Files;
        matches!(self, Strategy::CenoteCycle(place) | Strategy::CenoteUpdate(place) if far(place))
    }

    /// Whether messages go through a broker.
    #[must_use]
    pub fn has_broker(self) -> bool {
        use Strategy::{Async, Cdc, Hybrid, Outbox, OutboxNearEvents, OutboxNearTimer};
        matches!(self, Async | Outbox | OutboxNearTimer | OutboxNearEvents | Cdc | Hybrid)
    }

    /// Whether it has a read store of its own, beside the write side's tables.
    #[must_use]
    pub fn has_read_store(self) -> bool {
        !self.is_cenote() && !matches!(self, Strategy::Sync | Strategy::Hybrid)
    }

    /// What has to run besides the service that takes commands and the one that reads; databases and brokers count.
    #[must_use]
    pub fn processes(self) -> &'static [&'static str] {
        match self {
            Strategy::Sync => &["write database"],
            Strategy::Async => &["write database", "broker", "projector", "read store"],
            Strategy::Outbox | Strategy::OutboxNearTimer | Strategy::OutboxNearEvents | Strategy::Cdc => {
                &["write database", "relay", "broker", "projector", "read store"]
            }
            Strategy::Polling | Strategy::EventSourced => &["write database", "projector", "read store"],
            Strategy::Hybrid => &["write database", "relay", "broker", "projector"],
            Strategy::CenoteCycle(Place::Files) | Strategy::CenoteUpdate(Place::Files) => {
                &["write database", "publisher"]
            }
            Strategy::CenoteCycle(_) | Strategy::CenoteUpdate(_) => &["write database", "publisher", "object store"],
        }
    }

    /// Opens what a reading service opens, and nothing else: in a process of its own, on what a run has left. The guard
    /// keeps what must live for as long as questions are asked.
    pub async fn open_reader(self, stage: &Stage, generation: u32) -> Answer<(Queries, Box<dyn std::any::Any>)> {
        match self {
            Strategy::CenoteCycle(place) | Strategy::CenoteUpdate(place) => cenote::open_only(stage, place).await,
            _ => {
                let within = matches!(self, Strategy::Sync | Strategy::Hybrid);
                let live = stage.find_live(generation, within).await?;
                let queries = match self {
                    Strategy::OutboxNearTimer | Strategy::OutboxNearEvents => NearCache::new(live.queries()).queries(),
                    _ => live.queries(),
                };
                Ok((queries, Box::new(live)))
            }
        }
    }

    /// Puts it together on the stage, fills its read side, and runs it. The write side has been seeded.
    pub async fn start(self, stage: &Stage) -> Answer<Arc<dyn Running>> {
        match self {
            Strategy::Sync => sync::start(stage).await,
            Strategy::Async => asynchronous::start(stage).await,
            Strategy::Outbox => outbox::start(stage, outbox::Near::None).await,
            Strategy::OutboxNearTimer => outbox::start(stage, outbox::Near::Timer).await,
            Strategy::OutboxNearEvents => outbox::start(stage, outbox::Near::Events).await,
            Strategy::Cdc => cdc::start(stage).await,
            Strategy::Polling => polling::start(stage).await,
            Strategy::Hybrid => hybrid::start(stage).await,
            Strategy::EventSourced => event_sourced::start(stage).await,
            Strategy::CenoteCycle(place) => cenote::start(stage, cenote::How::Cycle, place).await,
            Strategy::CenoteUpdate(place) => cenote::start(stage, cenote::How::Update, place).await,
        }
    }
}

/// Bytes on disk, by part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// The write database: what it says.
    pub write: u64,
    /// What feeds keep there: an outbox, captured changes, a log that a slot holds.
    pub feeds: u64,
    /// The broker.
    pub broker: u64,
    /// The read store, or the dataset.
    pub read: u64,
}

/// A strategy that runs. What operations would do is here, and what a scripted fault needs.
#[async_trait]
pub trait Running: Send + Sync {
    /// Carries out a command, up to its acknowledgement.
    async fn execute(&self, command: &Command) -> Result<Ack, CommandError>;

    /// The read side, as a service would ask it. Ask again after a restart of the reader.
    fn queries(&self) -> Queries;

    /// What the write side says.
    async fn truth(&self) -> Answer<Truth>;

    /// The metrics now.
    async fn reading(&self) -> Answer<Reading>;

    /// Rebuilds the read side from the write side, beside what runs, and switches; how long it took until then. What
    /// clears up afterwards is waited for, and not in it.
    async fn rebuild(&self) -> Answer<Duration>;

    /// Tells once more what was committed since; how many messages that were. `None` if nothing is kept to tell.
    async fn replay(&self, since: Micros) -> Answer<Option<u64>>;

    /// Puts a message that nobody can read where a bug would put it. `false` if there is no such place.
    async fn poison(&self, key: Key) -> Answer<bool>;

    /// Sends the dead letters again; how many there were.
    async fn redrive(&self) -> Answer<u64>;

    /// Changes what the read side holds of an entity behind everyone's back. `false` if that can't be done.
    async fn corrupt(&self, key: Key) -> Answer<bool>;

    /// A migration of the write side adds a field to all products.
    async fn migrate(&self) -> Answer<()>;

    /// Deploys the read side's programs anew, now that they know the field that was added.
    async fn deploy(&self) -> Answer<()>;

    /// The read store, or the reader, is restarted.
    async fn restart_reader(&self) -> Answer<()>;

    /// Kills a process; it is started again.
    fn kill(&self, process: &str);

    /// Where it can be hurt.
    fn points(&self) -> &Arc<Points>;

    /// Bytes on disk.
    async fn usage(&self) -> Answer<Usage>;

    /// Which generation of the read model is live; for whoever opens it beside this process.
    fn generation(&self) -> u32 {
        0
    }

    /// How long a change may be on its way when nothing is wrong: intervals at which something looks.
    fn interval(&self) -> Duration;

    /// The engine's part of it, if it is the engine.
    fn cenote(&self) -> Option<&cenote::Cenote> {
        None
    }

    /// Whether a mailer learns why things change.
    fn sends_mails(&self) -> bool {
        false
    }

    /// Ends everything in good order.
    async fn stop(&self);
}
