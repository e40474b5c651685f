//! The routes to a version: the cheapest one first, then others around what fails.
//!
//! A route begins at the view or at a snapshot, and goes on by deltas. Which is cheapest is arithmetic on the log's log state
//! and lives with it. Here is what only a consumer knows: which routes have failed, and that a snapshot next to a state
//! that is being read is a second state in memory. Wrong bytes are avoided by another route; a store that fails is tried
//! again later; a missing object is awaited first.
//!
//! Rules: no route is taken twice in one refresh; while an old view is served, snapshots are rationed; a version that no
//! route leads to is quarantined.

use cenote_state::ids::{Position, Version};
use cenote_state::view::View;
use cenote_store::load::{Commits, LoadError};
use cenote_store::log::Entry;
use cenote_store::log::plan::{CostModel, Have, plan_with};
use cenote_store::log::state::{KeptSnapshot, LogState};

use super::{Follower, Goal, RefreshAttempt};
use crate::error::{Recovery, RefreshCause, RefreshError};

/// Where a route begins; deltas lead on from there.
#[derive(Clone, Debug)]
pub(super) enum Route {
    /// At the view, or at the empty state if there is none.
    View,
    /// At a snapshot.
    Snapshot(KeptSnapshot),
    /// At the log's first entry, whatever the view shows.
    Log,
}

impl Route {
    /// The cheapest route from `view` to `target`, given the commits that were read; `None` if what leads there was
    /// trimmed.
    fn cheapest(log_state: &LogState, view: &View, recent: &[Entry], target: Version) -> Option<Route> {
        let serving = view.version() > Version::EMPTY;
        let have = serving.then(|| Have { version: view.version(), cost: log_state.cost_at(view.version()) });
        // The size of the state matters only if a snapshot could be loaded next to it.
        let choice = log_state.newest_snapshot().is_some_and(|newest| newest.snapshot.version > view.version());
        let second_state_bytes = if serving && choice { view.state().memory_bytes() } else { 0 };
        let model = CostModel { second_state_bytes, ..Default::default() };
        let in_hand = |from| Commits::in_hand(from, target, recent);
        let plan = plan_with(log_state, have, target, &model, &in_hand)?;
        let Some(snapshot) = plan.snapshot else { return Some(Route::View) };
        let kept = log_state.snapshots.iter().find(|kept| kept.snapshot == snapshot);
        Some(Route::Snapshot(kept.expect("the plan's snapshots are the log state's").clone()))
    }
}

/// The snapshots from which `target` can be reached without what failed at `failed`, newest first.
fn snapshots_around(
    log_state: &LogState,
    current: Version,
    failed: Version,
    target: Version,
) -> impl Iterator<Item = &KeptSnapshot> {
    log_state.snapshots.iter().rev().filter(move |kept| {
        let version = kept.snapshot.version;
        version > current && version <= target && (version >= failed || current == Version::EMPTY)
    })
}

/// The routes that one refresh has tried.
#[derive(Default)]
struct Tried {
    deltas: bool,
    snapshots: Vec<Version>,
    /// The delta that failed; older snapshots lead through it again.
    failed_delta: Version,
    /// The newest version that failed.
    failed: Version,
    /// Whether more has to be held than the view has: then routes may begin before it.
    lacking: bool,
    log: bool,
}

impl Tried {
    fn note(&mut self, route: Route, failed: Version) {
        let mut by_delta = true;
        match route {
            Route::View => self.deltas = true,
            Route::Log => self.log = true,
            Route::Snapshot(kept) => {
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

impl Follower {
    /// Goes to `target` by the cheapest route, and by others if it fails.
    pub(super) async fn reach(
        &mut self,
        goal: Goal,
        target: Version,
        attempt: &mut RefreshAttempt,
    ) -> Result<(), RefreshError> {
        let position = self.reader().log_state().position;
        self.quarantine.check(position, self.env().instant())?;
        let mut tried = Tried::default();
        let mut route = self.first_route(goal, target)?;
        loop {
            let Err(error) = self.take(route.clone(), goal, target, attempt).await else { return Ok(()) };
            let failed = self.failed_at(&route, &error, target);
            if self.is_serving() && matches!(route, Route::Snapshot(_)) {
                // Whatever the reason for this snapshot was: the next one has to wait.
                let _ = self.quarantine.take_snapshot(&self.inner.env);
            }
            tried.note(route, failed);
            if let RefreshCause::Load(LoadError::Lacking { source, .. }) = &error {
                self.selection = self.selection.also(&source.columns);
                tried.lacking = true;
            }
            let next = if self.may_take_another(&error, failed) { self.next_route(&tried, target) } else { None };
            match next {
                Some(next) => route = next,
                None => return Err(self.give_up(error, tried.failed, position)),
            }
            tracing::warn!(url = self.storage.url(), %error, "trying another route");
        }
    }

    /// The cheapest route. While a version is in quarantine, snapshots are rationed.
    fn first_route(&mut self, goal: Goal, target: Version) -> Result<Route, RefreshError> {
        let cheapest = Route::cheapest(self.reader().log_state(), &self.inner.cell.view(), &self.recent, target);
        let Some(cheapest) = cheapest else {
            // The newest version can always be reached from a snapshot that is kept, unless the log lost it.
            return Err(match goal {
                Goal::Newest => RefreshCause::Unreachable { version: target }.into(),
                Goal::Version(wanted) => self.no_such_version(wanted).into(),
            });
        };
        let rationed = self.is_serving() && self.quarantine.version().is_some();
        match cheapest {
            Route::Snapshot(kept) if rationed && !self.has_deltas() => {
                self.quarantine.take_last_resort(kept.snapshot.version, &self.inner.env)?;
                Ok(Route::Snapshot(kept))
            }
            Route::Snapshot(_) if rationed && !self.quarantine.take_snapshot(&self.inner.env) => Ok(Route::View),
            route => Ok(route),
        }
    }

    /// Whether the log has all deltas after the view.
    fn has_deltas(&self) -> bool {
        self.version().position().next() >= self.reader().log_state().log_start
    }

    /// The next route to try. While an old view is served: deltas, then one snapshot. With nothing to serve: any snapshot,
    /// then deltas.
    fn next_route(&mut self, tried: &Tried, target: Version) -> Option<Route> {
        if tried.lacking {
            return self.route_with_more(tried, target);
        }
        let (version, serving) = (self.version(), self.is_serving());
        let log_state = self.reader().log_state();
        let deltas = !tried.deltas && self.has_deltas();
        let snapshot = snapshots_around(log_state, version, tried.failed_delta, target)
            .find(|kept| !tried.snapshots.contains(&kept.snapshot.version))
            .cloned();
        if serving && deltas {
            return Some(Route::View);
        }
        match snapshot {
            Some(kept) if !serving || !self.has_deltas() || self.quarantine.take_snapshot(&self.inner.env) => {
                Some(Route::Snapshot(kept))
            }
            None if deltas => Some(Route::View),
            _ => None,
        }
    }

    /// The next route that brings columns which the view does not hold: any snapshot, then the log from its first entry.
    fn route_with_more(&self, tried: &Tried, target: Version) -> Option<Route> {
        let log_state = self.reader().log_state();
        let mut snapshots = log_state.snapshots.iter().rev().map(|kept| (kept.snapshot.version, kept));
        let fresh = |version| version <= target && !tried.snapshots.contains(&version);
        match snapshots.find(|(version, _)| fresh(*version)) {
            Some((_, kept)) => Some(Route::Snapshot(kept.clone())),
            None => (!tried.log && log_state.log_start == Position(1)).then_some(Route::Log),
        }
    }

    fn give_up(&mut self, error: RefreshCause, failed: Version, position: Position) -> RefreshError {
        let quarantine = !error.recovery().is_transient() || self.is_lost(&error, failed);
        let error = RefreshError::from(error);
        if quarantine {
            self.quarantine.failed(failed, position, error.clone(), &self.inner.env);
        }
        error
    }

    /// Whether an object is missing for so long that it counts as damage.
    fn is_lost(&mut self, error: &RefreshCause, failed: Version) -> bool {
        error.recovery() == Recovery::AwaitObject && !self.quarantine.is_worth_waiting(failed, self.inner.env.instant())
    }

    /// Whether another route may help: the bytes of a version are wrong. A missing object is awaited first.
    fn may_take_another(&mut self, error: &RefreshCause, failed: Version) -> bool {
        match error.recovery() {
            Recovery::OtherRoute | Recovery::Restart => true,
            Recovery::AwaitObject => !self.is_serving() || self.is_lost(error, failed),
            _ => false,
        }
    }

    /// The version at which a route failed.
    fn failed_at(&self, route: &Route, error: &RefreshCause, target: Version) -> Version {
        match (error.version(), route) {
            (Some(version), _) => version,
            (None, Route::Snapshot(kept)) if matches!(error, RefreshCause::Load(_)) => kept.snapshot.version,
            // An entry that comes after what was reached: no commit that was read beyond it is nearer.
            _ if error.recovery() == Recovery::Restart => Version(self.version().position().next().0),
            // A missing object is a delta's: the first one after what was reached.
            _ => self
                .recent
                .iter()
                .map(|entry| Version(entry.head.position.0))
                .find(|version| *version > self.version())
                .unwrap_or(target),
        }
    }
}
