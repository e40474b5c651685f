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
    check_at: Instant,
}

impl ProducerLiveness {
    pub(crate) fn new(now: Instant) -> ProducerLiveness {
        ProducerLiveness { beat: None, timeout: None, last_sign: now, check_at: now }
    }

    /// Whether it is time to check the end of the log.
    pub(crate) fn is_check_due(&self, now: Instant) -> bool {
        now >= self.check_at
    }

    /// Makes the next poll that finds no entry check the end of the log: this consumer has not yet.
    pub(crate) fn check_soon(&mut self) {
        self.check_at = self.last_sign;
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
