//! A segment's bytes, and the one validation that readers rely on.
//!
//! ```text
//! rows u32 | text bytes u32 | heap bytes u32 | per slot and lane: base u64, width u8
//! fixed rows, slot by slot, the rows of a slot one after another; of a region the length of each row's value
//! text heap, region by region
//! byte heap, region by region
//! ```
//! Little-endian. Numbers stand slot by slot because equal columns compress better than rows; in memory they stand row
//! by row because a read wants one line. Lengths compress better than starts, and no sum of them can lead backwards.

use std::sync::Arc;

use crate::layout::{Form, ImageKind, Layout, Many, Region};
use crate::packed::{SymbolTable, Symbols};
use crate::raw::{MASKS, PADDING, Rows, Slot, filled, load};
use crate::row::RECORD_BYTES_MAX;

use super::{Segment, width_of};

/// Why bytes are not a segment of this layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SegmentError {
    /// Fewer or more bytes than the header asks for.
    #[error("{found} bytes where its header asks for {expected}")]
    Length {
        /// What the header asks for.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// More rows than a segment of this type has.
    #[error("{found} rows where a segment of this type has at most {most}")]
    Rows {
        /// The type's.
        most: u32,
        /// The header's.
        found: u32,
    },
    /// A number of more than 8 bytes, or a list element of none.
    #[error("a number of {width} bytes in slot {slot}")]
    Width {
        /// The slot.
        slot: usize,
        /// Its width.
        width: u8,
    },
    /// Text that is not UTF-8.
    #[error("its text is not UTF-8 at byte {at}")]
    Utf8 {
        /// The first bad byte.
        at: usize,
    },
    /// A string, list or field that leaves its heap, or begins inside a character.
    #[error("row {row} has a region of column {column} outside its heap")]
    Region {
        /// The row.
        row: u32,
        /// The field index.
        column: usize,
    },
    /// Bytes in a heap of which the type has no column.
    #[error("{bytes} bytes in a heap that no column uses")]
    Heap {
        /// The heap's length.
        bytes: usize,
    },
    /// Packed bytes that are no text by their table, or by a table that is not there.
    #[error("row {row} has packed text of column {column} that table {table} does not make text")]
    Packed {
        /// The row.
        row: u32,
        /// The field index.
        column: usize,
        /// The number of the table.
        table: u64,
    },
    /// A bool, enum or reference that can't be.
    #[error("row {row} has a value of column {column} that its type does not allow: {value}")]
    Value {
        /// The row.
        row: u32,
        /// The field index.
        column: usize,
        /// The number.
        value: u64,
    },
}

const HEADER_BYTES: usize = 12;
/// A slot as stored: its place follows from the widths before it.
const STORED_SLOT_BYTES: usize = 9;

/// Appends a segment's bytes.
pub fn encode(layout: &Layout, segment: &Segment, out: &mut Vec<u8>) {
    let heap = &segment.bytes[..segment.bytes.len() - PADDING];
    let as_u32 = |len: usize| u32::try_from(len).expect("a segment has at most 1 GiB").to_le_bytes();
    out.extend_from_slice(&segment.rows().to_le_bytes());
    out.extend_from_slice(&as_u32(segment.text.len()));
    out.extend_from_slice(&as_u32(heap.len()));
    let regions = regions_of(layout);
    let of_slot = |(slot, is_region): (usize, &bool)| is_region.then(|| Lengths::of(segment, slot));
    let lengths: Vec<Option<Lengths>> = regions.iter().enumerate().map(of_slot).collect();
    for slot in 0..layout.all_slots {
        let (base, width) = match lengths.get(slot) {
            Some(Some(lengths)) => (lengths.base, lengths.width),
            _ => (segment.fixed.slot(slot).base, segment.fixed.slot(slot).width),
        };
        out.extend_from_slice(&base.to_le_bytes());
        out.push(width);
    }
    let fixed = &segment.fixed;
    for (slot, lengths) in lengths.iter().enumerate() {
        let Slot { offset, width, .. } = fixed.slot(slot);
        match lengths {
            Some(lengths) => lengths.encode(out),
            None if width == 0 => {}
            None => {
                let cell = offset as usize..offset as usize + usize::from(width);
                let rows = fixed.bytes().chunks_exact(fixed.stride());
                rows.for_each(|row| out.extend_from_slice(&row[cell.clone()]));
            }
        }
    }
    out.extend_from_slice(segment.text.as_bytes());
    out.extend_from_slice(heap);
}

/// Which slots of a row are starts of a region.
fn regions_of(layout: &Layout) -> Vec<bool> {
    let mut regions = vec![false; layout.row_slots];
    let slots = layout.text_regions.iter().chain(layout.byte_regions.iter().map(|(slot, _)| slot));
    slots.for_each(|slot| regions[*slot] = true);
    regions
}

/// How long the values of a region are, row by row: how a region is stored.
struct Lengths {
    values: Vec<u64>,
    base: u64,
    width: u8,
}

impl Lengths {
    fn of(segment: &Segment, slot: usize) -> Lengths {
        let spans = (0..segment.rows()).map(|row| segment.own_row(row).span(slot));
        let values: Vec<u64> = spans.map(|(start, end)| (end - start) as u64).collect();
        let (min, max) = values.iter().fold((u64::MAX, 0), |(min, max), length| (min.min(*length), max.max(*length)));
        let base = min.min(max);
        Lengths { base, width: width_of(max - base), values }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let width = usize::from(self.width);
        self.values.iter().for_each(|length| out.extend_from_slice(&(length - self.base).to_le_bytes()[..width]));
    }
}

/// What a segment may refer to: the number of ordinals of each component type, by type number.
pub type Ceilings<'a> = &'a dyn Fn(crate::ids::TypeId) -> u32;

/// Reads and validates a segment. `rows_max` is the type's; `ceilings` bounds references; `symbols` are the type's.
pub fn decode(
    layout: &Layout,
    bytes: &[u8],
    rows_max: u32,
    ceilings: Ceilings<'_>,
    symbols: Option<&Arc<Symbols>>,
) -> Result<Segment, SegmentError> {
    let segment = read(layout, bytes, rows_max, symbols)?;
    segment.validate(layout, ceilings)?;
    Ok(segment)
}

fn read(layout: &Layout, bytes: &[u8], rows_max: u32, symbols: Option<&Arc<Symbols>>) -> Result<Segment, SegmentError> {
    let found = bytes.len() as u64;
    let table_end = HEADER_BYTES + layout.all_slots * STORED_SLOT_BYTES;
    if bytes.len() < table_end {
        return Err(SegmentError::Length { expected: table_end as u64, found });
    }
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes are four bytes"));
    let (count, text_len, heap_len) = (u32_at(0), u32_at(4) as usize, u32_at(8) as usize);
    if count > rows_max {
        return Err(SegmentError::Rows { most: rows_max, found: count });
    }
    let (stored, stored_stride) = read_slots(layout, &bytes[HEADER_BYTES..table_end])?;
    let columns_len = u64::from(count) * u64::from(stored_stride);
    let expected = table_end as u64 + columns_len + text_len as u64 + heap_len as u64;
    if expected != found {
        return Err(SegmentError::Length { expected, found });
    }
    let (columns, heaps) = bytes[table_end..].split_at(columns_len as usize);
    let (text, heap) = heaps.split_at(text_len);
    let text = std::str::from_utf8(text).map_err(|error| SegmentError::Utf8 { at: error.valid_up_to() })?;
    let columns = StoredColumns { layout, slots: &stored, count: count as usize, bytes: columns };
    let regions = columns.regions(text_len, heap_len)?;
    let fixed = columns.rows(&regions);
    let bytes = filled(heap_len + PADDING, |padded| padded[..heap_len].copy_from_slice(heap));
    let (text, symbols) = (text.into(), symbols.cloned());
    Ok(Segment { fixed, text, bytes, symbols, digest: 0 })
}

/// The slots as stored; their offsets are the bytes of a row before them.
fn read_slots(layout: &Layout, table: &[u8]) -> Result<(Vec<Slot>, u32), SegmentError> {
    let mut stride = 0;
    let mut slots = Vec::with_capacity(layout.all_slots);
    for (index, entry) in table.chunks_exact(STORED_SLOT_BYTES).enumerate() {
        let base = u64::from_le_bytes(entry[..8].try_into().expect("eight bytes are eight bytes"));
        let width = entry[8];
        let lane = index >= layout.row_slots;
        if width > 8 || (lane && width == 0) {
            return Err(SegmentError::Width { slot: index, width });
        }
        slots.push(Slot { base, offset: if lane { 0 } else { stride }, width });
        if !lane {
            stride += u32::from(width);
        }
    }
    Ok((slots, stride))
}

/// The numbers of a stored segment, slot by slot.
struct StoredColumns<'b> {
    layout: &'b Layout,
    slots: &'b [Slot],
    count: usize,
    bytes: &'b [u8],
}

impl<'b> StoredColumns<'b> {
    /// What is stored in a slot, row by row.
    fn column(&self, slot: usize) -> &'b [u8] {
        let Slot { offset, width, .. } = self.slots[slot];
        &self.bytes[offset as usize * self.count..][..usize::from(width) * self.count]
    }

    /// The numbers in a slot, row by row.
    fn numbers(&self, slot: usize) -> impl Iterator<Item = u64> + use<'b> {
        let Slot { base, width, offset } = self.slots[slot];
        let (bytes, width, start) = (self.bytes, usize::from(width), offset as usize * self.count);
        (0..self.count).map(move |row| {
            let at = start + row * width;
            let number = match bytes[at..].first_chunk::<8>() {
                // The next numbers stand behind it.
                Some(eight) => u64::from_le_bytes(*eight) & MASKS[width],
                None => {
                    let mut number = [0; 8];
                    number[..width].copy_from_slice(&bytes[at..at + width]);
                    u64::from_le_bytes(number)
                }
            };
            number.wrapping_add(base)
        })
    }

    /// From where to where each region reaches in its heap, by slot; none for a slot that is no region. Regions stand one
    /// after another and fill their heaps.
    fn regions(&self, text_len: usize, heap_len: usize) -> Result<Vec<Option<(u64, u64)>>, SegmentError> {
        let mut regions = vec![None; self.layout.row_slots];
        let texts = self.layout.text_regions.iter().copied();
        let bytes = self.layout.byte_regions.iter().map(|(slot, _)| *slot);
        self.place(&mut regions, texts, text_len)?;
        self.place(&mut regions, bytes, heap_len)?;
        Ok(regions)
    }

    fn place(
        &self,
        regions: &mut [Option<(u64, u64)>],
        slots: impl Iterator<Item = usize>,
        heap_len: usize,
    ) -> Result<(), SegmentError> {
        let (mut at, mut last) = (0, None);
        for slot in slots {
            let end = self.end(slot, at, heap_len as u64)?;
            regions[slot] = Some((at, end));
            (at, last) = (end, Some(slot));
        }
        match last {
            _ if at == heap_len as u64 => Ok(()),
            Some(slot) => Err(self.outside(slot, self.count.saturating_sub(1))),
            None => Err(SegmentError::Heap { bytes: heap_len }),
        }
    }

    /// Where a region ends that starts at `start`. Nothing is kept of its rows: there may be many that take no bytes here.
    fn end(&self, slot: usize, start: u64, heap_len: u64) -> Result<u64, SegmentError> {
        // Checked against the heap at each step, so that no sum wraps.
        let longer = |at: u64, length: u64| at.checked_add(length).filter(|end| *end <= heap_len);
        let Slot { base, width, .. } = self.slots[slot];
        if width == 0 {
            let all = base.checked_mul(self.count as u64).and_then(|all| longer(start, all));
            return all.ok_or_else(|| self.outside(slot, 0));
        }
        let mut rows = self.numbers(slot).enumerate();
        rows.try_fold(start, |at, (row, length)| longer(at, length).ok_or_else(|| self.outside(slot, row)))
    }

    fn outside(&self, slot: usize, row: usize) -> SegmentError {
        let column = self.layout.columns.iter().position(|column| column.form.has_region(slot)).unwrap_or(0);
        SegmentError::Region { row: row as u32, column }
    }

    /// Slots and rows as they are in memory.
    fn rows(&self, regions: &[Option<(u64, u64)>]) -> Rows {
        let mut slots = Vec::with_capacity(self.slots.len());
        let mut stride = 0;
        for (stored, region) in self.slots.iter().zip(regions) {
            let (base, width) = match region {
                Some((start, end)) => (*start, width_of(end - start)),
                None => (stored.base, stored.width),
            };
            slots.push(Slot { base, offset: stride, width });
            stride += u32::from(width);
        }
        let placed = slots.len();
        slots.extend(&self.slots[self.layout.row_slots..]);
        Rows::new(&slots, self.count as u32, stride, |rows| {
            for (slot, place) in slots[..placed].iter().enumerate() {
                let is_region = regions[slot].is_some();
                let cells = Cells { rows, row_bytes: stride as usize, at: place.offset as usize };
                match place.width {
                    0 => {}
                    1 => self.fill::<1>(slot, is_region, cells),
                    2 => self.fill::<2>(slot, is_region, cells),
                    3 => self.fill::<3>(slot, is_region, cells),
                    4 => self.fill::<4>(slot, is_region, cells),
                    5 => self.fill::<5>(slot, is_region, cells),
                    6 => self.fill::<6>(slot, is_region, cells),
                    7 => self.fill::<7>(slot, is_region, cells),
                    _ => self.fill::<8>(slot, is_region, cells),
                }
            }
        })
    }

    /// Writes a slot of every row. The width is a constant, so that a number is a store and not a call.
    fn fill<const WIDTH: usize>(&self, slot: usize, is_region: bool, cells: Cells<'_>) {
        let Cells { rows, row_bytes, at } = cells;
        let cells = rows.chunks_exact_mut(row_bytes).filter_map(|row| row[at..].first_chunk_mut::<WIDTH>());
        if !is_region {
            let (stored, _) = self.column(slot).as_chunks::<WIDTH>();
            cells.zip(stored).for_each(|(cell, value)| *cell = *value);
            return;
        }
        let mut start = 0_u64;
        for (cell, length) in cells.zip(self.numbers(slot).chain([0])) {
            cell.copy_from_slice(&start.to_le_bytes()[..WIDTH]);
            start += length;
        }
    }
}

/// The place of one slot in every row.
struct Cells<'r> {
    rows: &'r mut [u8],
    row_bytes: usize,
    at: usize,
}

impl Segment {
    /// Establishes the invariants of a segment that came from outside.
    fn validate(&self, layout: &Layout, ceilings: Ceilings<'_>) -> Result<(), SegmentError> {
        let mut scratch = Vec::new();
        for (column, place) in layout.columns.iter().enumerate() {
            let outside = |row| SegmentError::Region { row, column };
            let mut rows = 0..self.rows();
            match &place.form {
                Form::Image { slot, kind } => {
                    let images = rows.map(|row| (row, self.own_row(row).number(*slot)));
                    Self::check_images(column, *kind, ceilings, images)?;
                }
                Form::Text(region) => {
                    rows.try_for_each(|row| self.check_text(*region, row).map(drop).ok_or(outside(row)))?;
                }
                Form::Bytes(region) => {
                    rows.try_for_each(|row| self.check_bytes(*region, row).map(drop).ok_or(outside(row)))?;
                }
                Form::Packed { region, table } => rows.try_for_each(|row| {
                    let packed = self.check_bytes(*region, row).ok_or(outside(row))?;
                    let table = self.own_row(row).number(*table);
                    self.check_packed(table, packed, &mut scratch).ok_or(SegmentError::Packed { row, column, table })
                })?,
                Form::Many(many) => {
                    rows.try_for_each(|row| self.check_many(many, row, column, ceilings).map(drop))?;
                }
                Form::Map(keys, values) => rows.try_for_each(|row| {
                    let found = self.check_many(keys, row, column, ceilings)?;
                    if found == self.check_many(values, row, column, ceilings)? { Ok(()) } else { Err(outside(row)) }
                })?,
            }
        }
        Ok(())
    }

    /// That these numbers, each with its row, are of a kind.
    fn check_images(
        column: usize,
        kind: ImageKind,
        ceilings: Ceilings<'_>,
        mut images: impl Iterator<Item = (u32, u64)>,
    ) -> Result<(), SegmentError> {
        let below = match kind {
            ImageKind::Number | ImageKind::F64 => return Ok(()),
            ImageKind::F32 => 1 << 32,
            ImageKind::Variant(variants) => u64::from(variants),
            ImageKind::Component(id) => u64::from(ceilings(id)),
        };
        // A row without a value stores the base, which may be anything where no row has one; so 0 always fits.
        match images.find(|(_, value)| *value >= below.max(1)) {
            None => Ok(()),
            Some((row, value)) => Err(SegmentError::Value { row, column, value }),
        }
    }

    /// The region's text, if it is inside the heap and on char boundaries.
    fn check_text(&self, region: Region, row: u32) -> Option<&str> {
        let (start, end) = self.own_row(row).span(region.slot);
        self.text.get(start..end)
    }

    fn check_bytes(&self, region: Region, row: u32) -> Option<&[u8]> {
        let (start, end) = self.own_row(row).span(region.slot);
        self.bytes[..self.bytes.len() - PADDING].get(start..end)
    }

    /// That packed bytes are text by the table of this number, and not more of it than a record may have.
    fn check_packed(&self, number: u64, packed: &[u8], scratch: &mut Vec<u8>) -> Option<()> {
        if number == 0 {
            return std::str::from_utf8(packed).is_ok().then_some(());
        }
        let table: &SymbolTable = self.symbols.as_ref()?.get(number)?;
        table.checked_len(packed).filter(|len| *len <= RECORD_BYTES_MAX)?;
        scratch.clear();
        table.unpack(packed, scratch);
        std::str::from_utf8(scratch).is_ok().then_some(())
    }

    /// The number of elements, if there are whole ones and all their content is where it should be.
    fn check_many(&self, many: &Many, row: u32, column: usize, ceilings: Ceilings<'_>) -> Result<usize, SegmentError> {
        let outside = || SegmentError::Region { row, column };
        let (Many::Images { region, lane, .. }
        | Many::Texts { ends: region, lane, .. }
        | Many::Blobs { ends: region, lane, .. }) = many;
        let numbers = self.check_bytes(*region, row).ok_or_else(outside)?;
        let width = self.width(*lane);
        if numbers.len() % width != 0 {
            return Err(outside());
        }
        let len = numbers.len() / width;
        let (start, _) = self.own_row(row).span(region.slot);
        let base = self.fixed.slot(*lane).base;
        let image = |index: usize| base.wrapping_add(load(&self.bytes, start + index * width, width as u8));
        match many {
            Many::Images { kind, .. } => {
                Self::check_images(column, *kind, ceilings, (0..len).map(|index| (row, image(index))))?;
            }
            Many::Texts { content, .. } => {
                let text = self.check_text(*content, row).ok_or_else(outside)?;
                check_ends((0..len).map(image), text.len(), |end| text.is_char_boundary(end)).ok_or_else(outside)?;
            }
            Many::Blobs { content, .. } => {
                let bytes = self.check_bytes(*content, row).ok_or_else(outside)?;
                check_ends((0..len).map(image), bytes.len(), |_| true).ok_or_else(outside)?;
            }
        }
        Ok(len)
    }
}

/// Ends that rise, stay inside, stand where a string may end, and leave nothing over.
fn check_ends(ends: impl Iterator<Item = u64>, len: usize, may_end: impl Fn(usize) -> bool) -> Option<()> {
    let mut before = 0;
    for end in ends {
        let end = usize::try_from(end).ok()?;
        if end < before || end > len || !may_end(end) {
            return None;
        }
        before = end;
    }
    (before == len).then_some(())
}
