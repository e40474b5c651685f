//! A broker that misbehaves when told to: away, twice, in another order. It wraps whichever broker there is.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::{Broker, Buried, Delivery, Depth, Envelope, Subscription};
use crate::cqrs::Answer;
use crate::cqrs::points::Points;

/// The broker inside, as the points say.
pub struct FaultyBroker {
    inner: Arc<dyn Broker>,
    points: Arc<Points>,
}

impl FaultyBroker {
    /// Wraps a broker.
    #[must_use]
    pub fn new(inner: Arc<dyn Broker>, points: Arc<Points>) -> FaultyBroker {
        FaultyBroker { inner, points }
    }
}

#[async_trait]
impl Broker for FaultyBroker {
    async fn publish(&self, batch: &[Envelope]) -> Answer<()> {
        self.points.broker()?;
        if self.points.duplicate.load(Relaxed) {
            self.inner.publish(batch).await?;
        }
        self.inner.publish(batch).await
    }

    async fn subscribe(&self, name: &str) -> Answer<Arc<dyn Subscription>> {
        self.points.broker()?;
        let (inner, points) = (self.inner.subscribe(name).await?, Arc::clone(&self.points));
        Ok(Arc::new(FaultySubscription { inner, points, held: Mutex::default() }))
    }

    async fn disk_bytes(&self) -> Answer<u64> {
        self.inner.disk_bytes().await
    }
}

struct FaultySubscription {
    inner: Arc<dyn Subscription>,
    points: Arc<Points>,
    /// Held back, to come after what was sent later. Not acknowledged, so never lost.
    held: Mutex<Vec<Delivery>>,
}

impl FaultySubscription {
    /// Backwards, and every third one batch later.
    fn reorder(&self, mut batch: Vec<Delivery>) -> Vec<Delivery> {
        let mut held = self.held.lock().expect("nothing panics under this lock");
        let last = std::mem::take(&mut *held);
        let only_held = batch.is_empty();
        batch.reverse();
        let mut now = Vec::new();
        for (number, delivery) in batch.into_iter().enumerate() {
            if number % 3 == 2 { held.push(delivery) } else { now.push(delivery) }
        }
        if only_held || !last.is_empty() {
            now.extend(last);
        }
        now
    }
}

#[async_trait]
impl Subscription for FaultySubscription {
    async fn receive(&self, max: usize, wait: Duration) -> Answer<Vec<Delivery>> {
        self.points.broker()?;
        let holds = !self.held.lock().expect("nothing panics under this lock").is_empty();
        let wait = if holds { wait.min(Duration::from_millis(5)) } else { wait };
        let batch = self.inner.receive(max, wait).await?;
        self.points.broker()?;
        Ok(if holds || self.points.reorder.load(Relaxed) { self.reorder(batch) } else { batch })
    }

    async fn ack(&self, tags: &[u64]) -> Answer<()> {
        self.points.broker()?;
        self.inner.ack(tags).await
    }

    async fn retry(&self, tags: &[u64]) -> Answer<()> {
        self.points.broker()?;
        // They will all come again.
        self.held.lock().expect("nothing panics under this lock").clear();
        self.inner.retry(tags).await
    }

    async fn bury(&self, delivery: &Delivery, reason: &str) -> Answer<()> {
        self.points.broker()?;
        self.inner.bury(delivery, reason).await
    }

    async fn dead(&self) -> Answer<Vec<Buried>> {
        self.inner.dead().await
    }

    async fn redrive(&self) -> Answer<u64> {
        self.inner.redrive().await
    }

    async fn depth(&self) -> Answer<Depth> {
        self.inner.depth().await
    }
}
