//! The strategies: ways to bring what a command changed to where it is read. Each file builds one from parts.
//!
//! | name | how | processes besides service, database and reader |
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

/// Where a `cenote` dataset is, and how often its readers poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Location {
    /// A local folder, which is watched.
    Files,
    /// S3 with the latencies of S3, polled at the settings' interval.
    S3,
    /// The same, polled every 10 s, which is the consumer's default.
    S3Slow,
}

/// A strategy; the module's table describes each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// In the command's transaction.
    Sync,
    /// Published after the commit.
    Async,
    /// Rows in the command's transaction, relayed.
    Outbox,
    /// `outbox` with a near cache that a timer empties.
    OutboxNearTimer,
    /// `outbox` with a near cache that the projector keeps up to date.
    OutboxNearEvents,
    /// Captured from the database.
    Cdc,
    /// Rows that changed since a watermark.
    Polling,
    /// Stock in the transaction, the rest relayed.
    Hybrid,
    /// Events are all that is stored.
    EventSourced,
    /// The whole dataset, at an interval.
    CenoteCycle(Location),
    /// Outbox rows become versions.
    CenoteUpdate(Location),
}

impl Strategy {
    /// All strategies, in the order in which reports show them.
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
        Strategy::CenoteCycle(Location::Files),
        Strategy::CenoteCycle(Location::S3),
        Strategy::CenoteUpdate(Location::Files),
        Strategy::CenoteUpdate(Location::S3),
        Strategy::CenoteUpdate(Location::S3Slow),
    ];

    /// The name, on any parts.
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
            Strategy::CenoteCycle(Location::Files) => "cenote-cycle",
            Strategy::CenoteCycle(_) => "cenote-cycle-s3",
            Strategy::CenoteUpdate(Location::Files) => "cenote-update",
            Strategy::CenoteUpdate(Location::S3) => "cenote-update-s3",
            Strategy::CenoteUpdate(Location::S3Slow) => "cenote-update-s3-10s",
        }
    }

    /// The name in reports, where capture by triggers differs from capture from a log.
    #[must_use]
    pub fn title(self, write: WriteKind) -> &'static str {
        match (self, write) {
            (Strategy::Cdc, WriteKind::Sqlite) => "cdc-embedded",
            _ => self.name(),
        }
    }

    /// The strategy with this name; `cdc-embedded` is `cdc`.
    #[must_use]
    pub fn find(name: &str) -> Option<Strategy> {
        let name = if name == "cdc-embedded" { "cdc" } else { name };
        Strategy::ALL.into_iter().find(|strategy| strategy.name() == name)
    }

    /// Whether the read side is Cenote.
    #[must_use]
    pub fn is_cenote(self) -> bool {
        matches!(self, Strategy::CenoteCycle(_) | Strategy::CenoteUpdate(_))
    }

    /// Whether its dataset is at an object server.
    #[must_use]
    pub fn is_far(self) -> bool {
        let far = |place| place != Location::Files;
        matches!(self, Strategy::CenoteCycle(place) | Strategy::CenoteUpdate(place) if far(place))
    }

    /// Whether messages go through a broker.
    #[must_use]
    pub fn has_broker(self) -> bool {
        use Strategy::{Async, Cdc, Hybrid, Outbox, OutboxNearEvents, OutboxNearTimer};
        matches!(self, Async | Outbox | OutboxNearTimer | OutboxNearEvents | Cdc | Hybrid)
    }

    /// Whether it has a read store apart from the write side's database.
    #[must_use]
    pub fn has_read_store(self) -> bool {
        !self.is_cenote() && !matches!(self, Strategy::Sync | Strategy::Hybrid)
    }

    /// What has to run in addition to the service that takes commands and the one that reads; databases and brokers count.
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
            Strategy::CenoteCycle(Location::Files) | Strategy::CenoteUpdate(Location::Files) => {
                &["write database", "publisher"]
            }
            Strategy::CenoteCycle(_) | Strategy::CenoteUpdate(_) => &["write database", "publisher", "object store"],
        }
    }

    /// Opens what a reading service opens, and nothing else, on what a run has left. The guard must live for as long as
    /// the queries are used.
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

    /// Builds it on the stage, fills its read side, and runs it.
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
            Strategy::CenoteCycle(place) => cenote::start(stage, cenote::Mode::Cycle, place).await,
            Strategy::CenoteUpdate(place) => cenote::start(stage, cenote::Mode::Update, place).await,
        }
    }
}

/// Bytes on disk, by part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// The write database, without its feeds.
    pub write: u64,
    /// What feeds keep in it: an outbox, captured changes, a log that a slot holds.
    pub feeds: u64,
    /// The broker.
    pub broker: u64,
    /// The read store, or the dataset.
    pub read: u64,
}

/// A strategy that runs, with what operations would do to it and what a scripted fault needs.
#[async_trait]
pub trait Running: Send + Sync {
    /// Executes a command, up to its acknowledgement.
    async fn execute(&self, command: &Command) -> Result<Ack, CommandError>;

    /// The read side as a service would query it. After a restart of the reader, call this again.
    fn queries(&self) -> Queries;

    /// What the write side holds.
    async fn truth(&self) -> Answer<Truth>;

    /// The metrics now.
    async fn reading(&self) -> Answer<Reading>;

    /// Rebuilds the read side from the write side next to the live one, and switches; returns how long that took. The
    /// removal of the old one is awaited, and not in the time.
    async fn rebuild(&self) -> Answer<Duration>;

    /// Replays what was committed since; returns the number of messages, or `None` if nothing is kept to be replayed.
    async fn replay(&self, since: Micros) -> Answer<Option<u64>>;

    /// Inserts a message that no reader can decode where a bug would put it. `false` if there is no such place.
    async fn poison(&self, key: Key) -> Answer<bool>;

    /// Sends the dead letters again; returns how many there were.
    async fn redrive(&self) -> Answer<u64>;

    /// Changes what the read side holds of an entity, past all code. `false` if that can't be done.
    async fn corrupt(&self, key: Key) -> Answer<bool>;

    /// A migration of the write side adds a field to all products.
    async fn migrate(&self) -> Answer<()>;

    /// Deploys the read side's programs again, now that they know the field that was added.
    async fn deploy(&self) -> Answer<()>;

    /// Restarts the read store, or the reader.
    async fn restart_reader(&self) -> Answer<()>;

    /// Kills a process; it is started again.
    fn kill(&self, process: &str);

    /// Its fault points.
    fn points(&self) -> &Arc<Points>;

    /// Bytes on disk.
    async fn usage(&self) -> Answer<Usage>;

    /// The live generation of the read model; for another process that opens it.
    fn generation(&self) -> u32 {
        0
    }

    /// How long a change may take when nothing is wrong, by the intervals of whatever polls.
    fn interval(&self) -> Duration;

    /// Cenote's part, if the read side is Cenote.
    fn cenote(&self) -> Option<&cenote::Cenote> {
        None
    }

    /// Whether a mailer gets the causes of changes.
    fn sends_mails(&self) -> bool {
        false
    }

    /// Ends everything in order.
    async fn stop(&self);
}
