//! The planner: which snapshot, if any, and which deltas. Pure: numbers in, a plan out.
//!
//! The price of a way is its time, in bytes on the wire: bytes + round trips × latency × bandwidth. A snapshot's parts
//! are fetched several at a time and decoded on all cores; a delta is decoded on one and changes tables step by step,
//! so its bytes count for more. A way that loads a snapshot next to a state that is still being read also pays for the
//! memory of that second state. What was read already costs only the work on it: a consumer that looks at the log has the
//! deltas that are inside of entries.
//!
//! Rules: a way exists only if all its deltas do (they begin at the log start); between equals the one without a snapshot.

use std::time::Duration;

use super::entry::Snapshot;
use super::state::{Cost, LogState};
use cenote_state::ids::Version;

/// About what one ranged read of a snapshot asks for.
pub(crate) const PART_BYTES: u64 = 8 << 20;
/// Ranged reads under way at once, on the two cores that a small reader has.
const PARTS_AT_ONCE: u64 = 4;
/// A delta's byte takes as long as so many of a snapshot's. (The same million records: 1.9 s as a delta of 114 MB on an
/// empty state, 0.4 s as a snapshot of as many bytes.)
const DELTA_WORK: u64 = 4;

/// What reading costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CostModel {
    /// One request's round trip. Default: 60 ms, S3's median.
    pub latency: Duration,
    /// Bytes a second. Default: 100 MB.
    pub bandwidth: u64,
    /// What a second state takes in memory, in bytes; counted when a snapshot is loaded next to a state. Default: 0.
    pub second_state_bytes: u64,
}

impl Default for CostModel {
    fn default() -> CostModel {
        CostModel { latency: Duration::from_millis(60), bandwidth: 100_000_000, second_state_bytes: 0 }
    }
}

impl CostModel {
    /// The price of a snapshot, in bytes.
    #[must_use]
    pub(crate) fn snapshot_price(&self, snapshot: &Snapshot) -> u64 {
        let length = snapshot.object.length;
        // Its tail first, which says where its parts are.
        let rounds = 1 + length.div_ceil(PART_BYTES).div_ceil(PARTS_AT_ONCE);
        length.saturating_add(self.waiting(rounds))
    }

    /// The price of deltas, in bytes.
    #[must_use]
    pub(crate) fn delta_price(&self, cost: Cost) -> u64 {
        cost.bytes.saturating_mul(DELTA_WORK).saturating_add(self.waiting(cost.requests))
    }

    /// The price of deltas of which the entries were read, in bytes.
    #[must_use]
    pub fn price_in_hand(&self, in_hand: InHand) -> u64 {
        let work = in_hand.inline_bytes.saturating_mul(DELTA_WORK - 1);
        self.delta_price(in_hand.blobs).saturating_add(work)
    }

    /// What could have been read in so many round trips.
    fn waiting(&self, rounds: u64) -> u64 {
        (rounds as f64 * self.latency.as_secs_f64() * self.bandwidth as f64) as u64
    }
}

/// The state that the planner's caller has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Have {
    /// Its version.
    pub version: Version,
    /// [`LogState::cost_at`] of it, by the log state of when it was the newest: later ones know old versions roughly.
    pub cost: Cost,
}

/// The deltas after a version, up to the target, if all their entries were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InHand {
    /// Bytes of entries with a delta inside.
    pub inline_bytes: u64,
    /// What is still to be read: the deltas that are blobs.
    pub blobs: Cost,
}

/// A way to a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The snapshot to load first; else the way begins at the state that one has, or at the empty one.
    pub snapshot: Option<Snapshot>,
    /// Apply the commits after this version …
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
pub fn plan(log_state: &LogState, have: Option<Have>, target: Version, model: &CostModel) -> Option<Plan> {
    plan_with(log_state, have, target, model, &|_| None)
}

/// The same for a caller that has read entries: `in_hand` says which of the deltas after a version it has.
#[must_use]
pub fn plan_with(
    log_state: &LogState,
    have: Option<Have>,
    target: Version,
    model: &CostModel,
    in_hand: &dyn Fn(Version) -> Option<InHand>,
) -> Option<Plan> {
    if target > log_state.version {
        return None;
    }
    let end = log_state.cost_at(target);
    let start = have.unwrap_or(Have { version: Version::EMPTY, cost: Cost::default() });
    let price_of = |from: Version, cost: Cost| match in_hand(from) {
        Some(in_hand) => model.price_in_hand(in_hand),
        None => model.delta_price(cost),
    };
    let by_deltas = (can_roll(log_state, start.version) && start.version <= target).then(|| {
        let cost = end - start.cost;
        Plan { snapshot: None, from: start.version, to: target, cost, price: price_of(start.version, cost) }
    });
    let second_state = have.map_or(0, |_| model.second_state_bytes);
    // A snapshot at or below what one has only helps if one's own way is cut off.
    let above = have.filter(|_| by_deltas.is_some()).map(|have| have.version);
    let useful = log_state.snapshots.iter().filter(|kept| {
        let version = kept.snapshot.version;
        version <= target && can_roll(log_state, version) && above.is_none_or(|above| above < version)
    });
    let by_snapshot = useful.map(|kept| {
        let (snapshot, deltas) = (kept.snapshot.clone(), end - kept.cost);
        let price = model.snapshot_price(&snapshot).saturating_add(price_of(snapshot.version, deltas));
        Plan {
            from: snapshot.version,
            to: target,
            cost: sum(snapshot_cost(&snapshot), deltas),
            price: price.saturating_add(second_state),
            snapshot: Some(snapshot),
        }
    });
    by_deltas.into_iter().chain(by_snapshot).min_by_key(|plan| plan.price)
}

/// The snapshots to begin at on the way to `target`, in the order in which to try them if what is read turns out to be
/// damaged: the cheapest way's, then the others, newest first. `None` is the way from nothing by all deltas.
#[must_use]
pub fn routes(log_state: &LogState, target: Version, model: &CostModel) -> Vec<Option<Snapshot>> {
    let Some(cheapest) = plan(log_state, None, target, model) else { return Vec::new() };
    let usable = |version| version <= target && can_roll(log_state, version);
    let others = log_state.snapshots.iter().rev().map(|kept| &kept.snapshot).filter(|other| usable(other.version));
    let from_nothing = can_roll(log_state, Version::EMPTY).then_some(None);
    let mut routes = vec![cheapest.snapshot];
    for other in others.cloned().map(Some).chain(from_nothing) {
        if !routes.contains(&other) {
            routes.push(other);
        }
    }
    routes
}

/// Whether a snapshot is due: the newest one with its deltas costs twice as much as it does alone.
#[must_use]
pub fn is_snapshot_due(log_state: &LogState, model: &CostModel) -> bool {
    let Some(newest) = log_state.newest_snapshot() else { return log_state.version > Version::EMPTY };
    let alone = model.snapshot_price(&newest.snapshot);
    let deltas = model.delta_price(log_state.cost_at(log_state.version) - newest.cost);
    newest.snapshot.version < log_state.version && deltas >= alone
}

/// Whether the deltas after `version` are all there.
fn can_roll(log_state: &LogState, version: Version) -> bool {
    version.position().next() >= log_state.log_start.max(log_state.whole_from)
}

fn snapshot_cost(snapshot: &Snapshot) -> Cost {
    let length = snapshot.object.length;
    Cost { bytes: length, requests: 1 + length.div_ceil(PART_BYTES) }
}

fn sum(one: Cost, other: Cost) -> Cost {
    Cost { bytes: one.bytes.saturating_add(other.bytes), requests: one.requests.saturating_add(other.requests) }
}
