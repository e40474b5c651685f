//! What the hand-made maps share: a compact record, the view that readers hold, and the reads.
//!
//! It is what a careful team writes without an engine: boxed strings, countries and genres as small numbers, every
//! actor once in an `Arc`, and one `ArcSwap` through which the whole state is replaced.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwapOption;
use rustc_hash::FxHashMap;

use super::files::{Names, Open, Row};
use super::{Answer, Consume, Memory, Refusal, text_sum, three_fields};
use crate::workload::{self, COUNTRIES, country_name};

/// A movie; its id is its key in the map.
pub(super) struct Record {
    pub(super) title: Box<str>,
    pub(super) synopsis: Box<str>,
    pub(super) cast: Box<[Arc<Actor>]>,
    pub(super) genres: Box<[u8]>,
    pub(super) rating: f32,
    pub(super) year: u16,
    pub(super) runtime_minutes: u16,
    pub(super) country: u8,
}

/// An actor; one value per actor in the whole state.
pub(super) struct Actor {
    pub(super) id: u32,
    pub(super) name: Box<str>,
}

pub(super) type Actors = FxHashMap<u32, Arc<Actor>>;

/// One state of the dataset, which readers hold while they read.
pub(super) struct View<M> {
    pub(super) movies: M,
    pub(super) names: Arc<Names>,
    /// Empty until the index is built.
    by_country: Vec<Vec<Arc<Record>>>,
}

impl<M> View<M> {
    pub(super) fn new(movies: M, names: Arc<Names>) -> Self {
        Self { movies, names, by_country: Vec::new() }
    }
}

/// A map of records with a way to the next version.
pub(super) trait Movies: Sized + Send + Sync + 'static {
    /// Builds the map while it reads rows.
    fn load(folder: &Path, version: u64) -> Answer<View<Self>>;

    /// Builds the view after `before`.
    fn next(before: &View<Self>, folder: &Path, version: u64) -> Answer<View<Self>>;

    fn get(&self, id: u64) -> Option<&Arc<Record>>;

    fn all(&self) -> impl Iterator<Item = &Arc<Record>>;
}

/// Reads a snapshot's records; `put` stores them.
pub(super) fn read_records(
    folder: &Path,
    version: u64,
    mut put: impl FnMut(u64, Arc<Record>),
) -> Answer<(Names, Actors)> {
    let (mut file, mut names) = Open::snapshot(folder, version)?;
    let share = |(id, name)| (id, Arc::new(Actor { id, name }));
    let actors: Actors = std::mem::take(&mut names.actors).into_iter().map(share).collect();
    for _ in 0..names.records {
        let row: Row = file.next()?;
        let record = Record {
            title: row.title,
            synopsis: row.synopsis,
            cast: row.cast.iter().map(|id| Arc::clone(&actors[id])).collect(),
            genres: row.genres,
            rating: row.rating,
            year: row.year,
            runtime_minutes: row.runtime_minutes,
            country: row.country,
        };
        put(row.id, Arc::new(record));
    }
    Ok((names, actors))
}

/// The consumer around a map.
pub(super) struct Handmade<M> {
    folder: PathBuf,
    cell: ArcSwapOption<View<M>>,
    /// One refresh at a time.
    refreshing: Mutex<()>,
}

impl<M: Movies> Handmade<M> {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), cell: ArcSwapOption::empty(), refreshing: Mutex::new(()) }
    }

    fn read<T>(&self, work: impl FnOnce(&View<M>) -> T) -> T {
        let view = self.cell.load();
        work(view.as_ref().expect("a version was loaded"))
    }

    /// Takes one view per `batch` keys, as a request would.
    fn each(&self, keys: &[u64], batch: usize, mut sum: impl FnMut(&Record) -> u64) -> u64 {
        let request = |keys: &[u64]| {
            self.read(|view| keys.iter().filter_map(|&key| view.movies.get(key)).map(|record| sum(record)).sum::<u64>())
        };
        keys.chunks(batch).map(request).sum()
    }
}

impl<M: Movies> Consume for Handmade<M> {
    fn load(&mut self, version: u64) -> Answer<()> {
        self.cell.store(Some(Arc::new(M::load(&self.folder, version)?)));
        Ok(())
    }

    fn refresh(&self, version: u64) -> Answer<()> {
        let _one = self.refreshing.lock().expect("no refresh panics");
        let before = self.cell.load_full().expect("a version was loaded");
        let after = M::next(&before, &self.folder, version)?;
        self.cell.store(Some(Arc::new(after)));
        Ok(())
    }

    fn memory(&self) -> Memory {
        Memory::Heap
    }

    fn movie(&self, id: u64) -> Answer<Option<workload::Movie>> {
        Ok(self.read(|view| Some(written_out(id, view.movies.get(id)?, &view.names))))
    }

    fn lookup(&self, keys: &[u64], batch: usize) -> Answer<u64> {
        Ok(self.each(keys, batch, |record| {
            std::hint::black_box(record);
            1
        }))
    }

    fn lookup_3_fields(&self, keys: &[u64], batch: usize) -> Answer<u64> {
        Ok(self.each(keys, batch, |record| three_fields(&record.title, record.year, record.rating)))
    }

    fn cast_walk(&self, keys: &[u64]) -> Answer<u64> {
        Ok(self.each(keys, 16, |record| record.cast.iter().map(|actor| text_sum(&actor.name)).sum()))
    }

    fn full_scan(&self) -> Answer<f64> {
        Ok(self.read(|view| view.movies.all().map(|record| f64::from(record.rating)).sum()))
    }

    fn index_countries(&mut self) -> Answer<()> {
        let before = self.cell.swap(None).ok_or("no version was loaded")?;
        let mut view = Arc::into_inner(before).ok_or("a reader holds the view")?;
        view.by_country = vec![Vec::new(); COUNTRIES];
        for record in view.movies.all() {
            view.by_country[usize::from(record.country)].push(Arc::clone(record));
        }
        self.cell.store(Some(Arc::new(view)));
        Ok(())
    }

    fn country_find(&self, keys: &[u64]) -> Answer<u64> {
        let countries: Vec<_> = (0..COUNTRIES).map(country_name).collect();
        let find = |view: &View<M>, key: u64| {
            let country = view.names.country(&countries[(key % COUNTRIES as u64) as usize]);
            view.by_country[usize::from(country)].len() as u64
        };
        let request = |keys: &[u64]| self.read(|view| keys.iter().map(|&key| find(view, key)).sum::<u64>());
        self.indexed()?;
        Ok(keys.chunks(16).map(request).sum())
    }

    fn country_iterate(&self) -> Answer<u64> {
        self.indexed()?;
        let walk = |record: &Arc<Record>| std::hint::black_box(Arc::as_ptr(record) as usize as u64);
        self.read(|view| {
            let handles: u64 = view.by_country.iter().flatten().map(walk).fold(0, u64::wrapping_add);
            std::hint::black_box(handles);
            Ok(view.by_country.iter().map(|found| found.len() as u64).sum())
        })
    }
}

impl<M: Movies> Handmade<M> {
    fn indexed(&self) -> Answer<()> {
        let empty = self.read(|view| view.by_country.is_empty());
        if empty { Err(Refusal::Unsupported("its index by country was not built")) } else { Ok(()) }
    }
}

fn written_out(id: u64, record: &Record, names: &Names) -> workload::Movie {
    let actor = |actor: &Arc<Actor>| workload::Actor { actor_id: actor.id, name: actor.name.to_string() };
    workload::Movie {
        id,
        title: record.title.to_string(),
        year: record.year,
        rating: record.rating,
        runtime_minutes: record.runtime_minutes,
        country: names.countries[usize::from(record.country)].to_string(),
        genres: record.genres.iter().map(|&genre| names.genres[usize::from(genre)].to_string()).collect(),
        cast: record.cast.iter().map(actor).collect(),
        synopsis: record.synopsis.to_string(),
    }
}
