//! What becomes of an entry, by what the caller does about it.

use bytes::Bytes;

use super::error::{DecodeError, ReadError};
use super::head::Kind;
use super::proof::{ProofError, UnfitStore};
use crate::error::ErrorKind;
use crate::storage::StorageError;
use cenote_state::ids::{Epoch, Position, Version};
use cenote_state::shown::shown;

/// What became of an entry.
#[derive(Clone, Debug)]
#[must_use = "an outcome may be that nothing was written, or that it is unknown"]
pub enum Outcome {
    /// It is at this position.
    Committed(Position),
    /// It is not in the log and never will be; one reason says that it may have been for a while.
    Lost(Lost),
    /// It is not in the log and never will be: another producer holds the dataset. Final.
    Fenced(Fenced),
    /// Unknown: it may still land. The pending entry is the only way on.
    Unknown(Pending),
}

/// Why an entry is not in the log.
///
/// # Example
/// ```
/// use cenote_producer::Position;
/// use cenote_producer::error::{ErrorKind, Lost};
///
/// assert_eq!(Lost::Nothing { position: Position(7) }.kind(), ErrorKind::Stop);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Lost {
    /// The newest commit is another one: rebuild on it.
    #[error("its parent is version {parent}, and the newest is {newest}: build it again on that")]
    StaleParent {
        /// What the commit was built on.
        parent: Version,
        /// The newest commit.
        newest: Version,
    },
    /// The log start has passed what the entry would name or set. The writer can go on.
    #[error("the log start is {log_start}, above what the entry would name")]
    BelowLogStart {
        /// The log start.
        log_start: Position,
    },
    /// A checkpoint tells of the place just before it, and another entry took its own: write a new one.
    #[error("log position {position} was taken, so the checkpoint tells of an older place: write a new one")]
    Outdated {
        /// The position that was taken.
        position: Position,
    },
    /// Another producer put an entry before the `open`: catch up, then open again.
    #[error("log position {position} was taken before the dataset was opened: catch up and open again")]
    Behind {
        /// The position that was taken.
        position: Position,
    },
    /// The owner before this writer was alive after all, and wrote before this one had put anything: open again.
    #[error(
        "log position {position} was written by the producer that owned the dataset before this one, which seemed to be \
         gone: open the dataset again"
    )]
    Overtaken {
        /// The position that was taken.
        position: Position,
    },
    /// The log went on without this writer, and was trimmed past it: open again.
    #[error(
        "log position {position} was written and trimmed by others, the log begins at {log_start}: open the dataset again"
    )]
    Trimmed {
        /// The position that was meant.
        position: Position,
        /// Where the log begins.
        log_start: Position,
    },
    /// Whether it was committed can no longer be known: the store never gave a clear answer to its put, and the position has
    /// been trimmed since, or holds something else. If it was committed, later entries built on it: open the
    /// dataset again and look at what it holds. Final for the writer.
    #[error(
        "the {kind} at log position {position} may have been committed: its put got no clear answer, and since \
         then {cause}; look whether the dataset holds it"
    )]
    MayHaveCommitted {
        /// What was put. A doubtful checkpoint says nothing against the commit that it came before: that was not put.
        kind: Kind,
        /// Where it may have been.
        position: Position,
        /// What is there now.
        cause: Box<Lost>,
    },
    /// The store refused to put it, at the first attempt: nothing was written. The writer can go on once a person has
    /// changed what the message names.
    #[error(transparent)]
    Refused(StorageError),
    /// The object there does not belong there: look at it.
    #[error("{object} is not this dataset's: {cause}")]
    Foreign {
        /// The object.
        object: String,
        /// What is wrong with it.
        cause: String,
    },
    /// Nothing readable is there.
    #[error("log position {position} holds nothing readable")]
    Nothing {
        /// The position that was meant.
        position: Position,
    },
}

/// Another producer holds the dataset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "fenced: {} opened epoch {epoch} at log position {position}, this producer's is {own}; open again to take over",
    shown(owner)
)]
pub struct Fenced {
    /// Who took over, by its own name.
    pub owner: String,
    /// Where it was met.
    pub position: Position,
    /// The higher epoch.
    pub epoch: Epoch,
    /// This writer's.
    pub own: Epoch,
}

/// An entry that may still land. It owns the bytes; the writer that put it settles it before anything else.
#[derive(Clone, Debug)]
pub struct Pending {
    position: Position,
    kind: Kind,
    nonce: [u8; 16],
    bytes: Bytes,
    cause: String,
    is_earlier: bool,
}

impl Pending {
    pub(super) fn new(position: Position, kind: Kind, nonce: [u8; 16], bytes: Bytes, cause: String) -> Pending {
        Pending { position, kind, nonce, bytes, cause, is_earlier: false }
    }

    pub(super) fn earlier(self) -> Pending {
        Pending { is_earlier: true, ..self }
    }

    /// Where it may land.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What the store said last, with its remedy.
    #[must_use]
    pub fn cause(&self) -> &str {
        &self.cause
    }

    /// Whether it was left by an earlier call: then the body of this call was not put.
    #[must_use]
    pub fn is_earlier(&self) -> bool {
        self.is_earlier
    }

    pub(super) fn nonce(&self) -> [u8; 16] {
        self.nonce
    }
}

impl Lost {
    /// What the caller can do.
    ///
    /// [Example](Lost#example)
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Lost::StaleParent { .. } | Lost::BelowLogStart { .. } | Lost::Outdated { .. } | Lost::Behind { .. } => {
                ErrorKind::Retry
            }
            Lost::Overtaken { .. } | Lost::Trimmed { .. } | Lost::MayHaveCommitted { .. } | Lost::Nothing { .. } => {
                ErrorKind::Stop
            }
            Lost::Refused(error) => error.kind(),
            Lost::Foreign { .. } => ErrorKind::Damaged,
        }
    }
}

impl Refused {
    /// What the caller can do.
    ///
    /// [Example](Refused#example)
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Refused::Encode(_) | Refused::NotOwner { .. } | Refused::LogStartAboveCheckpoint { .. } => {
                ErrorKind::Program
            }
            Refused::Object(error) => error.kind(),
            Refused::OthersObject { .. } | Refused::Unsettled { .. } | Refused::NoCheckpoint { .. } => ErrorKind::Retry,
            Refused::Unproven(error) => error.kind(),
            Refused::Unfit(_) => ErrorKind::Configuration,
            Refused::Gone(ReadError::Damaged { .. }) => ErrorKind::Damaged,
            Refused::Gone(_) => ErrorKind::Stop,
        }
    }
}

impl From<ProofError> for Refused {
    fn from(error: ProofError) -> Refused {
        match error {
            ProofError::Unfit(unfit) => Refused::Unfit(unfit),
            ProofError::Storage(error) => Refused::Unproven(error),
        }
    }
}

/// Nothing was put: what the caller has to change.
///
/// # Example
/// ```
/// use cenote_producer::error::{CycleError, ErrorKind};
///
/// fn should_retry(error: &CycleError) -> bool {
///     error.refused().is_some_and(|refused| refused.kind() == ErrorKind::Retry)
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// Larger than an entry may be, or it contradicts itself.
    #[error("the entry cannot be written")]
    Encode(#[source] DecodeError),
    /// The object that it names could not be put. No entry names it: try again.
    #[error("the object that the entry would name could not be put")]
    Object(#[source] StorageError),
    /// The writer holds nothing, or `open` is not the caller's to put.
    #[error("an entry of kind {kind} can't be put by this writer: only a writer that opened the dataset commits")]
    NotOwner {
        /// The kind.
        kind: Kind,
    },
    /// An object of another epoch may be deleted by any process at any time: put one of this epoch.
    #[error("it names an object of epoch {found}, this writer's is {own}: write the object again")]
    OthersObject {
        /// The object's epoch.
        found: Epoch,
        /// The writer's.
        own: Epoch,
    },
    /// No reader could start after the newest checkpoint: write one first.
    #[error("log start {log_start} is above the newest checkpoint, at {checkpoint}: write a checkpoint first")]
    LogStartAboveCheckpoint {
        /// The log start that was asked for.
        log_start: Position,
        /// The newest checkpoint.
        checkpoint: Position,
    },
    /// The log that the writer appended to is not there any more: it was deleted, or a producer made another dataset in its
    /// place. Stop, find out who; then open the dataset again.
    #[error("the log that this writer appended to is gone")]
    Gone(#[source] ReadError),
    /// The store does not keep put-if-absent: use another.
    #[error(transparent)]
    Unfit(#[from] UnfitStore),
    /// Whether the store keeps put-if-absent could not be seen: try again.
    #[error(transparent)]
    Unproven(StorageError),
    /// A checkpoint is due before anything else, and other writers took its position each time: append again.
    #[error("a checkpoint is due, and other writers took its log position, the last time {position}: append again")]
    NoCheckpoint {
        /// The position that was taken last.
        position: Position,
    },
    /// A checkpoint that is due before anything else stays unknown: settle it.
    #[error("the checkpoint at log position {position} is not settled: settle it, then append again")]
    Unsettled {
        /// Where it may land.
        position: Position,
    },
}
