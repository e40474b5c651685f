//! One step of a refresh: a commit is replayed, admitted to memory, and noted for the indexes.
//!
//! Pure computation, off the async threads. Nothing that a reader sees changes here.
//!
//! Rules: a state that was not proven against the log is never taken over (I5); an error leaves the refresh at the last
//! state that was.

use std::sync::Arc;
use std::time::Duration;

use cenote_state::ids::{DatasetId, Timestamp, Version};
use cenote_state::record::{BindError, Binding, Declared};
use cenote_state::schema::Schema;
use cenote_state::state::State;
use cenote_state::view::indexes::{ChangedRoots, IndexBinding};
use cenote_state::view::{IndexDeclaration, IndexError, Indexes, View};
use cenote_store::env::{Env, Panicked};
use cenote_store::load::{Fetched, LoadError, Replay};
use cenote_store::log::ReadError;
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
    /// A snapshot or a commit could not be loaded, or is damaged.
    #[error(transparent)]
    Load(LoadError),
    /// A computation panicked, and was contained: a bug.
    #[error("version {version} cannot be shown; please report this")]
    Panicked {
        /// The version.
        version: Version,
        /// What it said.
        source: Panicked,
    },
    /// The program's records don't fit the dataset's any more.
    #[error("version {version} does not fit the program's records")]
    Bind {
        /// The version.
        version: Version,
        /// What does not fit.
        source: BindError,
    },
    /// An index does not fit.
    #[error("version {version} does not fit an index of the program")]
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

impl From<LoadError> for RefreshError {
    fn from(error: LoadError) -> RefreshError {
        match error {
            LoadError::Storage(error) => RefreshError::Storage(error),
            LoadError::Read(error) => RefreshError::Read(error),
            error => RefreshError::Load(error),
        }
    }
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

/// A state on its way forward.
pub(crate) struct Rolling {
    replay: Replay,
    /// The view that it came from; none if it was loaded.
    base: Option<View>,
    changed: ChangedRoots,
    index_binding: Arc<IndexBinding>,
    program: Arc<Program>,
    pub(crate) budget: Budget,
    times: StepTimes,
    /// What all steps took.
    pub(crate) stepped: Duration,
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
            replay: Replay::new(state, committed_at, dataset, budget.limit(), env.threads()),
            base,
            changed: ChangedRoots::default(),
            program: Arc::clone(program),
            budget,
            times: StepTimes::default(),
            stepped: Duration::ZERO,
            env: env.clone(),
        })
    }

    pub(crate) fn state(&self) -> &State {
        self.replay.state()
    }

    pub(crate) fn commits(&self) -> u64 {
        self.replay.commits()
    }

    /// Counts the memory of a state that was loaded; `Err` has what it takes if that is too much.
    pub(crate) fn admit(&mut self) -> Result<(), u64> {
        self.budget.admit(self.replay.state(), None)
    }

    /// Takes a commit in. After an error this is what it was before.
    pub(crate) fn step(&mut self, fetched: &Fetched) -> Result<(), RefreshError> {
        let started = self.env.instant();
        let applied = self.replay.apply(fetched)?;
        let compared = self.env.instant();
        self.times.apply += compared - started;
        let proven = applied.prove()?;
        self.times.compare += self.env.instant() - compared;
        let (version, state) = (fetched.version, proven.state());
        let mut budget = self.budget;
        budget.admit(state, proven.delta()).map_err(|needed| RefreshError::TooLarge {
            version,
            needed,
            limit: budget.limit(),
        })?;
        if fetched.commit.schema.is_some() {
            let binding = self.program.bind_indexes(state.schema());
            self.index_binding = binding.map_err(|source| RefreshError::Index { version, source })?;
        }
        if let Some(delta) = proven.delta() {
            self.changed.note(delta, state, &self.index_binding);
        }
        self.replay.advance(proven);
        self.budget = budget;
        self.stepped += self.env.instant() - started;
        Ok(())
    }

    /// The view of this state: bound, and with its indexes.
    pub(crate) fn into_view(mut self) -> Result<(View, StepTimes), RefreshError> {
        let started = self.env.instant();
        let committed_at = self.replay.committed_at();
        let state = self.replay.into_state();
        let (version, threads, seed) = (state.version(), self.env.threads(), state.seed());
        let binding = match &self.base {
            Some(base) if base.schema() == state.schema() => Arc::clone(base.binding()),
            _ => Binding::new(&self.program.declared, state.schema())
                .map(Arc::new)
                .map_err(|source| RefreshError::Bind { version, source })?,
        };
        let indexes = match &self.base {
            Some(base) => {
                let states = (base.state(), &state);
                base.indexes().updated(self.index_binding, states.0, states.1, self.changed, seed, threads)
            }
            None => Indexes::build(self.index_binding, &state, seed, threads),
        };
        let view = View::with_indexes(state, binding, indexes, committed_at);
        self.times.index = self.env.instant() - started;
        Ok((view, self.times))
    }
}
