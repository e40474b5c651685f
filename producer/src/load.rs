//! Coming to a version: the snapshot and the deltas that the planner picks, each checked against the log.

use std::sync::Arc;

use bytes::Bytes;
use cenote_state::blob::decode_delta;
use cenote_state::ids::{DatasetId, Timestamp, Version};
use cenote_state::schema::Schema;
use cenote_state::state::State;
use cenote_store::env::Env;
use cenote_store::load::{self, LoadError, SnapshotToLoad};
use cenote_store::log::plan::{CostModel, plan};
use cenote_store::log::{Body, Commit, ContentHash, DeltaPlace, LogReader, names};

use crate::error::OpenError;

/// How states are loaded.
#[derive(Clone)]
pub(crate) struct Loader {
    pub(crate) env: Env,
    /// Of this process's key indexes.
    pub(crate) seed: u64,
    /// What a state may take in memory.
    pub(crate) bytes_max: u64,
}

/// A state, and when its version was committed.
pub(crate) struct Loaded {
    pub(crate) state: State,
    pub(crate) committed_at: Timestamp,
}

impl Loader {
    /// The state of a version, by the cheapest way that the reader knows.
    pub(crate) async fn load(&self, reader: &LogReader, version: Version) -> Result<Loaded, OpenError> {
        let outline = reader.outline();
        let missing = || OpenError::NoSuchVersion { version, newest: outline.version };
        let plan = plan(outline, None, version, &CostModel::default()).ok_or_else(missing)?;
        let (state, committed_at) = match plan.snapshot {
            Some(snapshot) => {
                let committed_at = snapshot.committed_at;
                let what = SnapshotToLoad {
                    name: snapshot.object.name,
                    dataset: outline.dataset,
                    version: snapshot.version,
                    digest: snapshot.digest,
                    bytes_max: self.bytes_max,
                    seed: self.seed,
                };
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
        mut from: Loaded,
        version: Version,
    ) -> Result<Loaded, OpenError> {
        let mut walk = reader.walk_from(from.state.version());
        while from.state.version() < version {
            let Some(entry) = walk.next().await? else { break };
            let Body::Commit(commit) = &entry.body else { continue };
            let at = Version(entry.head.position.0);
            if at > version {
                break;
            }
            let state = self.apply(reader, from.state, at, commit).await?;
            from = Loaded { state, committed_at: entry.head.time };
        }
        Ok(from)
    }

    async fn apply(
        &self,
        reader: &LogReader,
        parent: State,
        version: Version,
        commit: &Commit,
    ) -> Result<State, OpenError> {
        if commit.parent != parent.version() || commit.parent_digest != parent.digest() {
            let cause =
                format!("its parent is version {}, and the one before it is {}", commit.parent, parent.version());
            return Err(OpenError::Damaged { version, cause });
        }
        let delta = delta_bytes(reader, version, commit).await?;
        let (dataset, bytes_max) = (reader.outline().dataset, self.bytes_max);
        let (schema, digest, threads) = (commit.schema.clone(), commit.digest, self.env.threads());
        let apply = move || applied(&parent, version, schema, delta, Expected { dataset, digest, bytes_max }, threads);
        self.env.cpu(apply).await?
    }
}

struct Expected {
    dataset: DatasetId,
    digest: u128,
    bytes_max: u64,
}

fn applied(
    parent: &State,
    version: Version,
    schema: Option<Schema>,
    delta: Option<(String, Bytes)>,
    expected: Expected,
    threads: usize,
) -> Result<State, OpenError> {
    let damaged = |cause: String| OpenError::Damaged { version, cause };
    let mut state = parent.clone();
    if let Some(schema) = schema {
        schema.check().map_err(damaged)?;
        state = state.relayout(Arc::new(schema), threads)?;
    }
    let state = match delta {
        Some((object, bytes)) => {
            let delta = decode_delta(&bytes, expected.dataset, &state, expected.bytes_max);
            let delta = delta.map_err(|source| LoadError::Blob { object, source })?;
            state.applied(&delta, version, threads).map_err(|error| damaged(error.to_string()))?
        }
        None => state.with_version(version),
    };
    if state.digest() == expected.digest {
        return Ok(state);
    }
    Err(damaged(format!(
        "its state has the digest {:032x}, and its entry says {:032x}",
        state.digest(),
        expected.digest
    )))
}

/// The delta, and the object that it came in.
async fn delta_bytes(
    reader: &LogReader,
    version: Version,
    commit: &Commit,
) -> Result<Option<(String, Bytes)>, OpenError> {
    let object = match &commit.delta {
        DeltaPlace::None => return Ok(None),
        DeltaPlace::Inline(bytes) => return Ok(Some((names::log_entry(version.position()), bytes.clone()))),
        DeltaPlace::Blob(object) => object,
    };
    let Some(bytes) = reader.storage().get_bounded(&object.name, object.length).await? else {
        return Err(reader.explain_missing(version.position(), object).await?.into());
    };
    if bytes.len() as u64 != object.length || (object.hash.is_known() && ContentHash::of(&bytes) != object.hash) {
        let cause = format!("{} is not the object that its entry names", object.name);
        return Err(OpenError::Damaged { version, cause });
    }
    Ok(Some((object.name.clone(), bytes)))
}
