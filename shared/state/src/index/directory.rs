//! A persistent vector in two levels: a root of chunks, a chunk of pages.
//!
//! The key index, the live bits and the value index all need numbered pages that one edit replaces without copying the
//! others. Two levels keep that cheap: an edit after a clone copies the root (a pointer per chunk) and one chunk.
//!
//! It is a radix tree of fixed height, as the persistent vectors of Clojure and `imbl` are of a growing one.
//!
//! Rules: every chunk but the last holds exactly `CHUNK` pages, and no chunk is empty.

use std::sync::Arc;

use crate::raw::ARC_BYTES;

/// Pages in a chunk. Copying a chunk touches the counter of each page in it, so it stays small.
const CHUNK: usize = 16;

/// Numbered pages, shared between clones until they are edited.
#[derive(Clone, Debug)]
pub(crate) struct Directory<P> {
    root: Arc<[Arc<[P]>]>,
    len: usize,
}

impl<P> Directory<P> {
    /// The number of pages.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The page with this number; panics beyond the end.
    #[inline(always)]
    pub(crate) fn page(&self, number: usize) -> &P {
        &self.root[number / CHUNK][number % CHUNK]
    }

    /// The page with this number, if there is one.
    #[inline(always)]
    pub(crate) fn get(&self, number: usize) -> Option<&P> {
        self.root.get(number / CHUNK)?.get(number % CHUNK)
    }

    /// The pages that are copied when this one is edited; none beyond the end.
    pub(crate) fn chunk_of(&self, number: usize) -> &[P] {
        self.root.get(number / CHUNK).map_or(&[], |chunk| chunk)
    }

    /// All pages in order.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &P> {
        self.root.iter().flat_map(|chunk| chunk.iter())
    }

    /// Bytes of both levels and of the pages' structs, without what these point to.
    pub(crate) fn memory_bytes(&self) -> usize {
        let root = ARC_BYTES + self.root.len() * (size_of::<Arc<[P]>>() + ARC_BYTES);
        root + self.len * size_of::<P>()
    }
}

impl<P: Clone> Directory<P> {
    /// So many copies of one page: chunks are shared until they are edited.
    pub(crate) fn filled(page: &P, len: usize) -> Directory<P> {
        let full: Arc<[P]> = vec![page.clone(); CHUNK].into();
        let rest: Arc<[P]> = vec![page.clone(); len % CHUNK].into();
        let chunks = std::iter::repeat_n(full, len / CHUNK);
        Directory { root: chunks.chain((!rest.is_empty()).then_some(rest)).collect(), len }
    }

    /// The page for editing: copies the root and its chunk if another clone shares them.
    pub(crate) fn page_mut(&mut self, number: usize) -> &mut P {
        let chunk = &mut Arc::make_mut(&mut self.root)[number / CHUNK];
        &mut Arc::make_mut(chunk)[number % CHUNK]
    }

    /// Adds a page at the end.
    pub(crate) fn push(&mut self, page: P) {
        let tail = self.len % CHUNK;
        if tail == 0 {
            let grown = self.root.iter().cloned().chain([Arc::from([page])]);
            self.root = grown.collect();
        } else {
            let last = Arc::make_mut(&mut self.root).last_mut();
            let chunk = last.expect("a partly filled chunk exists");
            *chunk = chunk.iter().cloned().chain([page]).collect();
        }
        self.len += 1;
    }

    /// Takes the last page away.
    pub(crate) fn pop(&mut self) -> Option<P> {
        let (last, before) = self.root.split_last()?;
        let (page, rest) = last.split_last().expect("no chunk is empty");
        let page = page.clone();
        if rest.is_empty() {
            self.root = Arc::from(before);
        } else {
            let rest = Arc::from(rest);
            let last = Arc::make_mut(&mut self.root).last_mut();
            *last.expect("the root has a last chunk") = rest;
        }
        self.len -= 1;
        Some(page)
    }
}

impl<P: Clone> FromIterator<P> for Directory<P> {
    fn from_iter<I: IntoIterator<Item = P>>(pages: I) -> Self {
        let pages: Vec<P> = pages.into_iter().collect();
        Self { root: pages.chunks(CHUNK).map(Arc::from).collect(), len: pages.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pushes_and_pops_leave_clones_alone() {
        let mut directory: Directory<usize> = (0..3).collect();
        let mut versions = vec![directory.clone()];
        for number in 3..100 {
            directory.push(number);
            versions.push(directory.clone());
        }
        *directory.page_mut(17) = 1_000;
        assert_eq!(*directory.page(17), 1_000);
        for version in versions.iter().rev() {
            assert_eq!(version.iter().copied().collect::<Vec<_>>(), (0..version.len()).collect::<Vec<_>>());
            assert_eq!(directory.len(), version.len());
            assert!(directory.get(version.len()).is_none());
            let expected = if version.len() == 18 { 1_000 } else { version.len() - 1 };
            assert_eq!(directory.pop(), Some(expected));
        }
        assert_eq!(directory.pop(), Some(1));
        assert_eq!(directory.pop(), Some(0));
        assert_eq!(directory.pop(), None);
    }

    #[test]
    fn a_filled_one_is_as_if_its_pages_were_pushed() {
        for len in [0, 1, 15, 16, 17, 32, 40] {
            let mut filled = Directory::filled(&7, len);
            let mut pushed: Directory<i32> = (0..len).map(|_| 7).collect();
            filled.push(8);
            pushed.push(8);
            *filled.page_mut(0) = 9;
            *pushed.page_mut(0) = 9;
            assert_eq!(filled.iter().collect::<Vec<_>>(), pushed.iter().collect::<Vec<_>>());
            assert_eq!(filled.len(), pushed.len());
        }
    }
}
