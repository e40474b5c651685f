//! A log that is trimmed, restored, replaced or damaged under a consumer: no error hides what helps against another.

use std::time::Duration;

use bytes::Bytes;
use cenote_consumer::error::ReadError;
use cenote_consumer::{Consumer, Health, RefreshError, Verifier, Version};
use cenote_store::env::Env;
use cenote_store::log::{LogReader, LogWriter, WriterOptions, names};
use cenote_store::storage::Storage;
use cenote_testing::faults::{Fault, FaultyStore, RequestKind, Rule};

use crate::chain::Chain;
use crate::{Movie, manual, memory, movie};

async fn chain_and_consumer(env: &Env) -> (Storage, Chain, Consumer) {
    let storage = memory().await;
    let mut chain = Chain::create(&storage, env, cenote_state::record::Registry::with::<Movie>).await;
    chain.commit(|edit| (0..50).for_each(|id| edit.put(&movie(id, "first")))).await;
    let consumer = manual(&storage, env).open().await.expect("it opens");
    (storage, chain, consumer)
}

async fn commits(chain: &mut Chain, count: u64) -> Version {
    let mut version = Version::EMPTY;
    for round in 0..count {
        version = chain.commit(|edit| edit.put(&movie(1, &format!("{round} after {}", edit.version())))).await;
    }
    version
}

async fn snapshot_and_trim(chain: &mut Chain) -> String {
    let snapshot = chain.snapshot().await;
    chain.trim().await;
    snapshot.name
}

async fn take(storage: &Storage, name: &str) -> Bytes {
    let bytes = storage.get(name).await.expect("it reads").expect("it is there");
    storage.delete(name).await.expect("it is deleted");
    bytes
}

fn log_error(error: &RefreshError) -> &ReadError {
    error.log_error().unwrap_or_else(|| panic!("{error}"))
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_lags_when_the_log_is_trimmed_again_recovers() {
    let env = Env::simulated(1);
    let (storage, mut chain, consumer) = chain_and_consumer(&env).await;
    commits(&mut chain, 3).await;
    let name = snapshot_and_trim(&mut chain).await;
    let bytes = take(&storage, &name).await;
    consumer.refresh().await.expect_err("the snapshot is missing, and the deltas were trimmed");
    storage.put(&name, bytes).await.expect("it is put back");
    let newest = commits(&mut chain, 4).await;
    snapshot_and_trim(&mut chain).await;
    assert_eq!(consumer.refresh().await.expect("the new snapshot is there"), newest);
    assert_eq!(consumer.status().health, Health::Fresh);
}

/// After hours in quarantine, too: where no deltas are left, a new snapshot is loaded as soon as it is there.
#[tokio::test(start_paused = true)]
async fn a_consumer_without_deltas_does_not_wait_for_the_next_hour() {
    let env = Env::simulated(1);
    let (storage, mut chain, consumer) = chain_and_consumer(&env).await;
    commits(&mut chain, 3).await;
    let name = snapshot_and_trim(&mut chain).await;
    take(&storage, &name).await;
    for _ in 0..10 {
        consumer.refresh().await.expect_err("the snapshot is missing");
        env.sleep(Duration::from_mins(1)).await;
    }
    assert!(consumer.status().quarantined.is_some(), "it is lost");
    let newest = commits(&mut chain, 1).await;
    snapshot_and_trim(&mut chain).await;
    assert_eq!(consumer.refresh().await.expect("the new snapshot is there"), newest);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_in_the_log_is_found_after_a_trim() {
    let env = Env::simulated(1);
    let (_, mut chain, consumer) = chain_and_consumer(&env).await;
    let trimmed = commits(&mut chain, 3).await;
    let snapped = commits(&mut chain, 1).await;
    snapshot_and_trim(&mut chain).await;
    let last = commits(&mut chain, 2).await;
    let error = consumer.refresh_to(trimmed).await.expect_err("it was trimmed");
    assert!(error.is_no_such_version() && error.to_string().contains("it was trimmed"), "{error}");
    assert_eq!(consumer.refresh_to(snapped).await.expect("it is in the log"), snapped);
    consumer.refresh().await.expect("it refreshes");
    let beyond = Version(last.0 + 1);
    let error = consumer.refresh_to(beyond).await.expect_err("nobody committed it");
    assert_eq!(error.to_string(), format!("there is no version {beyond}: the newest is {last}"));
    assert_eq!(consumer.status().health, Health::Fresh, "the caller is wrong, not the log");
}

#[tokio::test(start_paused = true)]
async fn no_version_is_denied_while_the_log_cannot_be_read() {
    let env = Env::simulated(1);
    let storage = memory().await;
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    commits(&mut chain, 1).await;
    let faults = FaultyStore::new(env.clone());
    let consumer = manual(&faults.wrap(&storage), &env).open().await.expect("it opens");
    let newest = commits(&mut chain, 2).await;
    faults.add(Rule::new(Fault::Unavailable));
    let error = consumer.refresh_to(newest).await.expect_err("the store is away");
    assert!(!error.is_no_such_version(), "{error}");
    assert!(matches!(consumer.status().health, Health::Stale { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_is_trimmed_while_it_is_loaded_is_replaced_by_the_next() {
    let env = Env::simulated(1);
    let storage = memory().await;
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    commits(&mut chain, 1).await;
    let faults = FaultyStore::new(env.clone());
    let consumer = manual(&faults.wrap(&storage), &env).open().await.expect("it opens");
    commits(&mut chain, 3).await;
    snapshot_and_trim(&mut chain).await;
    let slow = || Rule::new(Fault::Slow(Duration::from_secs(10))).on(RequestKind::Get).prefix("snapshots/").times(1);
    faults.add(slow());
    let refresh = env.spawn({
        let consumer = consumer.clone();
        async move { consumer.refresh().await }
    });
    env.sleep(Duration::from_secs(5)).await;
    let newest = commits(&mut chain, 2).await;
    snapshot_and_trim(&mut chain).await;
    assert_eq!(refresh.await.expect("no panic").expect("it plans again"), newest);

    // A verification begins again as well.
    faults.add(slow());
    let verify = env.spawn(Verifier::on(faults.wrap(&storage)).env(env.clone()).run());
    env.sleep(Duration::from_secs(5)).await;
    let newest = commits(&mut chain, 2).await;
    snapshot_and_trim(&mut chain).await;
    assert_eq!(verify.await.expect("no panic").expect("nothing is damaged").version, newest);
}

#[tokio::test(start_paused = true)]
async fn damage_is_not_forgotten_by_the_next_look() {
    let env = Env::simulated(1);
    let (storage, mut chain, consumer) = chain_and_consumer(&env).await;
    consumer.refresh().await.expect("nothing new, and the end is checked");
    env.sleep(Duration::from_secs(2)).await;
    let newest = commits(&mut chain, 30).await;
    env.sleep(Duration::from_secs(2)).await;
    chain.beat().await;
    let name = names::log_entry(newest.position());
    let bytes = take(&storage, &name).await;
    for round in 0..3 {
        let error = consumer.refresh().await.expect_err("the newest entry is gone, and the hint names it");
        assert!(error.to_string().contains(&name), "{round}: {error}");
        env.sleep(Duration::from_secs(70)).await;
    }
    storage.put(&name, bytes).await.expect("it is put back");
    assert_eq!(consumer.refresh().await.expect("it is there again"), newest);
    assert_eq!(consumer.status().health, Health::Fresh);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_entry_below_a_good_snapshot_is_passed() {
    let env = Env::simulated(1);
    let (storage, mut chain, consumer) = chain_and_consumer(&env).await;
    let damaged = commits(&mut chain, 2).await;
    commits(&mut chain, 2).await;
    let name = names::log_entry(damaged.position());
    let mut bytes = storage.get(&name).await.expect("it reads").expect("it is there").to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    storage.put(&name, bytes.into()).await.expect("it is put");
    consumer.refresh().await.expect_err("an entry is damaged");
    assert_eq!(consumer.version(), Version(damaged.0 - 1), "what comes before it is shown");
    chain.snapshot().await;
    chain.checkpoint().await;
    let newest = commits(&mut chain, 1).await;
    env.sleep(Duration::from_mins(2)).await;
    assert_eq!(consumer.refresh().await.expect("the snapshot leads past it"), newest);
}

/// What was lost with the log is no reason to wait for an object.
#[tokio::test(start_paused = true)]
async fn a_replaced_dataset_is_told_apart_from_a_missing_object() {
    let env = Env::simulated(1);
    let (storage, mut chain, consumer) = chain_and_consumer(&env).await;
    chain.always_blobs = true;
    commits(&mut chain, 1).await;
    for blob in storage.list("blobs", None).await.expect("it lists") {
        storage.delete(&blob.name).await.expect("it deletes");
    }
    consumer.refresh().await.expect_err("the blob is missing");
    assert!(matches!(consumer.status().health, Health::Stale { .. }));
    for object in storage.list("", None).await.expect("it lists") {
        storage.delete(&object.name).await.expect("it deletes");
    }
    Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    let error = consumer.refresh().await.expect_err("another dataset");
    assert!(matches!(log_error(&error), ReadError::Replaced { .. }), "{error}");
    assert_eq!(consumer.status().health, Health::DatasetReplaced);
}

#[tokio::test(start_paused = true)]
async fn a_restored_older_copy_is_recognised() {
    let env = Env::simulated(1);
    let (storage, mut chain, consumer) = chain_and_consumer(&env).await;
    env.sleep(Duration::from_secs(2)).await;
    chain.beat().await;
    let mut copy = Vec::new();
    for object in storage.list("", None).await.expect("it lists") {
        copy.push((object.name.clone(), storage.get(&object.name).await.expect("it reads").expect("it is there")));
    }
    let newest = commits(&mut chain, 5).await;
    assert_eq!(consumer.refresh().await.expect("it follows"), newest);
    drop(chain);
    env.sleep(Duration::from_secs(2)).await;
    for object in storage.list("", None).await.expect("it lists") {
        storage.delete(&object.name).await.expect("it deletes");
    }
    for (name, bytes) in copy {
        storage.put(&name, bytes).await.expect("it puts");
    }
    let is_restored = async || {
        let error = consumer.refresh().await.expect_err("an older copy");
        assert!(matches!(log_error(&error), ReadError::Restored { .. }), "{error}");
        assert_eq!((consumer.status().health, consumer.version()), (Health::DatasetReplaced, newest));
    };
    env.sleep(Duration::from_secs(61)).await;
    is_restored().await;
    // Another producer goes on with the copy, beyond what the consumer has seen.
    for _ in 0..10 {
        let reader = LogReader::start(storage.clone()).await.expect("the copy is whole");
        let options = WriterOptions { take_over: true, ..WriterOptions::default() };
        LogWriter::open(&reader, env.clone(), options).await.expect("it opens");
        is_restored().await;
    }
}
