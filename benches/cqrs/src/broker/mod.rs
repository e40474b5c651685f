//! The broker: stores messages durably and delivers each to every subscription, at least once.

mod embedded;
mod faulty;
#[cfg(feature = "real")]
mod kafka;
#[cfg(feature = "real")]
mod nats;
#[cfg(feature = "real")]
mod rabbitmq;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Answer;
use super::domain::Key;

pub use embedded::EmbeddedBroker;
pub use faulty::FaultyBroker;
#[cfg(feature = "real")]
pub use kafka::KafkaBroker;
#[cfg(feature = "real")]
pub use nats::NatsBroker;
#[cfg(feature = "real")]
pub use rabbitmq::RabbitBroker;

/// A message as it is sent: a key for the order, and bytes that the broker does not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Messages with the same key arrive in order, unless one is redelivered.
    pub key: Key,
    /// An encoded [`Message`](super::domain::Message), or bytes that a bug has sent.
    pub body: Vec<u8>,
}

/// A message as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its name for this subscription until it is acknowledged, retried or dead-lettered.
    pub tag: u64,
    /// The number of the attempt, from 1. A broker that only knows that it was redelivered reports 2.
    pub attempt: u32,
    /// The message.
    pub envelope: Envelope,
}

/// A message that was dead-lettered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The message.
    pub envelope: Envelope,
    /// Why.
    pub reason: String,
}

/// What is left in a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Not acknowledged yet, delivered or not.
    pub waiting: u64,
    /// Dead letters.
    pub dead: u64,
}

/// A broker. Methods may be called from many tasks at once.
#[async_trait]
pub trait Broker: Send + Sync {
    /// Publishes in order. When it returns `Ok`, all of them are durable for every subscription that exists; after an
    /// error, some may be.
    async fn publish(&self, batch: &[Envelope]) -> Answer<()>;

    /// Joins a durable subscription, and creates it if it does not exist. It has one reader at a time, for the order; the
    /// next one that joins takes over, and gets the unacknowledged messages again.
    async fn subscribe(&self, name: &str) -> Answer<Arc<dyn Subscription>>;

    /// Bytes on disk.
    async fn disk_bytes(&self) -> Answer<u64>;
}

/// A durable subscription.
#[async_trait]
pub trait Subscription: Send + Sync {
    /// The next messages, at most `max` (prefetch); waits up to `wait` for the first one, then returns none.
    async fn receive(&self, max: usize, wait: Duration) -> Answer<Vec<Delivery>>;

    /// Acknowledges these. Unacknowledged messages are redelivered to the reader that joins next.
    async fn ack(&self, tags: &[u64]) -> Answer<()>;

    /// Redelivers these as soon as possible, possibly with later ones.
    async fn retry(&self, tags: &[u64]) -> Answer<()>;

    /// Stores one as a dead letter, and acknowledges it.
    async fn dead_letter(&self, delivery: &Delivery, reason: &str) -> Answer<()>;

    /// The dead letters, oldest first.
    async fn dead_letters(&self) -> Answer<Vec<DeadLetter>>;

    /// Sends the dead letters again, to this subscription; returns how many there were.
    async fn redrive(&self) -> Answer<u64>;

    /// What is left in it.
    async fn depth(&self) -> Answer<Depth>;
}
