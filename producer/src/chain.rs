//! The chain of versions as far as this producer knows it: the log's tail, the newest state, and the commit in flight.
//!
//! Rule: what is about to be put is kept here first. So a future that is dropped loses nothing: the next call settles the
//! entry in flight before anything else.

use cenote_state::ids::Version;
use cenote_state::token::Token;
use cenote_store::log::{Kind, LogWriter, Lost, Outcome};

use crate::base::CycleBase;
use crate::cycle::commit::{Next, Proposal};
use crate::error::{CycleCause, SnapshotCause, Unknown};
use crate::load::Loaded;
use crate::report::Settled;
use crate::snapshot::settled;

/// The log's tail in this producer's hands, and what it leads to.
pub(crate) struct Chain {
    log: LogWriter,
    /// The newest committed version, as readers have it.
    committed: Loaded,
    /// The same under the schema of the next commit, with its indexes.
    base: CycleBase,
    in_flight: Option<Next>,
    is_closed: bool,
}

impl Chain {
    pub(crate) fn new(log: LogWriter, committed: Loaded, base: CycleBase) -> Chain {
        Chain { log, committed, base, in_flight: None, is_closed: false }
    }

    pub(crate) fn log(&self) -> &LogWriter {
        &self.log
    }

    /// The same, with what this producer's background work has put.
    pub(crate) async fn tail(&mut self) -> &LogWriter {
        self.log.take_in().await;
        &self.log
    }

    /// Puts this producer's `open` entry, if it has put nothing yet.
    pub(crate) async fn own(&mut self) -> Result<(), SnapshotCause> {
        match self.log.take_dataset().await? {
            Some(outcome) => settled(outcome),
            None => Ok(()),
        }
    }

    /// The newest committed version, as readers have it.
    pub(crate) fn committed(&self) -> &Loaded {
        &self.committed
    }

    /// What a cycle starts from.
    pub(crate) fn base(&self) -> &CycleBase {
        &self.base
    }

    pub(crate) fn version(&self) -> Version {
        self.committed.state.version()
    }

    pub(crate) fn token(&self) -> Token {
        Token::new(self.log.log_state().dataset, self.version())
    }

    /// Finds out what became of an earlier call that was dropped or whose outcome was unknown.
    pub(crate) async fn settle(&mut self) -> Result<Settled, CycleCause> {
        let outcome = self.log.settle().await;
        // The log's newest commit says more than the outcome, which may be that of a checkpoint. No other producer commits
        // in this epoch.
        let newest = self.log.log_state().version;
        if newest > self.version() && self.in_flight.is_some() {
            self.install(newest);
            return Ok(Settled::Committed(newest));
        }
        match outcome {
            Some(Outcome::Unknown(pending)) => return Err(Unknown::of(&pending).into()),
            Some(Outcome::Fenced(fenced)) => {
                self.in_flight = None;
                return Err(fenced.into());
            }
            // A lost checkpoint says nothing about the version: the version comes after it, and was not put.
            Some(Outcome::Lost(lost @ Lost::MayHaveCommitted { kind: Kind::Commit, .. }))
                if self.in_flight.is_some() =>
            {
                self.in_flight = None;
                return Err(lost.into());
            }
            _ => {}
        }
        Ok(if self.in_flight.take().is_some() { Settled::NotCommitted } else { Settled::Nothing })
    }

    /// Puts the entry, and moves on to its version.
    pub(crate) async fn commit(&mut self, proposal: Proposal) -> Result<Version, CycleCause> {
        let Proposal { body, object, next } = proposal;
        self.in_flight = Some(next);
        let outcome = match object {
            Some(object) => self.log.publish(object, body).await,
            None => self.log.append(body).await,
        };
        let failed = match outcome {
            Ok(Outcome::Committed(position)) => {
                let version = Version(position.0);
                self.install(version);
                return Ok(version);
            }
            Ok(Outcome::Unknown(pending)) if !pending.is_earlier() => return Err(Unknown::of(&pending).into()),
            Ok(Outcome::Unknown(earlier)) => Unknown::of(&earlier).into(),
            Ok(Outcome::Lost(lost)) => lost.into(),
            Ok(Outcome::Fenced(fenced)) => fenced.into(),
            Err(refused) => refused.into(),
        };
        self.in_flight = None;
        Err(failed)
    }

    /// Settles what is in flight, and marks the dataset as free for other producers.
    pub(crate) async fn close(&mut self) -> Result<(), CycleCause> {
        match self.log.close().await {
            Some(pending) => Err(Unknown::of(&pending).into()),
            None => {
                self.is_closed = true;
                Ok(())
            }
        }
    }

    /// Whether the producer gave the dataset up.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// The entry in flight was committed as this version: moves on to it.
    fn install(&mut self, version: Version) {
        let next = self.in_flight.take().expect("what was committed was in flight");
        let state = next.state.with_version(version);
        debug_assert_eq!(state.digest(), self.log.log_state().digest, "the log and the producer agree");
        self.base.update(state.clone(), &next.updates);
        self.committed = Loaded { state, committed_at: self.log.commit_time(), damaged: Vec::new() };
    }

    /// Asserts that the indexes, updated commit by commit, are those of the state.
    ///
    /// # Panics
    /// If they are not: for tests.
    pub(crate) fn check_invariants(&self) {
        self.base.check_invariants();
    }
}
