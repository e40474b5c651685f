//! The broker: takes messages durably and gives each to every subscription, at least once.

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

/// What is sent: a key that orders, and bytes that the broker does not look into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Messages with one key arrive in order, as long as none is redelivered.
    pub key: Key,
    /// An encoded [`Message`](super::domain::Message), or whatever a mistake has put there.
    pub body: Vec<u8>,
}

/// What arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Names it to this subscription until it is acknowledged, retried or buried.
    pub tag: u64,
    /// Which attempt this is; the first is 1. A broker that only knows "again" says 2.
    pub attempt: u32,
    /// What it is.
    pub envelope: Envelope,
}

/// A message that was put aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buried {
    /// What it is.
    pub envelope: Envelope,
    /// Why.
    pub reason: String,
}

/// What a subscription still has before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Not acknowledged yet, delivered or not.
    pub waiting: u64,
    /// Put aside.
    pub dead: u64,
}

/// A broker. Methods may be called from many tasks at once.
#[async_trait]
pub trait Broker: Send + Sync {
    /// Publishes in order. When it returns, all of them are durable, for every subscription that exists; after an error
    /// some may be.
    async fn publish(&self, batch: &[Envelope]) -> Answer<()>;

    /// Joins a durable subscription, making it if there is none. One reader at a time, so that order is kept; joining
    /// again takes over from the last, whose unacknowledged messages come again.
    async fn subscribe(&self, name: &str) -> Answer<Arc<dyn Subscription>>;

    /// Bytes on disk.
    async fn disk_bytes(&self) -> Answer<u64>;
}

/// A durable subscription.
#[async_trait]
pub trait Subscription: Send + Sync {
    /// The next messages, at most `max` (prefetch); waits for the first one up to `wait`, then answers with none.
    async fn receive(&self, max: usize, wait: Duration) -> Answer<Vec<Delivery>>;

    /// These were dealt with. What is never acknowledged comes again, to whoever joins next.
    async fn ack(&self, tags: &[u64]) -> Answer<()>;

    /// These come again, as soon as possible; later ones may come again with them.
    async fn retry(&self, tags: &[u64]) -> Answer<()>;

    /// Puts one aside as a dead letter, and acknowledges it.
    async fn bury(&self, delivery: &Delivery, reason: &str) -> Answer<()>;

    /// The dead letters, oldest first.
    async fn dead(&self) -> Answer<Vec<Buried>>;

    /// Sends the dead letters again, to this subscription; how many there were.
    async fn redrive(&self) -> Answer<u64>;

    /// What is still before it.
    async fn depth(&self) -> Answer<Depth>;
}
