//! Collecting changes into a delta, in the order in which the wire wants them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ids::{Ordinal, TypeId};
use crate::layout::Layout;
use crate::packed::Symbols;
use crate::row::{Row, RowRef};
use crate::schema::Schema;
use crate::segment::SegmentBuilder;
use crate::state::State;

use super::{Change, Chunk, Delta};

/// Rows of an added chunk at most, where they do not make a whole segment.
const ADDED_ROWS_MAX: u32 = 4_096;
/// Bytes of given rows after which a chunk ends: with the last row's 16 MiB it stays far below what 32 bits count.
const CHUNK_BYTES: usize = 16 << 20;

/// Changes to a state, by type.
pub struct Changes<'s> {
    types: Vec<TypeChanges<'s>>,
}

struct TypeChanges<'s> {
    schema: &'s Schema,
    id: TypeId,
    layout: &'s Layout,
    symbols: Option<Arc<Symbols>>,
    /// Whether `symbols` has more than the old state.
    brings_symbols: bool,
    segment_rows: u32,
    /// The first ordinal that no segment of the old state covers.
    end: u32,
    removed: Vec<u32>,
    /// Finished chunks of added rows.
    added: Vec<Chunk>,
    open: Option<OpenChunk<'s>>,
    /// By the fields that change.
    patched: BTreeMap<Vec<usize>, Patches>,
}

/// Added rows that may still get company.
struct OpenChunk<'s> {
    ordinals: Vec<u32>,
    builder: SegmentBuilder<'s>,
    /// Of its rows, as they were given.
    bytes: usize,
}

/// Patches of the same fields.
#[derive(Default)]
struct Patches {
    /// The ordinal and where its cells start in `cells`.
    rows: Vec<(u32, usize)>,
    /// The place of a cell's bytes; none if it is absent.
    cells: Vec<Option<(usize, usize)>>,
    data: Vec<u8>,
}

impl<'s> Changes<'s> {
    /// No changes yet to this state.
    #[must_use]
    pub fn new(state: &'s State) -> Changes<'s> {
        let types = state.tables().iter().map(|table| TypeChanges {
            schema: state.schema(),
            id: table.layout().type_id,
            layout: table.layout(),
            symbols: table.symbols().cloned(),
            brings_symbols: false,
            segment_rows: table.segment_rows(),
            end: table.ordinal_ceiling(),
            removed: Vec::new(),
            added: Vec::new(),
            open: None,
            patched: BTreeMap::new(),
        });
        Changes { types: types.collect() }
    }

    /// New text of a type is packed by these: the old state's tables, then new ones. Comes before the type's records.
    pub fn bring_symbols(&mut self, id: TypeId, symbols: Arc<Symbols>) {
        let changes = &mut self.types[id.index()];
        changes.symbols = Some(symbols);
        changes.brings_symbols = true;
    }

    /// A record is removed.
    pub fn remove(&mut self, id: TypeId, ordinal: Ordinal) {
        self.types[id.index()].removed.push(ordinal.0);
    }

    /// A record comes. Ordinals of a type ascend from call to call.
    pub fn add<'r>(&mut self, id: TypeId, ordinal: Ordinal, row: impl Into<RowRef<'r>>) {
        self.types[id.index()].add(ordinal.0, row.into());
    }

    /// A record gets new values in these fields (ascending): the row's cells there.
    pub fn patch<'r>(&mut self, id: TypeId, ordinal: Ordinal, fields: &[usize], row: impl Into<RowRef<'r>>) {
        let row = row.into();
        let patches = self.types[id.index()].patched.entry(fields.to_vec()).or_default();
        patches.rows.push((ordinal.0, patches.cells.len()));
        for field in fields {
            let cell = row.cell(*field).map(|bytes| {
                let start = patches.data.len();
                patches.data.extend_from_slice(bytes);
                (start, patches.data.len())
            });
            patches.cells.push(cell);
        }
    }

    /// The delta.
    #[must_use]
    pub fn finish(self) -> Delta {
        let (mut chunks, mut symbols) = (Vec::new(), Vec::new());
        for mut changes in self.types {
            changes.close(None);
            if changes.brings_symbols {
                symbols.extend(changes.symbols.clone().map(|symbols| (changes.id, symbols)));
            }
            if !changes.removed.is_empty() {
                changes.removed.sort_unstable();
                chunks
                    .push(Chunk { type_id: changes.id, change: Change::Removed(std::mem::take(&mut changes.removed)) });
            }
            chunks.append(&mut changes.added);
            for (fields, patches) in std::mem::take(&mut changes.patched) {
                changes.patched_chunks(&fields, patches, &mut chunks);
            }
        }
        Delta { chunks, symbols }
    }
}

impl<'s> TypeChanges<'s> {
    fn add(&mut self, ordinal: u32, row: RowRef<'_>) {
        let last = self.open.as_ref().and_then(|open| open.ordinals.last().copied());
        debug_assert!(last.is_none_or(|last| last < ordinal), "added ordinals ascend");
        if last.is_some_and(|last| self.parts(last, ordinal)) {
            self.close(Some(ordinal));
        }
        let open = self.open.get_or_insert_with(|| {
            let builder = SegmentBuilder::new(self.layout, self.symbols.as_ref());
            OpenChunk { ordinals: Vec::new(), builder, bytes: 0 }
        });
        open.ordinals.push(ordinal);
        open.builder.push(row);
        open.bytes += row.byte_len();
    }

    /// Whether a new chunk starts between these ordinals: each new segment is a chunk, or several.
    fn parts(&self, last: u32, next: u32) -> bool {
        let (rows, bytes) = self.open.as_ref().map_or((0, 0), |open| (open.builder.rows(), open.bytes));
        let new_segment = next >= self.end && self.segment_of(last) != self.segment_of(next);
        new_segment || bytes >= CHUNK_BYTES || (last < self.end && rows >= ADDED_ROWS_MAX)
    }

    fn segment_of(&self, ordinal: u32) -> u32 {
        ordinal / self.segment_rows
    }

    /// Ends the open chunk; `next` is the ordinal after it, if there is one.
    fn close(&mut self, next: Option<u32>) {
        let Some(open) = self.open.take() else { return };
        let rows = open.builder.finish(0);
        let first = open.ordinals[0];
        let dense = open.ordinals.iter().zip(first..).all(|(ordinal, expected)| *ordinal == expected);
        let fits = open.ordinals.len() <= self.segment_rows as usize;
        let goes_on = next.is_some_and(|next| self.segment_of(next) == self.segment_of(first));
        let change = if first >= self.end && first % self.segment_rows == 0 && dense && fits && !goes_on {
            Change::Whole { number: self.segment_of(first), rows }
        } else {
            Change::Added { ordinals: open.ordinals, rows }
        };
        self.added.push(Chunk { type_id: self.id, change });
    }

    fn patched_chunks(&self, fields: &[usize], mut patches: Patches, chunks: &mut Vec<Chunk>) {
        patches.rows.sort_unstable();
        let layout = Layout::of_fields(self.schema, self.id, fields).expect("the type's own layout was made");
        let mut row = Row::default();
        let mut rest = patches.rows.as_slice();
        while !rest.is_empty() {
            let mut builder = SegmentBuilder::new(&layout, self.symbols.as_ref());
            let (mut ordinals, mut bytes) = (Vec::new(), 0);
            while let Some(((ordinal, cells), after)) = rest.split_first().filter(|_| bytes < CHUNK_BYTES) {
                row.clear(fields.len());
                for index in 0..fields.len() {
                    if let Some((start, end)) = patches.cells[cells + index] {
                        row.set(index, |out| out.extend_from_slice(&patches.data[start..end]));
                    }
                }
                builder.push(&row);
                bytes += row.bytes();
                ordinals.push(*ordinal);
                rest = after;
            }
            let (fields, layout, rows) = (fields.to_vec(), Box::new(layout.clone()), builder.finish(0));
            chunks.push(Chunk { type_id: self.id, change: Change::Patched { fields, layout, ordinals, rows } });
        }
    }
}
