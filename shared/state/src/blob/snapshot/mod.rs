//! A state as a blob, and back.
//!
//! A section of a snapshot is a run of consecutive segments of one type, each as
//! `bytes u32 | rows u32 | live rows, a bit each | the segment`. The footer names the segments in the same order.

mod decode;
mod encode;

pub use decode::{DecodedRun, SnapshotReader};
pub use encode::encode_snapshot;
