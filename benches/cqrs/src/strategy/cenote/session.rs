//! One run of the publisher: a producer that holds the log, and the mapping from messages to records.
//!
//! It is generic over the [`Program`] that is deployed, so that the records are chosen once, where the process starts.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use cenote_producer::{BoxError, Cycled, Producer, RecordCountVariance, Retention, Update, Writer};
use cenote_state::ids::Version;
use cenote_state::view::View;
use cenote_store::storage::Storage;

use super::publisher::{Published, Publisher, Request};
use super::records::{LOST, Page, Product, Program};
use crate::Answer;
use crate::clock;
use crate::domain::{self, Change, Key, Message, Reference};
use crate::metrics::Metrics;
use crate::points::{Point, Points};
use crate::write::{Feed, FeedEntry};

/// One run of the publisher.
pub(super) struct Session<'a, P> {
    publisher: &'a Publisher,
    producer: Producer,
    /// When the outbox was last rid of old rows.
    cleaned: Instant,
    program: PhantomData<P>,
}

impl<'a, P: Program> Session<'a, P> {
    /// Takes over the log. If an older run is still alive, this fences it.
    pub(super) async fn open(publisher: &'a Publisher, storage: Storage) -> Answer<Session<'a, P>> {
        let retention = Retention::new().younger_than(publisher.settings.versions);
        let builder = Producer::builder_on(storage).take_over().owner("cqrs").retention(retention);
        let builder = builder.with::<P::Product>().with::<P::Page>();
        let builder = builder.validate(RecordCountVariance::of::<P::Product>(0.5)).validate_with("prices", prices::<P>);
        let producer = builder.open().await?;
        Metrics::count(&publisher.progress.taken, 1);
        Ok(Session { publisher, producer, cleaned: clock::now(), program: PhantomData })
    }

    pub(super) async fn answer(&mut self, request: &Request) -> Answer<Published> {
        let mut replayed = 0;
        let version = match (request, self.publisher.outbox.clone()) {
            (Request::Publish, Some(outbox)) => self.publish(&*outbox).await?,
            (Request::Publish, None) | (Request::Cycle, _) => self.cycle().await?,
            (Request::Republish(version), _) => {
                let cycled = self.producer.republish(*version).await?;
                self.committed(&cycled)
            }
            (Request::Replay(since), Some(outbox)) => {
                let again = outbox.replay(*since).await?.unwrap_or_default();
                replayed = again.len() as u64;
                self.update(&again).await?
            }
            (Request::Replay(_), None) => self.producer.version(),
        };
        Ok(Published { version, token: self.producer.token(), replayed })
    }

    async fn publish(&mut self, outbox: &dyn Feed) -> Answer<Version> {
        let fed = outbox.next(0, self.publisher.settings.update_batch).await?;
        if fed.is_empty() {
            self.clean().await?;
            return Ok(self.producer.version());
        }
        let version = self.update(&fed).await?;
        self.publisher.points.reach(Point::PublishedNotMarked)?;
        outbox.done(&fed).await?;
        Metrics::count(&self.publisher.metrics.published, fed.len() as u64);
        Ok(version)
    }

    /// Deletes outbox rows that are too old to be replayed, now and then.
    async fn clean(&mut self) -> Answer<()> {
        if self.cleaned.elapsed() > self.publisher.settings.clean_every {
            self.publisher.write.clean(self.publisher.settings.keep).await?;
            self.cleaned = clock::now();
        }
        Ok(())
    }

    /// Everything that the write side holds becomes the dataset.
    async fn cycle(&mut self) -> Answer<Version> {
        let covered = self.publisher.progress.acknowledged.load(Relaxed);
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
        let cycled = self.producer.cycle(fill).await?;
        self.publisher.progress.covered.store(covered, Relaxed);
        Ok(self.committed(&cycled))
    }

    /// These changes become the next version.
    async fn update(&mut self, fed: &[FeedEntry]) -> Answer<Version> {
        let mut newest: HashMap<Key, Message> = HashMap::new();
        for fed in fed {
            match Message::decode(&fed.body) {
                Ok(message) => {
                    let known = newest.get(&fed.key).map_or(0, |known| known.version);
                    if message.version > known {
                        newest.insert(fed.key, message);
                    }
                }
                Err(error) => self.publisher.put_aside(fed, &error.to_string()),
            }
        }
        let (mapping, view) = (self.mapping(), self.producer.view());
        let covered = self.publisher.progress.acknowledged.load(Relaxed);
        let change = |changes: &mut Update| -> Result<(), BoxError> {
            newest.values().try_for_each(|message| mapping.change(&view, message, changes))
        };
        let updated = self.producer.update(change).await?;
        self.publisher.progress.covered.store(covered, Relaxed);
        Metrics::count(&self.publisher.metrics.applied, newest.len() as u64);
        Ok(self.committed(&updated.cycled))
    }

    fn committed(&self, cycled: &Cycled) -> Version {
        self.publisher.progress.version.store(cycled.version().0, Relaxed);
        cycled.version()
    }

    fn mapping(&self) -> Mapping<P> {
        let (reference, points) = (self.publisher.write.reference(), Arc::clone(&self.publisher.points));
        Mapping { reference, points, program: PhantomData }
    }
}

/// From messages to records.
struct Mapping<P> {
    reference: Arc<Reference>,
    points: Arc<Points>,
    program: PhantomData<P>,
}

impl<P: Program> Mapping<P> {
    fn add(&self, message: &Message, writer: &mut Writer) -> Result<(), BoxError> {
        match &message.change {
            Change::Product(product) => writer.add(&self.product(product, message.version))?,
            Change::Page(page) => writer.add(&P::Page::from(Page::of(page, message.version)))?,
            Change::PageGone(_) => {}
        }
        Ok(())
    }

    fn change(&self, view: &View, message: &Message, changes: &mut Update) -> Result<(), BoxError> {
        if P::version(view, message.key()) >= message.version {
            return Ok(());
        }
        match &message.change {
            Change::Product(product) => changes.upsert(&self.product(product, message.version))?,
            Change::Page(page) => changes.upsert(&P::Page::from(Page::of(page, message.version)))?,
            Change::PageGone(id) => _ = changes.delete::<P::Page>(*id)?,
        }
        Ok(())
    }

    fn product(&self, product: &domain::Product, version: u64) -> P::Product {
        let mut product = Product::of(product, version, &self.reference);
        if self.points.bug_seen.load(Relaxed) {
            product.price_cents = 0;
        }
        if self.points.bug_unseen.load(Relaxed) {
            LOST.clone_into(&mut product.name);
        }
        product.into()
    }
}

/// Refuses a version in which a product that changed costs nothing.
fn prices<P: Program>(old: &View, new: &View) -> Result<(), BoxError> {
    let changed = new.diff::<P::Product>(old);
    let records = changed.added.iter().chain(changed.updated.iter().map(|(_, new)| new));
    match records.into_iter().find(|record| P::price_cents(record) == 0) {
        Some(_) => Err("a product has a price of zero: look at the mapping".into()),
        None => Ok(()),
    }
}
