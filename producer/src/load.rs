//! Coming to a version: the snapshot and the commits that the planner picks, replayed by the store's [`load`].
//!
//! What turns out to be damaged or missing is gone around: another snapshot, more commits. Only if no way leads to the
//! version does a producer not open.

use std::sync::Arc;

use cenote_state::held::Selection;
use cenote_state::ids::{Timestamp, Version};
use cenote_state::schema::Schema;
use cenote_state::state::State;
use cenote_store::env::Env;
use cenote_store::error::ErrorKind;
use cenote_store::load::{self, Commits, Replay, SnapshotToLoad};
use cenote_store::log::plan::{CostModel, routes};
use cenote_store::log::{LogReader, Snapshot};

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
    /// Snapshots that could not be loaded on the way to it.
    pub(crate) damaged: Vec<String>,
}

/// Why a way did not lead to its version.
struct RouteError {
    cause: OpenCause,
    /// Whether its snapshot could not be loaded; otherwise a commit after it could not.
    at_snapshot: bool,
}

/// How many ways are tried. Where so many are damaged, the others are.
const ROUTES_MAX: usize = 16;

impl Loader {
    /// The state of a version, by the cheapest way that the reader knows, or by another if that one is damaged.
    pub(crate) async fn load(&self, reader: &LogReader, version: Version) -> Result<Loaded, OpenCause> {
        let log_state = reader.log_state();
        let missing = || OpenCause::NoSuchVersion { version, newest: log_state.version };
        let (mut first, mut damaged) = (None, Vec::new());
        for route in routes(log_state, version, &CostModel::default()).into_iter().take(ROUTES_MAX) {
            let begins_at = route.as_ref().map(|snapshot| snapshot.object.name.clone());
            let error = match self.load_by(reader, route, version).await {
                Ok(loaded) if loaded.state.version() == version => return Ok(Loaded { damaged, ..loaded }),
                Ok(_) => return Err(missing()),
                Err(error) => error,
            };
            if error.cause.kind() != ErrorKind::Damaged {
                return Err(error.cause);
            }
            let cause = &error.cause as &dyn std::error::Error;
            tracing::warn!(error = cause, url = reader.storage().url(), %version, "trying another way to the version");
            damaged.extend(begins_at.filter(|_| error.at_snapshot));
            first.get_or_insert(error.cause);
        }
        Err(first.unwrap_or_else(missing))
    }

    async fn load_by(
        &self,
        reader: &LogReader,
        route: Option<Snapshot>,
        version: Version,
    ) -> Result<Loaded, RouteError> {
        let at_snapshot = |cause| RouteError { cause, at_snapshot: true };
        let after_it = |cause| RouteError { cause, at_snapshot: false };
        let (state, committed_at) = match route {
            Some(snapshot) => {
                let committed_at = snapshot.committed_at;
                let (dataset, bytes_max, seed) = (reader.log_state().dataset, self.bytes_max, self.seed);
                let what = SnapshotToLoad { dataset, snapshot, selection: Selection::Whole, bytes_max, seed };
                let loaded = load::snapshot(reader.storage(), &self.env, &what, &|_, _| {}).await;
                (loaded.map_err(|error| at_snapshot(error.into()))?.0, committed_at)
            }
            None => {
                let empty = State::empty(Arc::new(Schema::default()), self.seed);
                (empty.map_err(|error| after_it(error.into()))?, Timestamp(0))
            }
        };
        let from = Loaded { state, committed_at, damaged: Vec::new() };
        self.forward(reader, from, version).await.map_err(after_it)
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
        Ok(Loaded { committed_at: replay.committed_at(), state: replay.into_state(), damaged: from.damaged })
    }
}
