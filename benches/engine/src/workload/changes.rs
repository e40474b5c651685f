//! Change sets: what changes in the source of truth between two versions.
//!
//! A change gives one movie another rating and runtime. Every set changes exactly as many records as its size says, so it
//! depends on the current ratings.

use std::collections::HashSet;

use super::catalog::{Catalog, Movie, rating_of};
use super::random::{Stream, Subject};

/// One movie's new rating and runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The movie.
    pub id: u64,
    /// The new rating in hundredths; never the one it had.
    pub rating_integer: u16,
    /// The new runtime; may be the one it had.
    pub runtime_minutes: u16,
}

impl Change {
    /// The new rating.
    #[must_use]
    pub fn rating(&self) -> f32 {
        rating_of(self.rating_integer)
    }

    /// Applies the change to a movie.
    pub fn apply(&self, movie: &mut Movie) {
        movie.rating = self.rating();
        movie.runtime_minutes = self.runtime_minutes;
    }
}

/// The sizes of change sets that are measured on a catalog of `records` movies.
#[must_use]
pub fn change_set_sizes(records: u64) -> Vec<u64> {
    [10, 1_000, 100_000].into_iter().filter(|&size| size <= records).collect()
}

impl Catalog {
    /// Change set number `repetition` of `size` movies, in its order.
    ///
    /// `ratings` are the rating integers before it (at first [`Catalog::rating_integers`]) and, on return, after it.
    pub fn changes(&self, size: u64, repetition: u64, ratings: &mut [u16]) -> Vec<Change> {
        assert!(size <= self.records(), "{size} changes need as many movies, not {}", self.records());
        let mut stream = Stream::new(Subject::Changes, size * 1000 + repetition);
        let mut taken = HashSet::with_capacity(size as usize);
        let mut draw = |_| {
            let mut id = stream.below(self.records());
            while !taken.insert(id) {
                id = (id + 1) % self.records();
            }
            let current = &mut ratings[id as usize];
            let mut rating_integer = stream.below(1001) as u16;
            if rating_integer == *current {
                rating_integer = (rating_integer + 1) % 1001;
            }
            *current = rating_integer;
            let runtime_minutes = 40 + stream.below(201) as u16;
            Change { id, rating_integer, runtime_minutes }
        };
        (0..size).map(&mut draw).collect()
    }
}
