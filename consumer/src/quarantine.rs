//! Quarantine: versions that could not be reached, and how often that is tried again.
//!
//! A version whose delta does not fit is tried by a snapshot; if that fails too, the old view is served and the next
//! version tried. Every consumer of a dataset meets a bad version at the same moment, so retries are spread and
//! snapshots rationed: a fleet must not take the store down because one object is damaged.
//!
//! Rules: what failed is tried again when the log has grown, or after about a minute; a snapshot in place of a delta at
//! most once an hour; an object that is missing is waited for some minutes before that counts as damage (rule 6).

use std::time::Duration;

use cenote_state::ids::{Position, Version};
use cenote_store::env::{Env, Instant};

use crate::error::RefreshFailed;

/// What failed is tried again after this time, ± 20 %, even if the log stands still.
const RETRY: Duration = Duration::from_secs(60);
/// Snapshots in place of a delta are one hour apart at least, and up to 40 % more.
const SNAPSHOT_GAP: Duration = Duration::from_secs(4_320);
const SNAPSHOT_JITTER: f64 = 1.0 / 6.0;
/// An object that is missing is waited for so long.
const MISSING_PATIENCE: Duration = Duration::from_secs(300);

/// What could not be reached.
#[derive(Debug, Default)]
pub(crate) struct Quarantine {
    failed: Option<Failed>,
    missing: Option<(Version, Instant)>,
    next_snapshot: Option<Instant>,
}

#[derive(Debug)]
struct Failed {
    version: Version,
    /// Where the log stood.
    position: Position,
    retry_at: Instant,
    why: RefreshFailed,
}

impl Quarantine {
    /// The version that is held back, and why.
    pub(crate) fn version(&self) -> Option<(Version, &RefreshFailed)> {
        self.failed.as_ref().map(|failed| (failed.version, &failed.why))
    }

    /// Whether a newer version may be tried, now that the log stands at `position`; else why not.
    pub(crate) fn check(&self, position: Position, now: Instant) -> Result<(), RefreshFailed> {
        match &self.failed {
            Some(failed) if position <= failed.position && now < failed.retry_at => Err(failed.why.clone()),
            _ => Ok(()),
        }
    }

    /// `version` could not be reached.
    pub(crate) fn failed(&mut self, version: Version, position: Position, why: RefreshFailed, env: &Env) {
        let retry_at = env.instant() + env.jitter(RETRY, 0.2);
        self.failed = Some(Failed { version, position, retry_at, why });
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

    /// An object of `version` is not there: whether to wait for it still.
    pub(crate) fn is_worth_waiting(&mut self, version: Version, now: Instant) -> bool {
        match self.missing {
            Some((missing, since)) if missing == version => now < since + MISSING_PATIENCE,
            _ => {
                self.missing = Some((version, now));
                true
            }
        }
    }

    /// `version` was reached: what was held back up to it is settled.
    pub(crate) fn reached(&mut self, version: Version) {
        self.failed = self.failed.take().filter(|failed| failed.version > version);
        self.missing = self.missing.filter(|(missing, _)| *missing > version);
    }
}
