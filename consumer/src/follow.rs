//! Following: the task that owns the consumer's writing side, and the order of a refresh.
//!
//! look → plan → fetch → apply → compare → index → swap → tell. Whatever fails before the swap leaves readers with the
//! view that they have; what was proven on the way there is not thrown away.
//!
//! Rules: this task alone moves the view cell, forward only (I8); computations run off the async threads, panics
//! contained; every future here may be dropped at any await, since nothing but the swap changes what others see.

use std::sync::Arc;
use std::time::Duration;

use cenote_shared::env::{Env, Instant};
use cenote_shared::ids::{DatasetId, Position, Timestamp, Version};
use cenote_shared::load::{self, SnapshotToLoad};
use cenote_shared::log::outline::KeptSnapshot;
use cenote_shared::log::{Entry, LogReader, ReadError, Rules};
use cenote_shared::state::State;
use cenote_shared::storage::Storage;
use cenote_shared::view::View;

use crate::error::{RefreshFailed, Remedy};
use crate::fetch::Commits;
use crate::memory::Budget;
use crate::plan::{Start, around, cheapest};
use crate::pulse::Pulse;
use crate::quarantine::Quarantine;
use crate::refresh::{Program, RefreshError, Rolling};
use crate::report::{RefreshPath, Report, StepTimes};
use crate::shared::Shared;

/// After so many entries one by one, the rest is read in parallel.
const ONE_BY_ONE: usize = 16;
/// Entries that are kept for the next refresh, in bytes; beyond that they are read again.
const KEPT_BYTES: u64 = 64 << 20;
/// Times that the log is trimmed under us before a refresh gives up.
const REPLANS: usize = 3;

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// To the newest version.
    Newest,
    /// To this one.
    Version(Version),
}

/// Follows one dataset.
pub(crate) struct Follower {
    pub(crate) shared: Arc<Shared>,
    storage: Storage,
    program: Arc<Program>,
    dataset: Option<DatasetId>,
    reader: Option<LogReader>,
    /// Commits behind the view that the reader has passed, without a gap up to its place.
    recent: Vec<Entry>,
    recent_bytes: u64,
    quarantine: Quarantine,
    pulse: Pulse,
    budget: Budget,
    seed: u64,
    pub(crate) rules: Rules,
    #[cfg(feature = "testing")]
    pub(crate) torn_swaps: bool,
}

/// The ways that one refresh has tried.
#[derive(Default)]
struct Tried {
    deltas: bool,
    snapshots: Vec<Version>,
    /// The delta that failed; snapshots below it lead there again.
    failed_delta: Version,
    /// The newest version that failed.
    failed: Version,
}

impl Tried {
    fn note(&mut self, way: Start, failed: Version) {
        let mut by_delta = true;
        match way {
            Start::View => self.deltas = true,
            Start::Snapshot(kept) => {
                by_delta = failed > kept.snapshot.version;
                self.snapshots.push(kept.snapshot.version);
            }
        }
        if by_delta {
            self.failed_delta = self.failed_delta.max(failed);
        }
        self.failed = self.failed.max(failed);
    }
}

/// What one refresh has taken so far.
struct Trip {
    started: Instant,
    times: StepTimes,
    bytes: u64,
}

impl Follower {
    pub(crate) fn new(shared: Arc<Shared>, storage: Storage, program: Arc<Program>, limit: u64, seed: u64) -> Follower {
        let pulse = Pulse::new(shared.env.instant());
        Follower {
            shared,
            storage,
            program,
            dataset: None,
            reader: None,
            recent: Vec::new(),
            recent_bytes: 0,
            quarantine: Quarantine::default(),
            pulse,
            budget: Budget::new(limit),
            seed,
            rules: Rules::default(),
            #[cfg(feature = "testing")]
            torn_swaps: false,
        }
    }

    fn env(&self) -> &Env {
        &self.shared.env
    }

    fn version(&self) -> Version {
        self.shared.cell.version()
    }

    /// Looks at the log and goes as far as `goal`.
    pub(crate) async fn refresh(&mut self, goal: Goal) -> Result<Version, RefreshFailed> {
        let mut result = self.attempt(goal).await;
        for _ in 1..REPLANS {
            match &result {
                Err(error) if error.remedy() == Remedy::Replan => {
                    self.reader = None;
                    result = self.attempt(goal).await;
                }
                _ => break,
            }
        }
        self.note(&result);
        result.map(|()| self.version())
    }

    async fn attempt(&mut self, goal: Goal) -> Result<(), RefreshFailed> {
        let mut trip = Trip { started: self.env().instant(), times: StepTimes::default(), bytes: 0 };
        let looked = self.look(&mut trip).await;
        trip.times.look = self.env().instant() - trip.started;
        // What was read before the look failed still counts.
        if let Some(target) = self.target(goal)? {
            self.reach(goal, target, &mut trip).await?;
        }
        looked.map_err(RefreshFailed::from)
    }

    /// Reads the log to its end.
    async fn look(&mut self, trip: &mut Trip) -> Result<(), RefreshError> {
        let mut entries = 0;
        loop {
            let Some(reader) = self.reader.as_mut().filter(|_| entries < ONE_BY_ONE) else {
                return self.start(trip).await;
            };
            let Some(entry) = reader.next().await? else { break };
            entries += 1;
            self.pulse.entry(self.shared.env.instant());
            self.keep(entry, trip);
        }
        let now = self.env().instant();
        if entries == 0 && self.pulse.is_check_due(now) {
            let hint = self.reader().check_end().await?;
            self.pulse.hint(hint.as_ref(), now);
        }
        Ok(())
    }

    /// Takes an entry in that was read.
    fn keep(&mut self, entry: Entry, trip: &mut Trip) {
        trip.bytes += entry.bytes;
        let version = Version(entry.head.position.0);
        if entry.commit().is_none() || version <= self.version() {
            return;
        }
        self.shared.behind(version, entry.head.time);
        self.recent_bytes += entry.bytes;
        if self.recent_bytes > KEPT_BYTES {
            // A consumer that can't go on must not gather the log; it reads again when it can.
            (self.recent_bytes, self.recent) = (entry.bytes, Vec::new());
        }
        self.recent.push(entry);
    }

    /// Starts at the log's tail. That there is no log is an error only if there was one.
    async fn start(&mut self, trip: &mut Trip) -> Result<(), RefreshError> {
        let (reader, entries) = match LogReader::start_keeping(self.storage.clone(), self.rules, KEPT_BYTES).await {
            Err(ReadError::NotFound { .. }) if self.dataset.is_none() => return Ok(()),
            started => started?,
        };
        let found = reader.outline().dataset;
        let expected = *self.dataset.get_or_insert(found);
        if found != expected {
            return Err(ReadError::Replaced { object: self.storage.url().to_owned(), expected, found }.into());
        }
        self.pulse.entry(self.shared.env.instant());
        self.pulse.check_soon();
        (self.recent, self.recent_bytes) = (Vec::new(), 0);
        self.reader = Some(reader);
        entries.into_iter().for_each(|entry| self.keep(entry, trip));
        Ok(())
    }

    /// The version to go to; none if the view is there already.
    fn target(&self, goal: Goal) -> Result<Option<Version>, RefreshError> {
        let newest = self.reader.as_ref().map_or(Version::EMPTY, |reader| reader.outline().version);
        let current = self.version();
        match goal {
            Goal::Newest => Ok((newest > current).then_some(newest)),
            Goal::Version(wanted) if wanted < current => Err(RefreshError::Backward { wanted, current }),
            Goal::Version(wanted) if wanted > newest => Err(RefreshError::NoSuchVersion { wanted, newest }),
            Goal::Version(wanted) => Ok((wanted > current).then_some(wanted)),
        }
    }

    fn reader(&self) -> &LogReader {
        self.reader.as_ref().expect("there is a version to go to, so the log was read")
    }

    /// Goes to `target` by the cheapest way, and around what fails.
    async fn reach(&mut self, goal: Goal, target: Version, trip: &mut Trip) -> Result<(), RefreshFailed> {
        let position = self.reader().outline().position;
        self.quarantine.check(position, self.env().instant())?;
        let mut tried = Tried::default();
        let mut way = self.first_way(target)?;
        loop {
            let Err(error) = self.go(way.clone(), goal, target, trip).await else { return Ok(()) };
            let failed = self.failed_at(&way, &error, target);
            if self.is_serving() && matches!(way, Start::Snapshot(_)) {
                // Whatever led to it: the next one has to wait.
                let _ = self.quarantine.take_snapshot(&self.shared.env);
            }
            tried.note(way, failed);
            let next = if self.may_go_around(&error, failed) { self.next_way(&tried, target) } else { None };
            match next {
                Some(next) => way = next,
                None => return Err(self.give_up(error, tried.failed, position)),
            }
            tracing::warn!(url = self.storage.url(), %error, "trying another way");
        }
    }

    /// The cheapest way. While a version is held back, a snapshot is taken only as often as is allowed.
    fn first_way(&mut self, target: Version) -> Result<Start, RefreshError> {
        let cheapest = cheapest(self.reader().outline(), &self.shared.cell.view(), target)?;
        let rationed = self.is_serving() && self.quarantine.version().is_some();
        match cheapest {
            Start::Snapshot(_) if rationed && !self.quarantine.take_snapshot(&self.shared.env) => Ok(Start::View),
            way => Ok(way),
        }
    }

    /// The next way to try: deltas, then one snapshot if the old view is served meanwhile; any snapshot, then deltas,
    /// if there is nothing to serve.
    fn next_way(&mut self, tried: &Tried, target: Version) -> Option<Start> {
        let (version, serving) = (self.version(), self.is_serving());
        let outline = self.reader().outline();
        let deltas = !tried.deltas && version.position().next() >= outline.floor;
        let snapshot = around(outline, version, tried.failed_delta, target)
            .into_iter()
            .find(|kept| !tried.snapshots.contains(&kept.snapshot.version));
        if serving && deltas {
            return Some(Start::View);
        }
        match snapshot {
            Some(kept) if !serving || self.quarantine.take_snapshot(&self.shared.env) => Some(Start::Snapshot(kept)),
            None if deltas => Some(Start::View),
            _ => None,
        }
    }

    fn give_up(&mut self, error: RefreshError, failed: Version, position: Position) -> RefreshFailed {
        let error = RefreshFailed::from(error);
        if !matches!(error.remedy(), Remedy::Retry | Remedy::Wait | Remedy::Replan) || self.is_lost(&error, failed) {
            self.quarantine.failed(failed, position, error.clone(), &self.shared.env);
        }
        error
    }

    /// Whether the object is missing for so long that it counts as damage.
    fn is_lost(&mut self, error: &RefreshError, failed: Version) -> bool {
        error.remedy() == Remedy::Wait && !self.quarantine.is_worth_waiting(failed, self.shared.env.instant())
    }

    fn is_serving(&self) -> bool {
        self.version() > Version::EMPTY
    }

    /// Whether a failure is one of a version's bytes. An object that is missing is waited for first.
    fn may_go_around(&mut self, error: &RefreshError, failed: Version) -> bool {
        match error.remedy() {
            Remedy::GoAround => true,
            Remedy::Wait => !self.is_serving() || self.is_lost(error, failed),
            _ => false,
        }
    }

    /// The version at which a way failed.
    fn failed_at(&self, start: &Start, error: &RefreshError, target: Version) -> Version {
        match (error.version(), start) {
            (Some(version), _) => version,
            (None, Start::Snapshot(kept)) if matches!(error, RefreshError::Snapshot(_)) => kept.snapshot.version,
            // An object that is missing is a delta's: the first one behind what was reached.
            _ => self
                .recent
                .iter()
                .map(|entry| Version(entry.head.position.0))
                .find(|version| *version > self.version())
                .unwrap_or(target),
        }
    }

    /// Takes one way, and shows as much of it as was proven.
    async fn go(&mut self, start: Start, goal: Goal, target: Version, trip: &mut Trip) -> Result<(), RefreshError> {
        let (rolling, loaded) = match start {
            Start::View => (self.start_from_view()?, None),
            Start::Snapshot(kept) => {
                let version = kept.snapshot.version;
                (self.load(kept, trip).await?, Some(version))
            }
        };
        let (rolling, rolled) = self.roll(rolling, target, trip).await;
        if let Some(rolling) = rolling.filter(|rolling| rolling.state.version() > self.version()) {
            if let (Goal::Version(wanted), Ok(())) = (goal, &rolled)
                && rolling.state.version() != wanted
            {
                return Err(RefreshError::NoSuchVersion { wanted, newest: self.reader().outline().version });
            }
            self.show(rolling, loaded, trip).await?;
        }
        rolled
    }

    fn start_from_view(&self) -> Result<Rolling, RefreshError> {
        let view = self.shared.cell.view();
        let base = (view.version() > Version::EMPTY).then(|| view.clone());
        self.rolling(view.state().clone(), view.committed_at(), base)
    }

    fn rolling(&self, state: State, at: Timestamp, base: Option<View>) -> Result<Rolling, RefreshError> {
        let dataset = self.reader().outline().dataset;
        Rolling::new(state, at, base, &self.program, (dataset, self.budget, self.env()))
    }

    async fn load(&self, kept: KeptSnapshot, trip: &mut Trip) -> Result<Rolling, RefreshError> {
        let started = self.env().instant();
        let what = SnapshotToLoad {
            name: kept.snapshot.object.name.clone(),
            dataset: self.reader().outline().dataset,
            version: kept.snapshot.version,
            digest: kept.snapshot.digest,
            bytes_max: self.budget.limit(),
            seed: self.seed,
        };
        let (state, loaded) = load::snapshot(&self.storage, self.env(), &what, &|_, _| {}).await?;
        trip.bytes += loaded.bytes;
        trip.times.fetch += self.env().instant() - started;
        if state.digest() != kept.snapshot.digest {
            let what = "the digest of its snapshot".to_owned();
            return Err(RefreshError::Differs { version: kept.snapshot.version, what });
        }
        let mut rolling = self.rolling(state, kept.committed_at(), None)?;
        let (version, limit) = (kept.snapshot.version, self.budget.limit());
        let admitted = rolling.budget.admit(&rolling.state, None);
        admitted.map_err(|needed| RefreshError::TooLarge { version, needed, limit })?;
        Ok(rolling)
    }

    /// Applies commit after commit, fetching one ahead. Gives the last state that was proven.
    async fn roll(
        &mut self,
        mut rolling: Rolling,
        target: Version,
        trip: &mut Trip,
    ) -> (Option<Rolling>, Result<(), RefreshError>) {
        let env = self.shared.env.clone();
        let mut commits = Commits::behind(self.reader(), rolling.state.version(), target, &self.recent);
        let started = env.instant();
        let mut fetched = commits.next().await;
        trip.times.fetch += env.instant() - started;
        loop {
            let current = match fetched {
                Ok(None) => break,
                Err(error) => return (Some(rolling), Err(error)),
                Ok(Some(current)) => current,
            };
            trip.bytes += commits.take_bytes();
            let version = current.version;
            let step = env.cpu(move || {
                let result = rolling.step(&current);
                (rolling, result)
            });
            let started = env.instant();
            let (stepped, next) = futures::join!(step, commits.next());
            let waited = env.instant() - started;
            match stepped {
                Err(source) => return (None, Err(RefreshError::Panicked { version, source })),
                Ok((stepped, Err(error))) => return (Some(stepped), Err(error)),
                Ok((stepped, Ok(()))) => rolling = stepped,
            }
            trip.times.fetch += waited.saturating_sub(rolling.last_step);
            fetched = next;
        }
        (Some(rolling), Ok(()))
    }

    /// Binds, indexes, swaps, tells.
    async fn show(&mut self, rolling: Rolling, snapshot: Option<Version>, trip: &mut Trip) -> Result<(), RefreshError> {
        let (from, to, commits) = (self.version(), rolling.state.version(), rolling.commits);
        self.budget = rolling.budget;
        let env = self.shared.env.clone();
        let made = env.cpu(move || rolling.into_view()).await;
        let (view, times) = made.map_err(|source| RefreshError::Panicked { version: to, source })??;
        let started = env.instant();
        #[cfg(feature = "testing")]
        if self.torn_swaps {
            self.shared.swap_torn(&view);
        }
        self.shared.swap(view);
        let now = env.instant();
        trip.times.swap = now - started;
        trip.times.total = now - trip.started;
        (trip.times.apply, trip.times.compare, trip.times.index) = (times.apply, times.compare, times.index);
        self.recent.retain(|entry| entry.head.position.0 > to.0);
        self.recent_bytes = self.recent.iter().map(|entry| entry.bytes).sum();
        self.quarantine.reached(to);
        let path = match snapshot {
            Some(version) => RefreshPath::Snapshot { version, commits },
            None => RefreshPath::Deltas { commits },
        };
        self.shared.tell(&Report { from, to, path, steps: trip.times, bytes: trip.bytes });
        Ok(())
    }

    /// What is known now, for the status.
    fn note(&self, result: &Result<(), RefreshFailed>) {
        let now = self.env().now();
        let broken = self.pulse.broken_for(self.env().instant());
        let newest = self.reader.as_ref().map(|reader| reader.outline().version);
        let mut situation = self.shared.situation();
        let before = situation.health();
        situation.version = self.version();
        situation.newest = newest.unwrap_or(situation.newest).max(situation.version);
        situation.behind_since = (situation.newest > situation.version).then(|| situation.behind_since.unwrap_or(now));
        situation.promise_broken_since = broken.map(|broken| Timestamp(now.0.saturating_sub(millis(broken))));
        situation.quarantined = self.quarantine.version().map(|(version, why)| (version, why.clone()));
        match result {
            Ok(()) => situation.succeeded(),
            // A caller who asks for what can't be says nothing about the consumer.
            Err(error) if error.is_callers() => {}
            Err(error) => situation.failed(error.clone(), now),
        }
        let after = situation.health();
        drop(situation);
        if std::mem::discriminant(&before) != std::mem::discriminant(&after) {
            let error = result.as_ref().err().map(tracing::field::display);
            tracing::info!(url = self.storage.url(), %before, %after, error, "health changed");
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl RefreshError {
    /// The version that failed, where the error knows it.
    fn version(&self) -> Option<Version> {
        match self {
            RefreshError::Altered { version, .. }
            | RefreshError::Delta { version, .. }
            | RefreshError::Apply { version, .. }
            | RefreshError::Schema { version, .. }
            | RefreshError::Key { version, .. }
            | RefreshError::Parent { version, .. }
            | RefreshError::Differs { version, .. }
            | RefreshError::Panicked { version, .. }
            | RefreshError::Bind { version, .. }
            | RefreshError::Index { version, .. }
            | RefreshError::TooLarge { version, .. }
            | RefreshError::Unreachable { version } => Some(*version),
            _ => None,
        }
    }

    /// Whether the caller asked for what can't be.
    fn is_callers(&self) -> bool {
        matches!(self, RefreshError::Backward { .. } | RefreshError::NoSuchVersion { .. } | RefreshError::Closed)
    }
}
