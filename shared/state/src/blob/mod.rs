//! Blobs: the durable form of deltas and snapshots.
//!
//! ```text
//! header   32 bytes   magic 8 | format u16 | kind u8 | zero 5 | dataset id 16
//! sections            up to 4 MiB plain each, compressed where it gains, one after another
//! footer              a control record: what the sections are, where, and their hashes; of a snapshot also the schema,
//!                     every segment's digest and every column's sum, and symbol tables
//! tail     48 bytes   footer bytes u32 | format u16 | zero u8 | footer's hash 33 | magic 8
//! ```
//! A reader takes the end first and then what it needs, by range. Nothing is used before its hash was compared, and
//! nothing is allocated on a number's word alone (I9). A snapshot's segment digests sum to its commit's digest: proof
//! against the log without hashing each record again (I5).
//!
//! A run of bytes that is longer than a section continues in the next one, which is marked.

mod compress;
mod footer;
mod read;
#[cfg(feature = "testing")]
mod repair;
mod snapshot;
mod symbols;
#[cfg(test)]
mod tests;
mod write;

use bytes::Bytes;

use crate::hash::Hash;

pub use footer::{BlobError, BlobKind, Footer, SectionInfo, SectionPlace, SegmentInfo, SymbolsInfo, TypeInfo};
pub use read::{check_header, decode_delta, footer_hash, footer_of, read_footer};
#[cfg(feature = "testing")]
pub use repair::{blob_of_chunks, repair_checksums, uncompressed};
pub use snapshot::{DecodedRun, SnapshotReader, encode_snapshot};
pub use write::encode_delta;

/// The first and last bytes of a blob.
pub const MAGIC: [u8; 8] = *b"CENOTEBL";
/// The format of blobs that this release writes and reads.
pub const FORMAT: u16 = 2;
/// Bytes of the header.
pub const HEADER_BYTES: usize = 32;
/// Bytes of the tail.
pub const TAIL_BYTES: usize = 48;
/// A section has at most this many bytes before compression.
pub(crate) const SECTION_BYTES_MAX: usize = 4 << 20;
/// A footer has at most this many bytes.
pub(crate) const FOOTER_BYTES_MAX: usize = 256 << 20;

/// A blob, ready to be put.
#[derive(Clone, Debug)]
pub struct Blob {
    /// One after another they are the object.
    pub parts: Vec<Bytes>,
    /// The footer's hash: the footer has the hash of each section, so this one proves all that is read of the object.
    pub footer_hash: Hash,
}

impl Blob {
    /// The object's length.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.parts.iter().map(|part| part.len() as u64).sum()
    }

    /// The object in one piece.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        self.parts.concat().into()
    }
}
