//! Quarantine: versions that could not be reached, and how often that is tried again.
//!
//! A version whose delta does not fit is tried by a snapshot; if that fails too, the old view is served and the next
//! version tried. All consumers of a dataset meet a bad version at the same moment, so retries are spread and snapshots
//! rationed: a fleet must not take the store down because one object is damaged.
//!
//! Rules: a version that failed is tried again when the log has grown, or after about a minute; a snapshot in place of
//! deltas at most once an hour; where no deltas are left, each snapshot is tried once, and again after a minute; a missing
//! object is awaited for some minutes before it counts as damage (rule 6).

use std::time::Duration;

use cenote_state::ids::{Position, Version};
use cenote_store::env::{Env, Instant};

use crate::error::RefreshError;

/// A version that failed is tried again after this time, ± 20 %, even if the log does not grow.
const RETRY: Duration = Duration::from_mins(1);
/// Snapshots in place of a delta are at least one hour apart, and up to 40 % more.
const SNAPSHOT_GAP: Duration = Duration::from_mins(72);
const SNAPSHOT_JITTER: f64 = 1.0 / 6.0;
/// A missing object is awaited for this time.
const MISSING_PATIENCE: Duration = Duration::from_mins(5);

/// What could not be reached.
#[derive(Debug, Default)]
pub(crate) struct Quarantine {
    failed: Option<Failed>,
    missing: Option<(Version, Instant)>,
    next_snapshot: Option<Instant>,
    /// The snapshot that was tried last because no deltas were left, and when it may be tried again.
    last_resort: Option<(Version, Instant)>,
}

#[derive(Debug)]
struct Failed {
    version: Version,
    /// The end of the log at that time.
    position: Position,
    retry_at: Instant,
    error: RefreshError,
}

impl Quarantine {
    /// The version in quarantine, and why.
    pub(crate) fn version(&self) -> Option<(Version, &RefreshError)> {
        self.failed.as_ref().map(|failed| (failed.version, &failed.error))
    }

    /// Checks whether a newer version may be tried, given that the log ends at `position`.
    ///
    /// # Errors
    /// The failure because of which it may not.
    pub(crate) fn check(&self, position: Position, now: Instant) -> Result<(), RefreshError> {
        match &self.failed {
            Some(failed) if position <= failed.position && now < failed.retry_at => Err(failed.error.clone()),
            _ => Ok(()),
        }
    }

    /// Puts a version that could not be reached into quarantine.
    pub(crate) fn failed(&mut self, version: Version, position: Position, error: RefreshError, env: &Env) {
        let retry_at = env.instant() + env.jitter(RETRY, 0.2);
        self.failed = Some(Failed { version, position, retry_at, error });
    }

    /// Whether a snapshot may be loaded in place of a delta; if so, it counts as loaded from here on.
    pub(crate) fn take_snapshot(&mut self, env: &Env) -> bool {
        let now = env.instant();
        if self.next_snapshot.is_some_and(|next| now < next) {
            return false;
        }
        self.next_snapshot = Some(now + env.jitter(SNAPSHOT_GAP, SNAPSHOT_JITTER));
        true
    }

    /// Whether the snapshot of `version` may be loaded though a version is in quarantine, given that no deltas lead there.
    ///
    /// # Errors
    /// The failure because of which it may not yet.
    pub(crate) fn take_last_resort(&mut self, version: Version, env: &Env) -> Result<(), RefreshError> {
        let now = env.instant();
        match (&self.failed, self.last_resort) {
            (Some(failed), Some((tried, again))) if tried == version && now < again => Err(failed.error.clone()),
            _ => {
                self.last_resort = Some((version, now + env.jitter(RETRY, 0.2)));
                Ok(())
            }
        }
    }

    /// Whether to go on waiting for a missing object of `version`.
    pub(crate) fn is_worth_waiting(&mut self, version: Version, now: Instant) -> bool {
        match self.missing {
            Some((missing, since)) if missing == version => now < since + MISSING_PATIENCE,
            _ => {
                self.missing = Some((version, now));
                true
            }
        }
    }

    /// Releases all versions up to `version`, which was reached.
    pub(crate) fn reached(&mut self, version: Version) {
        self.failed = self.failed.take().filter(|failed| failed.version > version);
        self.missing = self.missing.filter(|(missing, _)| *missing > version);
    }
}
