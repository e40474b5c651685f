//! The read paths of both sides: the three queries of the CQRS baseline, asked of a read store, of a near cache in front of
//! it, and of the engine.
//!
//! ```text
//! cargo bench -p cenote-bench-cqrs --bench cqrs
//! ```
//!
//! Not measured here: reads while commands arrive (`--bin cqrs` measures them), and stores behind a network.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use cenote_bench_cqrs::domain::{Change, Message, Query, Sum, World};
use cenote_bench_cqrs::read::{NearCache, Queries, ReadStores, SqliteReadStores};
use cenote_bench_cqrs::strategy::cenote::Linked;
use cenote_bench_cqrs::strategy::cenote::records::{BY_CATEGORY, Page, Product};
use cenote_consumer::{Consumer, ReloadPolicy};
use cenote_producer::{Producer, SnapshotPolicy};
use criterion::{Criterion, criterion_group, criterion_main};
use tokio::runtime::Runtime;

const PRODUCTS: u64 = 20_000;

fn messages(world: &World) -> Vec<Message> {
    let products = world.all_products().map(Change::Product);
    let pages = world.all_pages().map(Change::Page);
    let message =
        |change| Message { version: 1, at: 0, cause: cenote_bench_cqrs::domain::Cause::Added, replay: false, change };
    products.chain(pages).map(message).collect()
}

/// The read store of the embedded strategies, full.
fn sqlite(runtime: &Runtime, world: &World, folder: &Path) -> Queries {
    let stores = SqliteReadStores::open(folder, Arc::clone(&world.reference)).expect("a folder of ours");
    let store = runtime.block_on(stores.open(0)).expect("an empty file");
    runtime.block_on(store.apply(&messages(world), None)).expect("all messages are right");
    store.queries()
}

/// The engine, full.
fn cenote(runtime: &Runtime, world: &World) -> Queries {
    runtime.block_on(async {
        let builder = Producer::builder("memory://cqrs-bench").with::<Product>().with::<Page>();
        let mut producer = builder.snapshots(SnapshotPolicy::Manual).open().await.expect("memory has no faults");
        let fill = async |writer: &mut cenote_producer::Writer| {
            for product in world.all_products() {
                writer.add(&Product::of(&product, 1, &world.reference))?;
            }
            for page in world.all_pages() {
                writer.add(&Page::of(&page, 1))?;
            }
            Ok(())
        };
        producer.cycle(fill).await.expect("the world breaks no rule");
        let consumer = Consumer::builder("memory://cqrs-bench").with::<Product>().with::<Page>();
        let consumer =
            consumer.index(&BY_CATEGORY).reload(ReloadPolicy::Manual).open().await.expect("it was just published");
        Queries::Local(Arc::new(Linked(Arc::new(consumer))))
    })
}

fn reads(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("threads can be had");
    let (world, folder) = (World::new(PRODUCTS, PRODUCTS / 50, 42), tempfile::tempdir().expect("a folder can be had"));
    let store = sqlite(&runtime, &world, folder.path());
    let sides = [
        ("near-cache", NearCache::new(store.clone()).queries()),
        ("sqlite", store),
        ("cenote", cenote(&runtime, &world)),
    ];
    let leaves: Vec<u32> = world.reference.leaves().collect();
    for query in ["product", "category", "page"] {
        let mut group = criterion.benchmark_group(query);
        for (name, side) in &sides {
            let Queries::Local(side) = side else { continue };
            let mut number = 0_u64;
            group.bench_function(*name, |bencher| {
                bencher.iter(|| {
                    // Far apart, so that caches of the processor don't answer.
                    number = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
                    let mut sum = Sum::default();
                    let found = side.ask(question(query, number >> 20, &world, &leaves), &mut sum);
                    black_box((found.is_ok(), sum.sum));
                });
            });
        }
        group.finish();
    }
}

fn question(query: &str, number: u64, world: &World, leaves: &[u32]) -> Query {
    match query {
        "product" => Query::Product(1 + number % world.products),
        "category" => Query::Category(leaves[number as usize % leaves.len()]),
        _ => Query::Page(1 + number % world.pages),
    }
}

criterion_group!(benches, reads);
criterion_main!(benches);
