//! One put to its end: attempts, looks at what is there, and its outcome (rule 2).
//!
//! What is in flight is kept by the writer before the first byte leaves, with the doubt that a put leaves behind. An
//! entry of the own epoch at our position moves the body on to the next; anything else there is the end.
//!
//! An `open` that insists races an owner that puts one entry after another. Its put can leave only once the entry before
//! it is known, so it does not wait to be refused: it looks while it puts, and goes on as soon as another's entry shows.

use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;

use super::{ATTEMPT_TIMEOUT, LogWriter};
use crate::log::entry::{Body, ENTRY_BYTES_MAX, Entry, LogObject, decode};
use crate::log::error::{DecodeError, ReadError};
use crate::log::head::{Head, Kind};
use crate::log::names;
use crate::log::order::{Standing, Verdict};
use crate::log::outcome::{Fenced, Lost, Outcome, Pending};
use crate::storage::{Created, StorageError, StorageErrorKind};
use cenote_state::ids::Epoch;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A store's "exists", with what is there, is a clear "not ours" if both came within this. Later it may be the echo
/// of a put that the store's client tried twice by itself; to take over and to trim past us takes others longer.
const CLEAR_WITHIN: Duration = Duration::from_secs(1);

/// A look at what is there has at least this long, however late it is.
const LOOK_AT_LEAST: Duration = Duration::from_secs(1);

/// So soon one look follows another while an `open` insists; less than what a store's answer takes, or the owner's next
/// put leaves before ours does.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What one attempt to put found.
pub(super) enum Attempt {
    Committed,
    /// Another's bytes are there, or the store shows something that can't be ours.
    Lost(Standing, Option<Bytes>),
    /// The store refused the first put of these bytes, and nothing is there.
    Refused(StorageError),
    /// The log went on, or is another, whatever is at our position.
    CutOff(Lost),
    /// With what the store said.
    Undecided(Said),
}

/// What the store said last about a put that is not decided.
pub(super) struct Said {
    pub(super) words: String,
    /// An answer tells more than a silence.
    pub(super) is_answer: bool,
}

impl Said {
    fn or_what_told_more(self, before: Option<Said>) -> Said {
        if self.is_answer { self } else { before.unwrap_or(self) }
    }
}

impl LogWriter {
    /// Puts what is in flight until it is decided, or the time is up. A dropped future leaves it in flight.
    pub(super) async fn drive(&mut self) -> Outcome {
        let mut started = self.env.instant();
        let (mut pause, mut said) = (FIRST_PAUSE, None::<Said>);
        loop {
            let left = self.options.commit_timeout.saturating_sub(self.env.instant() - started);
            let cause = match self.attempt(left).await {
                Attempt::Committed => return self.committed(),
                Attempt::Lost(standing, found) => {
                    if let ControlFlow::Break(outcome) = self.lost(standing, found) {
                        return self.finish(outcome);
                    }
                    // Another position, another put: it has its own time.
                    (started, pause, said) = (self.env.instant(), FIRST_PAUSE, None);
                    continue;
                }
                Attempt::CutOff(lost) => match self.cut_off(lost) {
                    ControlFlow::Break(outcome) => return self.finish(outcome),
                    ControlFlow::Continue(()) => continue,
                },
                Attempt::Refused(error) => return self.finish(Outcome::Lost(Lost::Refused(error))),
                Attempt::Undecided(cause) => cause.or_what_told_more(said),
            };
            let left = self.options.commit_timeout.saturating_sub(self.env.instant() - started);
            if left.is_zero() {
                return Outcome::Unknown(self.pending(cause.words));
            }
            said = Some(cause);
            self.env.sleep(self.env.jitter(pause, 0.2).min(left)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One put, and a look at what is there unless the store simply confirmed it, within about `left`.
    async fn attempt(&mut self, left: Duration) -> Attempt {
        let flight = self.in_flight.as_mut().expect("something is in flight");
        let (name, bytes) = (names::log_entry(flight.entry.head.position), flight.bytes.clone());
        // Noted before the first byte leaves, so that a dropped future leaves the doubt behind.
        let was_doubtful = std::mem::replace(&mut flight.is_doubtful, true);
        let (began, mut is_refused) = (self.env.instant(), false);
        let create = self.env.timeout(left.min(ATTEMPT_TIMEOUT), self.storage.create(&name, bytes.clone()));
        let answer = tokio::select! {
            biased;
            answer = create => answer,
            // The position is decided: what is left of our put can only be refused.
            found = self.overtaken(&name, &bytes), if self.insists() => {
                return Attempt::Lost(Standing::Anothers, Some(found));
            }
        };
        let mut refusal = None;
        let said = match answer {
            Ok(Ok(Created::Yes)) => return self.believed(ATTEMPT_TIMEOUT).await,
            Ok(Ok(Created::Exists)) => {
                is_refused = true;
                let words = format!("the store says that {name} exists, and does not show it");
                Said { words, is_answer: true }
            }
            Ok(Err(error)) => {
                let said = Said { words: error.to_string(), is_answer: error.kind != StorageErrorKind::Timeout };
                refusal = Some(error).filter(|error| error.is_refused() && !was_doubtful);
                said
            }
            Err(_) => Said { words: format!("the store gave no answer about {name} in time"), is_answer: false },
        };
        let left = left.saturating_sub(self.env.instant() - began).clamp(LOOK_AT_LEAST, ATTEMPT_TIMEOUT);
        let (standing, found) = self.look(&name, &bytes, left).await;
        match self.options.rules.judge_put(standing) {
            Verdict::Committed => self.believed(ATTEMPT_TIMEOUT).await,
            Verdict::Lost => {
                let is_clear = is_refused && self.env.instant() - began < CLEAR_WITHIN;
                self.in_flight.as_mut().expect("it still is").is_doubtful = was_doubtful || !is_clear;
                Attempt::Lost(standing, found)
            }
            Verdict::Undecided => refusal.map_or(Attempt::Undecided(said), Attempt::Refused),
        }
    }

    /// What is at our position. Bytes that can't be read may have been damaged on their way: they are another's only
    /// if they come again.
    async fn look(&self, name: &str, ours: &Bytes, timeout: Duration) -> (Standing, Option<Bytes>) {
        let look = || self.env.timeout(timeout, self.storage.get_bounded(name, ENTRY_BYTES_MAX as u64));
        match look().await {
            Ok(Ok(Some(bytes))) if bytes == *ours => (Standing::Ours, None),
            Ok(Ok(Some(bytes))) if decode(name, &bytes).is_ok() => (Standing::Anothers, Some(bytes)),
            Ok(Ok(Some(bytes))) => match look().await {
                Ok(Ok(Some(again))) if again == bytes => (Standing::Anothers, Some(bytes)),
                _ => (Standing::Nothing, None),
            },
            Ok(Err(error)) if error.kind == StorageErrorKind::TooLarge => (Standing::Anothers, None),
            _ => (Standing::Nothing, None),
        }
    }

    /// Another's entry at our position, as soon as the store shows it; until then this does not end. Looks overlap, and
    /// come more seldom the longer it takes: about a hundred in an attempt.
    async fn overtaken(&self, name: &str, ours: &Bytes) -> Bytes {
        let (started, mut looks) = (self.env.instant(), FuturesUnordered::new());
        loop {
            looks.push(self.storage.get_bounded(name, ENTRY_BYTES_MAX as u64));
            let pause = self.env.sleep(LOOK_EVERY.max((self.env.instant() - started) / 16));
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    biased;
                    Some(found) = looks.next() => match found {
                        Ok(Some(bytes)) if bytes != *ours && is_entry(name, &bytes) => return bytes,
                        // If anything else is there, the put will find out.
                        _ => {}
                    },
                    () = &mut pause => break,
                }
            }
        }
    }

    fn committed(&mut self) -> Outcome {
        let flight = self.in_flight.as_ref().expect("something is in flight");
        let position = flight.entry.head.position;
        let entry = flight.entry.clone();
        if let Err(error) = self.log_state.advance(&entry) {
            // Only a writer whose rule 3 was broken on purpose gets here: it wrote what does not follow.
            tracing::error!(%error, "an entry was put that does not follow");
        }
        if entry.head.kind == Kind::Commit {
            self.commit_time = entry.head.time;
        }
        if entry.head.kind == Kind::Open {
            self.is_waiting = false;
            if let Some(heartbeat) = &self.heartbeat {
                heartbeat.opened(self.epoch, position);
            }
            self.unproven = Some((names::log_entry(position), flight.bytes.clone()));
        }
        self.sight.saw(&self.env);
        if let Some(heartbeat) = &self.heartbeat {
            heartbeat.note(position);
        }
        self.finish(Outcome::Committed(position))
    }

    /// Nothing is in flight any more, and this is how it ended.
    fn finish(&mut self, outcome: Outcome) -> Outcome {
        if let Some(flight) = self.in_flight.take() {
            self.settled = Some((flight.entry.head.nonce, outcome.clone()));
        }
        outcome
    }

    /// Another's bytes are at our position: the body moves on to the next one, or this is the end.
    fn lost(&mut self, standing: Standing, found: Option<Bytes>) -> ControlFlow<Outcome> {
        let flight = self.in_flight.as_ref().expect("something is in flight");
        let (position, nonce, body) = (flight.entry.head.position, flight.entry.head.nonce, flight.entry.body.clone());
        let name = names::log_entry(position);
        let entry = match found.map(|bytes| decode(&name, &bytes)) {
            Some(Ok(LogObject::Entry(entry))) => entry,
            Some(Ok(LogObject::Tombstone(tombstone))) => {
                return self.cut_off(Lost::Trimmed { position, log_start: tombstone.log_start });
            }
            Some(Err(error)) => return self.cut_off(foreign(&error)),
            None if matches!(standing, Standing::Anothers) => {
                let cause = format!("it is longer than {ENTRY_BYTES_MAX} bytes, which no entry is");
                return self.cut_off(Lost::Foreign { object: name, cause });
            }
            // Only a writer whose rule 2 was broken on purpose takes nothing for an answer.
            None => return ControlFlow::Break(Outcome::Lost(Lost::Nothing { position })),
        };
        let is_open = matches!(body, Body::Open(_));
        if is_open && !self.insists() && !self.is_waiting {
            return ControlFlow::Break(Outcome::Lost(Lost::Behind { position }));
        }
        if self.is_waiting && matches!(entry.body, Body::Open(_) | Body::Commit(_)) {
            return self.not_our_turn(&entry);
        }
        if let Err(error) = self.log_state.advance(&entry) {
            return self.cut_off(does_not_follow(&name, &error));
        }
        if is_open {
            self.epoch = Epoch(self.log_state.epoch.0 + 1);
        } else if self.options.rules.is_fenced(self.epoch, entry.head.epoch) {
            let owner = owner_of(&entry);
            return self.end(Outcome::Fenced(Fenced { owner, position, epoch: entry.head.epoch, own: self.epoch }));
        }
        if matches!(body, Body::Checkpoint(_)) {
            return ControlFlow::Break(Outcome::Lost(Lost::Outdated { position }));
        }
        if let Some(lost) = self.misfit(&body) {
            return ControlFlow::Break(Outcome::Lost(lost));
        }
        match self.place(body, nonce) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => self.end(Outcome::Lost(Lost::Foreign { object: name, cause: error.to_string() })),
        }
    }

    /// Another producer wrote before this one's `open`: what this one has loaded is not the newest, or not its to follow.
    fn not_our_turn(&mut self, entry: &Entry) -> ControlFlow<Outcome> {
        let Head { position, epoch, .. } = entry.head;
        self.epoch = self.log_state.epoch;
        if epoch > self.epoch {
            return self.end(Outcome::Fenced(Fenced { owner: owner_of(entry), position, epoch, own: self.epoch }));
        }
        self.end(Outcome::Lost(Lost::Overtaken { position }))
    }

    /// Whether an `open` is in flight that goes on at the next position if it loses this one.
    fn insists(&self) -> bool {
        self.insists_until.is_some_and(|until| self.env.instant() < until)
    }

    /// The end: what is there does not show whose entry was there before it. Ours was not if no put of it ever
    /// left a doubt; what is asked for later is not even put.
    fn cut_off(&mut self, lost: Lost) -> ControlFlow<Outcome> {
        let flight = self.in_flight.as_ref().expect("something is in flight");
        let Head { position, kind, .. } = flight.entry.head;
        let is_doubtful = flight.is_doubtful;
        let end = self.end(Outcome::Lost(lost.clone()));
        if !is_doubtful {
            return end;
        }
        ControlFlow::Break(Outcome::Lost(Lost::MayHaveCommitted { kind, position, cause: Box::new(lost) }))
    }

    /// The writer puts nothing more, whatever it is asked.
    fn end(&mut self, outcome: Outcome) -> ControlFlow<Outcome> {
        self.ended = Some(outcome.clone());
        if let Some(heartbeat) = &self.heartbeat {
            heartbeat.stop();
        }
        ControlFlow::Break(outcome)
    }

    fn pending(&self, cause: String) -> Pending {
        let flight = self.in_flight.as_ref().expect("something is in flight");
        let head = &flight.entry.head;
        Pending::new(head.position, head.kind, head.nonce, flight.bytes.clone(), cause)
    }
}

/// Who took over, if the entry says so: the first entry of an epoch is its `open`.
fn owner_of(entry: &Entry) -> String {
    match &entry.body {
        Body::Open(open) => open.owner.clone(),
        _ => "another producer".to_owned(),
    }
}

fn is_entry(name: &str, bytes: &Bytes) -> bool {
    matches!(decode(name, bytes), Ok(LogObject::Entry(_)))
}

fn foreign(error: &DecodeError) -> Lost {
    let (DecodeError::NotCenote { object, .. }
    | DecodeError::NeedsUpgrade { object, .. }
    | DecodeError::OldFormat { object, .. }
    | DecodeError::Damaged { object, .. }
    | DecodeError::TooLarge { object, .. }) = error;
    Lost::Foreign { object: object.clone(), cause: error.to_string() }
}

fn does_not_follow(name: &str, error: &ReadError) -> Lost {
    Lost::Foreign { object: name.to_owned(), cause: error.to_string() }
}
