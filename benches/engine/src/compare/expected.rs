//! The right answers, reduced to what sums need, so that they take little memory next to the largest system.

use crate::peers::{Answer, Consume, text_sum, three_fields};
use crate::workload::{COUNTRIES, Catalog, Change, Movie, rating_integer, rating_of};

/// The generator's records at the version that is checked.
pub(super) struct Expected {
    pub(super) catalog: Catalog,
    records: Vec<Entry>,
    ratings: Vec<u16>,
    by_country: Vec<u64>,
}

struct Entry {
    title_sum: u16,
    year: u16,
    runtime_minutes: u16,
    cast_sum: u16,
}

/// The most records that are compared in full; sums cover all of them.
const COMPARED: u64 = 200_000;

impl Expected {
    pub(super) fn new(records: u64) -> Self {
        let catalog = Catalog::new(records);
        let mut by_country = vec![0; COUNTRIES];
        let (mut entries, mut ratings) = (Vec::new(), Vec::new());
        for movie in catalog.movies() {
            let number: usize = movie.country["country-".len()..].parse().expect("countries end in a number");
            by_country[number] += 1;
            ratings.push(rating_integer(movie.rating));
            entries.push(Entry::of(&movie));
        }
        entries.shrink_to_fit();
        ratings.shrink_to_fit();
        Self { catalog, records: entries, ratings, by_country }
    }

    /// Applies a change set.
    pub(super) fn change(&mut self, size: u64, repetition: u64) -> Vec<Change> {
        let changes = self.catalog.changes(size, repetition, &mut self.ratings);
        for change in &changes {
            self.records[change.id as usize].runtime_minutes = change.runtime_minutes;
        }
        changes
    }

    pub(super) fn sum_3_fields(&self, keys: &[u64]) -> u64 {
        let sum = |&key: &u64| {
            let rating = rating_of(self.ratings[key as usize]);
            let entry = &self.records[key as usize];
            // `title_sum` is the part of the title; an empty title adds nothing.
            u64::from(entry.title_sum) + three_fields("", entry.year, rating)
        };
        keys.iter().map(sum).sum()
    }

    pub(super) fn sum_cast(&self, keys: &[u64]) -> u64 {
        keys.iter().map(|&key| u64::from(self.records[key as usize].cast_sum)).sum()
    }

    pub(super) fn sum_ratings(&self) -> f64 {
        self.ratings.iter().map(|&integer| f64::from(rating_of(integer))).sum()
    }

    pub(super) fn sum_countries(&self, keys: &[u64]) -> u64 {
        keys.iter().map(|&key| self.by_country[(key % COUNTRIES as u64) as usize]).sum()
    }

    /// Compares every field of records all over the catalog.
    pub(super) fn check_all(&self, consumer: &dyn Consume) -> Answer<()> {
        let stride = self.catalog.records().div_ceil(COMPARED);
        (0..self.catalog.records()).step_by(stride as usize).try_for_each(|id| self.check(consumer, id))?;
        match consumer.movie(self.catalog.records())? {
            None => Ok(()),
            Some(movie) => Err(format!("movie {} exists, but was never published", movie.id).into()),
        }
    }

    /// Compares the records that a change set changed, every field of a thousand of them.
    pub(super) fn check_changed(&self, consumer: &dyn Consume, changes: &[Change]) -> Answer<()> {
        let stride = changes.len().div_ceil(1_000);
        changes.iter().step_by(stride).try_for_each(|change| self.check(consumer, change.id))
    }

    fn check(&self, consumer: &dyn Consume, id: u64) -> Answer<()> {
        let mut expected = self.catalog.movie(id);
        expected.rating = rating_of(self.ratings[id as usize]);
        expected.runtime_minutes = self.records[id as usize].runtime_minutes;
        match consumer.movie(id)? {
            Some(found) if found == expected => Ok(()),
            found => Err(format!("movie {id} is {found:?}, expected {expected:?}").into()),
        }
    }
}

impl Entry {
    fn of(movie: &Movie) -> Self {
        let cast_sum: u64 = movie.cast.iter().map(|actor| text_sum(&actor.name)).sum();
        Self {
            title_sum: text_sum(&movie.title) as u16,
            year: movie.year,
            runtime_minutes: movie.runtime_minutes,
            cast_sum: cast_sum as u16,
        }
    }
}
