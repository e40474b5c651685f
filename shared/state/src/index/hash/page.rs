//! A page of the value index: a few values, their bytes in one heap, and their postings.
//!
//! Rules: value n ends at `ends[n]` and starts where the one before ends; as many ends as postings.

use crate::index::Postings;
use std::ops::Range;

/// Values of a page: few, since a change copies them all.
pub(super) const PAGE_VALUES: usize = 16;

#[derive(Clone, Debug, Default)]
pub(super) struct ValuePage {
    heap: Vec<u8>,
    ends: Vec<usize>,
    postings: Vec<Postings>,
}

impl ValuePage {
    pub(super) fn get(&self, number: usize) -> (&[u8], &Postings) {
        (&self.heap[self.range(number)], &self.postings[number])
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &Postings)> {
        (0..self.ends.len()).map(|number| self.get(number))
    }

    pub(super) fn postings_mut(&mut self, number: usize) -> &mut Postings {
        &mut self.postings[number]
    }

    pub(super) fn push(&mut self, value: &[u8], postings: Postings) {
        self.heap.extend_from_slice(value);
        self.ends.push(self.heap.len());
        self.postings.push(postings);
    }

    pub(super) fn pop(&mut self) -> (Vec<u8>, Postings) {
        let start = self.range(self.ends.len() - 1).start;
        self.ends.pop();
        (self.heap.split_off(start), self.postings.pop().expect("a page in use has a value"))
    }

    /// Puts another value and its postings in the place of one.
    pub(super) fn replace(&mut self, number: usize, value: &[u8], postings: Postings) {
        let old = self.range(number);
        for end in &mut self.ends[number..] {
            *end = *end - old.len() + value.len();
        }
        self.heap.splice(old, value.iter().copied());
        self.postings[number] = postings;
    }

    /// Gives back room that a full page will not use.
    pub(super) fn shrink(&mut self) {
        self.heap.shrink_to_fit();
    }

    /// Bytes held, this struct and the postings included.
    pub(super) fn memory_bytes(&self) -> usize {
        let spare = self.postings.capacity() - self.postings.len();
        let postings = self.postings.iter().map(Postings::memory_bytes).sum::<usize>() + spare * size_of::<Postings>();
        size_of::<Self>() + self.heap.capacity() + self.ends.capacity() * size_of::<usize>() + postings
    }

    fn range(&self, number: usize) -> Range<usize> {
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        start..self.ends[number]
    }
}
