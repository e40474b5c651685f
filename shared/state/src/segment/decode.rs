//! Bytes as a segment: the form of [`encode`](super::encode) taken apart, each length checked before it is used.
//!
//! Only sums and slices are checked here; what the values may be is checked by `validate`.

use std::sync::Arc;

use crate::layout::Layout;
use crate::packed::Symbols;
use crate::raw::{FixedRows, MASKS, PADDING, Slot, filled};

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
    fn rows(&self, regions: &[Option<(u64, u64)>]) -> FixedRows {
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
        FixedRows::new(&slots, self.count as u32, stride, |rows| {
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
