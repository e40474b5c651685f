//! Replay: from a state and a commit to the next state. Pure computation, off the async threads.
//!
//! A commit is applied, then proven: [`Replay::apply`] decodes the delta and applies it to the parent, and
//! [`Applied::prove`] compares the result with the commit. Only what was proven can be taken over.
//!
//! Rules: the parent's version and digest, the digests of changed columns, the counts and the state's digest are those of
//! the commit (I5), of what is held: the log's sums of the other columns make up the digest with it; an error leaves the replay where it was. A schema was checked when its entry was decoded.

use std::sync::Arc;

use cenote_state::blob::{BlobError, decode_delta};
use cenote_state::delta::Delta;
use cenote_state::digest::PRESENCE;
use cenote_state::ids::{ColumnId, DatasetId, Timestamp, TypeId, Version};
use cenote_state::state::State;
use cenote_state::table::Table;

use super::{Commits, Fetched, LoadError};
use crate::env::Env;
use crate::log::Commit;
use crate::log::names::log_entry;

/// A state that is rolled forward.
#[derive(Clone, Debug)]
pub struct Replay {
    state: State,
    committed_at: Timestamp,
    commits: u64,
    dataset: DatasetId,
    bytes_max: u64,
    threads: usize,
}

/// A state that was made by a commit and not compared with it yet.
#[derive(Debug)]
pub struct Applied<'f> {
    fetched: &'f Fetched,
    state: State,
    delta: Option<Delta>,
}

/// A state that is the one that was committed.
#[derive(Debug)]
pub struct Proven {
    state: State,
    committed_at: Timestamp,
    delta: Option<Delta>,
}

impl Replay {
    /// Begins at a state of `dataset`. Decoded deltas may take `bytes_max` bytes, computations `threads` threads.
    #[must_use]
    pub fn new(state: State, committed_at: Timestamp, dataset: DatasetId, bytes_max: u64, threads: usize) -> Replay {
        Replay { state, committed_at, commits: 0, dataset, bytes_max, threads }
    }

    /// The newest state that was proven.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// When that state's version was committed.
    #[must_use]
    pub fn committed_at(&self) -> Timestamp {
        self.committed_at
    }

    /// How many commits were replayed.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.commits
    }

    /// The newest state that was proven.
    #[must_use]
    pub fn into_state(self) -> State {
        self.state
    }

    /// Applies a commit and takes its state over.
    ///
    /// # Errors
    /// What is damaged. The replay stays where it was.
    pub fn step(&mut self, fetched: &Fetched) -> Result<(), LoadError> {
        let proven = self.apply(fetched)?.prove()?;
        self.advance(proven);
        Ok(())
    }

    /// Applies a commit to a copy of the state.
    ///
    /// # Errors
    /// If the commit follows another state, its schema has a wrong key, or its delta cannot be decoded or applied.
    pub fn apply<'f>(&self, fetched: &'f Fetched) -> Result<Applied<'f>, LoadError> {
        let (version, commit) = (fetched.version, &*fetched.commit);
        check_parent(version, commit, (self.state.version(), self.state.digest()))?;
        let mut parent = self.state.clone();
        if let Some(schema) = commit.schema.clone().map(Arc::new) {
            if let Some(source) = parent.lacking_under(&schema) {
                return Err(LoadError::Lacking { version, source });
            }
            let needed = parent.places_bytes(&schema);
            if needed > self.bytes_max {
                let source = BlobError::TooLarge { needed, limit: self.bytes_max };
                return Err(LoadError::Blob { version, object: log_entry(version.position()), source });
            }
            let relayout = parent.relayout(schema, self.threads);
            parent = relayout.map_err(|source| LoadError::Key { version, source })?;
        }
        // The commit's digest proves the sums of what is not held, too: with those of what is, they make it up.
        let parent = parent.with_sums_of_unheld(commit.column_digests.iter().copied());
        let Some(stored) = &fetched.delta else {
            return Ok(Applied { fetched, state: parent.with_version(version), delta: None });
        };
        let object = || stored.object.clone();
        let delta = decode_delta(&stored.bytes, self.dataset, &parent, self.bytes_max)
            .map_err(|source| LoadError::Blob { version, object: object(), source })?;
        let state = parent.applied(&delta, version, self.threads).map_err(|source| LoadError::Apply {
            version,
            object: object(),
            source,
        })?;
        Ok(Applied { fetched, state, delta: Some(delta) })
    }

    /// Takes over a state that was proven.
    pub fn advance(&mut self, proven: Proven) {
        (self.state, self.committed_at) = (proven.state, proven.committed_at);
        self.commits += 1;
    }
}

impl Applied<'_> {
    /// Compares the state with its commit: the digests of the columns that changed, the counts, the digest (I5).
    ///
    /// # Errors
    /// Which of them differs.
    pub fn prove(self) -> Result<Proven, LoadError> {
        match difference(&self.fetched.commit, &self.state) {
            None => Ok(Proven { state: self.state, committed_at: self.fetched.time, delta: self.delta }),
            Some(what) => {
                Err(LoadError::Differs { version: self.fetched.version, object: self.fetched.object(), what })
            }
        }
    }
}

impl Proven {
    /// The state.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The delta that led to it, if records changed.
    #[must_use]
    pub fn delta(&self) -> Option<&Delta> {
        self.delta.as_ref()
    }
}

/// Checks that a commit follows the version and the digest before it.
///
/// # Errors
/// If it follows another version, or another state of that version.
pub fn check_parent(version: Version, commit: &Commit, before: (Version, u128)) -> Result<(), LoadError> {
    if commit.parent != before.0 {
        return Err(LoadError::Parent { version, parent: commit.parent, found: before.0 });
    }
    if commit.parent_digest != before.1 {
        return Err(LoadError::ParentDigest { version, expected: commit.parent_digest, found: before.1 });
    }
    Ok(())
}

/// Rolls `rolling` forward by all `commits`, fetching one ahead; `step` takes each in, off the async threads, and
/// `on_step` is called after it.
///
/// Returns what was reached, whether or not that is all; `None` after a panic.
///
/// # Errors
/// Of the first commit that cannot be fetched or taken in.
pub async fn roll<R, E>(
    env: &Env,
    commits: &mut Commits,
    mut rolling: R,
    step: fn(&mut R, &Fetched) -> Result<(), E>,
    on_step: &(dyn Fn(Version) + Sync),
) -> (Option<R>, Result<(), E>)
where
    R: Send + 'static,
    E: From<LoadError> + Send + 'static,
{
    let mut fetched = commits.next().await;
    loop {
        let current = match fetched {
            Ok(None) => return (Some(rolling), Ok(())),
            Err(error) => return (Some(rolling), Err(error.into())),
            Ok(Some(current)) => current,
        };
        let (version, object) = (current.version, current.object());
        let stepped = env.cpu(move || {
            let result = step(&mut rolling, &current);
            (rolling, result)
        });
        let (stepped, next) = futures::join!(stepped, commits.next());
        match stepped {
            Err(source) => return (None, Err(LoadError::Panicked { version, object, source }.into())),
            Ok((stopped, Err(error))) => return (Some(stopped), Err(error)),
            Ok((stepped, Ok(()))) => rolling = stepped,
        }
        on_step(version);
        fetched = next;
    }
}

/// What differs between a state and its commit.
fn difference(commit: &Commit, state: &State) -> Option<String> {
    let table = |id: &TypeId| state.tables().get(id.index());
    for (id, column, expected) in &commit.column_digests {
        if !state.is_unheld(*id, *column) && table(id).and_then(|table| column_sum(table, *column)) != Some(*expected) {
            return Some(format!("the digest of column {column} of type {id}"));
        }
    }
    for (id, expected) in &commit.counts {
        let found = table(id).map(|table| table.len() as u64);
        let is_unheld = found.is_some() && state.lacks_type(*id);
        if !is_unheld && found != Some(*expected) {
            return Some(format!("type {id} has {} records, not {expected}", found.unwrap_or(0)));
        }
    }
    let found = state.digest();
    (found != commit.digest).then(|| format!("its digest is {found:032x}, not {:032x}", commit.digest))
}

fn column_sum(table: &Table, column: ColumnId) -> Option<u128> {
    if column == PRESENCE {
        return Some(table.sums().presence);
    }
    let field = table.layout().columns.iter().position(|known| known.id == column)?;
    Some(table.sums().columns[field])
}
