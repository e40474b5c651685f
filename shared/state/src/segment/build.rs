//! Making a segment: rows in, widths and bases found, parts frozen.
//!
//! The bytes are a function of the rows and the symbol tables: the same rows give the same segment (I12).

use std::sync::Arc;

use crate::ids::ColumnId;
use crate::layout::{Column, Form, Layout, Many, Region};
use crate::packed::Symbols;
use crate::raw::{FixedRows, PADDING, Slot, store};
use crate::row::{CellReader, RowRef, scalar_of};

use super::{Cell, RowAt, Segment, width_of};

/// Collects rows; [`finish`](SegmentBuilder::finish) makes the segment.
pub struct SegmentBuilder<'l> {
    layout: &'l Layout,
    symbols: Option<Arc<Symbols>>,
    /// By slot, then by row.
    slots: Vec<Numbers>,
    /// By lane, from `layout.row_slots` on: every element of every row.
    lanes: Vec<Numbers>,
    /// By region of the text heap.
    texts: Vec<String>,
    /// By region of the byte heap; empty where its elements are in a lane.
    raws: Vec<Vec<u8>>,
    rows: u32,
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
            texts: vec![String::new(); layout.text_regions.len()],
            raws: vec![Vec::new(); layout.byte_regions.len()],
            rows: 0,
        }
    }

    /// Rows so far.
    #[must_use]
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// Adds a record. Its cells are canonical bytes that the writer made: see [`row`](crate::row).
    pub fn push<'r>(&mut self, row: impl Into<RowRef<'r>>) {
        let row = row.into();
        self.push_cells(|column| row.cell(column).map(Source::Canonical));
    }

    /// Adds a record that another segment holds, by its column at the same field index.
    pub(crate) fn push_stored(&mut self, row: RowAt<'_>) {
        self.push_cells(|column| Source::stored(row.cell(column)));
    }

    /// Adds a stored record with some cells replaced: `patch` returns the new cell, or none to keep the old.
    pub(crate) fn push_patched<'p>(&mut self, row: RowAt<'p>, patch: impl Fn(usize) -> Option<Cell<'p>>) {
        self.push_cells(|column| Source::stored(patch(column).unwrap_or_else(|| row.cell(column))));
    }

    /// Adds a stored record of another layout: `sources` has the index of its field for each of ours.
    pub(crate) fn push_relayout(&mut self, row: RowAt<'_>, sources: &[Option<usize>]) {
        self.push_cells(|column| Source::stored(row.cell(sources[column]?)));
    }

    /// Adds a row that no record has.
    pub(crate) fn push_dead(&mut self) {
        self.push_cells(|_| None);
    }

    fn push_cells<'a>(&mut self, cell: impl Fn(usize) -> Option<Source<'a>>) {
        let layout = self.layout;
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
            (Form::Scalar { slot, .. }, None) => {
                let numbers = &mut self.slots[*slot];
                numbers.holes.push(self.rows);
                numbers.values.push(0);
            }
            (Form::Scalar { slot, .. }, Some(source)) => {
                let scalar = match source {
                    Source::Canonical(bytes) => scalar_of(bytes),
                    Source::Stored(cell) => cell.scalar(),
                };
                self.slots[*slot].values.push(scalar);
            }
            (Form::Text(region), source) => {
                let text = match source {
                    Some(Source::Canonical(bytes)) => utf8(bytes),
                    Some(Source::Stored(cell)) => cell.text(),
                    None => "",
                };
                self.open_text(*region).push_str(text);
            }
            (Form::Bytes(region), source) => {
                let bytes = match source {
                    Some(Source::Canonical(bytes)) => bytes,
                    Some(Source::Stored(cell)) => cell.bytes(),
                    None => &[],
                };
                self.open_bytes(*region).extend_from_slice(bytes);
            }
            (Form::Packed { region, table }, source) => self.push_packed(column.id, *region, *table, source),
            (Form::Many(many), source) => self.push_many(many, source),
            (Form::Map(keys, values), source) => self.push_map(keys, values, source),
        }
    }

    fn push_packed(&mut self, column: ColumnId, region: Region, table: usize, source: Option<Source<'_>>) {
        let raw = &mut self.raws[region.number];
        self.slots[region.slot].values.push(raw.len() as u64);
        let number = match source {
            Some(Source::Canonical(text)) => pack(self.symbols.as_deref(), column, text, raw),
            Some(Source::Stored(cell)) => {
                let (number, bytes) = cell.packed();
                raw.extend_from_slice(bytes);
                number
            }
            None => {
                self.slots[table].holes.push(self.rows);
                0
            }
        };
        self.slots[table].values.push(number);
    }

    /// The region's text so far; the row's begins at its end.
    fn open_text(&mut self, region: Region) -> &mut String {
        let text = &mut self.texts[region.number];
        self.slots[region.slot].values.push(text.len() as u64);
        text
    }

    /// The region's bytes so far; the row's begin at their end.
    fn open_bytes(&mut self, region: Region) -> &mut Vec<u8> {
        let raw = &mut self.raws[region.number];
        self.slots[region.slot].values.push(raw.len() as u64);
        raw
    }

    fn push_many(&mut self, many: &Many, source: Option<Source<'_>>) {
        let mut open = Collected::default();
        match source {
            Some(Source::Canonical(bytes)) => {
                let mut reader = CellReader::new(bytes);
                for _ in 0..count(&mut reader) {
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
                let mut reader = CellReader::new(bytes);
                for _ in 0..count(&mut reader) {
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

    /// Puts the collected elements where the layout wants them: numbers or ends, and content.
    fn close(&mut self, many: &Many, collected: Collected) {
        let (Many::Scalars { region, lane, .. }
        | Many::Texts { ends: region, lane, .. }
        | Many::Blobs { ends: region, lane, .. }) = many;
        let elements = &mut self.lanes[*lane - self.layout.row_slots].values;
        // Elements for now: their width is known when all are here.
        self.slots[region.slot].values.push(elements.len() as u64);
        elements.extend_from_slice(&collected.numbers);
        match many {
            Many::Scalars { .. } => {}
            Many::Texts { content, .. } => self.open_text(*content).push_str(utf8(&collected.content)),
            Many::Blobs { content, .. } => self.open_bytes(*content).extend_from_slice(&collected.content),
        }
    }

    /// The segment with all rows pushed, under the digest that the caller has of them.
    #[must_use]
    pub fn finish(mut self, digest: u128) -> Segment {
        let lanes: Vec<Slot> =
            self.lanes.iter().enumerate().map(|(lane, numbers)| self.lane_slot(lane, numbers)).collect();
        let text = self.text_heap();
        let bytes = self.byte_heap(&lanes);
        let mut slots = Vec::with_capacity(self.layout.all_slots);
        let mut stride = 0;
        for (index, numbers) in self.slots.iter().enumerate() {
            let (base, width) = numbers.fit(self.layout.signed[index]);
            slots.push(Slot { base, offset: stride, width });
            stride += u32::from(width);
        }
        let row_slots = slots.len();
        slots.extend(lanes);
        let fixed =
            FixedRows::new(&slots, self.rows, stride, |rows| self.fill(&slots[..row_slots], stride as usize, rows));
        Segment { fixed, text: text.into(), bytes: bytes.into(), symbols: self.symbols, digest }
    }

    fn lane_slot(&self, lane: usize, numbers: &Numbers) -> Slot {
        let (base, width) = numbers.fit(self.layout.signed[self.layout.row_slots + lane]);
        // At least one byte, so that the number of elements follows from a region's length.
        Slot { base, offset: 0, width: width.max(1) }
    }

    /// The regions one after another; starts become places in the heap.
    fn text_heap(&mut self) -> String {
        let mut heap = String::new();
        for (slot, text) in self.layout.text_regions.iter().zip(std::mem::take(&mut self.texts)) {
            self.slots[*slot].place(heap.len(), 1, text.len());
            heap.push_str(&text);
        }
        heap
    }

    /// Likewise; elements get the width of their lane.
    fn byte_heap(&mut self, lanes: &[Slot]) -> Vec<u8> {
        let mut heap = Vec::new();
        for ((slot, lane), raw) in self.layout.byte_regions.iter().zip(std::mem::take(&mut self.raws)) {
            let Some(lane) = lane.map(|lane| lane - self.layout.row_slots) else {
                self.slots[*slot].place(heap.len(), 1, raw.len());
                heap.extend_from_slice(&raw);
                continue;
            };
            let (values, Slot { base, width, .. }) = (&self.lanes[lane].values, lanes[lane]);
            self.slots[*slot].place(heap.len(), usize::from(width), values.len());
            for value in values {
                heap.extend_from_slice(&value.wrapping_sub(base).to_le_bytes()[..usize::from(width)]);
            }
        }
        heap.resize(heap.len() + PADDING, 0);
        heap
    }

    /// Writes the rows, and one more for where the last one's values end.
    fn fill(&self, slots: &[Slot], stride: usize, rows: &mut [u8]) {
        for (numbers, slot) in self.slots.iter().zip(slots).filter(|(_, slot)| slot.width > 0) {
            let mut holes = numbers.holes.iter().peekable();
            for (row, value) in numbers.values.iter().enumerate() {
                if holes.next_if(|hole| **hole as usize == row).is_none() {
                    store(rows, row * stride + slot.offset as usize, slot.width, value.wrapping_sub(slot.base));
                }
            }
        }
    }
}

impl Numbers {
    /// Starts of a region, counted in units from its beginning, become places in a heap; the end follows the last.
    fn place(&mut self, beginning: usize, unit: usize, units: usize) {
        self.values.push(units as u64);
        self.values.iter_mut().for_each(|start| *start = (beginning + *start as usize * unit) as u64);
    }

    /// The base and width that hold every number.
    fn fit(&self, signed: bool) -> (u64, u8) {
        let mut holes = self.holes.iter().peekable();
        let numbers = self.values.iter().enumerate();
        let numbers = numbers.filter(|(row, _)| holes.next_if(|hole| **hole as usize == *row).is_none());
        fit(numbers.map(|(_, value)| *value), signed)
    }
}

/// The base and width that hold all these numbers.
pub(super) fn fit(numbers: impl Iterator<Item = u64>, signed: bool) -> (u64, u8) {
    // Flipping the sign bit orders signed numbers as unsigned ones.
    let flip = if signed { 1 << 63 } else { 0 };
    let (mut min, mut max) = (u64::MAX, 0);
    for value in numbers {
        min = min.min(value ^ flip);
        max = max.max(value ^ flip);
    }
    if min > max { (0, 0) } else { (min ^ flip, width_of(max - min)) }
}

/// Elements of one list, before they are placed.
#[derive(Default)]
struct Collected {
    numbers: Vec<u64>,
    content: Vec<u8>,
}

impl Collected {
    fn push(&mut self, many: &Many, reader: &mut CellReader<'_>) {
        if let Many::Scalars { kind, .. } = many {
            let bytes = reader.take(kind.canonical_bytes()).expect(CHECKED);
            return self.numbers.push(scalar_of(bytes));
        }
        self.content.extend_from_slice(reader.sized().expect(CHECKED));
        self.numbers.push(self.content.len() as u64);
    }

    fn copy(&mut self, many: &Many, elements: &super::Elements<'_>) {
        self.numbers.extend((0..elements.len()).map(|index| elements.scalar(index)));
        match many {
            Many::Scalars { .. } => {}
            Many::Texts { .. } => {
                (0..elements.len()).for_each(|index| self.content.extend_from_slice(elements.text(index).as_bytes()));
            }
            Many::Blobs { .. } => {
                (0..elements.len()).for_each(|index| self.content.extend_from_slice(elements.bytes(index)));
            }
        }
    }
}

/// The number of a list's elements or of a map's entries, of cells that were written or checked by this process.
fn count(reader: &mut CellReader<'_>) -> u32 {
    reader.u32().expect(CHECKED)
}

const CHECKED: &str = "cells are written or checked by this process before they are pushed";

/// Packs text by its column's newest table; the table's number, or 0 where it is better plain.
fn pack(symbols: Option<&Symbols>, column: ColumnId, text: &[u8], raw: &mut Vec<u8>) -> u64 {
    let start = raw.len();
    if let Some((number, table)) = symbols.and_then(|symbols| symbols.newest(column)) {
        table.pack(text, raw);
        if raw.len() - start <= text.len() {
            return number;
        }
        raw.truncate(start);
    }
    raw.extend_from_slice(text);
    0
}

fn utf8(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text cells are written from strings")
}
