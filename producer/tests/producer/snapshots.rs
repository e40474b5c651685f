//! Snapshots made in the background, and what retention removes after them.

use std::time::Duration;

use cenote_store::log::{LogObject, LogReader};
use cenote_store::storage::Storage;
use cenote_testing::faults::{Fault, FaultyStore, RequestKind, Rule};

use super::*;
use cenote_producer::Retention;
use cenote_producer::error::ErrorKind;

/// Text that does not compress, so that deltas weigh something.
fn noise(seed: u64, bytes: usize) -> String {
    let env = Env::simulated(seed);
    (0..bytes).map(|_| char::from(33 + (env.random() % 90) as u8)).collect()
}

#[test]
fn they_are_made_when_due_and_old_ones_go() {
    run(async {
        let url = "memory://snapshots-due";
        let keep = Retention::new().snapshots(2).younger_than(Duration::ZERO);
        let mut producer = producer("snapshots-due").retention(keep).open().await.unwrap();
        let (mut made, mut trimmed) = (0, 0);
        for round in 0..40 {
            let change =
                |changes: &mut Update| Ok(changes.upsert(&Movie { title: noise(round, 40_000), ..movie(round % 3) })?);
            producer.update(change).await.unwrap();
            if let Some(report) = producer.finished_snapshot().await {
                let report = report.unwrap();
                assert_eq!(report.version, producer.version());
                made += 1;
                trimmed += report.trimmed.tombstones;
            }
        }
        assert!((3..20).contains(&made), "{made} snapshots");
        assert!(trimmed > 0, "entries were removed with old snapshots");
        producer.check_invariants();
        producer.close().await.unwrap();
        let reader = LogReader::start(Storage::open(url, &[]).await.unwrap()).await.unwrap();
        assert_eq!(reader.log_state().snapshots.len(), 2);
        assert!(matches!(reader.read(cenote_state::ids::Position(1)).await.unwrap(), Some(LogObject::Tombstone(_))));
        let again = super::producer("snapshots-due").open().await.unwrap();
        again.check_invariants();
        assert_eq!(again.committed_state().digest(), producer.committed_state().digest());
    });
}

/// Rule 7: what can't be read back is never named.
#[test]
fn one_that_is_damaged_is_never_named() {
    run(async {
        let storage = Storage::open("memory://snapshots-damaged", &[]).await.unwrap();
        let faults = FaultyStore::new(Env::simulated(3));
        let builder = Producer::builder_on(faults.wrap(&storage)).with::<Movie>().env(Env::simulated(7));
        let mut producer = builder.snapshots(SnapshotPolicy::Manual).open().await.unwrap();
        let error = producer.snapshot().await.unwrap_err();
        assert_eq!(error.to_string(), "there is nothing to take a snapshot of: commit a version first");
        assert_eq!(error.kind(), ErrorKind::Program);
        let fill = async |writer: &mut Writer| (0..100).try_for_each(|id| Ok(writer.add(&movie(id))?));
        producer.cycle(fill).await.unwrap();
        faults.add(Rule::new(Fault::FlipBit(5_000)).on(RequestKind::Get).prefix("snapshots/"));
        let error = producer.snapshot().await.unwrap_err();
        assert_eq!(error.to_string(), "the snapshot can't be read back, so the log does not name it");
        assert_eq!(error.kind(), ErrorKind::Damaged);
        assert!(faults.fired() > 0);
        faults.clear();
        let reader = LogReader::start(storage).await.unwrap();
        assert!(reader.log_state().snapshots.is_empty());
        producer.snapshot().await.unwrap();
        producer.update(|changes| Ok(changes.delete::<Movie>(3)?)).await.unwrap();
    });
}

/// A commit does not wait for a snapshot: their entries find their places in the log by themselves.
#[test]
fn commits_go_on_during_one() {
    run(async {
        let storage = Storage::open("memory://snapshots-background", &[]).await.unwrap();
        let faults = FaultyStore::new(Env::simulated(3));
        let builder = Producer::builder_on(faults.wrap(&storage)).with::<Movie>().env(Env::simulated(7));
        let mut producer = builder.open().await.unwrap();
        faults.add(Rule::new(Fault::Slow(Duration::from_mins(1))).prefix("snapshots/"));
        let started = Env::simulated(1).instant();
        for round in 0..20 {
            let change =
                |changes: &mut Update| Ok(changes.upsert(&Movie { title: noise(round, 9_000), ..movie(round) })?);
            producer.update(change).await.unwrap();
        }
        assert!(Env::simulated(1).instant() - started < Duration::from_mins(1), "no update waited");
        let report = producer.finished_snapshot().await.unwrap().unwrap();
        assert!(report.version < producer.version());
        producer.update(|changes| Ok(changes.delete::<Movie>(3)?)).await.unwrap();
        producer.check_invariants();
        producer.close().await.unwrap();
        let reader = LogReader::start(storage).await.unwrap();
        assert!(reader.log_state().newest_snapshot().is_some());
    });
}
