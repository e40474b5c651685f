//! What all actors share: the store, the model and the audit of it, the trace, and the first failure.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use cenote_state::held::Selection;
use cenote_state::ids::Version;
use cenote_store::env::Env;
use cenote_store::load::{self, SnapshotToLoad};
use cenote_store::log::retention::Retention;
use cenote_store::log::{Body, Entry, Rules, Snapshot};
use cenote_store::storage::Storage;
use cenote_testing::faults::{FaultyStore, Latency, LatencyStore, StaleStore};
use futures::FutureExt;
use object_store::memory::InMemory;

use super::audit::Audit;
use super::model::Model;
use super::tally::{Outcome, Tally, Trace};
use super::{Failure, Plan, Summary};

/// Keeps little, so that the log is trimmed often.
pub(crate) const RETENTION: Retention = Retention::new().snapshots(2).younger_than(Duration::from_mins(2));

/// What all actors share.
pub(crate) struct Context {
    pub(crate) plan: Plan,
    pub(crate) env: Env,
    pub(crate) rules: Rules,
    /// The store without faults and latencies.
    pub(crate) memory: Storage,
    /// The store as actors see it.
    pub(crate) store: Storage,
    pub(crate) faults: FaultyStore,
    pub(crate) stale: StaleStore,
    pub(crate) model: RefCell<Model>,
    pub(crate) audit: RefCell<Audit>,
    pub(crate) step: Cell<u64>,
    /// The producer that opened last, until it closes or is killed.
    pub(crate) owner: Cell<Option<&'static str>>,
    /// The virtual time that passed, in hours.
    pub(crate) hours: Cell<u64>,
    tally: RefCell<Tally>,
    trace: RefCell<Trace>,
    failure: RefCell<Option<Failure>>,
}

impl Context {
    /// Must be called within a runtime, whose clock it reads.
    pub(crate) fn new(plan: Plan) -> Rc<Context> {
        let env = Env::simulated(plan.seed);
        let memory = Storage::new("memory://simulation", Arc::new(InMemory::new()));
        let faults = FaultyStore::new(env.clone());
        let stale = StaleStore::new(env.clone());
        let milliseconds = |p50, p99| Latency { p50: Duration::from_millis(p50), p99: Duration::from_millis(p99) };
        let latency = LatencyStore::new(env.clone(), milliseconds(20, 80), milliseconds(40, 200));
        Rc::new(Context {
            store: latency.wrap(&faults.wrap(&stale.wrap(&memory))),
            rules: plan.broken.map_or_else(Rules::default, Rules::broken),
            plan,
            env,
            memory,
            faults,
            stale,
            model: RefCell::default(),
            audit: RefCell::default(),
            step: Cell::new(0),
            owner: Cell::new(None),
            hours: Cell::new(0),
            tally: RefCell::default(),
            trace: RefCell::default(),
            failure: RefCell::default(),
        })
    }

    /// Records a failure. Only the first counts: later ones are consequences.
    pub(crate) fn fail(&self, what: String) {
        if self.failure.borrow().is_some() {
            return;
        }
        self.trace(format!("FAILED {what}"));
        let (seed, step, trace_hash) = (self.plan.seed, self.step.get(), self.trace.borrow().hash());
        *self.failure.borrow_mut() = Some(Failure { seed, step, what, trace_hash });
    }

    /// Ends all faults of requests.
    pub(crate) fn calm(&self) {
        self.faults.clear();
        self.stale.set(0.0, Duration::ZERO);
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failure.borrow().is_some()
    }

    /// Records an error as a failure.
    pub(crate) fn require<T>(&self, result: Result<T, String>) -> Option<T> {
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

    /// Reads new entries of the log and checks them.
    pub(crate) fn read_log(&self) {
        let new = self.audit.borrow_mut().advance(&self.memory);
        for entry in self.require(new).into_iter().flatten() {
            self.trace(format!("log {} {} epoch {}", entry.head.position, entry.head.kind, entry.head.epoch));
            let checked = self.check_entry(&entry);
            self.require(checked);
        }
    }

    fn check_entry(&self, entry: &Entry) -> Result<(), String> {
        match &entry.body {
            Body::Commit(commit) => {
                self.model.borrow_mut().entry_found(entry.head.position.0, entry.head.epoch.0, commit)?;
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

    /// A snapshot that an entry names is complete, and the state of its version (I11).
    fn check_snapshot(&self, entry: &Entry, snapshot: &Snapshot) -> Result<(), String> {
        let audit = self.audit.borrow();
        if entry.head.position.0 < audit.log_start() || audit.damaged.contains(&snapshot.object.name) {
            return Ok(());
        }
        let what = SnapshotToLoad {
            dataset: entry.head.dataset,
            snapshot: snapshot.clone(),
            selection: Selection::Whole,
            bytes_max: u64::MAX,
            seed: 1,
        };
        let loaded = load::snapshot(&self.memory, &self.env, &what, &|_, _| {}).now_or_never();
        let (state, _) = loaded
            .expect("memory answers at once")
            .map_err(|error| format!("the snapshot named at {} can't be loaded: {error}", entry.head.position))?;
        if state.digest() == snapshot.digest {
            return Ok(());
        }
        Err(format!("the snapshot named at {} is not the state of {}", entry.head.position, snapshot.version))
    }

    /// Reads new entries and checks the whole log again.
    pub(crate) fn recheck_log(&self) {
        self.read_log();
        let rechecked = self.audit.borrow_mut().recheck(&self.memory);
        self.require(rechecked);
    }

    /// The content of `version` by the model, after new entries were read.
    pub(crate) fn content(&self, version: Version) -> Option<super::record::Content> {
        self.read_log();
        let content = self.model.borrow().content(version.0);
        self.require(content.ok_or_else(|| format!("version {version} is served, but the log does not have it (I5)")))
    }

    pub(crate) fn result(&self) -> Result<Summary, Failure> {
        if let Some(failure) = &*self.failure.borrow() {
            return Err(failure.clone());
        }
        let mut tally = self.tally.borrow().clone();
        let (landed, never) = self.model.borrow().unknown_outcomes();
        (0..landed).for_each(|_| tally.count(Outcome::UnknownLanded));
        (0..never).for_each(|_| tally.count(Outcome::UnknownNever));
        (0..self.stale.fired()).for_each(|_| tally.count(Outcome::StaleRead));
        let (trace_hash, position) = (self.trace.borrow().hash(), self.audit.borrow().tail());
        Ok(Summary { trace_hash, tally, position, hours: self.hours.get() })
    }
}
