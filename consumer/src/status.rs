//! Status: how well a consumer follows its dataset, apart from whether it serves.
//!
//! A consumer serves its last view through every failure, so "is it serving" and "is it healthy" are two questions: a load
//! balancer asks the first, a person on call the second.

use std::fmt;
use std::time::Duration;

use cenote_state::held::HeldCounts;
use cenote_state::ids::{Timestamp, Version};
use cenote_store::error::ErrorKind;
use cenote_store::log::ReadError;

use crate::error::{RefreshCause, RefreshError};
use crate::retire::OldViews;

/// How well the consumer follows its dataset.
///
/// ```
/// use cenote_consumer::Health;
///
/// fn should_page(health: Health) -> bool {
///     matches!(health, Health::Incompatible | Health::NeedsUpgrade | Health::DatasetReplaced)
/// }
/// assert!(!should_page(Health::Fresh));
/// assert_eq!(Health::NeedsUpgrade.to_string(), "needs upgrade");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// The last poll of the log found nothing newer than the view.
    Fresh,
    /// A newer version, or the store, can't be reached: see [`Status::last_error`].
    Stale {
        /// Since when.
        since: Timestamp,
    },
    /// The producer's heartbeat is overdue: newer data may exist and not be published.
    Unknown {
        /// Since when.
        since: Timestamp,
    },
    /// The dataset's schema no longer fits the program's records: change the program.
    Incompatible,
    /// A newer release wrote the dataset: upgrade this program.
    NeedsUpgrade,
    /// Another dataset, or an older copy of this one, was put under the same URL: open it again.
    DatasetReplaced,
    /// Nothing was published yet.
    Empty,
    /// The consumer follows no more: it was closed, or its task is gone with the runtime that it ran on.
    Closed,
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
            Health::Closed => "closed",
        })
    }
}

/// A consumer at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// How well it follows its dataset.
    pub health: Health,
    /// The version that it serves; 0 if none.
    pub version: Version,
    /// The newest version that it knows of.
    pub newest: Version,
    /// The age of the oldest version that it does not show yet, by the producer's clock.
    pub lag: Duration,
    /// A version that could not be reached, and why.
    pub quarantined: Option<(Version, RefreshError)>,
    /// Why the last refresh failed; none if it did not.
    pub last_error: Option<RefreshError>,
    /// Views that were replaced and are still held.
    pub old_views: OldViews,
    /// Root types that the program declares and the dataset lacks, though it has others; their tables are empty. Either
    /// they are yet to come, or this is the wrong dataset.
    pub missing_types: Vec<String>,
    /// How much of the dataset's types and fields it holds: what the program declares, or all of it if the consumer was
    /// built with [`whole`](crate::ConsumerBuilder::whole).
    pub held: HeldCounts,
}

/// What the task knows; a [`Status`] is made of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct StatusInner {
    pub(crate) version: Version,
    pub(crate) newest: Version,
    /// When the first commit that the view does not show was made.
    pub(crate) behind_since: Option<Timestamp>,
    pub(crate) failing_since: Option<Timestamp>,
    pub(crate) heartbeat_overdue_since: Option<Timestamp>,
    pub(crate) quarantined: Option<(Version, RefreshError)>,
    pub(crate) last_error: Option<RefreshError>,
    pub(crate) missing_types: Vec<String>,
}

impl StatusInner {
    /// Notes that a refresh succeeded.
    pub(crate) fn succeeded(&mut self) {
        self.failing_since = None;
        self.last_error = None;
    }

    /// Notes that a refresh failed.
    pub(crate) fn failed(&mut self, error: RefreshError, now: Timestamp) {
        self.failing_since.get_or_insert(now);
        self.last_error = Some(error);
    }

    pub(crate) fn health(&self) -> Health {
        if let Some(health) = self.last_error.as_ref().and_then(health_after) {
            return health;
        }
        let stale_since = self.failing_since.or(self.behind_since);
        match (stale_since, self.heartbeat_overdue_since) {
            (Some(since), _) => Health::Stale { since },
            (None, _) if self.version == Version::EMPTY => Health::Empty,
            (None, Some(since)) => Health::Unknown { since },
            (None, None) => Health::Fresh,
        }
    }

    pub(crate) fn status(&self, now: Timestamp, old_views: OldViews, held: HeldCounts) -> Status {
        let lag = self.behind_since.map_or(0, |since| now.0.saturating_sub(since.0));
        Status {
            health: self.health(),
            version: self.version,
            newest: self.newest,
            lag: Duration::from_millis(lag),
            quarantined: self.quarantined.clone(),
            last_error: self.last_error.clone(),
            old_views,
            missing_types: self.missing_types.clone(),
            held,
        }
    }
}

/// The health that a failure leads to, if a person has to act.
fn health_after(error: &RefreshError) -> Option<Health> {
    match error.cause() {
        RefreshCause::Read(ReadError::Replaced { .. } | ReadError::Restored { .. }) => Some(Health::DatasetReplaced),
        RefreshCause::Bind { .. } | RefreshCause::Index { .. } => Some(Health::Incompatible),
        _ if error.kind() == ErrorKind::Upgrade => Some(Health::NeedsUpgrade),
        _ => None,
    }
}
