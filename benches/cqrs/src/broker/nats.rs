//! NATS JetStream: one stream on disk that all subscriptions read, and a durable consumer per subscription.
//!
//! Acknowledgements are per message and the server redelivers; those of a batch are sent at once, and only the last is
//! awaited, since they arrive in order. A reader that joins takes over at once: the consumer is created again from the first
//! unacknowledged message, rather than after the server has given up on the last reader. Dead letters are in a separate
//! stream; a redrive publishes them again, marked for one subscription.
//!
//! A confirm promises less than the others': the message is in the server's file, which is synced every two
//! minutes (`benches/cqrs/services/settings/nats.conf`).

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex as StdMutex};
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::stream::{self, RetentionPolicy, StorageType};
use async_nats::jetstream::{AckKind, Context, Message};
use async_trait::async_trait;
use futures::{FutureExt, StreamExt};
use std::collections::VecDeque;
use tokio::sync::Mutex;

use super::{Broker, DeadLetter, Delivery, Depth, Envelope, Subscription};
use crate::cleanup::{in_destructor, unique_name};
use crate::disk::folder_bytes;
use crate::settings::Settings;
use crate::{Answer, Failure, clock};

/// How long the server may take before it counts as away.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a reader may take for a message before the server redelivers it.
const ACK_WAIT: Duration = Duration::from_mins(1);

/// The broker on NATS JetStream.
pub struct NatsBroker {
    inner: Arc<Inner>,
    folder: Option<PathBuf>,
}

struct Inner {
    url: String,
    context: Context,
    name: String,
    prefetch: usize,
    /// The number of each subscription's reader.
    readers: StdMutex<HashMap<String, u64>>,
}

impl NatsBroker {
    /// Connects, and creates a stream, which is deleted with this. `folder` is the server's data folder, if it is known.
    pub async fn open(url: &str, folder: Option<PathBuf>, settings: &Settings) -> Answer<NatsBroker> {
        let (context, name) = (connect(url).await?, unique_name("broker"));
        let subjects = vec![format!("{name}.>")];
        let config = stream::Config { name: name.clone(), subjects, ..kept() };
        context.create_stream(config).await?;
        let (prefetch, readers) = (settings.prefetch * 2, StdMutex::default());
        let inner = Inner { url: url.to_owned(), context, name, prefetch, readers };
        Ok(NatsBroker { inner: Arc::new(inner), folder })
    }
}

fn kept() -> stream::Config {
    stream::Config { storage: StorageType::File, retention: RetentionPolicy::Limits, ..stream::Config::default() }
}

async fn connect(url: &str) -> Answer<Context> {
    let client = async_nats::ConnectOptions::new().connection_timeout(PATIENCE * 4).connect(url).await?;
    Ok(async_nats::jetstream::new(client))
}

impl Inner {
    fn dead_stream(&self, subscription: &str) -> String {
        format!("{}_{subscription}_dead", self.name)
    }

    /// Publishes all of them, then waits for all confirms.
    async fn publish(&self, subject: &str, batch: &[Envelope], header: Option<(&str, &str)>) -> Answer<()> {
        let all = async {
            let mut sent = Vec::with_capacity(batch.len());
            for envelope in batch {
                let (subject, body) = (format!("{subject}.{}", envelope.key), envelope.body.clone().into());
                let taken = match header {
                    Some((name, value)) => {
                        let mut headers = HeaderMap::new();
                        headers.insert(name, value);
                        self.context.publish_with_headers(subject, headers, body).await?
                    }
                    None => self.context.publish(subject, body).await?,
                };
                sent.push(taken);
            }
            for taken in sent {
                taken.await?;
            }
            Ok::<_, Failure>(())
        };
        clock::timeout(PATIENCE, all).await.ok_or("NATS does not confirm: publish again")?
    }

    /// Creates the consumer, or creates it again from the first unacknowledged message.
    async fn join(&self, subscription: &str) -> Answer<pull::Stream> {
        let dead = self.dead_stream(subscription);
        let config = stream::Config { name: dead.clone(), subjects: vec![format!("{dead}.>")], ..kept() };
        self.context.get_or_create_stream(config).await?;
        let stream = self.context.get_stream(&self.name).await?;
        let known = stream.get_consumer::<pull::Config>(subscription).await;
        let deliver_policy = match known {
            Ok(mut known) => {
                let start_sequence = known.info().await?.ack_floor.stream_sequence + 1;
                stream.delete_consumer(subscription).await?;
                DeliverPolicy::ByStartSequence { start_sequence }
            }
            Err(_) => DeliverPolicy::New,
        };
        let config = pull::Config {
            durable_name: Some(subscription.to_owned()),
            deliver_policy,
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_ack_pending: self.prefetch as i64 * 2,
            ..pull::Config::default()
        };
        let consumer = stream.create_consumer(config).await?;
        Ok(consumer.stream().max_messages_per_batch(self.prefetch).messages().await?)
    }
}

impl Drop for NatsBroker {
    fn drop(&mut self) {
        let readers = self.inner.readers.lock().expect("nothing panics under this lock").clone();
        in_destructor(|| async {
            let context = connect(&self.inner.url).await?;
            for subscription in readers.keys() {
                context.delete_stream(self.inner.dead_stream(subscription)).await?;
            }
            context.delete_stream(&self.inner.name).await?;
            Ok(())
        });
    }
}

#[async_trait]
impl Broker for NatsBroker {
    async fn publish(&self, batch: &[Envelope]) -> Answer<()> {
        self.inner.publish(&self.inner.name, batch, None).await
    }

    async fn subscribe(&self, name: &str) -> Answer<Arc<dyn Subscription>> {
        let reader = {
            let mut readers = self.inner.readers.lock().expect("nothing panics under this lock");
            let number = readers.entry(name.to_owned()).or_default();
            *number += 1;
            *number
        };
        let joined = Joined { messages: self.inner.join(name).await?, arrived: VecDeque::new() };
        let (broker, name) = (Arc::clone(&self.inner), name.to_owned());
        let outstanding = StdMutex::default();
        Ok(Arc::new(NatsSubscription { broker, name, reader, joined: Mutex::new(Some(joined)), outstanding }))
    }

    async fn disk_bytes(&self) -> Answer<u64> {
        Ok(self.folder.as_deref().map_or(0, folder_bytes))
    }
}

struct Joined {
    messages: pull::Stream,
    /// Sent by the server, and not handed out yet.
    arrived: VecDeque<Message>,
}

impl Joined {
    /// Waits at most this long for the first message, and takes those that came with it.
    async fn fetch(&mut self, max: usize, wait: Duration) -> Answer<()> {
        let ended = "NATS has ended the stream: joining again";
        if self.arrived.is_empty()
            && let Some(next) = clock::timeout(wait, self.messages.next()).await
        {
            self.arrived.push_back(next.ok_or(ended)??);
        }
        while self.arrived.len() < max
            && let Some(next) = self.messages.next().now_or_never()
        {
            self.arrived.push_back(next.ok_or(ended)??);
        }
        Ok(())
    }
}

struct NatsSubscription {
    broker: Arc<Inner>,
    name: String,
    reader: u64,
    joined: Mutex<Option<Joined>>,
    /// Handed out and not acknowledged, by position in the stream.
    outstanding: StdMutex<HashMap<u64, Message>>,
}

/// The key is what follows the stream's name.
fn envelope(subject: &str, body: &[u8]) -> Answer<Envelope> {
    let key = subject.rsplit('.').next().unwrap_or_default();
    Ok(Envelope { key: key.parse()?, body: body.to_vec() })
}

fn header<'a>(headers: Option<&'a HeaderMap>, name: &str) -> Option<&'a str> {
    Some(headers?.get(name)?.as_str())
}

impl NatsSubscription {
    fn outstanding(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Message>> {
        self.outstanding.lock().expect("nothing panics under this lock")
    }

    fn holds(&self) -> Answer<()> {
        let readers = self.broker.readers.lock().expect("nothing panics under this lock");
        if readers.get(&self.name) != Some(&self.reader) {
            return Err(format!("another reader has joined {}: subscribe again", self.name).into());
        }
        Ok(())
    }

    async fn stored_letters(&self) -> Answer<Vec<(u64, DeadLetter)>> {
        let stream = self.broker.context.get_stream(self.broker.dead_stream(&self.name)).await?;
        let state = &stream.cached_info().state;
        let mut letters = Vec::new();
        for sequence in state.first_sequence.max(1)..=state.last_sequence {
            // Those that were sent again are gaps.
            let Ok(letter) = stream.get_raw_message(sequence).await else { continue };
            let reason = header(Some(&letter.headers), "reason").unwrap_or_default().to_owned();
            letters.push((sequence, DeadLetter { envelope: envelope(&letter.subject, &letter.payload)?, reason }));
        }
        Ok(letters)
    }
}

#[async_trait]
impl Subscription for NatsSubscription {
    async fn receive(&self, max: usize, wait: Duration) -> Answer<Vec<Delivery>> {
        self.holds()?;
        let mut slot = self.joined.lock().await;
        if slot.is_none() {
            self.outstanding().clear();
            *slot = Some(Joined { messages: self.broker.join(&self.name).await?, arrived: VecDeque::new() });
        }
        let Some(joined) = slot.as_mut() else { unreachable!("it was set above") };
        if let Err(error) = joined.fetch(max, wait).await {
            *slot = None;
            return Err(error);
        }
        let count = max.min(joined.arrived.len());
        let mut deliveries = Vec::with_capacity(count);
        for message in joined.arrived.drain(..count).collect::<Vec<_>>() {
            if header(message.headers.as_ref(), "only").is_some_and(|only| only != self.name) {
                message.ack().await?;
                continue;
            }
            let (tag, attempt) = {
                let info = message.info()?;
                (info.stream_sequence, u32::try_from(info.delivered).unwrap_or(u32::MAX))
            };
            deliveries.push(Delivery { tag, attempt, envelope: envelope(&message.subject, &message.payload)? });
            self.outstanding().insert(tag, message);
        }
        Ok(deliveries)
    }

    async fn ack(&self, tags: &[u64]) -> Answer<()> {
        self.holds()?;
        let messages: Vec<Message> = tags.iter().filter_map(|tag| self.outstanding().remove(tag)).collect();
        let Some((last, others)) = messages.split_last() else { return Ok(()) };
        for message in others {
            message.ack().await?;
        }
        Ok(last.double_ack().await?)
    }

    async fn retry(&self, tags: &[u64]) -> Answer<()> {
        self.holds()?;
        for tag in tags {
            let message = self.outstanding().remove(tag);
            if let Some(message) = message {
                message.ack_with(AckKind::Nak(None)).await?;
            }
        }
        Ok(())
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &str) -> Answer<()> {
        let batch = std::slice::from_ref(&delivery.envelope);
        // A header is one line.
        let reason = reason.replace(['\r', '\n'], " ");
        self.broker.publish(&self.broker.dead_stream(&self.name), batch, Some(("reason", &reason))).await?;
        self.ack(&[delivery.tag]).await
    }

    async fn dead_letters(&self) -> Answer<Vec<DeadLetter>> {
        Ok(self.stored_letters().await?.into_iter().map(|(_, letter)| letter).collect())
    }

    async fn redrive(&self) -> Answer<u64> {
        let letters = self.stored_letters().await?;
        let stream = self.broker.context.get_stream(self.broker.dead_stream(&self.name)).await?;
        for (sequence, letter) in &letters {
            let batch = std::slice::from_ref(&letter.envelope);
            self.broker.publish(&self.broker.name, batch, Some(("only", &self.name))).await?;
            stream.delete_message(*sequence).await?;
        }
        Ok(letters.len() as u64)
    }

    async fn depth(&self) -> Answer<Depth> {
        let stream = self.broker.context.get_stream(&self.broker.name).await?;
        let consumer = stream.consumer_info(&self.name).await?;
        let dead =
            self.broker.context.get_stream(self.broker.dead_stream(&self.name)).await?.cached_info().state.messages;
        Ok(Depth { waiting: consumer.num_pending + consumer.num_ack_pending as u64, dead })
    }
}
