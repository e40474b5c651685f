//! What a refresh did: reported to `on_refresh` listeners, the log and the metrics.

use std::time::Duration;

use cenote_state::ids::Version;

/// A refresh that brought a new version.
///
/// ```
/// use cenote_consumer::RefreshReport;
///
/// fn log(report: &RefreshReport) {
///     println!("{} → {} in {:?}, {} bytes fetched", report.from, report.to, report.steps.total, report.bytes);
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefreshReport {
    /// The version before; 0 if there was none.
    pub from: Version,
    /// The version now.
    pub to: Version,
    /// How the version was reached.
    pub path: RefreshPath,
    /// How long each step took.
    pub steps: StepTimes,
    /// Bytes fetched, log entries included.
    pub bytes: u64,
}

/// How a version was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefreshPath {
    /// By the deltas of this many commits.
    Deltas {
        /// How many.
        commits: u64,
    },
    /// By a snapshot, and the deltas of the commits after it.
    Snapshot {
        /// The snapshot's version.
        version: Version,
        /// How many commits after it.
        commits: u64,
    },
}

/// How long each step of a refresh took. Steps overlap: deltas are fetched while earlier ones are applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StepTimes {
    /// Reading the log to its end.
    pub look: Duration,
    /// Waiting for deltas, or for the snapshot (which is decoded as it arrives).
    pub fetch: Duration,
    /// Decoding and applying deltas.
    pub apply: Duration,
    /// Comparing digests and counts.
    pub compare: Duration,
    /// Binding, and updating the hash indexes.
    pub index: Duration,
    /// Swapping the new view in.
    pub swap: Duration,
    /// From the beginning of the look to the end of the swap.
    pub total: Duration,
}
