//! The ways to a version: the cheapest one first, then around what fails.
//!
//! From the view by deltas, or from a snapshot and the deltas behind it. Bytes that are wrong are gone around; a store that
//! has its troubles is asked again later; an object that is missing is waited for first.
//!
//! Rules: no way is tried twice in one refresh; while an old view is served, snapshots are rationed; a version that no way
//! leads to is quarantined.

use cenote_state::ids::{Position, Version};

use super::{Follower, Goal, Trip};
use crate::error::{RefreshFailed, Remedy};
use crate::plan::{Start, around, cheapest};
use crate::refresh::RefreshError;

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

impl Follower {
    /// Goes to `target` by the cheapest way, and around what fails.
    pub(super) async fn reach(&mut self, goal: Goal, target: Version, trip: &mut Trip) -> Result<(), RefreshFailed> {
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
            (None, Start::Snapshot(kept)) if matches!(error, RefreshError::Load(_)) => kept.snapshot.version,
            // An object that is missing is a delta's: the first one behind what was reached.
            _ => self
                .recent
                .iter()
                .map(|entry| Version(entry.head.position.0))
                .find(|version| *version > self.version())
                .unwrap_or(target),
        }
    }
}

impl RefreshError {
    /// The version that failed, where the error knows it.
    fn version(&self) -> Option<Version> {
        match self {
            RefreshError::Load(error) => error.version(),
            RefreshError::Panicked { version, .. }
            | RefreshError::Bind { version, .. }
            | RefreshError::Index { version, .. }
            | RefreshError::TooLarge { version, .. }
            | RefreshError::Unreachable { version } => Some(*version),
            _ => None,
        }
    }
}
