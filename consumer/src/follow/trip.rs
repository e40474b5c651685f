//! A trip along one way: fetch, apply, compare, index, swap, tell.
//!
//! Rules: computations run off the async threads, and a panic in one is an error; what was proven before a step failed is
//! shown all the same.

use cenote_state::ids::{Timestamp, Version};
use cenote_state::state::State;
use cenote_state::view::View;
use cenote_store::env::Instant;
use cenote_store::load::{self, SnapshotToLoad};
use cenote_store::log::outline::KeptSnapshot;

use super::{Follower, Goal};
use crate::fetch::Commits;
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
}
