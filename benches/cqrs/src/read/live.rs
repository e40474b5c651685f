//! The live read model, and the next one while it is being rebuilt.
//!
//! A rebuild opens the next generation, applies every message to both from then on, fills the new one with all that the
//! write side holds, and switches; readers notice nothing. It works because applying is idempotent: if a live message comes
//! before the older state of its entity, the latter is stale and changes nothing.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use async_trait::async_trait;

use super::{Applied, LocalQueries, Queries, ReadStore, ReadStores, RemoteQueries};
use crate::Answer;
use crate::clock::{self, now};
use crate::domain::{Message, Query, Visitor};
use crate::metrics::Metrics;
use crate::points::Points;
use crate::write::{FeedKind, WriteSide};

/// How many messages a rebuild applies at once: a transaction of some 10 ms, so that live messages can come in between.
const REBUILD_BATCH: usize = 2_000;
/// How long to wait after the switch until queries of the old generation have ended.
const GRACE: Duration = Duration::from_millis(100);

/// One read model, through all its generations.
pub struct Live {
    stores: Arc<dyn ReadStores>,
    current: ArcSwap<Generation>,
    /// The next generation, while it is being built.
    next: ArcSwapOption<Generation>,
    points: Arc<Points>,
    metrics: Arc<Metrics>,
    /// Called after messages were applied: for a near cache.
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
        let (next, listener) = (ArcSwapOption::empty(), OnceLock::new());
        Ok(Arc::new(Live { stores, current, next, points, metrics, listener, rebuilding: Mutex::new(false) }))
    }

    /// Queries of the generation that is live when a query comes.
    pub fn queries(self: &Arc<Live>) -> Queries {
        match &self.current.load().queries {
            Queries::Local(_) => Queries::Local(Arc::<Live>::clone(self)),
            Queries::Remote(_) => Queries::Remote(Arc::<Live>::clone(self)),
        }
    }

    /// Calls `listener` after everything that is applied from now on. Only the first listener is called.
    pub fn listen(&self, listener: impl Fn(&[Message]) + Send + Sync + 'static) {
        let _ = self.listener.set(Box::new(listener));
    }

    /// Applies a batch to the live generation, and to the next one if there is one.
    pub async fn apply(&self, batch: &[Message], position: Option<u64>) -> Answer<Applied> {
        self.points.store()?;
        // First the next one: if the switch comes in between, it has the batch.
        if let Some(next) = self.next.load_full() {
            next.store.apply(batch, position).await?;
        }
        let applied = self.current.load_full().store.apply(batch, position).await?;
        Metrics::count(&self.metrics.applied, applied.written);
        Metrics::count(&self.metrics.stale, applied.stale);
        if !batch.is_empty() {
            self.report_applied(batch);
        }
        Ok(applied)
    }

    /// Reports to the listener that these messages were applied, or, if there are none, that everything may differ.
    pub fn report_applied(&self, batch: &[Message]) {
        if let Some(listener) = self.listener.get() {
            listener(batch);
        }
    }

    /// The live store, for what concerns one generation only.
    #[must_use]
    pub fn store(&self) -> Arc<dyn ReadStore> {
        Arc::clone(&self.current.load().store)
    }

    /// The number of the live generation.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.current.load().number
    }

    /// Fills the live generation with everything that the write side holds, at the first start.
    pub async fn fill(&self, write: &dyn WriteSide, kind: Option<FeedKind>) -> Answer<()> {
        let current = self.current.load_full();
        self.fill_store(write, kind, &*current.store).await
    }

    /// Builds the next generation next to the live one, and switches; returns how long that took.
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
        self.next.store(Some(Arc::clone(&next)));
        if let Err(error) = self.fill_store(write, kind, &*next.store).await {
            self.next.store(None);
            self.stores.remove(next.number).await?;
            return Err(error);
        }
        self.current.store(next);
        self.next.store(None);
        // Cached answers came from the old one.
        self.report_applied(&[]);
        let took = began.elapsed();
        clock::sleep(GRACE).await;
        self.stores.remove(old.number).await?;
        Ok(took)
    }

    async fn fill_store(&self, write: &dyn WriteSide, kind: Option<FeedKind>, store: &dyn ReadStore) -> Answer<()> {
        let mut all = Vec::new();
        let position = write.scan(kind, &mut |message| all.push(message)).await?;
        self.metrics.replay_done.store(0, Relaxed);
        self.metrics.replay_total.store(all.len() as u64, Relaxed);
        for batch in all.chunks(REBUILD_BATCH) {
            store.apply(batch, None).await?;
            Metrics::count(&self.metrics.replay_done, batch.len() as u64);
        }
        // Only now: a restart before this has to fill it again. Live messages may have stored a later position.
        let position = position.max(store.position().await?);
        store.apply(&[], Some(position)).await?;
        Ok(())
    }
}

impl LocalQueries for Live {
    fn ask(&self, query: Query, visitor: &mut dyn Visitor) -> Answer<bool> {
        self.points.store()?;
        match &self.current.load().queries {
            Queries::Local(local) => local.ask(query, visitor),
            Queries::Remote(_) => Err("a server is asked asynchronously".into()),
        }
    }
}

#[async_trait]
impl RemoteQueries for Live {
    async fn ask(&self, query: Query, visitor: &mut (dyn Visitor + Send)) -> Answer<bool> {
        self.points.store()?;
        let current = self.current.load_full();
        current.queries.ask(query, visitor).await
    }
}
