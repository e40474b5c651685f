//! A wrapper of any broker that misbehaves on demand: it is away, sends twice, or delivers in another order.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::{Broker, DeadLetter, Delivery, Depth, Envelope, Subscription};
use crate::Answer;
use crate::clock::now;
use crate::points::Points;

/// The inner broker, with the faults that the points switch on.
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
        Ok(Arc::new(FaultySubscription { name: name.to_owned(), inner, points, held: Mutex::default() }))
    }

    async fn disk_bytes(&self) -> Answer<u64> {
        self.inner.disk_bytes().await
    }
}

/// How many messages are awaited, and how long, before they are reordered.
const SHUFFLED: usize = 8;
const SHUFFLE_WAIT: Duration = Duration::from_millis(40);

struct FaultySubscription {
    name: String,
    inner: Arc<dyn Subscription>,
    points: Arc<Points>,
    /// Held back, to be delivered after later ones. Not acknowledged, so never lost.
    held: Mutex<Vec<Delivery>>,
}

impl FaultySubscription {
    /// Reverses the batch, and delays every third message by one batch.
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
        let mut batch = self.inner.receive(max, wait).await?;
        self.points.broker()?;
        let reorder = self.points.reorder.load(Relaxed);
        // One message has no order.
        let began = now();
        while reorder && !batch.is_empty() && batch.len() < SHUFFLED.min(max) && began.elapsed() < SHUFFLE_WAIT {
            batch.extend(self.inner.receive(max - batch.len(), Duration::from_millis(5)).await?);
        }
        let batch = if holds || reorder { self.reorder(batch) } else { batch };
        batch.iter().for_each(|delivery| self.points.delivered(&self.name, &delivery.envelope.body));
        Ok(batch)
    }

    async fn ack(&self, tags: &[u64]) -> Answer<()> {
        self.points.broker()?;
        self.inner.ack(tags).await
    }

    async fn retry(&self, tags: &[u64]) -> Answer<()> {
        self.points.broker()?;
        // They will all be redelivered.
        self.held.lock().expect("nothing panics under this lock").clear();
        self.inner.retry(tags).await
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &str) -> Answer<()> {
        self.points.broker()?;
        self.inner.dead_letter(delivery, reason).await
    }

    async fn dead_letters(&self) -> Answer<Vec<DeadLetter>> {
        self.inner.dead_letters().await
    }

    async fn redrive(&self) -> Answer<u64> {
        self.inner.redrive().await
    }

    async fn depth(&self) -> Answer<Depth> {
        self.inner.depth().await
    }
}

#[cfg(test)]
mod tests {
    use super::super::EmbeddedBroker;
    use super::*;
    use crate::domain::{Cause, Change, Message};
    use crate::points::Disorder;

    async fn misbehave(switch: impl Fn(&Points)) -> Disorder {
        let (folder, points) = (tempfile::tempdir().unwrap(), Arc::<Points>::default());
        let inner = Arc::new(EmbeddedBroker::open(folder.path()).unwrap());
        let broker = FaultyBroker::new(inner, Arc::clone(&points));
        let one = broker.subscribe("one").await.unwrap();
        points.watch_deliveries();
        switch(&points);
        let message =
            |version| Message { version, at: 0, cause: Cause::Unknown, replay: false, change: Change::PageGone(1) };
        let envelope = |version| Envelope { key: message(version).key(), body: message(version).encode() };
        broker.publish(&(1..=9).map(envelope).collect::<Vec<_>>()).await.unwrap();
        let mut seen = 0;
        while seen < 9 {
            let batch = one.receive(100, Duration::from_secs(10)).await.unwrap();
            seen += batch.len();
            one.ack(&batch.iter().map(|delivery| delivery.tag).collect::<Vec<_>>()).await.unwrap();
        }
        points.disorder()
    }

    /// Scripts rely on these counts.
    #[tokio::test]
    async fn disorder_is_seen() {
        assert_eq!(misbehave(|_| {}).await, Disorder::default());
        let twice = misbehave(|points| points.duplicate.store(true, Relaxed)).await;
        assert!(twice.twice > 0, "{twice:?}");
        let late = misbehave(|points| points.reorder.store(true, Relaxed)).await;
        assert!(late.late > 0 && late.twice == 0, "{late:?}");
    }
}
