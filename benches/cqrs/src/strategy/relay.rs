//! The relay: takes changes from a feed, publishes them, then marks them in the feed.
//!
//! In this order, so that a relay that dies in between publishes again: at least once. Commits wake it, and it takes all
//! that came while it was publishing, so batches grow with the load.

use std::sync::Arc;

use crate::Answer;
use crate::broker::{Broker, Envelope};
use crate::clock::{self, now};
use crate::metrics::Metrics;
use crate::points::{Point, Points};
use crate::settings::Settings;
use crate::write::{Feed, FeedEntry, WriteSide};

/// The relay's process.
pub(super) struct Relay {
    pub(super) write: Arc<dyn WriteSide>,
    pub(super) feed: Arc<dyn Feed>,
    pub(super) broker: Arc<dyn Broker>,
    pub(super) settings: Settings,
    pub(super) points: Arc<Points>,
    pub(super) metrics: Arc<Metrics>,
}

impl Relay {
    /// Runs until it is killed.
    pub(super) async fn run(&self) -> Answer<()> {
        let mut cleaned = now();
        loop {
            let fed = self.feed.next(0, self.settings.relay_batch).await?;
            if fed.is_empty() {
                self.feed.wake(self.settings.idle).await;
            } else {
                self.publish(&fed).await?;
                self.points.reach(Point::PublishedNotMarked)?;
                self.feed.done(&fed).await?;
            }
            if cleaned.elapsed() > self.settings.clean_every {
                self.write.clean(self.settings.keep).await?;
                cleaned = now();
            }
        }
    }

    /// Retries until the broker takes the batch; the feed keeps what comes meanwhile.
    async fn publish(&self, fed: &[FeedEntry]) -> Answer<()> {
        let envelope = |fed: &FeedEntry| Envelope { key: fed.key, body: fed.body.clone() };
        let batch: Vec<_> = fed.iter().map(envelope).collect();
        let mut pause = self.settings.backoff;
        while self.broker.publish(&batch).await.is_err() {
            Metrics::count(&self.metrics.retries, 1);
            clock::sleep(pause).await;
            pause = (pause * 2).min(self.settings.restart_after);
        }
        Metrics::count(&self.metrics.published, batch.len() as u64);
        Ok(())
    }
}
