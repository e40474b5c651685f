//! Bytes as a delta: the form of [`encode`](super::encode) taken apart, and everything checked that can be checked without
//! the parent's records.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use std::sync::Arc;

use crate::ids::{ColumnId, TypeId};
use crate::layout::Layout;
use crate::packed::Symbols;
use crate::schema::Schema;
use crate::segment::{self, PartMap, Segment, SegmentError};
use crate::state::State;

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

/// Reads a delta from its sections, as far as `parent` holds what it changes. `parent` is under the delta's schema, if it
/// brings one; references may point below its ends, or to what the delta adds; `symbols` are the parent's and the delta's
/// own. What the delta claims to change may take `bytes_max` at most, as far as is known before its rows are read.
pub fn decode<'b>(
    sections: impl Iterator<Item = &'b [u8]>,
    parent: &State,
    symbols: SymbolsOf<'_>,
    bytes_max: u64,
) -> Result<Delta, DeltaError> {
    let (mut raw, mut needed) = (Vec::new(), 0_u64);
    for section in sections {
        let mut reader = Reader { bytes: section };
        while !reader.bytes.is_empty() {
            let chunk = raw_chunk(&mut reader, parent.schema())?;
            if parent.lacks_type(chunk.type_id) {
                continue;
            }
            needed = needed.saturating_add(chunk.needed(parent, bytes_max)?);
            if needed > bytes_max {
                return Err(DeltaError::TooLarge { needed, limit: bytes_max });
            }
            raw.push(chunk);
        }
    }
    let after = ceilings_after(&raw, parent)?;
    let ceilings = |id: TypeId| after.get(id.index()).copied().unwrap_or(0);
    let chunks = raw.into_iter().filter_map(|chunk| decode_chunk(chunk, parent, &ceilings, symbols).transpose());
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
    fn needed(&self, parent: &State, bytes_max: u64) -> Result<u64, DeltaError> {
        let (mut body, of_type) = (self.body, parent.schema().get(self.type_id));
        let (is_root, segment_rows) = (of_type.is_root(), of_type.segment_rows());
        let (layout, stored_layout) = (parent.table(self.type_id).layout(), parent.stored_layout(self.type_id));
        // How much of a chunk is held is known when its rows are read.
        let stored = if layout == stored_layout { body.bytes.len() as u64 } else { 0 };
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
                let fields = held_fields(&body.fields(stored_layout)?, stored_layout, layout);
                let of_fields = layout_of(parent.schema(), self.type_id, &fields);
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
fn ceilings_after(raw: &[RawChunk<'_>], parent: &State) -> Result<Vec<u32>, DeltaError> {
    let mut after: Vec<u32> = parent.tables().iter().map(|table| table.ordinal_ceiling()).collect();
    for chunk in raw {
        let mut body = chunk.body;
        let end = match chunk.kind {
            ADDED => body.ordinals()?.last().map_or(0, |last| last.saturating_add(1)),
            WHOLE => body
                .u32("a segment's number")?
                .saturating_add(1)
                .saturating_mul(parent.schema().get(chunk.type_id).segment_rows()),
            _ => continue,
        };
        if let Some(ceiling) = after.get_mut(chunk.type_id.index()) {
            *ceiling = (*ceiling).max(end);
        }
    }
    Ok(after)
}

/// None if nothing of it is held.
fn decode_chunk(
    chunk: RawChunk<'_>,
    parent: &State,
    ceilings: segment::Ceilings<'_>,
    symbols: SymbolsOf<'_>,
) -> Result<Option<Chunk>, DeltaError> {
    let RawChunk { kind, type_id, mut body } = chunk;
    let of_type = parent.schema().get(type_id);
    let (held, stored) = (parent.table(type_id).layout(), parent.stored_layout(type_id));
    let symbols = symbols(type_id);
    let read = |held: &Layout, stored: &Layout, bytes: &[u8], rows_max: u32| -> Result<Segment, DeltaError> {
        let wrong = |source| DeltaError::Segment { type_name: of_type.name.clone(), source };
        let map = PartMap::new(held, &[stored]).ok_or(wrong(SegmentError::Parts))?;
        segment::decode_parts(held, &map, &[(stored, bytes)], rows_max, ceilings, symbols.as_ref()).map_err(wrong)
    };
    let change = match kind {
        REMOVED => {
            let ordinals = body.ordinals()?;
            body.end()?;
            Change::Removed(ordinals)
        }
        WHOLE => {
            let number = body.u32("a segment's number")?;
            Change::Whole { number, rows: read(held, stored, body.bytes, of_type.segment_rows())? }
        }
        ADDED => {
            let ordinals = body.ordinals()?;
            let rows = read(held, stored, body.bytes, count_of(&ordinals))?;
            Change::Added { rows: as_many(rows, &ordinals)?, ordinals }
        }
        _ => {
            let of_chunk = body.fields(stored)?;
            let ordinals = body.ordinals()?;
            let fields = held_fields(&of_chunk, stored, held);
            if fields.is_empty() && !of_chunk.is_empty() {
                return Ok(None);
            }
            let layout = layout_of(parent.schema(), type_id, &fields);
            let of_chunk = layout_of(parent.dataset_schema(), type_id, &of_chunk);
            let rows = as_many(read(&layout, &of_chunk, body.bytes, count_of(&ordinals))?, &ordinals)?;
            Change::Patched { fields, layout: Box::new(layout), ordinals, rows }
        }
    };
    Ok(Some(Chunk { type_id, change }))
}

/// The field indexes that fields of the dataset's type have in what is held, without those that are not held.
fn held_fields(fields: &[usize], stored: &Layout, held: &Layout) -> Vec<usize> {
    let id_of = |field: &usize| stored.columns.get(*field).map(|column| column.id);
    let place = |id: ColumnId| held.columns.iter().position(|column| column.id == id);
    fields.iter().filter_map(id_of).filter_map(place).collect()
}

/// The layout of some fields of a type.
fn layout_of(schema: &Schema, type_id: TypeId, fields: &[usize]) -> Layout {
    Layout::of_fields(schema, type_id, fields).expect("the type's own layout was made")
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
