//! `cenote`: the engine through its public API, as a service and a job would call it.

use std::path::Path;
use std::sync::Arc;

use cenote_consumer::{Consumer, HashIndex, View};
use cenote_producer::{Producer, Snapshots, Update, Writer};
use cenote_shared::Record;
use cenote_shared::env::Env;
use cenote_shared::ids::Version;

use crate::workload::{COUNTRIES, Movie as Source, country_name};

use super::{Answer, Consume, Memory, Place, Produce, Published, Refusal, System, text_sum, three_fields};

/// See the module.
pub(super) struct Cenote;

/// A movie as the engine keeps it: what repeats is kept once.
#[derive(Record, Debug)]
#[record(key = "id")]
pub struct Movie {
    /// As in the workload.
    pub id: u64,
    /// As in the workload.
    pub title: String,
    /// As in the workload.
    pub year: u16,
    /// As in the workload.
    pub rating: f32,
    /// As in the workload.
    pub runtime_minutes: u16,
    /// As in the workload.
    #[record(dedup)]
    pub country: String,
    /// As in the workload.
    pub genres: Vec<Genre>,
    /// As in the workload.
    pub cast: Vec<Actor>,
    /// As in the workload.
    pub synopsis: String,
}

/// A genre: 40 of them, kept once each.
#[derive(Record, Debug)]
pub struct Genre {
    /// As in the workload.
    pub name: String,
}

/// An actor, kept once.
#[derive(Record, Debug)]
pub struct Actor {
    /// As in the workload.
    pub actor_id: u32,
    /// As in the workload.
    pub name: String,
}

/// The index of the country queries.
pub const BY_COUNTRY: HashIndex<Movie, str> = HashIndex::on("country");

impl From<&Source> for Movie {
    fn from(movie: &Source) -> Movie {
        let actor = |actor: &crate::workload::Actor| Actor { actor_id: actor.actor_id, name: actor.name.clone() };
        Movie {
            id: movie.id,
            title: movie.title.clone(),
            year: movie.year,
            rating: movie.rating,
            runtime_minutes: movie.runtime_minutes,
            country: movie.country.clone(),
            genres: movie.genres.iter().map(|name| Genre { name: name.clone() }).collect(),
            cast: movie.cast.iter().map(actor).collect(),
            synopsis: movie.synopsis.clone(),
        }
    }
}

impl From<Movie> for Source {
    fn from(movie: Movie) -> Source {
        let actor = |actor: Actor| crate::workload::Actor { actor_id: actor.actor_id, name: actor.name };
        Source {
            id: movie.id,
            title: movie.title,
            year: movie.year,
            rating: movie.rating,
            runtime_minutes: movie.runtime_minutes,
            country: movie.country,
            genres: movie.genres.into_iter().map(|genre| genre.name).collect(),
            cast: movie.cast.into_iter().map(actor).collect(),
            synopsis: movie.synopsis,
        }
    }
}

impl System for Cenote {
    fn name(&self) -> &'static str {
        "cenote"
    }

    fn spare_versions(&self) -> u64 {
        200
    }

    fn produce(&self, place: Place) -> Answer<Box<dyn Produce>> {
        let url = match &place {
            // Each producer a dataset of its own, though all are in this process.
            Place::Memory => format!("memory://{:016x}", Env::system().random()),
            Place::Folder(folder) => folder.display().to_string(),
        };
        let runtime = runtime()?;
        let builder = Producer::builder(url).with::<Movie>().snapshots(Snapshots::ByHand);
        let producer = runtime.block_on(builder.open())?;
        Ok(Box::new(Job { runtime, producer, on_files: matches!(place, Place::Folder(_)) }))
    }

    fn consume(&self, folder: &Path) -> Answer<Box<dyn Consume>> {
        let runtime = runtime()?;
        Ok(Box::new(Service { runtime, url: folder.display().to_string(), consumer: None }))
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

struct Job {
    producer: Producer,
    on_files: bool,
    runtime: tokio::runtime::Runtime,
}

impl Produce for Job {
    fn publish(&mut self, movies: &[Source]) -> Answer<Published> {
        let fill = async |writer: &mut Writer| {
            movies.iter().try_for_each(|movie| writer.add(&Movie::from(movie)))?;
            Ok(())
        };
        let cycled = self.runtime.block_on(self.producer.cycle(fill))?;
        // In memory nobody loads it: the cycle alone is what is measured.
        let stored = if self.on_files { Some(self.runtime.block_on(self.producer.snapshot())?.bytes) } else { None };
        Ok(Published { version: cycled.version().0, stored, compressed: stored })
    }

    fn republish(&mut self, movies: &[Source]) -> Answer<()> {
        let fill = async |writer: &mut Writer| {
            movies.iter().try_for_each(|movie| writer.add(&Movie::from(movie)))?;
            Ok(())
        };
        match self.runtime.block_on(self.producer.cycle(fill))?.committed() {
            None => Ok(()),
            Some(report) => Err(Refusal::Failed(format!("nothing changed, yet {report:?}").into())),
        }
    }

    fn update(&mut self, movies: &[Source], changed: &[usize]) -> Answer<Published> {
        let change =
            |changes: &mut Update| changed.iter().try_for_each(|at| changes.upsert(&Movie::from(&movies[*at])));
        let updated = self.runtime.block_on(self.producer.update(change))?;
        let stored = updated.cycled.committed().map(|report| report.delta_bytes);
        Ok(Published { version: updated.version().0, stored, compressed: stored })
    }
}

struct Service {
    consumer: Option<Arc<Consumer>>,
    url: String,
    runtime: tokio::runtime::Runtime,
}

impl Service {
    fn consumer(&self) -> Answer<&Consumer> {
        self.consumer.as_deref().ok_or_else(|| Refusal::Failed("nothing was loaded yet".into()))
    }

    /// One view for each batch of keys, as a request would take one.
    fn summed(&self, keys: &[u64], batch: usize, one: impl Fn(&View, u64) -> u64) -> Answer<u64> {
        let consumer = self.consumer()?;
        let of_batch =
            |keys: &[u64]| consumer.with(|view| keys.iter().fold(0_u64, |sum, key| sum.wrapping_add(one(view, *key))));
        Ok(keys.chunks(batch).fold(0, |sum, keys| sum.wrapping_add(of_batch(keys))))
    }
}

impl Consume for Service {
    fn load(&mut self, version: u64) -> Answer<()> {
        let builder = Consumer::builder(&self.url).with::<Movie>().manual().start_at(Version(version));
        self.consumer = None;
        self.consumer = Some(Arc::new(self.runtime.block_on(builder.open())?));
        Ok(())
    }

    fn refresh(&self, version: u64) -> Answer<()> {
        self.runtime.block_on(self.consumer()?.refresh_to(Version(version)))?;
        Ok(())
    }

    fn memory(&self) -> Memory {
        Memory::Heap
    }

    fn movie(&self, id: u64) -> Answer<Option<Source>> {
        Ok(self.consumer()?.view().get::<Movie>(id).map(|movie| movie.to_owned().into()))
    }

    fn lookup(&self, keys: &[u64], batch: usize) -> Answer<u64> {
        self.summed(keys, batch, |view, key| u64::from(view.get::<Movie>(key).is_some()))
    }

    fn lookup_3_fields(&self, keys: &[u64], batch: usize) -> Answer<u64> {
        let sum = |view: &View, key| {
            view.get::<Movie>(key).map_or(0, |movie| three_fields(movie.title(), movie.year(), movie.rating()))
        };
        self.summed(keys, batch, sum)
    }

    fn cast_walk(&self, keys: &[u64]) -> Answer<u64> {
        let names = |view: &View, key| {
            view.get::<Movie>(key).map_or(0, |movie| movie.cast().iter().map(|actor| text_sum(actor.name())).sum())
        };
        self.summed(keys, 16, names)
    }

    fn full_scan(&self) -> Answer<f64> {
        Ok(self.consumer()?.with(|view| view.all::<Movie>().map(|movie| f64::from(movie.rating())).sum()))
    }

    fn index_countries(&mut self) -> Answer<()> {
        let version = self.consumer()?.version();
        let builder = Consumer::builder(&self.url).with::<Movie>().index(&BY_COUNTRY).manual().start_at(version);
        self.consumer = Some(Arc::new(self.runtime.block_on(builder.open())?));
        Ok(())
    }

    fn country_find(&self, keys: &[u64]) -> Answer<u64> {
        let names: Vec<String> = (0..COUNTRIES).map(country_name).collect();
        self.summed(keys, 16, |view, key| view.find(&BY_COUNTRY, names[key as usize % COUNTRIES].as_str()).len() as u64)
    }

    fn country_iterate(&self) -> Answer<u64> {
        let names: Vec<String> = (0..COUNTRIES).map(country_name).collect();
        // The sum is there so that each match is really walked to.
        let walk = |view: &View, name: &String| {
            let (count, sum) = view
                .find(&BY_COUNTRY, name.as_str())
                .iter()
                .fold((0, 0), |(count, sum), movie| (count + 1, sum + u64::from(movie.ordinal().0)));
            std::hint::black_box(sum);
            count
        };
        Ok(self.consumer()?.with(|view| names.iter().map(|name| walk(view, name)).sum()))
    }
}
