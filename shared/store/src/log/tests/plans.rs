//! The planner and the running sums, on log state made by hand.

use proptest::prelude::*;

use super::samples::object;
use crate::log::names::Folder;
use crate::log::order::Rules;
use crate::log::plan::{CostModel, Have, is_snapshot_due, plan};
use crate::log::state::{Cost, KeptSnapshot, Mark};
use crate::log::{LogState, Snapshot};
use cenote_state::ids::{Position, Timestamp, Version};

const MODEL: CostModel =
    CostModel { latency: std::time::Duration::from_millis(10), bandwidth: 1_000_000, second_state_bytes: 0 };

/// Commits at every position up to `newest`, each of `delta` bytes, and snapshots of these versions and this size.
fn log_state(newest: u64, delta: u64, snapshots: &[u64], snapshot_bytes: u64) -> LogState {
    let cost = |version: u64| Cost { bytes: version * delta, requests: version };
    let kept = |version: u64| KeptSnapshot {
        snapshot: Snapshot {
            version: Version(version),
            object: object(Folder::Snapshots, version, snapshot_bytes),
            digest: 0,
            committed_at: Timestamp(0),
        },
        time: Timestamp(version * 1_000),
        cost: cost(version),
    };
    let snapshots: Vec<_> = snapshots.iter().copied().map(kept).collect();
    let first = snapshots.last().map_or(1, |kept| kept.snapshot.version.0);
    let marks = (first..=newest).map(|version| Mark { version: Version(version), cost: cost(version) }).collect();
    let (position, version) = (Position(newest), Version(newest));
    LogState { position, version, cost: cost(newest), snapshots, marks, ..LogState::empty() }
}

fn way(log_state: &LogState, have: Option<u64>, target: u64, model: &CostModel) -> Option<(Option<u64>, u64)> {
    let have = have.map(|version| Have {
        version: Version(version),
        cost: Cost { bytes: log_state.cost.bytes / log_state.version.0 * version, requests: version },
    });
    let plan = plan(log_state, have, Version(target), model)?;
    assert_eq!(plan.to, Version(target));
    Some((plan.snapshot.map(|snapshot| snapshot.version.0), plan.from.0))
}

#[test]
fn the_cheapest_way_is_taken() {
    let small = log_state(100, 1_000, &[50, 90], 100_000);
    assert_eq!(way(&small, None, 100, &MODEL), Some((Some(90), 90)));
    assert_eq!(way(&small, Some(99), 100, &MODEL), Some((None, 99)));
    assert_eq!(way(&small, Some(70), 100, &MODEL), Some((Some(90), 90)));
    // A second state in memory makes 30 deltas cheaper.
    let dear = CostModel { second_state_bytes: 1 << 20, ..MODEL };
    assert_eq!(way(&small, Some(70), 100, &dear), Some((None, 70)));
    // A snapshot that is dearer than all deltas is not loaded, with or without a state.
    let large = log_state(100, 1_000, &[50], 1 << 30);
    assert_eq!(way(&large, None, 100, &MODEL), Some((None, 0)));
    assert_eq!(way(&large, Some(100), 100, &MODEL), Some((None, 100)));
}

#[test]
fn a_snapshot_is_preferred_to_a_delta_that_brings_as_much() {
    let first = log_state(1, 1 << 20, &[1], 1 << 20);
    assert_eq!(way(&first, None, 1, &MODEL), Some((Some(1), 1)));
}

#[test]
fn what_was_trimmed_is_no_way() {
    let mut trimmed = log_state(100, 1_000, &[50, 90], 1 << 30);
    trimmed.log_start = Position(51);
    assert_eq!(way(&trimmed, None, 100, &MODEL), Some((Some(90), 90)));
    assert_eq!(way(&trimmed, Some(50), 100, &MODEL), Some((None, 50)));
    assert_eq!(way(&trimmed, Some(49), 100, &MODEL), Some((Some(90), 90)));
    assert_eq!(way(&trimmed, None, 49, &MODEL), None);
    assert_eq!(way(&trimmed, None, 101, &MODEL), None);
    // Back in time goes by a snapshot, not by deltas.
    assert_eq!(way(&trimmed, Some(100), 95, &MODEL), Some((Some(90), 90)));
}

#[test]
fn a_snapshot_is_due_at_twice_its_price() {
    // Alone: 90,000 bytes and two round trips of 10,000 each; a delta is 1,000, which count four times, and one.
    assert!(!is_snapshot_due(&log_state(57, 1_000, &[50], 90_000), &MODEL));
    assert!(is_snapshot_due(&log_state(58, 1_000, &[50], 90_000), &MODEL));
    assert!(is_snapshot_due(&log_state(1, 1_000, &[], 0), &MODEL));
    assert!(!is_snapshot_due(&LogState::empty(), &MODEL));
}

#[test]
fn the_log_start_stays_below_what_is_kept() {
    let log_state = log_state(100, 1, &[10, 20, 30, 40, 50], 1);
    let limit =
        |snapshots, younger_than| Rules::default().log_start_limit(&log_state, snapshots, Timestamp(younger_than)).0;
    assert_eq!(limit(3, u64::MAX), 31);
    assert_eq!(limit(0, u64::MAX), 51);
    assert_eq!(limit(9, u64::MAX), 11);
    assert_eq!(limit(1, 15_000), 21); // all made after 15 s
    assert_eq!(limit(1, 0), 11);
}

proptest! {
    #[test]
    fn a_plan_is_no_dearer_than_any_other_way(
        newest in 1_u64..200,
        snapshots in prop::collection::btree_set(1_u64..200, 0..6),
        have in prop::option::of(0_u64..200),
        bytes in 0_u64..1_000_000,
    ) {
        let snapshots: Vec<_> = snapshots.into_iter().filter(|version| *version <= newest).collect();
        let have = have.filter(|version| *version <= newest);
        let log_state = log_state(newest, 1_000, &snapshots, bytes);
        let price = |from: u64, snapshot: Option<u64>| {
            let deltas = Cost { bytes: (newest - from) * 1_000, requests: newest - from };
            let loaded = |version| &log_state.snapshots.iter().find(|kept| kept.snapshot.version.0 == version).unwrap().snapshot;
            MODEL.delta_price(deltas) + snapshot.map_or(0, |version| MODEL.snapshot_price(loaded(version)))
        };
        let (snapshot, from) = way(&log_state, have, newest, &MODEL).unwrap();
        let others = snapshots.iter().map(|version| (Some(*version), *version)).chain([(None, have.unwrap_or(0))]);
        for (other, other_from) in others {
            prop_assert!(price(from, snapshot) <= price(other_from, other));
        }
    }
}
