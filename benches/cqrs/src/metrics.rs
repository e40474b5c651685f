//! What operations see of a strategy: counters and gauges that its parts keep, and the alarms that they ring.
//!
//! Rules: a part counts what it knows by itself and never asks another; whoever looks takes a [`Reading`] and compares.
//! A fault counts as noticed by a metric if its alarm rang.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::clock::{now, wall};
use super::domain::Micros;

/// The metrics of one strategy.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Messages that are committed and only in the memory of the service yet: the queue that no broker tells of.
    pub unpublished: AtomicU64,
    /// Messages that left for the broker.
    pub published: AtomicU64,
    /// Messages that changed a read model.
    pub applied: AtomicU64,
    /// Messages that a read model had seen, or newer ones.
    pub stale: AtomicU64,
    /// Events that were given up: nobody has them any more.
    pub failed_events: AtomicU64,
    /// Messages that were put aside.
    pub buried: AtomicU64,
    /// Attempts that failed and were made again: brokers and stores that did not answer.
    pub retries: AtomicU64,
    /// Processes that died and were started again.
    pub restarts: AtomicU64,
    /// Messages that were told again on purpose.
    pub replayed: AtomicU64,
    /// How many a replay or rebuild under way has to tell; 0 if there is none.
    pub replay_total: AtomicU64,
    /// How many of those were told.
    pub replay_done: AtomicU64,
    /// Mails that were sent: the side effect.
    pub mails: AtomicU64,
    /// Versions that a validator refused, or that a reader refused to swap to.
    pub refused: AtomicU64,
    progress: Mutex<Progress>,
}

/// When the read model was last seen to get on.
#[derive(Debug, Default)]
struct Progress {
    at: Option<Instant>,
    /// How old the newest of the last batch was when it was applied.
    lag_ms: u64,
}

/// The metrics at one moment, with what had to be asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Reading {
    /// As in [`Metrics`].
    pub published: u64,
    /// As in [`Metrics`].
    pub applied: u64,
    /// As in [`Metrics`].
    pub stale: u64,
    /// As in [`Metrics`].
    pub failed_events: u64,
    /// As in [`Metrics`].
    pub retries: u64,
    /// As in [`Metrics`].
    pub restarts: u64,
    /// As in [`Metrics`].
    pub replayed: u64,
    /// As in [`Metrics`].
    pub mails: u64,
    /// As in [`Metrics`].
    pub refused: u64,
    /// Messages between the write side and the read model.
    pub lag_messages: u64,
    /// How long the oldest of them has been committed.
    pub staleness_ms: u64,
    /// Dead letters that nobody has looked at.
    pub dead_letters: u64,
    /// Messages that a replay or rebuild under way has still to tell.
    pub replay_left: u64,
    /// Processes of the strategy that are not running at this moment.
    pub down: u64,
}

/// What rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Alarm {
    /// Events were given up.
    FailedEvents,
    /// There are dead letters.
    DeadLetters,
    /// The read model is further behind than it should be.
    Staleness,
    /// A process died.
    Restarts,
    /// Parts did not answer.
    Retries,
    /// A version was refused.
    Refused,
}

impl Metrics {
    /// The counters; who knows the queues adds the rest.
    #[must_use]
    pub fn read(&self) -> Reading {
        Reading {
            published: self.published.load(Relaxed),
            applied: self.applied.load(Relaxed),
            stale: self.stale.load(Relaxed),
            failed_events: self.failed_events.load(Relaxed),
            retries: self.retries.load(Relaxed),
            restarts: self.restarts.load(Relaxed),
            replayed: self.replayed.load(Relaxed),
            mails: self.mails.load(Relaxed),
            refused: self.refused.load(Relaxed),
            lag_messages: self.unpublished.load(Relaxed),
            replay_left: self.replay_total.load(Relaxed).saturating_sub(self.replay_done.load(Relaxed)),
            ..Reading::default()
        }
    }

    /// A projector has nothing before it.
    pub fn caught_up(&self) {
        *self.progress.lock().expect("nothing panics under this lock") = Progress { at: Some(now()), lag_ms: 0 };
    }

    /// A projector has applied what was committed then.
    pub fn applied_from(&self, at: Micros) {
        let lag_ms = wall().saturating_sub(at) / 1_000;
        *self.progress.lock().expect("nothing panics under this lock") = Progress { at: Some(now()), lag_ms };
    }

    /// How stale a read model is at least that has messages before it: how old they were at the last look, or how long no
    /// projector has got on.
    #[must_use]
    pub fn staleness(&self) -> Duration {
        let progress = self.progress.lock().expect("nothing panics under this lock");
        let stuck = progress.at.map_or(Duration::ZERO, |at| at.elapsed());
        stuck.max(Duration::from_millis(progress.lag_ms))
    }

    /// Adds to a counter.
    pub fn count(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Relaxed);
    }
}

impl Reading {
    /// What rings, compared with a reading from before the fault.
    #[must_use]
    pub fn alarms(&self, before: &Reading, staleness_ms_max: u64) -> Vec<Alarm> {
        let rings = [
            (self.failed_events > before.failed_events, Alarm::FailedEvents),
            (self.dead_letters > before.dead_letters, Alarm::DeadLetters),
            (self.staleness_ms > staleness_ms_max, Alarm::Staleness),
            (self.restarts > before.restarts || self.down > 0, Alarm::Restarts),
            (self.retries > before.retries, Alarm::Retries),
            (self.refused > before.refused, Alarm::Refused),
        ];
        rings.into_iter().filter_map(|(rings, alarm)| rings.then_some(alarm)).collect()
    }
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Alarm::FailedEvents => "failed events",
            Alarm::DeadLetters => "dead letters",
            Alarm::Staleness => "staleness",
            Alarm::Restarts => "restarts",
            Alarm::Retries => "retries",
            Alarm::Refused => "refused versions",
        })
    }
}
