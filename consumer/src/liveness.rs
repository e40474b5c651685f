//! The producer's liveness: whether its heartbeats come as often as it promises.
//!
//! An idle log looks the same whether the producer has nothing to write or is dead. The hint is its heartbeat: it changes
//! at least as often as it promises. New entries are signs of life as well, so the hint is read only when none came for a
//! while.
//!
//! Rules: only this process's monotonic clock counts; without a promise, none is broken.

use std::time::Duration;

use cenote_state::ids::Epoch;
use cenote_store::env::Instant;
use cenote_store::log::Hint;

/// Time between two checks of the end of the log while no entry comes.
const CHECK_EVERY: Duration = Duration::from_mins(1);

/// When the producer last showed a sign of life.
#[derive(Debug)]
pub(crate) struct ProducerLiveness {
    beat: Option<(Epoch, u64)>,
    /// The longest time between two signs of life that the producer promises.
    timeout: Option<Duration>,
    last_sign: Instant,
    /// When the end of the log is checked next, if no entry comes before.
    check_at: Instant,
    /// Whether it is checked at the next look all the same.
    check_is_owed: bool,
}

impl ProducerLiveness {
    pub(crate) fn new(now: Instant) -> ProducerLiveness {
        ProducerLiveness { beat: None, timeout: None, last_sign: now, check_at: now, check_is_owed: true }
    }

    /// Whether it is time to check the end of the log.
    pub(crate) fn is_check_due(&self, now: Instant) -> bool {
        self.check_is_owed || now >= self.check_at
    }

    /// Makes the next look check the end of the log, whether or not it finds entries: the consumer has just started, or
    /// the log could not be read to its end.
    pub(crate) fn owe_check(&mut self) {
        self.check_is_owed = true;
    }

    /// An entry came.
    pub(crate) fn entry(&mut self, now: Instant) {
        self.last_sign = now;
        self.check_at = now + CHECK_EVERY;
    }

    /// The hint was read.
    pub(crate) fn hint(&mut self, hint: Option<&Hint>, now: Instant) {
        let beat = hint.map(|hint| (hint.epoch, hint.beat));
        if beat != self.beat {
            self.last_sign = now;
            self.beat = beat;
        }
        self.timeout = hint.filter(|hint| hint.owner.is_some()).map(|hint| hint.heartbeat_interval);
        self.check_at = now + CHECK_EVERY;
        self.check_is_owed = false;
    }

    /// For how long the promise has been broken, as far as the last check showed.
    pub(crate) fn broken_for(&self, now: Instant) -> Option<Duration> {
        // Between two checks the consumer does not look, so silence then proves nothing about the producer.
        let checked = self.check_at.checked_sub(CHECK_EVERY).unwrap_or(now);
        let silent = checked.saturating_duration_since(self.last_sign);
        let broken = silent.checked_sub(self.timeout?).filter(|broken| !broken.is_zero())?;
        Some(broken + now.saturating_duration_since(checked))
    }
}
