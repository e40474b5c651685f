//! Publishing a dataset as a chain of versions.

#![forbid(unsafe_code)]

mod base;
mod builder;
mod content;
mod cycle;
mod error;
mod framed;
pub mod json;
mod key;
mod load;
mod ordinals;
mod plan;
mod producer;
mod references;
mod republish;
mod snapshot;
mod typed;
mod update;
mod validators;
mod writer;

#[cfg(test)]
mod tests;

pub use builder::ProducerBuilder;
pub use cenote_shared::delta::DeltaSize;
pub use cenote_shared::log::retention::Keep;
pub use cenote_shared::schema::Allow;
pub use cycle::diff::DiffError;
pub use cycle::populate::DuplicateKeys;
pub use cycle::verify::VerifyError;
pub use error::{CycleError, OpenError, SnapshotError, Unknown};
pub use producer::{Cycled, Producer, Report, Settled, Updated};
pub use snapshot::{SnapshotReport, Snapshots};
pub use typed::RowError;
pub use update::Update;
pub use validators::{DanglingKeys, FractionChanged, MinimumCount, RecordCountVariance, ValidationError, Validator};
pub use writer::Writer;

/// What closures fail with: any error, ours and yours alike, becomes one with `?`.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
