//! Records every request in order, and can kill the process under test at one of them, before or after it takes effect.
//!
//! A crash test runs once to learn the steps, then once per step and moment: [`StepStore::kill_at`], the work inside
//! [`StepStore::until_killed`], then recovery through a storage that is not wrapped. The request that is killed never
//! answers, and every later one fails: nothing that the dead process does reaches the store.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::future::{Either, select};
use object_store::{Error, Result};
use tokio::sync::watch;

use super::intercept::{Call, Interceptor, Reply, RequestKind, Run, wrap};
use cenote_store::storage::Storage;

/// One request that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its kind.
    pub kind: RequestKind,
    /// The object's name, or the folder's.
    pub key: String,
}

/// When a step's process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The request never reaches the store.
    Before,
    /// The request takes effect, its answer is lost.
    After,
}

/// Records steps and dies at one.
#[derive(Clone, Debug)]
pub struct StepStore {
    record: Arc<Mutex<Record>>,
    dead: Arc<watch::Sender<bool>>,
}

#[derive(Debug, Default)]
struct Record {
    steps: Vec<Step>,
    kill: Option<(usize, Moment)>,
    killed: bool,
}

/// How a request is handled.
enum Fate {
    Lives,
    Dies(Moment),
    IsLate,
}

/// Announces the death when it is dropped: by the killed request itself, or with it if its task is aborted.
struct Death(Arc<watch::Sender<bool>>);

impl Drop for Death {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

impl Default for StepStore {
    fn default() -> Self {
        StepStore::new()
    }
}

impl StepStore {
    /// Records, and does not kill.
    #[must_use]
    pub fn new() -> StepStore {
        StepStore { record: Arc::default(), dead: Arc::new(watch::Sender::new(false)) }
    }

    /// Dies at step `number` (the first is 0), counted from the beginning of the record.
    #[must_use]
    pub fn kill_at(number: usize, moment: Moment) -> StepStore {
        let store = StepStore::new();
        store.record.lock().expect("recording does not panic").kill = Some((number, moment));
        store
    }

    /// The same dataset, recorded.
    #[must_use]
    pub fn wrap(&self, storage: &Storage) -> Storage {
        wrap(storage, self.clone())
    }

    /// The steps so far, in the order in which they began, without those after the death.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        self.record.lock().expect("recording does not panic").steps.clone()
    }

    /// Whether the step was reached.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        *self.dead.borrow()
    }

    /// Runs `work` until it ends or the step is reached; then `work` is dropped where it waits.
    pub async fn until_killed<F: Future>(&self, work: F) -> Option<F::Output> {
        let mut dead = self.dead.subscribe();
        let killed = pin!(async move { dead.wait_for(|dead| *dead).await.is_ok() });
        match select(killed, pin!(work)).await {
            Either::Left(_) => None,
            Either::Right((output, _)) => Some(output),
        }
    }

    fn fate(&self, call: Call) -> Fate {
        let mut record = self.record.lock().expect("recording does not panic");
        if record.killed {
            return Fate::IsLate;
        }
        let number = record.steps.len();
        record.steps.push(Step { kind: call.kind, key: call.key });
        match record.kill {
            Some((kill, moment)) if kill == number => {
                record.killed = true;
                Fate::Dies(moment)
            }
            _ => Fate::Lives,
        }
    }
}

#[async_trait]
impl Interceptor for StepStore {
    async fn intercept(&self, call: Call, run: Run) -> Result<Reply> {
        let moment = match self.fate(call) {
            Fate::Lives => return run.await,
            Fate::IsLate => {
                // Not while the killed request still takes effect: work that will be dropped must not see an error.
                let _ = self.dead.subscribe().wait_for(|dead| *dead).await;
                // Nor in the same poll as the death.
                tokio::task::yield_now().await;
                return Err(Error::Generic { store: "steps", source: "the process is dead".into() });
            }
            Fate::Dies(moment) => moment,
        };
        let death = Death(Arc::clone(&self.dead));
        match moment {
            Moment::Before => drop(run),
            Moment::After => drop(run.await),
        }
        drop(death);
        std::future::pending().await
    }
}
