use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::memory::InMemory;

use super::*;
use cenote_store::env::Env;
use cenote_store::storage::{Created, Storage, StorageErrorKind};

fn memory() -> Storage {
    Storage::new("memory://faults", Arc::new(InMemory::new()))
}

fn text(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn faulty(rule: Rule) -> (Storage, Storage, FaultyStore) {
    let (truth, faults) = (memory(), FaultyStore::new(Env::simulated(1)));
    faults.add(rule);
    (truth.clone(), faults.wrap(&truth), faults)
}

#[tokio::test(start_paused = true)]
async fn the_nth_call_on_a_prefix_fails() {
    let (_, storage, faults) = faulty(Rule::new(Fault::Unavailable).on(RequestKind::Put).prefix("log/").nth(2));
    storage.put("log/1", text("a")).await.unwrap();
    storage.put("hint", text("b")).await.unwrap();
    let error = storage.put("log/2", text("c")).await.unwrap_err();
    assert_eq!(error.kind, StorageErrorKind::Unavailable);
    assert_eq!(storage.get("log/2").await.unwrap(), None);
    storage.put("log/2", text("c")).await.unwrap();
    assert_eq!(faults.fired(), 1);
}

#[tokio::test(start_paused = true)]
async fn each_failure_has_its_kind() {
    for (fault, kind) in [
        (Fault::Unavailable, StorageErrorKind::Unavailable),
        (Fault::Denied, StorageErrorKind::Denied),
        (Fault::Timeout, StorageErrorKind::Timeout),
        (Fault::DiskFull, StorageErrorKind::Full),
        (Fault::AnswerLost, StorageErrorKind::Timeout),
        (Fault::Conflict, StorageErrorKind::Unavailable),
    ] {
        let (truth, storage, _) = faulty(Rule::new(fault));
        assert_eq!(storage.create("x", text("a")).await.unwrap_err().kind, kind, "{fault:?}");
        assert_eq!(truth.get("x").await.unwrap().is_some(), fault == Fault::AnswerLost, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn already_exists_may_be_a_lie() {
    for (fault, landed) in [(Fault::SaysExists, false), (Fault::MeetsItself, true)] {
        let (truth, storage, _) = faulty(Rule::new(fault));
        assert_eq!(storage.create("x", text("a")).await.unwrap(), Created::Exists);
        assert_eq!(truth.get("x").await.unwrap().is_some(), landed, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_put_can_be_garbled_on_its_way() {
    let (truth, storage, _) = faulty(Rule::new(Fault::Garble(9)).nth(1));
    storage.put("x", text("ab")).await.unwrap();
    assert_eq!(truth.get("x").await.unwrap().unwrap(), "a`");
    storage.put("x", text("ab")).await.unwrap();
    assert_eq!(truth.get("x").await.unwrap().unwrap(), "ab");
}

#[tokio::test(start_paused = true)]
async fn a_put_lands_minutes_later() {
    let (truth, storage, faults) = faulty(Rule::new(Fault::LandsLater(Duration::from_mins(5))).nth(1));
    assert_eq!(storage.create("x", text("a")).await.unwrap_err().kind, StorageErrorKind::Timeout);
    assert_eq!(faults.delayed(), 1);
    assert_eq!(truth.get("x").await.unwrap(), None);
    Env::simulated(0).sleep(Duration::from_secs(299)).await;
    assert_eq!(truth.get("x").await.unwrap(), None);
    Env::simulated(0).sleep(Duration::from_secs(2)).await;
    assert_eq!(truth.get("x").await.unwrap().unwrap(), "a");
    assert_eq!(faults.delayed(), 0);
}

#[tokio::test(start_paused = true)]
async fn reads_are_damaged_without_a_hint() {
    let (_, storage, _) = faulty(Rule::new(Fault::Truncate(2)).on(RequestKind::Get));
    storage.put("x", text("abcd")).await.unwrap();
    assert_eq!(storage.get("x").await.unwrap().unwrap(), "ab");
    let tail = storage.get_tail("x", 3).await.unwrap().unwrap();
    assert_eq!((tail.bytes, tail.size), (text("bc"), 3));

    let (truth, storage, _) = faulty(Rule::new(Fault::FlipBit(8)).on(RequestKind::Get));
    storage.put("x", text("abcd")).await.unwrap();
    assert_eq!(storage.get("x").await.unwrap().unwrap(), "accd");
    assert_eq!(truth.get("x").await.unwrap().unwrap(), "abcd");
}

#[tokio::test(start_paused = true)]
async fn missing_objects_and_missing_permissions() {
    let (_, storage, _) = faulty(Rule::new(Fault::Missing).on(RequestKind::Get));
    storage.put("x", text("a")).await.unwrap();
    assert_eq!(storage.get("x").await.unwrap(), None);

    let (_, storage, _) = faulty(Rule::new(Fault::DeniedIfMissing));
    storage.put("x", text("a")).await.unwrap();
    assert_eq!(storage.get("x").await.unwrap().unwrap(), "a");
    assert_eq!(storage.get("y").await.unwrap_err().kind, StorageErrorKind::Denied);
    assert_eq!(storage.size("y").await.unwrap_err().kind, StorageErrorKind::Denied);
}

/// What 200 requests of all kinds meet, with this seed.
async fn outcomes(seed: u64) -> (Vec<String>, u64) {
    let env = Env::simulated(seed);
    let faults = FaultyStore::new(env.clone());
    faults.set_odds(Odds::rough());
    let storage = faults.wrap(&memory());
    let mut outcomes = Vec::new();
    for number in 0..50 {
        let name = format!("log/{}", number % 7);
        outcomes.push(format!("{:?}", storage.create(&name, text("a")).await.map_err(|error| error.kind)));
        outcomes.push(format!("{:?}", storage.get(&name).await.map_err(|error| error.kind)));
        outcomes.push(format!("{:?}", storage.list("log", None).await.map_err(|error| error.kind)));
        outcomes.push(format!("{:?}", storage.delete(&name).await.map_err(|error| error.kind)));
    }
    outcomes.push(format!("{}", env.now()));
    (outcomes, faults.fired())
}

#[tokio::test(start_paused = true)]
async fn a_seed_replays() {
    let (first, fired) = outcomes(7).await;
    assert!((10..100).contains(&fired), "{fired} faults in 200 requests");
    assert_eq!(first, outcomes(7).await.0);
    assert_ne!(first, outcomes(8).await.0);
}

#[tokio::test]
async fn requests_and_bytes_are_counted() {
    let counting = CountingStore::new();
    let storage = counting.wrap(&memory());
    storage.put("a", text("abc")).await.unwrap();
    storage.create("b", text("de")).await.unwrap();
    storage.get("a").await.unwrap();
    storage.get("none").await.unwrap();
    storage.get_range("a", 1..2).await.unwrap();
    storage.get_tail("a", 2).await.unwrap();
    storage.size("a").await.unwrap();
    let counts = counting.take();
    assert_eq!((counts.of(RequestKind::Put), counts.of(RequestKind::Create)), (1, 1));
    assert_eq!((counts.of(RequestKind::Get), counts.of(RequestKind::Head), counts.total()), (4, 1, 7));
    assert_eq!((counts.bytes_read, counts.bytes_written), (6, 5));
    storage.put_large("c", vec![Bytes::from(vec![1; 20 << 20])]).await.unwrap();
    let counts = counting.counts();
    let parts = [RequestKind::Begin, RequestKind::Part, RequestKind::Complete].map(|kind| counts.of(kind));
    assert_eq!((parts, counts.bytes_written), ([1, 3, 1], 20 << 20));
}

async fn three_puts(storage: &Storage) -> Result<(), cenote_store::storage::StorageError> {
    for name in ["a", "b", "c"] {
        storage.put(name, text("x")).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_process_dies_at_each_step() {
    let record = StepStore::new();
    three_puts(&record.wrap(&memory())).await.unwrap();
    let steps = record.steps();
    assert_eq!(steps[1], Step { kind: RequestKind::Put, key: "b".into() });
    for number in 0..steps.len() {
        for (moment, landed) in [(Moment::Before, number), (Moment::After, number + 1)] {
            let (truth, killer) = (memory(), StepStore::kill_at(number, moment));
            let storage = killer.wrap(&truth);
            assert!(killer.until_killed(three_puts(&storage)).await.is_none());
            assert!(killer.is_dead());
            assert_eq!(truth.list("", None).await.unwrap().len(), landed, "step {number} {moment:?}");
            assert!(storage.put("late", text("x")).await.is_err(), "the dead must not write");
            assert_eq!(truth.get("late").await.unwrap(), None);
        }
    }
    let late = StepStore::kill_at(99, Moment::Before);
    assert!(late.until_killed(three_puts(&late.wrap(&memory()))).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn no_caller_sees_an_error_before_the_death_is_reported() {
    let slow = LatencyStore::s3(Env::simulated(1)).wrap(&memory());
    let killer = StepStore::kill_at(0, Moment::After);
    let storage = killer.wrap(&slow);
    let dies = storage.put("heartbeat", text("a"));
    let is_late = async {
        tokio::task::yield_now().await;
        storage.put("work", text("b")).await
    };
    let work = async {
        tokio::select! {
            biased;
            died = dies => died,
            late = is_late => late,
        }
    };
    let ended = killer.until_killed(work).await;
    assert!(ended.is_none(), "{ended:?}");
    // Whose task is ended while it dies is dead as well.
    let killer = StepStore::kill_at(0, Moment::After);
    let storage = killer.wrap(&slow);
    let aborted = Env::simulated(1).timeout(Duration::from_millis(1), storage.put("heartbeat", text("a"))).await;
    assert!(aborted.is_err() && killer.is_dead());
}

#[tokio::test(start_paused = true)]
async fn requests_take_as_long_as_on_s3() {
    let env = Env::simulated(3);
    let storage = LatencyStore::s3(env.clone()).wrap(&memory());
    let (mut puts, mut gets) = (Vec::new(), Vec::new());
    for _ in 0..400 {
        let start = env.instant();
        storage.put("x", text("a")).await.unwrap();
        let middle = env.instant();
        storage.get("x").await.unwrap();
        puts.push(middle - start);
        gets.push(env.instant() - middle);
    }
    let percentiles = |mut waits: Vec<Duration>| {
        waits.sort();
        [waits[200].as_millis(), waits[395].as_millis()]
    };
    let ([put_p50, put_p99], [get_p50, get_p99]) = (percentiles(puts), percentiles(gets));
    assert!((90..112).contains(&put_p50) && (165..240).contains(&put_p99), "puts: {put_p50} ms, {put_p99} ms");
    assert!((60..68).contains(&get_p50) && (72..86).contains(&get_p99), "gets: {get_p50} ms, {get_p99} ms");
}
