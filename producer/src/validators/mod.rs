//! Validators: what a version must satisfy before it is written.
//!
//! Each sees the old view and the new one, and its refusal ends the cycle with nothing visible. Those here work by type
//! name, so that they serve programs without Rust types too; their cost follows the change where it can.
//!
//! That no two records have one key needs no validator: a cycle refuses it by itself
//! ([`DuplicateKeys`](crate::DuplicateKeys)).

mod dangling;

use cenote_state::ids::TypeId;
use cenote_state::record::Root;
use cenote_state::row::Row;
use cenote_state::state::State;
use cenote_state::table::Table;
use cenote_state::view::View;

pub use dangling::DanglingKeys;

use crate::BoxError;

/// Says whether a version may be written.
pub trait Validator: Send + Sync + 'static {
    /// What it checks, for the error.
    fn name(&self) -> String;

    /// Refuses with an error. `old` is the newest committed version; before the first one it is empty.
    ///
    /// # Errors
    /// Why the version must not be written.
    fn validate(&self, old: &View, new: &View) -> Result<(), BoxError>;
}

/// A validator refused a version. Nothing was written; fix the source of the records, or the validator.
#[derive(Debug, thiserror::Error)]
#[error("the validator {validator} refused the version")]
#[non_exhaustive]
pub struct ValidationError {
    /// Its name.
    pub validator: String,
    /// Its reason.
    pub source: BoxError,
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

/// Refuses when the number of records changes by more than this share of the old number. The first version passes.
#[derive(Clone, Debug)]
pub struct RecordCountVariance {
    type_name: String,
    share_max: f64,
}

impl RecordCountVariance {
    /// For a Rust type: `0.10` is 10 %.
    #[must_use]
    pub fn of<T: Root>(share_max: f64) -> RecordCountVariance {
        RecordCountVariance::named(T::NAME, share_max)
    }

    /// For a type by name.
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
}

/// Refuses when more than this share of the old records is gone or different. The first version passes.
#[derive(Clone, Debug)]
pub struct FractionChanged {
    type_name: String,
    share_max: f64,
}

impl FractionChanged {
    /// For a Rust type: `0.10` is 10 %.
    #[must_use]
    pub fn of<T: Root>(share_max: f64) -> FractionChanged {
        FractionChanged::named(T::NAME, share_max)
    }

    /// For a type by name.
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
}

/// Refuses a version with fewer records than this.
#[derive(Clone, Debug)]
pub struct MinimumCount {
    type_name: String,
    records: u64,
}

impl MinimumCount {
    /// For a Rust type.
    #[must_use]
    pub fn of<T: Root>(records: u64) -> MinimumCount {
        MinimumCount::named(T::NAME, records)
    }

    /// For a type by name.
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
}

fn table<'v>(view: &'v View, type_name: &str) -> Option<&'v Table> {
    let id = view.schema().find(type_name)?;
    Some(view.state().table(id))
}

fn count(view: &View, type_name: &str) -> u64 {
    table(view, type_name).map_or(0, |table| table.len() as u64)
}

/// Numbers of the segments that the two tables do not share.
fn changed_segments<'t>(old: &'t Table, new: &'t Table) -> impl Iterator<Item = usize> + 't {
    (0..old.segment_count().max(new.segment_count())).filter(|number| {
        match (old.segment(*number), new.segment(*number)) {
            (Some(old), Some(new)) => !std::sync::Arc::ptr_eq(old, new),
            (None, None) => false,
            _ => true,
        }
    })
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
    changed_segments(old, new).flat_map(|number| old.live_in(number)).filter(|ordinal| is_changed(*ordinal)).count()
}

/// Whether a record of the old table is gone from the new one.
fn any_removed(old: &Table, new: &Table) -> bool {
    changed_segments(old, new).flat_map(|number| old.live_in(number)).any(|ordinal| !new.live().contains(ordinal))
}

fn old_table(old: &State, id: TypeId) -> Option<&Table> {
    old.tables().get(id.index()).map(|table| &**table)
}
