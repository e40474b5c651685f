//! A producer opens although something is damaged, makes what is missing again, and leaves nothing when it has nothing to
//! write.

use std::time::Duration;

use cenote_state::ids::Position;
use cenote_store::log::{LogReader, Lost, names};
use cenote_store::storage::Storage;
use cenote_testing::faults::{CountingStore, Fault, FaultyStore, RequestKind, Rule};

use super::*;
use cenote_producer::error::ErrorKind;
use cenote_producer::{Cycled, Retention};

async fn storage(name: &str) -> Storage {
    Storage::open(&format!("memory://{name}"), &[]).await.unwrap()
}

fn on(storage: Storage) -> ProducerBuilder<Storage> {
    let builder = Producer::builder_on(storage).with::<Movie>().with::<Country>().env(Env::simulated(7));
    builder.snapshots(SnapshotPolicy::Manual)
}

async fn upsert(producer: &mut Producer, id: u64) {
    producer.update(|changes| Ok(changes.upsert(&movie(id))?)).await.unwrap();
}

fn ids(producer: &Producer) -> Vec<u64> {
    let mut ids: Vec<u64> = producer.view().all::<Movie>().map(super::MovieRef::id).collect();
    ids.sort_unstable();
    ids
}

async fn damage(storage: &Storage, name: &str) {
    let mut bytes = storage.get(name).await.unwrap().unwrap().to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    storage.put(name, bytes.into()).await.unwrap();
}

async fn newest(storage: &Storage, folder: &str) -> String {
    storage.list(folder, None).await.unwrap().pop().unwrap().name
}

/// Movies 1 to 6, each a version, with a snapshot after 2 and after 4.
async fn dataset(name: &str) -> Storage {
    let storage = storage(name).await;
    let mut producer = on(storage.clone()).open().await.unwrap();
    for id in 1..=6 {
        upsert(&mut producer, id).await;
        if id == 2 || id == 4 {
            assert!(producer.snapshot().await.unwrap().made);
        }
    }
    producer.close().await.unwrap();
    storage
}

/// A regression: without its newest snapshot, no producer ever opened a dataset again.
#[test]
fn a_producer_opens_around_damage() {
    for broken in ["missing", "damaged", "all missing", "entry", "deltas"] {
        run(async {
            let storage = dataset(&format!("recovery-{}", broken.replace(' ', "-"))).await;
            let snapshot = newest(&storage, "snapshots").await;
            match broken {
                "missing" => storage.delete(&snapshot).await.unwrap(),
                "damaged" => damage(&storage, &snapshot).await,
                "all missing" => {
                    for listed in storage.list("snapshots", None).await.unwrap() {
                        storage.delete(&listed.name).await.unwrap();
                    }
                }
                // Below both snapshots, and between them.
                "entry" => damage(&storage, &names::log_entry(Position(2))).await,
                _ => damage(&storage, &names::log_entry(Position(5))).await,
            }
            let mut producer =
                on(storage.clone()).open().await.unwrap_or_else(|error| panic!("{broken}: {}", chain(&error)));
            assert_eq!(ids(&producer), [1, 2, 3, 4, 5, 6], "{broken}");
            producer.check_invariants();
            // It makes the snapshot that is missing.
            upsert(&mut producer, 7).await;
            assert!(producer.snapshot().await.unwrap().made, "{broken}");
            producer.close().await.unwrap();
            let again = on(storage).open().await.unwrap();
            assert_eq!(ids(&again), [1, 2, 3, 4, 5, 6, 7], "{broken}");
        });
    }
}

/// What is damaged above every whole snapshot can't be gone around, and is reported.
#[test]
fn a_version_that_no_way_leads_to_is_not_opened() {
    run(async {
        let storage = dataset("recovery-no-way").await;
        damage(&storage, &names::log_entry(Position(8))).await;
        let error = on(storage).open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{}", chain(&error));
    });
}

/// A snapshot that could not be loaded is made again, although the log names one of this version.
#[test]
fn a_damaged_snapshot_of_the_newest_version_is_replaced() {
    run(async {
        let storage = storage("recovery-replaced").await;
        let mut producer = on(storage.clone()).open().await.unwrap();
        upsert(&mut producer, 1).await;
        producer.snapshot().await.unwrap();
        producer.close().await.unwrap();
        damage(&storage, &newest(&storage, "snapshots").await).await;
        let mut producer = on(storage.clone()).open().await.unwrap();
        assert!(producer.snapshot().await.unwrap().made);
        producer.close().await.unwrap();
        let reader = LogReader::start(storage.clone()).await.unwrap();
        assert_eq!(reader.log_state().snapshots.len(), 1, "the second takes the place of the first");
        storage.delete(&names::log_entry(Position(1))).await.unwrap();
        let mut producer = on(storage).open().await.unwrap();
        assert_eq!(ids(&producer), [1]);
        assert!(!producer.snapshot().await.unwrap().made);
    });
}

/// A regression: weekly snapshots of an unchanged dataset pushed older versions out, and were refused in the end.
#[test]
fn a_snapshot_of_a_version_that_has_one_writes_nothing() {
    run(async {
        let (env, counting) = (Env::simulated(7), CountingStore::new());
        let near = storage("recovery-weekly").await;
        for week in 0..10 {
            let mut producer = on(counting.wrap(&near)).retention(Retention::new()).open().await.unwrap();
            if week < 3 {
                upsert(&mut producer, week).await;
            }
            counting.take();
            let report = producer.snapshot().await.unwrap();
            assert_eq!((report.made, report.version), (week < 3, producer.version()), "week {week}");
            let counts = counting.take();
            assert!(week < 3 || counts.of(RequestKind::Put) + counts.of(RequestKind::Create) == 0, "{counts:?}");
            producer.close().await.unwrap();
            env.sleep(Duration::from_hours(7 * 24)).await;
        }
        assert_eq!(near.list("snapshots", None).await.unwrap().len(), 3);
        let reader = LogReader::start(near).await.unwrap();
        assert_eq!(reader.log_state().snapshots.len(), 3, "three versions");
    });
}

/// Also right after the one that was due.
#[test]
fn a_snapshot_by_hand_after_the_one_that_was_due() {
    run(async {
        let storage = storage("recovery-due").await;
        let keep = Retention::new().snapshots(1).younger_than(Duration::ZERO);
        let mut producer = on(storage).snapshots(SnapshotPolicy::Auto).retention(keep).open().await.unwrap();
        for id in 0..5 {
            upsert(&mut producer, id).await;
            let report = producer.snapshot().await.unwrap();
            assert_eq!(report.version, producer.version());
        }
    });
}

/// What fails in the background shows in the status until one is made.
#[test]
fn a_failed_snapshot_is_seen_and_leaves_nothing() {
    run(async {
        let near = storage("recovery-failed").await;
        let faults = FaultyStore::new(Env::simulated(3));
        let mut producer = on(faults.wrap(&near)).snapshots(SnapshotPolicy::Auto).open().await.unwrap();
        faults.add(Rule::new(Fault::FlipBit(3_000)).on(RequestKind::Get).prefix("snapshots/"));
        for in_a_row in 1..=3 {
            upsert(&mut producer, in_a_row).await;
            producer.finished_snapshot().await.unwrap().unwrap_err();
            let failure = producer.status().snapshot_failure.unwrap();
            assert_eq!((failure.version, failure.in_a_row), (producer.version(), in_a_row));
            assert!(failure.message.contains("the snapshot can't be read back"), "{}", failure.message);
            assert_eq!(failure.kind, ErrorKind::Damaged);
            assert_eq!(near.list("snapshots", None).await.unwrap(), [], "its object is deleted");
        }
        faults.clear();
        producer.snapshot().await.unwrap();
        assert_eq!(producer.status().snapshot_failure, None);
    });
}

/// A regression: each opening put an entry, so that a job that found nothing to do filled the log.
#[test]
fn a_producer_that_writes_nothing_leaves_nothing() {
    run(async {
        let storage = dataset("recovery-nothing").await;
        let before = storage.list("log", None).await.unwrap();
        for round in 0..3 {
            let mut producer = on(storage.clone()).open().await.unwrap();
            let unchanged = producer.update(|changes| Ok(changes.upsert(&movie(1))?)).await.unwrap();
            assert!(matches!(unchanged.cycled, Cycled::Unchanged(_)));
            let failed: Result<_, CycleError> =
                producer.update(|_| Err::<(), _>("the source is down".into())).await.map(drop);
            assert!(failed.is_err());
            if round < 2 {
                producer.close().await.unwrap();
            }
        }
        assert_eq!(storage.list("log", None).await.unwrap(), before);
        // The last one was dropped without a last hint: the next waits for it, as for any owner.
        let started = Env::simulated(7).instant();
        let mut producer = on(storage.clone()).open().await.unwrap();
        assert!(Env::simulated(7).instant() - started >= Duration::from_secs(10));
        upsert(&mut producer, 7).await;
        assert_eq!(storage.list("log", None).await.unwrap().len(), before.len() + 2, "its opening, and its version");
    });
}

/// Takeovers that commit nothing put entries, and checkpoints among them.
#[test]
fn openings_count_for_checkpoints() {
    run(async {
        let storage = dataset("recovery-openings").await;
        for _ in 0..1_100 {
            drop(on(storage.clone()).take_over().open().await.unwrap());
        }
        let reader = LogReader::start(storage).await.unwrap();
        assert!(reader.log_state().checkpoint.0 > 0);
    });
}

/// One that was dead only in appearance writes first: the one in waiting stops before it has written anything.
#[test]
fn whoever_waits_to_write_meets_the_owner_that_was_not_dead() {
    run(async {
        let (env, storage) = (Env::simulated(9), dataset("recovery-waiting").await);
        let faults = FaultyStore::new(env.clone());
        let mut owner = on(faults.wrap(&storage)).open().await.unwrap();
        upsert(&mut owner, 7).await;
        // Its heartbeats don't arrive.
        faults.add(Rule::new(Fault::Unavailable).on(RequestKind::Put).prefix("hint"));
        let mut waiting = on(storage.clone()).open().await.unwrap();
        upsert(&mut owner, 8).await;
        let error = waiting.update(|changes| Ok(changes.upsert(&movie(9))?)).await.unwrap_err();
        assert!(matches!(error.lost(), Some(Lost::Overtaken { .. })) && error.kind() == ErrorKind::Stop, "{error:?}");
        // Of two in waiting, the first to write fences the other, and the owner.
        faults.add(Rule::new(Fault::Unavailable).on(RequestKind::Put).prefix("hint"));
        waiting.close().await.unwrap();
        env.sleep(Duration::from_mins(1)).await;
        let mut first = on(storage.clone()).open().await.unwrap();
        let mut second = on(storage.clone()).take_over().open().await.unwrap();
        upsert(&mut second, 10).await;
        let error = first.update(|changes| Ok(changes.upsert(&movie(11))?)).await.unwrap_err();
        assert!(error.is_fenced(), "{error:?}");
        assert!(owner.update(|changes| Ok(changes.upsert(&movie(12))?)).await.unwrap_err().is_fenced());
    });
}

/// A regression: a dropped `close` made the producer useless.
#[test]
fn a_dropped_close_leaves_a_producer_that_can_be_used() {
    run(async {
        let (env, near) = (Env::simulated(10), storage("recovery-close").await);
        let faults = FaultyStore::new(env.clone());
        let mut producer = on(faults.wrap(&near)).open().await.unwrap();
        upsert(&mut producer, 1).await;
        faults.add(Rule::new(Fault::Slow(Duration::from_secs(3))).on(RequestKind::Put).prefix("hint"));
        for wait in [1, 1_200, 2_000] {
            assert!(env.timeout(Duration::from_millis(wait), producer.close()).await.is_err());
            upsert(&mut producer, wait).await;
        }
        producer.close().await.unwrap();
        let started = env.instant();
        on(near).open().await.unwrap();
        assert_eq!(env.instant() - started, Duration::ZERO, "it said goodbye");
    });
}
