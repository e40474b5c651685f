//! Versions that can't be reached by delta, by snapshot, at the start or later.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cenote_consumer::error::{ErrorKind, LoadError};
use cenote_consumer::{Consumer, Health, RefreshPath, Verifier, Version};
use cenote_producer::Producer;
use cenote_store::env::Env;
use cenote_store::error::with_sources;
use cenote_store::log::{Body, names};
use cenote_store::storage::Storage;
use cenote_testing::faults::{Fault, FaultyStore, RequestKind, Rule};

use crate::chain::{Chain, Spoil};
use crate::{BY_COUNTRY, Movie, manual, memory, movie};

async fn chain_and_consumer() -> (Storage, Env, Chain, Consumer, FaultyStore) {
    let (storage, env) = (memory().await, Env::simulated(1));
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    chain.always_blobs = true;
    chain.commit(|edit| (0..50).for_each(|id| edit.put(&movie(id, "first")))).await;
    // Delayed requests count as fired, which the tests use to count reads.
    let reads = FaultyStore::new(env.clone());
    let consumer = manual(&reads.wrap(&storage), &env).open().await.expect("it opens");
    (storage, env, chain, consumer, reads)
}

fn is_stale(consumer: &Consumer) -> bool {
    matches!(consumer.status().health, Health::Stale { .. })
}

fn quarantined(consumer: &Consumer) -> Option<Version> {
    consumer.status().quarantined.map(|(version, _)| version)
}

/// The blob that the commit of `version` names.
async fn blob_of(storage: &Storage, version: Version) -> String {
    let name = names::log_entry(version.position());
    let bytes = storage.get(&name).await.expect("it reads").expect("it is there");
    let Ok(cenote_store::log::LogObject::Entry(entry)) = cenote_store::log::decode(&name, &bytes) else {
        panic!("an entry")
    };
    match &entry.body {
        Body::Commit(_) => entry.body.object().expect("its delta is a blob").name.clone(),
        other => panic!("{other:?}"),
    }
}

/// I5: digests, counts and bytes that differ from what was committed are never shown.
#[tokio::test(start_paused = true)]
async fn what_differs_from_its_commit_is_never_shown() {
    for spoil in [Spoil::Digest, Spoil::Counts, Spoil::Delta] {
        let (_, env, mut chain, consumer, _) = chain_and_consumer().await;
        let first = consumer.version();
        chain.spoil = spoil;
        let bad = chain.commit(|edit| edit.put(&movie(1, "bad"))).await;
        let error = consumer.refresh().await.expect_err("it differs");
        assert!(error.to_string().contains(&format!("version {bad}")), "{error}");
        assert!(is_stale(&consumer), "{spoil:?}");
        assert_eq!((consumer.version(), quarantined(&consumer)), (first, Some(bad)));
        assert_eq!(consumer.view().get::<Movie>(1).expect("it is there").title(), "first");
        // The next version leads through the bad one: tried, and refused again.
        let next = chain.commit(|edit| edit.put(&movie(2, "good"))).await;
        consumer.refresh().await.expect_err("its parent is bad");
        assert_eq!(consumer.version(), first);
        // A snapshot avoids it.
        chain.snapshot().await;
        assert_eq!(consumer.refresh().await.expect("the snapshot is good"), next);
        assert_eq!((consumer.status().health, quarantined(&consumer)), (Health::Fresh, None));
        assert_eq!(consumer.view().find(&BY_COUNTRY, "nl").len(), 25);
        drop(env);
    }
}

#[tokio::test(start_paused = true)]
async fn snapshots_around_a_bad_version_are_rationed() {
    let (_, env, mut chain, consumer, reads) = chain_and_consumer().await;
    reads.add(Rule::new(Fault::Slow(Duration::from_millis(1))).on(RequestKind::Get).prefix("snapshots/"));
    let first = consumer.version();
    chain.spoil = Spoil::Digest;
    chain.commit(|edit| edit.put(&movie(1, "bad"))).await;
    chain.spoil = Spoil::Delta;
    chain.snapshot().await;
    consumer.refresh().await.expect_err("neither is good");
    let tried = reads.fired();
    assert!(tried > 0, "the snapshot was tried");
    assert_eq!(consumer.version(), first);
    // For an hour no other snapshot is loaded, good or bad.
    for round in 0..10 {
        chain.commit(|edit| edit.put(&movie(3, &format!("round {round}")))).await;
        chain.snapshot().await;
        env.sleep(Duration::from_secs(350)).await;
        consumer.refresh().await.expect_err("it waits");
        assert_eq!((reads.fired(), consumer.version()), (tried, first), "round {round}");
    }
    env.sleep(Duration::from_secs(2_000)).await;
    consumer.refresh().await.expect("the hour is over");
    assert!(reads.fired() > tried);
    assert_eq!(consumer.view().get::<Movie>(3).expect("it is there").title(), "round 9");
}

#[tokio::test(start_paused = true)]
async fn a_bad_version_is_not_tried_at_every_refresh() {
    let (_, env, mut chain, consumer, reads) = chain_and_consumer().await;
    reads.add(Rule::new(Fault::Slow(Duration::from_millis(1))).on(RequestKind::Get).prefix("blobs/"));
    chain.spoil = Spoil::Digest;
    chain.commit(|edit| edit.put(&movie(1, "bad"))).await;
    for _ in 0..50 {
        consumer.refresh().await.expect_err("it is bad");
    }
    assert_eq!(reads.fired(), 1, "tried once");
    env.sleep(Duration::from_secs(80)).await;
    consumer.refresh().await.expect_err("it is bad");
    assert_eq!(reads.fired(), 2, "and again after a minute");
}

#[tokio::test(start_paused = true)]
async fn a_bit_that_flips_in_transit_is_read_again() {
    let (storage, env, mut chain, consumer, reads) = chain_and_consumer().await;
    reads.add(Rule::new(Fault::FlipBit(1_000)).on(RequestKind::Get).prefix("blobs/").times(1));
    let second = chain.commit(|edit| edit.put(&movie(1, "second"))).await;
    assert_eq!(consumer.refresh().await.expect("a blob is read again at once"), second);
    reads.add(Rule::new(Fault::FlipBit(1_000)).on(RequestKind::Get).prefix("log/").times(1));
    let third = chain.commit(|edit| edit.put(&movie(1, "third"))).await;
    assert_eq!(consumer.refresh().await.expect("so is an entry"), third);
    // Wrong twice: it is called damaged, and tried again after a minute.
    reads.add(Rule::new(Fault::FlipBit(1_000)).on(RequestKind::Get).prefix("blobs/").times(2));
    let fourth = chain.commit(|edit| edit.put(&movie(1, "fourth"))).await;
    let error = consumer.refresh().await.expect_err("a bit flipped, twice");
    assert!(matches!(error.load_error(), Some(LoadError::Altered { .. })), "{error}");
    assert_eq!((error.version(), error.kind()), (Some(fourth), ErrorKind::Damaged));
    env.sleep(Duration::from_secs(80)).await;
    assert_eq!(consumer.refresh().await.expect("it heals"), fourth);
    // So is a snapshot, by which a consumer starts.
    chain.snapshot().await;
    chain.trim().await;
    reads.add(Rule::new(Fault::FlipBit(1_000)).on(RequestKind::Get).prefix("snapshots/").times(1));
    assert_eq!(manual(&reads.wrap(&storage), &env).open().await.expect("it opens").version(), fourth);
}

#[tokio::test(start_paused = true)]
async fn a_missing_blob_is_awaited_and_then_avoided() {
    let (storage, env, mut chain, consumer, _) = chain_and_consumer().await;
    let first = consumer.version();
    let second = chain.commit(|edit| edit.put(&movie(1, "second"))).await;
    let name = blob_of(&storage, second).await;
    let bytes = storage.get(&name).await.expect("it reads").expect("it is there");
    storage.delete(&name).await.expect("it is deleted");
    let error = consumer.refresh().await.expect_err("it is missing");
    assert!(error.to_string().contains(&name), "{error}");
    assert!(is_stale(&consumer));
    assert_eq!((consumer.version(), quarantined(&consumer)), (first, None), "it may come");
    storage.put(&name, bytes).await.expect("it comes");
    assert_eq!(consumer.refresh().await.expect("it is there"), second);

    let third = chain.commit(|edit| edit.put(&movie(1, "third"))).await;
    storage.delete(&blob_of(&storage, third).await).await.expect("it is deleted");
    consumer.refresh().await.expect_err("it may come");
    env.sleep(Duration::from_secs(400)).await;
    consumer.refresh().await.expect_err("it did not come");
    assert_eq!((consumer.version(), quarantined(&consumer)), (second, Some(third)));
    chain.snapshot().await;
    assert_eq!(consumer.refresh().await.expect("the snapshot avoids it"), third);
}

#[tokio::test(start_paused = true)]
async fn a_start_serves_the_last_good_version_and_reports_the_bad_one() {
    let (storage, env) = (memory().await, Env::simulated(1));
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    chain.commit(|edit| (0..50).for_each(|id| edit.put(&movie(id, "first")))).await;
    let good = chain.commit(|edit| edit.put(&movie(1, "good"))).await;
    chain.spoil = Spoil::Digest;
    let bad = chain.commit(|edit| edit.put(&movie(1, "bad"))).await;
    let consumer = manual(&storage, &env).open().await.expect("the last good version opens");
    assert_eq!((consumer.version(), quarantined(&consumer)), (good, Some(bad)));
    assert!(is_stale(&consumer) && consumer.is_serving());
    assert_eq!(consumer.view().get::<Movie>(1).expect("it is there").title(), "good");
}

#[tokio::test(start_paused = true)]
async fn a_start_avoids_a_bad_snapshot() {
    let (storage, env) = (memory().await, Env::simulated(1));
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    let long = "a title that makes a snapshot worth its bytes ".repeat(40);
    chain.always_blobs = true;
    chain.commit(|edit| (0..100).for_each(|id| edit.put(&movie(id, &long)))).await;
    let older = chain.commit(|edit| (0..100).for_each(|id| edit.put(&movie(id, "short")))).await;
    chain.snapshot().await;
    chain.commit(|edit| (0..100).for_each(|id| edit.put(&movie(id, &long)))).await;
    chain.commit(|edit| (0..100).for_each(|id| edit.put(&movie(id, "shorter")))).await;
    chain.spoil = Spoil::Delta;
    chain.snapshot().await;
    let last = chain.commit(|edit| edit.put(&movie(1, "last"))).await;
    let paths: Arc<Mutex<Vec<RefreshPath>>> = Arc::default();
    let sink = Arc::clone(&paths);
    let consumer = manual(&storage, &env)
        .on_refresh(move |report| sink.lock().unwrap().push(report.path))
        .open()
        .await
        .expect("the older snapshot opens");
    assert_eq!((consumer.version(), consumer.status().health), (last, Health::Fresh));
    assert_eq!(*paths.lock().unwrap(), [RefreshPath::Snapshot { version: older, commits: 3 }]);
}

/// Another snapshot in the place of the one that the log names: of this dataset, consistent in itself, of the same length and
/// digest; its schema calls a field by another name. Every reader that loads it reports the same.
#[tokio::test(start_paused = true)]
async fn a_foreign_snapshot_of_the_same_digest_is_refused_by_every_reader() {
    let (storage, env) = (memory().await, Env::simulated(1));
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    let version = chain.commit(|edit| edit.put(&movie(1, "first"))).await;
    let name = chain.snapshot().await.name;
    // Nothing but the snapshot leads to the version.
    env.sleep(Duration::from_mins(1)).await;
    chain.trim().await;
    chain.close().await;
    let mut bytes = storage.get(&name).await.expect("it reads").expect("it is there").to_vec();
    let field = bytes.windows(7).rposition(|window| window == b"country").expect("its footer names the fields");
    bytes[field] ^= 1;
    cenote_state::blob::repair_checksums(&mut bytes);
    storage.put(&name, bytes.into()).await.expect("it is put");
    let expected = format!("{name} is not the object that version {version} names: its length or hash differs");
    let consumer = manual(&storage, &env).open().await.map(drop).expect_err("it is another");
    let producer = Producer::builder_on(storage.clone()).env(env.clone()).with::<Movie>().open().await;
    let producer = producer.map(drop).expect_err("it is another");
    let verifier = Verifier::on(storage.clone()).env(env.clone()).run().await.map(drop).expect_err("it is another");
    for text in [with_sources(&consumer), with_sources(&producer), with_sources(&verifier)] {
        assert!(text.contains(&expected), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_slept_through_a_trim_starts_from_the_snapshot() {
    let (_, _, mut chain, consumer, _) = chain_and_consumer().await;
    for round in 0..6 {
        chain.commit(|edit| edit.put(&movie(1, &format!("round {round}")))).await;
    }
    chain.snapshot().await;
    let last = chain.commit(|edit| edit.put(&movie(2, "last"))).await;
    chain.trim().await;
    assert_eq!(consumer.refresh().await.expect("the snapshot is kept"), last);
    assert_eq!(consumer.view().get::<Movie>(1).expect("it is there").title(), "round 5");
}

/// A listener that panics does not end the consumer.
#[tokio::test(start_paused = true)]
async fn a_panicking_listener_does_not_end_the_consumer() {
    let (_, _, mut chain, consumer, _) = chain_and_consumer().await;
    consumer.on_refresh(|_| panic!("a listener's bug"));
    for _ in 0..2 {
        let version = chain.commit(|edit| edit.put(&movie(1, "again"))).await;
        assert_eq!(consumer.refresh().await.expect("it goes on"), version);
        let version = chain.commit(|edit| edit.put(&movie(1, "and again"))).await;
        assert_eq!(consumer.refresh().await.expect("it goes on"), version);
    }
}
