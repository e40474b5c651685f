//! Opening a dataset for writing: waiting for one's turn, then the `open` entry (rule 3).
//!
//! A hint that keeps changing means a live owner: a producer that opens waits, by its own monotonic clock, until a promise is
//! broken or the owner has gone, unless it was asked to take over. The `open` entry raises the epoch, which ends the
//! owner's writing wherever it is.
//!
//! Whose turn it is says so in the hint, in the epoch that is, and puts its `open` just before its first other entry: a
//! producer that finds nothing to write leaves nothing in the log. If another owner's entry is there by then, it was not
//! its turn, and it stops. Two put `open` at once: who makes the dataset, since there is no hint before it, and who
//! takes over, since it is there to end another's writing.
//!
//! Who takes over from an owner that never pauses may never find the tail where it read it: then `open` is put at
//! whatever the tail is, as soon as the entry before it shows, and the caller catches up after it
//! ([`LogWriter::open_at_tail`]).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::error::ReadError;
use super::heartbeat::Heartbeat;
use super::hint::Hint;
use super::names::{self, LOG};
use super::outcome::{Lost, Outcome, Pending, Refused};
use super::proof;
use super::reader::LogReader;
use super::tail::read_hint;
use super::writer::{LogWriter, WriterOptions};
use crate::env::Env;
use crate::error::ErrorKind;
use crate::storage::StorageError;
use cenote_state::ids::{DatasetId, Epoch, Position, Timestamp};
use cenote_state::shown::shown;

/// How often the hint is looked at while waiting.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why a dataset was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Entries were put since the reader's place: read on to the tail, then open again.
    #[error("log position {position} was taken meanwhile: catch up and open again")]
    Behind {
        /// The first position that the caller has not read.
        position: Position,
    },
    /// The `open` entry may still land. Opening again is safe: whichever lands first decides the position.
    #[error("{}; the open entry at log position {} may still take effect: open again", pending.cause(), pending.position())]
    Unknown {
        /// The entry.
        pending: Pending,
    },
    /// The object at the tail does not belong there.
    #[error("the dataset can't be opened")]
    Lost(#[source] Lost),
    /// The store refused the `open` entry: nothing was written.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The hint could not be read: try again.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The entry could not be made.
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl OpenError {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            OpenError::Behind { .. } | OpenError::Unknown { .. } => ErrorKind::Retry,
            OpenError::Lost(lost) => lost.kind(),
            OpenError::Storage(error) => error.kind(),
            OpenError::Read(error) => error.kind(),
            OpenError::Refused(refused) => refused.kind(),
        }
    }
}

impl LogWriter {
    /// Takes the next epoch at the place to which `reader` has read, the tail: the caller has read the schema, loaded
    /// and caught up before. A reader before the first entry makes the dataset.
    ///
    /// While the hint shows a live owner this waits, unless `options.take_over`. Dropping the future is safe. The `open` entry
    /// is put with the writer's first other one, or by [`LogWriter::take_dataset`]; at once if the writer makes the dataset
    /// or takes over.
    ///
    /// # Errors
    /// `Behind`: read on and open again. `Unknown`: open again. Else what is wrong.
    pub async fn open(reader: &LogReader, env: Env, options: WriterOptions) -> Result<LogWriter, OpenError> {
        let log_state = reader.log_state();
        if options.take_over || log_state.position.0 == 0 {
            return LogWriter::take(reader, env, options, false).await;
        }
        wait_for_turn(reader, &env, &options).await?;
        let position = log_state.position.next();
        if reader.storage().size(&names::log_entry(position)).await.map_err(ReadError::from)?.is_some() {
            return Err(OpenError::Behind { position });
        }
        let epoch = Epoch(log_state.epoch.0 + 1);
        let mut writer = LogWriter::new(reader.storage().clone(), env, options, log_state.clone(), epoch);
        writer.wait_to_open();
        writer.announce().await;
        Ok(writer)
    }

    /// The same for one who takes over from an owner that commits faster than one can catch up: an `open` that lost its
    /// position goes to the next, so the writer that comes out is ahead of `reader`, and its caller reads up to
    /// [`LogWriter::log_state`]. Does not wait.
    ///
    /// # Errors
    /// As for [`LogWriter::open`]; `Behind` if others were faster for a whole `commit_timeout`.
    pub async fn open_at_tail(reader: &LogReader, env: Env, options: WriterOptions) -> Result<LogWriter, OpenError> {
        LogWriter::take(reader, env, options, true).await
    }

    /// The first heartbeat. The listener comes before it: when the hint names an owner, a signal can release it.
    async fn announce(&self) {
        if let Some(OnOpen(listener)) = &self.options.on_open {
            listener(self.heartbeat());
        }
        self.heartbeat().offer().await;
    }

    async fn take(reader: &LogReader, env: Env, options: WriterOptions, insists: bool) -> Result<LogWriter, OpenError> {
        let mut log_state = reader.log_state().clone();
        if log_state.position.0 == 0 {
            check_nothing_is_there(reader).await?;
            // Once in a dataset's life: a store that writes in two steps passes any test but a race.
            proof::race(reader.storage(), &env, proof::Race::default()).await.map_err(Refused::from)?;
            log_state.dataset = DatasetId(env.random_id());
        }
        let epoch = Epoch(log_state.epoch.0 + 1);
        let mut writer = LogWriter::new(reader.storage().clone(), env, options, log_state, epoch);
        match writer.put_open(insists).await? {
            Outcome::Committed(_) => {
                writer.announce().await;
                // Producers that open and commit nothing leave a log that a start can read, too.
                writer.checkpoint_if_due().await?;
                Ok(writer)
            }
            Outcome::Lost(Lost::Behind { position }) => Err(OpenError::Behind { position }),
            Outcome::Lost(Lost::Refused(error)) => Err(OpenError::Storage(error)),
            Outcome::Lost(lost) => Err(OpenError::Lost(lost)),
            Outcome::Unknown(pending) => Err(OpenError::Unknown { pending }),
            Outcome::Fenced(fenced) => Err(OpenError::Behind { position: fenced.position }),
        }
    }
}

/// A log whose first entry is missing is damaged: no dataset is made in its place.
async fn check_nothing_is_there(reader: &LogReader) -> Result<(), OpenError> {
    let (first, there) = (Position(1), reader.storage().list(LOG, None).await.map_err(ReadError::from)?);
    match there.first() {
        None => Ok(()),
        Some(oldest) if oldest.name == names::log_entry(first) => Err(OpenError::Behind { position: first }),
        Some(oldest) => {
            let cause = format!("it is missing, and {} is there", oldest.name);
            Err(ReadError::damaged(names::log_entry(first), cause).into())
        }
    }
}

/// Another producer seems to be alive, so the one that opens waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiting {
    /// The other's name; `None` if it is not known.
    pub owner: Option<String>,
    /// The other's epoch.
    pub epoch: Epoch,
    /// When its last heartbeat was stored, by the store's clock.
    pub last_heartbeat: Option<Timestamp>,
    /// How much longer its silence is waited for. It begins again with each heartbeat.
    pub rest: Duration,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owner = self.owner.as_deref().unwrap_or("another producer");
        write!(f, "waiting for {} (epoch {})", shown(owner), self.epoch)?;
        if let Some(at) = self.last_heartbeat {
            write!(f, ", last heard of at {}", at.to_rfc3339())?;
        }
        write!(f, ": it is taken over from after {} s of silence", self.rest.as_secs_f64().ceil())
    }
}

/// Is called when an `open` waits.
#[derive(Clone)]
pub struct OnWait(pub Arc<dyn Fn(&Waiting) + Send + Sync>);

impl fmt::Debug for OnWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnWait")
    }
}

/// Gets the heartbeat of a dataset that was opened, before its first beat.
#[derive(Clone)]
pub struct OnOpen(pub Arc<dyn Fn(Heartbeat) + Send + Sync>);

impl fmt::Debug for OnOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnOpen")
    }
}

/// Waits while another producer's promise is unbroken.
async fn wait_for_turn(reader: &LogReader, env: &Env, options: &WriterOptions) -> Result<(), OpenError> {
    let log_state = reader.log_state();
    let mut seen: Option<Hint> = None;
    let mut since = env.instant();
    let mut is_told = false;
    loop {
        let hint = read_hint(reader.storage()).await?.filter(|hint| hint.dataset == log_state.dataset);
        if hint != seen {
            since = env.instant();
            seen = hint;
        }
        let unchanged_for = env.instant() - since;
        match options.rules.may_open(log_state.epoch, seen.as_ref(), unchanged_for, options.heartbeat_interval) {
            Ok(()) => return Ok(()),
            Err(rest) => {
                if !std::mem::replace(&mut is_told, true) {
                    tell(reader, options, seen.as_ref(), rest).await;
                }
                env.sleep(rest.min(LOOK_EVERY)).await;
            }
        }
    }
}

/// Says for whom this producer waits, and since when the other was silent.
async fn tell(reader: &LogReader, options: &WriterOptions, hint: Option<&Hint>, rest: Duration) {
    let log_epoch = reader.log_state().epoch;
    // A hint of an epoch below is a superseded producer's.
    let hint = hint.filter(|hint| hint.epoch >= log_epoch);
    let last_heartbeat = match hint {
        Some(_) => reader.storage().modified(names::HINT).await.ok().flatten(),
        None => None,
    };
    let (owner, epoch) = (hint.and_then(|hint| hint.owner.clone()), hint.map_or(log_epoch, |hint| hint.epoch));
    let waiting = Waiting { owner, epoch, last_heartbeat, rest };
    tracing::info!(%waiting, "another producer seems to be alive");
    if let Some(OnWait(listener)) = &options.on_wait {
        listener(&waiting);
    }
}
