//! A line of the key index: 12 slots in one cache line.
//!
//! Rules: tag 0 means a free slot; `spilled` counts the entries that belong here and stand in a later line, `reach` is
//! at least the distance of the furthest, `spilled_tags` has a bit for the tag of each, so that nine misses in ten need
//! not look further though something spilled. The numbers saturate: then the reach is the whole page, until the page is
//! laid out anew (only hundreds of equal hashes get there).

pub(super) const SLOTS: usize = 12;

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Line {
    tags: [u8; SLOTS],
    reach: u8,
    spilled: u8,
    spilled_tags: u16,
    pub(super) ordinals: [u32; SLOTS],
}

const _: () = assert!(size_of::<Line>() == 64);

impl Line {
    pub(super) const EMPTY: Self =
        Self { tags: [0; SLOTS], reach: 0, spilled: 0, spilled_tags: 0, ordinals: [0; SLOTS] };

    /// The slots with this tag, compared all at once; `slots_with(0)` are the free ones.
    #[inline(always)]
    pub(super) fn slots_with(&self, tag: u8) -> Slots {
        let [a, b, c, d, e, f, g, h, rest @ ..] = self.tags;
        let first = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let last = u64::from(u32::from_le_bytes(rest));
        let splat = u64::from(tag) * LOW_BITS;
        // The upper half of `last` is not tags. Its lower half moves into the gaps between the bits of `first`.
        let last = zero_bytes(last ^ splat) & 0x8080_8080;
        Slots(zero_bytes(first ^ splat) | last >> 4)
    }

    pub(super) fn ordinals(&self) -> impl Iterator<Item = u32> {
        self.tags.iter().zip(self.ordinals).filter(|(tag, _)| **tag != 0).map(|(_, ordinal)| ordinal)
    }

    /// Whether an entry with this home and tag may stand in a later line.
    #[inline(always)]
    pub(super) fn may_have_spilled(&self, tag: u8) -> bool {
        self.spilled_tags & tag_bit(tag) != 0
    }

    /// How many lines after this one hold entries of this home, in a page of `lines`.
    #[inline(always)]
    pub(super) fn reach_in(&self, lines: usize) -> usize {
        if self.reach == u8::MAX { lines - 1 } else { usize::from(self.reach) }
    }

    /// Fills a slot.
    #[inline(always)]
    pub(super) fn set(&mut self, slot: usize, tag: u8, ordinal: u32) {
        self.tags[slot] = tag;
        self.ordinals[slot] = ordinal;
    }

    /// Frees a slot.
    pub(super) fn clear(&mut self, slot: usize) {
        self.set(slot, 0, 0);
    }

    /// Notes that an entry of this home stands `distance` lines later.
    fn spill(&mut self, tag: u8, distance: usize) {
        self.spilled = self.spilled.saturating_add(1);
        self.spilled_tags |= tag_bit(tag);
        self.reach = self.reach.max(u8::try_from(distance).unwrap_or(u8::MAX));
    }

    /// Notes that such an entry has gone.
    pub(super) fn unspill(&mut self) {
        if self.spilled == u8::MAX {
            return;
        }
        self.spilled -= 1;
        if self.spilled == 0 {
            self.reach = 0;
            self.spilled_tags = 0;
        }
    }

    pub(super) fn check_invariants(&self, spilled: usize) {
        let counted = usize::from(self.spilled);
        assert!(counted == spilled || self.spilled == u8::MAX, "a line counts what spilled out of it");
        assert_eq!(self.spilled == 0, self.reach == 0, "a line reaches as long as something spilled");
        assert_eq!(self.spilled == 0, self.spilled_tags == 0, "a line filters as long as something spilled");
    }
}

#[inline(always)]
fn tag_bit(tag: u8) -> u16 {
    1 << (tag & 15)
}

/// Puts an entry into the first free slot from its home line on; the page must have one.
pub(super) fn place(lines: &mut [Line], home: usize, tag: u8, ordinal: u32) {
    let free = |distance: &usize| lines[(home + distance) % lines.len()].slots_with(0).next();
    let found = (0..lines.len()).find_map(|distance| Some((distance, free(&distance)?)));
    let (distance, slot) = found.expect("a page always has a free slot");
    if distance > 0 {
        lines[home].spill(tag, distance);
    }
    lines[(home + distance) % lines.len()].set(slot, tag, ordinal);
}

/// Slots of a line as bits: slot s < 8 at bit 8 s + 7, the four after them at 8 (s - 8) + 3.
pub(super) struct Slots(u64);

impl Slots {
    /// The ordinals in these slots of a line.
    #[inline(always)]
    pub(super) fn ordinals_in(self, line: &Line) -> impl Iterator<Item = u32> {
        self.map(|slot| line.ordinals[slot])
    }
}

impl Iterator for Slots {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let bit = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some((bit >> 3) + ((!bit & 4) << 1))
    }
}

/// The high bit of every byte that is zero, exactly.
#[inline(always)]
fn zero_bytes(word: u64) -> u64 {
    !(((word & !HIGH_BITS) + !HIGH_BITS) | word) & HIGH_BITS
}
