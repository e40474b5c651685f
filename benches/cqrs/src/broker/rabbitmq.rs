//! RabbitMQ: a fan-out exchange, and a quorum queue for each subscription.
//!
//! Quorum queues, because their confirm means that the message is synced in the log of the queue, and because they count
//! deliveries. A single active consumer keeps the order: a second consumer would wait until the first is gone, so a reader
//! that joins closes the channel of the last. A dead letter is published to the dead-letter exchange with its reason, and
//! confirmed before the original is acknowledged: a rejection alone would lose the reason.
//!
//! The next call makes a lost connection again; unacknowledged messages are redelivered.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex as StdMutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::{FutureExt, StreamExt};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicNackOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions,
    QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer, ExchangeKind};
use tokio::sync::Mutex;

use super::{Broker, DeadLetter, Delivery, Depth, Envelope, Subscription};
use crate::cleanup::{in_destructor, unique_name};
use crate::clock;
use crate::disk::folder_bytes;
use crate::settings::Settings;
use crate::{Answer, Failure};

/// How long the server may take to confirm before it counts as away.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it may take to connect: a server that is down refuses at once, one that starts up takes long.
const GREETING: Duration = Duration::from_secs(20);
/// How often something is checked within that time.
const LOOKS: u32 = 500;
/// The position of the channel's number in a tag: deliveries are numbered per channel, and channels are reopened.
const CHANNEL_BITS: u32 = 40;

/// The broker on RabbitMQ.
pub struct RabbitBroker {
    inner: Arc<Inner>,
    folder: Option<PathBuf>,
}

struct Inner {
    url: String,
    names: Names,
    prefetch: u16,
    publisher: Mutex<Option<(Connection, Channel)>>,
    subscriptions: StdMutex<HashMap<String, Arc<State>>>,
    channels: AtomicU64,
}

impl RabbitBroker {
    /// Connects; what is created at the server is deleted with this. `folder` is the server's data folder, if it is known.
    pub async fn open(url: &str, folder: Option<PathBuf>, settings: &Settings) -> Answer<RabbitBroker> {
        // Twice a batch: the next one has arrived when the last is done.
        let prefetch = u16::try_from(settings.prefetch * 2).unwrap_or(u16::MAX);
        let inner = Inner {
            url: url.to_owned(),
            names: Names(unique_name("broker")),
            prefetch,
            publisher: Mutex::default(),
            subscriptions: StdMutex::default(),
            channels: AtomicU64::new(0),
        };
        let (_connection, channel) = connect(url).await?;
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let all = inner.names.exchange().into();
        channel.exchange_declare(all, ExchangeKind::Fanout, durable, FieldTable::default()).await?;
        let dead = inner.names.dead_exchange().into();
        channel.exchange_declare(dead, ExchangeKind::Direct, durable, FieldTable::default()).await?;
        Ok(RabbitBroker { inner: Arc::new(inner), folder })
    }
}

/// The names of everything that belongs to one broker; all begin with its name.
#[derive(Clone)]
struct Names(String);

impl Names {
    fn exchange(&self) -> String {
        self.0.clone()
    }

    fn dead_exchange(&self) -> String {
        format!("{}.dead", self.0)
    }

    fn queue(&self, subscription: &str) -> String {
        format!("{}.{subscription}", self.0)
    }

    fn dead_queue(&self, subscription: &str) -> String {
        format!("{}.{subscription}.dead", self.0)
    }
}

/// A new connection, with a channel that confirms.
async fn connect(url: &str) -> Answer<(Connection, Channel)> {
    let properties = ConnectionProperties::default().with_connection_name("cenote-cqrs".into());
    let open = async {
        let connection = Connection::connect(url, properties).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok::<_, Failure>((connection, channel))
    };
    clock::timeout(GREETING, open).await.ok_or("RabbitMQ does not answer: try again later")?
}

/// Publishes all of them, then waits for all confirms, once per batch. Without a route, each is routed by its key.
async fn publish(channel: &Channel, to: (&str, Option<&str>), batch: &[Envelope], why: Option<&str>) -> Answer<()> {
    let all = async {
        let mut confirms = Vec::with_capacity(batch.len());
        for envelope in batch {
            let key = envelope.key.to_string();
            let mut headers = FieldTable::default();
            headers.insert("key".into(), AMQPValue::LongString(key.as_str().into()));
            if let Some(why) = why {
                headers.insert("reason".into(), AMQPValue::LongString(why.into()));
            }
            // 2: persistent.
            let properties = BasicProperties::default().with_delivery_mode(2).with_headers(headers);
            let (exchange, route) = (to.0.into(), to.1.unwrap_or(&key).into());
            let options = BasicPublishOptions::default();
            confirms.push(channel.basic_publish(exchange, route, options, &envelope.body, properties).await?);
        }
        for confirm in confirms {
            if confirm.await?.is_nack() {
                return Err("RabbitMQ did not take a message: publish again".into());
            }
        }
        Ok::<_, Failure>(())
    };
    clock::timeout(PATIENCE, all).await.ok_or("RabbitMQ does not confirm: publish again")?
}

/// Deletes everything with this name.
async fn remove(url: &str, names: &Names, subscriptions: &[String]) -> Answer<()> {
    let (_connection, channel) = connect(url).await?;
    for subscription in subscriptions {
        for queue in [names.queue(subscription), names.dead_queue(subscription)] {
            channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await?;
        }
    }
    for exchange in [names.exchange(), names.dead_exchange()] {
        channel.exchange_delete(exchange.into(), ExchangeDeleteOptions::default()).await?;
    }
    Ok(())
}

impl Inner {
    /// The channel that all publishers share.
    async fn publisher(&self) -> Answer<Channel> {
        let mut publisher = self.publisher.lock().await;
        if let Some((connection, channel)) = &*publisher
            && connection.status().connected()
            && channel.status().connected()
        {
            return Ok(channel.clone());
        }
        let made = connect(&self.url).await?;
        Ok(publisher.insert(made).1.clone())
    }

    /// Declares the queues of a subscription and their bindings.
    async fn declare(&self, channel: &Channel, subscription: &str) -> Answer<()> {
        let durable = QueueDeclareOptions::durable();
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        let (dead, exchange) = (self.names.dead_queue(subscription), self.names.dead_exchange());
        channel.queue_declare(dead.as_str().into(), durable, arguments.clone()).await?;
        let bind = QueueBindOptions::default();
        channel
            .queue_bind(dead.into(), exchange.as_str().into(), subscription.into(), bind, FieldTable::default())
            .await?;
        arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
        arguments.insert("x-dead-letter-exchange".into(), AMQPValue::LongString(exchange.into()));
        arguments.insert("x-dead-letter-routing-key".into(), AMQPValue::LongString(subscription.into()));
        let queue = self.names.queue(subscription);
        channel.queue_declare(queue.as_str().into(), durable, arguments).await?;
        channel.queue_bind(queue.into(), self.names.exchange().into(), "".into(), bind, FieldTable::default()).await?;
        Ok(())
    }

    /// A consumer of this subscription.
    async fn join(&self, subscription: &str) -> Answer<Joined> {
        let (connection, channel) = connect(&self.url).await?;
        self.declare(&channel, subscription).await?;
        channel.basic_qos(self.prefetch, BasicQosOptions::default()).await?;
        let (queue, options) = (self.names.queue(subscription), BasicConsumeOptions::default());
        let consumer = channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await?;
        let number = self.channels.fetch_add(1, Relaxed) + 1;
        Ok(Joined { number, consumer, arrived: VecDeque::new(), channel, _connection: connection })
    }
}

impl Drop for RabbitBroker {
    fn drop(&mut self) {
        let subscriptions: Vec<String> =
            self.inner.subscriptions.lock().expect("nothing panics under this lock").keys().cloned().collect();
        in_destructor(|| async move { remove(&self.inner.url, &self.inner.names, &subscriptions).await });
    }
}

#[async_trait]
impl Broker for RabbitBroker {
    async fn publish(&self, batch: &[Envelope]) -> Answer<()> {
        let channel = self.inner.publisher().await?;
        publish(&channel, (&self.inner.names.exchange(), None), batch, None).await
    }

    async fn subscribe(&self, name: &str) -> Answer<Arc<dyn Subscription>> {
        let state = {
            let mut subscriptions = self.inner.subscriptions.lock().expect("nothing panics under this lock");
            Arc::clone(subscriptions.entry(name.to_owned()).or_default())
        };
        let reader = state.reader.fetch_add(1, Relaxed) + 1;
        let mut joined = state.joined.lock().await;
        if let Some(last) = joined.take() {
            // What it did not acknowledge returns to the queue.
            let _ = last.channel.close(200, "another reader joins".into()).await;
        }
        state.outstanding().clear();
        *joined = Some(self.inner.join(name).await?);
        drop(joined);
        let (broker, name) = (Arc::clone(&self.inner), name.to_owned());
        Ok(Arc::new(RabbitSubscription { broker, name, reader, state }))
    }

    async fn disk_bytes(&self) -> Answer<u64> {
        Ok(self.folder.as_deref().map_or(0, folder_bytes))
    }
}

/// A consumer that is connected.
struct Joined {
    number: u64,
    channel: Channel,
    consumer: Consumer,
    /// Sent by the server, and not handed out yet.
    arrived: VecDeque<lapin::message::Delivery>,
    _connection: Connection,
}

impl Joined {
    /// Takes what the server has sent so far.
    fn drain(&mut self) -> Answer<()> {
        while let Some(next) = self.consumer.next().now_or_never() {
            self.arrived.push_back(next.ok_or("RabbitMQ has cancelled the reader: joining again")??);
        }
        Ok(())
    }

    async fn wait(&mut self, wait: Duration) -> Answer<()> {
        self.drain()?;
        if self.arrived.is_empty()
            && let Some(next) = clock::timeout(wait, self.consumer.next()).await
        {
            self.arrived.push_back(next.ok_or("RabbitMQ has cancelled the reader: joining again")??);
            self.drain()?;
        }
        Ok(())
    }
}

/// One subscription, for all its readers.
#[derive(Default)]
struct State {
    /// The number of the reader that may read; raised by each that joins.
    reader: AtomicU64,
    joined: Mutex<Option<Joined>>,
    /// Handed out and not acknowledged.
    outstanding: StdMutex<BTreeSet<u64>>,
}

impl State {
    fn outstanding(&self) -> std::sync::MutexGuard<'_, BTreeSet<u64>> {
        self.outstanding.lock().expect("nothing panics under this lock")
    }
}

struct RabbitSubscription {
    broker: Arc<Inner>,
    name: String,
    reader: u64,
    state: Arc<State>,
}

fn envelope(delivery: &lapin::message::Delivery) -> Answer<Envelope> {
    let key = header(delivery, "key").ok_or("a message without its key: not from this program")?;
    Ok(Envelope { key: key.parse()?, body: delivery.data.clone() })
}

fn header(delivery: &lapin::message::Delivery, name: &str) -> Option<String> {
    match delivery.properties.headers().as_ref()?.inner().get(name)? {
        AMQPValue::LongString(text) => Some(String::from_utf8_lossy(text.as_bytes()).into_owned()),
        _ => None,
    }
}

/// The queue counts how often a message was returned.
fn attempt(delivery: &lapin::message::Delivery) -> u32 {
    let headers = delivery.properties.headers().as_ref();
    let count = headers.and_then(|headers| headers.inner().get("x-delivery-count")?.as_long_long_int());
    let again = count.and_then(|count| u32::try_from(count).ok()).unwrap_or(u32::from(delivery.redelivered));
    again + 1
}

impl RabbitSubscription {
    /// Fails if another reader has joined.
    fn holds(&self) -> Answer<()> {
        if self.state.reader.load(Relaxed) == self.reader {
            return Ok(());
        }
        Err(format!("another reader has joined {}: subscribe again", self.name).into())
    }

    /// The channel that delivered these, and their numbers on it.
    async fn channel_of(&self, tags: &[u64]) -> Answer<Channel> {
        self.holds()?;
        let joined = self.state.joined.lock().await;
        let joined = joined.as_ref().ok_or("the connection was lost: unacknowledged messages are redelivered")?;
        if tags.iter().any(|tag| tag >> CHANNEL_BITS != joined.number) {
            return Err("these came on a connection that was lost: they are redelivered".into());
        }
        Ok(joined.channel.clone())
    }

    /// Makes a delivery of a message, and remembers it.
    fn hand_out(&self, number: u64, delivery: &lapin::message::Delivery) -> Answer<Delivery> {
        let tag = (number << CHANNEL_BITS) | delivery.delivery_tag;
        self.state.outstanding().insert(tag);
        Ok(Delivery { tag, attempt: attempt(delivery), envelope: envelope(delivery)? })
    }

    /// How many messages the queues hold that were not handed to a reader.
    async fn counts(&self, channel: &Channel) -> Answer<Depth> {
        let passive = QueueDeclareOptions::durable().passive();
        let (queue, dead) = (self.broker.names.queue(&self.name), self.broker.names.dead_queue(&self.name));
        let waiting = channel.queue_declare(queue.into(), passive, FieldTable::default()).await?.message_count();
        let dead = channel.queue_declare(dead.into(), passive, FieldTable::default()).await?.message_count();
        Ok(Depth { waiting: waiting.into(), dead: dead.into() })
    }

    /// All dead letters, taken and not acknowledged.
    async fn letters(&self, channel: &Channel) -> Answer<Vec<lapin::message::Delivery>> {
        let mut letters = Vec::new();
        let queue = self.broker.names.dead_queue(&self.name);
        while let Some(letter) = channel.basic_get(queue.as_str().into(), BasicGetOptions::default()).await? {
            letters.push(letter.delivery);
        }
        Ok(letters)
    }
}

const NUMBER: u64 = (1 << CHANNEL_BITS) - 1;

#[async_trait]
impl Subscription for RabbitSubscription {
    async fn receive(&self, max: usize, wait: Duration) -> Answer<Vec<Delivery>> {
        let mut slot = self.state.joined.lock().await;
        self.holds()?;
        if slot.is_none() {
            let joined = self.broker.join(&self.name).await?;
            self.state.outstanding().clear();
            *slot = Some(joined);
        }
        let Some(joined) = slot.as_mut() else { unreachable!("it was set above") };
        if let Err(error) = joined.wait(wait).await {
            *slot = None;
            return Err(error);
        }
        let count = max.min(joined.arrived.len());
        let number = joined.number;
        joined.arrived.drain(..count).map(|delivery| self.hand_out(number, &delivery)).collect()
    }

    async fn ack(&self, tags: &[u64]) -> Answer<()> {
        let channel = self.channel_of(tags).await?;
        let Some(last) = tags.iter().max() else { return Ok(()) };
        let all_before = {
            let mut outstanding = self.state.outstanding();
            let before = outstanding.range(..=*last).count();
            tags.iter().for_each(|tag| _ = outstanding.remove(tag));
            before == tags.len()
        };
        if all_before {
            // One frame for the batch.
            return Ok(channel.basic_ack(last & NUMBER, BasicAckOptions { multiple: true }).await?);
        }
        for tag in tags {
            channel.basic_ack(tag & NUMBER, BasicAckOptions::default()).await?;
        }
        Ok(())
    }

    async fn retry(&self, tags: &[u64]) -> Answer<()> {
        let channel = self.channel_of(tags).await?;
        for tag in tags {
            self.state.outstanding().remove(tag);
            channel.basic_nack(tag & NUMBER, BasicNackOptions { multiple: false, requeue: true }).await?;
        }
        Ok(())
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &str) -> Answer<()> {
        let channel = self.broker.publisher().await?;
        let batch = std::slice::from_ref(&delivery.envelope);
        let to = (&*self.broker.names.dead_exchange(), Some(&*self.name));
        publish(&channel, to, batch, Some(reason)).await?;
        self.ack(&[delivery.tag]).await
    }

    async fn dead_letters(&self) -> Answer<Vec<DeadLetter>> {
        let (connection, channel) = connect(&self.broker.url).await?;
        let letters = self.letters(&channel).await?;
        // None is acknowledged: once the channel is closed, they return to the queue.
        channel.close(200, "looked".into()).await?;
        // The queue takes them back after a moment; until then they would not be counted.
        let channel = connection.create_channel().await?;
        for _ in 0..LOOKS {
            if self.counts(&channel).await?.dead >= letters.len() as u64 {
                break;
            }
            clock::sleep(PATIENCE / LOOKS).await;
        }
        let dead_letter = |letter: &_| {
            let reason = header(letter, "reason").unwrap_or_else(|| "rejected".to_owned());
            Ok(DeadLetter { envelope: envelope(letter)?, reason })
        };
        letters.iter().map(dead_letter).collect()
    }

    async fn redrive(&self) -> Answer<u64> {
        let (_connection, channel) = connect(&self.broker.url).await?;
        let letters = self.letters(&channel).await?;
        let queue = self.broker.names.queue(&self.name);
        for letter in &letters {
            // By the default exchange, which routes to the queue of that name only.
            let batch = [envelope(letter)?];
            publish(&channel, ("", Some(&queue)), &batch, None).await?;
            channel.basic_ack(letter.delivery_tag, BasicAckOptions::default()).await?;
        }
        channel.close(200, "done".into()).await?;
        Ok(letters.len() as u64)
    }

    async fn depth(&self) -> Answer<Depth> {
        let mut slot = self.state.joined.lock().await;
        let Some(joined) = slot.as_mut() else {
            // Without a reader, all messages are in the queue.
            let (_connection, channel) = connect(&self.broker.url).await?;
            return self.counts(&channel).await;
        };
        // On the reader's channel: messages that left the queue before it was counted arrive before the answer.
        let counted = self.counts(&joined.channel).await;
        let (Ok(counts), Ok(())) = (&counted, joined.drain()) else {
            *slot = None;
            return counted;
        };
        let here = (joined.arrived.len() + self.state.outstanding().len()) as u64;
        Ok(Depth { waiting: counts.waiting + here, ..*counts })
    }
}
