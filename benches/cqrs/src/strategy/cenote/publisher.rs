//! The publisher: the one process between the write database and the dataset.
//!
//! It begins with everything, so that whatever was missed while it was away is made good: what has not changed costs a
//! look-up and no bytes. Then `cenote-cycle` does so again and again; `cenote-update` takes what the outbox has, makes it
//! one version, and marks it. While a version is on its way, more arrives, and shares the next.
//!
//! Rules: rows are marked after their version stands; a row that is not newer than the record changes nothing, so rows may
//! come twice; a publisher that was fenced ends for good.

// glue: cenote-cycle, cenote-update
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use cenote_producer::error::ErrorKind;
use cenote_producer::{BoxError, CycleError, Cycled, Producer, RecordCountVariance, Retention, Update, Writer};
use cenote_state::ids::Version;
use cenote_state::view::View;
use cenote_store::storage::Storage;
use cenote_testing::faults::StepStore;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::How;
use super::records::{LOST, Page, Product, before};
use crate::Answer;
use crate::broker::{Buried, Envelope};
use crate::clock;
use crate::domain::{Change, Key, Message, Micros, Reference};
use crate::metrics::Metrics;
use crate::points::{Killed, Point, Points};
use crate::settings::Settings;
use crate::strategy::Replaced;
use crate::write::{Fed, Feed, WriteSide};

/// What operations ask of it.
pub(super) enum Request {
    /// Publish what has come.
    Publish,
    /// Publish everything.
    Cycle,
    /// Publish what an old version was.
    Republish(Version),
    /// Publish once more what changed since.
    Replay(Micros),
}

/// A request, and where the answer goes: the newest version, and how many messages it took.
pub(super) type Asked = (Request, oneshot::Sender<Answer<(Version, u64)>>);

/// What the publisher's process has.
pub(super) struct Publisher {
    pub(super) how: How,
    pub(super) write: Arc<dyn WriteSide>,
    /// The outbox, where that is what it follows.
    pub(super) feed: Option<Arc<dyn Feed>>,
    pub(super) storage: Storage,
    pub(super) settings: Settings,
    pub(super) points: Arc<Points>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) asked: Mutex<mpsc::UnboundedReceiver<Asked>>,
    /// Dead letters: in production a table beside the outbox.
    pub(super) aside: Arc<std::sync::Mutex<Vec<Buried>>>,
    /// How many changes the write side has acknowledged, and how many of them the newest version covers.
    pub(super) acknowledged: Arc<AtomicU64>,
    pub(super) covered: Arc<AtomicU64>,
    /// The newest version that stands.
    pub(super) version: Arc<AtomicU64>,
    /// How often one of them took the log.
    pub(super) taken: AtomicU64,
    /// How many publishers were fenced: alive when another one had taken over.
    pub(super) fenced: AtomicU64,
    /// Where its next life ends, if a script says so.
    pub(super) ends: Arc<std::sync::Mutex<Option<StepStore>>>,
}

impl Publisher {
    /// Runs until it is killed, or fenced.
    pub(super) async fn run(&self) -> Answer<()> {
        let ends = self.ends.lock().expect("nothing panics under this lock").take();
        let Some(ends) = ends else { return self.live(self.storage.clone()).await };
        match ends.until_killed(self.live(ends.wrap(&self.storage))).await {
            Some(ended) => ended,
            None => Err(Killed(Point::AtRequest).into()),
        }
    }

    async fn live(&self, storage: Storage) -> Answer<()> {
        let knows_weight = self.points.knows_weight.load(Relaxed);
        let mut job = Job { knows_weight, publisher: self, producer: None, cleaned: clock::now() };
        job.open(storage).await?;
        self.again(&mut job, &Request::Cycle).await?;
        loop {
            tokio::select! {
                biased;
                asked = async { self.asked.lock().await.recv().await } => {
                    let Some((request, answer)) = asked else { return Ok(()) };
                    let done = self.again(&mut job, &request).await?;
                    // Whoever asked may have gone.
                    drop(answer.send(Ok(done)));
                }
                () = self.due() => {
                    self.again(&mut job, &Request::Publish).await?;
                }
            }
        }
    }

    /// Waits until there may be something to publish.
    async fn due(&self) {
        match &self.feed {
            Some(feed) => feed.wake(self.settings.idle).await,
            None => clock::sleep(self.settings.cycle).await,
        }
    }

    /// Does it, and again while the store is away or a validator says no: nothing is lost meanwhile.
    async fn again(&self, job: &mut Job<'_>, request: &Request) -> Answer<(Version, u64)> {
        let mut pause = self.settings.backoff;
        loop {
            let error = match job.answer(request).await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            match error.downcast_ref::<CycleError>() {
                Some(error) if error.is_fenced() => {
                    Metrics::count(&self.fenced, 1);
                    return Err(Replaced.into());
                }
                Some(error) if error.validation().is_some() => Metrics::count(&self.metrics.refused, 1),
                Some(error) if error.kind() == ErrorKind::Retry => Metrics::count(&self.metrics.retries, 1),
                _ => return Err(error),
            }
            clock::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    fn bury(&self, fed: &Fed, reason: &str) {
        Metrics::count(&self.metrics.buried, 1);
        let envelope = Envelope { key: fed.key, body: fed.body.clone() };
        self.aside.lock().expect("nothing panics under this lock").push(Buried { envelope, reason: reason.to_owned() });
    }
}

/// One life of the publisher.
struct Job<'a> {
    publisher: &'a Publisher,
    /// Which program this is: the one from before the field was added does not know it.
    knows_weight: bool,
    producer: Option<Producer>,
    cleaned: Instant,
}

impl Job<'_> {
    async fn open(&mut self, storage: Storage) -> Answer<()> {
        // It is deployed once; should the last one still be about, this fences it.
        let keep = Retention::new().younger_than(self.publisher.settings.versions);
        let builder = Producer::builder_on(storage).take_over().owner("cqrs").retention(keep);
        let builder = if self.knows_weight {
            let variance = RecordCountVariance::of::<Product>(0.5);
            builder.with::<Product>().with::<Page>().validate(variance).validate_with("prices", prices::<Product>)
        } else {
            let variance = RecordCountVariance::of::<before::Product>(0.5);
            let builder = builder.with::<before::Product>().with::<before::Page>().validate(variance);
            builder.validate_with("prices", prices::<before::Product>)
        };
        self.producer = Some(builder.open().await?);
        Metrics::count(&self.publisher.taken, 1);
        Ok(())
    }

    fn producer(&mut self) -> &mut Producer {
        self.producer.as_mut().expect("the producer is opened first")
    }

    async fn answer(&mut self, request: &Request) -> Answer<(Version, u64)> {
        match request {
            Request::Publish => Ok((self.publish().await?, 0)),
            Request::Cycle => Ok((self.cycle().await?, 0)),
            Request::Republish(version) => {
                let cycled = self.producer().republish(*version).await?;
                Ok((self.stands(&cycled), 0))
            }
            Request::Replay(since) => {
                let Some(feed) = &self.publisher.feed else { return Ok((self.producer().version(), 0)) };
                let again = feed.replay(*since).await?.unwrap_or_default();
                let version = self.update(&again).await?;
                Ok((version, again.len() as u64))
            }
        }
    }

    // glue end
    // glue: cenote-update
    async fn publish(&mut self) -> Answer<Version> {
        let Some(feed) = self.publisher.feed.clone().filter(|_| self.publisher.how == How::Update) else {
            return self.cycle().await;
        };
        let fed = feed.next(0, self.publisher.settings.update_batch).await?;
        if fed.is_empty() {
            self.clean().await?;
            return Ok(self.producer().version());
        }
        let version = self.update(&fed).await?;
        self.publisher.points.reach(Point::PublishedNotMarked)?;
        feed.done(&fed).await?;
        Metrics::count(&self.publisher.metrics.published, fed.len() as u64);
        Ok(version)
    }

    /// Now and then lets go of outbox rows that nobody will want to replay.
    async fn clean(&mut self) -> Answer<()> {
        if self.cleaned.elapsed() > self.publisher.settings.clean_every {
            self.publisher.write.clean(self.publisher.settings.keep).await?;
            self.cleaned = clock::now();
        }
        Ok(())
    }
    // glue end

    // glue: cenote-cycle, cenote-update
    /// Everything that the write side holds becomes the dataset.
    async fn cycle(&mut self) -> Answer<Version> {
        let covered = self.publisher.acknowledged.load(Relaxed);
        let (write, mapping) = (Arc::clone(&self.publisher.write), self.mapping());
        let fill = async |writer: &mut Writer| -> Result<(), BoxError> {
            let mut added = Ok(());
            write
                .scan(None, &mut |message| {
                    if added.is_ok() {
                        added = mapping.add(&message, writer);
                    }
                })
                .await?;
            added
        };
        let cycled = self.producer().cycle(fill).await?;
        self.publisher.covered.store(covered, Relaxed);
        Ok(self.stands(&cycled))
    }

    // glue end
    // glue: cenote-update
    /// These changes become the next version.
    async fn update(&mut self, fed: &[Fed]) -> Answer<Version> {
        let mut newest: HashMap<Key, Message> = HashMap::new();
        for fed in fed {
            match Message::decode(&fed.body) {
                Ok(message) => {
                    let known = newest.get(&fed.key).map_or(0, |known| known.version);
                    if message.version > known {
                        newest.insert(fed.key, message);
                    }
                }
                Err(error) => self.publisher.bury(fed, &error.to_string()),
            }
        }
        let (mapping, view) = (self.mapping(), self.producer().view());
        let covered = self.publisher.acknowledged.load(Relaxed);
        let change = |changes: &mut Update| -> Result<(), BoxError> {
            newest.values().try_for_each(|message| mapping.change(&view, message, changes))
        };
        let updated = self.producer().update(change).await?;
        self.publisher.covered.store(covered, Relaxed);
        Metrics::count(&self.publisher.metrics.applied, newest.len() as u64);
        Ok(self.stands(&updated.cycled))
    }
    // glue end

    // glue: cenote-cycle, cenote-update
    fn stands(&self, cycled: &Cycled) -> Version {
        self.publisher.version.store(cycled.version().0, Relaxed);
        cycled.version()
    }

    fn mapping(&self) -> Mapping {
        Mapping {
            reference: self.publisher.write.reference(),
            points: Arc::clone(&self.publisher.points),
            knows_weight: self.knows_weight,
        }
    }
}

/// From messages to records.
struct Mapping {
    reference: Arc<Reference>,
    points: Arc<Points>,
    knows_weight: bool,
}

impl Mapping {
    fn add(&self, message: &Message, writer: &mut Writer) -> Result<(), BoxError> {
        match &message.change {
            Change::Product(product) => {
                let product = self.product(product, message.version);
                if self.knows_weight { writer.add(&product) } else { writer.add(&before::Product::from(product)) }?;
            }
            Change::Page(page) => {
                let page = Page::of(page, message.version);
                if self.knows_weight { writer.add(&page) } else { writer.add(&before::Page::from(page)) }?;
            }
            Change::PageGone(_) => {}
        }
        Ok(())
    }

    // glue end
    // glue: cenote-update
    fn change(&self, view: &View, message: &Message, changes: &mut Update) -> Result<(), BoxError> {
        if self.version(view, message.key()) >= message.version {
            return Ok(());
        }
        match &message.change {
            Change::Product(product) => {
                let product = self.product(product, message.version);
                if self.knows_weight {
                    Ok(changes.upsert(&product)?)
                } else {
                    Ok(changes.upsert(&before::Product::from(product))?)
                }
            }
            Change::Page(page) => {
                let page = Page::of(page, message.version);
                if self.knows_weight {
                    changes.upsert(&page)?;
                } else {
                    changes.upsert(&before::Page::from(page))?;
                }
                Ok(())
            }
            Change::PageGone(id) => {
                if self.knows_weight { changes.delete::<Page>(*id) } else { changes.delete::<before::Page>(*id) }?;
                Ok(())
            }
        }
    }

    /// The version that the dataset has.
    fn version(&self, view: &View, key: Key) -> u64 {
        let found = match (key, self.knows_weight) {
            (Key::Product(id), true) => view.get::<Product>(id).map(|found| found.version()),
            (Key::Product(id), false) => view.get::<before::Product>(id).map(|found| found.version()),
            (Key::Page(id), true) => view.get::<Page>(id).map(|found| found.version()),
            (Key::Page(id), false) => view.get::<before::Page>(id).map(|found| found.version()),
        };
        found.unwrap_or(0)
    }
    // glue end

    // glue: cenote-cycle, cenote-update
    fn product(&self, product: &crate::domain::Product, version: u64) -> Product {
        let mut product = Product::of(product, version, &self.reference);
        if self.points.bug_seen.load(Relaxed) {
            product.price_cents = 0;
        }
        if self.points.bug_unseen.load(Relaxed) {
            product.name = LOST.to_owned();
        }
        product
    }
}

/// A product whose price can be checked, whichever program wrote it.
trait Priced: cenote_state::record::Root {
    fn price(record: &Self::Ref<'_>) -> u64;
}

impl Priced for Product {
    fn price(record: &Self::Ref<'_>) -> u64 {
        record.price_cents()
    }
}

impl Priced for before::Product {
    fn price(record: &Self::Ref<'_>) -> u64 {
        record.price_cents()
    }
}

/// Nothing is for free: looks at what changed.
fn prices<T: Priced>(old: &View, new: &View) -> Result<(), BoxError> {
    let changed = new.diff::<T>(old);
    let records = changed.added.iter().chain(changed.updated.iter().map(|(_, new)| new));
    match records.into_iter().find(|record| T::price(record) == 0) {
        Some(_) => Err("a product has a price of zero: look at the mapping".into()),
        None => Ok(()),
    }
}
// glue end
