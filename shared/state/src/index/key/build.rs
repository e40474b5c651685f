//! Bulk building of the key index: entries are sorted by page once, then each page is laid out in one go.
//!
//! Rules: the result does not depend on the number of threads; within a page, entries keep the order they came in.

use super::line::{self, Line, SLOTS};
use super::{FRESH_LINE_ENTRIES, KeyIndex, PAGE_ENTRIES, PAGE_ENTRIES_MAX, Page, home_of, page_of, tag_of};
use crate::parallel;
use std::ops::Range;
use std::sync::{Arc, Mutex};

type Entry = (u64, u32);

/// An entry without the four bytes that would align it: while an index is built, all of them are in memory with it.
type Dealt = [u32; 3];

fn dealt_of((hash, ordinal): Entry) -> Dealt {
    [hash as u32, (hash >> 32) as u32, ordinal]
}

fn entry_of([low, high, ordinal]: Dealt) -> Entry {
    (u64::from(high) << 32 | u64::from(low), ordinal)
}

/// Pages of a part, at least: what is sorted at once then stays in a core's cache.
const PART_PAGES: usize = 64;
/// Parts, at most: each is written to in turn while entries are dealt.
const PARTS_MAX: usize = 128;

impl KeyIndex {
    /// Builds the index of these (hash, ordinal) entries, each of which is here once.
    #[must_use]
    pub fn build(entries: &[Entry]) -> Self {
        let built = Self::of_shares(entries.len(), &[entries], 1, usize::MAX, |entries| entries.iter().copied());
        built.expect("no page has more entries than there are")
    }

    /// `build` of about `len` entries that come in shares, on so many threads; the same structure comes out. None where
    /// so many hashes are alike that the keys can't all be different.
    #[must_use]
    pub(crate) fn build_parallel<S: Sync, E: Iterator<Item = Entry>>(
        len: usize,
        shares: &[S],
        threads: usize,
        entries_of: impl Fn(&S) -> E + Sync,
    ) -> Option<Self> {
        Self::of_shares(len, shares, threads, PAGE_ENTRIES_MAX, entries_of)
    }

    /// Entries are never all in one place: they are dealt to parts of neighbouring pages as they come, and a part at a
    /// time is sorted. A load needs little memory in addition to the state while it does this.
    fn of_shares<S: Sync, E: Iterator<Item = Entry>>(
        len: usize,
        shares: &[S],
        threads: usize,
        page_entries_max: usize,
        entries_of: impl Fn(&S) -> E + Sync,
    ) -> Option<Self> {
        let count = page_count(len);
        let pages = count.div_ceil(PARTS_MAX).max(PART_PAGES);
        let parts: Vec<Range<usize>> =
            (0..count).step_by(pages).map(|start| start..(start + pages).min(count)).collect();
        let expected = len / shares.len().max(1) / parts.len() * 9 / 8;
        let dealt = parallel::map(shares, threads, |share| {
            let mut dealt: Vec<Vec<Dealt>> = parts.iter().map(|_| Vec::with_capacity(expected)).collect();
            entries_of(share).for_each(|entry| dealt[page_of(entry.0, count) / pages].push(dealt_of(entry)));
            dealt.into_iter().map(Mutex::new).collect::<Vec<_>>()
        });
        let packed = parallel::map(&parts, threads, |part| {
            // Taken out, so that a part's room is free again when its pages are there.
            let take = |dealt: &Vec<Mutex<Vec<Dealt>>>| {
                std::mem::take(&mut *dealt[part.start / pages].lock().expect("taking entries does not panic"))
            };
            pack_pages(part.clone(), count, page_entries_max, &dealt.iter().map(take).collect::<Vec<_>>())
        });
        let pages: Vec<Page> = packed.into_iter().collect::<Option<Vec<_>>>()?.into_iter().flatten().collect();
        let len = pages.iter().map(|page| page.len as usize).sum();
        Some(Self::of_pages(pages.into_iter().collect(), len))
    }
}

impl Page {
    /// Lays entries out at the usual fill.
    pub(super) fn pack(entries: &[Entry]) -> Self {
        Self::pack_into(entries, entries.len().div_ceil(FRESH_LINE_ENTRIES).max(1))
    }

    /// Lays entries out in so many lines. Home lines first: what spills takes only slots that no home line needs.
    pub(super) fn pack_into(entries: &[Entry], count: usize) -> Self {
        let mut lines = vec![Line::EMPTY; count];
        let mut filled = vec![0_u8; count];
        let mut late = Vec::new();
        for &(hash, ordinal) in entries {
            let home = home_of(hash, count);
            let slot = usize::from(filled[home]);
            if slot < SLOTS {
                lines[home].set(slot, tag_of(hash), ordinal);
                filled[home] += 1;
            } else {
                late.push((hash, ordinal));
            }
        }
        for (hash, ordinal) in late {
            line::place(&mut lines, home_of(hash, count), tag_of(hash), ordinal);
        }
        let len = u32::try_from(entries.len()).expect("ordinals are 32 bits");
        Self { lines: Arc::from(lines), len }
    }
}

fn page_count(entries: usize) -> usize {
    entries.div_ceil(PAGE_ENTRIES).max(1)
}

/// Packs a range of `count` pages from sources that hold entries of this range only: a counting sort by page. None where
/// one would have more than `entries_max`.
fn pack_pages(range: Range<usize>, count: usize, entries_max: usize, sources: &[Vec<Dealt>]) -> Option<Vec<Page>> {
    let entries = || sources.iter().flatten().copied().map(entry_of);
    let mut ends = vec![0_usize; range.len() + 1];
    for (hash, _) in entries() {
        ends[page_of(hash, count) - range.start + 1] += 1;
    }
    if ends.iter().any(|entries| *entries > entries_max) {
        return None;
    }
    for number in 0..range.len() {
        ends[number + 1] += ends[number];
    }
    let mut sorted = vec![(0, 0); ends[range.len()]];
    for entry in entries() {
        let end = &mut ends[page_of(entry.0, count) - range.start];
        sorted[*end] = entry;
        *end += 1;
    }
    // Each page's start has moved to its end, which is the next one's start.
    let starts = std::iter::once(0).chain(ends.iter().copied());
    Some(starts.zip(&ends[..range.len()]).map(|(start, end)| Page::pack(&sorted[start..*end])).collect())
}
