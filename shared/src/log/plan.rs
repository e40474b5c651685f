//! The planner: which snapshot, if any, and which deltas. Pure: numbers in, a plan out.
//!
//! The price of a way is what it keeps the wire busy with, in bytes: bytes + requests × latency × bandwidth; a way that
//! loads a snapshot beside a state that is still being read also pays for the memory of that second state.
//!
//! Rules: a way exists only if all its deltas do (they begin at the floor); between equals the one without a snapshot.

use std::time::Duration;

use super::entry::Snapshot;
use super::outline::{Cost, Outline};
use crate::ids::Version;

/// A ranged read of a snapshot.
const PART_BYTES: u64 = 4 << 20;

/// What reading costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CostModel {
    /// One request's round trip. Default: 60 ms, S3's median.
    pub latency: Duration,
    /// Bytes a second. Default: 100 MB.
    pub bandwidth: u64,
    /// What a second state takes in memory, in bytes; counted when a snapshot is loaded beside a state. Default: 0.
    pub second_state_bytes: u64,
}

impl Default for CostModel {
    fn default() -> CostModel {
        CostModel { latency: Duration::from_millis(60), bandwidth: 100_000_000, second_state_bytes: 0 }
    }
}

impl CostModel {
    /// The price in bytes.
    #[must_use]
    pub fn price(&self, cost: Cost) -> u64 {
        let request = self.latency.as_secs_f64() * self.bandwidth as f64;
        cost.bytes.saturating_add((cost.requests as f64 * request) as u64)
    }
}

/// The state that the planner's caller has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Have {
    /// Its version.
    pub version: Version,
    /// [`Outline::cost_at`] of it, by the outline of when it was the newest: later ones know old versions roughly.
    pub cost: Cost,
}

/// A way to a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The snapshot to load first; else the way begins at the state that one has, or at the empty one.
    pub snapshot: Option<Snapshot>,
    /// Apply the commits behind this version …
    pub from: Version,
    /// … up to and with this one.
    pub to: Version,
    /// What is read.
    pub cost: Cost,
    /// What that is worth, in bytes.
    pub price: u64,
}

/// The cheapest way from what one has to `target`; `None` if there is none: the target was trimmed, or lies ahead.
#[must_use]
pub fn plan(outline: &Outline, have: Option<Have>, target: Version, model: &CostModel) -> Option<Plan> {
    if target > outline.version {
        return None;
    }
    let end = outline.cost_at(target);
    let start = have.unwrap_or(Have { version: Version::EMPTY, cost: Cost::default() });
    let by_deltas = (can_roll(outline, start.version) && start.version <= target)
        .then(|| way(None, start.version, target, end - start.cost, model, 0));
    let second_state = have.map_or(0, |_| model.second_state_bytes);
    // A snapshot at or below what one has only helps if one's own way is cut off.
    let above = have.filter(|_| by_deltas.is_some()).map(|have| have.version);
    let useful = outline.snapshots.iter().filter(|kept| {
        let version = kept.snapshot.version;
        version <= target && can_roll(outline, version) && above.is_none_or(|above| above < version)
    });
    let by_snapshot = useful.map(|kept| {
        let cost = sum(snapshot_cost(&kept.snapshot), end - kept.cost);
        way(Some(kept.snapshot.clone()), kept.snapshot.version, target, cost, model, second_state)
    });
    by_deltas.into_iter().chain(by_snapshot).min_by_key(|plan| plan.price)
}

/// Whether a snapshot is due: the newest one with its deltas costs twice as much as it does alone.
#[must_use]
pub fn is_snapshot_due(outline: &Outline, model: &CostModel) -> bool {
    let Some(newest) = outline.newest_snapshot() else { return outline.version > Version::EMPTY };
    let alone = model.price(snapshot_cost(&newest.snapshot));
    let deltas = model.price(outline.cost_at(outline.version) - newest.cost);
    newest.snapshot.version < outline.version && deltas >= alone
}

/// Whether the deltas behind `version` are all there.
fn can_roll(outline: &Outline, version: Version) -> bool {
    version.position().next() >= outline.floor
}

fn snapshot_cost(snapshot: &Snapshot) -> Cost {
    let length = snapshot.object.length;
    Cost { bytes: length, requests: 1 + length.div_ceil(PART_BYTES) }
}

fn sum(one: Cost, other: Cost) -> Cost {
    Cost { bytes: one.bytes.saturating_add(other.bytes), requests: one.requests.saturating_add(other.requests) }
}

fn way(
    snapshot: Option<Snapshot>,
    from: Version,
    to: Version,
    cost: Cost,
    model: &CostModel,
    second_state: u64,
) -> Plan {
    let price = model.price(cost).saturating_add(second_state);
    Plan { snapshot, from, to, cost, price }
}
