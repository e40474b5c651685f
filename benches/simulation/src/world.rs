//! The world: the store as it is and as actors see it, what is known about it, and the first thing that went wrong.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use cenote_state::ids::Version;
use cenote_store::env::Env;
use cenote_store::load::{self, SnapshotToLoad};
use cenote_store::log::retention::Retention;
use cenote_store::log::{Body, Entry, Rules, Snapshot};
use cenote_store::storage::Storage;
use cenote_testing::faults::{FaultyStore, Latency, LatencyStore};
use futures::FutureExt;
use object_store::memory::InMemory;

use super::audit::Audit;
use super::book::Book;
use super::tally::{Outcome, Tally, Trace};
use super::{Failure, Plan, Summary};

/// What retention keeps here: little, so that log start rise often.
pub(crate) const RETENTION: Retention = Retention::new().snapshots(2).younger_than(Duration::from_secs(120));

/// Everything that actors share.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) env: Env,
    pub(crate) rules: Rules,
    /// The store as it is.
    pub(crate) truth: Storage,
    /// The store as actors see it.
    pub(crate) store: Storage,
    pub(crate) faults: FaultyStore,
    pub(crate) book: RefCell<Book>,
    pub(crate) audit: RefCell<Audit>,
    pub(crate) step: Cell<u64>,
    /// Who opened last and did not say goodbye.
    pub(crate) owner: Cell<Option<&'static str>>,
    /// How much virtual time went by.
    pub(crate) hours: Cell<u64>,
    tally: RefCell<Tally>,
    trace: RefCell<Trace>,
    failure: RefCell<Option<Failure>>,
}

impl World {
    /// Within a runtime: clocks are read.
    pub(crate) fn new(plan: Plan) -> Rc<World> {
        let env = Env::simulated(plan.seed);
        let truth = Storage::new("memory://simulation", Arc::new(InMemory::new()));
        let faults = FaultyStore::new(env.clone());
        let milliseconds = |p50, p99| Latency { p50: Duration::from_millis(p50), p99: Duration::from_millis(p99) };
        let latency = LatencyStore::new(env.clone(), milliseconds(20, 80), milliseconds(40, 200));
        Rc::new(World {
            store: latency.wrap(&faults.wrap(&truth)),
            rules: plan.broken.map_or_else(Rules::default, Rules::broken),
            plan,
            env,
            truth,
            faults,
            book: RefCell::default(),
            audit: RefCell::default(),
            step: Cell::new(0),
            owner: Cell::new(None),
            hours: Cell::new(0),
            tally: RefCell::default(),
            trace: RefCell::default(),
            failure: RefCell::default(),
        })
    }

    /// The first failure stands; what comes after it is its consequence.
    pub(crate) fn fail(&self, what: String) {
        if self.failure.borrow().is_some() {
            return;
        }
        self.trace(format!("FAILED {what}"));
        let (seed, step, trace_hash) = (self.plan.seed, self.step.get(), self.trace.borrow().hash());
        *self.failure.borrow_mut() = Some(Failure { seed, step, what, trace_hash });
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failure.borrow().is_some()
    }

    /// Fails if it is an error.
    pub(crate) fn must<T>(&self, result: Result<T, String>) -> Option<T> {
        result.map_err(|what| self.fail(what)).ok()
    }

    pub(crate) fn count(&self, outcome: Outcome) {
        self.tally.borrow_mut().count(outcome);
    }

    pub(crate) fn trace(&self, what: String) {
        let now = self.env.now().0 % 1_000_000_000_000;
        self.trace.borrow_mut().line(format!("{:>6} {now} {what}", self.step.get()));
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.trace.borrow_mut().take()
    }

    /// Takes in what is new in the log.
    pub(crate) fn look(&self) {
        let new = self.audit.borrow_mut().advance(&self.truth);
        for entry in self.must(new).into_iter().flatten() {
            self.trace(format!("log {} {} epoch {}", entry.head.position, entry.head.kind, entry.head.epoch));
            let stood = self.take_in(&entry);
            self.must(stood);
        }
    }

    fn take_in(&self, entry: &Entry) -> Result<(), String> {
        match &entry.body {
            Body::Commit(commit) => {
                self.book.borrow_mut().stands(entry.head.position.0, entry.head.epoch.0, commit)?;
            }
            Body::Snapshot(snapshot) => {
                self.count(Outcome::Snapshot);
                self.check_snapshot(entry, snapshot)?;
            }
            Body::Trim(_) => self.count(Outcome::Trim),
            Body::Open(_) | Body::Checkpoint(_) => {}
        }
        Ok(())
    }

    /// A snapshot that an entry names is whole, and the state of its version (rule 7, I11).
    fn check_snapshot(&self, entry: &Entry, snapshot: &Snapshot) -> Result<(), String> {
        let audit = self.audit.borrow();
        if entry.head.position.0 < audit.log_start() || audit.taken.contains(&snapshot.object.name) {
            return Ok(());
        }
        let what =
            SnapshotToLoad { dataset: entry.head.dataset, snapshot: snapshot.clone(), bytes_max: u64::MAX, seed: 1 };
        let loaded = load::snapshot(&self.truth, &self.env, &what, &|_, _| {}).now_or_never();
        let (state, _) = loaded
            .expect("memory answers at once")
            .map_err(|error| format!("the snapshot named at {} can't be loaded: {error}", entry.head.position))?;
        if state.digest() == snapshot.digest {
            return Ok(());
        }
        Err(format!("the snapshot named at {} is not the state of {}", entry.head.position, snapshot.version))
    }

    /// Looks at everything that is live again.
    pub(crate) fn look_again(&self) {
        self.look();
        let rechecked = self.audit.borrow_mut().recheck(&self.truth);
        self.must(rechecked);
    }

    /// Whether `version` is as the book has it, once the log was looked at.
    pub(crate) fn content(&self, version: Version) -> Option<super::record::Content> {
        self.look();
        let content = self.book.borrow().content(version.0);
        self.must(content.ok_or_else(|| format!("version {version} is seen, and the log does not have it (I5)")))
    }

    pub(crate) fn result(&self) -> Result<Summary, Failure> {
        if let Some(failure) = &*self.failure.borrow() {
            return Err(failure.clone());
        }
        let mut tally = self.tally.borrow().clone();
        let (landed, never) = self.book.borrow().doubts();
        (0..landed).for_each(|_| tally.count(Outcome::UnknownLanded));
        (0..never).for_each(|_| tally.count(Outcome::UnknownNever));
        let (trace_hash, position) = (self.trace.borrow().hash(), self.audit.borrow().tail());
        Ok(Summary { trace_hash, tally, position, hours: self.hours.get() })
    }
}
