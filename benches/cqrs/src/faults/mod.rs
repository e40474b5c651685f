//! Faults: each is scripted, happens under load, and ends in a comparison of everything that a reader can ask with what
//! the write side says.
//!
//! A run of a fault on a strategy: start, commands, the script, more commands, then quiet. While it goes on a `watch`
//! follows how stale or wrong each entity is. When all queues report empty, and one interval more has gone by, all
//! questions are asked. A strategy that is not right then never gets there by itself: it is *wrong for ever*, with the
//! row shown, and what a person would do is tried.
//!
//! Rules: nothing in the table is written by hand; what a fault cannot befall is absent, with the reason; each script looks
//! for what shows that its fault has taken place (refused calls, deliveries that came twice or late, a fenced publisher),
//! and one that finds nothing fails the run.

mod audit;
mod run;
mod script;
mod watch;

use serde::Serialize;

use super::metrics::Alarm;
use super::strategy::{Location, Strategy, WriteKind};

pub use audit::{differences, drain, settle};
pub use run::{MakeStage, Plan, run, run_all};

/// What is done to a strategy.
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
    /// The projector dies before it applies, after it applied, and wherever it happens to be.
    ProjectorKilled,
    /// A message that nobody can read.
    Poison,
    /// The read store is restarted.
    StoreRestarted,
    /// The relay (or publisher) dies after it published and before it marks.
    RelayKilled,
    /// The projector is slow, and a burst comes.
    SlowProjector,
    /// A field is added to the schema, by a migration of the write side.
    FieldAdded,
    /// The read model is damaged behind everyone's back.
    Corrupted,
    /// The last hour is told again.
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
    /// A bug publishes nonsense that a validator looks for.
    BadVersionRefused,
    /// A bug publishes nonsense that no validator looks for.
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

    /// What it is called.
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

    /// Whether it can befall this strategy on such a write side, and if not, why.
    pub fn applies_to(self, strategy: Strategy, write: WriteKind) -> Result<(), &'static str> {
        use Fault::*;
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
            Corrupted => (!cenote, "readers hold memory that nobody can write to"),
            Replay => {
                // A replication slot forgets what was acknowledged; a table of changes is kept for a while.
                let forgets = strategy == Strategy::Cdc && write == WriteKind::Postgres;
                let keeps = broker && strategy != Strategy::Async && !forgets;
                let keeps = keeps || update || matches!(strategy, Strategy::EventSourced | Strategy::Polling);
                (keeps, "keeps nothing that could be replayed")
            }
            PublisherKilled | TwoPublishers | ObjectStoreDown | ReaderKilled | DamagedBytes | BadVersionRefused
            | BadVersionRolledBack => (cenote, "is not the engine's"),
        };
        if fits { Ok(()) } else { Err(why) }
    }
}

/// The strategies that faults are tried on, unless told otherwise: far places differ in how long things take only.
#[must_use]
pub fn usual() -> Vec<Strategy> {
    let near =
        [Strategy::OutboxNearTimer, Strategy::CenoteCycle(Location::S3), Strategy::CenoteUpdate(Location::S3Slow)];
    Strategy::ALL.into_iter().filter(|strategy| !near.contains(strategy)).collect()
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Never later than it is on a good day.
    Right,
    /// Stale or wrong, and then right.
    WrongForAWhile,
    /// Still wrong when all queues are empty and an interval has passed.
    StaysWrong,
}

/// Who put it right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Repair {
    /// There was nothing to repair.
    Nothing,
    /// The strategy itself.
    Itself,
    /// A person, by doing this.
    Person(&'static str),
    /// Nobody: what was tried did not help.
    Nobody,
}

/// What a fault did to a strategy.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The strategy, by its title.
    pub system: String,
    /// The fault.
    pub fault: Fault,
    /// How it ended.
    pub verdict: Verdict,
    /// The longest that anything was stale or wrong, in seconds; what a good day has included.
    pub wrong_for_s: f64,
    /// The alarms that rang.
    pub noticed: Vec<Alarm>,
    /// Who put it right.
    pub repaired: Repair,
    /// A row that was wrong for ever.
    pub row: Option<String>,
    /// What else there is to say.
    pub note: Option<String>,
    /// Commands that were acknowledged during the run.
    pub commands: u64,
    /// Commands that failed, rejections apart.
    pub failed_commands: u64,
}
