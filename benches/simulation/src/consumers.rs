//! A consumer as its user runs it: opens, sleeps, refreshes, holds on to old views, and compares all it sees with the
//! book.

use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cenote_consumer::error::{ErrorKind, LoadError, ReadError};
use cenote_consumer::{Consumer, OpenError, RefreshError, RefreshPath, RefreshReport, ReloadPolicy};
use cenote_state::ids::Version;
use cenote_state::view::View;

use super::audit;
use super::record::{BY_GROUP, Content, Item, differs, index_differs};
use super::slot::{Mood, Seat};
use super::tally::Outcome;
use super::world::World;

/// What a consumer can be told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Refresh,
    /// Holds on to the view that it has.
    Hold,
    /// Lets go of all that it holds on to, after a last look.
    LetGo,
    Close,
    /// Looks, and again when it must look behind the end, which is not the log's.
    LookBehind,
    /// Refreshes until it is there, and lets go.
    CatchUp {
        newest: u64,
        every: Duration,
        looks: usize,
    },
}

/// After so long a consumer to which nothing comes has looked behind the end of the log.
pub(crate) const LOOK_BEHIND: Duration = Duration::from_secs(70);
/// Views that are held on to at once.
const HELD: usize = 6;

/// How a consumer opens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening {
    pub(crate) name: &'static str,
    /// Looks by itself so often; else only when it is told to.
    pub(crate) poll: Option<Duration>,
}

pub(crate) struct Life {
    world: Rc<World>,
    name: &'static str,
    consumer: Consumer,
    reports: Arc<Mutex<Vec<RefreshReport>>>,
    /// The newest version that it was seen at.
    seen: Version,
    /// No further than this had the log come when it last looked.
    log_seen: u64,
    held: Vec<(View, Content)>,
}

/// Opens and takes orders until it ends.
pub(crate) async fn live(world: Rc<World>, opening: Opening, mut seat: Seat<Order>) {
    let name = opening.name;
    let mut life = match open(&world, opening).await {
        Ok(life) => life,
        Err(error) => {
            world.count(Outcome::NotOpened);
            return world.trace(format!("{name} did not open: {error}"));
        }
    };
    life.check();
    seat.mood.set(Mood::Idle);
    while let Some(order) = seat.orders.recv().await {
        match order {
            Order::Refresh => drop(life.refresh().await),
            Order::Hold => life.hold(),
            Order::LetGo => life.let_go(),
            Order::LookBehind => life.look_behind().await,
            Order::CatchUp { newest, every, looks } => life.catch_up(newest, every, looks).await,
            Order::Close => {
                life.let_go();
                return life.consumer.close().await;
            }
        }
        seat.mood.set(Mood::Idle);
    }
}

/// Opens a consumer.
pub(crate) async fn open(world: &Rc<World>, opening: Opening) -> Result<Life, OpenError> {
    if world.audit.borrow().has_checkpoint() {
        world.count(Outcome::StartedFromCheckpoint);
    }
    let reports: Arc<Mutex<Vec<RefreshReport>>> = Arc::default();
    let heard = Arc::clone(&reports);
    let builder = Consumer::builder_on(world.store.clone())
        .env(world.env.clone())
        .with::<Item>()
        .index(&BY_GROUP)
        .rules(world.rules)
        .max_state_bytes(1 << 30)
        .on_refresh(move |report| heard.lock().expect("nothing panics here").push(report.clone()));
    let builder = match opening.poll {
        Some(every) => builder.reload(ReloadPolicy::Poll(every)),
        None => builder.reload(ReloadPolicy::Manual),
    };
    let opened = builder.open().await;
    if let Some(error) = opened.as_ref().err().and_then(OpenError::refresh_error) {
        judge(world, opening.name, error);
    }
    let (consumer, world, name) = (opened?, world.clone(), opening.name);
    world.trace(format!("{name} opened at {}", consumer.version()));
    world.look();
    let log_seen = world.audit.borrow().tail();
    Ok(Life { world, name, consumer, reports, seen: Version::EMPTY, log_seen, held: Vec::new() })
}

impl Life {
    /// Asks for the newest version, and checks what came.
    pub(crate) async fn refresh(&mut self) -> Result<Version, ()> {
        let next = audit::name(self.log_seen + 1);
        let slept = audit::read(&self.world.truth, &next).is_some_and(|bytes| bytes.starts_with(b"CENOTE-T"));
        let refreshed = self.consumer.refresh().await;
        self.world.look();
        match &refreshed {
            Ok(version) => {
                self.world.trace(format!("{} refreshed to {version}", self.name));
                if slept {
                    self.world.count(Outcome::ConsumerMetTombstone);
                }
                self.log_seen = self.world.audit.borrow().tail();
            }
            Err(error) => {
                self.world.count(Outcome::NotRefreshed);
                self.world.trace(format!("{} stays at {}: {error}", self.name, self.consumer.version()));
                judge(&self.world, self.name, error);
            }
        }
        if self.consumer.status().quarantined.is_some() {
            self.world.count(Outcome::Quarantine);
        }
        self.check();
        refreshed.map_err(drop)
    }

    /// The newest entry is gone, and the hint tells of it: that is not the end of the log (rule 6).
    async fn look_behind(&mut self) {
        let _ = self.refresh().await;
        self.world.env.sleep(LOOK_BEHIND).await;
        match self.refresh().await {
            Ok(version) => {
                self.world.fail(format!("{} takes {version} for the end, and the newest entry is gone", self.name))
            }
            Err(()) => self.world.count(Outcome::ShortLog),
        }
    }

    async fn catch_up(&mut self, newest: u64, every: Duration, looks: usize) {
        self.let_go();
        for _ in 0..looks {
            if self.refresh().await.is_ok_and(|version| version.0 >= newest) {
                return;
            }
            self.world.env.sleep(every).await;
        }
        let (name, version) = (self.name, self.consumer.version());
        self.world.fail(format!("{name} stays at {version} though the store is well, the newest is {newest}"));
    }

    /// What it serves is what was published (I5), and never older than before (I8).
    pub(crate) fn check(&mut self) {
        let view = self.consumer.view();
        let reports = std::mem::take(&mut *self.reports.lock().expect("nothing panics here"));
        for report in reports {
            if report.from >= report.to {
                self.world.fail(format!("{} went from {} to {} (I8)", self.name, report.from, report.to));
            }
            let path = if matches!(report.path, RefreshPath::Deltas { .. }) { "deltas" } else { "a snapshot" };
            self.world.trace(format!("{} went from {} to {} by {path}", self.name, report.from, report.to));
        }
        if view.version() < self.seen {
            self.world.fail(format!("{} went back from {} to {} (I8)", self.name, self.seen, view.version()));
        }
        let is_new = view.version() > self.seen;
        self.seen = view.version();
        if let Some(content) = self.world.content(view.version()).filter(|_| is_new) {
            self.compare(&view, &content, "I5");
        }
    }

    fn compare(&self, view: &View, content: &Content, invariant: &str) {
        if let Some(what) = differs(view, content).or_else(|| index_differs(view, content)) {
            self.world.fail(format!("{} shows {} wrongly: {what} ({invariant})", self.name, view.version()));
        }
    }

    fn hold(&mut self) {
        let view = self.consumer.view();
        if let Some(content) = self.world.content(view.version()).filter(|_| self.held.len() < HELD) {
            self.held.push((view, content));
        }
    }

    /// Views that were held have not changed (I3).
    fn let_go(&mut self) {
        for (view, content) in std::mem::take(&mut self.held) {
            self.compare(&view, &content, "I3");
        }
    }

    pub(crate) fn version(&self) -> Version {
        self.consumer.version()
    }
}

/// Counts what the error tells of, and fails if it tells of a bug.
fn judge(world: &World, name: &str, error: &RefreshError) {
    if matches!(error.log_error(), Some(ReadError::Missing { .. }))
        || matches!(error.load_error(), Some(LoadError::Missing { .. }))
    {
        world.count(Outcome::MissingObject);
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
        world.fail(format!("{name}: {error}"));
    }
}
