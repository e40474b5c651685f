//! The systems that the engine is held against, each behind the same small trait, so that one runner measures them all.
//!
//! A system has two sides, as in life: [`Produce`] turns the source of truth into versions in a folder, [`Consume`] reads
//! them in another process. What a system cannot do it refuses in words ([`Refusal::Unsupported`]); nothing is left out
//! silently and nothing is built for it that its users would not have.
//!
//! Rules: reads return sums that the runner compares with the generator; loops over keys run inside the system, so that
//! no call through the trait is in what a look-up costs; a whole load makes its own copy of everything.

pub mod cenote;
mod files;
mod handmade;
#[cfg(feature = "peers")]
mod lmdb;
mod map;
mod map_cow;
mod map_plain;
#[cfg(feature = "peers")]
mod redb;
#[cfg(feature = "peers")]
mod redis;
#[cfg(feature = "peers")]
mod sqlite;
#[cfg(test)]
mod tests;
#[cfg(feature = "peers")]
mod values;

use std::error::Error;
use std::path::{Path, PathBuf};

use crate::workload::Movie;

/// All systems, in the order in which they are shown.
///
/// The engine itself stands first: `cenote` with all text plain and `cenote-packed` with the synopsis packed.
#[must_use]
pub fn all() -> Vec<Box<dyn System>> {
    vec![
        Box::new(cenote::PLAIN),
        Box::new(cenote::PACKED),
        Box::new(map::Map),
        Box::new(map_cow::MapCow),
        Box::new(map_plain::MapPlain),
        #[cfg(feature = "peers")]
        Box::new(lmdb::Lmdb),
        #[cfg(feature = "peers")]
        Box::new(redb::Redb),
        #[cfg(feature = "peers")]
        Box::new(sqlite::Sqlite { on: sqlite::On::Memory }),
        #[cfg(feature = "peers")]
        Box::new(sqlite::Sqlite { on: sqlite::On::File }),
        #[cfg(feature = "peers")]
        Box::new(redis::Redis),
    ]
}

/// Why a system gave no answer. Not an [`Error`] itself, so that every error turns into one with `?`.
#[derive(Debug)]
pub enum Refusal {
    /// It has no such operation; the text says what it lacks.
    Unsupported(&'static str),
    /// It has, and it went wrong.
    Failed(Box<dyn Error + Send + Sync>),
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// What a system answers.
pub type Answer<T> = Result<T, Refusal>;

/// A system under comparison.
pub trait System: Sync {
    /// Its name on the command line and in the rows.
    fn name(&self) -> &'static str;

    /// What must be on the machine and is not; the system is then skipped with this line.
    fn missing(&self) -> Option<String> {
        None
    }

    /// How many versions of 1,000 changes there should be to refresh to while look-ups are timed.
    fn spare_versions(&self) -> u64;

    /// Whether a consumer can refresh to an older version as to a newer one, as who replaces the whole can.
    fn goes_back(&self) -> bool {
        false
    }

    /// The side that publishes to `place`, which is empty.
    fn produce(&self, place: Place) -> Answer<Box<dyn Produce>>;

    /// The side that reads what was published to `folder`; it has read nothing yet.
    fn consume(&self, folder: &Path) -> Answer<Box<dyn Consume>>;
}

/// Where versions go.
#[derive(Debug, Clone)]
pub enum Place {
    /// Nowhere that outlives the producer: for cycles whose storage is not counted.
    Memory,
    /// Files for a consumer.
    Folder(PathBuf),
}

/// A version that was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Published {
    /// Its number; they rise.
    pub version: u64,
    /// What it takes on storage, as the system stores it, where that can be told.
    pub stored: Option<u64>,
    /// The same compressed; equal to `stored` where the system compresses itself.
    pub compressed: Option<u64>,
}

/// The publishing side.
pub trait Produce {
    /// Publishes the whole dataset for the first time.
    fn publish(&mut self, movies: &[Movie]) -> Answer<Published>;

    /// Goes through the whole dataset again to find out what changed; nothing did.
    fn republish(&mut self, _movies: &[Movie]) -> Answer<()> {
        Err(Refusal::Unsupported("there is no full cycle: changes are told, not found"))
    }

    /// Publishes a version that differs in the movies at these places; `movies` holds all, changed already.
    fn update(&mut self, movies: &[Movie], changed: &[usize]) -> Answer<Published>;
}

/// How the memory of a system is found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// All of it comes from the process's counting allocator.
    Heap,
    /// Some is mapped or comes from C: the growth of the resident set.
    Resident,
    /// Another process holds it, and reports this many bytes.
    Reported(u64),
}

/// The reading side. Reads may go on on several threads while a refresh runs on another.
pub trait Consume: Send + Sync {
    /// Loads a version whole, with the key index, from files.
    fn load(&mut self, version: u64) -> Answer<()>;

    /// Moves on to the next version; returns when readers see it.
    fn refresh(&self, version: u64) -> Answer<()>;

    /// Where its memory is.
    fn memory(&self) -> Memory;

    /// One record, taken out whole, to be compared with the generator.
    fn movie(&self, id: u64) -> Answer<Option<Movie>>;

    /// Looks all keys up, with one view per `batch` keys: how many were found.
    fn lookup(&self, _keys: &[u64], _batch: usize) -> Answer<u64> {
        Err(NO_READS)
    }

    /// The same with title, year and rating read: the sum that WORKLOAD.md says.
    fn lookup_3_fields(&self, _keys: &[u64], _batch: usize) -> Answer<u64> {
        Err(NO_READS)
    }

    /// Whether it has a way of its own to look several keys up at once.
    fn has_many(&self) -> bool {
        false
    }

    /// `lookup` by that way, with one view per `batch` keys.
    fn lookup_many(&self, keys: &[u64], batch: usize) -> Answer<u64> {
        self.lookup(keys, batch)
    }

    /// `lookup_3_fields` by that way.
    fn lookup_3_fields_many(&self, keys: &[u64], batch: usize) -> Answer<u64> {
        self.lookup_3_fields(keys, batch)
    }

    /// Looks up and reads the names of the cast: the sum that WORKLOAD.md says.
    fn cast_walk(&self, _keys: &[u64]) -> Answer<u64> {
        Err(NO_READS)
    }

    /// The sum of all ratings.
    fn full_scan(&self) -> Answer<f64> {
        Err(NO_READS)
    }

    /// Builds the index by country, for the two operations below; not counted as memory.
    fn index_countries(&mut self) -> Answer<()> {
        Err(NO_INDEX)
    }

    /// For each key, the number of movies of country `key mod 200`; their sum.
    fn country_find(&self, _keys: &[u64]) -> Answer<u64> {
        Err(NO_INDEX)
    }

    /// For each country, all its movies: their number in all.
    fn country_iterate(&self) -> Answer<u64> {
        Err(NO_INDEX)
    }
}

const NO_READS: Refusal = Refusal::Unsupported("it is here for its memory only");
const NO_INDEX: Refusal = Refusal::Unsupported("it has no index besides its key");

/// What reading the three fields adds to the sum.
pub(crate) fn three_fields(title: &str, year: u16, rating: f32) -> u64 {
    text_sum(title) + u64::from(year) + rating as u64
}

/// What reading a text adds to the sum.
pub(crate) fn text_sum(text: &str) -> u64 {
    text.len() as u64 + text.as_bytes().first().map_or(0, |&byte| u64::from(byte))
}
