//! A whole dataset, written once, and read by all later releases: the folder `golden/<format>/` as this or an earlier release left it.
//!
//! It has every kind of object: entries and tombstones, a delta in its entry and one in a separate object, a snapshot, a
//! checkpoint, the hint. A format that changes gets a new folder, and the old ones stay: `CENOTE_GOLDEN=write cargo test
//! -p cenote-consumer --test consumer golden` writes the newest one if it is not there, and never changes one that is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cenote_consumer::{Consumer, HashIndex, ReloadPolicy, Verifier, Version};
use cenote_producer::Producer;
use cenote_state::{Key, Record};
use cenote_store::env::Env;
use cenote_store::log::{LogObject, LogReader};
use cenote_store::storage::Storage;

use crate::chain::Chain;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Record)]
enum Mood {
    Calm,
    Wild,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Record)]
struct Genre {
    name: String,
}

/// Every shape of field.
#[derive(Clone, Debug, PartialEq, Record)]
#[record(key = "id")]
struct Film {
    id: u64,
    title: String,
    seen: bool,
    balance: i64,
    rating: Option<f32>,
    ratio: f64,
    mood: Mood,
    poster: Vec<u8>,
    #[record(dedup)]
    country: String,
    genres: BTreeSet<Genre>,
    words: Vec<String>,
    scores: BTreeMap<String, i32>,
    next: Option<Key<Film>>,
    studio: Key<Studio>,
}

/// A key of two parts.
#[derive(Clone, Debug, PartialEq, Record)]
#[record(key = ["name", "city"])]
struct Studio {
    name: String,
    city: String,
    films: u32,
}

const BY_COUNTRY: HashIndex<Film, str> = HashIndex::on("country");

fn film(id: u64, title: &str) -> Film {
    Film {
        id,
        title: format!("{title} №{id}"),
        seen: id.is_multiple_of(2),
        balance: [i64::MIN, -1, 0, i64::MAX][id as usize % 4],
        rating: (!id.is_multiple_of(3)).then_some(id as f32 / 4.0),
        ratio: -(id as f64) / 3.0,
        mood: if id.is_multiple_of(2) { Mood::Calm } else { Mood::Wild },
        poster: vec![id as u8; id as usize % 5],
        country: ["nl", "be", ""][id as usize % 3].to_owned(),
        genres: (0..id % 4).map(|genre| Genre { name: format!("genre {genre}") }).collect(),
        words: (0..id % 3).map(|word| format!("wörd {word}")).collect(),
        scores: (0..id as i32 % 3).map(|score| (format!("critic {score}"), score * -70_000)).collect(),
        next: id.is_multiple_of(5).then(|| Key::new(id + 1)),
        studio: Key::new((["one", "two"][id as usize % 2], "city")),
    }
}

/// What the newest version holds.
fn films() -> BTreeMap<u64, Film> {
    let mut films: BTreeMap<u64, Film> = (0..40).map(|id| (id, film(id, "first"))).collect();
    (10..20).for_each(|id| drop(films.insert(id, film(id, "second"))));
    films.remove(&7);
    films.insert(40, film(40, "third"));
    films.insert(1, film(1, "third"));
    films
}

const FORMAT: &str = "2";
/// The first film as JSON.
const FIRST: &str = r#"{"id":0,"title":"first №0","seen":true,"balance":-9223372036854775808,"rating":null,"ratio":-0.0,"mood":"Calm","poster":"","country":"nl","genres":[],"words":[],"scores":{},"next":1,"studio":["one","city"]}"#;
const NEWEST: Version = Version(7);

fn folder(format: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format)
}

async fn open(folder: &Path) -> Storage {
    Storage::open(&folder.display().to_string(), &[]).await.expect("it opens")
}

async fn write(folder: &Path) {
    let (storage, env) = (open(folder).await, Env::simulated(1));
    let mut chain = Chain::create(&storage, &env, |registry| registry.with::<Film>().with::<Studio>()).await;
    chain
        .commit(|edit| {
            (0..40).for_each(|id| edit.put(&film(id, "first")));
            ["one", "two"].iter().for_each(|name| {
                edit.put(&Studio { name: (*name).to_owned(), city: "city".to_owned(), films: 20 });
            });
        })
        .await;
    chain.snapshot().await;
    env.sleep(Duration::from_mins(1)).await;
    // A checkpoint, and tombstones below the snapshot.
    chain.trim().await;
    chain.always_blobs = true;
    chain.commit(|edit| (10..20).for_each(|id| edit.put(&film(id, "second")))).await;
    chain.always_blobs = false;
    env.sleep(Duration::from_mins(1)).await;
    chain
        .commit(|edit| {
            edit.delete::<Film>(7);
            edit.put(&film(40, "third"));
            edit.put(&film(1, "third"));
        })
        .await;
    chain.close().await;
}

/// The folders of objects, by how many there are.
async fn objects(storage: &Storage) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for listed in storage.list("", None).await.expect("it can be listed") {
        let folder = listed.name.split_once('/').map_or(listed.name.as_str(), |(folder, _)| folder);
        *found.entry(folder.to_owned()).or_default() += 1;
    }
    found
}

fn check(view: &cenote_consumer::View) {
    let found: BTreeMap<u64, Film> = view.all::<Film>().map(|film| (film.id(), film.to_owned())).collect();
    assert_eq!(found, films());
    for (id, film) in &found {
        assert_eq!(view.get::<Film>(*id).expect("it is found by its key").to_owned(), *film);
        let studio = view.get::<Film>(*id).expect("it is there").studio().get(view).expect("it is there");
        assert_eq!((studio.name(), studio.films()), (["one", "two"][*id as usize % 2], 20));
    }
    assert!(view.get::<Film>(7).is_none());
    assert_eq!(view.len::<Studio>(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_dataset_of_each_format_is_read() {
    let folder = folder(FORMAT);
    if std::env::var("CENOTE_GOLDEN").is_ok_and(|what| what == "write") && !folder.exists() {
        write(&folder).await;
    }
    let storage = open(&folder).await;
    let kinds = [("blobs", 1), ("checkpoints", 1), ("hint", 1), ("log", 7), ("snapshots", 1)];
    assert_eq!(objects(&storage).await, kinds.map(|(kind, count)| (kind.to_owned(), count)).into());
    let first = LogReader::empty(storage.clone()).read(cenote_state::ids::Position(1)).await.expect("it is read");
    assert!(matches!(first, Some(LogObject::Tombstone(_))));

    let env = Env::simulated(2);
    let consumer = Consumer::builder_on(storage.clone()).env(env.clone()).with::<Film>().with::<Studio>();
    let consumer = consumer.index(&BY_COUNTRY).reload(ReloadPolicy::Manual).open().await.expect("it opens");
    let view = consumer.view();
    assert_eq!(view.version(), NEWEST);
    assert_eq!(view.committed_at().to_rfc3339(), "2026-01-01T00:02:00.000Z");
    check(&view);
    let by_country = films().values().filter(|film| film.country == "be").count();
    assert_eq!(view.find(&BY_COUNTRY, "be").len(), by_country);

    // Every object, every digest; a record as JSON.
    let verified = Verifier::on(storage.clone()).env(env.clone()).run().await.expect("it is whole");
    assert_eq!(format!("{:032x}", verified.digest), "20c4873b371d313c291b463cff89791c");
    assert_eq!((verified.snapshots.as_slice(), verified.deltas), ([Version(2)].as_slice(), 2));
    let dangling: Vec<_> =
        verified.types.iter().map(|of_type| (of_type.name.as_str(), of_type.dangling_keys)).collect();
    assert_eq!(
        dangling.iter().find(|(name, _)| *name == "Film"),
        Some(&("Film", 1)),
        "film 40 leads to 41: {dangling:?}"
    );
    let record = view.named_tables().find(|table| table.schema().name == "Film").and_then(|table| table.iter().next());
    let json = serde_json::to_string(&record.expect("there is a film")).expect("it has a JSON form");
    assert_eq!(json, FIRST);
}

/// The producer of this release goes on from the dataset of an earlier one.
#[tokio::test(start_paused = true)]
async fn a_producer_goes_on_from_each_format() {
    let copy = tempfile::tempdir().expect("a folder");
    let (golden, storage) = (open(&folder(FORMAT)).await, open(&copy.path().join("dataset")).await);
    for listed in golden.list("", None).await.expect("it can be listed") {
        let bytes = golden.get(&listed.name).await.expect("it is read").expect("it is there");
        storage.put(&listed.name, bytes).await.expect("it is copied");
    }
    let env = Env::simulated(3);
    let mut producer = Producer::builder_on(storage.clone())
        .env(env.clone())
        .with::<Film>()
        .with::<Studio>()
        .open()
        .await
        .expect("it opens");
    check(&producer.view());
    let consumer = Consumer::builder_on(storage.clone())
        .env(env.clone())
        .with::<Film>()
        .with::<Studio>()
        .reload(ReloadPolicy::Manual);
    let consumer = consumer.open().await.expect("it opens");
    producer.update(|changes| Ok(changes.upsert(&film(7, "fourth"))?)).await.expect("it is published");
    producer.snapshot().await.expect("a snapshot");
    producer.close().await.expect("it closes");
    consumer.refresh().await.expect("it refreshes");
    assert_eq!(consumer.view().get::<Film>(7).expect("it is there").to_owned(), film(7, "fourth"));
    assert_eq!(consumer.view().len::<Film>(), films().len() + 1);
    Verifier::on(storage.clone()).env(env.clone()).run().await.expect("it is whole");
}
