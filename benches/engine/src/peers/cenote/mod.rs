//! `cenote` and `cenote-packed`: the engine through its public API, as a service and a job call it; with all text plain,
//! and with the synopsis packed.

mod movies;

use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

use cenote_consumer::{Consumer, ReloadPolicy, View};
use cenote_producer::{Producer, SnapshotPolicy, Update, Writer};
use cenote_state::ids::Version;
use cenote_store::env::Env;

pub use movies::{Actor, BY_COUNTRY, Film, Genre, Movie, PackedMovie};

use crate::workload::{COUNTRIES, Movie as Source, country_name};

use super::{Answer, Consume, Memory, Place, Produce, Published, Refusal, System};

/// The engine with movies of this type.
pub(super) struct Cenote<F>(PhantomData<fn() -> F>);

/// All text plain.
pub(super) const PLAIN: Cenote<Movie> = Cenote(PhantomData);
/// The synopsis packed.
pub(super) const PACKED: Cenote<PackedMovie> = Cenote(PhantomData);

impl<F: Film> System for Cenote<F> {
    fn name(&self) -> &'static str {
        F::SYSTEM
    }

    fn spare_versions(&self) -> u64 {
        200
    }

    fn produce(&self, place: Place) -> Answer<Box<dyn Produce>> {
        let url = match &place {
            // A separate dataset for each producer of this process.
            Place::Memory => format!("memory://{:016x}", Env::system().random()),
            Place::Folder(folder) => folder.display().to_string(),
        };
        let runtime = runtime()?;
        let builder = Producer::builder(url).with::<F>().snapshots(SnapshotPolicy::Manual);
        let producer = runtime.block_on(builder.open())?;
        let on_files = matches!(place, Place::Folder(_));
        Ok(Box::new(Job::<F> { runtime, producer, on_files, films: PhantomData }))
    }

    fn consume(&self, folder: &Path) -> Answer<Box<dyn Consume>> {
        let runtime = runtime()?;
        let url = folder.display().to_string();
        Ok(Box::new(Service::<F> { runtime, url, consumer: None, films: PhantomData }))
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

struct Job<F> {
    producer: Producer,
    on_files: bool,
    films: PhantomData<fn() -> F>,
    runtime: tokio::runtime::Runtime,
}

impl<F: Film> Produce for Job<F> {
    fn publish(&mut self, movies: &[Source]) -> Answer<Published> {
        let fill = async |writer: &mut Writer| {
            movies.iter().try_for_each(|movie| writer.add(&F::from(movie)))?;
            Ok(())
        };
        let cycled = self.runtime.block_on(self.producer.cycle(fill))?;
        // In memory no consumer loads it: only the cycle is measured.
        let stored = if self.on_files { Some(self.runtime.block_on(self.producer.snapshot())?.bytes) } else { None };
        Ok(Published { version: cycled.version().0, stored, compressed: stored })
    }

    fn republish(&mut self, movies: &[Source]) -> Answer<()> {
        let fill = async |writer: &mut Writer| {
            movies.iter().try_for_each(|movie| writer.add(&F::from(movie)))?;
            Ok(())
        };
        match self.runtime.block_on(self.producer.cycle(fill))?.committed() {
            None => Ok(()),
            Some(report) => Err(Refusal::Failed(format!("nothing changed, but the cycle committed {report:?}").into())),
        }
    }

    fn update(&mut self, movies: &[Source], changed: &[usize]) -> Answer<Published> {
        let change =
            |changes: &mut Update| changed.iter().try_for_each(|at| Ok(changes.upsert(&F::from(&movies[*at]))?));
        let updated = self.runtime.block_on(self.producer.update(change))?;
        let stored = updated.cycled.committed().map(|report| report.delta_bytes);
        Ok(Published { version: updated.version().0, stored, compressed: stored })
    }
}

struct Service<F> {
    consumer: Option<Arc<Consumer>>,
    url: String,
    films: PhantomData<fn() -> F>,
    runtime: tokio::runtime::Runtime,
}

impl<F: Film> Service<F> {
    fn consumer(&self) -> Answer<&Consumer> {
        self.consumer.as_deref().ok_or_else(|| Refusal::Failed("nothing was loaded yet".into()))
    }

    /// Takes one view per batch of keys, as a request would; `many` sums over the batch.
    fn summed_many(&self, keys: &[u64], batch: usize, many: impl Fn(&View, &[u64]) -> u64) -> Answer<u64> {
        let consumer = self.consumer()?;
        let of_batch = |keys: &[u64]| consumer.with(|view| many(view, keys));
        Ok(keys.chunks(batch).fold(0, |sum, keys| sum.wrapping_add(of_batch(keys))))
    }

    /// Takes one view per batch of keys; `one` is called for one key after another.
    fn summed(&self, keys: &[u64], batch: usize, one: impl Fn(&View, u64) -> u64) -> Answer<u64> {
        let consumer = self.consumer()?;
        let of_batch =
            |keys: &[u64]| consumer.with(|view| keys.iter().fold(0_u64, |sum, key| sum.wrapping_add(one(view, *key))));
        Ok(keys.chunks(batch).fold(0, |sum, keys| sum.wrapping_add(of_batch(keys))))
    }
}

impl<F: Film> Consume for Service<F> {
    fn load(&mut self, version: u64) -> Answer<()> {
        let builder = Consumer::builder(&self.url).with::<F>().reload(ReloadPolicy::Manual).start_at(Version(version));
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
        Ok(self.consumer()?.view().get::<F>(id).map(|movie| F::own(F::at(movie)).into()))
    }

    fn lookup(&self, keys: &[u64], batch: usize) -> Answer<u64> {
        self.summed(keys, batch, |view, key| u64::from(view.get::<F>(key).is_some()))
    }

    fn lookup_3_fields(&self, keys: &[u64], batch: usize) -> Answer<u64> {
        self.summed(keys, batch, |view, key| view.get::<F>(key).map_or(0, F::sum_3_fields))
    }

    fn has_many(&self) -> bool {
        true
    }

    fn lookup_many(&self, keys: &[u64], batch: usize) -> Answer<u64> {
        let count = |view: &View, keys: &[u64]| view.get_many::<F>(keys.iter().copied()).flatten().count() as u64;
        self.summed_many(keys, batch, count)
    }

    fn lookup_3_fields_many(&self, keys: &[u64], batch: usize) -> Answer<u64> {
        let sum = |view: &View, keys: &[u64]| {
            view.get_many::<F>(keys.iter().copied()).flatten().map(F::sum_3_fields).fold(0, u64::wrapping_add)
        };
        self.summed_many(keys, batch, sum)
    }

    fn cast_walk(&self, keys: &[u64]) -> Answer<u64> {
        // A request with sixteen keys looks them up at once.
        let sum = |view: &View, keys: &[u64]| {
            view.get_many::<F>(keys.iter().copied()).flatten().map(F::sum_cast).fold(0, u64::wrapping_add)
        };
        self.summed_many(keys, 16, sum)
    }

    fn full_scan(&self) -> Answer<f64> {
        Ok(self.consumer()?.with(|view| view.all::<F>().map(F::rating_of).sum()))
    }

    fn index_countries(&mut self) -> Answer<()> {
        let version = self.consumer()?.version();
        let builder = Consumer::builder(&self.url)
            .with::<F>()
            .index(&F::BY_COUNTRY)
            .reload(ReloadPolicy::Manual)
            .start_at(version);
        self.consumer = Some(Arc::new(self.runtime.block_on(builder.open())?));
        Ok(())
    }

    fn country_find(&self, keys: &[u64]) -> Answer<u64> {
        let names: Vec<String> = (0..COUNTRIES).map(country_name).collect();
        self.summed(keys, 16, |view, key| {
            view.find(&F::BY_COUNTRY, names[key as usize % COUNTRIES].as_str()).len() as u64
        })
    }

    fn country_iterate(&self) -> Answer<u64> {
        let names: Vec<String> = (0..COUNTRIES).map(country_name).collect();
        // The sum is there so that each match is really walked to.
        let walk = |view: &View, name: &String| {
            let (count, sum) = view
                .find(&F::BY_COUNTRY, name.as_str())
                .iter()
                .fold((0, 0), |(count, sum), movie| (count + 1, sum + u64::from(F::at(movie).ordinal().0)));
            std::hint::black_box(sum);
            count
        };
        Ok(self.consumer()?.with(|view| names.iter().map(|name| walk(view, name)).sum()))
    }
}
