//! Following: starts, tail search, the end of the log (rule 6), what is said of a log that is not right (I9).

use std::time::Duration;

use bytes::Bytes;
use cenote_state::ids::{Position, Version};
use cenote_store::env::Env;
use cenote_store::log::names::{HINT, log_entry};
use cenote_store::log::{Body, CHECKPOINT_EVERY, Hint, LogReader, ReadError, Rule, Rules};
use cenote_store::storage::Storage;
use cenote_testing::faults::{CountingStore, RequestKind};

use crate::house::{committed, memory, open, options, reader, snapshot, taking_over};
use cenote_testing::log_walk::walk;

async fn log_of(commits: usize) -> (Storage, Env) {
    let (env, storage) = (Env::simulated(1), memory());
    let mut writer = open(&storage, &env, options("one")).await.unwrap();
    for index in 0..commits {
        committed(&mut writer, &format!("{index}")).await;
    }
    writer.close().await;
    (storage, env)
}

#[tokio::test(start_paused = true)]
async fn a_long_log_starts_from_a_checkpoint_in_few_requests() {
    let (storage, _) = log_of(2_500).await;
    let entries = walk(&storage).await; // checks that a checkpoint comes before each 1,000th
    let checkpoints: Vec<_> = entries.iter().filter(|entry| entry.kind == 4).map(|entry| entry.position).collect();
    assert!(checkpoints.len() >= 2);
    let counting = CountingStore::new();
    let started = LogReader::start(counting.wrap(&storage)).await.unwrap();
    assert_eq!(started.log_state().position.0, entries.len() as u64);
    // End of log; probe, hint, header, checkpoint entry and object; the entries after it.
    let behind = entries.len() as u64 - checkpoints.last().unwrap() + 1;
    let counts = counting.counts();
    assert_eq!((counts.of(RequestKind::Head), counts.of(RequestKind::Get)), (1, 5 + behind));
    assert_eq!(counts.of(RequestKind::List), 0);
    assert!(behind <= CHECKPOINT_EVERY);
    // What a reader of every entry knows, a start knows too.
    let mut whole = LogReader::empty(storage);
    while whole.next().await.unwrap().is_some() {}
    assert_eq!(whole.log_state(), started.log_state());
}

#[tokio::test(start_paused = true)]
async fn the_tail_is_found_without_a_hint_or_with_an_old_one() {
    let (storage, _) = log_of(100).await;
    let newest = storage.get(HINT).await.unwrap().unwrap();
    for position in [None, Some(1), Some(2), Some(50), Some(100), Some(101)] {
        match position {
            None => storage.delete(HINT).await.unwrap(),
            Some(position) => {
                let hint = Hint { position: Position(position), ..Hint::decode(HINT, &newest).unwrap() };
                storage.put(HINT, hint.encode()).await.unwrap();
            }
        }
        let counting = CountingStore::new();
        let tail = reader(&counting.wrap(&storage)).await.unwrap().tail().await.unwrap();
        assert_eq!(tail.head.position, Position(101));
        assert_eq!(counting.counts().of(RequestKind::List), 0);
    }
    // A hint that is no hint is as good as none.
    storage.put(HINT, Bytes::from_static(b"garbage")).await.unwrap();
    assert_eq!(reader(&storage).await.unwrap().log_state().position, Position(101));
}

#[tokio::test(start_paused = true)]
async fn a_poll_is_one_request_and_a_walk_is_in_order() {
    let (storage, env) = log_of(40).await;
    let counting = CountingStore::new();
    let mut reader = reader(&counting.wrap(&storage)).await.unwrap();
    counting.take();
    assert!(reader.next().await.unwrap().is_none());
    assert_eq!(counting.take().total(), 1);
    let mut writer = open(&storage, &env, taking_over("two")).await.unwrap();
    committed(&mut writer, "new").await;
    assert!(matches!(reader.next().await.unwrap().unwrap().body, Body::Open(_)));
    assert!(reader.next().await.unwrap().unwrap().commit().is_some());
    assert!(reader.next().await.unwrap().is_none());
    assert!(reader.check_end().await.unwrap().is_some());
    let mut walk = reader.walk_from(Version(10));
    for position in 11..=43 {
        assert_eq!(walk.next().await.unwrap().unwrap().head.position.0, position);
    }
    assert!(walk.next().await.unwrap().is_none());
}

/// What `check_end` or a start says once `spoil` was done to the log.
async fn said(reader: &LogReader) -> ReadError {
    reader.check_end().await.expect_err("the end is not an end")
}

#[tokio::test(start_paused = true)]
async fn not_found_is_the_end_only_after_an_entry_and_not_below_the_hint() {
    let (storage, _) = log_of(10).await;
    let reader = reader(&storage).await.unwrap();
    reader.check_end().await.unwrap();
    let hint = Hint::decode(HINT, &storage.get(HINT).await.unwrap().unwrap()).unwrap();
    // The hint names an entry that is not there.
    storage.put(HINT, Hint { position: Position(13), ..hint.clone() }.encode()).await.unwrap();
    let error = said(&reader).await.to_string();
    assert!(error.contains(&log_entry(Position(12))) && error.contains("13"), "{error}");
    let error = LogReader::start(storage.clone()).await.unwrap_err().to_string();
    assert!(error.contains(&log_entry(Position(13))), "{error}");
    // With rule 6 broken both believe it.
    let rules = Rules::broken(Rule::EndOfLog);
    assert!(reader.clone().with_rules(rules).check_end().await.is_ok());
    assert!(LogReader::start_with(storage.clone(), rules).await.is_ok());
    // The newest entry itself is gone.
    storage.put(HINT, hint.encode()).await.unwrap();
    storage.delete(&log_entry(Position(11))).await.unwrap();
    assert!(matches!(said(&reader).await, ReadError::Damaged { .. }));
}

#[tokio::test(start_paused = true)]
async fn another_dataset_in_the_same_place_is_reported() {
    let (storage, env) = log_of(10).await;
    let follower = reader(&storage).await.unwrap();
    for listed in storage.list("log", None).await.unwrap() {
        storage.delete(&listed.name).await.unwrap();
    }
    assert!(matches!(said(&follower).await, ReadError::NotFound { .. }));
    // Made again, shorter, with the old hint still there.
    let mut writer = open(&storage, &Env::simulated(99), taking_over("new")).await.unwrap();
    assert!(matches!(said(&follower).await, ReadError::Replaced { .. }));
    for index in 0..20 {
        committed(&mut writer, &format!("{index}")).await;
    }
    assert!(matches!(said(&follower).await, ReadError::Replaced { .. }));
    let mut follower = follower;
    assert!(matches!(follower.next().await, Err(ReadError::Replaced { .. })));
    env.sleep(Duration::from_secs(1)).await;
    assert_eq!(reader(&storage).await.unwrap().log_state().position.0, 21);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_a_log_is_reported() {
    let storage = memory();
    assert!(matches!(LogReader::start(storage.clone()).await, Err(ReadError::NotFound { .. })));
    storage.put(&log_entry(Position(1)), Bytes::from_static(b"{\"json\": true}")).await.unwrap();
    let error = LogReader::start(storage.clone()).await.unwrap_err().to_string();
    assert!(error.contains("log/00000000000000000001 is not Cenote's"), "{error}");
    let (storage, _) = log_of(3).await;
    let mut bytes = storage.get(&log_entry(Position(4))).await.unwrap().unwrap().to_vec();
    bytes[8] = 3;
    storage.put(&log_entry(Position(4)), bytes.into()).await.unwrap();
    let error = LogReader::start(storage).await.unwrap_err();
    assert!(error.needs_upgrade() && error.to_string().contains("format version is 3"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn entries_that_were_swapped_or_changed_are_noticed() {
    let (storage, _) = log_of(10).await;
    let get = |position| {
        let storage = storage.clone();
        async move { storage.get(&log_entry(Position(position))).await.unwrap().unwrap() }
    };
    let (fifth, sixth) = (get(5).await, get(6).await);
    storage.put(&log_entry(Position(5)), sixth.clone()).await.unwrap();
    let error = LogReader::start(storage.clone()).await.unwrap_err().to_string();
    assert!(error.contains(&log_entry(Position(5))) && error.contains("position 6"), "{error}");
    // The same position with other contents and right hashes: the chain notices.
    let mut forged = fifth.to_vec();
    forged[48] ^= 1;
    cenote_store::log::repair_checksums(&mut forged);
    storage.put(&log_entry(Position(5)), forged.into()).await.unwrap();
    let error = LogReader::start(storage.clone()).await.unwrap_err().to_string();
    assert!(error.contains(&log_entry(Position(6))), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_missing_object_is_explained() {
    let (env, storage) = (Env::simulated(8), memory());
    let mut writer = open(&storage, &env, options("one")).await.unwrap();
    committed(&mut writer, "x").await;
    let (object, body) = snapshot(&writer);
    let reference = object.reference();
    crate::house::position(writer.publish(object, body).await.unwrap());
    storage.delete(&reference.name).await.unwrap();
    let reader = reader(&storage).await.unwrap();
    let said = reader.explain_missing(Position(3), &reference).await.unwrap();
    assert!(matches!(&said, ReadError::Missing { object, .. } if *object == reference.name), "{said}");
}
