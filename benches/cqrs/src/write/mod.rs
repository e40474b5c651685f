//! The write side: a command is validated, executed in a transaction, and acknowledged when it is durable.
//!
//! [`Hooks`] decide what a commit leaves for the read side, which reads it from a [`Feed`]. Every write side offers the same
//! feeds, so a strategy works with any of them.

mod feeds;
#[cfg(feature = "real")]
mod postgres;
mod rows;
mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Answer;
use super::domain::{Ack, Command, CommandError, Key, Message, Micros, Reference, Truth, World};
use super::read::ReadStores;

#[cfg(feature = "real")]
pub use postgres::PostgresWrite;
pub use sqlite::SqliteWrite;

/// What a command's transaction does besides changing the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hooks {
    /// Which part of the read model it updates.
    pub projection: Projection,
    /// Whether it inserts a row into the outbox.
    pub outbox: bool,
    /// Whether rows can be found by the time of their change.
    pub watermark: bool,
    /// Whether changes are captured: triggers into a change table on SQLite, a replication slot on PostgreSQL.
    pub capture: bool,
    /// Whether events are all that is stored, and state is folded from them.
    pub events_only: bool,
}

impl Hooks {
    /// # Errors
    /// These hooks keep no such feed.
    fn keep(self, kind: FeedKind) -> Answer<()> {
        let kept = match kind {
            FeedKind::Outbox => self.outbox,
            FeedKind::Changes => self.capture,
            FeedKind::Updated => self.watermark,
            FeedKind::Events => self.events_only,
        };
        if kept { Ok(()) } else { Err(format!("this write side keeps no feed {kind:?}: open it with the hook").into()) }
    }
}

/// The part of the read model that is in the command's transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Projection {
    /// None.
    #[default]
    None,
    /// Stock only; an outbox then has no row for a change of nothing else.
    Stock,
    /// All of it.
    All,
}

/// A kind of feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedKind {
    /// Rows of the outbox, written in the command's transaction.
    Outbox,
    /// Captured changes.
    Changes,
    /// Rows with an `updated_at` not before the watermark.
    Updated,
    /// The events after a position.
    Events,
}

/// A write side. Methods may be called from many tasks at once.
///
/// Contract: once `execute` has returned `Ok`, the change is durable, `scan` shows it, and each feed that the hooks keep
/// yields it, at least once. The versions of a key have no gaps and start at 1 (the version of what `seed` inserted).
#[async_trait]
pub trait WriteSide: Send + Sync {
    /// Fills an empty write side with the world; leaves nothing in the feeds except in the event store.
    async fn seed(&self, world: &World) -> Answer<()>;

    /// Validates the command, executes it, and acknowledges it when it is durable. Strategies that publish after the commit
    /// send the message.
    async fn execute(&self, command: &Command) -> Result<(Ack, Message), CommandError>;

    /// Shows every entity of one moment, and returns the position of `feed(kind)` at that moment: what comes after it was
    /// not shown. Pages that are gone are included, or an older message would restore them in a read model that was
    /// filled with this.
    async fn scan(&self, kind: Option<FeedKind>, visitor: &mut (dyn FnMut(Message) + Send)) -> Answer<u64>;

    /// What every read side should show.
    async fn truth(&self) -> Answer<Truth> {
        let mut truth = Truth::default();
        self.scan(None, &mut |message| truth.apply(&message)).await?;
        Ok(truth)
    }

    /// A feed of what changed.
    ///
    /// # Errors
    /// The hooks don't keep it.
    fn feed(&self, kind: FeedKind) -> Answer<Arc<dyn Feed>>;

    /// The read model in the write side's database. The hooks' projection updates every generation that is open.
    ///
    /// # Errors
    /// The hooks have no projection.
    fn read_stores(&self) -> Answer<Arc<dyn ReadStores>>;

    /// Brands and categories.
    fn reference(&self) -> Arc<Reference>;

    /// Gives all products a weight, as a migration does: by one statement, past the commands and their hooks. Triggers
    /// fire; versions rise by one.
    async fn migrate_weight(&self) -> Answer<()>;

    /// Bytes on disk of the tables, and of what the feeds keep; without a read model in the same database.
    async fn disk_bytes(&self) -> Answer<(u64, u64)>;

    /// Deletes what feeds no longer need, except for the last `keep`, which can be replayed. The relay's process calls this
    /// at an interval.
    async fn clean(&self, keep: Duration) -> Answer<u64>;
}

/// One thing that changed, on its way to the read side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedEntry {
    /// Its position in the feed; rises.
    pub position: u64,
    /// The entity.
    pub key: Key,
    /// An encoded [`Message`], or bytes that a bug has inserted.
    pub body: Vec<u8>,
}

/// Yields what changed, in order within a key, at least once.
#[async_trait]
pub trait Feed: Send + Sync {
    /// The next changes after this position, at most `limit`, without marked rows of an outbox. A feed that stores its
    /// position (a replication slot) ignores `after`.
    async fn next(&self, after: u64, limit: usize) -> Answer<Vec<FeedEntry>>;

    /// All of these have arrived: an outbox marks them, a slot advances. If the reader stores the position, this does
    /// nothing.
    async fn done(&self, fed: &[FeedEntry]) -> Answer<()>;

    /// How many changes after this position are still to be fetched.
    async fn waiting(&self, after: u64) -> Answer<u64>;

    /// When the oldest of those was committed; `None` if there are none.
    async fn oldest(&self, after: u64) -> Answer<Option<Micros>>;

    /// What was committed since then, again, marked as a replay. `None` if the feed keeps nothing.
    async fn replay(&self, since: Micros) -> Answer<Option<Vec<FeedEntry>>>;

    /// Inserts a body that no reader can decode, as a bug in a writer would. `false` if the feed is made of rows that can't
    /// be malformed.
    async fn poison(&self, key: Key) -> Answer<bool>;

    /// Returns when something may have changed, or after `at_most`. PostgreSQL notifies by `LISTEN`.
    async fn wake(&self, at_most: Duration);
}
