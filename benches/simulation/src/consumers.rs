//! A consumer as a service runs it: opens, refreshes, holds old views, and compares everything that it reads with the model.

use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cenote_consumer::error::{ErrorKind, LoadError, ReadError};
use cenote_consumer::{Consumer, Health, OpenError, RefreshError, RefreshPath, RefreshReport, ReloadPolicy};
use cenote_state::ids::Version;
use cenote_state::view::View;

use super::audit;
use super::context::Context;
use super::record::{BY_GROUP, Content, Item, differs, index_differs};
use super::slot::{ActorState, Mailbox};
use super::tally::Outcome;

/// A command to a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Refresh,
    /// Hold the current view.
    HoldView,
    /// Check the held views and release them.
    ReleaseViews,
    Close,
    /// Refresh, and again after the time when it must notice that the newest entry is missing.
    CheckEnd,
    /// An older copy of the dataset was put in place of what was read: notice it, then close.
    NoticeCopy,
    /// Release the held views and refresh until `newest` is served.
    CatchUp {
        newest: u64,
        every: Duration,
        refreshes: usize,
    },
}

/// The time after which a consumer without new entries has checked the end of the log against the hint.
pub(crate) const CHECK_END_AFTER: Duration = Duration::from_secs(70);
/// The most views that are held at once.
const HELD: usize = 6;

/// How a consumer opens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening {
    pub(crate) name: &'static str,
    /// The interval of polls; `None` for refreshes by command only.
    pub(crate) poll: Option<Duration>,
}

/// A simulated consumer.
pub(crate) struct ConsumerActor {
    context: Rc<Context>,
    name: &'static str,
    consumer: Consumer,
    reports: Arc<Mutex<Vec<RefreshReport>>>,
    /// The newest version that it served.
    seen: Version,
    /// The end of the log at its last refresh.
    log_seen: u64,
    held: Vec<(View, Content)>,
}

/// Opens a consumer and executes commands until one closes it.
pub(crate) async fn run(context: Rc<Context>, opening: Opening, mut mailbox: Mailbox<Command>) {
    let name = opening.name;
    let mut actor = match open(&context, opening).await {
        Ok(actor) => actor,
        Err(error) => {
            context.count(Outcome::NotOpened);
            return context.trace(format!("{name} did not open: {error}"));
        }
    };
    actor.check();
    mailbox.state.set(ActorState::Idle);
    while let Some(command) = mailbox.commands.recv().await {
        match command {
            Command::Refresh => drop(actor.refresh().await),
            Command::HoldView => actor.hold_view(),
            Command::ReleaseViews => actor.release_views(),
            Command::CheckEnd => actor.check_end().await,
            Command::NoticeCopy => {
                actor.notice_copy().await;
                return actor.consumer.close().await;
            }
            Command::CatchUp { newest, every, refreshes } => actor.catch_up(newest, every, refreshes).await,
            Command::Close => {
                actor.release_views();
                return actor.consumer.close().await;
            }
        }
        mailbox.state.set(ActorState::Idle);
    }
}

/// Opens a consumer.
pub(crate) async fn open(context: &Rc<Context>, opening: Opening) -> Result<ConsumerActor, OpenError> {
    if context.audit.borrow().has_checkpoint() {
        context.count(Outcome::StartedFromCheckpoint);
    }
    let reports: Arc<Mutex<Vec<RefreshReport>>> = Arc::default();
    let received = Arc::clone(&reports);
    let builder = Consumer::builder_on(context.store.clone())
        .env(context.env.clone())
        .with::<Item>()
        .index(&BY_GROUP)
        .rules(context.rules)
        .max_state_bytes(1 << 30)
        .on_refresh(move |report| received.lock().expect("nothing panics here").push(report.clone()));
    let builder = match opening.poll {
        Some(every) => builder.reload(ReloadPolicy::Poll(every)),
        None => builder.reload(ReloadPolicy::Manual),
    };
    let opened = builder.open().await;
    if let Some(error) = opened.as_ref().err().and_then(OpenError::refresh_error) {
        classify(context, opening.name, error);
    }
    let (consumer, context, name) = (opened?, context.clone(), opening.name);
    context.trace(format!("{name} opened at {}", consumer.version()));
    context.read_log();
    let log_seen = context.audit.borrow().tail();
    Ok(ConsumerActor { context, name, consumer, reports, seen: Version::EMPTY, log_seen, held: Vec::new() })
}

impl ConsumerActor {
    /// Refreshes to the newest version and checks it.
    pub(crate) async fn refresh(&mut self) -> Result<Version, ()> {
        let next = audit::name(self.log_seen + 1);
        let met_tombstone =
            audit::read(&self.context.memory, &next).is_some_and(|bytes| bytes.starts_with(b"CENOTE-T"));
        let log_start = self.context.audit.borrow().log_start();
        let refreshed = self.consumer.refresh().await;
        self.context.read_log();
        if self.context.audit.borrow().log_start() > log_start {
            self.context.count(Outcome::TrimmedDuringRefresh);
        }
        match &refreshed {
            Ok(version) => {
                self.context.trace(format!("{} refreshed to {version}", self.name));
                if met_tombstone {
                    self.context.count(Outcome::ConsumerMetTombstone);
                }
                self.log_seen = self.context.audit.borrow().tail();
            }
            Err(error) => {
                self.context.count(Outcome::NotRefreshed);
                self.context.trace(format!("{} stays at {}: {error}", self.name, self.consumer.version()));
                classify(&self.context, self.name, error);
            }
        }
        if self.consumer.status().quarantined.is_some() {
            self.context.count(Outcome::Quarantine);
        }
        self.check();
        refreshed.map_err(drop)
    }

    /// The newest entry is missing, and the hint names it: the consumer must not take the entry before for the end.
    async fn check_end(&mut self) {
        let _ = self.refresh().await;
        self.context.env.sleep(CHECK_END_AFTER).await;
        match self.refresh().await {
            Ok(version) => {
                self.context.fail(format!("{} takes {version} for the end, and the newest entry is gone", self.name));
            }
            Err(()) => self.context.count(Outcome::ShortLog),
        }
    }

    /// If the copy ends before the version that this consumer serves, it must say so, and not that all is well. What it has
    /// read of the log beyond that version, a store that lies may have kept from it.
    async fn notice_copy(&mut self) {
        let must_notice = self.seen.0 > self.context.audit.borrow().tail();
        let _ = self.consumer.refresh().await;
        self.context.env.sleep(CHECK_END_AFTER).await;
        let refreshed = self.consumer.refresh().await;
        let health = self.consumer.status().health;
        self.context.trace(format!("{} says {health:?} of the copy: {refreshed:?}", self.name));
        if health == Health::DatasetReplaced {
            self.context.count(Outcome::NoticedCopy);
        } else if must_notice {
            let (seen, name) = (self.seen, self.name);
            self.context.fail(format!("{name} has seen {seen}, follows an older copy, and says {health:?}"));
        }
    }

    async fn catch_up(&mut self, newest: u64, every: Duration, refreshes: usize) {
        self.release_views();
        for _ in 0..refreshes {
            if self.refresh().await.is_ok_and(|version| version.0 >= newest) {
                return;
            }
            self.context.env.sleep(every).await;
        }
        let (name, version) = (self.name, self.consumer.version());
        self.context
            .fail(format!("{name} stays at {version} although the store has no faults, the newest is {newest}"));
    }

    /// Checks that the view is what was published (I5), and not older than before (I8).
    pub(crate) fn check(&mut self) {
        let view = self.consumer.view();
        let reports = std::mem::take(&mut *self.reports.lock().expect("nothing panics here"));
        for report in reports {
            if report.from >= report.to {
                self.context.fail(format!("{} went from {} to {} (I8)", self.name, report.from, report.to));
            }
            let path = if matches!(report.path, RefreshPath::Deltas { .. }) { "deltas" } else { "a snapshot" };
            self.context.trace(format!("{} went from {} to {} by {path}", self.name, report.from, report.to));
        }
        if view.version() < self.seen {
            self.context.fail(format!("{} went back from {} to {} (I8)", self.name, self.seen, view.version()));
        }
        let is_new = view.version() > self.seen;
        self.seen = view.version();
        if let Some(content) = self.context.content(view.version()).filter(|_| is_new) {
            self.compare(&view, &content, "I5");
        }
    }

    fn compare(&self, view: &View, content: &Content, invariant: &str) {
        if let Some(what) = differs(view, content).or_else(|| index_differs(view, content)) {
            self.context.fail(format!("{} shows {} wrongly: {what} ({invariant})", self.name, view.version()));
        }
    }

    fn hold_view(&mut self) {
        let view = self.consumer.view();
        if let Some(content) = self.context.content(view.version()).filter(|_| self.held.len() < HELD) {
            self.held.push((view, content));
        }
    }

    /// Checks that held views have not changed (I3), and releases them.
    fn release_views(&mut self) {
        for (view, content) in std::mem::take(&mut self.held) {
            self.compare(&view, &content, "I3");
        }
    }

    pub(crate) fn version(&self) -> Version {
        self.consumer.version()
    }
}

/// Counts the outcome of an error, and records a failure if the error shows a bug.
fn classify(context: &Context, name: &str, error: &RefreshError) {
    if matches!(error.log_error(), Some(ReadError::Missing { .. }))
        || matches!(error.load_error(), Some(LoadError::Missing { .. }))
    {
        context.count(Outcome::MissingObject);
    }
    let differs = matches!(
        error.load_error(),
        Some(
            LoadError::Key { .. }
                | LoadError::Parent { .. }
                | LoadError::ParentDigest { .. }
                | LoadError::Apply { .. }
                | LoadError::Differs { .. }
        )
    );
    if differs || error.is_too_large() || error.kind() == ErrorKind::Program {
        context.fail(format!("{name}: {error}"));
    }
}
