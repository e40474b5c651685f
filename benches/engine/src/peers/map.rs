//! `map`: what a careful team writes by hand: a hash map of records that is replaced whole.

use std::path::Path;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::files::Files;
use super::handmade::{Handmade, Movies, Record, View, read_records};
use super::{Answer, Consume, Place, Produce, System};

/// A hash map that is replaced whole.
pub(super) struct Map;

impl System for Map {
    fn name(&self) -> &'static str {
        "map"
    }

    fn spare_versions(&self) -> u64 {
        4 // each is a whole snapshot
    }

    fn goes_back(&self) -> bool {
        true
    }

    fn produce(&self, place: Place) -> Answer<Box<dyn Produce>> {
        Ok(Box::new(Files::new(place, true)))
    }

    fn consume(&self, folder: &Path) -> Answer<Box<dyn Consume>> {
        Ok(Box::new(Handmade::<Hash>::new(folder)))
    }
}

/// The map itself.
type Hash = FxHashMap<u64, Arc<Record>>;

impl Movies for Hash {
    fn load(folder: &Path, version: u64) -> Answer<View<Self>> {
        let mut movies = Self::default();
        let (names, _) = read_records(folder, version, |id, record| {
            movies.insert(id, record);
        })?;
        movies.shrink_to_fit();
        Ok(View::new(movies, Arc::new(names)))
    }

    fn next(_before: &View<Self>, folder: &Path, version: u64) -> Answer<View<Self>> {
        Self::load(folder, version)
    }

    fn get(&self, id: u64) -> Option<&Arc<Record>> {
        self.get(&id)
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.values()
    }
}
