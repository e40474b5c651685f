//! Why a version was not committed, or is in doubt.

use cenote_state::ids::{Position, Version};
use cenote_store::env::Panicked;
use cenote_store::error::ErrorKind;
use cenote_store::log::{Fenced, Lost, Pending, Refused};

use super::{OpenCause, RecordCause, RecordError};
use crate::BoxError;
use crate::cycle::diff::DiffError;
use crate::cycle::populate::{DuplicateKeys, Emptied};
use crate::cycle::verify::VerifyError;
use crate::validators::ValidationError;

/// A cycle, an update or a republishing did not commit a version.
///
/// Readers see the last committed version. Whether the new version exists is certain, except for two errors:
/// [`unknown`](CycleError::unknown), which [`Producer::settle`](crate::Producer::settle) resolves, and
/// [`may_have_committed`](CycleError::may_have_committed), which nothing resolves.
///
/// By [`kind`](CycleError::kind), the caller does this:
///
/// | kind | what to do |
/// | --- | --- |
/// | `Retry` | make the same call again |
/// | `Stop` | drop the producer; it was closed, another one took over, or the dataset is gone |
/// | `Program` | fix the source of the records, the records, or a validator; the producer can go on |
/// | `Configuration` | fix the store or its permissions, then make the same call again |
/// | `Damaged` | read the message: it names the object to restore |
/// | `Upgrade` | use a newer release |
///
/// # Example
/// ```
/// # use cenote_producer::{MinimumCount, Producer, Record};
/// use cenote_producer::error::ErrorKind;
///
/// # #[derive(Record)]
/// # #[record(key = "id")]
/// # struct Movie { id: u64 }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cenote_producer::BoxError> {
/// let builder = Producer::builder("memory://cycle-error").with::<Movie>();
/// let mut producer = builder.validate(MinimumCount::of::<Movie>(2)).open().await?;
/// let error = producer.cycle(async |writer| Ok(writer.add(&Movie { id: 1 })?)).await.unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Program);
/// match &error {
///     error if error.unknown().is_some() => println!("call settle: {error}"),
///     error if error.is_fenced() || error.may_have_committed() => println!("open the dataset again: {error}"),
///     error if error.refused().is_some() || error.lost().is_some() => println!("the log does not have it: {error}"),
///     error if error.is_republish() => println!("that version can't be loaded: {error}"),
///     error if error.closure().is_some() || error.panicked().is_some() => println!("the program failed: {error}"),
///     error if error.emptied().is_some() => println!("say that it is meant, or look at the source: {error}"),
///     error => println!("{:?} or {:?}", error.validation(), error.duplicate_keys()),
/// }
/// let refused = error.validation().ok_or("no validator refused")?;
/// assert_eq!(refused.refusals[0].validator, "MinimumCount of Movie");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct CycleError(#[from] CycleCause);

/// Why a version was not committed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CycleCause {
    #[error("the closure that gives the records failed")]
    Closure(#[source] BoxError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    DuplicateKeys(#[from] DuplicateKeys),
    #[error(transparent)]
    Emptied(#[from] Emptied),
    #[error("the producer is closed; open another to write")]
    Closed,
    #[error(transparent)]
    Diff(#[from] DiffError),
    #[error(transparent)]
    Verify(#[from] VerifyError),
    #[error(transparent)]
    Validation(#[from] ValidationError),
    #[error(transparent)]
    Panicked(#[from] Panicked),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("the version was not committed")]
    Lost(#[source] Lost),
    #[error("the version may have been committed: open the dataset again and see what it holds")]
    MayHaveCommitted(#[source] Lost),
    #[error(transparent)]
    Fenced(#[from] Fenced),
    #[error(transparent)]
    Unknown(#[from] Unknown),
    #[error("version {version} can't be republished")]
    Republish { version: Version, source: Box<OpenCause> },
}

impl From<RecordCause> for CycleCause {
    fn from(cause: RecordCause) -> CycleCause {
        CycleCause::Record(cause.into())
    }
}

impl From<Lost> for CycleCause {
    fn from(lost: Lost) -> CycleCause {
        match lost {
            Lost::MayHaveCommitted { .. } => CycleCause::MayHaveCommitted(lost),
            lost => CycleCause::Lost(lost),
        }
    }
}

impl CycleCause {
    /// From what a closure failed with: an error of the writer's keeps its kind.
    pub(crate) fn of_closure(error: BoxError) -> CycleCause {
        match error.downcast::<RecordError>() {
            Ok(error) => CycleCause::Record(*error),
            Err(error) => CycleCause::Closure(error),
        }
    }
}

impl CycleError {
    /// What the caller can do.
    ///
    /// [Example](CycleError#example)
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match &self.0 {
            CycleCause::Closure(_)
            | CycleCause::Record(_)
            | CycleCause::DuplicateKeys(_)
            | CycleCause::Emptied(_)
            | CycleCause::Diff(_)
            | CycleCause::Verify(_)
            | CycleCause::Validation(_)
            | CycleCause::Panicked(_) => ErrorKind::Program,
            CycleCause::Refused(refused) => kind_of_refused(refused),
            CycleCause::Lost(lost) | CycleCause::MayHaveCommitted(lost) => kind_of_lost(lost),
            CycleCause::Fenced(_) | CycleCause::Closed => ErrorKind::Stop,
            CycleCause::Unknown(_) => ErrorKind::Retry,
            CycleCause::Republish { source, .. } => source.kind(),
        }
    }

    /// Whether another producer took over: stop, or open the dataset again with
    /// [`take_over`](crate::ProducerBuilder::take_over). Final for this producer.
    ///
    /// [Example](CycleError#example)
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        matches!(self.0, CycleCause::Fenced(_))
    }

    /// Whether it will never be known if the version was committed: the store gave no clear answer, another producer took
    /// over, and the log was trimmed past the version. Open the dataset again and see what it holds. Final for this
    /// producer.
    ///
    /// [Example](CycleError#example)
    #[must_use]
    pub fn may_have_committed(&self) -> bool {
        matches!(self.0, CycleCause::MayHaveCommitted(_))
    }

    /// The commit whose outcome is not known yet, if that is why.
    ///
    /// [Example](CycleError#example)
    #[must_use]
    pub fn unknown(&self) -> Option<&Unknown> {
        match &self.0 {
            CycleCause::Unknown(unknown) => Some(unknown),
            _ => None,
        }
    }

    /// Why the entry was not put, if the producer refused to put it: nothing was written to the log.
    ///
    /// [Example](CycleError#example)
    #[must_use]
    pub fn refused(&self) -> Option<&Refused> {
        match &self.0 {
            CycleCause::Refused(refused) => Some(refused),
            _ => None,
        }
    }

    /// Why the log does not have the entry, if it was put and lost its position.
    ///
    /// [Example](CycleError#example)
    #[must_use]
    pub fn lost(&self) -> Option<&Lost> {
        match &self.0 {
            CycleCause::Lost(lost) | CycleCause::MayHaveCommitted(lost) => Some(lost),
            _ => None,
        }
    }

    /// The validators that refused the version, each with its reason.
    ///
    /// [Example](CycleError#example)
    #[must_use]
    pub fn validation(&self) -> Option<&ValidationError> {
        match &self.0 {
            CycleCause::Validation(error) => Some(error),
            _ => None,
        }
    }

    /// The keys that were added twice, if that is why.
    ///
    /// [Example](CycleError#example)
    #[must_use]
    pub fn duplicate_keys(&self) -> Option<&DuplicateKeys> {
        match &self.0 {
            CycleCause::DuplicateKeys(keys) => Some(keys),
            _ => None,
        }
    }

    /// The types that the cycle would have left without a record, if that is why. See
    /// [`Writer::allow_empty`](crate::Writer::allow_empty).
    ///
    /// [Example](CycleError#example)
    #[must_use]
    pub fn emptied(&self) -> Option<&Emptied> {
        match &self.0 {
            CycleCause::Emptied(emptied) => Some(emptied),
            _ => None,
        }
    }

    /// What the caller's closure failed with, if it was no [`RecordError`].
    ///
    /// [Example](CycleError#example)
    #[must_use]
    pub fn closure(&self) -> Option<&BoxError> {
        match &self.0 {
            CycleCause::Closure(error) => Some(error),
            _ => None,
        }
    }

    /// A computation that panicked: a bug in a validator or in Cenote.
    ///
    /// [Example](CycleError#example)
    #[must_use]
    pub fn panicked(&self) -> Option<&Panicked> {
        match &self.0 {
            CycleCause::Panicked(panicked) => Some(panicked),
            _ => None,
        }
    }

    /// Whether the version to republish could not be loaded.
    ///
    /// [Example](CycleError#example)
    #[must_use]
    pub fn is_republish(&self) -> bool {
        matches!(self.0, CycleCause::Republish { .. })
    }
}

pub(super) fn kind_of_refused(refused: &Refused) -> ErrorKind {
    match refused {
        Refused::Object(error) => error.kind(),
        Refused::Unsettled { .. } | Refused::NoCheckpoint { .. } => ErrorKind::Retry,
        Refused::Unproven(error) => error.kind(),
        Refused::Unfit(_) => ErrorKind::Configuration,
        // A producer that was closed owns nothing.
        Refused::NotOwner { .. } | Refused::Gone(_) => ErrorKind::Stop,
        _ => ErrorKind::Program,
    }
}

pub(super) fn kind_of_lost(lost: &Lost) -> ErrorKind {
    match lost {
        Lost::StaleParent { .. } | Lost::BelowLogStart { .. } | Lost::Outdated { .. } | Lost::Behind { .. } => {
            ErrorKind::Retry
        }
        Lost::Foreign { .. } | Lost::Nothing { .. } => ErrorKind::Damaged,
        Lost::Refused(error) => error.kind(),
        _ => ErrorKind::Stop,
    }
}

/// An entry was put, and the store did not confirm it: the write may still take effect.
///
/// The producer keeps the entry and puts the same bytes again until the outcome is known:
/// [`Producer::settle`](crate::Producer::settle) and every other call do so first.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}; the write of log position {position} may still take effect: call settle to find out")]
#[non_exhaustive]
pub struct Unknown {
    /// The log position that was written.
    pub position: Position,
    /// The store's last answer, with its remedy.
    pub cause: String,
}

impl Unknown {
    pub(crate) fn of(pending: &Pending) -> Unknown {
        Unknown { position: pending.position(), cause: pending.cause().to_owned() }
    }
}
