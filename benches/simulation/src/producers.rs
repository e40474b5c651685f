//! A producer as a job runs it: opens, publishes, drops calls half-way, settles unknown outcomes, and stops when it must.
//!
//! The model gets every answer at once, and compares it with the log.

use std::rc::Rc;
use std::time::Duration;

use cenote_producer::{BoxError, CycleError, Cycled, OpenError, Producer, Settled};
use cenote_state::ids::Version;
use cenote_store::log::Lost;

use super::context::{Context, RETENTION};
use super::model::MARK;
use super::record::{Content, Item, applied, changes, dataset, differs};
use super::rng::Rng;
use super::slot::{ActorState, Mailbox};
use super::tally::Outcome;

/// A command to a producer.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) action: Action,
    /// The time after which the caller drops the call.
    pub(crate) patience: Duration,
    pub(crate) rng: Rng,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
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
pub(crate) const PATIENT: Duration = Duration::from_hours(24);
/// The heartbeat interval; long, so that there are few hints.
const HEARTBEAT_INTERVAL: Duration = Duration::from_mins(1);

/// A simulated producer.
struct ProducerActor {
    context: Rc<Context>,
    name: &'static str,
    producer: Producer,
    /// The mark of an attempt of unknown outcome.
    unknown: Option<usize>,
}

/// Whether the producer continues.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Continue,
    Stop,
}

/// Opens a producer and executes commands until it stops.
pub(crate) async fn run(context: Rc<Context>, opening: Opening, mut mailbox: Mailbox<Command>) {
    let name = opening.name;
    let producer = match open(&context, opening).await {
        Ok(producer) => producer,
        Err(error) => {
            context.count(Outcome::NotOpened);
            return context.trace(format!("{name} did not open: {error}"));
        }
    };
    context.read_log();
    let epoch = producer.epoch().0;
    context.trace(format!("{name} opened epoch {epoch} at version {}", producer.version()));
    if context.owner.replace(Some(name)).is_some_and(|owner| owner != name) {
        context.count(Outcome::Takeover);
    }
    let mut actor = ProducerActor { context, name, producer, unknown: None };
    actor.check_view();
    mailbox.state.set(ActorState::Idle);
    while let Some(command) = mailbox.commands.recv().await {
        if actor.execute(command).await == Next::Stop {
            break;
        }
        mailbox.state.set(ActorState::Idle);
    }
}

async fn open(context: &Context, opening: Opening) -> Result<Producer, OpenError> {
    if context.audit.borrow().has_checkpoint() {
        context.count(Outcome::StartedFromCheckpoint);
    }
    let mut builder = Producer::builder_on(context.store.clone())
        .with::<Item>()
        .env(context.env.clone())
        .owner(opening.name)
        .retention(RETENTION)
        .heartbeat_interval(HEARTBEAT_INTERVAL)
        .writer_options(|options| options.rules = context.rules);
    if opening.take_over {
        builder = builder.take_over();
    }
    let opened = builder.open().await;
    if let Some(panicked) = opened.as_ref().err().and_then(OpenError::panicked) {
        context.fail(format!("{} opens: {panicked}", opening.name));
    }
    opened
}

impl ProducerActor {
    fn epoch(&self) -> u64 {
        self.producer.epoch().0
    }

    /// Checks that the producer's view is what the model has for its version (I6); returns that content.
    fn check_view(&self) -> Option<Content> {
        let content = self.context.content(self.producer.version())?;
        if let Some(what) = differs(&self.producer.view(), &content) {
            self.context.fail(format!("{} holds {}: {what}", self.name, self.producer.version()));
        }
        Some(content)
    }

    async fn execute(&mut self, command: Command) -> Next {
        let next = self.settle().await;
        if next == Next::Stop || self.unknown.is_some() {
            return next;
        }
        match command.action {
            Action::Snapshot => self.snapshot().await,
            Action::Close => self.close().await,
            _ => self.publish(command).await,
        }
    }

    /// Settles an attempt of unknown outcome.
    async fn settle(&mut self) -> Next {
        let Some(mark) = self.unknown else { return Next::Continue };
        let settled = self.producer.settle().await;
        self.context.trace(format!("{} settles attempt {mark}: {settled:?}", self.name));
        self.context.read_log();
        match settled {
            Ok(Settled::Committed(version)) => {
                self.unknown = None;
                self.committed(mark, version);
                Next::Continue
            }
            Ok(_) => {
                self.unknown = None;
                self.not_written(mark);
                self.context.count(Outcome::Lost);
                Next::Continue
            }
            Err(error) => self.failed(mark, &error),
        }
    }

    async fn publish(&mut self, command: Command) -> Next {
        let Some(content) = self.check_view() else { return Next::Stop };
        let parent = self.producer.version();
        let rng = &command.rng;
        let (context, model) = (self.context.clone(), &self.context.model);
        let (republished, after, changed) = match command.action {
            Action::Republish => {
                let old = model.borrow().since(context.audit.borrow().log_start());
                let Some(version) = (!old.is_empty()).then(|| *rng.pick(&old)) else { return Next::Continue };
                (Some(version), model.borrow().content(version).expect("it is in the model"), None)
            }
            Action::Cycle => (None, dataset(rng), None),
            action => {
                let changed = changes(&content, rng, action == Action::Large);
                (None, applied(&content, &changed), Some(changed))
            }
        };
        let mark = model.borrow_mut().attempt(parent.0, after.clone());
        context.trace(format!("{} tries {:?}, attempt {mark} on {parent}", self.name, command.action));
        let producer = &mut self.producer;
        let tag = mark.to_string();
        let call = async {
            match (republished, changed) {
                (Some(version), _) => {
                    model.borrow_mut().republishes(producer.epoch().0, mark);
                    producer.republish(Version(version)).await
                }
                (None, None) => {
                    let fill = async |writer: &mut cenote_producer::Writer| -> Result<(), BoxError> {
                        writer.tag(MARK, tag);
                        // A model may be empty, and means it.
                        writer.allow_empty::<Item>()?;
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
        let called = context.env.timeout(command.patience, call).await;
        context.read_log();
        match called {
            Err(_) => {
                context.count(Outcome::Dropped);
                context.trace(format!("{} drops the call of attempt {mark}", self.name));
                self.note_unknown(mark);
                Next::Continue
            }
            Ok(Ok(Cycled::Committed(report))) => {
                self.committed(mark, report.version);
                Next::Continue
            }
            Ok(Ok(_)) => {
                if after != content {
                    context.fail(format!("{} changed records, but the cycle reported no change", self.name));
                }
                self.not_written(mark);
                Next::Continue
            }
            Ok(Err(error)) => self.failed(mark, &error),
        }
    }

    fn committed(&self, mark: usize, version: Version) {
        self.context.trace(format!("{} committed attempt {mark} as {version}", self.name));
        self.context.count(Outcome::Committed);
        let checked = self.context.model.borrow_mut().committed(mark, version.0);
        self.context.require(checked);
        self.check_view();
    }

    fn not_written(&self, mark: usize) {
        let checked = self.context.model.borrow_mut().not_written(mark);
        self.context.require(checked);
    }

    fn note_unknown(&mut self, mark: usize) {
        self.context.model.borrow_mut().unknown(mark);
        self.unknown = Some(mark);
    }

    /// Handles an error, which ends the attempt, the producer, or neither.
    fn failed(&mut self, mark: usize, error: &CycleError) -> Next {
        let (context, name) = (self.context.clone(), self.name);
        context.trace(format!("{name} failed with attempt {mark}: {error}"));
        if error.unknown().is_some() {
            self.note_unknown(mark);
            return Next::Continue;
        }
        self.unknown = None;
        if error.may_have_committed() {
            // It can't be settled: the log was trimmed.
            context.model.borrow_mut().unknown(mark);
            context.count(Outcome::ProducerMetTombstone);
            return Next::Stop;
        }
        self.not_written(mark);
        context.count(Outcome::Lost);
        match (error.is_fenced(), error.lost()) {
            (true, _) => {
                context.count(Outcome::Fenced);
                if context.audit.borrow().epoch() <= self.epoch() {
                    context.fail(format!("{name} was fenced, but no other producer opened"));
                }
                Next::Stop
            }
            (_, Some(Lost::Trimmed { .. })) => {
                context.count(Outcome::ProducerMetTombstone);
                Next::Stop
            }
            // The owner before it was not gone.
            (_, Some(Lost::Overtaken { .. })) => Next::Stop,
            (_, Some(Lost::Foreign { .. } | Lost::StaleParent { .. })) => {
                context.fail(format!("{name} can't go on: {error} (I6)"));
                Next::Stop
            }
            (_, Some(_)) => Next::Continue,
            _ if error.refused().is_some() || error.is_republish() => Next::Continue,
            _ => {
                context.fail(format!("{name}: {error}"));
                Next::Stop
            }
        }
    }

    async fn snapshot(&mut self) -> Next {
        let made = self.producer.snapshot().await;
        let version = made.as_ref().map(|report| report.version);
        self.context.trace(format!("{} makes a snapshot: {version:?}", self.name));
        match made {
            Err(error) if error.lost().is_some() => self.context.count(Outcome::Lost),
            Err(error) => {
                if let Some(panicked) = error.panicked() {
                    self.context.fail(format!("{}: {panicked}", self.name));
                }
            }
            Ok(_) => {}
        }
        Next::Continue
    }

    async fn close(&mut self) -> Next {
        let closed = self.producer.close().await;
        self.context.trace(format!("{} closes: {:?}", self.name, closed.as_ref().map_err(ToString::to_string)));
        if closed.is_ok() && self.context.owner.get() == Some(self.name) {
            self.context.owner.set(None);
        }
        Next::Stop
    }
}
