//! Looking back: whether the log that a writer appends to is still the one that it wrote.
//!
//! A log can be deleted, made again, or restored from an older copy under a living producer. Put-if-absent does not notice:
//! the next position is free. No reader would ever come past the gap, and what was acknowledged after it would be lost.
//!
//! Rules: before an entry is put, the one before it was seen within a second; an older entry is looked at every minute,
//! too, because a writer that puts without a pause has seen its own newest entry all along; a put is believed only by a
//! writer that has seen the log within the last ten minutes, by either clock, since tombstones do not stay forever.

use std::time::Duration;

use super::put::{Attempt, Said};
use super::{ATTEMPT_TIMEOUT, LogWriter};
use crate::env::{Env, Instant};
use crate::log::error::ReadError;
use crate::log::names;
use crate::log::outcome::{Lost, Outcome, Refused};
use crate::log::reader::LogReader;
use crate::log::state::LogState;
use cenote_state::hash::Hash;
use cenote_state::ids::{Position, Timestamp};

/// A tail that was seen within this time is there.
const SEEN_FOR: Duration = Duration::from_secs(1);
/// How often an entry before the newest is looked at.
const LOOK_BACK_EVERY: Duration = Duration::from_mins(1);
/// A put is believed if the tail was seen within this time; a small part of the time that tombstones stay.
const BELIEVED_FOR: Duration = Duration::from_mins(10);

/// What a writer has seen of the log, and when.
#[derive(Debug)]
pub(super) struct Sight {
    /// When the newest entry was known to be there, by both clocks.
    seen: (Instant, Timestamp),
    /// The newest entry as of `marked`.
    mark: (Position, Hash),
    marked: Instant,
}

impl Sight {
    pub(super) fn new(env: &Env, log_state: &LogState) -> Sight {
        let now = env.instant();
        Sight { seen: (now, env.now()), mark: (log_state.position, log_state.hash), marked: now }
    }

    /// The newest entry is there.
    pub(super) fn saw(&mut self, env: &Env) {
        self.seen = (env.instant(), env.now());
    }

    fn since(&self, env: &Env) -> Duration {
        let by_wall_clock = Duration::from_millis(env.now().0.abs_diff(self.seen.1.0));
        (env.instant() - self.seen.0).max(by_wall_clock)
    }
}

impl LogWriter {
    /// Whether the newest entry, and from time to time an older one, is still there. `Some` if the log went on without
    /// this writer.
    pub(super) async fn look_back(&mut self) -> Result<Option<Outcome>, Refused> {
        let now = self.env.instant();
        let (tail, marks) = (self.sight.since(&self.env) >= SEEN_FOR, now - self.sight.marked >= LOOK_BACK_EVERY);
        if !tail && !marks {
            return Ok(None);
        }
        let newest = (self.log_state.position, self.log_state.hash);
        let older = Some(self.sight.mark).filter(|mark| marks && *mark != newest && mark.0.0 > 0);
        let reader = LogReader::at(self.storage.clone(), self.log_state.clone());
        let looks = async {
            let older = async {
                match older {
                    Some((position, hash)) => reader.stands_unchanged(position, hash).await,
                    None => Ok(true),
                }
            };
            futures::join!(reader.stands_unchanged(newest.0, newest.1), older)
        };
        // A store that has its troubles is no sign of anything.
        let Ok((newest_found, older_found)) = self.env.timeout(ATTEMPT_TIMEOUT, looks).await else { return Ok(None) };
        for found in [&older_found, &newest_found] {
            if matches!(found, Err(ReadError::NotFound { .. } | ReadError::Replaced { .. })) {
                // The hint belongs to another dataset now, or to none: it is not ours to overwrite, not even when closing.
                self.heartbeat.as_ref().inspect(|heartbeat| heartbeat.stop());
            }
        }
        let (newest_found, _) = (gone(newest_found)?, gone(older_found)?);
        if let Some(ReadError::Trimmed { log_start, .. }) = newest_found
            && self.next_is_free().await
        {
            let lost = Outcome::Lost(Lost::Trimmed { position: newest.0.next(), log_start });
            self.ended = Some(lost.clone());
            self.heartbeat.as_ref().inspect(|heartbeat| heartbeat.stop());
            return Ok(Some(lost));
        }
        if matches!(newest_found, None | Some(ReadError::Trimmed { .. })) {
            self.sight.saw(&self.env);
            if marks {
                (self.sight.mark, self.sight.marked) = (newest, now);
            }
        }
        Ok(None)
    }

    /// Whether nothing is at the next position, although the log was trimmed past it: its tombstone was deleted.
    async fn next_is_free(&self) -> bool {
        let next = names::log_entry(self.log_state.position.next());
        matches!(self.env.timeout(ATTEMPT_TIMEOUT, self.storage.size(&next)).await, Ok(Ok(None)))
    }

    /// Our entry is there. Whether that is worth anything depends on the one before it, if that was not seen for long.
    pub(super) async fn believed(&self, timeout: Duration) -> Attempt {
        let LogState { position, hash, .. } = self.log_state;
        if position.0 == 0 || self.sight.since(&self.env) < BELIEVED_FOR {
            return Attempt::Committed;
        }
        let reader = LogReader::at(self.storage.clone(), self.log_state.clone());
        match self.env.timeout(timeout.max(SEEN_FOR), reader.stands_unchanged(position, hash)).await {
            Ok(Ok(_)) => Attempt::Committed,
            // The log begins at our entry: a janitor trimmed what is before it.
            Ok(Err(ReadError::Trimmed { log_start, .. })) if log_start <= position.next() => Attempt::Committed,
            Ok(Err(ReadError::Storage(error))) => {
                Attempt::Undecided(Said { words: error.to_string(), is_answer: true })
            }
            Ok(Err(gone)) => Attempt::CutOff(match gone {
                ReadError::Trimmed { log_start, .. } => Lost::Trimmed { position: position.next(), log_start },
                gone => Lost::Foreign { object: names::log_entry(position), cause: gone.to_string() },
            }),
            Err(_) => {
                let words = format!("the store gave no answer about {} in time", names::log_entry(position));
                Attempt::Undecided(Said { words, is_answer: false })
            }
        }
    }
}

/// What a look found: that the log is gone, which is an error, or anything that says less.
fn gone(found: Result<bool, ReadError>) -> Result<Option<ReadError>, Refused> {
    match found {
        Err(
            gone @ (ReadError::NotFound { .. }
            | ReadError::Replaced { .. }
            | ReadError::Restored { .. }
            | ReadError::Damaged { .. }),
        ) => Err(Refused::Gone(gone)),
        other => Ok(other.err()),
    }
}
