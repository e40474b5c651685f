//! Order: the log, one object per position, and everything that keeps it dense, single-written and whole.
//!
//! The log is the only truth. What is not named by an entry does not exist, and what an entry names was there before
//! it. The files, from bytes to behaviour: the objects ([`head`], [`entry`], [`tombstone`], [`hint`], [`checkpoint`]),
//! where the log stands ([`outline`]), and [`order`], the seven rules that all else asks.

pub mod checkpoint;
pub mod entry;
pub mod error;
mod frame;
pub mod hash;
pub mod head;
pub mod hint;
pub mod names;
pub mod order;
pub mod outline;
#[cfg(any(test, feature = "testing"))]
mod repair;
mod sections;
pub mod tombstone;

#[cfg(test)]
mod tests;

pub use entry::{Body, Commit, DeltaPlace, Entry, LogObject, ObjectRef, Open, Snapshot, Trim, decode};
pub use error::{DecodeError, ReadError};
pub use hash::ContentHash;
pub use head::{Head, Kind};
pub use hint::Hint;
pub use order::{Rule, Rules};
pub use outline::Outline;
#[cfg(any(test, feature = "testing"))]
pub use repair::repair_checksums;
pub use tombstone::Tombstone;
