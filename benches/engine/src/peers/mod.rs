//! The systems of the comparison, each with the same small traits, so that one runner measures them all.
//!
//! A system has two sides: [`Produce`] turns the source of truth into versions in a folder, [`Consume`] reads them in
//! another process. A system refuses what it cannot do, with a reason ([`Refusal::Unsupported`]): nothing is left out
//! silently, and nothing is built for a system that its users would not have.
//!
//! Rules: reads return sums that the runner compares with the generator; loops over keys run inside the system, so that
//! the cost of a look-up includes no call through the trait; a load copies the whole dataset.

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
/// The engine is first: `cenote` with all text plain and `cenote-packed` with the synopsis packed.
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

/// Why a system gave no answer. It is not an [`Error`], so that `?` converts every error.
#[derive(Debug)]
pub enum Refusal {
    /// The system has no such operation; the text says what it lacks.
    Unsupported(&'static str),
    /// The operation failed.
    Failed(Box<dyn Error + Send + Sync>),
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// The answer of a system.
pub type Answer<T> = Result<T, Refusal>;

/// A system under comparison.
pub trait System: Sync {
    /// The name on the command line and in rows.
    fn name(&self) -> &'static str;

    /// What the machine lacks for this system, which is then skipped.
    fn missing(&self) -> Option<String> {
        None
    }

    /// The number of versions of 1,000 changes to refresh to while look-ups are timed.
    fn spare_versions(&self) -> u64;

    /// Whether a consumer can refresh to an older version: true for systems that replace the whole dataset.
    fn goes_back(&self) -> bool {
        false
    }

    /// Creates the side that publishes to `place`, which is empty.
    fn produce(&self, place: Place) -> Answer<Box<dyn Produce>>;

    /// Creates the side that reads from `folder`; it has read nothing yet.
    fn consume(&self, folder: &Path) -> Answer<Box<dyn Consume>>;
}

/// Where versions go.
#[derive(Debug, Clone)]
pub enum Place {
    /// Memory of the producer: for cycles without storage.
    Memory,
    /// Files for a consumer.
    Folder(PathBuf),
}

/// A published version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Published {
    /// The number of the version; numbers rise.
    pub version: u64,
    /// The bytes that the system stores for it, if known.
    pub stored: Option<u64>,
    /// The same compressed; equal to `stored` where the system compresses itself.
    pub compressed: Option<u64>,
}

/// The publishing side.
pub trait Produce {
    /// Publishes the whole dataset for the first time.
    fn publish(&mut self, movies: &[Movie]) -> Answer<Published>;

    /// Compares the whole dataset with the last version, in a cycle in which nothing changed.
    fn republish(&mut self, _movies: &[Movie]) -> Answer<()> {
        Err(Refusal::Unsupported("there is no full cycle: the caller must name the changes"))
    }

    /// Publishes a version that differs in the movies at these places; `movies` is the whole dataset after the change.
    fn update(&mut self, movies: &[Movie], changed: &[usize]) -> Answer<Published>;
}

/// How the memory of a system is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// By the counting allocator: all of it is on the heap.
    Heap,
    /// By the growth of the resident set: some of it is mapped or allocated by C.
    Resident,
    /// Another process holds it, and reports this many bytes.
    Reported(u64),
}

/// The reading side. Several threads may read while another refreshes.
pub trait Consume: Send + Sync {
    /// Loads a version from files, with the key index.
    fn load(&mut self, version: u64) -> Answer<()>;

    /// Refreshes to the next version; returns when readers see it.
    fn refresh(&self, version: u64) -> Answer<()>;

    /// How its memory is counted.
    fn memory(&self) -> Memory;

    /// Returns a copy of a record, to compare with the generator.
    fn movie(&self, id: u64) -> Answer<Option<Movie>>;

    /// Looks up all keys, with one view per `batch` keys; returns the number of those found.
    fn lookup(&self, _keys: &[u64], _batch: usize) -> Answer<u64> {
        Err(NO_READS)
    }

    /// Looks up all keys and reads title, year and rating; returns the sum that WORKLOAD.md defines.
    fn lookup_3_fields(&self, _keys: &[u64], _batch: usize) -> Answer<u64> {
        Err(NO_READS)
    }

    /// Whether the system has an operation that looks up several keys at once.
    fn has_many(&self) -> bool {
        false
    }

    /// [`lookup`](Self::lookup) by that operation, with one view per `batch` keys.
    fn lookup_many(&self, keys: &[u64], batch: usize) -> Answer<u64> {
        self.lookup(keys, batch)
    }

    /// [`lookup_3_fields`](Self::lookup_3_fields) by that operation.
    fn lookup_3_fields_many(&self, keys: &[u64], batch: usize) -> Answer<u64> {
        self.lookup_3_fields(keys, batch)
    }

    /// Looks up all keys and reads the names of the cast; returns the sum that WORKLOAD.md defines.
    fn cast_walk(&self, _keys: &[u64]) -> Answer<u64> {
        Err(NO_READS)
    }

    /// Returns the sum of all ratings.
    fn full_scan(&self) -> Answer<f64> {
        Err(NO_READS)
    }

    /// Builds the index by country for the two operations below; its memory is not counted.
    fn index_countries(&mut self) -> Answer<()> {
        Err(NO_INDEX)
    }

    /// Returns the sum, over all keys, of the number of movies of country `key mod 200`.
    fn country_find(&self, _keys: &[u64]) -> Answer<u64> {
        Err(NO_INDEX)
    }

    /// Iterates the movies of each country; returns their number.
    fn country_iterate(&self) -> Answer<u64> {
        Err(NO_INDEX)
    }
}

const NO_READS: Refusal = Refusal::Unsupported("only its memory is measured");
const NO_INDEX: Refusal = Refusal::Unsupported("it has no index but the key");

/// The part of the sum for reading the three fields.
pub(crate) fn three_fields(title: &str, year: u16, rating: f32) -> u64 {
    text_sum(title) + u64::from(year) + rating as u64
}

/// The part of the sum for reading a text.
pub(crate) fn text_sum(text: &str) -> u64 {
    text.len() as u64 + text.as_bytes().first().map_or(0, |&byte| u64::from(byte))
}
