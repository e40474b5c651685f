//! What of this crate's records is on storage, field by field. See `cenote_state::codec` for how a field is written.
//!
//! The shapes in memory may change; these may not.
//!
//! Rules: here bytes become a value or none; what it means, and that it keeps its limits, is checked by the object that it
//! is in.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use super::entry::{ObjectRef, Open, Snapshot, Trim};
use super::state::{Cost, KeptSnapshot, Mark};
use cenote_state::hash::Hash;
use cenote_state::ids::{Epoch, Position, Timestamp, Version};
use cenote_state::wire;

/// The part of a commit that is always there.
pub(super) struct CommitCore {
    pub(super) parent: Version,
    pub(super) parent_digest: u128,
    pub(super) digest: u128,
    pub(super) republishes: Option<Version>,
}

/// Where the log is, as a checkpoint has it.
pub(super) struct Place {
    pub(super) position: Position,
    pub(super) hash: Hash,
    pub(super) epoch: Epoch,
    pub(super) checkpoint: Position,
    pub(super) log_start: Position,
    pub(super) version: Version,
    pub(super) digest: u128,
    pub(super) cost: Cost,
}

/// What a hint says.
pub(super) struct HintRecord {
    pub(super) position: Position,
    pub(super) epoch: Epoch,
    pub(super) beat: u64,
    pub(super) owner: Option<String>,
    pub(super) heartbeat_interval_ms: u64,
}

wire! {
    Open { owner: String }
    CommitCore { parent: Version, parent_digest: u128, digest: u128, republishes: Option<Version> }
    ObjectRef { name: String, length: u64, hash: Hash }
    Snapshot { version: Version, object: ObjectRef, digest: u128, committed_at: Timestamp }
    Trim { log_start: Position }
    Place {
        position: Position,
        hash: Hash,
        epoch: Epoch,
        checkpoint: Position,
        log_start: Position,
        version: Version,
        digest: u128,
        cost: Cost,
    }
    KeptSnapshot { snapshot: Snapshot, time: Timestamp, cost: Cost }
    Mark { version: Version, cost: Cost }
    Cost { bytes: u64, requests: u64 }
    HintRecord { position: Position, epoch: Epoch, beat: u64, owner: Option<String>, heartbeat_interval_ms: u64 }
}
