//! A state as a blob, and back.
//!
//! A type's segments are cut into *runs*, consecutive segments that are decoded together, and its columns into *parts*,
//! neighbours that are stored together. A section is one part of one run, so that a reader fetches the columns that it
//! holds. Part 0 is which rows are live, of each segment `rows u32 | live rows, a bit each`; the parts of columns are, of
//! each segment, `bytes u32 | the segment of these columns`. The footer names the segments in the same order.

mod decode;
mod encode;

pub use decode::{DecodedRun, SnapshotReader};
pub use encode::encode_snapshot;
