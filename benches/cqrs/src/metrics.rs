//! What operations see of a strategy: counters and gauges of its parts, and the alarms that they raise.
//!
//! Rules: a part counts what it knows itself and never asks another; a caller takes a [`Reading`] and compares it with an
//! earlier one. A fault counts as noticed if an alarm rang.

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
    /// Messages that are committed and only in the memory of the service: a queue that no broker reports.
    pub unpublished: AtomicU64,
    /// Messages that were sent to the broker.
    pub published: AtomicU64,
    /// Messages that changed a read model.
    pub applied: AtomicU64,
    /// Messages that were not newer than the read model.
    pub stale: AtomicU64,
    /// Events that were dropped, and exist nowhere else.
    pub failed_events: AtomicU64,
    /// Messages that became dead letters.
    pub put_aside: AtomicU64,
    /// Attempts that failed and were repeated: a broker or store did not answer.
    pub retries: AtomicU64,
    /// Processes that died and were started again.
    pub restarts: AtomicU64,
    /// Messages that were replayed on purpose.
    pub replayed: AtomicU64,
    /// Messages of the replay or rebuild under way; 0 if there is none.
    pub replay_total: AtomicU64,
    /// How many of those are done.
    pub replay_done: AtomicU64,
    /// Mails that were sent, as a side effect.
    pub mails: AtomicU64,
    /// Versions that a validator refused, or that a reader refused to swap to.
    pub refused: AtomicU64,
    progress: Mutex<Progress>,
}

/// When the read model last made progress.
#[derive(Debug, Default)]
struct Progress {
    at: Option<Instant>,
    /// The age of the newest message of the last batch when it was applied.
    lag_ms: u64,
}

/// The metrics at one moment, with what was asked of queues and processes.
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
    /// How long ago the oldest of them was committed.
    pub staleness_ms: u64,
    /// Dead letters that no person has handled.
    pub dead_letters: u64,
    /// Messages that the replay or rebuild under way still has to apply.
    pub replay_left: u64,
    /// Processes of the strategy that are not running at this moment.
    pub down: u64,
}

/// An alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Alarm {
    /// Events were dropped.
    FailedEvents,
    /// There are dead letters.
    DeadLetters,
    /// The read model is staler than it should be.
    Staleness,
    /// A process died.
    Restarts,
    /// Parts did not answer.
    Retries,
    /// A version was refused.
    Refused,
}

impl Metrics {
    /// The counters; the caller adds what it knows of queues and processes.
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

    /// Reports that a projector has nothing left to apply.
    pub fn caught_up(&self) {
        *self.progress.lock().expect("nothing panics under this lock") = Progress { at: Some(now()), lag_ms: 0 };
    }

    /// Reports that a projector has applied what was committed at this time.
    pub fn applied_from(&self, at: Micros) {
        let lag_ms = wall().saturating_sub(at) / 1_000;
        *self.progress.lock().expect("nothing panics under this lock") = Progress { at: Some(now()), lag_ms };
    }

    /// How stale a read model with waiting messages is at least: how old they were at the last batch, or how long no
    /// projector has made progress.
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
    /// The alarms that ring, compared with a reading from before the fault.
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
