//! The producer's pulse: whether it kept its promise to be heard of.
//!
//! An idle log looks the same whether the producer has nothing to say or is dead. Its hint tells: it changes at least
//! as often as it promises. New entries are life as well, so the hint is read only when there was none for a while.
//!
//! Rules: only our own monotonic clock counts; no promise, no breach.

use std::time::Duration;

use cenote_state::ids::Epoch;
use cenote_store::env::Instant;
use cenote_store::log::Hint;

/// Between two looks behind the end of the log, while nothing comes.
const CHECK_EVERY: Duration = Duration::from_secs(60);

/// When the producer was last heard of.
#[derive(Debug)]
pub(crate) struct Pulse {
    beat: Option<(Epoch, u64)>,
    promise: Option<Duration>,
    heard: Instant,
    check_at: Instant,
}

impl Pulse {
    pub(crate) fn new(now: Instant) -> Pulse {
        Pulse { beat: None, promise: None, heard: now, check_at: now }
    }

    /// Whether it is time to look behind the end of the log.
    pub(crate) fn is_check_due(&self, now: Instant) -> bool {
        now >= self.check_at
    }

    /// The next look that finds nothing looks behind the end, too: nobody has yet.
    pub(crate) fn check_soon(&mut self) {
        self.check_at = self.heard;
    }

    /// An entry came.
    pub(crate) fn entry(&mut self, now: Instant) {
        self.heard = now;
        self.check_at = now + CHECK_EVERY;
    }

    /// The hint was read.
    pub(crate) fn hint(&mut self, hint: Option<&Hint>, now: Instant) {
        let beat = hint.map(|hint| (hint.epoch, hint.beat));
        if beat != self.beat {
            self.heard = now;
            self.beat = beat;
        }
        self.promise = hint.filter(|hint| hint.holder.is_some()).map(|hint| hint.heartbeat_interval);
        self.check_at = now + CHECK_EVERY;
    }

    /// For how long the promise has been broken, as far as the last look showed.
    pub(crate) fn broken_for(&self, now: Instant) -> Option<Duration> {
        // Between two checks nobody has looked: silence is only ours.
        let checked = self.check_at.checked_sub(CHECK_EVERY).unwrap_or(now);
        let silent = checked.saturating_duration_since(self.heard);
        let broken = silent.checked_sub(self.promise?).filter(|broken| !broken.is_zero())?;
        Some(broken + now.saturating_duration_since(checked))
    }
}
