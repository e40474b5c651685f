//! The owner's heartbeat: one hint, put at most once a second (but for the last) and at least as often as promised.
//!
//! A heartbeat is shared: the writer notes new positions, a task ([`Heartbeat::beat`]) puts them. What is put is what is known
//! to be in the log, so that the hint never runs ahead of it (rule 1). A put that fails is forgotten: a hint is only
//! a hint, and the next one comes soon. A last hint that is dropped half-way was none: the beats go on.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;

use super::hint::Hint;
use super::names;
use crate::env::{Env, Instant};
use crate::storage::Storage;
use cenote_state::ids::{DatasetId, Epoch, Position};

/// Puts of the hint are at least this far apart.
const HINT_GAP: Duration = Duration::from_secs(1);

/// Keeps the hint. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    storage: Storage,
    env: Env,
    dataset: DatasetId,
    owner: String,
    heartbeat_interval: Duration,
    state: Mutex<State>,
    noted: Notify,
    /// Held while a hint is put: two at once could land in either order, and the last hint must come last.
    putting: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State {
    epoch: Epoch,
    position: Position,
    announced: Position,
    beat: u64,
    last_put: Option<Instant>,
    stopped: bool,
    /// The last hint is under way: no beat comes after it, unless it is dropped.
    releasing: bool,
}

/// The last hint while it is under way. Dropped before its end, it lets the beats go on.
struct Releasing<'h>(&'h Heartbeat);

impl Drop for Releasing<'_> {
    fn drop(&mut self) {
        self.0.state().releasing = false;
        self.0.inner.noted.notify_one();
    }
}

impl Heartbeat {
    pub(super) fn new(
        storage: Storage,
        env: Env,
        owner: (DatasetId, Epoch, String),
        heartbeat_interval: Duration,
        position: Position,
    ) -> Heartbeat {
        let (dataset, epoch, owner) = owner;
        let state = State {
            epoch,
            position,
            announced: Position(0),
            beat: 0,
            last_put: None,
            stopped: false,
            releasing: false,
        };
        let (state, noted, putting) = (Mutex::new(state), Notify::new(), tokio::sync::Mutex::new(()));
        Heartbeat { inner: Arc::new(Inner { storage, env, dataset, owner, heartbeat_interval, state, noted, putting }) }
    }

    /// Takes a new position in; `beat` puts it.
    pub(super) fn note(&self, position: Position) {
        self.state().position = position;
        self.inner.noted.notify_one();
    }

    /// The owner has put its `open`: it was one in waiting before, in the epoch that was.
    pub(super) fn opened(&self, epoch: Epoch, position: Position) {
        self.state().epoch = epoch;
        self.note(position);
    }

    /// Puts no more: another producer owns the dataset, or none will.
    pub(super) fn stop(&self) {
        self.state().stopped = true;
        self.inner.noted.notify_one();
    }

    /// Whether it puts no more.
    pub(super) fn is_stopped(&self) -> bool {
        self.state().stopped
    }

    /// Puts the hint if there is something new, or a third of the promise has passed, and a second since the last put.
    /// Says whether it did.
    pub async fn offer(&self) -> bool {
        match self.due() {
            Some(Duration::ZERO) => self.try_put().await,
            _ => false,
        }
    }

    /// Beats until the writer is closed or superseded: to be spawned next to the writer.
    pub async fn beat(self) {
        while let Some(wait) = self.due() {
            if wait.is_zero() {
                self.try_put().await;
                continue;
            }
            let noted = self.inner.noted.notified();
            tokio::select! {
                biased;
                () = noted => {}
                () = self.inner.env.sleep(wait) => {}
            }
        }
    }

    /// The last hint: no producer owns the dataset. It does not wait for the gap: nothing comes after it. For a process that
    /// is asked to end, too, whatever its writer is doing: an entry that still lands is only an entry before the next `open`.
    pub async fn release(&self) -> bool {
        self.state().releasing = true;
        let _releasing = Releasing(self);
        let _putting = self.inner.putting.lock().await;
        let put = self.put(false).await;
        self.stop();
        put
    }

    /// How long until the next put; `None` once stopped.
    fn due(&self) -> Option<Duration> {
        let state = self.state();
        if state.releasing && !state.stopped {
            return Some(self.inner.heartbeat_interval.max(HINT_GAP));
        }
        let Some(last) = state.last_put else { return (!state.stopped).then_some(Duration::ZERO) };
        let news = state.position != state.announced;
        let gap = if news { HINT_GAP } else { (self.inner.heartbeat_interval / 3).max(HINT_GAP) };
        let since = self.inner.env.instant() - last;
        (!state.stopped).then(|| gap.saturating_sub(since))
    }

    /// Puts the hint of a live owner, unless one is being put.
    async fn try_put(&self) -> bool {
        let Ok(_putting) = self.inner.putting.try_lock() else { return false };
        self.put(true).await
    }

    async fn put(&self, held: bool) -> bool {
        let hint = self.next_hint(held);
        let position = hint.position;
        let put = self.inner.storage.put(names::HINT, hint.encode());
        match self.inner.env.timeout(self.inner.heartbeat_interval.max(HINT_GAP), put).await {
            Ok(Ok(())) => {
                self.state().announced = position;
                true
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the hint was not put");
                false
            }
            Err(timeout) => {
                tracing::warn!(%timeout, "the hint was not put");
                false
            }
        }
    }

    /// The hint to put now; the moment counts as a put from here on, so that two callers don't put at once.
    fn next_hint(&self, held: bool) -> Hint {
        let mut state = self.state();
        state.beat += 1;
        state.last_put = Some(self.inner.env.instant());
        Hint {
            dataset: self.inner.dataset,
            position: state.position,
            epoch: state.epoch,
            beat: state.beat,
            owner: held.then(|| self.inner.owner.clone()),
            heartbeat_interval: self.inner.heartbeat_interval,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().expect("nothing panics while it holds this lock")
    }
}
