//! `cenote-cycle` and `cenote-update`: Cenote as the read side.
//!
//! One process publishes to an object store, and every service that reads links the consumer. There is no broker, no
//! projector and no read store.

mod publisher;
pub mod records;
mod session;

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cenote_consumer::{Consumer, Health, ReloadPolicy};
use cenote_state::ids::Version;
use cenote_store::env::Env;
use cenote_store::storage::Storage;
use cenote_testing::faults::{CountingStore, FaultyStore, LatencyStore, Moment, StepStore};
use cenote_testing::s3_server::{self, S3Server};
use tokio::sync::{mpsc, oneshot};

use self::publisher::{Asked, Progress, Published, Publisher, Request};
use super::{Location, Running, Stage, Tasks, Usage};
use crate::Answer;
use crate::clock::{self, now, wall};
use crate::disk::folder_bytes;
use crate::domain::{Ack, Command, CommandError, Key, Micros, Query, Truth, Visitor};
use crate::metrics::{Metrics, Reading};
use crate::points::{Away, Points};
use crate::read::{LocalQueries, Queries};
use crate::settings::Settings;
use crate::write::{Feed, FeedKind, Hooks, WriteSide};

/// How the dataset is kept up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// By publishing all of it, every few seconds.
    Cycle,
    /// By publishing the rows of the outbox.
    Update,
}

/// How long a version takes by way of S3: the put of the version before it, its put, and one or two gets.
const S3_TRIPS: Duration = Duration::from_millis(500);
/// The default of consumers, which [`Location::S3Slow`] measures.
const POLL_SLOW: Duration = Duration::from_secs(10);
/// How long a publisher may take from its start until it has taken over the log.
const DEPLOYMENT: Duration = Duration::from_mins(1);

/// Opens the dataset as a service would.
pub async fn open_reader(storage: Storage, poll: Duration) -> Answer<Arc<Consumer>> {
    let builder = Consumer::builder_on(storage).with::<records::Product>().with::<records::Page>();
    Ok(Arc::new(builder.index(&records::BY_CATEGORY).reload(ReloadPolicy::Poll(poll)).open().await?))
}

/// Answers from the consumer that is linked into this program.
pub struct Linked(pub Arc<Consumer>);

impl LocalQueries for Linked {
    fn ask(&self, query: Query, visitor: &mut dyn Visitor) -> Answer<bool> {
        Ok(self.0.with(|view| records::ask(view, query, visitor)))
    }
}

/// A reader that is being restarted.
struct NoReader;

impl LocalQueries for NoReader {
    fn ask(&self, _: Query, _: &mut dyn Visitor) -> Answer<bool> {
        Err(Away("the reader").into())
    }
}

/// Cenote as a read side, running.
pub struct Cenote {
    write: Arc<dyn WriteSide>,
    feed: Option<Arc<dyn Feed>>,
    tasks: Tasks,
    settings: Settings,
    points: Arc<Points>,
    metrics: Arc<Metrics>,
    place: Location,
    mode: Mode,
    poll: Duration,
    consumer: Mutex<Option<Arc<Consumer>>>,
    /// The dataset as the consumer sees it.
    reading_from: Storage,
    publisher: Arc<Publisher>,
    ask: mpsc::UnboundedSender<Asked>,
    /// Makes the store fail for the publisher.
    pub publisher_faults: FaultyStore,
    /// Makes the store fail for the reader.
    pub reader_faults: FaultyStore,
    /// Counts the reader's requests.
    pub reader_requests: CountingStore,
    /// Counts the publisher's requests.
    pub publisher_requests: CountingStore,
    folder: std::path::PathBuf,
    _server: Option<S3Server>,
}

/// The region of the bucket, for all processes.
const BUCKET_REGION: &str = "us-east-1";

/// Starts an object server on the stage's folder, for other processes; it runs until the guard is dropped.
pub async fn serve_objects(folder: &std::path::Path) -> Answer<(String, Box<dyn std::any::Any>)> {
    let server = S3Server::start(&folder.join("dataset")).await?;
    Ok((server.endpoint(), Box::new(server)))
}

/// Opens the storage of the dataset.
async fn storage(stage: &Stage, place: Location) -> Answer<(Storage, Option<S3Server>)> {
    let folder = stage.folder.join("dataset");
    if place == Location::Files {
        return Ok((Storage::open(&folder.display().to_string(), &[]).await?, None));
    }
    let server = if stage.objects.is_none() { Some(S3Server::start(&folder).await?) } else { None };
    let own = server.as_ref().map(S3Server::endpoint);
    let endpoint = own.or_else(|| stage.objects.clone()).unwrap_or_default();
    let options = [
        ("endpoint", endpoint.as_str()),
        ("region", BUCKET_REGION),
        ("access_key_id", s3_server::ACCESS_KEY_ID),
        ("secret_access_key", s3_server::SECRET_ACCESS_KEY),
    ];
    let options = options.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let storage = Storage::open(&format!("s3://{}/catalog", s3_server::BUCKET), &options).await?;
    Ok((LatencyStore::s3(Env::system()).wrap(&storage), server))
}

/// Opens a reader, and nothing that publishes.
pub(super) async fn open_only(stage: &Stage, place: Location) -> Answer<(Queries, Box<dyn std::any::Any>)> {
    let (storage, server) = storage(stage, place).await?;
    let consumer = open_reader(storage, stage.settings.poll).await?;
    Ok((Queries::Local(Arc::new(Linked(Arc::clone(&consumer)))), Box::new((consumer, server))))
}

/// Publishes everything, and opens a reader on it.
pub(super) async fn start(stage: &Stage, mode: Mode, place: Location) -> Answer<Arc<dyn Running>> {
    let write = stage.write(Hooks { outbox: mode == Mode::Update, ..Hooks::default() }).await?;
    let feed = if mode == Mode::Update { Some(write.feed(FeedKind::Outbox)?) } else { None };
    let (storage, server) = storage(stage, place).await?;
    let (publisher_faults, reader_faults) = (FaultyStore::new(Env::system()), FaultyStore::new(Env::system()));
    let (publisher_requests, reader_requests) = (CountingStore::new(), CountingStore::new());
    let reading_from = reader_requests.wrap(&reader_faults.wrap(&storage));
    let (ask, asked) = mpsc::unbounded_channel();
    let publisher = Arc::new(Publisher {
        write: Arc::clone(&write),
        outbox: feed.clone(),
        storage: publisher_requests.wrap(&publisher_faults.wrap(&storage)),
        settings: stage.settings,
        points: Arc::clone(&stage.points),
        metrics: Arc::clone(&stage.metrics),
        requests: tokio::sync::Mutex::new(asked),
        dead_letters: Mutex::default(),
        progress: Progress::default(),
        killed_at: Mutex::default(),
    });
    let poll = if place == Location::S3Slow { POLL_SLOW } else { stage.settings.poll };
    let cenote = Cenote {
        write,
        feed,
        tasks: Tasks::new(stage.settings.restart_after, Arc::clone(&stage.metrics)),
        settings: stage.settings,
        points: Arc::clone(&stage.points),
        metrics: Arc::clone(&stage.metrics),
        place,
        mode,
        poll,
        consumer: Mutex::default(),
        reading_from,
        publisher,
        ask,
        publisher_faults,
        reader_faults,
        reader_requests,
        publisher_requests,
        folder: stage.folder.join("dataset"),
        _server: server,
    };
    cenote.publish_as("publisher");
    cenote.open().await?;
    Ok(Arc::new(cenote))
}

impl Cenote {
    /// Runs a publisher under this name. A second one fences the first.
    pub fn publish_as(&self, name: &'static str) {
        let publisher = Arc::clone(&self.publisher);
        self.tasks.keep(name, move || {
            let publisher = Arc::clone(&publisher);
            Box::pin(async move { publisher.run().await })
        });
    }

    async fn open(&self) -> Answer<()> {
        let consumer = open_reader(self.reading_from.clone(), self.poll).await?;
        *self.consumer.lock().expect("nothing panics under this lock") = Some(consumer);
        Ok(())
    }

    /// The reader, unless it is being restarted.
    #[must_use]
    pub fn consumer(&self) -> Option<Arc<Consumer>> {
        self.consumer.lock().expect("nothing panics under this lock").clone()
    }

    /// Kills the publisher, and its next run at this request.
    pub fn die_at(&self, request: usize, moment: Moment) {
        let step = StepStore::kill_at(request, moment);
        *self.publisher.killed_at.lock().expect("nothing panics under this lock") = Some(step);
        self.tasks.kill("publisher");
    }

    /// The newest committed version.
    #[must_use]
    pub fn published(&self) -> Version {
        Version(self.publisher.progress.version.load(Relaxed))
    }

    /// How often a publisher took over the log.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.publisher.progress.taken.load(Relaxed)
    }

    /// How many publishers were fenced: alive when another one had taken over.
    #[must_use]
    pub fn fenced(&self) -> u64 {
        self.publisher.progress.fenced.load(Relaxed)
    }

    /// Publishes an old version again.
    pub async fn republish(&self, version: Version) -> Answer<Version> {
        Ok(self.request(Request::Republish(version)).await?.version)
    }

    /// How often its readers poll.
    #[must_use]
    pub fn poll(&self) -> Duration {
        self.poll
    }

    async fn request(&self, request: Request) -> Answer<Published> {
        let (sender, answer) = oneshot::channel();
        self.ask.send((request, sender)).map_err(|_| "the publisher has ended")?;
        answer.await.map_err(|_| "the publisher died before it answered: ask again")?
    }
}

#[async_trait]
impl Running for Cenote {
    async fn execute(&self, command: &Command) -> Result<Ack, CommandError> {
        let (ack, _) = self.write.execute(command).await?;
        self.publisher.progress.acknowledged.fetch_add(1, Relaxed);
        Ok(ack)
    }

    fn queries(&self) -> Queries {
        match self.consumer() {
            Some(consumer) => Queries::Local(Arc::new(Linked(consumer))),
            None => Queries::Local(Arc::new(NoReader)),
        }
    }

    async fn truth(&self) -> Answer<Truth> {
        self.write.truth().await
    }

    async fn reading(&self) -> Answer<Reading> {
        let mut reading = self.metrics.read();
        reading.down = self.tasks.down();
        reading.dead_letters = self.publisher.dead_letters.lock().expect("nothing panics under this lock").len() as u64;
        let mut stale = Duration::ZERO;
        if let Some(feed) = &self.feed {
            reading.lag_messages += feed.waiting(0).await?;
            stale = feed.oldest(0).await?.map_or(stale, |at| Duration::from_micros(wall().saturating_sub(at)));
        } else {
            let acknowledged = self.publisher.progress.acknowledged.load(Relaxed);
            reading.lag_messages += acknowledged.saturating_sub(self.publisher.progress.covered.load(Relaxed));
        }
        let Some(consumer) = self.consumer() else {
            reading.down += 1;
            return Ok(reading);
        };
        let status = consumer.status();
        if status.version < self.published() {
            reading.lag_messages += 1;
            stale = stale.max(status.lag);
        }
        if let Health::Stale { since } = status.health {
            stale = stale.max(Duration::from_millis((wall() / 1_000).saturating_sub(since.0)));
        }
        reading.refused += u64::from(status.quarantined.is_some());
        reading.staleness_ms = u64::try_from(stale.as_millis()).unwrap_or(u64::MAX);
        Ok(reading)
    }

    async fn rebuild(&self) -> Answer<Duration> {
        let began = now();
        let token = self.request(Request::Cycle).await?.token;
        let consumer = self.consumer().ok_or("the reader is being restarted")?;
        let wait = self.settings.outage + self.poll * 4 + Duration::from_secs(10);
        consumer.view_at_least(token, wait).await?;
        Ok(began.elapsed())
    }

    async fn replay(&self, since: Micros) -> Answer<Option<u64>> {
        if self.mode == Mode::Cycle {
            return Ok(None);
        }
        let replayed = self.request(Request::Replay(since)).await?.replayed;
        Metrics::count(&self.metrics.replayed, replayed);
        Ok(Some(replayed))
    }

    async fn poison(&self, key: Key) -> Answer<bool> {
        match &self.feed {
            Some(feed) => feed.poison(key).await,
            None => Ok(false),
        }
    }

    async fn redrive(&self) -> Answer<u64> {
        Ok(0)
    }

    async fn corrupt(&self, _: Key) -> Answer<bool> {
        Ok(false)
    }

    async fn migrate(&self) -> Answer<()> {
        self.write.migrate_weight().await?;
        self.publisher.progress.acknowledged.fetch_add(1, Relaxed);
        Ok(())
    }

    async fn deploy(&self) -> Answer<()> {
        self.points.knows_weight.store(true, Relaxed);
        let before = self.taken();
        self.tasks.deploy("publisher");
        // By way of S3 it takes seconds until the new program has taken over the log; it starts with a cycle.
        let taken = clock::timeout(DEPLOYMENT, async {
            while self.taken() == before {
                clock::sleep(Duration::from_millis(5)).await;
            }
        });
        taken.await.ok_or("the publisher was deployed, and has not taken over the log")?;
        self.request(Request::Cycle).await?;
        Ok(())
    }

    async fn restart_reader(&self) -> Answer<()> {
        // Killed: it closes nothing, and keeps nothing.
        drop(self.consumer.lock().expect("nothing panics under this lock").take());
        clock::sleep(self.settings.restart_after).await;
        self.open().await
    }

    fn kill(&self, process: &str) {
        self.tasks.kill(process);
    }

    fn points(&self) -> &Arc<Points> {
        &self.points
    }

    async fn usage(&self) -> Answer<Usage> {
        let (write, feeds) = self.write.disk_bytes().await?;
        Ok(Usage { write, feeds, broker: 0, read: folder_bytes(&self.folder) })
    }

    fn interval(&self) -> Duration {
        let looks = if self.place == Location::Files { Duration::ZERO } else { self.poll.mul_f64(1.2) + S3_TRIPS };
        looks + if self.mode == Mode::Cycle { self.settings.cycle } else { Duration::ZERO }
    }

    fn cenote(&self) -> Option<&Cenote> {
        Some(self)
    }

    async fn stop(&self) {
        self.tasks.stop().await;
        let consumer = self.consumer();
        if let Some(consumer) = consumer {
            consumer.close().await;
        }
    }
}
