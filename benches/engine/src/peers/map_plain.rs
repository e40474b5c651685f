//! `map-plain`: a map of records as serde reads them; only its memory is measured.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::files::{Files, Open};
use super::{Answer, Consume, Memory, Place, Produce, Refusal, System};
use crate::workload::Movie;

/// A standard map of plain records.
pub(super) struct MapPlain;

impl System for MapPlain {
    fn name(&self) -> &'static str {
        "map-plain"
    }

    fn spare_versions(&self) -> u64 {
        0
    }

    fn produce(&self, place: Place) -> Answer<Box<dyn Produce>> {
        Ok(Box::new(Plain(Files::new(place, false))))
    }

    fn consume(&self, folder: &Path) -> Answer<Box<dyn Consume>> {
        Ok(Box::new(PlainMap { folder: folder.to_owned(), movies: HashMap::new() }))
    }
}

const MEMORY_ONLY: Refusal = Refusal::Unsupported("only its memory is measured");

/// Publishes the whole as one list of records.
struct Plain(Files);

impl Produce for Plain {
    fn publish(&mut self, movies: &[Movie]) -> Answer<super::Published> {
        let all: Vec<_> = (0..movies.len()).collect();
        self.0.update(movies, &all)
    }

    fn update(&mut self, _movies: &[Movie], _changed: &[usize]) -> Answer<super::Published> {
        Err(MEMORY_ONLY)
    }
}

struct PlainMap {
    folder: PathBuf,
    movies: HashMap<u64, Movie>,
}

impl Consume for PlainMap {
    fn load(&mut self, version: u64) -> Answer<()> {
        self.movies = HashMap::new();
        Open::each_change(&self.folder, version, |movie| {
            self.movies.insert(movie.id, movie);
        })
    }

    fn refresh(&self, _version: u64) -> Answer<()> {
        Err(MEMORY_ONLY)
    }

    fn memory(&self) -> Memory {
        Memory::Heap
    }

    fn movie(&self, id: u64) -> Answer<Option<Movie>> {
        Ok(self.movies.get(&id).cloned())
    }
}
