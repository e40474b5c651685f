//! An attempt to refresh by one route: fetch, apply, compare, index, swap, report.
//!
//! Rules: computations run off the async threads, and a panic in one is an error; versions that were proven before a step
//! failed are shown all the same.

use std::sync::Arc;
use std::time::Duration;

use cenote_state::ids::{Timestamp, Version};
use cenote_state::state::State;
use cenote_state::view::View;
use cenote_store::env::Instant;
use cenote_store::load::{self, Commits, Replay, SnapshotToLoad};
use cenote_store::log::state::KeptSnapshot;

use super::routes::Route;
use super::{Follower, Goal};
use crate::error::RefreshCause;
use crate::refresh::Rolling;
use crate::report::{RefreshPath, RefreshReport, StepTimes};

/// What one refresh has taken so far.
pub(super) struct RefreshAttempt {
    pub(super) started: Instant,
    pub(super) times: StepTimes,
    pub(super) bytes: u64,
}

impl RefreshAttempt {
    pub(super) fn starting(now: Instant) -> RefreshAttempt {
        RefreshAttempt { started: now, times: StepTimes::default(), bytes: 0 }
    }
}

impl Follower {
    /// Takes a route, and shows as much of it as was proven.
    pub(super) async fn take(
        &mut self,
        route: Route,
        goal: Goal,
        target: Version,
        attempt: &mut RefreshAttempt,
    ) -> Result<(), RefreshCause> {
        let (rolling, loaded) = match route {
            Route::View => (self.start_from_view()?, None),
            Route::Log => (self.start_from_nothing()?, None),
            Route::Snapshot(kept) => {
                let version = kept.snapshot.version;
                (self.load(kept, attempt).await?, Some(version))
            }
        };
        let (rolling, rolled) = self.roll(rolling, target, attempt).await;
        if let Some(rolling) = rolling.filter(|rolling| rolling.state().version() > self.version()) {
            if let (Goal::Version(wanted), Ok(())) = (goal, &rolled)
                && rolling.state().version() != wanted
            {
                return Err(self.no_such_version(wanted));
            }
            self.show(rolling, loaded, attempt).await?;
        }
        rolled
    }

    fn start_from_view(&self) -> Result<Rolling, RefreshCause> {
        let view = self.inner.cell.view();
        let base = (view.version() > Version::EMPTY).then(|| view.clone());
        self.rolling(view.state().clone(), view.committed_at(), base)
    }

    fn start_from_nothing(&self) -> Result<Rolling, RefreshCause> {
        let state = State::empty_of(&self.selection, Arc::default(), self.seed);
        self.rolling(state.expect("a schema without types has no wrong keys"), Timestamp(0), None)
    }

    fn rolling(&self, state: State, at: Timestamp, base: Option<View>) -> Result<Rolling, RefreshCause> {
        let dataset = self.reader().log_state().dataset;
        let replay = Replay::new(state, at, dataset, self.budget.limit(), self.env().threads());
        Rolling::new(replay, base, &self.program, self.budget, self.env())
    }

    async fn load(&self, kept: KeptSnapshot, attempt: &mut RefreshAttempt) -> Result<Rolling, RefreshCause> {
        let started = self.env().instant();
        let what = SnapshotToLoad {
            dataset: self.reader().log_state().dataset,
            snapshot: kept.snapshot.clone(),
            selection: self.selection.clone(),
            bytes_max: self.budget.limit(),
            seed: self.seed,
        };
        let loaded = load::snapshot(&self.storage, self.env(), &what, &|_, _| {}).await;
        let (state, transfer) = loaded.map_err(RefreshCause::Load)?;
        attempt.bytes += transfer.bytes;
        attempt.times.fetch += self.env().instant() - started;
        let mut rolling = self.rolling(state, kept.committed_at(), None)?;
        let (version, limit) = (kept.snapshot.version, self.budget.limit());
        let admitted = rolling.admit();
        admitted.map_err(|needed| RefreshCause::TooLarge { version, needed, limit })?;
        Ok(rolling)
    }

    /// Applies commit after commit. Returns the last state that was proven; none after a panic.
    async fn roll(
        &mut self,
        rolling: Rolling,
        target: Version,
        attempt: &mut RefreshAttempt,
    ) -> (Option<Rolling>, Result<(), RefreshCause>) {
        let env = self.inner.env.clone();
        let mut commits = Commits::after(self.reader(), rolling.state().version(), target, &self.recent);
        let started = env.instant();
        let (rolling, rolled) = load::roll(&env, &mut commits, rolling, Rolling::step, &|_| {}).await;
        // Deltas are fetched while others are applied: only the rest is waiting.
        let stepped = rolling.as_ref().map_or(Duration::ZERO, |rolling| rolling.stepped);
        attempt.times.fetch += (env.instant() - started).saturating_sub(stepped);
        attempt.bytes += commits.take_bytes();
        (rolling, rolled)
    }

    /// Binds, indexes, swaps, reports.
    async fn show(
        &mut self,
        rolling: Rolling,
        snapshot: Option<Version>,
        attempt: &mut RefreshAttempt,
    ) -> Result<(), RefreshCause> {
        let (from, to, commits) = (self.version(), rolling.state().version(), rolling.commits());
        self.budget = rolling.budget;
        let env = self.inner.env.clone();
        let made = env.cpu(move || rolling.into_view()).await;
        let (view, times) = made.map_err(|source| RefreshCause::Panicked { version: to, source })??;
        let started = env.instant();
        #[cfg(feature = "testing")]
        if self.torn_swaps {
            self.inner.swap_torn(&view);
        }
        let missing_types = self.program.missing_types(view.dataset_schema());
        self.inner.swap(view, missing_types);
        let now = env.instant();
        attempt.times.swap = now - started;
        attempt.times.total = now - attempt.started;
        let times_of = &mut attempt.times;
        (times_of.apply, times_of.compare, times_of.index) = (times.apply, times.compare, times.index);
        self.recent.retain(|entry| entry.head.position.0 > to.0);
        self.recent_bytes = self.recent.iter().map(|entry| entry.bytes).sum();
        self.quarantine.reached(to);
        let path = match snapshot {
            Some(version) => RefreshPath::Snapshot { version, commits },
            None => RefreshPath::Deltas { commits },
        };
        self.inner.report(&RefreshReport { from, to, path, steps: attempt.times, bytes: attempt.bytes });
        Ok(())
    }
}
