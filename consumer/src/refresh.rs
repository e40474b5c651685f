//! One step of a refresh: a commit is replayed, admitted to memory, and noted for the indexes.
//!
//! Pure computation, off the async threads. Nothing that a reader sees changes here.
//!
//! Rules: only a state that was proven against the log is kept (I5); an error leaves the last such state in place.

use std::sync::Arc;
use std::time::Duration;

use cenote_state::record::Binding;
use cenote_state::state::State;
use cenote_state::view::indexes::{ChangedRoots, IndexBinding};
use cenote_state::view::{Indexes, View};
use cenote_store::env::Env;
use cenote_store::load::{Fetched, Replay};

use crate::error::RefreshCause;
use crate::memory::Budget;
use crate::program::Program;
use crate::report::StepTimes;

/// A state that is rolled forward, with what its view will need.
pub(crate) struct Rolling {
    replay: Replay,
    /// The view at which it began; none if it began at a snapshot.
    base: Option<View>,
    changed: ChangedRoots,
    index_binding: Arc<IndexBinding>,
    program: Arc<Program>,
    pub(crate) budget: Budget,
    times: StepTimes,
    /// How long all steps took.
    pub(crate) stepped: Duration,
    env: Env,
}

impl Rolling {
    /// Begins at the replay's state, which `base` shows if it is a view's.
    pub(crate) fn new(
        replay: Replay,
        base: Option<View>,
        program: &Arc<Program>,
        budget: Budget,
        env: &Env,
    ) -> Result<Rolling, RefreshCause> {
        let version = replay.state().version();
        let index_binding = program.bind_indexes(replay.state().schema());
        Ok(Rolling {
            index_binding: index_binding.map_err(|source| RefreshCause::Index { version, source })?,
            replay,
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

    /// Counts the memory of a state that was loaded.
    ///
    /// # Errors
    /// The bytes that it takes, if they are too many.
    pub(crate) fn admit(&mut self) -> Result<(), u64> {
        self.budget.admit(self.replay.state(), None)
    }

    /// Replays a commit. After an error the state is the one before.
    pub(crate) fn step(&mut self, fetched: &Fetched) -> Result<(), RefreshCause> {
        let started = self.env.instant();
        let applied = self.replay.apply(fetched)?;
        let compared = self.env.instant();
        self.times.apply += compared - started;
        let proven = applied.prove()?;
        self.times.compare += self.env.instant() - compared;
        let (version, state) = (fetched.version, proven.state());
        let mut budget = self.budget;
        budget.admit(state, proven.delta()).map_err(|needed| RefreshCause::TooLarge {
            version,
            needed,
            limit: budget.limit(),
        })?;
        if fetched.commit.schema.is_some() {
            let binding = self.program.bind_indexes(state.schema());
            self.index_binding = binding.map_err(|source| RefreshCause::Index { version, source })?;
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
    pub(crate) fn into_view(mut self) -> Result<(View, StepTimes), RefreshCause> {
        let started = self.env.instant();
        let committed_at = self.replay.committed_at();
        let state = self.replay.into_state();
        let (version, threads, seed) = (state.version(), self.env.threads(), state.seed());
        let binding = match &self.base {
            Some(base) if base.schema() == state.schema() => Arc::clone(base.binding()),
            _ => Binding::new(&self.program.declared, state.schema())
                .map(Arc::new)
                .map_err(|source| RefreshCause::Bind { version, source })?,
        };
        let (binding_of, changed) = (&self.index_binding, &self.changed);
        let made = self.budget.beside(&state, |bytes_max| {
            let binding = Arc::clone(binding_of);
            let indexes = match &self.base {
                Some(base) => {
                    let (old, changed) = (base.state(), changed.clone());
                    base.indexes().updated(binding, old, &state, changed, seed, threads, bytes_max)
                }
                None => Indexes::build(binding, &state, seed, threads, bytes_max),
            };
            indexes.map_err(|too_large| too_large.needed)
        });
        let limit = self.budget.limit();
        let indexes = made.map_err(|needed| RefreshCause::TooLarge { version, needed, limit })?;
        let view = View::with_indexes(state, binding, indexes, committed_at);
        self.times.index = self.env.instant() - started;
        Ok((view, self.times))
    }
}
