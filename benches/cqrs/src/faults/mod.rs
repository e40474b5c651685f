//! Faults: each is scripted, happens under load, and ends with a comparison of every answer with the write side.
//!
//! A run of a fault on a strategy: start, commands, the script, more commands, then quiet. Meanwhile a `watch` follows how
//! stale or wrong each entity is. When all queues report empty and one more interval has passed, all queries are asked. A
//! strategy that is wrong then *stays wrong*: a wrong row is shown, and what a person would do is tried.
//!
//! Rules: nothing in the table is written by hand; a strategy that can't have a fault is left out, for a reason; each script
//! checks that its fault took place (refused calls, deliveries that came twice or late, a fenced publisher), and fails the
//! run if it did not.

mod audit;
mod run;
mod script;
mod watch;

use serde::Serialize;

use super::metrics::Alarm;
use super::strategy::{Location, Strategy, WriteKind};

pub use audit::{differences, drain, settle};
pub use run::{MakeStage, Plan, run, run_all};

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The broker is away while commands go on.
    BrokerDown,
    /// The service dies between commit and publish.
    ServiceKilled,
    /// Every message comes twice.
    Duplicates,
    /// Messages come in another order, within keys too.
    Reordering,
    /// The projector dies before it applies, after it applied, and at an arbitrary point.
    ProjectorKilled,
    /// A message that no reader can decode.
    Poison,
    /// The read store is restarted.
    StoreRestarted,
    /// The relay (or publisher) dies after it published and before it marks.
    RelayKilled,
    /// The projector is slow, and a burst comes.
    SlowProjector,
    /// A field is added to the schema, by a migration of the write side.
    FieldAdded,
    /// The read model is damaged, past all code.
    Corrupted,
    /// The last hour is replayed.
    Replay,
    /// The publisher dies at each of its first requests to the store, before or after it takes effect.
    PublisherKilled,
    /// A second publisher starts.
    TwoPublishers,
    /// The object store is away.
    ObjectStoreDown,
    /// The reading service is killed and started again.
    ReaderKilled,
    /// What a reader fetches is damaged on the way.
    DamagedBytes,
    /// A bug publishes wrong values that a validator detects.
    BadVersionRefused,
    /// A bug publishes wrong values that no validator detects.
    BadVersionRolledBack,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 19] = [
        Fault::BrokerDown,
        Fault::ServiceKilled,
        Fault::Duplicates,
        Fault::Reordering,
        Fault::ProjectorKilled,
        Fault::Poison,
        Fault::StoreRestarted,
        Fault::RelayKilled,
        Fault::SlowProjector,
        Fault::FieldAdded,
        Fault::Corrupted,
        Fault::Replay,
        Fault::PublisherKilled,
        Fault::TwoPublishers,
        Fault::ObjectStoreDown,
        Fault::ReaderKilled,
        Fault::DamagedBytes,
        Fault::BadVersionRefused,
        Fault::BadVersionRolledBack,
    ];

    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Fault::BrokerDown => "broker down",
            Fault::ServiceKilled => "service killed between commit and publish",
            Fault::Duplicates => "duplicates",
            Fault::Reordering => "reordering, within keys too",
            Fault::ProjectorKilled => "projector killed mid-batch",
            Fault::Poison => "poison message",
            Fault::StoreRestarted => "read store restarted",
            Fault::RelayKilled => "killed after publishing, before marking",
            Fault::SlowProjector => "slow projector and a burst",
            Fault::FieldAdded => "field added by a migration",
            Fault::Corrupted => "projection corrupted, rebuilt under load",
            Fault::Replay => "replay of the last hour",
            Fault::PublisherKilled => "publisher killed at any step",
            Fault::TwoPublishers => "two publishers",
            Fault::ObjectStoreDown => "object store down",
            Fault::ReaderKilled => "reader killed",
            Fault::DamagedBytes => "damaged bytes",
            Fault::BadVersionRefused => "bad version, seen by a validator",
            Fault::BadVersionRolledBack => "bad version, rolled back",
        }
    }

    /// Whether this strategy on such a write side can have it; the error is the reason why not.
    pub fn applies_to(self, strategy: Strategy, write: WriteKind) -> Result<(), &'static str> {
        use Fault::{
            BadVersionRefused, BadVersionRolledBack, BrokerDown, Corrupted, DamagedBytes, Duplicates, FieldAdded,
            ObjectStoreDown, Poison, ProjectorKilled, PublisherKilled, ReaderKilled, RelayKilled, Reordering, Replay,
            ServiceKilled, SlowProjector, StoreRestarted, TwoPublishers,
        };
        let (cenote, broker) = (strategy.is_cenote(), strategy.has_broker());
        let update = matches!(strategy, Strategy::CenoteUpdate(_));
        let (fits, why) = match self {
            BrokerDown | Duplicates | Reordering => (broker, "has no broker"),
            ServiceKilled => (strategy == Strategy::Async, "publishes nothing from memory"),
            ProjectorKilled | SlowProjector => (!cenote && strategy != Strategy::Sync, "has no projector"),
            Poison => (broker || update || strategy == Strategy::EventSourced, "has no messages"),
            StoreRestarted => (!cenote, "has no read store"),
            RelayKilled => (update || broker && strategy != Strategy::Async, "has no relay"),
            FieldAdded => (true, ""),
            Corrupted => (!cenote, "readers hold memory that no other program can write to"),
            Replay => {
                // A replication slot forgets what was acknowledged; a table of changes is kept for a while.
                let forgets = strategy == Strategy::Cdc && write == WriteKind::Postgres;
                let keeps = broker && strategy != Strategy::Async && !forgets;
                let keeps = keeps || update || matches!(strategy, Strategy::EventSourced | Strategy::Polling);
                (keeps, "keeps nothing that could be replayed")
            }
            PublisherKilled | TwoPublishers | ObjectStoreDown | ReaderKilled | DamagedBytes | BadVersionRefused
            | BadVersionRolledBack => (cenote, "is not Cenote's"),
        };
        if fits { Ok(()) } else { Err(why) }
    }
}

/// The strategies that faults are tried on by default. Some that differ only in how long things take are left out.
#[must_use]
pub fn usual() -> Vec<Strategy> {
    let near =
        [Strategy::OutboxNearTimer, Strategy::CenoteCycle(Location::S3), Strategy::CenoteUpdate(Location::S3Slow)];
    Strategy::ALL.into_iter().filter(|strategy| !near.contains(strategy)).collect()
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Never later than on a good day.
    Right,
    /// Stale or wrong, and then right.
    WrongForAWhile,
    /// Still wrong when all queues are empty and an interval has passed.
    StaysWrong,
}

/// What repaired it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Repair {
    /// Nothing had to be repaired.
    NotNeeded,
    /// The strategy itself.
    Itself,
    /// A person, by doing this.
    Person(&'static str),
    /// Nothing that was tried helped.
    Failed,
}

/// What a fault did to a strategy.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The strategy, by its title.
    pub system: String,
    /// The fault.
    pub fault: Fault,
    /// How a run ended.
    pub verdict: Verdict,
    /// The longest time that anything was stale or wrong, in seconds, including what is normal on a good day.
    pub wrong_for_s: f64,
    /// The alarms that rang.
    pub noticed: Vec<Alarm>,
    /// What repaired it.
    pub repaired: Repair,
    /// A row that stayed wrong.
    pub row: Option<String>,
    /// More about the run.
    pub note: Option<String>,
    /// Commands that were acknowledged during the run.
    pub commands: u64,
    /// Commands that failed, rejections apart.
    pub failed_commands: u64,
}
