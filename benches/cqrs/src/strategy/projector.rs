//! The projector: takes messages from the broker, applies them to the read model, then acknowledges them.
//!
//! A batch is one transaction. A message that can't be decoded becomes a dead letter at once, since a retry would not help.
//! A batch that can't be applied is retried, then applied message by message, so that one bad message does not block the
//! others. If the store is away, the projector waits, and nothing becomes a dead letter.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use arc_swap::ArcSwapOption;

use crate::Answer;
use crate::broker::{Broker, Delivery, Subscription};
use crate::clock;
use crate::domain::{Change, Message};
use crate::metrics::Metrics;
use crate::points::{Away, Point, Points};
use crate::read::Live;
use crate::settings::Settings;

/// The subscription's name.
pub(super) const PROJECTOR: &str = "projector";

/// The projector's process.
pub(super) struct Projector {
    pub(super) broker: Arc<dyn Broker>,
    /// Where operations find the subscription, to ask for its depth.
    pub(super) seen: Arc<ArcSwapOption<Arc<dyn Subscription>>>,
    pub(super) live: Arc<Live>,
    pub(super) settings: Settings,
    pub(super) points: Arc<Points>,
    pub(super) metrics: Arc<Metrics>,
}

impl Projector {
    /// Runs until it is killed, or the broker fails.
    pub(super) async fn run(&self) -> Answer<()> {
        let subscription = self.broker.subscribe(PROJECTOR).await?;
        self.seen.store(Some(Arc::new(Arc::clone(&subscription))));
        loop {
            let deliveries = subscription.receive(self.settings.prefetch, self.settings.idle).await?;
            if deliveries.is_empty() {
                self.metrics.caught_up();
                continue;
            }
            self.points.reach(Point::ReceivedNotApplied)?;
            self.points.slow_down(deliveries.len()).await;
            self.project(&*subscription, &deliveries).await?;
        }
    }

    async fn project(&self, subscription: &dyn Subscription, deliveries: &[Delivery]) -> Answer<()> {
        let mut batch = Vec::new();
        let mut tags = Vec::new();
        for delivery in deliveries {
            match Message::decode(&delivery.envelope.body) {
                Ok(message) => {
                    batch.push(known(message, &self.points));
                    tags.push(delivery.tag);
                }
                Err(error) => self.put_aside(subscription, delivery, &error.to_string()).await?,
            }
        }
        if self.apply(&batch).await? {
            self.points.reach(Point::AppliedNotAcked)?;
            subscription.ack(&tags).await?;
        } else {
            self.one_by_one(subscription, deliveries).await?;
        }
        if let Some(last) = batch.last() {
            self.metrics.applied_from(last.at);
        }
        Ok(())
    }

    /// Applies a batch, and waits for a store that is away; `false` if the store refuses the batch for another reason.
    async fn apply(&self, batch: &[Message]) -> Answer<bool> {
        let (mut pause, mut attempts) = (self.settings.backoff, 0);
        loop {
            let Err(error) = self.live.apply(batch, None).await else { return Ok(true) };
            Metrics::count(&self.metrics.retries, 1);
            if !error.is::<Away>() {
                attempts += 1;
            }
            if attempts >= self.settings.attempts {
                return Ok(false);
            }
            clock::sleep(pause).await;
            pause = (pause * 2).min(self.settings.restart_after);
        }
    }

    /// Finds the message that the store refuses.
    async fn one_by_one(&self, subscription: &dyn Subscription, deliveries: &[Delivery]) -> Answer<()> {
        for delivery in deliveries {
            let Ok(message) = Message::decode(&delivery.envelope.body) else { continue };
            let message = known(message, &self.points);
            if self.apply(std::slice::from_ref(&message)).await? {
                subscription.ack(&[delivery.tag]).await?;
            } else {
                self.put_aside(subscription, delivery, "the read store refuses it").await?;
            }
        }
        Ok(())
    }

    async fn put_aside(&self, subscription: &dyn Subscription, delivery: &Delivery, reason: &str) -> Answer<()> {
        Metrics::count(&self.metrics.put_aside, 1);
        subscription.dead_letter(delivery, reason).await
    }
}

/// The message without the field that this program does not know yet.
pub(super) fn known(mut message: Message, points: &Points) -> Message {
    if !points.knows_weight.load(Relaxed)
        && let Change::Product(product) = &mut message.change
    {
        product.weight_grams = None;
    }
    message
}
