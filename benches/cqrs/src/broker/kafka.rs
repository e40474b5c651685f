//! Kafka: one topic that all subscriptions read, and per subscription a topic for messages that are sent again.
//!
//! The producer is idempotent and waits for all replicas; the key decides the partition, and so the order. A reader is
//! assigned all partitions (there is one reader at a time) and commits after the projection. Kafka stores a position per
//! partition and not an acknowledgement per message: an acknowledgement out of order is kept in memory, and its message is
//! redelivered if the reader dies; retries within a reader are from memory.
//!
//! Dead letters are in a topic, with the reason as a header; a redrive publishes them to the subscription's topic.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex as StdMutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::sync::Mutex;

use super::{Broker, DeadLetter, Delivery, Depth, Envelope, Subscription};
use crate::cleanup::{in_destructor, unique_name};
use crate::disk::folder_bytes;
use crate::settings::Settings;
use crate::{Answer, clock};

/// How long the server may take before it counts as away.
const PATIENCE: Duration = Duration::from_secs(5);
/// Partitions of the topic: as many readers could share it, if the projection were the bottleneck.
const PARTITIONS: i32 = 4;
/// In place of a partition's number: the subscription's topic.
const OWN: i32 = PARTITIONS;
/// The position of the partition's number in a tag.
const OFFSET_BITS: u32 = 48;

/// The broker on Kafka.
pub struct KafkaBroker {
    inner: Arc<Inner>,
    folder: Option<PathBuf>,
}

struct Inner {
    address: String,
    topic: String,
    prefetch: usize,
    producer: FutureProducer,
    subscriptions: StdMutex<HashMap<String, Arc<StdMutex<Progress>>>>,
}

/// One subscription, for all its readers.
#[derive(Default)]
struct Progress {
    /// The number of the reader that may read; raised by each that joins.
    reader: u64,
    partitions: BTreeMap<i32, Partition>,
    /// Dead letters before this offset were sent again.
    driven: i64,
}

#[derive(Default)]
struct Partition {
    /// The next message that was not acknowledged, or not handed out.
    committed: i64,
    /// The offset after the last that was handed out.
    delivered: i64,
    /// Handed out and not acknowledged.
    outstanding: BTreeMap<i64, (u32, Envelope)>,
    /// Acknowledged although an earlier one is not.
    ahead: BTreeSet<i64>,
}

impl Partition {
    fn ack(&mut self, offset: i64) {
        if self.outstanding.remove(&offset).is_some() {
            self.ahead.insert(offset);
        }
        self.committed = self.outstanding.first_key_value().map_or(self.delivered, |(first, _)| *first);
        self.ahead = self.ahead.split_off(&self.committed);
    }
}

impl KafkaBroker {
    /// Connects, and creates a topic, which is deleted with this. `folder` is the server's data folder, if it is known.
    pub async fn open(address: &str, folder: Option<PathBuf>, settings: &Settings) -> Answer<KafkaBroker> {
        let topic = unique_name("broker");
        let mut config = client(address);
        config.set("enable.idempotence", "true").set("acks", "all");
        // A batch is sent at once: a caller that publishes one message waits for it.
        config.set("linger.ms", "0").set("message.timeout.ms", PATIENCE.as_millis().to_string());
        let (producer, prefetch) = (config.create()?, settings.prefetch * 2);
        let subscriptions = StdMutex::default();
        let inner = Inner { address: address.to_owned(), topic, prefetch, producer, subscriptions };
        inner.create(&inner.topic, PARTITIONS).await?;
        Ok(KafkaBroker { inner: Arc::new(inner), folder })
    }
}

fn client(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address).set("client.id", "cenote-cqrs");
    // Reconnects soon after the server is back: the default waits up to ten seconds.
    config.set("reconnect.backoff.ms", "50").set("reconnect.backoff.max.ms", "500");
    // Calls return errors; librdkafka would also write them to the terminal.
    config.set_log_level(rdkafka::config::RDKafkaLogLevel::Critical);
    config
}

/// The end of a partition. A partition is unknown for a moment after it is created or the server is restarted.
fn end(consumer: &impl Consumer, topic: &str, partition: i32) -> Answer<i64> {
    use rdkafka::types::RDKafkaErrorCode::{
        LeaderNotAvailable, NotLeaderForPartition, UnknownPartition, UnknownTopic, UnknownTopicOrPartition,
    };
    let began = clock::now();
    loop {
        let found = consumer.fetch_watermarks(topic, partition, PATIENCE);
        let is_new = |error: &KafkaError| {
            matches!(
                error,
                KafkaError::MetadataFetch(
                    LeaderNotAvailable
                        | NotLeaderForPartition
                        | UnknownPartition
                        | UnknownTopic
                        | UnknownTopicOrPartition
                )
            )
        };
        match found {
            Err(error) if is_new(&error) && began.elapsed() < PATIENCE * 4 => {
                cenote_bench_support::clock::sleep(PATIENCE / 100);
            }
            found => return Ok(found?.1),
        }
    }
}

impl Inner {
    fn own_topic(&self, subscription: &str) -> String {
        format!("{}.{subscription}", self.topic)
    }

    fn dead_topic(&self, subscription: &str) -> String {
        format!("{}.{subscription}.dead", self.topic)
    }

    async fn create(&self, topic: &str, partitions: i32) -> Answer<()> {
        let admin: AdminClient<DefaultClientContext> = client(&self.address).create()?;
        let wanted = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE * 4)).request_timeout(Some(PATIENCE * 4));
        for made in admin.create_topics([&wanted], &options).await? {
            match made {
                Ok(_) | Err((_, rdkafka::types::RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, code)) => return Err(format!("the topic {topic} can't be created: {code}").into()),
            }
        }
        Ok(())
    }

    /// Publishes all of them, then waits for all acknowledgements.
    async fn publish(&self, topic: &str, batch: &[Envelope], why: Option<&str>) -> Answer<()> {
        let mut sent = Vec::with_capacity(batch.len());
        for envelope in batch {
            let key = envelope.key.to_string();
            let headers = why.map(|why| OwnedHeaders::new().insert(Header { key: "reason", value: Some(why) }));
            let mut record = FutureRecord::to(topic).key(&key).payload(&envelope.body);
            record.headers = headers;
            sent.push(self.producer.send_result(record).map_err(|(error, _)| error)?);
        }
        for taken in sent {
            taken.await?.map_err(|(error, _)| error)?;
        }
        Ok(())
    }

    fn consumer<C: rdkafka::config::FromClientConfig>(&self, subscription: &str) -> Answer<C> {
        let mut config = client(&self.address);
        config.set("group.id", self.own_topic(subscription)).set("enable.auto.commit", "false");
        config.set("auto.offset.reset", "earliest").set("isolation.level", "read_committed");
        // Returns as soon as there is something.
        config.set("fetch.min.bytes", "1").set("fetch.wait.max.ms", "100").set("fetch.error.backoff.ms", "50");
        config.set("queued.min.messages", self.prefetch.to_string());
        Ok(config.create()?)
    }

    /// The topic and partition of a number.
    fn place(&self, subscription: &str, partition: i32) -> (String, i32) {
        if partition == OWN { (self.own_topic(subscription), 0) } else { (self.topic.clone(), partition) }
    }

    fn progress(&self, subscription: &str) -> Option<Arc<StdMutex<Progress>>> {
        self.subscriptions.lock().expect("nothing panics under this lock").get(subscription).cloned()
    }

    /// Creates the topics of a subscription. It starts at the end of the topic.
    async fn make(self: &Arc<Inner>, name: &str) -> Answer<Arc<StdMutex<Progress>>> {
        self.create(&self.own_topic(name), 1).await?;
        self.create(&self.dead_topic(name), 1).await?;
        let (inner, subscription) = (Arc::clone(self), name.to_owned());
        let ends = move || -> Answer<BTreeMap<i32, Partition>> {
            let consumer: BaseConsumer = inner.consumer(&subscription)?;
            (0..=OWN)
                .map(|number| {
                    let (topic, partition) = inner.place(&subscription, number);
                    let end = end(&consumer, &topic, partition)?;
                    Ok((number, Partition { committed: end, delivered: end, ..Partition::default() }))
                })
                .collect()
        };
        let progress = Progress { partitions: clock::blocking(ends).await?, ..Progress::default() };
        let mut subscriptions = self.subscriptions.lock().expect("nothing panics under this lock");
        Ok(Arc::clone(subscriptions.entry(name.to_owned()).or_insert(Arc::new(StdMutex::new(progress)))))
    }
}

impl Drop for KafkaBroker {
    fn drop(&mut self) {
        in_destructor(|| async {
            let inner = &self.inner;
            let mut topics = vec![inner.topic.clone()];
            for subscription in inner.subscriptions.lock().expect("nothing panics under this lock").keys() {
                topics.extend([inner.own_topic(subscription), inner.dead_topic(subscription)]);
            }
            let admin: AdminClient<DefaultClientContext> = client(&inner.address).create()?;
            let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
            admin.delete_topics(&topics, &AdminOptions::new()).await?;
            Ok(())
        });
    }
}

#[async_trait]
impl Broker for KafkaBroker {
    async fn publish(&self, batch: &[Envelope]) -> Answer<()> {
        self.inner.publish(&self.inner.topic, batch, None).await
    }

    async fn subscribe(&self, name: &str) -> Answer<Arc<dyn Subscription>> {
        let progress = match self.inner.progress(name) {
            Some(progress) => progress,
            None => self.inner.make(name).await?,
        };
        let consumer: StreamConsumer = self.inner.consumer(name)?;
        let (mut from, reader) = (TopicPartitionList::new(), {
            let mut progress = progress.lock().expect("nothing panics under this lock");
            progress.reader += 1;
            for partition in progress.partitions.values_mut() {
                // What the last reader did not acknowledge is redelivered.
                partition.outstanding.clear();
                partition.delivered = partition.committed;
            }
            progress.reader
        });
        for (number, partition) in &progress.lock().expect("nothing panics under this lock").partitions {
            let (topic, place) = self.inner.place(name, *number);
            from.add_partition_offset(&topic, place, Offset::Offset(partition.committed))?;
        }
        consumer.assign(&from)?;
        let (broker, name) = (Arc::clone(&self.inner), name.to_owned());
        let arrived = Mutex::default();
        Ok(Arc::new(KafkaSubscription { broker, name, reader, progress, consumer: Arc::new(consumer), arrived }))
    }

    async fn disk_bytes(&self) -> Answer<u64> {
        Ok(self.folder.as_deref().map_or(0, folder_bytes))
    }
}

/// What has arrived: partition, offset, attempt, message.
type Arrived = (i32, i64, u32, Envelope);

struct KafkaSubscription {
    broker: Arc<Inner>,
    name: String,
    reader: u64,
    progress: Arc<StdMutex<Progress>>,
    consumer: Arc<StreamConsumer>,
    /// Sent by the server, and not handed out yet; retries come first.
    arrived: Mutex<VecDeque<Arrived>>,
}

fn tag(partition: i32, offset: i64) -> u64 {
    ((partition as u64) << OFFSET_BITS) | offset as u64
}

fn place(tag: u64) -> (i32, i64) {
    ((tag >> OFFSET_BITS) as i32, (tag & ((1 << OFFSET_BITS) - 1)) as i64)
}

fn envelope(message: &BorrowedMessage<'_>) -> Answer<Envelope> {
    let key = std::str::from_utf8(message.key().unwrap_or_default())?;
    Ok(Envelope { key: key.parse()?, body: message.payload().unwrap_or_default().to_vec() })
}

impl KafkaSubscription {
    /// The progress, for any caller.
    fn seen(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.progress.lock().expect("nothing panics under this lock")
    }

    /// The progress, if this reader still has the subscription.
    fn progress(&self) -> Answer<std::sync::MutexGuard<'_, Progress>> {
        let progress = self.seen();
        if progress.reader != self.reader {
            return Err(format!("another reader has joined {}: subscribe again", self.name).into());
        }
        Ok(progress)
    }

    fn take(&self, message: &BorrowedMessage<'_>, arrived: &mut VecDeque<Arrived>) -> Answer<()> {
        let partition = if message.topic() == self.broker.topic { message.partition() } else { OWN };
        let known =
            self.progress()?.partitions.get(&partition).is_some_and(|own| own.ahead.contains(&message.offset()));
        if !known {
            arrived.push_back((partition, message.offset(), 1, envelope(message)?));
        }
        Ok(())
    }

    /// Waits at most this long for the first message, and takes those that came with it.
    async fn fetch(&self, arrived: &mut VecDeque<Arrived>, wait: Duration) -> Answer<()> {
        while arrived.len() < self.broker.prefetch
            && let Some(message) = self.consumer.recv().now_or_never()
        {
            self.take(&message?, arrived)?;
        }
        if arrived.is_empty()
            && !wait.is_zero()
            && let Some(message) = clock::timeout(wait, self.consumer.recv()).await
        {
            self.take(&message?, arrived)?;
            return Box::pin(self.fetch(arrived, Duration::ZERO)).await;
        }
        Ok(())
    }

    /// The ends of the partitions, as the server reports them, and of the dead letters.
    async fn ends(&self) -> Answer<(Vec<i64>, i64)> {
        let (consumer, broker, name) = (Arc::clone(&self.consumer), Arc::clone(&self.broker), self.name.clone());
        let ask = move || -> Answer<(Vec<i64>, i64)> {
            let places = (0..=OWN).map(|number| broker.place(&name, number));
            let ends = places.map(|(topic, partition)| end(&*consumer, &topic, partition)).collect::<Answer<_>>()?;
            Ok((ends, end(&*consumer, &broker.dead_topic(&name), 0)?))
        };
        clock::blocking(ask).await
    }

    /// Dead letters that were not sent again, with the offset after the last.
    async fn letters(&self) -> Answer<(Vec<DeadLetter>, i64)> {
        let driven = self.seen().driven;
        let (_, end) = self.ends().await?;
        let (broker, name) = (Arc::clone(&self.broker), self.name.clone());
        let read = move || -> Answer<Vec<DeadLetter>> {
            let consumer: BaseConsumer = broker.consumer(&name)?;
            let mut from = TopicPartitionList::new();
            from.add_partition_offset(&broker.dead_topic(&name), 0, Offset::Offset(driven))?;
            consumer.assign(&from)?;
            let mut letters = Vec::new();
            let mut next = driven;
            while next < end {
                let message = consumer.poll(PATIENCE).ok_or("Kafka does not answer: try again later")??;
                next = message.offset() + 1;
                let reason = message.headers().and_then(|headers| headers.try_get_as::<str>(0)?.ok()?.value);
                letters
                    .push(DeadLetter { envelope: envelope(&message)?, reason: reason.unwrap_or_default().to_owned() });
            }
            Ok(letters)
        };
        Ok((clock::blocking(read).await?, end))
    }
}

#[async_trait]
impl Subscription for KafkaSubscription {
    async fn receive(&self, max: usize, wait: Duration) -> Answer<Vec<Delivery>> {
        let mut arrived = self.arrived.lock().await;
        self.fetch(&mut arrived, wait).await?;
        let mut progress = self.progress()?;
        let count = max.min(arrived.len());
        let hand_out = |(partition, offset, attempt, envelope): Arrived| {
            let own = progress.partitions.entry(partition).or_default();
            own.delivered = own.delivered.max(offset + 1);
            own.outstanding.insert(offset, (attempt, envelope.clone()));
            Delivery { tag: tag(partition, offset), attempt, envelope }
        };
        Ok(arrived.drain(..count).map(hand_out).collect())
    }

    async fn ack(&self, tags: &[u64]) -> Answer<()> {
        let mut positions = TopicPartitionList::new();
        {
            let mut progress = self.progress()?;
            let touched: BTreeSet<i32> = tags.iter().map(|tag| place(*tag).0).collect();
            for tag in tags {
                let (partition, offset) = place(*tag);
                progress.partitions.entry(partition).or_default().ack(offset);
            }
            for partition in touched {
                let (topic, number) = self.broker.place(&self.name, partition);
                let until = progress.partitions.entry(partition).or_default().committed;
                positions.add_partition_offset(&topic, number, Offset::Offset(until))?;
            }
        }
        // Not awaited: what a crash loses of it is redelivered, which at-least-once allows.
        Ok(self.consumer.commit(&positions, CommitMode::Async)?)
    }

    async fn retry(&self, tags: &[u64]) -> Answer<()> {
        let mut arrived = self.arrived.lock().await;
        let mut progress = self.progress()?;
        for tag in tags.iter().rev() {
            let (partition, offset) = place(*tag);
            let own = progress.partitions.entry(partition).or_default();
            let Some((attempt, envelope)) = own.outstanding.get(&offset) else { continue };
            arrived.push_front((partition, offset, attempt + 1, envelope.clone()));
        }
        Ok(())
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &str) -> Answer<()> {
        let batch = std::slice::from_ref(&delivery.envelope);
        self.broker.publish(&self.broker.dead_topic(&self.name), batch, Some(reason)).await?;
        self.ack(&[delivery.tag]).await
    }

    async fn dead_letters(&self) -> Answer<Vec<DeadLetter>> {
        Ok(self.letters().await?.0)
    }

    async fn redrive(&self) -> Answer<u64> {
        let (letters, end) = self.letters().await?;
        let batch: Vec<Envelope> = letters.into_iter().map(|letter| letter.envelope).collect();
        self.broker.publish(&self.broker.own_topic(&self.name), &batch, None).await?;
        self.seen().driven = end;
        Ok(batch.len() as u64)
    }

    async fn depth(&self) -> Answer<Depth> {
        let (ends, dead) = self.ends().await?;
        let progress = self.seen();
        let waiting = progress.partitions.values().zip(&ends).map(|(own, end)| {
            let after = u64::try_from(end - own.committed).unwrap_or(0);
            after.saturating_sub(own.ahead.len() as u64)
        });
        let dead = u64::try_from(dead - progress.driven).unwrap_or(0);
        Ok(Depth { waiting: waiting.sum(), dead })
    }
}
