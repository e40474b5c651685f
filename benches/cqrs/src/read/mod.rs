//! The read side: stores that a projector fills, and queries that they answer.

#[cfg(feature = "real")]
mod cassandra;
mod live;
mod near;
#[cfg(feature = "real")]
mod postgres;
#[cfg(feature = "real")]
mod redis;
mod sqlite;

use std::sync::Arc;

use async_trait::async_trait;

use super::Answer;
use super::domain::{Collected, Key, Message, Query, Visitor};

#[cfg(feature = "real")]
pub use cassandra::CassandraReadStores;
pub use live::Live;
pub use near::NearCache;
#[cfg(feature = "real")]
pub use postgres::{PostgresReadStores, postgres_project, postgres_project_stock};
#[cfg(feature = "real")]
pub use redis::RedisReadStores;
pub use sqlite::{SqliteReadStores, sqlite_project, sqlite_project_stock};

/// Answers queries. A query of memory or of a file is a function call, one of a server is awaited; they are apart, so that
/// neither pays for the other.
#[derive(Clone)]
pub enum Queries {
    /// In this process.
    Local(Arc<dyn LocalQueries>),
    /// At a server.
    Remote(Arc<dyn RemoteQueries>),
}

/// Answers in this process.
pub trait LocalQueries: Send + Sync {
    /// Shows the answer; `false` if the entity does not exist (a category without products does).
    fn ask(&self, query: Query, visitor: &mut dyn Visitor) -> Answer<bool>;
}

/// Answers at a server, on connections that are kept.
#[async_trait]
pub trait RemoteQueries: Send + Sync {
    /// Shows the answer; `false` if the entity does not exist (a category without products does).
    async fn ask(&self, query: Query, visitor: &mut (dyn Visitor + Send)) -> Answer<bool>;
}

impl Queries {
    /// Shows the answer, of either kind.
    pub async fn ask(&self, query: Query, visitor: &mut (dyn Visitor + Send)) -> Answer<bool> {
        match self {
            Queries::Local(local) => local.ask(query, visitor),
            Queries::Remote(remote) => remote.ask(query, visitor).await,
        }
    }

    /// Returns the answer.
    pub async fn collect(&self, query: Query) -> Answer<Collected> {
        let mut answer = Collected::default();
        self.ask(query, &mut answer).await?;
        Ok(answer)
    }
}

/// The result of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Applied {
    /// Messages that changed something.
    pub written: u64,
    /// Messages that were not newer than the store.
    pub stale: u64,
}

/// One generation of a read model, in one store.
///
/// Contract: `apply` is atomic (or, if a store has no transactions, safe to repeat), and idempotent by (key, version): a
/// message that is not newer than the stored version of its key changes nothing; that includes pages that are gone.
#[async_trait]
pub trait ReadStore: Send + Sync {
    /// Answers from this generation.
    fn queries(&self) -> Queries;

    /// Applies messages in order, in one transaction, and stores `position` with them.
    async fn apply(&self, batch: &[Message], position: Option<u64>) -> Answer<Applied>;

    /// The position that was stored last; 0 if none was.
    async fn position(&self) -> Answer<u64>;

    /// Closes every connection and opens new ones, as after a restart of the store.
    async fn reconnect(&self) -> Answer<()>;

    /// Changes what is stored of this entity, but not its version: a fault.
    async fn corrupt(&self, key: Key) -> Answer<()>;

    /// Bytes on disk, or in the server's memory if it has no disk.
    async fn disk_bytes(&self) -> Answer<u64>;
}

/// Makes generations of read models.
#[async_trait]
pub trait ReadStores: Send + Sync {
    /// Opens a generation, empty if it is new. If commands project to it, they do from now on: what a later scan does not
    /// show is projected to it, including commands that were under way.
    async fn open(&self, generation: u32) -> Answer<Arc<dyn ReadStore>>;

    /// Removes a generation that has no readers.
    async fn remove(&self, generation: u32) -> Answer<()>;
}
