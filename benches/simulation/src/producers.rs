//! A producer as its user runs it: opens, publishes, drops calls half-way, settles, and stops when it is told to.
//!
//! Whatever it is told goes into the book at once, so that the log can be held against it.

use std::rc::Rc;
use std::time::Duration;

use cenote_producer::{BoxError, CycleError, Cycled, OpenError, Producer, Settled};
use cenote_state::ids::Version;
use cenote_store::log::Lost;

use super::book::MARK;
use super::dice::Dice;
use super::record::{Content, Item, applied, changes, dataset, differs};
use super::slot::{Mood, Seat};
use super::tally::Outcome;
use super::world::{RETENTION, World};

/// What a producer can be told to do.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) what: What,
    /// After so long its caller drops the call.
    pub(crate) patience: Duration,
    pub(crate) dice: Dice,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Update,
    Large,
    Cycle,
    Republish,
    Snapshot,
    Close,
}

/// How a producer opens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening {
    pub(crate) name: &'static str,
    pub(crate) take_over: bool,
}

/// Longer than any call takes.
pub(crate) const PATIENT: Duration = Duration::from_secs(24 * 3_600);
/// What the producer promises; long, so that a night has not too many hints.
const NEXT_WITHIN: Duration = Duration::from_secs(60);

struct Life {
    world: Rc<World>,
    name: &'static str,
    producer: Producer,
    /// An attempt of which nobody knows.
    doubt: Option<usize>,
}

/// Whether the producer goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    GoesOn,
    Ends,
}

/// Opens and takes orders until it ends.
pub(crate) async fn live(world: Rc<World>, opening: Opening, mut seat: Seat<Order>) {
    let name = opening.name;
    let producer = match open(&world, opening).await {
        Ok(producer) => producer,
        Err(error) => {
            world.count(Outcome::NotOpened);
            return world.trace(format!("{name} did not open: {error}"));
        }
    };
    world.look();
    let epoch = producer.epoch().0;
    world.trace(format!("{name} opened epoch {epoch} at version {}", producer.version()));
    if world.owner.replace(Some(name)).is_some_and(|owner| owner != name) {
        world.count(Outcome::Takeover);
    }
    let mut life = Life { world, name, producer, doubt: None };
    life.check_view();
    seat.mood.set(Mood::Idle);
    while let Some(order) = seat.orders.recv().await {
        if life.obey(order).await == After::Ends {
            break;
        }
        seat.mood.set(Mood::Idle);
    }
}

async fn open(world: &World, opening: Opening) -> Result<Producer, OpenError> {
    if world.audit.borrow().has_checkpoint() {
        world.count(Outcome::StartedFromCheckpoint);
    }
    let mut builder = Producer::builder_on(world.store.clone())
        .with::<Item>()
        .env(world.env.clone())
        .owner(opening.name)
        .retention(RETENTION)
        .heartbeat_interval(NEXT_WITHIN)
        .writer_options(|options| options.rules = world.rules);
    if opening.take_over {
        builder = builder.take_over();
    }
    let opened = builder.open().await;
    if let Some(panicked) = opened.as_ref().err().and_then(OpenError::panicked) {
        world.fail(format!("{} opens: {panicked}", opening.name));
    }
    opened
}

impl Life {
    fn epoch(&self) -> u64 {
        self.producer.epoch().0
    }

    /// The newest version's content, by the book; the producer sees the same (I6).
    fn check_view(&self) -> Option<Content> {
        let content = self.world.content(self.producer.version())?;
        if let Some(what) = differs(&self.producer.view(), &content) {
            self.world.fail(format!("{} holds {}: {what}", self.name, self.producer.version()));
        }
        Some(content)
    }

    async fn obey(&mut self, order: Order) -> After {
        let after = self.settle().await;
        if after == After::Ends || self.doubt.is_some() {
            return after;
        }
        match order.what {
            What::Snapshot => self.snapshot().await,
            What::Close => self.close().await,
            _ => self.publish(order).await,
        }
    }

    /// Finds out about an attempt of which nobody knows.
    async fn settle(&mut self) -> After {
        let Some(mark) = self.doubt else { return After::GoesOn };
        let settled = self.producer.settle().await;
        self.world.trace(format!("{} settles attempt {mark}: {settled:?}", self.name));
        self.world.look();
        match settled {
            Ok(Settled::Committed(version)) => {
                self.doubt = None;
                self.committed(mark, version);
                After::GoesOn
            }
            Ok(_) => {
                self.doubt = None;
                self.not_written(mark);
                self.world.count(Outcome::Lost);
                After::GoesOn
            }
            Err(error) => self.failed(mark, &error),
        }
    }

    async fn publish(&mut self, order: Order) -> After {
        let Some(content) = self.check_view() else { return After::Ends };
        let parent = self.producer.version();
        let dice = &order.dice;
        let (world, book) = (self.world.clone(), &self.world.book);
        let (republished, after, changed) = match order.what {
            What::Republish => {
                let old = book.borrow().since(world.audit.borrow().log_start());
                let Some(version) = (!old.is_empty()).then(|| *dice.pick(&old)) else { return After::GoesOn };
                (Some(version), book.borrow().content(version).expect("it is in the book"), None)
            }
            What::Cycle => (None, dataset(dice), None),
            what => {
                let changed = changes(&content, dice, what == What::Large);
                (None, applied(&content, &changed), Some(changed))
            }
        };
        let mark = book.borrow_mut().attempt(parent.0, after.clone());
        world.trace(format!("{} tries {:?}, attempt {mark} on {parent}", self.name, order.what));
        let producer = &mut self.producer;
        let tag = mark.to_string();
        let call = async {
            match (republished, changed) {
                (Some(version), _) => {
                    book.borrow_mut().republishes(producer.epoch().0, mark);
                    producer.republish(Version(version)).await
                }
                (None, None) => {
                    let fill = async |writer: &mut cenote_producer::Writer| -> Result<(), BoxError> {
                        writer.tag(MARK, tag);
                        after.values().try_for_each(|item| Ok(writer.add(item)?))
                    };
                    producer.cycle(fill).await
                }
                (None, Some(changed)) => {
                    let change = |update: &mut cenote_producer::Update| -> Result<(), BoxError> {
                        update.tag(MARK, tag);
                        for (id, item) in &changed {
                            match item {
                                Some(item) => update.upsert(item)?,
                                None => drop(update.delete::<Item>(*id)?),
                            }
                        }
                        Ok(())
                    };
                    producer.update(change).await.map(|updated| updated.cycled)
                }
            }
        };
        let called = world.env.timeout(order.patience, call).await;
        world.look();
        match called {
            Err(_) => {
                world.count(Outcome::Dropped);
                world.trace(format!("{} drops the call of attempt {mark}", self.name));
                self.doubt(mark);
                After::GoesOn
            }
            Ok(Ok(Cycled::Committed(report))) => {
                self.committed(mark, report.version);
                After::GoesOn
            }
            Ok(Ok(_)) => {
                if after != content {
                    world.fail(format!("{} changed something, and was told that nothing did", self.name));
                }
                self.not_written(mark);
                After::GoesOn
            }
            Ok(Err(error)) => self.failed(mark, &error),
        }
    }

    fn committed(&self, mark: usize, version: Version) {
        self.world.trace(format!("{} committed attempt {mark} as {version}", self.name));
        self.world.count(Outcome::Committed);
        let told = self.world.book.borrow_mut().committed(mark, version.0);
        self.world.must(told);
        self.check_view();
    }

    fn not_written(&self, mark: usize) {
        let told = self.world.book.borrow_mut().not_written(mark);
        self.world.must(told);
    }

    fn doubt(&mut self, mark: usize) {
        self.world.book.borrow_mut().doubtful(mark);
        self.doubt = Some(mark);
    }

    /// An error ends the attempt, the producer, or neither.
    fn failed(&mut self, mark: usize, error: &CycleError) -> After {
        let (world, name) = (self.world.clone(), self.name);
        world.trace(format!("{name} failed with attempt {mark}: {error}"));
        if error.unknown().is_some() {
            self.doubt(mark);
            return After::GoesOn;
        }
        self.doubt = None;
        if error.may_have_committed() {
            // Nobody will tell it more.
            world.book.borrow_mut().doubtful(mark);
            world.count(Outcome::ProducerMetTombstone);
            return After::Ends;
        }
        self.not_written(mark);
        world.count(Outcome::Lost);
        match (error.is_fenced(), error.lost()) {
            (true, _) => {
                world.count(Outcome::Fenced);
                if world.audit.borrow().epoch() <= self.epoch() {
                    world.fail(format!("{name} was fenced, and nobody opened"));
                }
                After::Ends
            }
            (_, Some(Lost::Trimmed { .. })) => {
                world.count(Outcome::ProducerMetTombstone);
                After::Ends
            }
            (_, Some(Lost::Foreign { .. } | Lost::StaleParent { .. })) => {
                world.fail(format!("{name} can't go on: {error} (I6)"));
                After::Ends
            }
            (_, Some(_)) => After::GoesOn,
            _ if error.refused().is_some() || error.is_republish() => After::GoesOn,
            _ => {
                world.fail(format!("{name}: {error}"));
                After::Ends
            }
        }
    }

    async fn snapshot(&mut self) -> After {
        let made = self.producer.snapshot().await;
        let told = made.as_ref().map(|report| report.version);
        self.world.trace(format!("{} makes a snapshot: {told:?}", self.name));
        match made {
            Err(error) if error.lost().is_some() => self.world.count(Outcome::Lost),
            Err(error) => {
                if let Some(panicked) = error.panicked() {
                    self.world.fail(format!("{}: {panicked}", self.name));
                }
            }
            Ok(_) => {}
        }
        After::GoesOn
    }

    async fn close(&mut self) -> After {
        let closed = self.producer.close().await;
        self.world.trace(format!("{} closes: {:?}", self.name, closed.as_ref().map_err(ToString::to_string)));
        if closed.is_ok() && self.world.owner.get() == Some(self.name) {
            self.world.owner.set(None);
        }
        After::Ends
    }
}
