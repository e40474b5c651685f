//! The writers of one process share the tail, and a log that is not the one they wrote is recognised.

use std::time::Duration;

use cenote_state::ids::{Epoch, Position, Version};
use cenote_store::env::Env;
use cenote_store::log::names::{self, Folder};
use cenote_store::log::{Body, Lost, Outcome, ReadError, Refused, Trim, WriterOptions};
use cenote_store::storage::Storage;
use cenote_testing::faults::{CountingStore, Fault, FaultyStore, RequestKind, Rule};
use cenote_testing::log_walk::walk;

use crate::house::{blob_commit, commit, committed, memory, open, options, position, put, reader, snapshot};

const NOTHING_TRIMMED: Body = Body::Trim(Trim { log_start: Position(1) });

/// A regression: after each snapshot the next commit was put where the snapshot's entry was.
#[tokio::test(start_paused = true)]
async fn no_writer_of_a_process_puts_where_another_has() {
    let (env, storage) = (Env::simulated(1), memory());
    let counting = CountingStore::new();
    let mut producer = open(&counting.wrap(&storage), &env, options("one")).await.unwrap();
    let mut beside = producer.beside();
    counting.take();
    for round in 0..10 {
        committed(&mut producer, &format!("{round}")).await;
        let (object, body) = {
            beside.take_in().await;
            snapshot(&beside)
        };
        position(beside.publish(object, body).await.unwrap());
        position(beside.checkpoint().await.unwrap());
    }
    drop(beside);
    committed(&mut producer, "last").await;
    let counts = counting.take();
    assert_eq!((counts.of(RequestKind::Create), counts.of(RequestKind::Get)), (31, 0), "none is refused: {counts:?}");
    assert_eq!(walk(&storage).await.len(), 32);
    assert_eq!(producer.log_state(), reader(&storage).await.unwrap().log_state());
}

/// Both put at the same time: one waits for the other, and neither for a store that hangs.
#[tokio::test(start_paused = true)]
async fn a_put_that_hangs_holds_the_others_up_for_a_moment_only() {
    let (env, storage) = (Env::simulated(2), memory());
    let faults = FaultyStore::new(env.clone());
    let mut producer = open(&faults.wrap(&storage), &env, options("one")).await.unwrap();
    let mut beside = producer.beside();
    faults.add(Rule::new(Fault::Slow(Duration::from_millis(100))).on(RequestKind::Create).nth(1));
    let (first, second) = futures::join!(put(&mut producer, "a"), beside.append(NOTHING_TRIMMED));
    assert_eq!((position(first), position(second.unwrap())), (Position(2), Position(3)));
    faults.add(Rule::new(Fault::Hang).on(RequestKind::Create).nth(1));
    let started = env.instant();
    let hangs = async {
        let _ = env.timeout(Duration::from_mins(1), beside.append(NOTHING_TRIMMED)).await;
    };
    let commits = async {
        env.sleep(Duration::from_millis(10)).await;
        committed(&mut producer, "b").await;
        env.instant() - started
    };
    let ((), took) = futures::join!(hangs, commits);
    assert!(took < Duration::from_secs(3), "{took:?}");
    walk(&storage).await;
}

/// A regression: what the fenced one had read was passed on, so that the producer went on after the `open` that superseded it.
#[tokio::test(start_paused = true)]
async fn a_producer_is_fenced_although_another_writer_of_its_process_was_first() {
    let (env, storage) = (Env::simulated(3), memory());
    let mut producer = open(&storage, &env, options("one")).await.unwrap();
    committed(&mut producer, "a").await;
    let mut beside = producer.beside();
    let mut other = open(&storage, &env, WriterOptions { take_over: true, ..options("two") }).await.unwrap();
    let outcome = beside.append(NOTHING_TRIMMED).await.unwrap();
    assert!(matches!(outcome, Outcome::Fenced(_)), "{outcome:?}");
    let outcome = put(&mut producer, "b").await;
    assert!(matches!(&outcome, Outcome::Fenced(fenced) if fenced.position == Position(3)), "{outcome:?}");
    committed(&mut other, "c").await;
    assert_eq!(walk(&storage).await.len(), 4);
}

/// Takes a copy of the log away, and puts it back later.
async fn log_of(storage: &Storage) -> Vec<(String, bytes::Bytes)> {
    let mut copy = Vec::new();
    for listed in storage.list("log", None).await.unwrap() {
        copy.push((listed.name.clone(), storage.get(&listed.name).await.unwrap().unwrap()));
    }
    copy
}

async fn restore(storage: &Storage, copy: &[(String, bytes::Bytes)]) {
    for listed in storage.list("log", None).await.unwrap() {
        storage.delete(&listed.name).await.unwrap();
    }
    for (name, bytes) in copy {
        storage.put(name, bytes.clone()).await.unwrap();
    }
}

/// A regression: restored from an older copy under a living producer, a log had a gap below the next entry, forever.
#[tokio::test(start_paused = true)]
async fn nothing_is_put_after_the_gap_of_a_restored_log() {
    let (env, storage) = (Env::simulated(3), memory());
    let mut producer = open(&storage, &env, options("one")).await.unwrap();
    committed(&mut producer, "kept").await;
    let copy = log_of(&storage).await;
    committed(&mut producer, "lost").await;
    restore(&storage, &copy).await;
    env.sleep(Duration::from_secs(2)).await;
    for _ in 0..2 {
        let body = commit(&producer, "after a gap");
        let refused = producer.append(body).await;
        assert!(
            matches!(refused, Err(Refused::Gone(ReadError::Damaged { .. } | ReadError::Restored { .. }))),
            "{refused:?}"
        );
    }
    assert_eq!(log_of(&storage).await, copy, "nothing was put");
}

/// A producer that never pauses has seen its newest entry all along; the gap is before it.
#[tokio::test(start_paused = true)]
async fn a_gap_before_the_newest_entry_is_found_within_a_minute() {
    for foreign in [false, true] {
        let (env, storage) = (Env::simulated(4), memory());
        let mut producer = open(&storage, &env, options("one")).await.unwrap();
        committed(&mut producer, "a").await;
        let copy = log_of(&storage).await;
        for _ in 0..70 {
            env.sleep(Duration::from_millis(900)).await;
            committed(&mut producer, "busy").await;
        }
        restore(&storage, &copy).await;
        if foreign {
            // Another producer went on from the copy, as far as this one had come.
            let mut other = open(&storage, &env, crate::house::taking_over("other")).await.unwrap();
            while other.log_state().position < producer.log_state().position {
                committed(&mut other, "other's").await;
            }
        }
        let restored = env.instant();
        let refused = loop {
            let body = commit(&producer, "busy");
            match producer.append(body).await {
                Ok(Outcome::Committed(_)) => env.sleep(Duration::from_millis(900)).await,
                other => break other,
            }
        };
        let took = env.instant() - restored;
        assert!(took <= Duration::from_mins(1) + Duration::from_secs(1), "{took:?}: {refused:?}");
        assert!(matches!(refused, Err(Refused::Gone(_)) | Ok(Outcome::Fenced(_))), "{foreign}: {refused:?}");
    }
}

/// A writer that slept for longer than tombstones stay: its next position is free again, and what it puts is not believed.
#[tokio::test(start_paused = true)]
async fn a_position_whose_tombstone_is_gone_is_not_written_again() {
    let (env, storage) = (Env::simulated(5), memory());
    let mut sleeper = open(&storage, &env, options("sleeper")).await.unwrap();
    committed(&mut sleeper, "a").await;
    let mut other = open(&storage, &env, crate::house::taking_over("other")).await.unwrap();
    let keep = cenote_store::log::retention::Retention::new().snapshots(1).younger_than(Duration::ZERO);
    let keep = keep.tombstone_life(Duration::from_hours(1));
    for _ in 0..3 {
        committed(&mut other, "x").await;
        let (object, body) = snapshot(&other);
        position(other.publish(object, body).await.unwrap());
        cenote_store::log::retention::trim(&mut other, &keep).await.unwrap();
        env.sleep(Duration::from_hours(2)).await;
    }
    assert!(storage.size(&names::log_entry(Position(3))).await.unwrap().is_none(), "the tombstone is gone");
    let outcome = put(&mut sleeper, "late").await;
    assert!(matches!(outcome, Outcome::Lost(Lost::Trimmed { .. })), "{outcome:?}");
    assert!(storage.size(&names::log_entry(Position(3))).await.unwrap().is_none(), "nothing was put");

    // One that was stopped between its look and its put.
    let faults = FaultyStore::new(env.clone());
    let mut stopped = open(&faults.wrap(&storage), &env, crate::house::taking_over("stopped")).await.unwrap();
    let body = commit(&stopped, "stopped");
    faults.add(Rule::new(Fault::Slow(Duration::from_hours(48))).on(RequestKind::Create).nth(1));
    let next = stopped.log_state().position.next();
    let late = stopped.append(body);
    let others = async {
        env.sleep(Duration::from_secs(1)).await;
        let mut last = open(&storage, &env, crate::house::taking_over("last")).await.unwrap();
        for _ in 0..3 {
            committed(&mut last, "y").await;
            let (object, body) = snapshot(&last);
            position(last.publish(object, body).await.unwrap());
            cenote_store::log::retention::trim(&mut last, &keep).await.unwrap();
            env.sleep(Duration::from_hours(2)).await;
        }
        assert!(storage.size(&names::log_entry(next)).await.unwrap().is_none(), "the tombstone is gone");
    };
    let (outcome, ()) = futures::join!(late, others);
    let outcome = outcome.unwrap();
    assert!(!matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
}

/// A regression: a checkpoint that others outran was put again without a pause or an end, and its objects stayed.
#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_is_outrun_gives_up_and_leaves_nothing() {
    let (env, storage) = (Env::simulated(6), memory());
    let faults = FaultyStore::new(env.clone());
    let mut producer = open(&faults.wrap(&storage), &env, options("one")).await.unwrap();
    committed(&mut producer, "a").await;
    // Another process trims; each of its entries takes the position of the checkpoint, which is slow.
    let start = reader(&storage).await.unwrap();
    let mut janitor = cenote_store::log::LogWriter::join(&start, env.clone(), options("janitor"));
    faults.add(Rule::new(Fault::Slow(Duration::from_secs(1))).on(RequestKind::Create).prefix("log/"));
    let outruns = async {
        loop {
            env.sleep(Duration::from_millis(300)).await;
            position(janitor.append(NOTHING_TRIMMED).await.unwrap());
        }
    };
    tokio::select! {
        biased;
        outcome = producer.checkpoint() => {
            assert!(matches!(outcome, Ok(Outcome::Lost(Lost::Outdated { .. }))), "{outcome:?}");
        }
        () = outruns => unreachable!("it goes on"),
    }
    assert_eq!(storage.list(Folder::Checkpoints.name(), None).await.unwrap(), [], "what lost is deleted");
    faults.clear();
    position(producer.checkpoint().await.unwrap());
    walk(&storage).await;
}

/// What a lost commit wrote is deleted by its writer.
#[tokio::test(start_paused = true)]
async fn the_blob_of_a_lost_commit_is_deleted() {
    let (env, storage) = (Env::simulated(7), memory());
    let mut first = open(&storage, &env, options("one")).await.unwrap();
    let (object, body) = blob_commit(&first, "late");
    let mut second = open(&storage, &env, crate::house::taking_over("two")).await.unwrap();
    committed(&mut second, "x").await;
    let outcome = first.publish(object, body).await.unwrap();
    assert!(matches!(&outcome, Outcome::Fenced(fenced) if fenced.epoch == Epoch(2)), "{outcome:?}");
    let stale = Body::Commit(Box::new(cenote_store::log::Commit { parent: Version(1), ..Default::default() }));
    let (object, _) = blob_commit(&second, "stale");
    assert!(matches!(second.publish(object, stale).await, Ok(Outcome::Lost(Lost::StaleParent { .. }))));
    assert_eq!(storage.list(Folder::Blobs.name(), None).await.unwrap(), []);
}

/// A regression: a `close` that was dropped left a writer that could neither write nor be closed.
#[tokio::test(start_paused = true)]
async fn a_dropped_close_leaves_a_writer_that_writes_and_can_be_closed() {
    let (env, storage) = (Env::simulated(8), memory());
    let faults = FaultyStore::new(env.clone());
    let mut writer = open(&faults.wrap(&storage), &env, options("one")).await.unwrap();
    let beating = env.spawn(writer.heartbeat().beat());
    committed(&mut writer, "a").await;
    for wait in [0, 500, 1_500] {
        faults.add(Rule::new(Fault::Slow(Duration::from_secs(2))).on(RequestKind::Put).prefix("hint"));
        let dropped = env.timeout(Duration::from_millis(wait), writer.close()).await;
        faults.clear();
        assert!(dropped.is_err(), "{wait}");
        committed(&mut writer, "b").await;
        env.sleep(Duration::from_secs(10)).await;
        let hint = cenote_store::log::tail::read_hint(&storage).await.unwrap().unwrap();
        assert!(hint.owner.is_some() && hint.position == writer.log_state().position, "it beats on: {hint:?}");
    }
    assert!(writer.close().await.is_none());
    beating.await.unwrap();
    let hint = cenote_store::log::tail::read_hint(&storage).await.unwrap().unwrap();
    assert_eq!(hint.owner, None);
}
