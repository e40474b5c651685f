//! The footer: what a blob holds and where; and why one can't be read.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use crate::codec::{self, CodecError};
use crate::delta::DeltaError;
use crate::hash::{Hash, HashError};
use crate::ids::{ColumnId, DatasetId, TypeId};
use crate::packed::{SymbolTable, TableError};
use crate::schema::{KeyError, Schema};
use crate::segment::SegmentError;

use super::compress;
use super::{FOOTER_BYTES_MAX, HEADER_BYTES, SECTION_BYTES_MAX, TAIL_BYTES};

/// What a blob is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobKind {
    /// What turns one state into the next.
    Delta = 0,
    /// A whole state.
    Snapshot = 1,
}

/// What a blob holds and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footer {
    /// The dataset that it belongs to.
    pub dataset: DatasetId,
    /// What it is.
    pub kind: BlobKind,
    /// A snapshot's schema.
    pub schema: Option<Schema>,
    /// In the object's order.
    pub sections: Vec<SectionInfo>,
    /// A snapshot's types.
    pub types: Vec<TypeInfo>,
    /// A snapshot's symbol tables; those that a delta brings. By type and number.
    pub symbols: Vec<SymbolsInfo>,
}

/// One symbol table of packed text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SymbolsInfo {
    /// The type whose tables it is among.
    pub type_id: TypeId,
    /// Its number there.
    pub number: u16,
    /// The column that it was made for.
    pub column: ColumnId,
    /// By code: the bytes of its symbol.
    pub lengths: Vec<u8>,
    /// The symbols, one after another.
    pub bytes: Vec<u8>,
}

/// What a snapshot's section has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SectionPlace {
    /// The type.
    pub type_id: TypeId,
    /// The run of the type's segments.
    pub run: u32,
    /// 0 for which rows are live; then the parts of columns, from 1 on.
    pub part: u16,
}

/// One section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectionInfo {
    /// What a snapshot's section has; zeros in a delta, whose chunks say what they are.
    pub place: SectionPlace,
    /// Whether it continues the section before it.
    pub continues: bool,
    /// How it is compressed: 0 not at all, 1 Zstandard, 2 LZ4.
    pub codec: u8,
    /// From the blob's start.
    pub offset: u64,
    /// Bytes as stored.
    pub stored: u32,
    /// Bytes when decompressed.
    pub plain: u32,
    /// Of the bytes as stored.
    pub hash: Hash,
}

/// A snapshot's records of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeInfo {
    /// The type.
    pub type_id: TypeId,
    /// How many segments it has room for: its ordinals are below this times the rows of a segment.
    pub room: u32,
    /// The segments that have rows, in the object's order.
    pub segments: Vec<SegmentInfo>,
    /// How many of the segments are in each run.
    pub runs: Vec<u32>,
    /// How many of the columns are in each part.
    pub parts: Vec<u16>,
    /// The sum of each column, presence included.
    pub sums: Vec<(ColumnId, u128)>,
}

/// One segment of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its number in its type.
    pub number: u32,
    /// Its digest.
    pub digest: u128,
}

/// Why a blob can't be used. Messages do not have the object's name: the caller that reads the object adds it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// Not a blob at all, or cut off.
    #[error("it is not a Cenote blob, or it was cut off: the bytes at its {place} are not a blob's")]
    Magic {
        /// `start` or `end`.
        place: &'static str,
    },
    /// A format that was given up before the first release.
    #[error("it has format {found}; this version reads format {known}: make the dataset again")]
    OldFormat {
        /// The blob's.
        found: u16,
        /// The one that is known here.
        known: u16,
    },
    /// A format of a newer release.
    #[error("it has format {found}, this release reads up to {known}; upgrade this program")]
    Format {
        /// The blob's.
        found: u16,
        /// The newest that is known here.
        known: u16,
    },
    /// Another dataset's.
    #[error("it belongs to dataset {found}, not to {expected}")]
    Dataset {
        /// The one that is being read.
        expected: DatasetId,
        /// The one in the blob.
        found: DatasetId,
    },
    /// A delta where a snapshot should be, or the other way round.
    #[error("it is a {found:?}, not a {expected:?}")]
    Kind {
        /// What should be there.
        expected: BlobKind,
        /// What is.
        found: BlobKind,
    },
    /// Bytes that are not those that were written.
    #[error("its {what} is damaged")]
    Hash {
        /// `footer`, or which section.
        what: String,
        /// What its hash says.
        source: HashError,
    },
    /// A footer that contradicts itself, or leaves the object.
    #[error("its footer is not sound: {what}")]
    Footer {
        /// What is wrong.
        what: String,
    },
    /// A section of a codec of a newer release.
    #[error("section {section} is compressed by codec {codec}, which this release does not know")]
    Compressed {
        /// Which.
        section: usize,
        /// Its codec's number.
        codec: u8,
    },
    /// A section that does not decompress to the footer's length.
    #[error("section {section} does not decompress to {plain} bytes")]
    Compression {
        /// Which.
        section: usize,
        /// What it should be.
        plain: u32,
    },
    /// More than this process may hold.
    #[error(
        "it needs {needed} bytes of memory, above the limit of {limit}; raise max_state_bytes if the machine has them"
    )]
    TooLarge {
        /// What it needs.
        needed: u64,
        /// The limit.
        limit: u64,
    },
    /// A footer that is not one.
    #[error("its footer can't be read")]
    Codec(#[from] CodecError),
    /// Chunks that are not a delta.
    #[error(transparent)]
    Delta(#[from] DeltaError),
    /// Rows that are not sound.
    #[error("segment {number} of type {type_name} is damaged")]
    Segment {
        /// The type.
        type_name: String,
        /// The segment.
        number: u32,
        /// What is wrong.
        source: SegmentError,
    },
    /// A schema whose keys are not sound.
    #[error("a key of its schema is not sound")]
    Schema(#[from] KeyError),
    /// Symbols that are no table.
    #[error(transparent)]
    Symbols(#[from] TableError),
    /// Digests that do not add up.
    #[error("its records are not those that were committed: the digest is {found:032x}, not {expected:032x}")]
    Digest {
        /// The commit's.
        expected: u128,
        /// What the blob's segments sum to.
        found: u128,
    },
}

impl BlobError {
    /// What to do, where the message itself does not say so.
    #[doc(hidden)]
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            BlobError::OldFormat { .. } | BlobError::Format { .. } | BlobError::TooLarge { .. } => "",
            error if error.needs_upgrade() => "; upgrade this program",
            _ => "; restore it from a copy, or make another snapshot",
        }
    }

    /// Whether only a newer release can read it.
    #[doc(hidden)]
    #[must_use]
    pub fn needs_upgrade(&self) -> bool {
        matches!(
            self,
            BlobError::Format { .. }
                | BlobError::Compressed { .. }
                | BlobError::Hash { source: HashError::Unknown(_), .. }
                | BlobError::Delta(DeltaError::Kind { .. })
        )
    }
}

impl Footer {
    /// As bytes.
    pub(super) fn encode(&self) -> Result<Vec<u8>, CodecError> {
        codec::encode(self, FOOTER_BYTES_MAX)
    }

    /// The footer in these bytes, unchecked.
    pub(super) fn parse(bytes: &[u8]) -> Result<Footer, CodecError> {
        codec::decode(bytes, FOOTER_BYTES_MAX)
    }

    /// From bytes whose hash was compared; checked against the object's size.
    pub(super) fn decode(bytes: &[u8], object_bytes: u64) -> Result<Footer, BlobError> {
        let footer = Footer::parse(bytes)?;
        let mut end = HEADER_BYTES as u64;
        for (index, section) in footer.sections.iter().enumerate() {
            if section.offset != end {
                return Err(unsound(format!("section {index} does not start where the one before it ends")));
            }
            if section.plain as usize > SECTION_BYTES_MAX || section.stored > section.plain {
                let most = SECTION_BYTES_MAX;
                return Err(unsound(format!("section {index} is larger than {most} bytes, or than its content")));
            }
            if !compress::is_known(section.codec) {
                return Err(BlobError::Compressed { section: index, codec: section.codec });
            }
            if section.continues
                && footer.sections.get(index.wrapping_sub(1)).is_none_or(|last| last.place != section.place)
            {
                return Err(unsound(format!("section {index} continues nothing")));
            }
            end = section.end();
        }
        if end.saturating_add(bytes.len() as u64).saturating_add(TAIL_BYTES as u64) != object_bytes {
            return Err(unsound(format!("its sections end at byte {end}, which is not where the footer starts")));
        }
        Ok(footer)
    }

    /// Bytes of all sections when decompressed, and of symbol tables.
    #[must_use]
    pub(crate) fn plain_bytes(&self) -> u64 {
        self.bytes_of(self.sections.iter())
    }

    /// Bytes of these sections when decompressed, and of symbol tables.
    pub(super) fn bytes_of<'s>(&self, sections: impl Iterator<Item = &'s SectionInfo>) -> u64 {
        let sections: u64 = sections.map(|section| u64::from(section.plain)).sum();
        let table_bytes = size_of::<SymbolTable>() as u64;
        sections.saturating_add((self.symbols.len() as u64).saturating_mul(table_bytes))
    }
}

impl SectionInfo {
    /// The byte after its last, from the blob's start.
    pub(super) fn end(&self) -> u64 {
        self.offset.saturating_add(u64::from(self.stored))
    }
}

pub(super) fn unsound(what: impl Into<String>) -> BlobError {
    BlobError::Footer { what: what.into() }
}
