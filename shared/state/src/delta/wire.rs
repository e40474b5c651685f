//! A delta's bytes.
//!
//! ```text
//! chunk:     kind u8 | type u16 | length u32 of what follows
//! removed 1: ordinals
//! added 2:   ordinals | rows as in a segment
//! patched 3: columns u16 | column u16 each | ordinals | rows as in a segment of these columns
//! whole 4:   segment number u32 | rows as in a segment
//! ordinals:  count u32 | first u32 | width u8 | the distance to the one before, `width` bytes each
//! ```
//! Little-endian. Chunks stand one after another in sections of up to 4 MiB; a longer chunk has a section alone.

use std::sync::Arc;

use crate::ids::{ColumnId, TypeId};
use crate::layout::Layout;
use crate::packed::Symbols;
use crate::schema::Schema;
use crate::segment::{self, Segment, SegmentError};

use super::bound::{CHUNK_BYTES, FIELD_BYTES, Rows};
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
    #[error("rows of type {type_name}: {source}")]
    Segment {
        /// The type.
        type_name: String,
        /// What is wrong with them.
        source: SegmentError,
    },
}

const REMOVED: u8 = 1;
const ADDED: u8 = 2;
const PATCHED: u8 = 3;
const WHOLE: u8 = 4;
const CHUNK_HEADER_BYTES: usize = 7;

/// The delta as sections: runs of chunks of up to `section_bytes_max`, or one longer chunk.
#[must_use]
pub fn encode(delta: &Delta, layouts: &dyn Fn(TypeId) -> Arc<Layout>, section_bytes_max: usize) -> Vec<Vec<u8>> {
    let mut sections = Vec::new();
    let mut section = Vec::new();
    for chunk in &delta.chunks {
        let start = section.len();
        encode_chunk(chunk, &layouts(chunk.type_id), &mut section);
        if start > 0 && section.len() > section_bytes_max {
            let next = section.split_off(start);
            sections.push(std::mem::replace(&mut section, next));
        }
    }
    if !section.is_empty() {
        sections.push(section);
    }
    sections
}

fn encode_chunk(chunk: &Chunk, layout: &Layout, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; CHUNK_HEADER_BYTES]);
    let kind = match &chunk.change {
        Change::Removed(ordinals) => {
            encode_ordinals(ordinals, out);
            REMOVED
        }
        Change::Added { ordinals, rows } => {
            encode_ordinals(ordinals, out);
            segment::encode(layout, rows, out);
            ADDED
        }
        Change::Patched { fields, layout: of_fields, ordinals, rows } => {
            out.extend_from_slice(&(fields.len() as u16).to_le_bytes());
            fields.iter().for_each(|field| out.extend_from_slice(&layout.columns[*field].id.0.to_le_bytes()));
            encode_ordinals(ordinals, out);
            segment::encode(of_fields, rows, out);
            PATCHED
        }
        Change::Whole { number, rows } => {
            out.extend_from_slice(&number.to_le_bytes());
            segment::encode(layout, rows, out);
            WHOLE
        }
    };
    let length = u32::try_from(out.len() - start - CHUNK_HEADER_BYTES).expect("a chunk has at most 4 GiB");
    out[start] = kind;
    out[start + 1..start + 3].copy_from_slice(&chunk.type_id.0.to_le_bytes());
    out[start + 3..start + CHUNK_HEADER_BYTES].copy_from_slice(&length.to_le_bytes());
}

fn encode_ordinals(ordinals: &[u32], out: &mut Vec<u8>) {
    let steps = || ordinals.windows(2).map(|pair| pair[1] - pair[0]);
    let width = steps().max().map_or(0, |max| (u32::BITS - max.leading_zeros()).div_ceil(8) as u8);
    out.extend_from_slice(&(ordinals.len() as u32).to_le_bytes());
    out.extend_from_slice(&ordinals.first().copied().unwrap_or(0).to_le_bytes());
    out.push(width);
    steps().for_each(|step| out.extend_from_slice(&step.to_le_bytes()[..usize::from(width)]));
}

/// Reads a delta from its sections. `schema` and `layouts` are those after the delta's schema change, if it has one;
/// `ceilings` are the parent's, below which references may point before the delta adds anything; `symbols` are the
/// parent's and the delta's own. What the delta claims to change may take `bytes_max` at most, as far as can be told
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
    let ceilings = |id: TypeId| after[id.index()];
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
    let kind = reader.take(1, "a chunk's header")?[0];
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
        let rows = |rows, segments| Rows { layout, is_root, rows, segments, stored };
        let of_chunk = match self.kind {
            REMOVED => body.count()? * size_of::<u32>() as u64,
            ADDED => {
                let count = body.count()?;
                match rows(count, 1).added() {
                    // The list of ordinals alone may be too much.
                    needed if needed > bytes_max => needed,
                    _ => {
                        let ordinals = body.ordinals()?;
                        let segments = ordinals.chunk_by(|a, b| a / segment_rows == b / segment_rows);
                        rows(count, segments.count() as u64).added()
                    }
                }
            }
            PATCHED => {
                let fields = body.fields(layout)?;
                let of_fields = Layout::of_fields(schema, self.type_id, &fields).expect("the type's own was made");
                let patched = Rows { layout: &of_fields, ..rows(body.count()?, 0) }.patched();
                fields.len() as u64 * FIELD_BYTES + patched
            }
            _ => {
                body.u32("a segment's number")?;
                rows(u64::from(body.u32("a segment")?.min(segment_rows)), 1).added()
            }
        };
        Ok(CHUNK_BYTES + of_chunk)
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
        let ceiling = &mut after[chunk.type_id.index()];
        *ceiling = (*ceiling).max(end);
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
            let rows = read(&layout, body.bytes, ordinals.len() as u32)?;
            Change::Added { rows: as_many(rows, &ordinals)?, ordinals }
        }
        _ => {
            let fields = body.fields(&layout)?;
            let ordinals = body.ordinals()?;
            let of_fields = Layout::of_fields(schema, type_id, &fields).expect("the type's own layout was made");
            let rows = as_many(read(&of_fields, body.bytes, ordinals.len() as u32)?, &ordinals)?;
            Change::Patched { fields, layout: Box::new(of_fields), ordinals, rows }
        }
    };
    Ok(Chunk { type_id, change })
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

    fn u16(&mut self, what: &'static str) -> Result<u16, DeltaError> {
        Ok(u16::from_le_bytes(self.take(2, what)?.try_into().expect("two bytes are two bytes")))
    }

    fn u32(&mut self, what: &'static str) -> Result<u32, DeltaError> {
        Ok(u32::from_le_bytes(self.take(4, what)?.try_into().expect("four bytes are four bytes")))
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
        let width = usize::from(self.take(1, WHAT)?[0]);
        // A count needs its bytes: nothing is allocated on a number's word alone.
        if width > 4 || (width == 0 && count > 1) || count == 0 {
            return Err(DeltaError::Ordinals);
        }
        let steps = self.take((count - 1).checked_mul(width).ok_or(DeltaError::Ordinals)?, WHAT)?;
        Ok((count, first, width, steps))
    }

    fn ordinals(&mut self) -> Result<Vec<u32>, DeltaError> {
        let (count, first, width, steps) = self.steps()?;
        let mut ordinals = Vec::with_capacity(count);
        ordinals.push(first);
        let mut last = first;
        for step in steps.chunks_exact(width.max(1)) {
            let mut four = [0; 4];
            four[..width].copy_from_slice(step);
            let step = u32::from_le_bytes(four);
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
            // They ascend, so each is looked for behind the one before.
            let from = fields.last().map_or(0, |last| last + 1);
            let field = layout.columns[from..].iter().position(|column| column.id == id);
            fields.push(from + field.ok_or(DeltaError::Unknown { what: "column", number: id.0 })?);
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
