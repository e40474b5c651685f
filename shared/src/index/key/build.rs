//! Bulk building of the key index: entries are sorted by page once, then each page is laid out in one go.
//!
//! Rules: the result does not depend on the number of threads; within a page, entries keep the order they came in.

use super::line::{self, Line, SLOTS};
use super::{FRESH_LINE_ENTRIES, KeyIndex, PAGE_ENTRIES, Page, home_of, page_of, tag_of};
use std::ops::Range;
use std::sync::Arc;
use std::thread;

type Entry = (u64, u32);

impl KeyIndex {
    /// Builds the index of these (hash, ordinal) entries, each of which stands here once.
    #[must_use]
    pub fn build(entries: &[Entry]) -> Self {
        let count = page_count(entries.len());
        let pages = pack_pages(0..count, count, &[entries]);
        Self::of_pages(pages.into_iter().collect(), entries.len())
    }

    /// `build` on so many threads; the same structure comes out.
    #[must_use]
    pub fn build_parallel(entries: &[Entry], threads: usize) -> Self {
        let count = page_count(entries.len());
        let threads = threads.clamp(1, count);
        if threads == 1 {
            return Self::build(entries);
        }
        let share = count.div_ceil(threads);
        let parts = thread::scope(|scope| {
            let slices = entries.chunks(entries.len().div_ceil(threads));
            let workers: Vec<_> = slices.map(|slice| scope.spawn(move || deal(slice, count, share))).collect();
            workers.into_iter().map(|worker| worker.join().expect("dealing does not panic")).collect::<Vec<_>>()
        });
        let pages = thread::scope(|scope| {
            let ranges = (0..count).step_by(share).map(|start| start..(start + share).min(count));
            let pack = |(part, range): (usize, Range<usize>)| {
                let sources: Vec<&[Entry]> = parts.iter().map(|dealt| &*dealt[part]).collect();
                scope.spawn(move || pack_pages(range, count, &sources))
            };
            let workers: Vec<_> = ranges.enumerate().map(pack).collect();
            workers.into_iter().flat_map(|worker| worker.join().expect("packing does not panic")).collect::<Vec<_>>()
        });
        Self::of_pages(pages.into_iter().collect(), entries.len())
    }
}

impl Page {
    /// Lays entries out at the usual fill.
    pub(super) fn pack(entries: &[Entry]) -> Self {
        Self::pack_into(entries, entries.len().div_ceil(FRESH_LINE_ENTRIES).max(1))
    }

    /// Lays entries out in so many lines. Home lines first: what spills takes only slots that nobody's home needs.
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

/// Deals entries to the threads that will pack them, `share` pages each.
fn deal(entries: &[Entry], count: usize, share: usize) -> Vec<Vec<Entry>> {
    let parts = count.div_ceil(share);
    let mut dealt: Vec<_> = (0..parts).map(|_| Vec::with_capacity(entries.len() / parts * 9 / 8)).collect();
    for entry in entries {
        dealt[page_of(entry.0, count) / share].push(*entry);
    }
    dealt
}

/// Packs a range of `count` pages from sources that hold entries of this range only: a counting sort by page.
fn pack_pages(range: Range<usize>, count: usize, sources: &[&[Entry]]) -> Vec<Page> {
    let entries = || sources.iter().flat_map(|source| source.iter());
    let mut ends = vec![0_usize; range.len() + 1];
    for (hash, _) in entries() {
        ends[page_of(*hash, count) - range.start + 1] += 1;
    }
    for number in 0..range.len() {
        ends[number + 1] += ends[number];
    }
    let mut sorted = vec![(0, 0); ends[range.len()]];
    for entry in entries() {
        let end = &mut ends[page_of(entry.0, count) - range.start];
        sorted[*end] = *entry;
        *end += 1;
    }
    // Each page's start has moved to its end, which is the next one's start.
    let starts = std::iter::once(0).chain(ends.iter().copied());
    starts.zip(&ends[..range.len()]).map(|(start, end)| Page::pack(&sorted[start..*end])).collect()
}
