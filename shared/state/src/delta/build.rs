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
            changes.close();
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
                chunks.push(changes.patched_chunk(fields, patches));
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
            self.close();
        }
        let open = self.open.get_or_insert_with(|| {
            let builder = SegmentBuilder::new(self.layout, self.symbols.as_ref());
            OpenChunk { ordinals: Vec::new(), builder }
        });
        open.ordinals.push(ordinal);
        open.builder.push(row);
    }

    /// Whether a new chunk starts between these ordinals: each new segment is a chunk.
    fn parts(&self, last: u32, next: u32) -> bool {
        let rows = self.open.as_ref().map_or(0, |open| open.builder.rows());
        let new_segment = next >= self.end && last / self.segment_rows != next / self.segment_rows;
        new_segment || (last < self.end && rows >= ADDED_ROWS_MAX)
    }

    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        let rows = open.builder.finish(0);
        let first = open.ordinals[0];
        let dense = open.ordinals.iter().zip(first..).all(|(ordinal, expected)| *ordinal == expected);
        let fits = open.ordinals.len() <= self.segment_rows as usize;
        let change = if first >= self.end && first % self.segment_rows == 0 && dense && fits {
            Change::Whole { number: first / self.segment_rows, rows }
        } else {
            Change::Added { ordinals: open.ordinals, rows }
        };
        self.added.push(Chunk { type_id: self.id, change });
    }

    fn patched_chunk(&self, fields: Vec<usize>, mut patches: Patches) -> Chunk {
        patches.rows.sort_unstable();
        let layout = Layout::of_fields(self.schema, self.id, &fields).expect("the type's own layout was made");
        let mut builder = SegmentBuilder::new(&layout, self.symbols.as_ref());
        let mut row = Row::default();
        for (_, cells) in &patches.rows {
            row.clear(fields.len());
            for index in 0..fields.len() {
                if let Some((start, end)) = patches.cells[cells + index] {
                    row.set(index, |out| out.extend_from_slice(&patches.data[start..end]));
                }
            }
            builder.push(&row);
        }
        let rows = builder.finish(0);
        let ordinals = patches.rows.into_iter().map(|(ordinal, _)| ordinal).collect();
        Chunk { type_id: self.id, change: Change::Patched { fields, layout: Box::new(layout), ordinals, rows } }
    }
}
