//! Rows of numbers; a byte compared with sixteen; and prefetching, which is the one place with unsafe code.
//!
//! A look-up with three fields is more instructions than a processor holds in flight, so that the cache misses of
//! neighbouring look-ups wait for each other. Asking for lines early is what makes look-ups in stages fast, and Rust has no
//! safe function for it. On aarch64 it has no stable one at all (`core::arch::aarch64::_prefetch`), so there the processor
//! is not asked.
//!
//! The comparison of tags is the vector instruction of each processor, by the crate `wide`: SSE2 on x86-64, NEON on
//! aarch64, a loop elsewhere. Numbers are read with bounds checks.
//!
//! Invariant of [`FixedRows`], established by its only constructor: the buffer is the slots, then `count + 1` rows of
//! `stride` bytes, then [`PADDING`]; no slot begins after its row's end or is wider than 8 bytes. So 8 bytes can be read at
//! every slot of every row.

#![expect(unsafe_code, reason = "see the module's documentation")]

use std::sync::Arc;

use wide::{CmpEq, i8x16};

/// Every buffer that numbers are read from ends with this many spare bytes, so that a read is always 8 bytes wide.
pub(crate) const PADDING: usize = 8;

/// Each allocation of an `Arc` begins with two counters.
pub(crate) const ARC_BYTES: usize = 16;

/// The mask that leaves `width` of 8 bytes. It has an entry for every byte, so that looking it up needs no check.
pub(crate) static MASKS: [u64; 256] = {
    let mut masks = [u64::MAX; 256];
    let mut width = 0;
    while width < 8 {
        masks[width] = (1 << (8 * width)) - 1;
        width += 1;
    }
    masks
};

/// A number's place in a row, its width in bytes and its base. A lane has no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Added to what is stored, wrapping.
    pub(crate) base: u64,
    /// From the row's start.
    pub(crate) offset: u32,
    /// 0 to 8 bytes.
    pub(crate) width: u8,
}

/// Slots are before the rows, in the same buffer: a read finds both without another pointer, and near each other.
const SLOT_BYTES: usize = 16;

impl Slot {
    /// `base u64 | offset u32 | width u8`, in 16 bytes.
    fn to_bytes(self) -> [u8; SLOT_BYTES] {
        let place = u64::from(self.width) << 32 | u64::from(self.offset);
        (u128::from(place) << 64 | u128::from(self.base)).to_le_bytes()
    }

    #[inline(always)]
    fn from_bytes(bytes: [u8; SLOT_BYTES]) -> Slot {
        // Two words, so that it is two loads.
        let word = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().expect("a slot has two words"));
        let (base, place) = (word(0), word(8));
        Slot { base, offset: place as u32, width: (place >> 32) as u8 }
    }
}

/// Rows of whole-byte numbers, and one more row, which has only the ends of the last one's values. Immutable.
#[derive(Clone, Debug)]
pub(crate) struct FixedRows {
    /// Slots, rows, padding.
    buffer: Arc<[u8]>,
    count: u32,
    stride: u32,
    /// Where the rows begin, after the slots.
    rows_at: u32,
}

/// One row of [`FixedRows`], never the one after the last.
#[derive(Clone, Copy)]
pub(crate) struct FixedRow<'s> {
    rows: &'s FixedRows,
    /// Where it begins in the buffer.
    start: u32,
}

impl FixedRows {
    /// `count` rows with these slots, `stride` bytes each. `fill` writes them, one more, and padding.
    ///
    /// # Panics
    /// If a slot is outside its row, or there are more bytes than a segment may have: both are bugs of the caller.
    pub(crate) fn new(slots: &[Slot], count: u32, stride: u32, fill: impl FnOnce(&mut [u8])) -> FixedRows {
        let of_row = |slot: &Slot| slot.offset <= stride && slot.width <= 8;
        assert!(slots.iter().all(of_row), "a slot begins within its row");
        let rows_at = slots.len() * SLOT_BYTES;
        let len = rows_at as u64 + (u64::from(count) + 1) * u64::from(stride) + PADDING as u64;
        assert!(u32::try_from(len).is_ok(), "32 bits hold every place in a segment");
        let buffer = filled(len as usize, |buffer| {
            let (table, rows) = buffer.split_at_mut(rows_at);
            let places = table.chunks_exact_mut(SLOT_BYTES);
            places.zip(slots).for_each(|(place, slot)| place.copy_from_slice(&slot.to_bytes()));
            fill(rows);
        });
        FixedRows { buffer, count, stride, rows_at: rows_at as u32 }
    }

    /// The same slots with rows that `change` overwrites.
    pub(crate) fn changed(&self, change: impl FnOnce(&mut [u8])) -> FixedRows {
        let mut buffer: Arc<[u8]> = Arc::from(&self.buffer[..]);
        let bytes = Arc::get_mut(&mut buffer).expect("it was made here");
        change(&mut bytes[self.rows_at as usize..]);
        FixedRows { buffer, ..*self }
    }

    /// How many rows there are.
    #[inline(always)]
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Bytes of a row.
    #[inline(always)]
    pub(crate) fn stride(&self) -> usize {
        self.stride as usize
    }

    /// How many slots and lanes there are.
    pub(crate) fn slots(&self) -> usize {
        self.rows_at as usize / SLOT_BYTES
    }

    /// Bytes of slots, rows and padding.
    pub(crate) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Prefetches what a copy of it reads first.
    pub(crate) fn prefetch(&self) {
        prefetch_shared(&self.buffer);
    }

    /// Copies the numbers of a slot into `rows`, which have `stride` bytes each, at the offset of `place`. There is one row
    /// more than `count`: it has the ends of the last row's values.
    pub(crate) fn copy_slot(&self, slot: usize, place: Slot, rows: &mut [u8], stride: usize) {
        let from = self.slot(slot);
        for index in 0..=self.count as usize {
            let number = self.number(from, self.rows_at as usize + index * self.stride());
            store(rows, index * stride + place.offset as usize, place.width, number.wrapping_sub(place.base));
        }
    }

    /// The rows themselves, one after another.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[self.rows_at as usize..][..self.count as usize * self.stride as usize]
    }

    /// The row at this index.
    #[inline(always)]
    pub(crate) fn row(&self, index: u32) -> Option<FixedRow<'_>> {
        // 32 bits hold every place, so no check for overflow is needed here.
        let start = self.rows_at.wrapping_add(index.wrapping_mul(self.stride));
        if index < self.count { Some(FixedRow { rows: self, start }) } else { None }
    }

    /// The place, width and base of a number.
    #[inline(always)]
    pub(crate) fn slot(&self, slot: usize) -> Slot {
        let at = slot.wrapping_mul(SLOT_BYTES);
        assert!(at < self.rows_at as usize, "there is no slot {slot}");
        Slot::from_bytes(*self.buffer[at..].first_chunk().expect("a slot's bytes are there"))
    }

    /// The number in a slot of the row that begins at `start` in the buffer.
    #[inline(always)]
    fn number(&self, slot: Slot, start: usize) -> u64 {
        slot.base.wrapping_add(load(&self.buffer, start + slot.offset as usize, slot.width))
    }
}

impl<'s> FixedRow<'s> {
    /// The number in a slot.
    #[inline(always)]
    pub(crate) fn number(self, slot: usize) -> u64 {
        self.rows.number(self.rows.slot(slot), self.start as usize)
    }

    /// The start and the end of a row's value in its heap: it ends where the next row's value starts.
    #[inline(always)]
    pub(crate) fn span(self, slot: usize) -> (usize, usize) {
        let slot = self.rows.slot(slot);
        let start = self.start as usize;
        (self.rows.number(slot, start) as usize, self.rows.number(slot, start + self.rows.stride()) as usize)
    }

    /// Prefetches the row, and the slots: the place of a number in the row is known only when its slot is loaded, so that a
    /// read would wait for one after the other.
    #[inline(always)]
    pub(crate) fn prefetch(self) {
        let buffer = self.rows.buffer.as_ptr();
        prefetch(buffer.wrapping_add(self.start as usize));
        prefetch(buffer.wrapping_add(self.start as usize + self.rows.stride as usize));
        prefetch(buffer);
    }
}

/// A little-endian number of `width` bytes. The buffer is padded, so that 8 bytes can always be read.
#[inline(always)]
pub(crate) fn load(bytes: &[u8], at: usize, width: u8) -> u64 {
    let eight = bytes[at..at + PADDING].try_into().expect("eight bytes are eight bytes");
    u64::from_le_bytes(eight) & MASKS[usize::from(width)]
}

/// Writes the low `width` bytes of `value`.
pub(crate) fn store(bytes: &mut [u8], at: usize, width: u8, value: u64) {
    let width = usize::from(width);
    bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
}

/// Shared bytes that `fill` writes in their final place.
pub(crate) fn filled(len: usize, fill: impl FnOnce(&mut [u8])) -> Arc<[u8]> {
    let mut bytes: Arc<[u8]> = std::iter::repeat_n(0, len).collect();
    fill(Arc::get_mut(&mut bytes).expect("it was made here"));
    bytes
}

/// Asks the processor for the cache line of this place before it is read. Does nothing on
/// processors other than x86-64 and 64-bit Arm.
#[inline(always)]
pub(crate) fn prefetch<T>(place: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint to the processor: it reads nothing that the program sees, and faults nowhere.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(place.cast()) };
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a hint to the processor, as above; the instruction changes no register, flag or memory.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{place}]", place = in(reg) place.cast::<u8>(), options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = place;
}

/// Prefetches the beginning of what is shared, and the two counters before it, which a clone of the `Arc` changes.
#[inline(always)]
pub(crate) fn prefetch_shared<T: ?Sized>(shared: &Arc<T>) {
    let place = Arc::as_ptr(shared).cast::<u8>();
    prefetch(place.wrapping_sub(ARC_BYTES));
    prefetch(place);
}

/// Which of sixteen bytes are equal to this one: a bit for each, the first byte in the lowest.
#[inline(always)]
pub(crate) fn equal_bytes(bytes: &[u8; 16], byte: u8) -> u16 {
    let all = i8x16::new(bytes.map(u8::cast_signed));
    all.cmp_eq(i8x16::splat(byte.cast_signed())).move_mask() as u16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn equal_bytes_one_by_one(bytes: &[u8; 16], byte: u8) -> u16 {
        bytes.iter().rev().fold(0, |found, other| found << 1 | u16::from(*other == byte))
    }

    /// What `FixedRow::number` and `FixedRow::span` read, with every step checked.
    fn checked(rows: &FixedRows, row: usize, slot: usize) -> u64 {
        let slot = Slot::from_bytes(*rows.buffer[slot * SLOT_BYTES..].first_chunk().expect("it is there"));
        let at = rows.rows_at as usize + row * rows.stride as usize + slot.offset as usize;
        let mut eight = [0; 8];
        eight[..usize::from(slot.width)].copy_from_slice(&rows.buffer[at..at + usize::from(slot.width)]);
        slot.base.wrapping_add(u64::from_le_bytes(eight))
    }

    fn slots(widths: &[(u8, u64)]) -> (Vec<Slot>, u32) {
        let mut stride = 0;
        let of_width = |(width, base): &(u8, u64)| {
            let offset = stride;
            stride += u32::from(*width);
            Slot { base: *base, offset, width: *width }
        };
        let slots = widths.iter().map(of_width).collect();
        (slots, stride)
    }

    proptest! {
        #[test]
        fn numbers_are_what_a_checked_read_gives(
            widths in prop::collection::vec((0_u8..=8, any::<u64>()), 1..9),
            count in 0_u32..20,
            seed: u8,
        ) {
            let (slots, stride) = slots(&widths);
            let rows = FixedRows::new(&slots, count, stride, |rows| {
                rows.iter_mut().enumerate().for_each(|(at, byte)| *byte = (at as u8).wrapping_mul(seed | 1));
            });
            prop_assert!(rows.row(count).is_none());
            for (index, slot) in (0..count).flat_map(|row| (0..slots.len()).map(move |slot| (row, slot))) {
                let row = rows.row(index).expect("it is below the count");
                row.prefetch();
                let (start, end) = (checked(&rows, index as usize, slot), checked(&rows, index as usize + 1, slot));
                prop_assert_eq!(row.number(slot), start);
                prop_assert_eq!(row.span(slot), (start as usize, end as usize));
            }
        }

        #[test]
        fn bytes_are_compared_all_at_once(bytes: [u8; 16], byte: u8) {
            let byte = if byte & 1 == 0 { byte } else { bytes[usize::from(byte >> 4)] };
            prop_assert_eq!(equal_bytes(&bytes, byte), equal_bytes_one_by_one(&bytes, byte));
        }
    }

    #[test]
    #[should_panic(expected = "there is no slot 1")]
    fn a_slot_that_is_not_there_is_not_read() {
        let (slots, stride) = slots(&[(4, 0)]);
        FixedRows::new(&slots, 1, stride, |_| {}).row(0).expect("there is one row").number(1);
    }

    #[test]
    #[should_panic(expected = "a slot begins within its row")]
    fn a_slot_outside_its_row_is_refused() {
        FixedRows::new(&[Slot { base: 0, offset: 5, width: 4 }], 1, 4, |_| {});
    }
}
