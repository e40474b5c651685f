//! Retention (rules 4 and 5, I11): what is kept stays, what goes says so.

use std::time::Duration;

use bytes::Bytes;
use cenote_state::ids::{Epoch, Position, Version};
use cenote_store::env::Env;
use cenote_store::log::names::{Folder, ObjectName};
use cenote_store::log::plan::{CostModel, Have, plan};
use cenote_store::log::retention::{Retention, Trimmed, sweep, trim};
use cenote_store::log::{Body, LogReader, LogWriter, Lost, Outcome, ReadError, Refused, Rule, Rules, Snapshot};
use cenote_store::storage::Storage;

use crate::house::{blob_commit, committed, memory, open, options, position, put, reader, snapshot, taking_over};
use cenote_testing::log_walk::walk;

const RETENTION: Retention = Retention::new().snapshots(3).younger_than(Duration::ZERO);

/// Five rounds of commit, blob commit, snapshot: snapshots of versions 3, 6, 9, 12, 15.
async fn rounds(storage: &Storage, env: &Env) -> LogWriter {
    let mut writer = open(storage, env, options("one")).await.unwrap();
    for round in 0..5 {
        committed(&mut writer, &format!("small-{round}")).await;
        let (object, body) = blob_commit(&writer, &format!("large-{round}"));
        position(writer.publish(object, body).await.unwrap());
        let (object, body) = snapshot(&writer);
        position(writer.publish(object, body).await.unwrap());
        env.sleep(Duration::from_hours(1)).await;
    }
    writer
}

#[tokio::test(start_paused = true)]
async fn a_trim_keeps_what_it_must_and_a_second_has_nothing_to_do() {
    let (env, storage) = (Env::simulated(1), memory());
    let mut writer = rounds(&storage, &env).await;
    let sleeper = LogReader::at(storage.clone(), cenote_store::log::LogState::empty());
    let mut sleeper = sleeper;
    sleeper.next().await.unwrap();
    // The day keeps all five.
    let kept = trim(&mut writer, &Retention::default()).await.unwrap();
    assert_eq!((kept.tombstones, kept.deleted), (3, 1)); // the oldest snapshot's version and what is before it
    let done = trim(&mut writer, &RETENTION).await.unwrap();
    assert_eq!(done.log_start, Position(10));
    let entries = walk(&storage).await;
    assert_eq!(entries[0].position, 10);
    // Blobs at 3, 6, 9 and the snapshots that entries 4 and 7 named are gone.
    assert_eq!(storage.list("blobs", None).await.unwrap().len(), 2);
    assert_eq!(storage.list("snapshots", None).await.unwrap().len(), 3);
    let again = trim(&mut writer, &RETENTION).await.unwrap();
    assert_eq!(again, Trimmed { log_start: Position(10), ..Trimmed::default() });
    // A reader that slept gets an error; one that starts finds the three snapshots.
    assert!(matches!(sleeper.next().await, Err(ReadError::Trimmed { .. })));
    assert!(matches!(sleeper.check_end().await, Err(ReadError::Trimmed { .. })));
    let reader = reader(&storage).await.unwrap();
    let versions: Vec<_> = reader.log_state().snapshots.iter().map(|kept| kept.snapshot.version.0).collect();
    assert_eq!(versions, [9, 12, 15]);
    assert_eq!(reader.log_state(), writer.log_state());
    let mut walk = reader.walk_from(Version(9));
    while walk.next().await.unwrap().is_some() {}
    let mut cut_off = reader.walk_from(Version(8));
    assert!(matches!(cut_off.next().await, Err(ReadError::Trimmed { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_slept_meets_a_tombstone_and_ends() {
    let (env, storage) = (Env::simulated(2), memory());
    let mut sleeper = open(&storage, &env, options("sleeper")).await.unwrap();
    let mut other = open(&storage, &env, taking_over("other")).await.unwrap();
    for _ in 0..4 {
        committed(&mut other, "x").await;
        let (object, body) = snapshot(&other);
        position(other.publish(object, body).await.unwrap());
    }
    trim(&mut other, &Retention::new().snapshots(1).younger_than(Duration::ZERO)).await.unwrap();
    assert!(matches!(put(&mut sleeper, "late").await, Outcome::Lost(Lost::Trimmed { position: Position(2), .. })));
    assert!(matches!(put(&mut sleeper, "again").await, Outcome::Lost(Lost::Trimmed { .. })));
    assert!(cenote_testing::log_walk::positions_of(&walk(&storage).await, "late").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_janitor_trims_under_a_live_producer() {
    let (env, storage) = (Env::simulated(3), memory());
    let mut producer = rounds(&storage, &env).await;
    let mut janitor = LogWriter::join(&reader(&storage).await.unwrap(), env.clone(), options("janitor"));
    trim(&mut janitor, &RETENTION).await.unwrap();
    // The producer lost positions to entries of the same epoch: the same commit goes to the next.
    let next = committed(&mut producer, "goes on").await;
    assert_eq!(next, janitor.log_state().position.next());
    // What was built to name something below the new log start is lost, not named.
    let name = ObjectName { position: Position(4), ..producer.object_name(Folder::Snapshots, None) };
    let object = cenote_store::log::NewObject { name, parts: vec![Bytes::from_static(b"old")] };
    let stale = Body::Snapshot(Snapshot {
        version: Version(4),
        object: object.reference(),
        digest: 0,
        committed_at: producer.commit_time(),
    });
    let outcome = producer.publish(object, stale).await.unwrap();
    assert!(matches!(outcome, Outcome::Lost(Lost::BelowLogStart { log_start: Position(10) })), "{outcome:?}");
    walk(&storage).await;
}

#[tokio::test(start_paused = true)]
async fn a_sweep_takes_garbage_and_nothing_else() {
    let (env, storage) = (Env::simulated(4), memory());
    let mut writer = rounds(&storage, &env).await;
    trim(&mut writer, &RETENTION).await.unwrap();
    let before = all_objects(&storage).await;
    let put = |position, epoch, id| {
        let name =
            ObjectName { folder: Folder::Blobs, position: Position(position), epoch: Epoch(epoch), id: [id; 16] };
        let storage = storage.clone();
        async move { storage.put(&name.to_string(), Bytes::from_static(b"x")).await.unwrap() }
    };
    put(5, 1, 1).await; // below the log start
    put(100, 1, 2).await; // its writer may be about to name it
    let foreign = "blobs/another-programs";
    storage.put(foreign, Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(sweep(&storage, Rules::default()).await.unwrap(), 1);
    assert_eq!(all_objects(&storage).await.len(), before.len() + 2);
    // Once another producer holds the dataset, the first one can't name it any more.
    open(&storage, &env, taking_over("two")).await.unwrap();
    assert_eq!(sweep(&storage, Rules::default()).await.unwrap(), 1);
    // With rule 5 broken a sweep would take what a live producer is about to name.
    put(100, 2, 3).await;
    assert_eq!(sweep(&storage, Rules::broken(Rule::Garbage)).await.unwrap(), 1);
    let after = all_objects(&storage).await;
    assert!(before.iter().all(|name| after.contains(name)));
}

async fn all_objects(storage: &Storage) -> Vec<String> {
    let mut names = Vec::new();
    for folder in Folder::ALL {
        names.extend(storage.list(folder.name(), None).await.unwrap().into_iter().map(|listed| listed.name));
    }
    names
}

#[tokio::test(start_paused = true)]
async fn another_epochs_object_is_not_named() {
    let (env, storage) = (Env::simulated(5), memory());
    let mut first = open(&storage, &env, options("one")).await.unwrap();
    committed(&mut first, "x").await;
    let (object, body) = snapshot(&first);
    let mut second = open(&storage, &env, taking_over("two")).await.unwrap();
    assert!(matches!(second.publish(object, body).await, Err(Refused::OthersObject { .. })));
}

#[tokio::test(start_paused = true)]
async fn the_planner_goes_by_what_the_log_says() {
    let (env, storage) = (Env::simulated(6), memory());
    rounds(&storage, &env).await;
    let reader = reader(&storage).await.unwrap();
    let log_state = reader.log_state();
    // A second state in memory is dear: one delta is cheaper than even a small snapshot.
    let model = CostModel { second_state_bytes: 1 << 20, ..CostModel::default() };
    // From nothing: the newest snapshot, which is the newest version.
    let way = plan(log_state, None, log_state.version, &model).unwrap();
    assert_eq!((way.snapshot.map(|s| s.version), way.from, way.to), (Some(Version(15)), Version(15), Version(15)));
    // From one version before: its delta; for far behind: the snapshot.
    let mut follower = LogReader::empty(storage);
    while follower.log_state().version < Version(14) {
        follower.next().await.unwrap();
    }
    let have = |version| Some(Have { version: Version(version), cost: follower.log_state().cost_at(Version(version)) });
    let way = plan(log_state, have(14), log_state.version, &model).unwrap();
    assert_eq!((way.snapshot, way.from), (None, Version(14)));
    let way = plan(log_state, have(3), log_state.version, &model).unwrap();
    assert_eq!(way.from, Version(15));
    // An older target: the snapshot before it.
    let way = plan(log_state, None, Version(14), &model).unwrap();
    assert_eq!((way.from, way.to), (Version(12), Version(14)));
    assert!(plan(log_state, None, Version(99), &model).is_none());
}
