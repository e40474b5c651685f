//! Bytes as a segment: the form of [`encode`](super::encode) taken apart, each length checked before it is used.
//!
//! Only sums and slices are checked here; what the values may be is checked by `validate`.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use std::ops::Range;
use std::sync::Arc;

use crate::layout::Layout;
use crate::packed::Symbols;
use crate::raw::{FixedRows, MASKS, PADDING, Slot, filled};

use super::parts::{PartMap, Place};
use super::{SEGMENT_BYTES_MAX, Segment, width_of};

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
    /// More bytes than a segment may have.
    #[error("{bytes} bytes where a segment has at most {SEGMENT_BYTES_MAX}")]
    TooLarge {
        /// What it takes.
        bytes: u64,
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
    /// Parts that are not of one segment.
    #[error("its columns are in parts that do not fit each other")]
    Parts,
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
    let map = PartMap::new(layout, &[layout]).ok_or(SegmentError::Parts)?;
    decode_parts(layout, &map, &[(layout, bytes)], rows_max, ceilings, symbols)
}

/// Reads and validates a segment whose columns are in several parts, of which `map` says where each is.
pub fn decode_parts(
    layout: &Layout,
    map: &PartMap,
    parts: &[(&Layout, &[u8])],
    rows_max: u32,
    ceilings: Ceilings<'_>,
    symbols: Option<&Arc<Symbols>>,
) -> Result<Segment, SegmentError> {
    let parts = parts.iter().map(|(layout, bytes)| StoredPart::read(layout, bytes, rows_max));
    let parts = parts.collect::<Result<Vec<_>, _>>()?;
    let segment = assemble(layout, map, &parts, symbols)?;
    segment.validate(layout, ceilings)?;
    Ok(segment)
}

/// Some columns of a segment, as stored.
struct StoredPart<'b> {
    columns: StoredColumns<'b>,
    lanes: Vec<Slot>,
    text: &'b str,
    heap: &'b [u8],
    /// Where each region starts and ends in its heap, by slot.
    regions: Vec<Option<(u64, u64)>>,
}

impl<'b> StoredPart<'b> {
    fn read(layout: &'b Layout, bytes: &'b [u8], rows_max: u32) -> Result<StoredPart<'b>, SegmentError> {
        let found = bytes.len() as u64;
        let table_end = layout.all_slots.saturating_mul(STORED_SLOT_BYTES).saturating_add(HEADER_BYTES);
        let short = SegmentError::Length { expected: table_end as u64, found };
        let (head, body) = bytes.split_at_checked(table_end).ok_or(short)?;
        let (header, table) = head.split_at_checked(HEADER_BYTES).ok_or(short)?;
        let ([count, text_len, heap_len], _) = header.as_chunks::<4>() else { return Err(short) };
        let [count, text_len, heap_len] = [count, text_len, heap_len].map(|number| u32::from_le_bytes(*number));
        if count > rows_max {
            return Err(SegmentError::Rows { most: rows_max, found: count });
        }
        let StoredSlots { slots, stride } = StoredSlots::read(layout, table)?;
        let (row, lanes) = slots.split_at_checked(layout.row_slots).ok_or(short)?;
        let columns_len = u64::from(count).saturating_mul(stride);
        let expected = [columns_len, u64::from(text_len), u64::from(heap_len)].into_iter();
        let expected = expected.fold(table_end as u64, u64::saturating_add);
        if expected != found {
            return Err(SegmentError::Length { expected, found });
        }
        if found > SEGMENT_BYTES_MAX {
            return Err(SegmentError::TooLarge { bytes: found });
        }
        let wrong = SegmentError::Length { expected, found };
        let columns_len = usize::try_from(columns_len).map_err(|_| wrong)?;
        let (columns, heaps) = body.split_at_checked(columns_len).ok_or(wrong)?;
        let (text, heap) = heaps.split_at_checked(text_len as usize).ok_or(wrong)?;
        let text = std::str::from_utf8(text).map_err(|error| SegmentError::Utf8 { at: error.valid_up_to() })?;
        let columns = StoredColumns::new(layout, row, count, columns).ok_or(wrong)?;
        let regions = columns.regions(text.len(), heap.len())?;
        Ok(StoredPart { columns, lanes: lanes.to_vec(), text, heap, regions })
    }

    fn slot(&self, slot: usize) -> Option<StoredColumn<'b>> {
        self.columns.columns.get(slot).copied()
    }

    /// Where a slot's region is in its heap.
    fn region(&self, slot: usize) -> Option<Range<usize>> {
        let (start, end) = (*self.regions.get(slot)?)?;
        Some(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
    }
}

/// One segment of the columns that `map` finds in the parts.
fn assemble(
    layout: &Layout,
    map: &PartMap,
    parts: &[StoredPart<'_>],
    symbols: Option<&Arc<Symbols>>,
) -> Result<Segment, SegmentError> {
    let count = parts.first().ok_or(SegmentError::Parts)?.columns.count;
    if parts.iter().any(|part| part.columns.count != count) {
        return Err(SegmentError::Parts);
    }
    let presence: Vec<Option<PresenceBits>> = map.places.iter().map(|place| presence_of(place, parts, count)).collect();
    let (row_places, lane_places) = map.places.split_at_checked(layout.row_slots).ok_or(SegmentError::Parts)?;
    let mut columns = Vec::with_capacity(layout.row_slots);
    for (place, bits) in row_places.iter().zip(&presence) {
        let column = match (place, bits) {
            (Place::Slot(from), _) => parts.get(from.part).and_then(|part| part.slot(from.slot)),
            (Place::Bits(_), Some(bits)) => Some(bits.column()),
            (Place::Bits(_), None) => None,
        };
        columns.push(column.ok_or(SegmentError::Parts)?);
    }
    let lanes = lane_places.iter().map(|place| match place {
        Place::Slot(from) => {
            let part = parts.get(from.part)?;
            part.lanes.get(from.slot.checked_sub(part.columns.layout.row_slots)?).copied()
        }
        Place::Bits(_) => None,
    });
    let lanes: Vec<Slot> = lanes.collect::<Option<_>>().ok_or(SegmentError::Parts)?;
    let mut regions = vec![None; layout.row_slots];
    let texts = layout.text_regions.iter().copied();
    let texts = place_regions(texts, map, parts, &mut regions, |part, at| part.text.get(at))?;
    let heaps = layout.byte_regions.iter().map(|(slot, _)| *slot);
    let heaps = place_regions(heaps, map, parts, &mut regions, |part, at| part.heap.get(at))?;
    let text: Arc<str> = match texts.as_slice() {
        [only] => Arc::from(*only),
        several => several.concat().into(),
    };
    let length = heaps.iter().fold(0_usize, |sum, heap| sum.saturating_add(heap.len()));
    let bytes = filled(length.saturating_add(PADDING), |padded| {
        let mut rest = padded;
        for heap in &heaps {
            let Some((place, after)) = std::mem::take(&mut rest).split_at_mut_checked(heap.len()) else { return };
            place.copy_from_slice(heap);
            rest = after;
        }
    });
    let fixed = StoredColumns { layout, count, columns }.rows(&regions, &lanes)?;
    Ok(Segment { fixed, text, bytes, symbols: symbols.cloned(), digest: 0 })
}

/// Presence bits of several parts, row by row: what is more than the least.
struct PresenceBits {
    least: u8,
    more: Vec<u8>,
}

impl PresenceBits {
    /// As a segment has them that was made whole: equal bits take nothing.
    fn column(&self) -> StoredColumn<'_> {
        let width = u8::from(self.more.iter().any(|more| *more != 0));
        let count = u32::try_from(self.more.len()).unwrap_or(u32::MAX);
        StoredColumn { base: u64::from(self.least), width, count, from: &self.more }
    }
}

/// The presence bits of a slot that are apart in the parts; none for a slot that a part has.
fn presence_of(place: &Place, parts: &[StoredPart<'_>], count: u32) -> Option<PresenceBits> {
    let Place::Bits(bits) = place else { return None };
    let mut together = vec![0_u8; count as usize];
    for bit in bits {
        let column = parts.get(bit.part)?.slot(bit.from.slot)?;
        for (row, number) in together.iter_mut().zip(column.numbers()) {
            let is_set = number.checked_shr(bit.from.bit).unwrap_or(0) & 1 == 1;
            *row |= u8::from(is_set).checked_shl(bit.bit).unwrap_or(0);
        }
    }
    let least = together.iter().copied().min().unwrap_or(0);
    together.iter_mut().for_each(|bits| *bits = bits.wrapping_sub(least));
    Some(PresenceBits { least, more: together })
}

/// The regions of one heap one after another: where each will be, and its bytes.
fn place_regions<'p, T: ?Sized + AsRef<[u8]>>(
    slots: impl Iterator<Item = usize>,
    map: &PartMap,
    parts: &'p [StoredPart<'_>],
    regions: &mut [Option<(u64, u64)>],
    heap: impl Fn(&'p StoredPart<'_>, Range<usize>) -> Option<&'p T>,
) -> Result<Vec<&'p T>, SegmentError> {
    let (mut at, mut found) = (0_u64, Vec::new());
    for slot in slots {
        let Some(Place::Slot(from)) = map.places.get(slot) else { return Err(SegmentError::Parts) };
        let part = parts.get(from.part).ok_or(SegmentError::Parts)?;
        let outside = || part.columns.outside(from.slot, 0);
        let bytes = part.region(from.slot).and_then(|range| heap(part, range)).ok_or_else(outside)?;
        let end = at.saturating_add(bytes.as_ref().len() as u64);
        *regions.get_mut(slot).ok_or(SegmentError::Parts)? = Some((at, end));
        found.push(bytes);
        at = end;
    }
    Ok(found)
}

/// Bases and widths as stored.
struct StoredSlots {
    /// Those that each row has, then the lanes.
    slots: Vec<Slot>,
    /// Bytes that all slots of a row have together.
    stride: u64,
}

impl StoredSlots {
    fn read(layout: &Layout, table: &[u8]) -> Result<StoredSlots, SegmentError> {
        let (entries, _) = table.as_chunks::<STORED_SLOT_BYTES>();
        let mut slots = StoredSlots { slots: Vec::with_capacity(layout.all_slots), stride: 0 };
        for (index, [base @ .., width]) in entries.iter().enumerate() {
            let (base, width) = (u64::from_le_bytes(*base), *width);
            let is_lane = index >= layout.row_slots;
            if width > 8 || (is_lane && width == 0) {
                return Err(SegmentError::Width { slot: index, width });
            }
            slots.slots.push(Slot { base, offset: 0, width });
            if !is_lane {
                slots.stride = slots.stride.saturating_add(u64::from(width));
            }
        }
        Ok(slots)
    }
}

/// The numbers of a stored segment, slot by slot.
struct StoredColumns<'b> {
    layout: &'b Layout,
    count: u32,
    /// By slot of a row.
    columns: Vec<StoredColumn<'b>>,
}

/// What is stored in a slot, row by row.
#[derive(Clone, Copy)]
struct StoredColumn<'b> {
    base: u64,
    width: u8,
    count: u32,
    /// The column, and whatever follows it: eight bytes can be read at most of its numbers.
    from: &'b [u8],
}

impl<'b> StoredColumn<'b> {
    /// The bytes that all rows have here.
    fn stored(&self) -> &'b [u8] {
        self.from.get(..self.len()).unwrap_or(self.from)
    }

    fn len(&self) -> usize {
        usize::from(self.width).saturating_mul(self.count as usize)
    }

    /// The numbers, row by row.
    fn numbers(&self) -> impl Iterator<Item = u64> + use<'b> {
        let StoredColumn { base, width, count, mut from } = *self;
        let width = usize::from(width);
        let mask = MASKS.get(width).copied().unwrap_or(u64::MAX);
        (0..count).map(move |_| {
            let number = match from.first_chunk() {
                // The next numbers follow it.
                Some(eight) => u64::from_le_bytes(*eight) & mask,
                None => from.iter().take(width).rev().fold(0, |number, byte| number << 8 | u64::from(*byte)),
            };
            from = from.get(width..).unwrap_or_default();
            number.wrapping_add(base)
        })
    }
}

impl<'b> StoredColumns<'b> {
    /// The columns in these bytes; none if they are fewer.
    fn new(layout: &'b Layout, slots: &[Slot], count: u32, bytes: &'b [u8]) -> Option<StoredColumns<'b>> {
        let mut from = bytes;
        let mut columns = Vec::with_capacity(slots.len());
        for Slot { base, width, .. } in slots {
            let column = StoredColumn { base: *base, width: *width, count, from };
            from = from.get(column.len()..)?;
            columns.push(column);
        }
        Some(StoredColumns { layout, count, columns })
    }

    /// Where each region starts and ends in its heap, by slot; none for a slot that is no region. Regions follow each other
    /// and fill their heaps.
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
            if let Some(region) = regions.get_mut(slot) {
                *region = Some((at, end));
            }
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
        let column = self.columns.get(slot).ok_or_else(|| self.outside(slot, 0))?;
        if column.width == 0 {
            let all = column.base.checked_mul(u64::from(self.count)).and_then(|all| longer(start, all));
            return all.ok_or_else(|| self.outside(slot, 0));
        }
        let mut rows = (0..).zip(column.numbers());
        rows.try_fold(start, |at, (row, length)| longer(at, length).ok_or_else(|| self.outside(slot, row)))
    }

    fn outside(&self, slot: usize, row: u32) -> SegmentError {
        let column = self.layout.columns.iter().position(|column| column.form.has_region(slot)).unwrap_or(0);
        SegmentError::Region { row, column }
    }

    /// Slots and rows as they are in memory.
    fn rows(&self, regions: &[Option<(u64, u64)>], lanes: &[Slot]) -> Result<FixedRows, SegmentError> {
        let mut slots = Vec::with_capacity(self.layout.all_slots);
        let mut stride = 0_u32;
        for (stored, region) in self.columns.iter().zip(regions) {
            let (base, width) = match region {
                Some((start, end)) => (*start, width_of(end.wrapping_sub(*start))),
                None => (stored.base, stored.width),
            };
            slots.push(Slot { base, offset: stride, width });
            stride = stride.saturating_add(u32::from(width));
        }
        slots.extend(lanes);
        let bytes = u64::from(stride).saturating_mul(u64::from(self.count).saturating_add(1));
        if bytes > SEGMENT_BYTES_MAX {
            return Err(SegmentError::TooLarge { bytes });
        }
        Ok(FixedRows::new(&slots, self.count, stride, |rows| {
            for ((column, region), place) in self.columns.iter().zip(regions).zip(&slots) {
                let cells = Cells { rows, row_bytes: stride as usize, at: place.offset as usize };
                let is_region = region.is_some();
                match place.width {
                    0 => {}
                    1 => column.fill::<1>(is_region, cells),
                    2 => column.fill::<2>(is_region, cells),
                    3 => column.fill::<3>(is_region, cells),
                    4 => column.fill::<4>(is_region, cells),
                    5 => column.fill::<5>(is_region, cells),
                    6 => column.fill::<6>(is_region, cells),
                    7 => column.fill::<7>(is_region, cells),
                    _ => column.fill::<8>(is_region, cells),
                }
            }
        }))
    }
}

impl StoredColumn<'_> {
    /// Writes a slot of every row. The width is a constant, so that a number is a store and not a call.
    fn fill<const WIDTH: usize>(&self, is_region: bool, cells: Cells<'_>) {
        let Cells { rows, row_bytes, at } = cells;
        let cells = rows.chunks_exact_mut(row_bytes).filter_map(|row| row.get_mut(at..)?.first_chunk_mut::<WIDTH>());
        if !is_region {
            let (stored, _) = self.stored().as_chunks::<WIDTH>();
            cells.zip(stored).for_each(|(cell, value)| *cell = *value);
            return;
        }
        let mut start = 0_u64;
        for (cell, length) in cells.zip(self.numbers().chain([0])) {
            if let Some(low) = start.to_le_bytes().first_chunk() {
                *cell = *low;
            }
            // The sum of all was checked against the heap.
            start = start.wrapping_add(length);
        }
    }
}

/// The place of one slot in every row.
struct Cells<'r> {
    rows: &'r mut [u8],
    row_bytes: usize,
    at: usize,
}
