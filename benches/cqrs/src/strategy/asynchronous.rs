//! `async`: what a command changed is published after its commit, from the memory of the service. This is the dual write
//! that many systems start with.
//!
//! It is built well: commands don't wait for the broker, messages that arrive meanwhile share a publish, and a publish that
//! fails is retried for a while. All the same, between commit and publish the only copy is in memory.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::sync::{Mutex, MutexGuard, mpsc};

use super::{Pipeline, Running, Stage};
use crate::Answer;
use crate::broker::{Broker, Envelope};
use crate::clock::{self, now};
use crate::domain::Message;
use crate::metrics::Metrics;
use crate::points::{Point, Points};
use crate::settings::Settings;
use crate::write::Hooks;

pub(super) async fn start(stage: &Stage) -> Answer<Arc<dyn Running>> {
    let write = stage.write(Hooks::default()).await?;
    let live = stage.live().await?;
    let mut pipeline = Pipeline::new(stage, write, live);
    pipeline.fill(None).await?;
    let broker = stage.broker().await?;
    pipeline.consume(Arc::clone(&broker)).await?;

    let (sender, inbox) = mpsc::unbounded_channel();
    let publisher = Arc::new(Publisher {
        inbox: Mutex::new(inbox),
        broker,
        settings: stage.settings,
        points: Arc::clone(&stage.points),
        metrics: Arc::clone(&stage.metrics),
    });
    let metrics = Arc::clone(&stage.metrics);
    pipeline.after_commit = Some(Box::new(move |message| drop(sender.send(Held::new(message, &metrics)))));
    pipeline.tasks.keep("service", move || {
        let publisher = Arc::clone(&publisher);
        Box::pin(async move { publisher.run().await })
    });
    Ok(Arc::new(pipeline))
}

/// A message that is committed and only in the memory of the service; counted in the metrics until it is dropped.
struct Held {
    message: Message,
    metrics: Arc<Metrics>,
}

impl Held {
    fn new(message: Message, metrics: &Arc<Metrics>) -> Held {
        Metrics::count(&metrics.unpublished, 1);
        Held { message, metrics: Arc::clone(metrics) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.metrics.unpublished.fetch_sub(1, Relaxed);
    }
}

/// The messages in the memory of the service: dropped with the service.
struct Memory<'a>(MutexGuard<'a, mpsc::UnboundedReceiver<Held>>);

impl Drop for Memory<'_> {
    fn drop(&mut self) {
        while self.0.try_recv().is_ok() {}
    }
}

/// The part of the service that publishes.
struct Publisher {
    inbox: Mutex<mpsc::UnboundedReceiver<Held>>,
    broker: Arc<dyn Broker>,
    settings: Settings,
    points: Arc<Points>,
    metrics: Arc<Metrics>,
}

impl Publisher {
    async fn run(&self) -> Answer<()> {
        let mut memory = Memory(self.inbox.lock().await);
        let mut batch = Vec::new();
        while memory.0.recv_many(&mut batch, self.settings.relay_batch).await > 0 {
            self.points.reach(Point::CommittedNotPublished)?;
            self.publish(&batch).await;
            batch.clear();
        }
        Ok(())
    }

    async fn publish(&self, batch: &[Held]) {
        let envelope = |held: &Held| Envelope { key: held.message.key(), body: held.message.encode() };
        let envelopes: Vec<_> = batch.iter().map(envelope).collect();
        let (began, mut pause) = (now(), self.settings.backoff);
        while self.broker.publish(&envelopes).await.is_err() {
            if began.elapsed() > self.settings.publish_patience {
                Metrics::count(&self.metrics.failed_events, batch.len() as u64);
                return;
            }
            Metrics::count(&self.metrics.retries, 1);
            clock::sleep(pause).await;
            pause *= 2;
        }
        Metrics::count(&self.metrics.published, batch.len() as u64);
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use tokio::sync::Notify;

    use super::*;
    use crate::broker::Subscription;
    use crate::domain::{Cause, Change};

    /// A broker that never answers.
    #[derive(Default)]
    struct Silent {
        asked: Notify,
    }

    #[async_trait]
    impl Broker for Silent {
        async fn publish(&self, _: &[Envelope]) -> Answer<()> {
            self.asked.notify_one();
            std::future::pending().await
        }

        async fn subscribe(&self, _: &str) -> Answer<Arc<dyn Subscription>> {
            unreachable!("this test has no reader")
        }

        async fn disk_bytes(&self) -> Answer<u64> {
            Ok(0)
        }
    }

    /// A message that is being published and one that waits both count as lag, and both are lost with the service.
    #[tokio::test]
    async fn memory_is_lost_with_the_service() {
        let (sender, inbox) = mpsc::unbounded_channel();
        let (broker, metrics) = (Arc::<Silent>::default(), Arc::<Metrics>::default());
        let publisher = Publisher {
            inbox: Mutex::new(inbox),
            broker: Arc::clone(&broker) as Arc<dyn Broker>,
            settings: Settings::BRISK,
            points: Arc::default(),
            metrics: Arc::clone(&metrics),
        };
        let send = || {
            let message =
                Message { version: 1, at: 0, cause: Cause::Unknown, replay: false, change: Change::PageGone(1) };
            sender.send(Held::new(message, &metrics)).unwrap();
        };
        let unpublished = || metrics.unpublished.load(Relaxed);

        send();
        let mut service = Box::pin(publisher.run());
        tokio::select! {
            ended = &mut service => panic!("{ended:?}"),
            () = broker.asked.notified() => send(),
        }
        assert_eq!(unpublished(), 2);
        drop(service);
        assert_eq!(unpublished(), 0);

        // A message that comes while it is away belongs to the next run.
        send();
        let mut service = Box::pin(publisher.run());
        tokio::select! {
            ended = &mut service => panic!("{ended:?}"),
            () = broker.asked.notified() => assert_eq!(unpublished(), 1),
        }
        drop(service);
        assert_eq!(unpublished(), 0);
    }
}
