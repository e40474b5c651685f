//! The engine's tracked figures, one by one: reads, refreshes, snapshots, cycles, the delay of a file notice.
//!
//! `cargo bench -p cenote-bench-engine --bench engine` takes a few minutes; `CENOTE_RECORDS` sets the number of movies
//! (default 100,000), the filter and `--quick` are criterion's. These figures follow the engine over time; `compare` compares
//! it with other systems.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use cenote_bench_engine::peers::cenote::{BY_COUNTRY, Movie, PackedMovie};
use cenote_bench_engine::workload::Catalog;
use cenote_consumer::{Consumer, ConsumerBuilder, ReloadPolicy, View};
use cenote_producer::{Producer, SnapshotPolicy};
use cenote_state::blob;
use cenote_state::ids::DatasetId;
use cenote_store::env::Env;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Runtime;

/// A published catalog with its producer and a view.
struct World {
    runtime: Runtime,
    folder: tempfile::TempDir,
    catalog: Catalog,
    movies: Vec<Movie>,
    producer: Producer,
    view: View,
}

impl World {
    fn new() -> World {
        let records =
            std::env::var("CENOTE_RECORDS").map_or(100_000, |text| text.parse().expect("CENOTE_RECORDS is a number"));
        let runtime = Runtime::new().expect("a runtime starts");
        let folder = tempfile::tempdir().expect("a folder can be made");
        let catalog = Catalog::new(records);
        let movies: Vec<Movie> = catalog.movies().map(|movie| Movie::from(&movie)).collect();
        let url = folder.path().display().to_string();
        let (producer, view) = runtime.block_on(async {
            let builder = Producer::builder(&url).with::<Movie>().snapshots(SnapshotPolicy::Manual);
            let mut producer = builder.open().await.expect("the dataset is made");
            cycle(&mut producer, &movies).await;
            producer.snapshot().await.expect("a snapshot is written");
            let consumer = Consumer::builder(&url).with::<Movie>().index(&BY_COUNTRY).reload(ReloadPolicy::Manual);
            let view = consumer.open().await.expect("the dataset opens").view();
            (producer, view)
        });
        World { runtime, folder, catalog, movies, producer, view }
    }
}

async fn cycle(producer: &mut Producer, movies: &[Movie]) {
    let cycled = producer.cycle(async |writer| {
        movies.iter().try_for_each(|movie| writer.add(movie))?;
        Ok(())
    });
    cycled.await.expect("the cycle commits");
}

fn reads(criterion: &mut Criterion, world: &World) {
    let view = &world.view;
    let keys = world.catalog.read_keys(0, 1 << 16);
    let missing = world.catalog.missing_keys(0, 1 << 16);
    let mut group = criterion.benchmark_group("read");
    group.throughput(Throughput::Elements(keys.len() as u64));
    let found = |keys: &[u64]| keys.iter().filter(|key| view.get::<Movie>(**key).is_some()).count();
    group.bench_function("lookup_hit", |bench| bench.iter(|| assert_eq!(found(&keys), keys.len())));
    group.bench_function("lookup_miss", |bench| bench.iter(|| assert_eq!(found(&missing), 0)));
    group.bench_function("lookup_3_fields", |bench| {
        bench.iter(|| {
            keys.iter()
                .filter_map(|key| view.get::<Movie>(*key))
                .fold(0, |sum, movie| sum + movie.title().len() + usize::from(movie.year()) + movie.rating() as usize)
        });
    });
    group.bench_function("list_walk", |bench| {
        bench.iter(|| {
            let movies = keys.iter().filter_map(|key| view.get::<Movie>(*key));
            movies.flat_map(|movie| movie.cast().iter()).map(|actor| actor.name().len()).sum::<usize>()
        });
    });
    group.throughput(Throughput::Elements(world.catalog.records()));
    group.bench_function("scan", |bench| {
        bench.iter(|| view.all::<Movie>().map(|movie| f64::from(movie.rating())).sum::<f64>());
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("hash_index", |bench| bench.iter(|| view.find(&BY_COUNTRY, black_box("country-007")).len()));
    group.finish();
}

/// Reads of the synopsis, plain and packed: a look-up and its text, written to a page.
fn texts(criterion: &mut Criterion, world: &World) {
    let keys = world.catalog.read_keys(0, 1 << 16);
    let mut group = criterion.benchmark_group("text");
    group.throughput(Throughput::Elements(keys.len() as u64));
    let mut page = String::new();
    group.bench_function("plain", |bench| {
        bench.iter(|| {
            for movie in keys.iter().filter_map(|key| world.view.get::<Movie>(*key)) {
                page.clear();
                page.push_str(movie.synopsis());
                black_box(&page);
            }
        });
    });
    let packed = packed_view(world);
    group.bench_function("packed", |bench| {
        bench.iter(|| {
            for movie in keys.iter().filter_map(|key| packed.get::<PackedMovie>(*key)) {
                page.clear();
                movie.synopsis().push_to(&mut page);
                black_box(&page);
            }
        });
    });
    group.finish();
}

fn packed_view(world: &World) -> View {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let builder = Producer::builder(folder.path().display().to_string()).with::<PackedMovie>();
    world.runtime.block_on(async {
        let mut producer = builder.snapshots(SnapshotPolicy::Manual).open().await.expect("the dataset is made");
        let cycled = producer.cycle(async |writer| {
            world.catalog.movies().try_for_each(|movie| writer.add(&PackedMovie::from(&movie)))?;
            Ok(())
        });
        cycled.await.expect("the cycle commits");
        producer.view()
    })
}

fn blobs(criterion: &mut Criterion, world: &World) {
    let state = world.view.state();
    let dataset = DatasetId([7; 16]);
    let threads = Env::system().threads();
    let mut group = criterion.benchmark_group("snapshot");
    group.sample_size(10).throughput(Throughput::Elements(world.catalog.records()));
    group.bench_function("encode", |bench| bench.iter(|| blob::encode_snapshot(dataset, state, threads).length()));
    let url = world.folder.path().display().to_string();
    group.bench_function("load", |bench| {
        bench.iter(|| {
            let opened =
                world.runtime.block_on(Consumer::builder(&url).with::<Movie>().reload(ReloadPolicy::Manual).open());
            opened.expect("the dataset opens").version()
        });
    });
    group.finish();
}

fn cycles(criterion: &mut Criterion, world: &mut World) {
    let World { runtime, movies, producer, catalog, .. } = world;
    let mut group = criterion.benchmark_group("producer");
    group.sample_size(10);
    group.bench_function("cycle_unchanged", |bench| bench.iter(|| runtime.block_on(cycle(producer, movies))));
    let mut ratings = catalog.rating_integers();
    let mut repetition = 0;
    group.bench_function("update_1000", |bench| {
        bench.iter_batched(
            || {
                repetition += 1;
                let changes = catalog.changes(1_000, repetition, &mut ratings);
                let changed = changes.iter().map(|change| {
                    let mut movie = catalog.movie(change.id);
                    change.apply(&mut movie);
                    Movie::from(&movie)
                });
                changed.collect::<Vec<_>>()
            },
            |changed| {
                let update = producer.update(|changes| changed.iter().try_for_each(|movie| Ok(changes.upsert(movie)?)));
                runtime.block_on(update).expect("the update commits").version()
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// A consumer after an update: `refresh_to` for the refresh alone, watching for the delay from the commit to the swap.
fn refreshes(criterion: &mut Criterion, world: &mut World) {
    let url = world.folder.path().display().to_string();
    let World { runtime, producer, catalog, .. } = world;
    let open = |builder: ConsumerBuilder| Arc::new(runtime.block_on(builder.open()).expect("the dataset opens"));
    let by_hand = open(Consumer::builder(&url).with::<Movie>().reload(ReloadPolicy::Manual));
    let watching = open(Consumer::builder(&url).with::<Movie>().reload(ReloadPolicy::Poll(Duration::from_hours(1))));
    let mut ratings = catalog.rating_integers();
    let mut repetition = 1_000_000;
    let mut update = |changes: u64| {
        repetition += 1;
        let changed: Vec<Movie> = catalog
            .changes(changes, repetition, &mut ratings)
            .iter()
            .map(|change| {
                let mut movie = catalog.movie(change.id);
                change.apply(&mut movie);
                Movie::from(&movie)
            })
            .collect();
        let update = producer.update(|changes| changed.iter().try_for_each(|movie| Ok(changes.upsert(movie)?)));
        runtime.block_on(update).expect("the update commits").token()
    };
    let mut group = criterion.benchmark_group("refresh");
    // Each needs an update, which takes longer than the refresh and is not counted.
    group.sample_size(20).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(1));
    for changes in [10, 1_000] {
        group.bench_function(format!("delta_{changes}"), |bench| {
            bench.iter_batched(
                || update(changes),
                |token| runtime.block_on(by_hand.refresh_to(token.version())).expect("the version is there"),
                BatchSize::PerIteration,
            );
        });
    }
    group.bench_function("notify_delay", |bench| {
        bench.iter_batched(
            || update(10),
            |token| {
                let seen = watching.newer_than(cenote_state::Version(token.version().0 - 1));
                runtime.block_on(seen).expect("the notice comes").version()
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn engine(criterion: &mut Criterion) {
    let mut world = World::new();
    reads(criterion, &world);
    texts(criterion, &world);
    blobs(criterion, &world);
    cycles(criterion, &mut world);
    refreshes(criterion, &mut world);
}

criterion_group!(benches, engine);
criterion_main!(benches);
