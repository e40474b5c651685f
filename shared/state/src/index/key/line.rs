//! A line of the key index: 12 slots in one cache line.
//!
//! Rules: tag 0 means a free slot; `spilled` counts the entries that belong here and are in a later line, `reach` is
//! at least the distance of the furthest, `spilled_tags` has a bit for the tag of each, so that nine misses in ten need
//! not look further though something spilled. The numbers saturate: then the reach is the whole page, until the page is
//! laid out again (only hundreds of equal hashes get there).

use crate::raw::equal_bytes;

pub(super) const SLOTS: usize = 12;

/// The offsets of `reach`, `spilled` and the two bytes of `spilled_tags`, after the tags.
const REACH: usize = SLOTS;
const SPILLED: usize = SLOTS + 1;
const SPILLED_TAGS: usize = SLOTS + 2;

#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Line {
    /// The tags, then what has spilled: sixteen bytes, so that one instruction compares all tags.
    head: [u8; 16],
    pub(super) ordinals: [u32; SLOTS],
}

const _: () = assert!(size_of::<Line>() == 64);

impl Line {
    pub(super) const EMPTY: Self = Self { head: [0; 16], ordinals: [0; SLOTS] };

    /// The slots with this tag, compared all at once; `slots_with(0)` are the free ones.
    #[inline(always)]
    pub(super) fn slots_with(&self, tag: u8) -> Slots {
        Slots(equal_bytes(&self.head, tag) & ((1 << SLOTS) - 1))
    }

    pub(super) fn ordinals(&self) -> impl Iterator<Item = u32> {
        self.head.iter().zip(self.ordinals).filter(|(tag, _)| **tag != 0).map(|(_, ordinal)| ordinal)
    }

    #[inline(always)]
    fn spilled_tags(&self) -> u16 {
        u16::from_le_bytes([self.head[SPILLED_TAGS], self.head[SPILLED_TAGS + 1]])
    }

    fn set_spilled_tags(&mut self, tags: u16) {
        self.head[SPILLED_TAGS..].copy_from_slice(&tags.to_le_bytes());
    }

    /// Whether an entry with this home and tag may be in a later line.
    #[inline(always)]
    pub(super) fn may_have_spilled(&self, tag: u8) -> bool {
        self.spilled_tags() & tag_bit(tag) != 0
    }

    /// How many lines after this one hold entries of this home, in a page of `lines`.
    #[inline(always)]
    pub(super) fn reach_in(&self, lines: usize) -> usize {
        if self.head[REACH] == u8::MAX { lines - 1 } else { usize::from(self.head[REACH]) }
    }

    /// Fills a slot.
    #[inline(always)]
    pub(super) fn set(&mut self, slot: usize, tag: u8, ordinal: u32) {
        self.head[..SLOTS][slot] = tag;
        self.ordinals[slot] = ordinal;
    }

    /// Frees a slot.
    pub(super) fn clear(&mut self, slot: usize) {
        self.set(slot, 0, 0);
    }

    /// Notes that an entry of this home is `distance` lines later.
    fn spill(&mut self, tag: u8, distance: usize) {
        self.head[SPILLED] = self.head[SPILLED].saturating_add(1);
        self.set_spilled_tags(self.spilled_tags() | tag_bit(tag));
        self.head[REACH] = self.head[REACH].max(u8::try_from(distance).unwrap_or(u8::MAX));
    }

    /// Notes that such an entry is removed.
    pub(super) fn unspill(&mut self) {
        if self.head[SPILLED] == u8::MAX {
            return;
        }
        self.head[SPILLED] -= 1;
        if self.head[SPILLED] == 0 {
            self.head[REACH] = 0;
            self.set_spilled_tags(0);
        }
    }

    pub(super) fn check_invariants(&self, spilled: usize) {
        let counted = self.head[SPILLED];
        assert!(usize::from(counted) == spilled || counted == u8::MAX, "a line counts what spilled out of it");
        assert_eq!(counted == 0, self.head[REACH] == 0, "a line reaches as long as something spilled");
        assert_eq!(counted == 0, self.spilled_tags() == 0, "a line filters as long as something spilled");
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

/// Slots of a line, a bit each.
#[derive(Clone, Copy)]
pub(super) struct Slots(u16);

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
        let slot = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(slot)
    }
}
