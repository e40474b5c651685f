//! Validators: what a version must satisfy before it is written.
//!
//! Each sees the old view and the new one. All are asked, so that one failure tells everything; if any refuses, the cycle ends
//! with nothing visible. Those here find types by name, so that they serve programs without Rust types too; their cost
//! follows the change if possible. One that could never refuse is refused itself when the producer is opened.
//!
//! No validator is needed against two records with one key: every cycle refuses these
//! ([`DuplicateKeys`](crate::error::DuplicateKeys)).

mod dangling;

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};

use cenote_state::ids::TypeId;
use cenote_state::record::Root;
use cenote_state::row::Row;
use cenote_state::schema::Schema;
use cenote_state::state::State;
use cenote_state::table::Table;
use cenote_state::view::View;

pub use dangling::DanglingKeys;

use crate::BoxError;

/// Decides whether a version may be written.
///
/// # Example
/// ```
/// use cenote_producer::schema::Schema;
/// use cenote_producer::{BoxError, Validator, View};
///
/// /// Every type of the old version must keep a record.
/// struct NothingEmptied;
///
/// impl Validator for NothingEmptied {
///     fn name(&self) -> String {
///         "NothingEmptied".to_owned()
///     }
///
///     fn validate(&self, old: &View, new: &View) -> Result<(), BoxError> {
///         for before in old.named_tables().filter(|table| !table.is_empty()) {
///             let name = &before.schema().name;
///             if !new.named(name).is_ok_and(|after| !after.is_empty()) {
///                 return Err(format!("{name} has no record left").into());
///             }
///         }
///         Ok(())
///     }
///
///     // Asked when the producer is opened.
///     fn check(&self, declared: &Schema) -> Result<(), BoxError> {
///         if declared.types.is_empty() { Err("there is nothing to empty".into()) } else { Ok(()) }
///     }
///
///     fn is_asked_of_old_versions(&self) -> bool {
///         true
///     }
/// }
/// ```
pub trait Validator: Send + Sync + 'static {
    /// The name that its errors show.
    ///
    /// [Example](Validator#example)
    fn name(&self) -> String;

    /// Accepts the version, or refuses it with an error. `old` is the newest committed version; it is empty before the first.
    ///
    /// [Example](Validator#example)
    ///
    /// # Errors
    /// Why the version must not be written.
    fn validate(&self, old: &View, new: &View) -> Result<(), BoxError>;

    /// Says whether it could ever refuse a version of these types, which are those that the producer declares, with all that
    /// their fields lead to. [`open`](crate::ProducerBuilder::open) asks before anything is written. Default: it could.
    ///
    /// [Example](Validator#example)
    ///
    /// # Errors
    /// Why it could not: a type that is not declared, or a limit that nothing passes.
    fn check(&self, declared: &Schema) -> Result<(), BoxError> {
        let _ = declared;
        Ok(())
    }

    /// Whether it is asked as well when an old version is [published again](crate::Producer::republish). Default: no,
    /// because that version passed before.
    ///
    /// [Example](Validator#example)
    fn is_asked_of_old_versions(&self) -> bool {
        false
    }
}

/// Validators refused a version. Nothing was written; fix the source of the records, or the validators.
#[derive(Debug, thiserror::Error)]
#[error("{}", list(.refusals))]
#[non_exhaustive]
pub struct ValidationError {
    /// Every validator that refused, in the order in which they were added.
    pub refusals: Vec<ValidatorRefusal>,
}

/// A validator that refused a version.
#[derive(Debug)]
#[non_exhaustive]
pub struct ValidatorRefusal {
    /// Its name.
    pub validator: String,
    /// Its reason.
    pub reason: BoxError,
}

/// A validator that panicked: it refuses, because its answer is unknown.
#[derive(Debug, thiserror::Error)]
#[error("it panicked: {0}; correct it")]
struct ValidatorPanicked(String);

fn list(refusals: &[ValidatorRefusal]) -> String {
    let said = refusals.iter().map(|ValidatorRefusal { validator, reason }| {
        format!("the validator {validator} refused the version: {}", chain(reason.as_ref()))
    });
    said.collect::<Vec<_>>().join("; ")
}

/// An error and its sources.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let sources = std::iter::successors(Some(error), |error| error.source());
    sources.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Asks all of them about a version.
pub(crate) fn ask_all<'v>(
    validators: impl Iterator<Item = &'v dyn Validator>,
    old: &View,
    new: &View,
) -> Result<(), ValidationError> {
    let refusals = validators.filter_map(|validator| {
        let said = panic::catch_unwind(AssertUnwindSafe(|| validator.validate(old, new)));
        let said = said.unwrap_or_else(|panic| Err(ValidatorPanicked(message_of(panic.as_ref())).into()));
        said.err().map(|reason| ValidatorRefusal { validator: validator.name(), reason })
    });
    let refusals: Vec<ValidatorRefusal> = refusals.collect();
    if refusals.is_empty() { Ok(()) } else { Err(ValidationError { refusals }) }
}

/// What a panic says.
pub(crate) fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("it gave no message").to_owned()
}

/// A validator made of a closure.
pub(crate) struct ClosureValidator<F> {
    pub(crate) name: String,
    pub(crate) check: F,
}

impl<F: Fn(&View, &View) -> Result<(), BoxError> + Send + Sync + 'static> Validator for ClosureValidator<F> {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn validate(&self, old: &View, new: &View) -> Result<(), BoxError> {
        (self.check)(old, new)
    }
}

/// Refuses when the number of records changes by more than this share of the old number, from 0 to 1. The first version
/// passes.
#[derive(Clone, Debug)]
pub struct RecordCountVariance {
    type_name: String,
    share_max: f64,
}

impl RecordCountVariance {
    /// For a Rust type: `0.10` is 10 %.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// use cenote_producer::RecordCountVariance;
    ///
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// let builder = Producer::builder("memory://validator").with::<Movie>();
    /// let builder = builder.validate(RecordCountVariance::of::<Movie>(0.10));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn of<T: Root>(share_max: f64) -> RecordCountVariance {
        RecordCountVariance::named(T::NAME, share_max)
    }

    /// For a type by name.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// use cenote_producer::RecordCountVariance;
    ///
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// let builder = Producer::builder("memory://validator").with::<Movie>();
    /// let builder = builder.validate(RecordCountVariance::named("Movie", 0.10));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn named(type_name: &str, share_max: f64) -> RecordCountVariance {
        RecordCountVariance { type_name: type_name.to_owned(), share_max }
    }
}

impl Validator for RecordCountVariance {
    fn name(&self) -> String {
        format!("RecordCountVariance of {}", self.type_name)
    }

    fn validate(&self, old: &View, new: &View) -> Result<(), BoxError> {
        let (old, new) = (count(old, &self.type_name), count(new, &self.type_name));
        let share = old.abs_diff(new) as f64 / old.max(1) as f64;
        if old == 0 || share <= self.share_max {
            return Ok(());
        }
        let (found, max) = (share * 100.0, self.share_max * 100.0);
        Err(format!("{old} records became {new}, which is {found:.1} %; {max:.1} % are allowed").into())
    }

    fn check(&self, declared: &Schema) -> Result<(), BoxError> {
        check_type(declared, &self.type_name)?;
        check_share(self.share_max)
    }
}

/// Refuses when more than this share of the old records, from 0 to 1, is gone or different. The first version passes.
#[derive(Clone, Debug)]
pub struct FractionChanged {
    type_name: String,
    share_max: f64,
}

impl FractionChanged {
    /// For a Rust type: `0.10` is 10 %.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// use cenote_producer::FractionChanged;
    ///
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// let builder = Producer::builder("memory://validator").with::<Movie>();
    /// let builder = builder.validate(FractionChanged::of::<Movie>(0.20));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn of<T: Root>(share_max: f64) -> FractionChanged {
        FractionChanged::named(T::NAME, share_max)
    }

    /// For a type by name.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// use cenote_producer::FractionChanged;
    ///
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// let builder = Producer::builder("memory://validator").with::<Movie>();
    /// let builder = builder.validate(FractionChanged::named("Movie", 0.20));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn named(type_name: &str, share_max: f64) -> FractionChanged {
        FractionChanged { type_name: type_name.to_owned(), share_max }
    }
}

impl Validator for FractionChanged {
    fn name(&self) -> String {
        format!("FractionChanged of {}", self.type_name)
    }

    fn validate(&self, old: &View, new: &View) -> Result<(), BoxError> {
        let (Some(old), Some(new)) = (table(old, &self.type_name), table(new, &self.type_name)) else { return Ok(()) };
        let changed = changed_records(old, new);
        let share = changed as f64 / old.len().max(1) as f64;
        if share <= self.share_max {
            return Ok(());
        }
        let (found, max) = (share * 100.0, self.share_max * 100.0);
        let of = old.len();
        Err(format!("{changed} of {of} records are gone or different, {found:.1} %; {max:.1} % are allowed").into())
    }

    fn check(&self, declared: &Schema) -> Result<(), BoxError> {
        check_type(declared, &self.type_name)?;
        check_share(self.share_max)?;
        if self.share_max < 1.0 {
            return Ok(());
        }
        Err("no more than all records (1.0) can change; take a smaller share, or leave the validator out".into())
    }
}

/// Refuses a version with fewer records than this.
#[derive(Clone, Debug)]
pub struct MinimumCount {
    type_name: String,
    records: u64,
}

impl MinimumCount {
    /// For a Rust type.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// use cenote_producer::MinimumCount;
    ///
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// let builder = Producer::builder("memory://validator").with::<Movie>();
    /// let builder = builder.validate(MinimumCount::of::<Movie>(1_000));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn of<T: Root>(records: u64) -> MinimumCount {
        MinimumCount::named(T::NAME, records)
    }

    /// For a type by name.
    ///
    /// ```
    /// # use cenote_producer::{Producer, Record};
    /// use cenote_producer::MinimumCount;
    ///
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cenote_producer::BoxError> {
    /// let builder = Producer::builder("memory://validator").with::<Movie>();
    /// let builder = builder.validate(MinimumCount::named("Movie", 1_000));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn named(type_name: &str, records: u64) -> MinimumCount {
        MinimumCount { type_name: type_name.to_owned(), records }
    }
}

impl Validator for MinimumCount {
    fn name(&self) -> String {
        format!("MinimumCount of {}", self.type_name)
    }

    fn validate(&self, _: &View, new: &View) -> Result<(), BoxError> {
        let found = count(new, &self.type_name);
        if found >= self.records {
            return Ok(());
        }
        Err(format!("there are {found} records; {} is the minimum", self.records).into())
    }

    fn check(&self, declared: &Schema) -> Result<(), BoxError> {
        check_type(declared, &self.type_name)?;
        if self.records > 0 {
            return Ok(());
        }
        Err("every version has 0 records or more; take a higher minimum, or leave the validator out".into())
    }
}

/// That the producer declares the type: only then can a version of its differ in it.
fn check_type(declared: &Schema, type_name: &str) -> Result<(), BoxError> {
    if declared.find(type_name).is_some() {
        return Ok(());
    }
    let names: Vec<&str> = declared.types.iter().map(|of_type| of_type.name.as_str()).collect();
    Err(format!("the producer declares no type {type_name}; its types are {}", names.join(", ")).into())
}

/// That a share is one, and not per cent.
fn check_share(share: f64) -> Result<(), BoxError> {
    if share.is_nan() || share < 0.0 {
        return Err(format!("{share} is no share; write 0.10 for 10 %").into());
    }
    if share > 1.0 {
        return Err(format!(
            "{share} is more than all; a share goes from 0 to 1, so write {} for {share} %",
            share / 100.0
        )
        .into());
    }
    Ok(())
}

fn table<'v>(view: &'v View, type_name: &str) -> Option<&'v Table> {
    let id = view.schema().find(type_name)?;
    Some(view.state().table(id))
}

fn count(view: &View, type_name: &str) -> u64 {
    table(view, type_name).map_or(0, |table| table.len() as u64)
}

/// The live ordinals of a table that are in segments which `other` does not share.
fn suspects<'t>(table: &'t Table, other: &'t Table) -> impl Iterator<Item = u32> + 't {
    table.segments_apart(other).flat_map(|(first, segment)| table.live_of(first, segment))
}

/// How many records of the old table the new one lacks, or has with other values.
///
/// An ordinal that is live in both is one record: a freed one is not reused in the same version.
fn changed_records(old: &Table, new: &Table) -> usize {
    let (mut before, mut scratch) = (Row::default(), Vec::new());
    let mut is_changed = |ordinal: u32| {
        let ordinal = cenote_state::ids::Ordinal(ordinal);
        let (Some(old), Some(new)) = (old.row(ordinal), new.row(ordinal).filter(|_| new.is_live(ordinal))) else {
            return true;
        };
        old.write_to(&mut before);
        !new.is_row((&before).into(), &mut scratch)
    };
    suspects(old, new).filter(|ordinal| is_changed(*ordinal)).count()
}

/// Whether a record of the old table is gone from the new one.
fn any_removed(old: &Table, new: &Table) -> bool {
    suspects(old, new).any(|ordinal| !new.live().contains(ordinal))
}

fn old_table(old: &State, id: TypeId) -> Option<&Table> {
    old.tables().get(id.index()).map(|table| &**table)
}
