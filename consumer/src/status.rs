//! Status: how well a consumer does its job, apart from whether it serves.
//!
//! A consumer serves its last view through every failure, so "is it serving" and "is it healthy" are two questions: a
//! load balancer asks the first, a person who is paged the second.

use std::fmt;
use std::time::Duration;

use cenote_state::ids::{Timestamp, Version};

use crate::error::{RefreshFailed, Remedy};
use crate::retire::OldViews;

/// How well the consumer follows its dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// The last look at the log found nothing newer than the view.
    Fresh,
    /// A newer version can't be reached, or the store can't: see [`Status::last_error`].
    Stale {
        /// Since when.
        since: Timestamp,
    },
    /// The producer broke its promise to be heard of: newer data may exist that nobody publishes.
    Unknown {
        /// Since when.
        since: Timestamp,
    },
    /// The dataset's schema no longer fits the program's records: change the program.
    Incompatible,
    /// The dataset was written by a newer release: upgrade this program.
    NeedsUpgrade,
    /// Another dataset stands under the name: open anew.
    DatasetReplaced,
    /// Nothing was published yet.
    Empty,
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Health::Fresh => "fresh",
            Health::Stale { .. } => "stale",
            Health::Unknown { .. } => "unknown",
            Health::Incompatible => "incompatible",
            Health::NeedsUpgrade => "needs upgrade",
            Health::DatasetReplaced => "dataset replaced",
            Health::Empty => "empty",
        })
    }
}

/// A consumer at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// How well it follows.
    pub health: Health,
    /// The version that it serves; 0 if none.
    pub version: Version,
    /// The newest version that it knows of.
    pub newest: Version,
    /// How long the oldest version that it does not show yet has been committed, by the producer's clock.
    pub lag: Duration,
    /// A version that could not be reached, and why.
    pub quarantined: Option<(Version, RefreshFailed)>,
    /// Why the last refresh failed; none if it did not.
    pub last_error: Option<RefreshFailed>,
    /// Views that were replaced and are still held.
    pub old_views: OldViews,
}

/// What the owner's task knows, from which the status is told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Situation {
    pub(crate) version: Version,
    pub(crate) newest: Version,
    /// When the first commit that is not shown was made.
    pub(crate) behind_since: Option<Timestamp>,
    pub(crate) failing_since: Option<Timestamp>,
    pub(crate) promise_broken_since: Option<Timestamp>,
    pub(crate) quarantined: Option<(Version, RefreshFailed)>,
    pub(crate) last_error: Option<RefreshFailed>,
}

impl Situation {
    /// A look went well.
    pub(crate) fn succeeded(&mut self) {
        self.failing_since = None;
        self.last_error = None;
    }

    /// A look, or what followed it, failed.
    pub(crate) fn failed(&mut self, error: RefreshFailed, now: Timestamp) {
        self.failing_since.get_or_insert(now);
        self.last_error = Some(error);
    }

    pub(crate) fn health(&self) -> Health {
        match self.last_error.as_ref().map(|error| error.remedy()) {
            Some(Remedy::Reopen) => return Health::DatasetReplaced,
            Some(Remedy::Upgrade) => return Health::NeedsUpgrade,
            Some(Remedy::Change) => return Health::Incompatible,
            _ => {}
        }
        let stale_since = self.failing_since.or(self.behind_since);
        match (stale_since, self.promise_broken_since) {
            (Some(since), _) => Health::Stale { since },
            (None, _) if self.version == Version::EMPTY => Health::Empty,
            (None, Some(since)) => Health::Unknown { since },
            (None, None) => Health::Fresh,
        }
    }

    pub(crate) fn status(&self, now: Timestamp, old_views: OldViews) -> Status {
        let lag = self.behind_since.map_or(0, |since| now.0.saturating_sub(since.0));
        Status {
            health: self.health(),
            version: self.version,
            newest: self.newest,
            lag: Duration::from_millis(lag),
            quarantined: self.quarantined.clone(),
            last_error: self.last_error.clone(),
            old_views,
        }
    }
}
