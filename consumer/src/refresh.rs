//! One step of a refresh: from a state and a commit to the next state. Pure computation, off the async threads.
//!
//! Decode, apply, compare: what comes out was proven against the log (I5), or it does not come out. Nothing a reader
//! sees changes here.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cenote_state::blob::{BlobError, decode_delta};
use cenote_state::delta::{ApplyError, Delta};
use cenote_state::digest::PRESENCE;
use cenote_state::ids::{ColumnId, DatasetId, Timestamp, TypeId, Version};
use cenote_state::record::{BindError, Binding, Declared};
use cenote_state::schema::{KeyError, Schema};
use cenote_state::state::State;
use cenote_state::table::Table;
use cenote_state::view::indexes::{ChangedRoots, IndexBinding};
use cenote_state::view::{IndexDeclaration, IndexError, Indexes, View};
use cenote_store::env::{Env, Panicked};
use cenote_store::load::LoadError;
use cenote_store::log::{Commit, ReadError};
use cenote_store::storage::StorageError;

use crate::memory::Budget;
use crate::report::StepTimes;

/// Why a refresh failed. The old view is served on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshError {
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A delta's object could not be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A snapshot could not be loaded.
    #[error(transparent)]
    Snapshot(#[from] LoadError),
    /// A delta's object is not the one that its commit names.
    #[error(
        "{object} is not the object that version {version} names: its length or hash differs; restore it from a copy, or make a snapshot"
    )]
    Altered {
        /// The version.
        version: Version,
        /// The object.
        object: String,
    },
    /// A delta's bytes are wrong.
    #[error("the delta of version {version} in {object}: {source}{}", .source.remedy())]
    Delta {
        /// The version.
        version: Version,
        /// The object.
        object: String,
        /// What is wrong.
        source: BlobError,
    },
    /// A delta does not fit its parent.
    #[error("the delta of version {version} does not fit its parent: {source}")]
    Apply {
        /// The version.
        version: Version,
        /// What does not fit.
        source: ApplyError,
    },
    /// A commit's schema is not sound.
    #[error("the schema of version {version} is not sound: {what}")]
    Schema {
        /// The version.
        version: Version,
        /// What is wrong.
        what: String,
    },
    /// A commit's schema has a key that can't be one.
    #[error("the schema of version {version}: {source}")]
    Key {
        /// The version.
        version: Version,
        /// What is wrong.
        source: KeyError,
    },
    /// A commit follows another version than the one that is here.
    #[error("version {version} follows version {parent}, and version {found} stands before it")]
    Parent {
        /// The version.
        version: Version,
        /// What it says it follows.
        parent: Version,
        /// What is here.
        found: Version,
    },
    /// The records are not those that were committed (I5).
    #[error("version {version} came out different from what was committed: {what}; another version will be tried")]
    Differs {
        /// The version.
        version: Version,
        /// Which sum or count.
        what: String,
    },
    /// A computation panicked, and was contained: a bug.
    #[error("version {version}: {source}; please report this")]
    Panicked {
        /// The version.
        version: Version,
        /// What it said.
        source: Panicked,
    },
    /// The program's records don't fit the dataset's any more.
    #[error("version {version}: {source}")]
    Bind {
        /// The version.
        version: Version,
        /// What does not fit.
        source: BindError,
    },
    /// An index does not fit.
    #[error("version {version}: {source}")]
    Index {
        /// The version.
        version: Version,
        /// What does not fit.
        source: IndexError,
    },
    /// The state would take more memory than allowed.
    #[error("version {version} takes {needed} bytes, more than the {limit} allowed; raise max_state_bytes")]
    TooLarge {
        /// The version.
        version: Version,
        /// What it takes.
        needed: u64,
        /// What is allowed.
        limit: u64,
    },
    /// There is no way to the version any more: what leads there was trimmed.
    #[error(
        "no way leads to version {version}: its deltas were trimmed, and no snapshot is kept; wait for a newer one"
    )]
    Unreachable {
        /// The version.
        version: Version,
    },
    /// A consumer never goes back.
    #[error("version {wanted} is older than the {current} that is served; a consumer never goes back")]
    Backward {
        /// What was asked for.
        wanted: Version,
        /// What is served.
        current: Version,
    },
    /// No commit stands there.
    #[error("there is no version {wanted}; the newest is {newest}")]
    NoSuchVersion {
        /// What was asked for.
        wanted: Version,
        /// The newest that there is.
        newest: Version,
    },
    /// The consumer was closed.
    #[error("the consumer is closed: open another")]
    Closed,
}

/// What the program declares.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) declared: Declared,
    pub(crate) indexes: Vec<IndexDeclaration>,
}

impl Program {
    pub(crate) fn bind_indexes(&self, chain: &Schema) -> Result<Arc<IndexBinding>, IndexError> {
        IndexBinding::new(&self.indexes, &self.declared, chain).map(Arc::new)
    }
}

/// A commit with its delta, as it came from storage.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) version: Version,
    pub(crate) time: Timestamp,
    pub(crate) commit: Box<Commit>,
    /// Where the delta came from, and its bytes.
    pub(crate) delta: Option<(String, Bytes)>,
}

/// A state on its way forward.
pub(crate) struct Rolling {
    pub(crate) state: State,
    pub(crate) committed_at: Timestamp,
    pub(crate) commits: u64,
    /// The view that it came from; none if it was loaded.
    pub(crate) base: Option<View>,
    changed: ChangedRoots,
    index_binding: Arc<IndexBinding>,
    program: Arc<Program>,
    pub(crate) budget: Budget,
    pub(crate) times: StepTimes,
    /// What the last step took.
    pub(crate) last_step: Duration,
    dataset: DatasetId,
    env: Env,
}

impl Rolling {
    pub(crate) fn new(
        state: State,
        committed_at: Timestamp,
        base: Option<View>,
        program: &Arc<Program>,
        (dataset, budget, env): (DatasetId, Budget, &Env),
    ) -> Result<Rolling, RefreshError> {
        let version = state.version();
        let index_binding = program.bind_indexes(state.schema());
        Ok(Rolling {
            index_binding: index_binding.map_err(|source| RefreshError::Index { version, source })?,
            state,
            committed_at,
            commits: 0,
            base,
            changed: ChangedRoots::default(),
            program: Arc::clone(program),
            budget,
            times: StepTimes::default(),
            last_step: Duration::ZERO,
            dataset,
            env: env.clone(),
        })
    }

    /// Takes a commit in. After an error this is what it was before.
    pub(crate) fn step(&mut self, fetched: &Fetched) -> Result<(), RefreshError> {
        let started = self.env.instant();
        let (state, delta) = self.applied(fetched)?;
        let applied = self.env.instant();
        compare(fetched, &state)?;
        let compared = self.env.instant();
        let version = fetched.version;
        let mut budget = self.budget;
        budget.admit(&state, delta.as_ref()).map_err(|needed| RefreshError::TooLarge {
            version,
            needed,
            limit: budget.limit(),
        })?;
        if fetched.commit.schema.is_some() {
            let binding = self.program.bind_indexes(state.schema());
            self.index_binding = binding.map_err(|source| RefreshError::Index { version, source })?;
        }
        if let Some(delta) = &delta {
            self.changed.note(delta, &state, &self.index_binding);
        }
        (self.state, self.committed_at, self.budget) = (state, fetched.time, budget);
        self.commits += 1;
        self.times.apply += applied - started;
        self.times.compare += compared - applied;
        self.last_step = self.env.instant() - started;
        Ok(())
    }

    fn applied(&self, fetched: &Fetched) -> Result<(State, Option<Delta>), RefreshError> {
        let (version, commit, threads) = (fetched.version, &*fetched.commit, self.env.threads());
        let found = self.state.version();
        if commit.parent != found {
            return Err(RefreshError::Parent { version, parent: commit.parent, found });
        }
        let mut parent = self.state.clone();
        if let Some(schema) = &commit.schema {
            schema.check().map_err(|what| RefreshError::Schema { version, what })?;
            let relaid = parent.relayout(Arc::new(schema.clone()), threads);
            parent = relaid.map_err(|source| RefreshError::Key { version, source })?;
        }
        let Some((object, bytes)) = &fetched.delta else { return Ok((parent.with_version(version), None)) };
        let delta = decode_delta(bytes, self.dataset, &parent, self.budget.limit())
            .map_err(|source| RefreshError::Delta { version, object: object.clone(), source })?;
        let state = parent.applied(&delta, version, threads);
        let state = state.map_err(|source| RefreshError::Apply { version, source })?;
        Ok((state, Some(delta)))
    }

    /// The view of this state: bound, and with its indexes.
    pub(crate) fn into_view(mut self) -> Result<(View, StepTimes), RefreshError> {
        let started = self.env.instant();
        let (version, threads, seed) = (self.state.version(), self.env.threads(), self.state.seed());
        let binding = match &self.base {
            Some(base) if base.schema() == self.state.schema() => Arc::clone(base.binding()),
            _ => Binding::new(&self.program.declared, self.state.schema())
                .map(Arc::new)
                .map_err(|source| RefreshError::Bind { version, source })?,
        };
        let indexes = match &self.base {
            Some(base) => {
                let states = (base.state(), &self.state);
                base.indexes().updated(self.index_binding, states.0, states.1, self.changed, seed, threads)
            }
            None => Indexes::build(self.index_binding, &self.state, seed, threads),
        };
        let view = View::with_indexes(self.state, binding, indexes, self.committed_at);
        self.times.index = self.env.instant() - started;
        Ok((view, self.times))
    }
}

/// Whether the state is the one that was committed: its digest, the columns that changed, the counts (I5).
fn compare(fetched: &Fetched, state: &State) -> Result<(), RefreshError> {
    let commit = &*fetched.commit;
    let differs = |what: String| Err(RefreshError::Differs { version: fetched.version, what });
    let has = |id: &TypeId| state.tables().get(id.index());
    for (id, column, expected) in &commit.column_digests {
        let sum = has(id).and_then(|table| column_sum(table, *column));
        if sum != Some(*expected) {
            return differs(format!("the digest of column {column} of type {id}"));
        }
    }
    for (id, expected) in &commit.counts {
        let found = has(id).map(|table| table.len() as u64);
        if found != Some(*expected) {
            return differs(format!("type {id} has {} records, not {expected}", found.unwrap_or(0)));
        }
    }
    let found = state.digest();
    if found != commit.digest {
        return differs(format!("its digest is {found:032x}, not {:032x}", commit.digest));
    }
    Ok(())
}

fn column_sum(table: &Table, column: ColumnId) -> Option<u128> {
    if column == PRESENCE {
        return Some(table.sums().presence);
    }
    let field = table.layout().columns.iter().position(|known| known.id == column)?;
    Some(table.sums().columns[field])
}
