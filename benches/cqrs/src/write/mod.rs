//! The write side: a command is validated, carried out in a transaction, and acknowledged when it is durable.
//!
//! What a commit leaves for the read side is decided by [`Hooks`]; how the read side learns of it is a [`Feed`]. Every
//! write side offers the same feeds, so that a strategy does not care whose they are.

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
    /// Which part of the read model it brings up to date.
    pub projection: Projection,
    /// Whether it leaves a row in the outbox.
    pub outbox: bool,
    /// Whether rows can be found by when they changed.
    pub watermark: bool,
    /// Whether changes are captured: triggers into a change table on SQLite, a replication slot on PostgreSQL.
    pub capture: bool,
    /// Whether events are all that is stored: state is what they add up to.
    pub events_only: bool,
}

impl Hooks {
    /// # Errors
    /// These hooks don't keep such a feed.
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
    /// Stock only; an outbox then leaves out what changes nothing else.
    Stock,
    /// All of it.
    All,
}

/// A way to learn what changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedKind {
    /// Rows of the outbox, written in the command's transaction.
    Outbox,
    /// Captured changes.
    Changes,
    /// Rows with an `updated_at` not before the watermark.
    Updated,
    /// The event store, from a position on.
    Events,
}

/// What a write side can do. Methods may be called from many tasks at once.
///
/// Contract: once `execute` has answered `Ok`, the change is durable, `scan` shows it, and each feed that the hooks keep
/// will give it, at least once. Versions of a key are given without gaps, from 1 (products and pages that `seed` made
/// have 1).
#[async_trait]
pub trait WriteSide: Send + Sync {
    /// Fills an empty write side with the world; leaves nothing in the feeds but the event store.
    async fn seed(&self, world: &World) -> Answer<()>;

    /// Validates the command, carries it out, and acknowledges it when it is durable. The message is what strategies that
    /// publish after the commit send.
    async fn execute(&self, command: &Command) -> Result<(Ack, Message), CommandError>;

    /// Shows every entity as it is now, pages that are gone included (or an older message would bring them back to a read
    /// model that was filled with this), all of one moment, and returns the position which
    /// `feed(kind)` is at in that moment: what comes after it was not shown.
    async fn scan(&self, kind: Option<FeedKind>, see: &mut (dyn FnMut(Message) + Send)) -> Answer<u64>;

    /// What every read side should show.
    async fn truth(&self) -> Answer<Truth> {
        let mut truth = Truth::default();
        self.scan(None, &mut |message| truth.take(&message)).await?;
        Ok(truth)
    }

    /// A way to learn what changed.
    ///
    /// # Errors
    /// The hooks don't keep it.
    fn feed(&self, kind: FeedKind) -> Answer<Arc<dyn Feed>>;

    /// The read model in the write side's own database, which the hooks' projection keeps up to date: every generation
    /// that is open.
    ///
    /// # Errors
    /// The hooks have none.
    fn read_stores(&self) -> Answer<Arc<dyn ReadStores>>;

    /// Brands and categories.
    fn reference(&self) -> Arc<Reference>;

    /// Gives all products a weight, as a migration does: one statement, past the commands and their hooks. Triggers see
    /// it; versions rise by one.
    async fn migrate_weight(&self) -> Answer<()>;

    /// Bytes on disk of the tables, and of what the feeds keep; a read model in the same database is not in them.
    async fn disk_bytes(&self) -> Answer<(u64, u64)>;

    /// Lets go of what feeds need no more, keeping `keep` for replays. Called now and then by the relay's process.
    async fn clean(&self, keep: Duration) -> Answer<u64>;
}

/// One thing that changed, on its way to the read side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fed {
    /// Where it stands in the feed; rises.
    pub position: u64,
    /// What it is about.
    pub key: Key,
    /// An encoded [`Message`], or whatever a mistake has left there.
    pub body: Vec<u8>,
}

/// Tells what changed, in order within a key, at least once.
#[async_trait]
pub trait Feed: Send + Sync {
    /// The next changes after this position, at most `limit`; those of an outbox that are marked are left out. A feed
    /// that remembers its place by itself (a replication slot) ignores `after`.
    async fn next(&self, after: u64, limit: usize) -> Answer<Vec<Fed>>;

    /// All of these have arrived: an outbox marks them, a slot moves on. Feeds whose reader keeps the position do nothing.
    async fn done(&self, fed: &[Fed]) -> Answer<()>;

    /// How many changes after this position are still to be fetched.
    async fn waiting(&self, after: u64) -> Answer<u64>;

    /// When the oldest of those was committed; none if there are none.
    async fn oldest(&self, after: u64) -> Answer<Option<Micros>>;

    /// What was committed since, once more, marked as a replay. `None` if the feed keeps nothing.
    async fn replay(&self, since: Micros) -> Answer<Option<Vec<Fed>>>;

    /// Puts a body that nobody can read into the feed, as a bug in a writer would. `false` if the feed is made of rows that
    /// can't be malformed.
    async fn poison(&self, key: Key) -> Answer<bool>;

    /// Returns when something may have changed, after `at_most` in any case: `LISTEN` where there is such a thing.
    async fn wake(&self, at_most: Duration);
}
