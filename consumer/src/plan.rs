//! Planning: the ways from the view to a version, in the order in which they are tried.
//!
//! The cheapest way comes first; that is arithmetic on the log's outline and lives with it. What is here is what only
//! a consumer knows: which ways have failed, and that a snapshot beside a state that is being read is a second state.

use cenote_state::ids::Version;
use cenote_state::view::View;
use cenote_store::log::outline::{KeptSnapshot, Outline};
use cenote_store::log::plan::{CostModel, Have, plan};

use crate::refresh::RefreshError;

/// Where a way begins.
#[derive(Clone, Debug)]
pub(crate) enum Start {
    /// At the view, or at the empty state if there is none.
    View,
    /// At a snapshot.
    Snapshot(KeptSnapshot),
}

/// The cheapest way from `view` to `target`.
pub(crate) fn cheapest(outline: &Outline, view: &View, target: Version) -> Result<Start, RefreshError> {
    let serving = view.version() > Version::EMPTY;
    let have = serving.then(|| Have { version: view.version(), cost: outline.cost_at(view.version()) });
    // Only a snapshot that could be loaded makes the size of the state a question.
    let choice = outline.newest_snapshot().is_some_and(|newest| newest.snapshot.version > view.version());
    let model =
        CostModel { second_state_bytes: if serving && choice { bytes_of(view) } else { 0 }, ..Default::default() };
    let way = plan(outline, have, target, &model).ok_or(RefreshError::Unreachable { version: target })?;
    let Some(snapshot) = way.snapshot else { return Ok(Start::View) };
    let kept = outline.snapshots.iter().find(|kept| kept.snapshot == snapshot);
    Ok(Start::Snapshot(kept.expect("the plan's snapshots are the outline's").clone()))
}

/// The snapshots from which `target` can be reached around what failed at `failed`, newest first.
pub(crate) fn around(outline: &Outline, current: Version, failed: Version, target: Version) -> Vec<KeptSnapshot> {
    let useful = outline.snapshots.iter().rev().filter(|kept| {
        let version = kept.snapshot.version;
        version > current && version <= target && (version >= failed || current == Version::EMPTY)
    });
    useful.cloned().collect()
}

fn bytes_of(view: &View) -> u64 {
    view.state().memory_bytes()
}
