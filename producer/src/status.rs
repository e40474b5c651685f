//! What a producer is doing, for programs that watch over it.

use cenote_state::ids::{Epoch, Version};

use crate::snapshot::SnapshotFailure;

/// A producer as [`Producer::status`](crate::Producer::status) finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The newest committed version.
    pub version: Version,
    /// The producer's epoch.
    pub epoch: Epoch,
    /// Why the last snapshot was not made; none if it was. Versions are published all the same, and starts take longer.
    pub snapshot_failure: Option<SnapshotFailure>,
}
