//! Coming to a version: the snapshot and the commits that the planner picks, replayed by the store's [`load`].

use std::sync::Arc;

use cenote_state::held::Selection;
use cenote_state::ids::{Timestamp, Version};
use cenote_state::schema::Schema;
use cenote_state::state::State;
use cenote_store::env::Env;
use cenote_store::load::{self, Commits, Replay, SnapshotToLoad};
use cenote_store::log::LogReader;
use cenote_store::log::plan::{CostModel, plan};

use crate::error::OpenCause;

/// How a producer loads states.
#[derive(Clone)]
pub(crate) struct Loader {
    pub(crate) env: Env,
    /// Of this process's key indexes.
    pub(crate) seed: u64,
    /// The bytes that a state may take in memory.
    pub(crate) bytes_max: u64,
}

/// A state, and when its version was committed.
pub(crate) struct Loaded {
    pub(crate) state: State,
    pub(crate) committed_at: Timestamp,
}

impl Loader {
    /// The state of a version, by the cheapest way that the reader knows.
    pub(crate) async fn load(&self, reader: &LogReader, version: Version) -> Result<Loaded, OpenCause> {
        let log_state = reader.log_state();
        let missing = || OpenCause::NoSuchVersion { version, newest: log_state.version };
        let plan = plan(log_state, None, version, &CostModel::default()).ok_or_else(missing)?;
        let (state, committed_at) = match plan.snapshot {
            Some(snapshot) => {
                let committed_at = snapshot.committed_at;
                let (dataset, bytes_max, seed) = (log_state.dataset, self.bytes_max, self.seed);
                let what = SnapshotToLoad { dataset, snapshot, selection: Selection::Whole, bytes_max, seed };
                (load::snapshot(reader.storage(), &self.env, &what, &|_, _| {}).await?.0, committed_at)
            }
            None => (State::empty(Arc::new(Schema::default()), self.seed)?, Timestamp(0)),
        };
        let loaded = self.forward(reader, Loaded { state, committed_at }, version).await?;
        if loaded.state.version() == version { Ok(loaded) } else { Err(missing()) }
    }

    /// Rolls a state forward, to a version that the reader has come to.
    pub(crate) async fn forward(
        &self,
        reader: &LogReader,
        from: Loaded,
        version: Version,
    ) -> Result<Loaded, OpenCause> {
        let mut commits = Commits::after(reader, from.state.version(), version, &[]);
        let (dataset, threads) = (reader.log_state().dataset, self.env.threads());
        let replay = Replay::new(from.state, from.committed_at, dataset, self.bytes_max, threads);
        let (replay, rolled) = load::roll(&self.env, &mut commits, replay, Replay::step, &|_| {}).await;
        rolled?;
        let replay = replay.expect("a panic is an error");
        Ok(Loaded { committed_at: replay.committed_at(), state: replay.into_state() })
    }
}
