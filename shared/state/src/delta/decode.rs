//! Bytes as a delta: the form of [`encode`](super::encode) taken apart, and everything checked that can be checked without
//! the parent's records.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use std::sync::Arc;

use crate::ids::{ColumnId, TypeId};
use crate::layout::Layout;
use crate::packed::Symbols;
use crate::schema::Schema;
use crate::segment::{self, Segment, SegmentError};

use super::bound::{CHUNK_BYTES, ClaimedRows, FIELD_BYTES};
use super::encode::{ADDED, PATCHED, REMOVED, WHOLE};
use super::{Change, Chunk, Delta};

/// Why bytes are not a delta of this schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeltaError {
    /// The bytes end in the middle of something.
    #[error("it ends within {what}")]
    Short {
        /// What was being read.
        what: &'static str,
    },
    /// A kind of chunk that this release doesn't know.
    #[error("a chunk of unknown kind {kind}; a newer release wrote it")]
    Kind {
        /// The number.
        kind: u8,
    },
    /// A type or column that the schema lacks, or a column out of order.
    #[error("it changes {what} {number}, which the schema does not have there")]
    Unknown {
        /// `type` or `column`.
        what: &'static str,
        /// Its number.
        number: u16,
    },
    /// Ordinals that do not ascend, or leave their range.
    #[error("its ordinals do not ascend")]
    Ordinals,
    /// Fewer or more rows than ordinals.
    #[error("{rows} rows for {ordinals} ordinals")]
    Rows {
        /// Rows.
        rows: u32,
        /// Ordinals.
        ordinals: usize,
    },
    /// It claims more records and changes than may be taken in.
    #[error("it needs {needed} bytes of memory, above the limit of {limit}")]
    TooLarge {
        /// At least so many.
        needed: u64,
        /// The limit.
        limit: u64,
    },
    /// Rows that are not sound.
    #[error("its rows of type {type_name} are damaged")]
    Segment {
        /// The type.
        type_name: String,
        /// What is wrong with them.
        source: SegmentError,
    },
}

/// Reads a delta from its sections. `schema` and `layouts` are those after the delta's schema change, if it has one;
/// `ceilings` are the parent's, below which references may point before the delta adds anything; `symbols` are the
/// parent's and the delta's own. What the delta claims to change may take `bytes_max` at most, as far as is known
/// before its rows are read.
pub fn decode<'b>(
    sections: impl Iterator<Item = &'b [u8]>,
    schema: &Schema,
    layouts: &dyn Fn(TypeId) -> Arc<Layout>,
    ceilings: segment::Ceilings<'_>,
    symbols: SymbolsOf<'_>,
    bytes_max: u64,
) -> Result<Delta, DeltaError> {
    let (mut raw, mut needed) = (Vec::new(), 0_u64);
    for section in sections {
        let mut reader = Reader { bytes: section };
        while !reader.bytes.is_empty() {
            let chunk = raw_chunk(&mut reader, schema)?;
            needed = needed.saturating_add(chunk.needed(schema, &layouts(chunk.type_id), bytes_max)?);
            if needed > bytes_max {
                return Err(DeltaError::TooLarge { needed, limit: bytes_max });
            }
            raw.push(chunk);
        }
    }
    let after = ceilings_after(&raw, schema, ceilings)?;
    let ceilings = |id: TypeId| after.get(id.index()).copied().unwrap_or(0);
    let chunks = raw.into_iter().map(|chunk| decode_chunk(chunk, schema, layouts, &ceilings, symbols));
    Ok(Delta { chunks: chunks.collect::<Result<_, _>>()?, symbols: Vec::new() })
}

/// The symbol tables of each type.
pub type SymbolsOf<'a> = &'a dyn Fn(TypeId) -> Option<Arc<Symbols>>;

struct RawChunk<'b> {
    kind: u8,
    type_id: TypeId,
    body: Reader<'b>,
}

fn raw_chunk<'b>(reader: &mut Reader<'b>, schema: &Schema) -> Result<RawChunk<'b>, DeltaError> {
    let kind = reader.u8("a chunk's header")?;
    let type_id = TypeId(reader.u16("a chunk's header")?);
    let length = reader.u32("a chunk's header")?;
    let body = Reader { bytes: reader.take(length as usize, "a chunk")? };
    if !(REMOVED..=WHOLE).contains(&kind) {
        return Err(DeltaError::Kind { kind });
    }
    if type_id.index() >= schema.types.len() {
        return Err(DeltaError::Unknown { what: "type", number: type_id.0 });
    }
    Ok(RawChunk { kind, type_id, body })
}

impl RawChunk<'_> {
    /// The memory that it takes to take it in: a little more than `bytes_max` if it is more.
    fn needed(&self, schema: &Schema, layout: &Layout, bytes_max: u64) -> Result<u64, DeltaError> {
        let (mut body, of_type) = (self.body, schema.get(self.type_id));
        let (is_root, segment_rows) = (of_type.is_root(), of_type.segment_rows());
        let stored = body.bytes.len() as u64;
        let rows = |rows, segments| ClaimedRows { layout, is_root, rows, segments, stored };
        let of_chunk = match self.kind {
            REMOVED => body.count()?.saturating_mul(size_of::<u32>() as u64),
            ADDED => {
                let count = body.count()?;
                match rows(count, 1).added() {
                    // The list of ordinals alone may be too much.
                    needed if needed > bytes_max => needed,
                    _ => {
                        let ordinals = body.ordinals()?;
                        let segment = |ordinal: &u32| ordinal.checked_div(segment_rows);
                        let segments = ordinals.chunk_by(|a, b| segment(a) == segment(b));
                        rows(count, segments.count() as u64).added()
                    }
                }
            }
            PATCHED => {
                let fields = body.fields(layout)?;
                let of_fields = Layout::of_fields(schema, self.type_id, &fields).expect("the type's own was made");
                let patched = ClaimedRows { layout: &of_fields, ..rows(body.count()?, 0) }.patched();
                (fields.len() as u64).saturating_mul(FIELD_BYTES).saturating_add(patched)
            }
            _ => {
                body.u32("a segment's number")?;
                rows(u64::from(body.u32("a segment")?.min(segment_rows)), 1).added()
            }
        };
        Ok(CHUNK_BYTES.saturating_add(of_chunk))
    }
}

/// References may point to what the delta adds: where each type ends after it.
fn ceilings_after(
    raw: &[RawChunk<'_>],
    schema: &Schema,
    before: segment::Ceilings<'_>,
) -> Result<Vec<u32>, DeltaError> {
    let mut after: Vec<u32> = schema.iter().map(|(id, _)| before(id)).collect();
    for chunk in raw {
        let mut body = chunk.body;
        let end = match chunk.kind {
            ADDED => body.ordinals()?.last().map_or(0, |last| last.saturating_add(1)),
            WHOLE => body
                .u32("a segment's number")?
                .saturating_add(1)
                .saturating_mul(schema.get(chunk.type_id).segment_rows()),
            _ => continue,
        };
        if let Some(ceiling) = after.get_mut(chunk.type_id.index()) {
            *ceiling = (*ceiling).max(end);
        }
    }
    Ok(after)
}

fn decode_chunk(
    chunk: RawChunk<'_>,
    schema: &Schema,
    layouts: &dyn Fn(TypeId) -> Arc<Layout>,
    ceilings: segment::Ceilings<'_>,
    symbols: SymbolsOf<'_>,
) -> Result<Chunk, DeltaError> {
    let RawChunk { kind, type_id, mut body } = chunk;
    let of_type = schema.get(type_id);
    let (layout, symbols) = (layouts(type_id), symbols(type_id));
    let read = |layout: &Layout, bytes: &[u8], rows_max: u32| -> Result<Segment, DeltaError> {
        segment::decode(layout, bytes, rows_max, ceilings, symbols.as_ref())
            .map_err(|source| DeltaError::Segment { type_name: of_type.name.clone(), source })
    };
    let change = match kind {
        REMOVED => {
            let ordinals = body.ordinals()?;
            body.end()?;
            Change::Removed(ordinals)
        }
        WHOLE => {
            let number = body.u32("a segment's number")?;
            Change::Whole { number, rows: read(&layout, body.bytes, of_type.segment_rows())? }
        }
        ADDED => {
            let ordinals = body.ordinals()?;
            let rows = read(&layout, body.bytes, count_of(&ordinals))?;
            Change::Added { rows: as_many(rows, &ordinals)?, ordinals }
        }
        _ => {
            let fields = body.fields(&layout)?;
            let ordinals = body.ordinals()?;
            let of_fields = Layout::of_fields(schema, type_id, &fields).expect("the type's own layout was made");
            let rows = as_many(read(&of_fields, body.bytes, count_of(&ordinals))?, &ordinals)?;
            Change::Patched { fields, layout: Box::new(of_fields), ordinals, rows }
        }
    };
    Ok(Chunk { type_id, change })
}

/// How many there are: 32 bits hold it, since a list has its count in 32 bits.
fn count_of(ordinals: &[u32]) -> u32 {
    u32::try_from(ordinals.len()).unwrap_or(u32::MAX)
}

fn as_many(rows: Segment, ordinals: &[u32]) -> Result<Segment, DeltaError> {
    if rows.rows() as usize == ordinals.len() {
        return Ok(rows);
    }
    Err(DeltaError::Rows { rows: rows.rows(), ordinals: ordinals.len() })
}

/// Walks bytes from outside.
#[derive(Clone, Copy)]
struct Reader<'b> {
    bytes: &'b [u8],
}

impl<'b> Reader<'b> {
    fn take(&mut self, len: usize, what: &'static str) -> Result<&'b [u8], DeltaError> {
        let (taken, rest) = self.bytes.split_at_checked(len).ok_or(DeltaError::Short { what })?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const LEN: usize>(&mut self, what: &'static str) -> Result<[u8; LEN], DeltaError> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or(DeltaError::Short { what })?;
        self.bytes = rest;
        Ok(*taken)
    }

    fn u8(&mut self, what: &'static str) -> Result<u8, DeltaError> {
        self.array(what).map(u8::from_le_bytes)
    }

    fn u16(&mut self, what: &'static str) -> Result<u16, DeltaError> {
        self.array(what).map(u16::from_le_bytes)
    }

    fn u32(&mut self, what: &'static str) -> Result<u32, DeltaError> {
        self.array(what).map(u32::from_le_bytes)
    }

    /// How many ordinals follow; their bytes are there.
    fn count(mut self) -> Result<u64, DeltaError> {
        Ok(self.steps()?.0 as u64)
    }

    /// A list of ordinals as it is stored: how many, the first, the width of a step, the steps.
    fn steps(&mut self) -> Result<(usize, u32, usize, &'b [u8]), DeltaError> {
        const WHAT: &str = "a list of ordinals";
        let count = self.u32(WHAT)? as usize;
        let first = self.u32(WHAT)?;
        let width = usize::from(self.u8(WHAT)?);
        // A count needs its bytes: nothing is allocated on a number's word alone.
        if width > 4 || (width == 0 && count > 1) {
            return Err(DeltaError::Ordinals);
        }
        let bytes = count.checked_sub(1).and_then(|steps| steps.checked_mul(width)).ok_or(DeltaError::Ordinals)?;
        let steps = self.take(bytes, WHAT)?;
        Ok((count, first, width, steps))
    }

    fn ordinals(&mut self) -> Result<Vec<u32>, DeltaError> {
        let (count, first, width, steps) = self.steps()?;
        let mut ordinals = Vec::with_capacity(count);
        ordinals.push(first);
        let mut last = first;
        for step in steps.chunks_exact(width.max(1)) {
            // Low byte first; `width` is 4 at most.
            let step = step.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte));
            last = last.checked_add(step).filter(|_| step > 0).ok_or(DeltaError::Ordinals)?;
            ordinals.push(last);
        }
        Ok(ordinals)
    }

    /// The field indexes of the columns of a patch; they ascend.
    fn fields(&mut self, layout: &Layout) -> Result<Vec<usize>, DeltaError> {
        let count = self.u16("a list of columns")?;
        let mut fields = Vec::new();
        for _ in 0..count {
            let id = ColumnId(self.u16("a list of columns")?);
            // They ascend, so each is looked for after the one before.
            let from = fields.last().map_or(0, |last: &usize| last.saturating_add(1));
            let mut columns = layout.columns.iter().enumerate().skip(from);
            let found = columns.find(|(_, column)| column.id == id);
            let (field, _) = found.ok_or(DeltaError::Unknown { what: "column", number: id.0 })?;
            fields.push(field);
        }
        Ok(fields)
    }

    fn end(&self) -> Result<(), DeltaError> {
        if self.bytes.is_empty() {
            Ok(())
        } else {
            Err(DeltaError::Short { what: "a chunk that goes on after its end" })
        }
    }
}
