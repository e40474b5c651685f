//! What a refresh did: told to `on_refresh` listeners, and to the log and the metrics.

use std::time::Duration;

use cenote_state::ids::Version;

/// A refresh that brought a new version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The version before; 0 if there was none.
    pub from: Version,
    /// The version now.
    pub to: Version,
    /// How it came.
    pub path: RefreshPath,
    /// How long each step took.
    pub steps: StepTimes,
    /// Bytes fetched, log entries included.
    pub bytes: u64,
}

/// How a version came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshPath {
    /// By the deltas of this many commits.
    Deltas {
        /// How many.
        commits: u64,
    },
    /// By a snapshot, and the deltas of the commits behind it.
    Snapshot {
        /// The snapshot's version.
        version: Version,
        /// How many commits behind it.
        commits: u64,
    },
}

/// How long each step of a refresh took. Steps overlap: deltas are fetched while earlier ones are applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepTimes {
    /// Reading the log to its end.
    pub look: Duration,
    /// Waiting for deltas, or for the snapshot (which is decoded as it comes).
    pub fetch: Duration,
    /// Decoding and applying deltas.
    pub apply: Duration,
    /// Comparing digests and counts.
    pub compare: Duration,
    /// Binding, and bringing the hash indexes up to date.
    pub index: Duration,
    /// Putting the new view in its place.
    pub swap: Duration,
    /// From the beginning of the look to the swap.
    pub total: Duration,
}
