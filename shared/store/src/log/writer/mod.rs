//! The writer: owns the tail of the log and puts one entry at a time.
//!
//! ```text
//! let reader = LogReader::start(storage).await?;            // or LogReader::empty, to make a dataset
//! let mut writer = LogWriter::open(&reader, env, options).await?;   // Behind: catch up, open again
//! env.spawn(writer.heartbeat().beat());
//! match writer.append(body).await? {
//!     Outcome::Committed(position) => …,                    // it is in the log
//!     Outcome::Lost(why) => …,                              // it does not and never will: rebuild, stop, or look
//!     Outcome::Fenced(by) => …,                             // another producer holds the dataset: stop
//!     Outcome::Unknown(pending) => …,                       // writer.settle_pending(pending) is the only way on
//! }
//! writer.close().await;
//! ```
//!
//! Rules: what is about to be put is kept here first, so that a dropped future loses nothing and the next call settles
//! it (rule 2); an entry of the own epoch that took the position (a janitor's) means the same body at the next; a
//! higher epoch is final (rule 3); a body is only put where it fits: a commit after its parent, a name above the
//! log start (rule 5), a checkpoint just after the position that it describes; a checkpoint comes before the 1,000th entry
//! since the last; no entry is put after a gap, as far as a look can show it; an object whose entry is lost is deleted by
//! its writer; the store has refused the writer's first entry a second time before another is put ([`super::proof`]).

mod look_back;
mod put;
mod tail;

use std::time::Duration;

use bytes::Bytes;

use super::entry::{Body, Entry, ObjectRef, Open};
use super::head::{Head, Kind};
use super::heartbeat::Heartbeat;
use super::names::{Folder, ObjectName};
use super::open::{OnOpen, OnWait};
use super::order::{PublishStep, Rules};
use super::outcome::{Lost, Outcome, Pending, Refused};
use super::proof;
use super::reader::LogReader;
use super::start::{CHECKPOINT_EVERY, CHECKPOINT_FROM};
use super::state::LogState;
use crate::env::{Env, Instant};
use crate::storage::Storage;
use cenote_state::hash::Hash;
use cenote_state::ids::{Epoch, Position, Timestamp, Version};
use look_back::Sight;
use tail::SharedTail;

/// An owner's name is cut to this many bytes.
const OWNER_BYTES_MAX: usize = 255;
/// One request is given up after this long; it may land all the same.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);
/// So often a checkpoint is put again because another writer took its position, before its writer gives up.
const CHECKPOINT_TRIES: u32 = 4;
/// The pause before the first of these; each is twice as long as the one before.
const CHECKPOINT_PAUSE: Duration = Duration::from_millis(50);

/// How to write. Each field states its default.
#[derive(Clone, Debug)]
pub struct WriterOptions {
    /// Who, for people: in `open` entries and the hint. Default: `"unnamed"`.
    pub owner: String,
    /// How long to try to settle a put before the caller gets `Unknown`. Default: 60 s.
    pub commit_timeout: Duration,
    /// The promise: a hint at least this often. Default: 15 s; it is put three times as often.
    pub heartbeat_interval: Duration,
    /// Open although a live owner's promise is unbroken. Default: no.
    pub take_over: bool,
    /// Is called when `open` waits for another producer. Default: none.
    pub on_wait: Option<OnWait>,
    /// Gets the heartbeat before its first beat: to write the last hint from outside. Default: none.
    pub on_open: Option<OnOpen>,
    #[doc(hidden)]
    pub rules: Rules,
}

impl Default for WriterOptions {
    fn default() -> WriterOptions {
        WriterOptions {
            owner: "unnamed".to_owned(),
            commit_timeout: Duration::from_mins(1),
            heartbeat_interval: Duration::from_secs(15),
            take_over: false,
            on_wait: None,
            on_open: None,
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
    /// What an entry says of it, if it is not a snapshot.
    #[must_use]
    pub fn reference(&self) -> ObjectRef {
        ObjectRef {
            name: self.name.to_string(),
            length: self.parts.iter().map(|part| part.len() as u64).sum(),
            hash: Hash::of_parts(self.parts.iter().map(AsRef::as_ref)),
        }
    }
}

/// Owns the tail.
#[derive(Debug)]
pub struct LogWriter {
    pub(super) storage: Storage,
    pub(super) env: Env,
    pub(super) options: WriterOptions,
    log_state: LogState,
    epoch: Epoch,
    in_flight: Option<InFlight>,
    settled: Option<([u8; 16], Outcome)>,
    ended: Option<Outcome>,
    heartbeat: Option<Heartbeat>,
    /// It is this writer's turn, and its `open` comes before its first other entry.
    is_waiting: bool,
    /// Until when a lost `open` goes on at the next position.
    insists_until: Option<Instant>,
    /// What the writers of this process know of the tail together.
    tail: SharedTail,
    sight: Sight,
    /// The first entry that this writer put, until the store has refused it a second time.
    unproven: Option<(String, Bytes)>,
    commit_time: Timestamp,
}

/// What is being put: kept before the first byte leaves.
#[derive(Debug)]
struct InFlight {
    entry: Entry,
    bytes: Bytes,
    /// Whether a put of it got no clear answer: then it may have been committed, whatever is there now (I6).
    is_doubtful: bool,
}

impl LogWriter {
    /// A writer at `reader`'s place that takes part in the log without holding the dataset, in the epoch that is:
    /// for janitors. It puts no commits and no hints.
    #[must_use]
    pub fn join(reader: &LogReader, env: Env, options: WriterOptions) -> LogWriter {
        let log_state = reader.log_state().clone();
        let epoch = log_state.epoch;
        LogWriter::new(reader.storage().clone(), env, options, log_state, epoch)
    }

    /// Another writer of this process in the same epoch, for work outside the commits: it puts no commits and no hints.
    /// The two know of each other's entries, so neither is put where the other's is.
    #[must_use]
    pub fn beside(&self) -> LogWriter {
        let (storage, env, options) = (self.storage.clone(), self.env.clone(), self.options.clone());
        let mut writer = LogWriter::new(storage, env, options, self.log_state.clone(), self.epoch);
        writer.tail = self.tail.clone();
        writer
    }

    pub(super) fn new(storage: Storage, env: Env, options: WriterOptions, log_state: LogState, epoch: Epoch) -> Self {
        let (in_flight, settled, ended, heartbeat, insists_until) = (None, None, None, None, None);
        let sight = Sight::new(&env, &log_state);
        LogWriter {
            storage,
            env,
            options,
            log_state,
            epoch,
            in_flight,
            settled,
            ended,
            heartbeat,
            is_waiting: false,
            insists_until,
            tail: SharedTail::default(),
            sight,
            unproven: None,
            commit_time: Timestamp::default(),
        }
    }

    /// The log's state, as far as this writer knows.
    #[must_use]
    pub fn log_state(&self) -> &LogState {
        &self.log_state
    }

    /// This writer's epoch; before its `open` is put, the one that it will have.
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

    /// The heartbeat, to be spawned: `env.spawn(writer.heartbeat().beat())`.
    ///
    /// # Panics
    /// If the writer only joined: it holds nothing.
    #[must_use]
    pub fn heartbeat(&self) -> Heartbeat {
        self.heartbeat.clone().expect("only a writer that opened the dataset has a heartbeat")
    }

    /// A name for an object of this writer's; a snapshot's position is its version.
    #[must_use]
    pub fn object_name(&self, folder: Folder, version: Option<Version>) -> ObjectName {
        let position = version.map_or(self.log_state.position.next(), Version::position);
        ObjectName { folder, position, epoch: self.epoch, id: self.env.random_id() }
    }

    /// Puts an entry. What an earlier, dropped call left is settled first: if that stays unknown, its `Pending` comes
    /// back (`is_earlier`), and `body` was not put; if it turns out to be a commit, a commit that was built before it
    /// is `Lost` for its stale parent.
    ///
    /// # Errors
    /// `Refused`: nothing was put, and what to change.
    pub async fn append(&mut self, body: Body) -> Result<Outcome, Refused> {
        if let Some(end) = self.take_dataset().await? {
            return Ok(end);
        }
        self.checkpoint_if_due().await?;
        self.put(body).await
    }

    /// Puts an object and the entry that names it, in the order of rule 1.
    ///
    /// # Errors
    /// `Refused`: nothing was put but perhaps the object, which no entry names.
    pub async fn publish(&mut self, object: NewObject, body: Body) -> Result<Outcome, Refused> {
        if let Some(end) = self.take_dataset().await? {
            return Ok(end);
        }
        self.checkpoint_if_due().await?;
        let name = object.name.to_string();
        let put = self.publish_steps(object, body, false).await;
        self.clear_away(&name, &put).await;
        put
    }

    async fn publish_steps(&mut self, object: NewObject, body: Body, in_turn: bool) -> Result<Outcome, Refused> {
        let (mut parts, mut body, mut outcome) = (Some(object.parts), Some(body), None);
        for step in self.options.rules.publish_steps() {
            match step {
                PublishStep::Objects => {
                    let parts = parts.take().expect("each step comes once");
                    self.storage.put_large(&object.name.to_string(), parts).await.map_err(Refused::Object)?;
                }
                PublishStep::Entry => {
                    let body = body.take().expect("each step comes once");
                    outcome = Some(if in_turn { self.put_now(body).await? } else { self.put(body).await? });
                }
            }
        }
        Ok(outcome.expect("one step puts the entry"))
    }

    /// Deletes an object whose entry is not in the log and never will be.
    async fn clear_away(&self, name: &str, put: &Result<Outcome, Refused>) {
        match put {
            Ok(Outcome::Committed(_) | Outcome::Unknown(_) | Outcome::Lost(Lost::MayHaveCommitted { .. })) => {}
            _ => {
                if let Err(error) = self.storage.delete(name).await {
                    tracing::debug!(%error, "an object that no entry names is left for the next sweep");
                }
            }
        }
    }

    /// Writes a checkpoint: the log's state as an object, and the entry that names it. No other writer of this process
    /// puts an entry meanwhile; if other processes take its position, it is tried again a few times.
    ///
    /// # Errors
    /// As for [`LogWriter::publish`].
    pub async fn checkpoint(&mut self) -> Result<Outcome, Refused> {
        if let Some(end) = self.take_dataset().await? {
            return Ok(end);
        }
        let mut pause = CHECKPOINT_PAUSE;
        for _ in 1..CHECKPOINT_TRIES {
            match self.checkpoint_once().await? {
                Outcome::Lost(Lost::Outdated { .. }) => {}
                outcome => return Ok(outcome),
            }
            self.env.sleep(self.env.jitter(pause, 0.5)).await;
            pause *= 2;
            self.catch_up().await;
        }
        self.checkpoint_once().await
    }

    /// Reads what others have put, up to the tail or to what a put will run into.
    async fn catch_up(&mut self) {
        let mut reader = LogReader::at(self.storage.clone(), self.log_state.clone());
        while let Ok(Ok(Some(entry))) = self.env.timeout(ATTEMPT_TIMEOUT, reader.next()).await {
            if self.options.rules.is_fenced(self.epoch, entry.head.epoch) {
                return;
            }
            self.log_state.clone_from(reader.log_state());
        }
    }

    async fn checkpoint_once(&mut self) -> Result<Outcome, Refused> {
        let turn = self.turn().await;
        let name = self.object_name(Folder::Checkpoints, None);
        let object = NewObject { name, parts: vec![self.log_state.encode().map_err(Refused::Encode)?] };
        let body = Body::Checkpoint(object.reference());
        let put = self.publish_steps(object, body, true).await;
        self.pass_on(turn);
        self.clear_away(&name.to_string(), &put).await;
        put
    }

    pub(super) async fn checkpoint_if_due(&mut self) -> Result<(), Refused> {
        let since = self.log_state.entries_since_checkpoint();
        if since < CHECKPOINT_FROM || self.ended.is_some() {
            return Ok(());
        }
        match self.checkpoint().await {
            Ok(Outcome::Unknown(pending)) => Err(Refused::Unsettled { position: pending.position() }),
            Ok(Outcome::Lost(Lost::Outdated { position })) if since + 2 >= CHECKPOINT_EVERY => {
                Err(Refused::NoCheckpoint { position })
            }
            // If this is lost or fenced, the caller's own body will be, too, and the caller learns it then.
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
        self.in_flight.as_ref()?;
        let turn = self.turn().await;
        let outcome = self.drive().await;
        self.pass_on(turn);
        Some(outcome)
    }

    async fn settle_earlier(&mut self) -> Option<Outcome> {
        match self.settle().await? {
            Outcome::Unknown(pending) => Some(Outcome::Unknown(pending.earlier())),
            _ => None,
        }
    }

    /// Tries for another `commit_timeout` to settle an entry that this writer put. If the writer has settled it
    /// meanwhile, returns how, as long as it is the last that the writer settled; otherwise the entry stays unknown, and
    /// only the log itself says what became of it.
    pub async fn settle_pending(&mut self, pending: Pending) -> Outcome {
        let nonce = pending.nonce();
        if self.in_flight.as_ref().is_some_and(|flight| flight.entry.head.nonce == nonce) {
            return self.settle().await.expect("it is in flight");
        }
        let settled = self.settled.as_ref().filter(|(settled, _)| *settled == nonce);
        settled.map_or(Outcome::Unknown(pending), |(_, outcome)| outcome.clone())
    }

    /// Settles what is in flight and puts the last hint: no producer owns the dataset. `Some` if an entry stays unknown;
    /// then the hint goes on telling of an owner, and the writer can be closed again. So it does if the future is dropped.
    pub async fn close(&mut self) -> Option<Pending> {
        if let Some(Outcome::Unknown(pending)) = self.settle().await {
            return Some(pending.earlier());
        }
        if let Some(heartbeat) = &self.heartbeat {
            if self.ended.is_none() && !heartbeat.is_stopped() {
                heartbeat.release().await;
            }
            heartbeat.stop();
        }
        self.heartbeat = None;
        None
    }

    /// Settles what an earlier call left, and puts this writer's `open` if it has put nothing yet; all that writes does so
    /// first. `Some`: the dataset is not, or no longer, this writer's, or it is not known yet.
    ///
    /// # Errors
    /// As for [`LogWriter::append`].
    pub async fn take_dataset(&mut self) -> Result<Option<Outcome>, Refused> {
        if let Some(unknown) = self.settle_earlier().await {
            return Ok(Some(unknown));
        }
        if self.is_waiting {
            if let Some(ended) = &self.ended {
                return Ok(Some(ended.clone()));
            }
            if let Some(lost) = self.look_back().await? {
                return Ok(Some(lost));
            }
            self.place(self.open_body(), self.env.random_id())?;
            match self.drive().await {
                Outcome::Committed(_) => {}
                Outcome::Unknown(pending) => return Ok(Some(Outcome::Unknown(pending.earlier()))),
                lost => return Ok(Some(lost)),
            }
        }
        self.prove_store().await?;
        Ok(None)
    }

    /// It is this writer's turn: it says so from now on, and puts its `open` when it has something to write.
    pub(super) fn wait_to_open(&mut self) {
        self.is_waiting = true;
        self.heartbeat = Some(self.new_heartbeat(self.log_state.epoch, self.log_state.position));
    }

    fn open_body(&self) -> Body {
        Body::Open(Open { owner: self.owner() })
    }

    fn owner(&self) -> String {
        let mut owner = self.options.owner.clone();
        owner.truncate(owner.floor_char_boundary(OWNER_BYTES_MAX));
        owner
    }

    fn new_heartbeat(&self, epoch: Epoch, position: Position) -> Heartbeat {
        let owner = (self.log_state.dataset, epoch, self.owner());
        let (storage, env) = (self.storage.clone(), self.env.clone());
        Heartbeat::new(storage, env, owner, self.options.heartbeat_interval, position)
    }

    /// Takes the dataset: the last step of opening. One that insists takes a later position if others take the first
    /// ones, for a `commit_timeout`.
    pub(super) async fn put_open(&mut self, insists: bool) -> Result<Outcome, Refused> {
        self.insists_until = insists.then(|| self.env.instant() + self.options.commit_timeout);
        self.place(self.open_body(), self.env.random_id())?;
        let outcome = self.drive().await;
        self.insists_until = None;
        if let Outcome::Committed(position) = outcome {
            self.prove_store().await?;
            self.heartbeat = Some(self.new_heartbeat(self.epoch, position));
        }
        Ok(outcome)
    }

    /// The same entry, put again under its condition, must be refused: a store that takes it takes another writer's, too.
    async fn prove_store(&mut self) -> Result<(), Refused> {
        let Some((name, bytes)) = self.unproven.clone() else { return Ok(()) };
        proof::refuses(&self.storage, &self.env, &name, &bytes, self.options.commit_timeout).await?;
        self.unproven = None;
        Ok(())
    }

    async fn put(&mut self, body: Body) -> Result<Outcome, Refused> {
        let turn = self.turn().await;
        let outcome = self.put_now(body).await;
        self.pass_on(turn);
        outcome
    }

    async fn put_now(&mut self, body: Body) -> Result<Outcome, Refused> {
        if let Some(ended) = &self.ended {
            return Ok(ended.clone());
        }
        self.check_caller(&body)?;
        if let Some(lost) = self.misfit(&body) {
            return Ok(Outcome::Lost(lost));
        }
        if let Some(lost) = self.look_back().await? {
            return Ok(lost);
        }
        self.place(body, self.env.random_id())?;
        Ok(self.drive().await)
    }

    /// What only a mistake of the caller's can cause.
    fn check_caller(&self, body: &Body) -> Result<(), Refused> {
        match body {
            Body::Open(_) => return Err(Refused::NotOwner { kind: Kind::Open }),
            Body::Commit(_) if self.heartbeat.is_none() => return Err(Refused::NotOwner { kind: Kind::Commit }),
            // After the newest checkpoint no reader could start.
            Body::Trim(trim)
                if trim.log_start > self.log_state.checkpoint && trim.log_start > self.log_state.log_start =>
            {
                return Err(Refused::LogStartAboveCheckpoint {
                    log_start: trim.log_start,
                    checkpoint: self.log_state.checkpoint,
                });
            }
            _ => {}
        }
        let epoch = body.object().and_then(|object| ObjectName::parse(&object.name)).map(|name| name.epoch);
        match epoch {
            Some(epoch) if epoch != self.epoch => Err(Refused::OthersObject { found: epoch, own: self.epoch }),
            _ => Ok(()),
        }
    }

    /// Why `body` does not fit after what is there now, if it doesn't. Checked again after each lost position.
    fn misfit(&self, body: &Body) -> Option<Lost> {
        let LogState { version, log_start, .. } = self.log_state;
        match body {
            Body::Commit(commit) if commit.parent != version && self.options.rules.checks_parents() => {
                return Some(Lost::StaleParent { parent: commit.parent, newest: version });
            }
            Body::Trim(trim) if trim.log_start < log_start => return Some(Lost::BelowLogStart { log_start }),
            _ => {}
        }
        let name = body.object().and_then(|object| ObjectName::parse(&object.name))?;
        let may_name = self.options.rules.may_name(&name, self.epoch, log_start);
        (!may_name).then_some(Lost::BelowLogStart { log_start })
    }

    /// Keeps `body` as the entry to put at the next position.
    fn place(&mut self, body: Body, nonce: [u8; 16]) -> Result<(), Refused> {
        let LogState { dataset, checkpoint, log_start, hash, .. } = self.log_state;
        let position = self.log_state.position.next();
        let head = Head {
            position,
            dataset,
            epoch: self.epoch,
            kind: body.kind(),
            nonce,
            time: self.env.now(),
            checkpoint: if body.kind() == Kind::Checkpoint { position } else { checkpoint },
            log_start: if let Body::Trim(trim) = &body { trim.log_start } else { log_start },
            previous: hash,
            hash: Hash::NONE,
        };
        let (entry, bytes) = Entry::encode(head, body).map_err(Refused::Encode)?;
        self.in_flight = Some(InFlight { entry, bytes, is_doubtful: false });
        Ok(())
    }
}
