//! What all event-driven strategies share: a write side, a read model, the processes between, and the view of operations.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;

use super::direct::{Direct, Pace};
use super::mailer::{self, Mailbox};
use super::projector::Projector;
use super::relay::Relay;
use super::{Running, Stage, Tasks, Usage};
use crate::Answer;
use crate::broker::{Broker, DeadLetter, Envelope, Subscription};
use crate::clock::wall;
use crate::domain::{Ack, Command, CommandError, Key, Message, Micros, Truth};
use crate::metrics::{Metrics, Reading};
use crate::points::Points;
use crate::read::{Live, Queries};
use crate::settings::Settings;
use crate::write::{Feed, FeedKind, WriteSide};

/// What a strategy does after the commit.
pub(super) type AfterCommit = Box<dyn Fn(Message) + Send + Sync>;

/// A strategy that is built from a write side, a read model, and perhaps a feed and a broker.
pub struct Pipeline {
    pub(super) write: Arc<dyn WriteSide>,
    pub(super) live: Arc<Live>,
    pub(super) feed: Option<(FeedKind, Arc<dyn Feed>)>,
    pub(super) broker: Option<Arc<dyn Broker>>,
    pub(super) tasks: Tasks,
    pub(super) settings: Settings,
    pub(super) points: Arc<Points>,
    pub(super) metrics: Arc<Metrics>,
    /// The subscription of the projector that runs now.
    subscription: Arc<ArcSwapOption<Arc<dyn Subscription>>>,
    /// For strategies without a broker.
    dead_letters: Arc<Mutex<Vec<DeadLetter>>>,
    mailbox: Arc<Mailbox>,
    pub(super) after_commit: Option<AfterCommit>,
    /// The cache in front of the read model, if there is one.
    pub(super) front: Option<Queries>,
    pub(super) interval: Duration,
}

impl Pipeline {
    /// A write side and a read model, with nothing between them yet.
    pub(super) fn new(stage: &Stage, write: Arc<dyn WriteSide>, live: Arc<Live>) -> Pipeline {
        Pipeline {
            write,
            live,
            feed: None,
            broker: None,
            tasks: Tasks::new(stage.settings.restart_after, Arc::clone(&stage.metrics)),
            settings: stage.settings,
            points: Arc::clone(&stage.points),
            metrics: Arc::clone(&stage.metrics),
            subscription: Arc::default(),
            dead_letters: Arc::default(),
            mailbox: Arc::default(),
            after_commit: None,
            front: None,
            interval: Duration::ZERO,
        }
    }

    /// Adds a broker, with a projector and a mailer that read it.
    pub(super) async fn consume(&mut self, broker: Arc<dyn Broker>) -> Answer<()> {
        // Subscriptions exist before the first message is published.
        let subscription = broker.subscribe(super::projector::PROJECTOR).await?;
        self.subscription.store(Some(Arc::new(subscription)));
        broker.subscribe(mailer::MAILER).await?;
        self.broker = Some(Arc::clone(&broker));
        let projector = Arc::new(Projector {
            broker: Arc::clone(&broker),
            seen: Arc::clone(&self.subscription),
            live: Arc::clone(&self.live),
            settings: self.settings,
            points: Arc::clone(&self.points),
            metrics: Arc::clone(&self.metrics),
        });
        self.tasks.keep("projector", move || {
            let projector = Arc::clone(&projector);
            Box::pin(async move { projector.run().await })
        });
        let (mailbox, settings, metrics) = (Arc::clone(&self.mailbox), self.settings, Arc::clone(&self.metrics));
        self.tasks.keep("mailer", move || {
            let (broker, mailbox, metrics) = (Arc::clone(&broker), Arc::clone(&mailbox), Arc::clone(&metrics));
            Box::pin(async move { mailer::run(&*broker, &mailbox, &settings, &metrics).await })
        });
        Ok(())
    }

    /// Relays a feed to the broker.
    pub(super) fn relay(&mut self, kind: FeedKind) -> Answer<()> {
        let broker = self.broker.clone().ok_or("a relay needs a broker: call consume first")?;
        let feed = self.write.feed(kind)?;
        self.feed = Some((kind, Arc::clone(&feed)));
        let relay = Arc::new(Relay {
            write: Arc::clone(&self.write),
            feed,
            broker,
            settings: self.settings,
            points: Arc::clone(&self.points),
            metrics: Arc::clone(&self.metrics),
        });
        self.tasks.keep("relay", move || {
            let relay = Arc::clone(&relay);
            Box::pin(async move { relay.run().await })
        });
        Ok(())
    }

    /// Runs a projector that reads a feed without a broker.
    pub(super) fn follow(&mut self, kind: FeedKind, pace: Pace) -> Answer<()> {
        let feed = self.write.feed(kind)?;
        self.feed = Some((kind, Arc::clone(&feed)));
        if let Pace::Every(interval, _) = pace {
            self.interval = interval;
        }
        let direct = Arc::new(Direct {
            feed,
            live: Arc::clone(&self.live),
            pace,
            settings: self.settings,
            points: Arc::clone(&self.points),
            metrics: Arc::clone(&self.metrics),
            dead_letters: Arc::clone(&self.dead_letters),
            mailbox: Arc::clone(&self.mailbox),
        });
        self.tasks.keep("projector", move || {
            let direct = Arc::clone(&direct);
            Box::pin(async move { direct.run().await })
        });
        Ok(())
    }

    /// Fills the read model before anything runs.
    pub(super) async fn fill(&self, kind: Option<FeedKind>) -> Answer<()> {
        self.live.fill(&*self.write, kind).await
    }

    /// The kind of feed whose position is stored with the read model.
    fn kept(&self) -> Option<FeedKind> {
        self.feed.as_ref().map(|(kind, _)| *kind).filter(|_| self.broker.is_none())
    }

    fn subscription(&self) -> Option<Arc<dyn Subscription>> {
        self.subscription.load().as_deref().cloned()
    }
}

#[async_trait]
impl Running for Pipeline {
    async fn execute(&self, command: &Command) -> Result<Ack, CommandError> {
        let (ack, message) = self.write.execute(command).await?;
        if let Some(after) = &self.after_commit {
            after(message);
        }
        Ok(ack)
    }

    fn queries(&self) -> Queries {
        self.front.clone().unwrap_or_else(|| self.live.queries())
    }

    async fn truth(&self) -> Answer<Truth> {
        self.write.truth().await
    }

    async fn reading(&self) -> Answer<Reading> {
        let mut reading = self.metrics.read();
        reading.down = self.tasks.down();
        reading.dead_letters = self.dead_letters.lock().expect("nothing panics under this lock").len() as u64;
        let mut stale = Duration::ZERO;
        if let Some((_, feed)) = &self.feed {
            let position = if self.broker.is_some() { 0 } else { self.live.store().position().await? };
            reading.lag_messages += feed.waiting(position).await?;
            let oldest = feed.oldest(position).await?;
            stale = oldest.map_or(stale, |at| Duration::from_micros(wall().saturating_sub(at)));
        }
        if let Some(subscription) = self.subscription() {
            let depth = subscription.depth().await?;
            reading.lag_messages += depth.waiting;
            reading.dead_letters += depth.dead;
            if depth.waiting > 0 {
                stale = stale.max(self.metrics.staleness());
            }
        }
        reading.staleness_ms = u64::try_from(stale.as_millis()).unwrap_or(u64::MAX);
        Ok(reading)
    }

    async fn rebuild(&self) -> Answer<Duration> {
        self.live.rebuild(&*self.write, self.kept()).await
    }

    async fn replay(&self, since: Micros) -> Answer<Option<u64>> {
        let Some((_, feed)) = &self.feed else { return Ok(None) };
        let Some(again) = feed.replay(since).await? else { return Ok(None) };
        self.metrics.replay_done.store(0, Relaxed);
        self.metrics.replay_total.store(again.len() as u64, Relaxed);
        for batch in again.chunks(self.settings.relay_batch) {
            if let Some(broker) = &self.broker {
                let envelope = |fed: &crate::write::FeedEntry| Envelope { key: fed.key, body: fed.body.clone() };
                broker.publish(&batch.iter().map(envelope).collect::<Vec<_>>()).await?;
            } else {
                let batch: Vec<_> = batch.iter().filter_map(|fed| Message::decode(&fed.body).ok()).collect();
                batch.iter().for_each(|message| self.mailbox.consider(message, &self.metrics));
                self.live.apply(&batch, None).await?;
            }
            Metrics::count(&self.metrics.replay_done, batch.len() as u64);
        }
        Metrics::count(&self.metrics.replayed, again.len() as u64);
        self.metrics.replay_total.store(0, Relaxed);
        Ok(Some(again.len() as u64))
    }

    async fn poison(&self, key: Key) -> Answer<bool> {
        if let Some(broker) = &self.broker {
            // Anyone who may publish can do this.
            broker.publish(&[Envelope { key, body: b"{\"not\": \"a message\"}".to_vec() }]).await?;
            return Ok(true);
        }
        match &self.feed {
            Some((_, feed)) => feed.poison(key).await,
            None => Ok(false),
        }
    }

    async fn redrive(&self) -> Answer<u64> {
        match self.subscription() {
            Some(subscription) => subscription.redrive().await,
            None => Ok(0),
        }
    }

    async fn corrupt(&self, key: Key) -> Answer<bool> {
        self.live.store().corrupt(key).await?;
        // A near cache would hide it until it drops the entity.
        self.live.report_applied(&[]);
        Ok(true)
    }

    async fn migrate(&self) -> Answer<()> {
        self.write.migrate_weight().await
    }

    async fn deploy(&self) -> Answer<()> {
        self.points.knows_weight.store(true, Relaxed);
        self.tasks.deploy("projector");
        Ok(())
    }

    async fn restart_reader(&self) -> Answer<()> {
        self.points.store_down.store(true, Relaxed);
        self.live.store().reconnect().await?;
        crate::clock::sleep(self.settings.restart_after).await;
        self.points.store_down.store(false, Relaxed);
        Ok(())
    }

    fn kill(&self, process: &str) {
        self.tasks.kill(process);
    }

    fn points(&self) -> &Arc<Points> {
        &self.points
    }

    async fn usage(&self) -> Answer<Usage> {
        let broker = match &self.broker {
            Some(broker) => broker.disk_bytes().await?,
            None => 0,
        };
        let (write, feeds) = self.write.disk_bytes().await?;
        Ok(Usage { write, feeds, broker, read: self.live.store().disk_bytes().await? })
    }

    fn generation(&self) -> u32 {
        self.live.generation()
    }

    fn interval(&self) -> Duration {
        self.interval
    }

    fn sends_mails(&self) -> bool {
        self.feed.as_ref().is_some_and(|(kind, _)| *kind != FeedKind::Updated)
    }

    async fn stop(&self) {
        self.tasks.stop().await;
    }
}
