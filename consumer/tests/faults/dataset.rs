//! The dataset that the tests share: movies, contents to publish, and how a producer and a consumer are made.

use std::collections::BTreeMap;

use cenote_consumer::{Consumer, ConsumerBuilder, ReloadPolicy, View};
use cenote_producer::{CycleError, Cycled, Producer, ProducerBuilder, Retention, SnapshotPolicy, Update};
use cenote_state::Record;
use cenote_store::env::Env;
use cenote_store::error::with_sources;
use cenote_store::storage::Storage;

/// A record with a component, so that more than one type changes.
#[derive(Clone, Debug, PartialEq, Record)]
#[record(key = "id")]
pub(crate) struct Movie {
    pub(crate) id: u64,
    pub(crate) title: String,
    #[record(dedup)]
    pub(crate) country: String,
}

/// A whole dataset: titles by key.
pub(crate) type Content = BTreeMap<u64, String>;

fn movie(id: u64, title: &str) -> Movie {
    Movie { id, title: title.to_owned(), country: format!("country of {}", title.len() % 7) }
}

/// The whole content of a view: every record by scan and by key, and its component.
pub(crate) fn content(view: &View) -> Content {
    let mut found = Content::new();
    for movie in view.all::<Movie>() {
        assert_eq!(movie.country(), format!("country of {}", movie.title().len() % 7), "a view is one version (I2)");
        assert_eq!(view.get::<Movie>(movie.id()).expect("what is scanned is found").title(), movie.title());
        found.insert(movie.id(), movie.title().to_owned());
    }
    assert_eq!(found.len(), view.len::<Movie>());
    found
}

/// Text that does not compress, and is the same in each run.
pub(crate) fn noise(seed: u64, bytes: usize) -> String {
    let env = Env::simulated(seed);
    let letters = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
    let mut text = String::with_capacity(bytes + 10);
    while text.len() < bytes {
        let drawn = env.random();
        (0..10).for_each(|at| text.push(char::from(letters[(drawn >> (6 * at)) as usize % 64])));
    }
    text
}

/// More than an entry holds: its delta is a separate object.
pub(crate) fn large(seed: u64) -> Content {
    (100..104).map(|id| (id, noise(seed + id, 400_000))).collect()
}

pub(crate) fn small(count: u64, word: &str) -> Content {
    (0..count).map(|id| (id, format!("{word} {id}"))).collect()
}

/// Publishes this content as the whole dataset.
pub(crate) async fn publish(producer: &mut Producer, content: &Content) -> Result<Cycled, CycleError> {
    producer.cycle(async |writer| content.iter().try_for_each(|(id, title)| Ok(writer.add(&movie(*id, title))?))).await
}

/// Adds records.
pub(crate) fn upsert(update: &mut Update, content: &Content) -> Result<(), cenote_producer::BoxError> {
    content.iter().try_for_each(|(id, title)| Ok(update.upsert(&movie(*id, title))?))
}

pub(crate) fn producer(storage: &Storage, env: &Env) -> ProducerBuilder<Storage> {
    let keep = Retention::new().snapshots(1).younger_than(std::time::Duration::ZERO);
    let builder = Producer::builder_on(storage.clone()).with::<Movie>().env(env.clone());
    builder.snapshots(SnapshotPolicy::Manual).retention(keep).take_over()
}

/// A consumer that refreshes only when a test calls it.
pub(crate) fn consumer(storage: &Storage, env: &Env) -> ConsumerBuilder<Storage> {
    Consumer::builder_on(storage.clone()).env(env.clone()).with::<Movie>().reload(ReloadPolicy::Manual)
}

/// A dataset in memory for one test.
pub(crate) fn memory() -> Storage {
    Storage::new("s3://media/catalog", std::sync::Arc::new(object_store::memory::InMemory::new()))
}

/// An error and its sources. Ids are random, so they are shown as `<id>`.
pub(crate) fn message(error: &(dyn std::error::Error + 'static)) -> String {
    without_ids(&with_sources(error))
}

fn without_ids(text: &str) -> String {
    let mut out = String::new();
    let mut run = String::new();
    for letter in text.chars().chain(['\n']) {
        if letter.is_ascii_hexdigit() {
            run.push(letter);
            continue;
        }
        out.push_str(if run.len() == 32 { "<id>" } else { &run });
        run.clear();
        out.push(letter);
    }
    out.truncate(out.len() - 1);
    out
}
