//! The projector: takes messages from the broker, applies them to the read model, then acknowledges them.
//!
//! A batch is one transaction. What can't be read is a dead letter at once, since no repetition will mend it; what can't be
//! applied is tried again, and alone, so that one bad message does not hold up the others. A store that is away makes it
//! wait, and nothing a dead letter.

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

/// What the projector's process has.
pub(super) struct Projector {
    pub(super) broker: Arc<dyn Broker>,
    /// Where operations find the subscription, to ask how much is before it.
    pub(super) seen: Arc<ArcSwapOption<Arc<dyn Subscription>>>,
    pub(super) live: Arc<Live>,
    pub(super) settings: Settings,
    pub(super) points: Arc<Points>,
    pub(super) metrics: Arc<Metrics>,
}

impl Projector {
    /// Runs until it is killed, or the broker goes away.
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
            self.points.drag(deliveries.len()).await;
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
                Err(error) => self.bury(subscription, delivery, &error.to_string()).await?,
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

    /// Applies a batch, waiting for a store that is away; `false` if it refuses the batch for another reason.
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
                self.bury(subscription, delivery, "the read store refuses it").await?;
            }
        }
        Ok(())
    }

    async fn bury(&self, subscription: &dyn Subscription, delivery: &Delivery, reason: &str) -> Answer<()> {
        Metrics::count(&self.metrics.buried, 1);
        subscription.bury(delivery, reason).await
    }
}

/// What a program sees of a message: a field that it does not know yet is not there.
pub(super) fn known(mut message: Message, points: &Points) -> Message {
    if !points.knows_weight.load(Relaxed)
        && let Change::Product(product) = &mut message.change
    {
        product.weight_grams = None;
    }
    message
}
