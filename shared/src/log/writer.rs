//! The writer: owns the tail of the log and puts one entry at a time.
//!
//! ```text
//! let reader = LogReader::start(storage).await?;            // or LogReader::empty, to make a dataset
//! let mut writer = LogWriter::open(&reader, env, options).await?;   // Behind: catch up, open again
//! env.spawn(writer.heart().beat());
//! match writer.append(body).await? {
//!     Outcome::Committed(position) => …,                    // it stands
//!     Outcome::Lost(why) => …,                              // it does not and never will: rebuild, stop, or look
//!     Outcome::Fenced(by) => …,                             // another producer holds the dataset: stop
//!     Outcome::Unknown(pending) => …,                       // pending.settle(&mut writer) is the only way on
//! }
//! writer.close().await;
//! ```
//!
//! Rules: what is about to be put is kept here first, so that a dropped future loses nothing and the next call settles
//! it (rule 2); an entry of one's own epoch that took the position (a janitor's) means the same body at the next; a
//! higher epoch is final (rule 3); a body is only put where it fits: a commit behind its parent, a name above the
//! floor (rule 5), a checkpoint just behind the place that it tells of; a checkpoint comes before the 1,000th entry
//! since the last.

use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;

use super::entry::{Body, ENTRY_BYTES_MAX, Entry, LogObject, ObjectRef, Open, decode};
use super::error::{DecodeError, ReadError};
use super::hash::ContentHash;
use super::head::{Head, Kind};
use super::heart::Heart;
use super::names::{self, Folder, ObjectName};
use super::order::{PublishStep, Rules, Standing, Verdict};
use super::outcome::{Fenced, Lost, Outcome, Pending, Refused};
use super::outline::Outline;
use super::reader::LogReader;
use super::start::{CHECKPOINT_EVERY, CHECKPOINT_FROM};
use crate::env::{Env, Instant};
use crate::ids::{Epoch, Timestamp, Version};
use crate::storage::{Created, Storage, StorageErrorKind};

/// A holder's name is cut to this many bytes.
const HOLDER_BYTES_MAX: usize = 255;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// One request is given up after this long; it may land all the same.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);
/// So often, at most, a writer looks whether the log that it appends to is still there.
const LOOK_BACK_EVERY: Duration = Duration::from_secs(60);
/// A store's "exists", with what stands there, is a clear "not ours" if both came within this. Later it may be the echo
/// of a put that the store's client tried twice by itself; to take over and to trim past us takes others longer.
const CLEAR_WITHIN: Duration = Duration::from_secs(1);

/// How to write. Each field states its default.
#[derive(Clone, Debug)]
pub struct WriterOptions {
    /// Who, for people: in `open` entries and the hint. Default: `"unnamed"`.
    pub holder: String,
    /// How long to try to settle a put before the caller gets `Unknown`. Default: 60 s.
    pub commit_timeout: Duration,
    /// The promise: a hint at least this often. Default: 15 s; it is put three times as often.
    pub next_within: Duration,
    /// Open although a live holder's promise is unbroken. Default: no.
    pub take_over: bool,
    #[doc(hidden)]
    pub rules: Rules,
}

impl Default for WriterOptions {
    fn default() -> WriterOptions {
        WriterOptions {
            holder: "unnamed".to_owned(),
            commit_timeout: Duration::from_secs(60),
            next_within: Duration::from_secs(15),
            take_over: false,
            rules: Rules::default(),
        }
    }
}

/// An object to put before the entry that names it.
#[derive(Clone, Debug)]
pub struct NewObject {
    /// Its name.
    pub name: ObjectName,
    /// Its bytes, in pieces.
    pub parts: Vec<Bytes>,
}

impl NewObject {
    /// What an entry says of it.
    #[must_use]
    pub fn reference(&self) -> ObjectRef {
        ObjectRef {
            name: self.name.to_string(),
            length: self.parts.iter().map(|part| part.len() as u64).sum(),
            hash: ContentHash::of_parts(self.parts.iter().map(AsRef::as_ref)),
        }
    }
}

/// Owns the tail.
#[derive(Debug)]
pub struct LogWriter {
    pub(super) storage: Storage,
    pub(super) env: Env,
    pub(super) options: WriterOptions,
    outline: Outline,
    epoch: Epoch,
    in_flight: Option<InFlight>,
    settled: Option<([u8; 16], Outcome)>,
    ended: Option<Outcome>,
    heart: Option<Heart>,
    /// Until when a lost `open` goes on at the next position.
    insists_until: Option<Instant>,
    looked_back: Instant,
    commit_time: Timestamp,
}

/// What is being put: kept before the first byte leaves.
#[derive(Debug)]
struct InFlight {
    entry: Entry,
    bytes: Bytes,
    /// Whether a put of it got no clear answer: then it may have stood, whatever stands there now (I6).
    is_doubtful: bool,
}

/// What one attempt to put found.
enum Attempt {
    Committed,
    /// Another's bytes stand there, or the store shows something that can't be ours.
    Lost(Option<Bytes>),
    /// With what the store said.
    Undecided(String),
}

impl LogWriter {
    /// A writer at `reader`'s place that takes part in the log without holding the dataset, in the epoch that is:
    /// for janitors. It puts no commits and no hints.
    #[must_use]
    pub fn join(reader: &LogReader, env: Env, options: WriterOptions) -> LogWriter {
        let outline = reader.outline().clone();
        let epoch = outline.epoch;
        LogWriter::new(reader.storage().clone(), env, options, outline, epoch)
    }

    pub(super) fn new(storage: Storage, env: Env, options: WriterOptions, outline: Outline, epoch: Epoch) -> Self {
        let (in_flight, settled, ended, heart, insists_until) = (None, None, None, None, None);
        let looked_back = env.instant();
        LogWriter {
            storage,
            env,
            options,
            outline,
            epoch,
            in_flight,
            settled,
            ended,
            heart,
            insists_until,
            looked_back,
            commit_time: Timestamp::default(),
        }
    }

    /// Where the log stands, as far as this writer knows.
    #[must_use]
    pub fn outline(&self) -> &Outline {
        &self.outline
    }

    /// This writer's epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// When the newest commit that it put was made, by its entry; 0 before the first.
    #[must_use]
    pub fn commit_time(&self) -> Timestamp {
        self.commit_time
    }

    /// The storage that it writes to.
    #[must_use]
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// The rules it keeps, for what the caller decides itself (rule 7).
    #[must_use]
    pub fn rules(&self) -> Rules {
        self.options.rules
    }

    /// The heartbeat, to be spawned: `env.spawn(writer.heart().beat())`.
    ///
    /// # Panics
    /// If the writer only joined: it holds nothing.
    #[must_use]
    pub fn heart(&self) -> Heart {
        self.heart.clone().expect("only a writer that opened the dataset has a heart")
    }

    /// A name for an object of this writer's; a snapshot's position is its version.
    #[must_use]
    pub fn object_name(&self, folder: Folder, version: Option<Version>) -> ObjectName {
        let position = version.map_or(self.outline.position.next(), Version::position);
        ObjectName { folder, position, epoch: self.epoch, id: self.env.random_id() }
    }

    /// Puts an entry. What an earlier, dropped call left is settled first: if that stays unknown, its `Pending` comes
    /// back (`is_earlier`), and `body` was not put; if it turns out to be a commit, a commit that was built before it
    /// is `Lost` for its stale parent.
    ///
    /// # Errors
    /// `Refused`: nothing was put, and what to change.
    pub async fn append(&mut self, body: Body) -> Result<Outcome, Refused> {
        if let Some(unknown) = self.settle_earlier().await {
            return Ok(unknown);
        }
        self.checkpoint_if_due().await?;
        self.put(body).await
    }

    /// Puts an object and the entry that names it, in the order of rule 1.
    ///
    /// # Errors
    /// `Refused`: nothing was put but perhaps the object, which nobody names.
    pub async fn publish(&mut self, object: NewObject, body: Body) -> Result<Outcome, Refused> {
        if let Some(unknown) = self.settle_earlier().await {
            return Ok(unknown);
        }
        self.checkpoint_if_due().await?;
        self.publish_steps(object, body).await
    }

    async fn publish_steps(&mut self, object: NewObject, body: Body) -> Result<Outcome, Refused> {
        let (mut parts, mut body, mut outcome) = (Some(object.parts), Some(body), None);
        for step in self.options.rules.publish_steps() {
            match step {
                PublishStep::Objects => {
                    let parts = parts.take().expect("each step comes once");
                    self.storage.put_large(&object.name.to_string(), parts).await.map_err(Refused::Object)?;
                }
                PublishStep::Entry => {
                    let body = body.take().expect("each step comes once");
                    outcome = Some(self.put(body).await?);
                }
            }
        }
        Ok(outcome.expect("one step puts the entry"))
    }

    /// Writes a checkpoint: where the log stands, as an object, and the entry that names it. Tries again while janitors
    /// take its position.
    ///
    /// # Errors
    /// As for [`LogWriter::publish`].
    pub async fn checkpoint(&mut self) -> Result<Outcome, Refused> {
        if let Some(unknown) = self.settle_earlier().await {
            return Ok(unknown);
        }
        loop {
            let name = self.object_name(Folder::Checkpoints, None);
            let parts = vec![self.outline.encode().map_err(Refused::Encode)?];
            let object = NewObject { name, parts };
            let body = Body::Checkpoint(object.reference());
            match self.publish_steps(object, body).await? {
                Outcome::Lost(Lost::Outdated { .. }) => {}
                outcome => return Ok(outcome),
            }
        }
    }

    async fn checkpoint_if_due(&mut self) -> Result<(), Refused> {
        let since = self.outline.entries_since_checkpoint();
        if since < CHECKPOINT_FROM || self.ended.is_some() {
            return Ok(());
        }
        match self.checkpoint().await {
            Ok(Outcome::Unknown(pending)) => Err(Refused::Unsettled { position: pending.position() }),
            // What is lost or fenced, the caller's own body will be too, and the caller is told then.
            Ok(_) => Ok(()),
            Err(error) if since + 2 < CHECKPOINT_EVERY => {
                tracing::warn!(%error, "the checkpoint was not written; trying again at the next entry");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Settles what an earlier call left in flight: `None` if there is nothing.
    pub async fn settle(&mut self) -> Option<Outcome> {
        match &self.in_flight {
            Some(_) => Some(self.drive().await),
            None => None,
        }
    }

    async fn settle_earlier(&mut self) -> Option<Outcome> {
        match self.settle().await? {
            Outcome::Unknown(pending) => Some(Outcome::Unknown(pending.earlier())),
            _ => None,
        }
    }

    /// What became of the entry with this nonce.
    pub(super) async fn settle_nonce(&mut self, nonce: [u8; 16]) -> Option<Outcome> {
        if self.in_flight.as_ref().is_some_and(|flight| flight.entry.head.nonce == nonce) {
            return Some(self.drive().await);
        }
        self.settled.as_ref().filter(|(settled, _)| *settled == nonce).map(|(_, outcome)| outcome.clone())
    }

    /// Settles what is in flight and puts the last hint: nobody holds the dataset. `Some` if an entry stays unknown;
    /// then the hint goes on telling of a holder, and the writer can be closed again.
    pub async fn close(&mut self) -> Option<Pending> {
        if let Some(Outcome::Unknown(pending)) = self.settle().await {
            return Some(pending.earlier());
        }
        if let Some(heart) = self.heart.take() {
            if self.ended.is_none() {
                heart.release().await;
            }
            heart.stop();
        }
        None
    }

    /// Takes the dataset: the last step of opening. One that insists takes a later position if others take the first
    /// ones, for a `commit_timeout`.
    pub(super) async fn put_open(&mut self, insists: bool) -> Result<Outcome, Refused> {
        self.insists_until = insists.then(|| self.env.instant() + self.options.commit_timeout);
        let mut holder = self.options.holder.clone();
        holder.truncate(holder.floor_char_boundary(HOLDER_BYTES_MAX));
        let open = Body::Open(Open { holder: holder.clone() });
        self.place(open, self.env.random_id())?;
        let outcome = self.drive().await;
        if let Outcome::Committed(position) = outcome {
            let holder = (self.outline.dataset, self.epoch, holder);
            let (storage, env) = (self.storage.clone(), self.env.clone());
            self.heart = Some(Heart::new(storage, env, holder, self.options.next_within, position));
        }
        Ok(outcome)
    }

    async fn put(&mut self, body: Body) -> Result<Outcome, Refused> {
        if let Some(ended) = &self.ended {
            return Ok(ended.clone());
        }
        self.check_caller(&body)?;
        if let Some(lost) = self.misfit(&body) {
            return Ok(Outcome::Lost(lost));
        }
        self.look_back().await?;
        self.place(body, self.env.random_id())?;
        Ok(self.drive().await)
    }

    /// Whether our newest entry still stands: what is put behind nothing, or into another dataset, nobody will read. At
    /// most one request a minute, so it finds a mistake out, and soon; it does not rule one out.
    async fn look_back(&mut self) -> Result<(), Refused> {
        let now = self.env.instant();
        if now - self.looked_back < LOOK_BACK_EVERY {
            return Ok(());
        }
        let reader = LogReader::at(self.storage.clone(), self.outline.clone());
        match self.env.timeout(ATTEMPT_TIMEOUT, reader.stands_unchanged(self.outline.position)).await {
            // Who was trimmed past is told so by its own position.
            Ok(Ok(_) | Err(ReadError::Trimmed { .. })) => self.looked_back = now,
            Ok(Err(gone @ (ReadError::NotFound { .. } | ReadError::Replaced { .. } | ReadError::Damaged { .. }))) => {
                return Err(Refused::Gone(gone));
            }
            // A store that has its troubles is no sign of anything.
            Ok(Err(_)) | Err(_) => {}
        }
        Ok(())
    }

    /// What only a mistake of the caller's can cause.
    fn check_caller(&self, body: &Body) -> Result<(), Refused> {
        match body {
            Body::Open(_) => return Err(Refused::NotHolder { kind: Kind::Open }),
            Body::Commit(_) if self.heart.is_none() => return Err(Refused::NotHolder { kind: Kind::Commit }),
            // Behind the newest checkpoint nobody could start.
            Body::Trim(trim) if trim.floor > self.outline.checkpoint && trim.floor > self.outline.floor => {
                return Err(Refused::FloorAboveCheckpoint { floor: trim.floor, checkpoint: self.outline.checkpoint });
            }
            _ => {}
        }
        let epoch = body.object().and_then(|object| ObjectName::parse(&object.name)).map(|name| name.epoch);
        match epoch {
            Some(epoch) if epoch != self.epoch => Err(Refused::OthersObject { found: epoch, own: self.epoch }),
            _ => Ok(()),
        }
    }

    /// Why `body` does not fit behind what now stands, if it doesn't. Asked again after each lost position.
    fn misfit(&self, body: &Body) -> Option<Lost> {
        let Outline { version, floor, .. } = self.outline;
        match body {
            Body::Commit(commit) if commit.parent != version && self.options.rules.checks_parents() => {
                return Some(Lost::StaleParent { parent: commit.parent, newest: version });
            }
            Body::Trim(trim) if trim.floor < floor => return Some(Lost::BelowFloor { floor }),
            _ => {}
        }
        let name = body.object().and_then(|object| ObjectName::parse(&object.name))?;
        let may_name = self.options.rules.may_name(&name, self.epoch, floor);
        (!may_name).then_some(Lost::BelowFloor { floor })
    }

    /// Keeps `body` as the entry to put at the next position.
    fn place(&mut self, body: Body, nonce: [u8; 16]) -> Result<(), Refused> {
        let Outline { dataset, checkpoint, floor, hash, .. } = self.outline;
        let position = self.outline.position.next();
        let head = Head {
            position,
            dataset,
            epoch: self.epoch,
            kind: body.kind(),
            nonce,
            time: self.env.now(),
            checkpoint: if body.kind() == Kind::Checkpoint { position } else { checkpoint },
            floor: if let Body::Trim(trim) = &body { trim.floor } else { floor },
            previous: hash,
            hash: ContentHash::NONE,
        };
        let (entry, bytes) = Entry::encode(head, body).map_err(Refused::Encode)?;
        self.in_flight = Some(InFlight { entry, bytes, is_doubtful: false });
        Ok(())
    }

    /// Puts what is in flight until it is decided, or the time is up. A dropped future leaves it in flight.
    async fn drive(&mut self) -> Outcome {
        let mut started = self.env.instant();
        let mut pause = FIRST_PAUSE;
        loop {
            let left = self.options.commit_timeout.saturating_sub(self.env.instant() - started);
            let cause = match self.attempt(left.min(ATTEMPT_TIMEOUT)).await {
                Attempt::Committed => return self.committed(),
                Attempt::Lost(found) => {
                    if let ControlFlow::Break(outcome) = self.lost(found) {
                        return self.finish(outcome);
                    }
                    // Another position, another put: it has its own time.
                    (started, pause) = (self.env.instant(), FIRST_PAUSE);
                    continue;
                }
                Attempt::Undecided(cause) => cause,
            };
            let left = self.options.commit_timeout.saturating_sub(self.env.instant() - started);
            if left.is_zero() {
                return Outcome::Unknown(self.pending(cause));
            }
            self.env.sleep(self.env.jitter(pause, 0.2).min(left)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One put, and a look at what stands there unless the store simply said yes.
    async fn attempt(&mut self, timeout: Duration) -> Attempt {
        let flight = self.in_flight.as_mut().expect("something is in flight");
        let (name, bytes) = (names::log_entry(flight.entry.head.position), flight.bytes.clone());
        // Noted before the first byte leaves, so that a dropped future leaves the doubt behind.
        let was_doubtful = std::mem::replace(&mut flight.is_doubtful, true);
        let (began, mut is_refused) = (self.env.instant(), false);
        let create = self.storage.create(&name, bytes.clone());
        let said = match self.env.timeout(timeout, create).await {
            Ok(Ok(Created::Yes)) => return Attempt::Committed,
            Ok(Ok(Created::Exists)) => {
                is_refused = true;
                format!("the store says that {name} exists, and does not show it")
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("the store gave no answer about {name} in time"),
        };
        let (standing, found) = self.look(&name, &bytes, timeout.max(FIRST_PAUSE)).await;
        match self.options.rules.judge_put(standing) {
            Verdict::Committed => Attempt::Committed,
            Verdict::Lost => {
                let is_clear = is_refused && self.env.instant() - began < CLEAR_WITHIN;
                self.in_flight.as_mut().expect("it still is").is_doubtful = was_doubtful || !is_clear;
                Attempt::Lost(found)
            }
            Verdict::Undecided => Attempt::Undecided(said),
        }
    }

    /// What stands at our position. Bytes that can't be read may have been damaged on their way: they are another's only
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

    fn committed(&mut self) -> Outcome {
        let flight = self.in_flight.as_ref().expect("something is in flight");
        let position = flight.entry.head.position;
        let entry = flight.entry.clone();
        if let Err(error) = self.outline.advance(&entry) {
            // Only a writer whose rule 3 was broken on purpose gets here: it wrote what does not follow.
            tracing::error!(%error, "an entry was put that does not follow");
        }
        if entry.head.kind == Kind::Commit {
            self.commit_time = entry.head.time;
        }
        if let Some(heart) = &self.heart {
            heart.note(position);
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

    /// Another's bytes stand at our position: the body moves on to the next one, or this is the end.
    fn lost(&mut self, found: Option<Bytes>) -> ControlFlow<Outcome> {
        let flight = self.in_flight.as_ref().expect("something is in flight");
        let (position, nonce, body) = (flight.entry.head.position, flight.entry.head.nonce, flight.entry.body.clone());
        let name = names::log_entry(position);
        let entry = match found.map(|bytes| decode(&name, &bytes)) {
            Some(Ok(LogObject::Entry(entry))) => entry,
            Some(Ok(LogObject::Tombstone(tombstone))) => {
                return self.cut_off(Lost::Trimmed { position, floor: tombstone.floor });
            }
            Some(Err(error)) => return self.cut_off(foreign(&error)),
            None => return ControlFlow::Break(Outcome::Lost(Lost::Nothing { position })),
        };
        let is_open = matches!(body, Body::Open(_));
        if is_open && self.insists_until.is_none_or(|until| self.env.instant() >= until) {
            return ControlFlow::Break(Outcome::Lost(Lost::Behind { position }));
        }
        if let Err(error) = self.outline.advance(&entry) {
            return self.cut_off(does_not_follow(&name, &error));
        }
        if is_open {
            self.epoch = Epoch(self.outline.epoch.0 + 1);
        } else if self.options.rules.is_fenced(self.epoch, entry.head.epoch) {
            return self.end(Outcome::Fenced(Fenced { position, epoch: entry.head.epoch, own: self.epoch }));
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

    /// The end, and what stands there can't tell whose entry stood there before it. Ours did not if no put of it ever
    /// left a doubt; what is asked for later is not even put.
    fn cut_off(&mut self, lost: Lost) -> ControlFlow<Outcome> {
        let flight = self.in_flight.as_ref().expect("something is in flight");
        let (position, is_doubtful) = (flight.entry.head.position, flight.is_doubtful);
        let end = self.end(Outcome::Lost(lost.clone()));
        if !is_doubtful {
            return end;
        }
        ControlFlow::Break(Outcome::Lost(Lost::MayHaveStood { position, cause: Box::new(lost) }))
    }

    /// The writer puts nothing more, whatever it is asked.
    fn end(&mut self, outcome: Outcome) -> ControlFlow<Outcome> {
        self.ended = Some(outcome.clone());
        if let Some(heart) = &self.heart {
            heart.stop();
        }
        ControlFlow::Break(outcome)
    }

    fn pending(&self, cause: String) -> Pending {
        let flight = self.in_flight.as_ref().expect("something is in flight");
        let head = &flight.entry.head;
        Pending::new(head.position, head.kind, head.nonce, flight.bytes.clone(), cause)
    }
}

fn foreign(error: &DecodeError) -> Lost {
    let (DecodeError::NotCenote { object, .. }
    | DecodeError::NeedsUpgrade { object, .. }
    | DecodeError::Damaged { object, .. }
    | DecodeError::TooLarge { object, .. }) = error;
    Lost::Foreign { object: object.clone(), cause: error.to_string() }
}

fn does_not_follow(name: &str, error: &ReadError) -> Lost {
    Lost::Foreign { object: name.to_owned(), cause: error.to_string() }
}
