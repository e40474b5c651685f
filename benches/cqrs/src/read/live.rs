//! The read model that is live, and the one that is being rebuilt beside it.
//!
//! A rebuild opens the next generation, has every message applied to both from then on, tells the new one all that the
//! write side holds, and switches when it is through; readers notice nothing. It works because applying is idempotent: a
//! message that comes live before the old state of its entity is told makes the latter stale.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use async_trait::async_trait;

use super::{Applied, LocalQueries, Queries, ReadStore, ReadStores, RemoteQueries};
use crate::Answer;
use crate::clock::{self, now};
use crate::domain::{Message, Query, See};
use crate::metrics::Metrics;
use crate::points::Points;
use crate::write::{FeedKind, WriteSide};

/// How many messages a rebuild applies at once: a transaction of some 10 ms, between which live ones get their turn.
const REBUILD_BATCH: usize = 2_000;
/// Queries that began before the switch have ended by then.
const GRACE: Duration = Duration::from_millis(100);

/// One read model, through all its generations.
pub struct Live {
    stores: Arc<dyn ReadStores>,
    current: ArcSwap<Generation>,
    /// The next one, while it is being built.
    beside: ArcSwapOption<Generation>,
    points: Arc<Points>,
    metrics: Arc<Metrics>,
    /// Told of what was applied, after it was: near caches.
    listener: OnceLock<Listener>,
    rebuilding: Mutex<bool>,
}

type Listener = Box<dyn Fn(&[Message]) + Send + Sync>;

struct Generation {
    number: u32,
    store: Arc<dyn ReadStore>,
    queries: Queries,
}

impl Generation {
    async fn open(stores: &dyn ReadStores, number: u32) -> Answer<Arc<Generation>> {
        let store = stores.open(number).await?;
        let queries = store.queries();
        Ok(Arc::new(Generation { number, store, queries }))
    }
}

impl Live {
    /// Opens the read model at this generation.
    pub async fn open(
        stores: Arc<dyn ReadStores>,
        generation: u32,
        points: Arc<Points>,
        metrics: Arc<Metrics>,
    ) -> Answer<Arc<Live>> {
        let current = ArcSwap::new(Generation::open(&*stores, generation).await?);
        let (beside, listener) = (ArcSwapOption::empty(), OnceLock::new());
        Ok(Arc::new(Live { stores, current, beside, points, metrics, listener, rebuilding: Mutex::new(false) }))
    }

    /// Answers, from whichever generation is live when a question comes.
    pub fn queries(self: &Arc<Live>) -> Queries {
        match &self.current.load().queries {
            Queries::Local(_) => Queries::Local(Arc::<Live>::clone(self)),
            Queries::Remote(_) => Queries::Remote(Arc::<Live>::clone(self)),
        }
    }

    /// Has `listener` told of everything that is applied from now on. Only the first one is.
    pub fn listen(&self, listener: impl Fn(&[Message]) + Send + Sync + 'static) {
        let _ = self.listener.set(Box::new(listener));
    }

    /// Applies a batch to what is live, and to what is being built.
    pub async fn apply(&self, batch: &[Message], position: Option<u64>) -> Answer<Applied> {
        self.points.store()?;
        // First what is being built: should the switch come in between, the new one has it.
        if let Some(beside) = self.beside.load_full() {
            beside.store.apply(batch, position).await?;
        }
        let applied = self.current.load_full().store.apply(batch, position).await?;
        Metrics::count(&self.metrics.applied, applied.written);
        Metrics::count(&self.metrics.stale, applied.stale);
        if !batch.is_empty() {
            self.tell_front(batch);
        }
        Ok(applied)
    }

    /// Tells whoever listens that these were applied, or, without any, that everything is another.
    pub fn tell_front(&self, batch: &[Message]) {
        if let Some(listener) = self.listener.get() {
            listener(batch);
        }
    }

    /// The live store, for what only one generation can do.
    #[must_use]
    pub fn store(&self) -> Arc<dyn ReadStore> {
        Arc::clone(&self.current.load().store)
    }

    /// Which generation is live.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.current.load().number
    }

    /// Tells the live generation everything that the write side holds: the first start.
    pub async fn fill(&self, write: &dyn WriteSide, kind: Option<FeedKind>) -> Answer<()> {
        let current = self.current.load_full();
        self.tell(write, kind, &*current.store).await
    }

    /// Builds the next generation beside the live one, and switches; how long it took until then.
    pub async fn rebuild(&self, write: &dyn WriteSide, kind: Option<FeedKind>) -> Answer<Duration> {
        if std::mem::replace(&mut *self.rebuilding.lock().expect("nothing panics under this lock"), true) {
            return Err("a rebuild is under way: wait for it".into());
        }
        let done = self.build(write, kind).await;
        *self.rebuilding.lock().expect("nothing panics under this lock") = false;
        self.metrics.replay_total.store(0, Relaxed);
        done
    }

    async fn build(&self, write: &dyn WriteSide, kind: Option<FeedKind>) -> Answer<Duration> {
        let (old, began) = (self.current.load_full(), now());
        let next = Generation::open(&*self.stores, old.number + 1).await?;
        self.beside.store(Some(Arc::clone(&next)));
        if let Err(error) = self.tell(write, kind, &*next.store).await {
            self.beside.store(None);
            self.stores.remove(next.number).await?;
            return Err(error);
        }
        self.current.store(next);
        self.beside.store(None);
        // What is cached came from the old one.
        self.tell_front(&[]);
        let took = began.elapsed();
        clock::sleep(GRACE).await;
        self.stores.remove(old.number).await?;
        Ok(took)
    }

    async fn tell(&self, write: &dyn WriteSide, kind: Option<FeedKind>, store: &dyn ReadStore) -> Answer<()> {
        let mut all = Vec::new();
        let position = write.scan(kind, &mut |message| all.push(message)).await?;
        self.metrics.replay_done.store(0, Relaxed);
        self.metrics.replay_total.store(all.len() as u64, Relaxed);
        for batch in all.chunks(REBUILD_BATCH) {
            store.apply(batch, None).await?;
            Metrics::count(&self.metrics.replay_done, batch.len() as u64);
        }
        // Only now: until then a restart has to tell all of it again. What came live has moved it further, perhaps.
        let position = position.max(store.position().await?);
        store.apply(&[], Some(position)).await?;
        Ok(())
    }
}

impl LocalQueries for Live {
    fn ask(&self, query: Query, see: &mut dyn See) -> Answer<bool> {
        self.points.store()?;
        match &self.current.load().queries {
            Queries::Local(local) => local.ask(query, see),
            Queries::Remote(_) => Err("a server is asked asynchronously".into()),
        }
    }
}

#[async_trait]
impl RemoteQueries for Live {
    async fn ask(&self, query: Query, see: &mut (dyn See + Send)) -> Answer<bool> {
        self.points.store()?;
        let current = self.current.load_full();
        current.queries.ask(query, see).await
    }
}
