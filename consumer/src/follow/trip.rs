//! A trip along one way: fetch, apply, compare, index, swap, tell.
//!
//! Rules: computations run off the async threads, and a panic in one is an error; what was proven before a step failed is
//! shown all the same.

use std::time::Duration;

use cenote_state::ids::{Timestamp, Version};
use cenote_state::state::State;
use cenote_state::view::View;
use cenote_store::env::Instant;
use cenote_store::load::{self, Commits, SnapshotToLoad};
use cenote_store::log::outline::KeptSnapshot;

use super::{Follower, Goal};
use crate::plan::Start;
use crate::refresh::{RefreshError, Rolling};
use crate::report::{RefreshPath, Report, StepTimes};

/// What one refresh has taken so far.
pub(super) struct Trip {
    pub(super) started: Instant,
    pub(super) times: StepTimes,
    pub(super) bytes: u64,
}

impl Trip {
    pub(super) fn starting(now: Instant) -> Trip {
        Trip { started: now, times: StepTimes::default(), bytes: 0 }
    }
}

impl Follower {
    /// Takes one way, and shows as much of it as was proven.
    pub(super) async fn go(
        &mut self,
        start: Start,
        goal: Goal,
        target: Version,
        trip: &mut Trip,
    ) -> Result<(), RefreshError> {
        let (rolling, loaded) = match start {
            Start::View => (self.start_from_view()?, None),
            Start::Snapshot(kept) => {
                let version = kept.snapshot.version;
                (self.load(kept, trip).await?, Some(version))
            }
        };
        let (rolling, rolled) = self.roll(rolling, target, trip).await;
        if let Some(rolling) = rolling.filter(|rolling| rolling.state().version() > self.version()) {
            if let (Goal::Version(wanted), Ok(())) = (goal, &rolled)
                && rolling.state().version() != wanted
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
            dataset: self.reader().outline().dataset,
            snapshot: kept.snapshot.clone(),
            bytes_max: self.budget.limit(),
            seed: self.seed,
        };
        let loaded = load::snapshot(&self.storage, self.env(), &what, &|_, _| {}).await;
        let (state, transfer) = loaded.map_err(RefreshError::Load)?;
        trip.bytes += transfer.bytes;
        trip.times.fetch += self.env().instant() - started;
        let mut rolling = self.rolling(state, kept.committed_at(), None)?;
        let (version, limit) = (kept.snapshot.version, self.budget.limit());
        let admitted = rolling.admit();
        admitted.map_err(|needed| RefreshError::TooLarge { version, needed, limit })?;
        Ok(rolling)
    }

    /// Applies commit after commit. Returns the last state that was proven; none after a panic.
    async fn roll(
        &mut self,
        rolling: Rolling,
        target: Version,
        trip: &mut Trip,
    ) -> (Option<Rolling>, Result<(), RefreshError>) {
        let env = self.shared.env.clone();
        let mut commits = Commits::after(self.reader(), rolling.state().version(), target, &self.recent);
        let started = env.instant();
        let (rolling, rolled) = load::roll(&env, &mut commits, rolling, Rolling::step, &|_| {}).await;
        // Deltas are fetched while others are applied: only the rest is waiting.
        let stepped = rolling.as_ref().map_or(Duration::ZERO, |rolling| rolling.stepped);
        trip.times.fetch += (env.instant() - started).saturating_sub(stepped);
        trip.bytes += commits.take_bytes();
        (rolling, rolled)
    }

    /// Binds, indexes, swaps, tells.
    async fn show(&mut self, rolling: Rolling, snapshot: Option<Version>, trip: &mut Trip) -> Result<(), RefreshError> {
        let (from, to, commits) = (self.version(), rolling.state().version(), rolling.commits());
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
}
