//! Making a segment: rows in, widths and bases found, parts frozen.
//!
//! The bytes are a function of the rows and the symbol tables: the same rows give the same segment (I12).

use std::sync::Arc;

use crate::ids::ColumnId;
use crate::layout::{Column, Form, ImageKind, Layout, Many, Region};
use crate::packed::Symbols;
use crate::row::Row;

use super::{Cell, PADDING, RowAt, Segment, Slot, fixed_part, store, width_of};

/// Collects rows; [`finish`](SegmentBuilder::finish) makes the segment.
pub struct SegmentBuilder<'l> {
    layout: &'l Layout,
    symbols: Option<Arc<Symbols>>,
    /// By slot, then by row.
    slots: Vec<Numbers>,
    /// By lane, from `layout.row_slots` on: every element of every row.
    lanes: Vec<Numbers>,
    text: String,
    /// Byte fields' content, in the order of `parts`.
    raw: Vec<u8>,
    /// The byte heap's regions, row by row.
    parts: Vec<Part>,
    /// Where the row that is being pushed began in the text heap.
    row_text: usize,
    rows: u32,
}

/// A region of the byte heap, before widths are known.
enum Part {
    /// So many bytes of `raw`.
    Raw(usize),
    /// So many elements of a lane.
    Elements(usize, usize),
}

#[derive(Default)]
struct Numbers {
    values: Vec<u64>,
    /// Rows without a number; they store the base.
    holes: Vec<u32>,
}

/// Where a cell's value comes from.
#[derive(Clone, Copy)]
enum Source<'a> {
    Canonical(&'a [u8]),
    Stored(Cell<'a>),
}

impl<'a> Source<'a> {
    /// A stored cell, if it has a value.
    fn stored(cell: Cell<'a>) -> Option<Source<'a>> {
        cell.is_present().then_some(Source::Stored(cell))
    }
}

impl<'l> SegmentBuilder<'l> {
    /// A builder for rows of this layout. New text is packed by the newest of `symbols` for its column; what is packed
    /// already was packed by one of them.
    #[must_use]
    pub fn new(layout: &'l Layout, symbols: Option<&Arc<Symbols>>) -> SegmentBuilder<'l> {
        SegmentBuilder {
            layout,
            symbols: symbols.cloned(),
            slots: (0..layout.row_slots).map(|_| Numbers::default()).collect(),
            lanes: (layout.row_slots..layout.all_slots).map(|_| Numbers::default()).collect(),
            text: String::new(),
            raw: Vec::new(),
            parts: Vec::new(),
            row_text: 0,
            rows: 0,
        }
    }

    /// Rows so far.
    #[must_use]
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// Adds a record. Its cells are canonical bytes that the writer made: see [`row`](crate::row).
    pub fn push(&mut self, row: &Row) {
        self.push_cells(|column| row.cell(column).map(Source::Canonical));
    }

    /// Adds a record that another segment holds, by its column at the same field index.
    pub fn push_stored(&mut self, row: RowAt<'_>) {
        self.push_cells(|column| Source::stored(row.cell(column)));
    }

    /// Adds a stored record with some cells replaced: `patch` answers with the new cell, or none to keep the old.
    pub fn push_patched<'p>(&mut self, row: RowAt<'p>, patch: impl Fn(usize) -> Option<Cell<'p>>) {
        self.push_cells(|column| Source::stored(patch(column).unwrap_or_else(|| row.cell(column))));
    }

    /// Adds a stored record of another layout: `sources` says which of its fields each of ours is.
    pub fn push_relaid(&mut self, row: RowAt<'_>, sources: &[Option<usize>]) {
        self.push_cells(|column| Source::stored(row.cell(sources[column]?)));
    }

    /// Adds a row that no record has.
    pub fn push_dead(&mut self) {
        self.push_cells(|_| None);
    }

    fn push_cells<'a>(&mut self, cell: impl Fn(usize) -> Option<Source<'a>>) {
        let layout = self.layout;
        self.row_text = self.text.len();
        if let Some(slot) = layout.text_start {
            self.slots[slot].values.push(self.text.len() as u64);
        }
        for (index, column) in layout.columns.iter().enumerate() {
            let source = cell(index);
            self.mark_presence(column, source.is_some());
            self.push_cell(column, source);
        }
        self.rows += 1;
    }

    fn mark_presence(&mut self, column: &Column, present: bool) {
        let Some(presence) = column.presence else { return };
        let values = &mut self.slots[presence.slot].values;
        if values.len() == self.rows as usize {
            values.push(0);
        }
        let last = values.last_mut().expect("a value was pushed for this row");
        *last |= u64::from(present) << presence.bit;
    }

    fn push_cell(&mut self, column: &Column, source: Option<Source<'_>>) {
        match (&column.form, source) {
            (Form::Image { slot, .. }, None) => {
                let numbers = &mut self.slots[*slot];
                numbers.holes.push(self.rows);
                numbers.values.push(0);
            }
            (Form::Image { slot, kind }, Some(source)) => {
                let image = match source {
                    Source::Canonical(bytes) => image_of(*kind, bytes),
                    Source::Stored(cell) => cell.image(),
                };
                self.slots[*slot].values.push(image);
            }
            (Form::Text(region), source) => {
                match source {
                    Some(Source::Canonical(bytes)) => self.text.push_str(utf8(bytes)),
                    Some(Source::Stored(cell)) => self.text.push_str(cell.text()),
                    None => {}
                }
                self.end_text(*region);
            }
            (Form::Bytes(_), source) => {
                let bytes = match source {
                    Some(Source::Canonical(bytes)) => bytes,
                    Some(Source::Stored(cell)) => cell.bytes(),
                    None => &[],
                };
                self.raw.extend_from_slice(bytes);
                self.parts.push(Part::Raw(bytes.len()));
            }
            (Form::Packed { table, .. }, source) => self.push_packed(column.id, *table, source),
            (Form::Many(many), source) => self.push_many(many, source),
            (Form::Map(keys, values), source) => self.push_map(keys, values, source),
        }
    }

    fn push_packed(&mut self, column: ColumnId, table: usize, source: Option<Source<'_>>) {
        let start = self.raw.len();
        let number = match source {
            Some(Source::Canonical(text)) => self.pack(column, text),
            Some(Source::Stored(cell)) => {
                let (number, bytes) = cell.packed();
                self.raw.extend_from_slice(bytes);
                number
            }
            None => {
                self.slots[table].holes.push(self.rows);
                0
            }
        };
        self.slots[table].values.push(number);
        self.parts.push(Part::Raw(self.raw.len() - start));
    }

    /// Packs text by its column's newest table; the table's number, or 0 where it is better plain.
    fn pack(&mut self, column: ColumnId, text: &[u8]) -> u64 {
        let start = self.raw.len();
        if let Some((number, table)) = self.symbols.as_ref().and_then(|symbols| symbols.newest(column)) {
            table.pack(text, &mut self.raw);
            if self.raw.len() - start <= text.len() {
                return number;
            }
            self.raw.truncate(start);
        }
        self.raw.extend_from_slice(text);
        0
    }

    fn end_text(&mut self, region: Region) {
        self.slots[region.end].values.push((self.text.len() - self.row_text) as u64);
    }

    fn push_many(&mut self, many: &Many, source: Option<Source<'_>>) {
        let mut open = Collected::default();
        match source {
            Some(Source::Canonical(bytes)) => {
                let mut reader = CanonicalReader::new(bytes);
                for _ in 0..reader.u32() {
                    open.push(many, &mut reader);
                }
            }
            Some(Source::Stored(cell)) => open.copy(many, &cell.elements()),
            None => {}
        }
        self.close(many, open);
    }

    fn push_map(&mut self, keys: &Many, values: &Many, source: Option<Source<'_>>) {
        let (mut open_keys, mut open_values) = (Collected::default(), Collected::default());
        match source {
            Some(Source::Canonical(bytes)) => {
                let mut reader = CanonicalReader::new(bytes);
                for _ in 0..reader.u32() {
                    open_keys.push(keys, &mut reader);
                    open_values.push(values, &mut reader);
                }
            }
            Some(Source::Stored(cell)) => {
                let (stored_keys, stored_values) = cell.entries();
                open_keys.copy(keys, &stored_keys);
                open_values.copy(values, &stored_values);
            }
            None => {}
        }
        self.close(keys, open_keys);
        self.close(values, open_values);
    }

    /// Puts the collected elements where the layout wants them: numbers or ends first, then content.
    fn close(&mut self, many: &Many, collected: Collected) {
        let (Many::Images { lane, .. } | Many::Texts { lane, .. } | Many::Blobs { lane, .. }) = many;
        self.parts.push(Part::Elements(*lane, collected.numbers.len()));
        self.lanes[*lane - self.layout.row_slots].values.extend_from_slice(&collected.numbers);
        match many {
            Many::Images { .. } => {}
            Many::Texts { content, .. } => {
                self.text.push_str(utf8(&collected.content));
                self.end_text(*content);
            }
            Many::Blobs { .. } => {
                self.raw.extend_from_slice(&collected.content);
                self.parts.push(Part::Raw(collected.content.len()));
            }
        }
    }

    /// The segment with all rows pushed, under the digest that the caller has of them.
    #[must_use]
    pub fn finish(mut self, digest: u128) -> Segment {
        let lanes: Vec<Slot> =
            self.lanes.iter().enumerate().map(|(lane, numbers)| self.lane_slot(lane, numbers)).collect();
        let bytes = self.byte_heap(&lanes);
        let mut slots = Vec::with_capacity(self.layout.all_slots);
        let mut stride = 0;
        for (index, numbers) in self.slots.iter().enumerate() {
            let (base, width) = numbers.fit(self.layout.signed[index]);
            slots.push(Slot { base, offset: stride, width });
            stride += u32::from(width);
        }
        let rows = self.fixed_rows(&slots, stride);
        slots.extend(lanes);
        let (fixed, rows_at) = fixed_part(&slots, &rows);
        let (text, bytes, symbols) = (self.text.into(), bytes.into(), self.symbols);
        Segment { fixed, rows_at, text, bytes, symbols, count: self.rows, stride, digest }
    }

    fn lane_slot(&self, lane: usize, numbers: &Numbers) -> Slot {
        let (base, width) = numbers.fit(self.layout.signed[self.layout.row_slots + lane]);
        // At least one byte, so that a region's length tells how many elements it has.
        Slot { base, offset: 0, width: width.max(1) }
    }

    /// Lays out the byte heap and fills the slots of its starts and ends.
    fn byte_heap(&mut self, lanes: &[Slot]) -> Vec<u8> {
        let Some(start_slot) = self.layout.byte_start else { return vec![0; PADDING] };
        let mut heap = Vec::new();
        let mut raw = self.raw.as_slice();
        let mut taken = vec![0; lanes.len()];
        let regions = &self.layout.byte_ends;
        for row in self.parts.chunks(regions.len()) {
            let start = heap.len();
            self.slots[start_slot].values.push(start as u64);
            for (part, end_slot) in row.iter().zip(regions) {
                match *part {
                    Part::Raw(len) => {
                        let (these, rest) = raw.split_at(len);
                        heap.extend_from_slice(these);
                        raw = rest;
                    }
                    Part::Elements(lane, len) => {
                        let lane = lane - self.layout.row_slots;
                        let values = &self.lanes[lane].values[taken[lane]..taken[lane] + len];
                        taken[lane] += len;
                        let slot = lanes[lane];
                        for value in values {
                            let code = value.wrapping_sub(slot.base).to_le_bytes();
                            heap.extend_from_slice(&code[..usize::from(slot.width)]);
                        }
                    }
                }
                self.slots[*end_slot].values.push((heap.len() - start) as u64);
            }
        }
        heap.resize(heap.len() + PADDING, 0);
        heap
    }

    fn fixed_rows(&self, slots: &[Slot], stride: u32) -> Vec<u8> {
        let stride = stride as usize;
        let mut rows = vec![0; self.rows as usize * stride + PADDING];
        for (numbers, slot) in self.slots.iter().zip(slots).filter(|(_, slot)| slot.width > 0) {
            let mut holes = numbers.holes.iter().peekable();
            for (row, value) in numbers.values.iter().enumerate() {
                if holes.next_if(|hole| **hole as usize == row).is_none() {
                    store(&mut rows, row * stride + slot.offset as usize, slot.width, value.wrapping_sub(slot.base));
                }
            }
        }
        rows
    }
}

impl Numbers {
    /// The base and width that hold every number.
    fn fit(&self, signed: bool) -> (u64, u8) {
        // Flipping the sign bit orders signed numbers as unsigned ones.
        let flip = if signed { 1 << 63 } else { 0 };
        let mut holes = self.holes.iter().peekable();
        let (mut min, mut max) = (u64::MAX, 0);
        for (row, value) in self.values.iter().enumerate() {
            if holes.next_if(|hole| **hole as usize == row).is_none() {
                min = min.min(value ^ flip);
                max = max.max(value ^ flip);
            }
        }
        if min > max {
            return (0, 0);
        }
        (min ^ flip, width_of(max - min))
    }
}

/// Elements of one list, before they are placed.
#[derive(Default)]
struct Collected {
    numbers: Vec<u64>,
    content: Vec<u8>,
}

impl Collected {
    fn push(&mut self, many: &Many, reader: &mut CanonicalReader<'_>) {
        if let Many::Images { kind, .. } = many {
            return self.numbers.push(image_of(*kind, reader.take(kind.canonical_bytes())));
        }
        let len = reader.u32() as usize;
        self.content.extend_from_slice(reader.take(len));
        self.numbers.push(self.content.len() as u64);
    }

    fn copy(&mut self, many: &Many, elements: &super::Elements<'_>) {
        self.numbers.extend((0..elements.len()).map(|index| elements.image(index)));
        match many {
            Many::Images { .. } => {}
            Many::Texts { .. } => {
                (0..elements.len()).for_each(|index| self.content.extend_from_slice(elements.text(index).as_bytes()));
            }
            Many::Blobs { .. } => {
                (0..elements.len()).for_each(|index| self.content.extend_from_slice(elements.bytes(index)));
            }
        }
    }
}

/// Walks canonical bytes that this process wrote.
struct CanonicalReader<'a> {
    bytes: &'a [u8],
}

impl<'a> CanonicalReader<'a> {
    fn new(bytes: &'a [u8]) -> CanonicalReader<'a> {
        CanonicalReader { bytes }
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.bytes.split_at(len);
        self.bytes = rest;
        taken
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take(4).try_into().expect("four bytes are four bytes"))
    }
}

/// The number in canonical bytes of this kind.
pub(super) fn image_of(kind: ImageKind, bytes: &[u8]) -> u64 {
    let mut eight = [0; 8];
    eight[..kind.canonical_bytes()].copy_from_slice(bytes);
    u64::from_le_bytes(eight)
}

fn utf8(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text cells are written from strings")
}
