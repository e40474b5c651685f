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
//! since the last.

mod put;

use std::time::Duration;

use bytes::Bytes;

use super::entry::{Body, Entry, ObjectRef, Open};
use super::error::ReadError;
use super::head::{Head, Kind};
use super::heartbeat::Heartbeat;
use super::names::{Folder, ObjectName};
use super::order::{PublishStep, Rules};
use super::outcome::{Lost, Outcome, Pending, Refused};
use super::reader::LogReader;
use super::start::{CHECKPOINT_EVERY, CHECKPOINT_FROM};
use super::state::LogState;
use crate::env::{Env, Instant};
use crate::storage::Storage;
use cenote_state::hash::Hash;
use cenote_state::ids::{Epoch, Timestamp, Version};

/// An owner's name is cut to this many bytes.
const OWNER_BYTES_MAX: usize = 255;
/// One request is given up after this long; it may land all the same.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);
/// So often, at most, a writer looks whether the log that it appends to is still there.
const LOOK_BACK_EVERY: Duration = Duration::from_mins(1);

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

    pub(super) fn new(storage: Storage, env: Env, options: WriterOptions, log_state: LogState, epoch: Epoch) -> Self {
        let (in_flight, settled, ended, heartbeat, insists_until) = (None, None, None, None, None);
        let looked_back = env.instant();
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
            insists_until,
            looked_back,
            commit_time: Timestamp::default(),
        }
    }

    /// The log's state, as far as this writer knows.
    #[must_use]
    pub fn log_state(&self) -> &LogState {
        &self.log_state
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
        if let Some(unknown) = self.settle_earlier().await {
            return Ok(unknown);
        }
        self.checkpoint_if_due().await?;
        self.put(body).await
    }

    /// Puts an object and the entry that names it, in the order of rule 1.
    ///
    /// # Errors
    /// `Refused`: nothing was put but perhaps the object, which no entry names.
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

    /// Writes a checkpoint: the log's state as an object, and the entry that names it. Tries again while janitors
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
            let parts = vec![self.log_state.encode().map_err(Refused::Encode)?];
            let object = NewObject { name, parts };
            let body = Body::Checkpoint(object.reference());
            match self.publish_steps(object, body).await? {
                Outcome::Lost(Lost::Outdated { .. }) => {}
                outcome => return Ok(outcome),
            }
        }
    }

    async fn checkpoint_if_due(&mut self) -> Result<(), Refused> {
        let since = self.log_state.entries_since_checkpoint();
        if since < CHECKPOINT_FROM || self.ended.is_some() {
            return Ok(());
        }
        match self.checkpoint().await {
            Ok(Outcome::Unknown(pending)) => Err(Refused::Unsettled { position: pending.position() }),
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

    /// Tries for another `commit_timeout` to settle an entry that this writer put. If the writer has settled it
    /// meanwhile, returns how, as long as it is the last that the writer settled; otherwise the entry stays unknown, and
    /// only the log itself says what became of it.
    pub async fn settle_pending(&mut self, pending: Pending) -> Outcome {
        let nonce = pending.nonce();
        if self.in_flight.as_ref().is_some_and(|flight| flight.entry.head.nonce == nonce) {
            return self.drive().await;
        }
        let settled = self.settled.as_ref().filter(|(settled, _)| *settled == nonce);
        settled.map_or(Outcome::Unknown(pending), |(_, outcome)| outcome.clone())
    }

    /// Settles what is in flight and puts the last hint: no producer owns the dataset. `Some` if an entry stays unknown;
    /// then the hint goes on telling of an owner, and the writer can be closed again.
    pub async fn close(&mut self) -> Option<Pending> {
        if let Some(Outcome::Unknown(pending)) = self.settle().await {
            return Some(pending.earlier());
        }
        if let Some(heartbeat) = self.heartbeat.take() {
            if self.ended.is_none() && !heartbeat.is_stopped() {
                heartbeat.release().await;
            }
            heartbeat.stop();
        }
        None
    }

    /// Takes the dataset: the last step of opening. One that insists takes a later position if others take the first
    /// ones, for a `commit_timeout`.
    pub(super) async fn put_open(&mut self, insists: bool) -> Result<Outcome, Refused> {
        self.insists_until = insists.then(|| self.env.instant() + self.options.commit_timeout);
        let mut owner = self.options.owner.clone();
        owner.truncate(owner.floor_char_boundary(OWNER_BYTES_MAX));
        let open = Body::Open(Open { owner: owner.clone() });
        self.place(open, self.env.random_id())?;
        let outcome = self.drive().await;
        self.insists_until = None;
        if let Outcome::Committed(position) = outcome {
            let owner = (self.log_state.dataset, self.epoch, owner);
            let (storage, env) = (self.storage.clone(), self.env.clone());
            self.heartbeat = Some(Heartbeat::new(storage, env, owner, self.options.heartbeat_interval, position));
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

    /// Whether our newest entry is still there: no reader would see what is put after a gap or into another dataset. At
    /// most one request a minute, so it finds a mistake out, and soon; it does not rule one out.
    async fn look_back(&mut self) -> Result<(), Refused> {
        let now = self.env.instant();
        if now - self.looked_back < LOOK_BACK_EVERY {
            return Ok(());
        }
        let reader = LogReader::at(self.storage.clone(), self.log_state.clone());
        match self.env.timeout(ATTEMPT_TIMEOUT, reader.stands_unchanged(self.log_state.position)).await {
            // A writer that was trimmed past learns it from its own position.
            Ok(Ok(_) | Err(ReadError::Trimmed { .. })) => self.looked_back = now,
            Ok(Err(gone @ (ReadError::NotFound { .. } | ReadError::Replaced { .. }))) => {
                // The hint belongs to another dataset now, or to none: it is not ours to overwrite, not even when closing.
                self.heartbeat.as_ref().inspect(|heartbeat| heartbeat.stop());
                return Err(Refused::Gone(gone));
            }
            Ok(Err(damaged @ (ReadError::Damaged { .. } | ReadError::Restored { .. }))) => {
                return Err(Refused::Gone(damaged));
            }
            // A store that has its troubles is no sign of anything.
            Ok(Err(_)) | Err(_) => {}
        }
        Ok(())
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
