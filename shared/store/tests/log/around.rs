//! A start goes around what is damaged or missing; and the log takes bounded space.

use std::time::Duration;

use cenote_state::ids::{Position, Version};
use cenote_store::env::Env;
use cenote_store::log::names;
use cenote_store::log::retention::{Retention, trim};
use cenote_store::log::tail::read_hint;
use cenote_store::log::{LogReader, LogWriter, ReadError};
use cenote_store::storage::Storage;

use crate::house::{committed, memory, open, options, position, reader, snapshot};

/// Entries 1 (open), commits with a snapshot after each: versions 2, 4, 6, …
async fn with_snapshots(storage: &Storage, env: &Env, snapshots: u64) -> LogWriter {
    let mut writer = open(storage, env, options("one")).await.unwrap();
    for round in 0..snapshots {
        committed(&mut writer, &format!("{round}")).await;
        let (object, body) = snapshot(&writer);
        position(writer.publish(object, body).await.unwrap());
    }
    writer
}

async fn damage(storage: &Storage, name: &str) {
    let mut bytes = storage.get(name).await.unwrap().unwrap().to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    storage.put(name, bytes.into()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_missing_or_damaged_checkpoint_stops_nobody() {
    for broken in ["missing", "damaged", "entry damaged", "entry missing"] {
        for trimmed in [false, true] {
            let (env, storage) = (Env::simulated(1), memory());
            let mut writer = with_snapshots(&storage, &env, 4).await;
            if trimmed {
                let keep = Retention::new().snapshots(2).younger_than(Duration::ZERO);
                trim(&mut writer, &keep).await.unwrap();
            }
            position(writer.checkpoint().await.unwrap());
            let entry = names::log_entry(writer.log_state().checkpoint);
            // Snapshots after it tell the newest version again.
            committed(&mut writer, "x").await;
            let (object, body) = snapshot(&writer);
            position(writer.publish(object, body).await.unwrap());
            let object = storage.list("checkpoints", None).await.unwrap().pop().unwrap().name;
            match broken {
                "missing" => storage.delete(&object).await.unwrap(),
                "damaged" => damage(&storage, &object).await,
                "entry damaged" => damage(&storage, &entry).await,
                _ => storage.delete(&entry).await.unwrap(),
            }
            let found = reader(&storage).await.unwrap_or_else(|error| panic!("{broken}, {trimmed}: {error}"));
            let (found, known) = (found.log_state(), writer.log_state());
            assert_eq!((found.position, found.hash, found.version), (known.position, known.hash, known.version));
            assert_eq!((found.digest, found.checkpoint), (known.digest, known.checkpoint));
            assert_eq!(found.newest_snapshot().unwrap().snapshot, known.newest_snapshot().unwrap().snapshot);
            // Who opens by it can write on, and the next checkpoint is whole again.
            let tail = reader(&storage).await.unwrap();
            let mut next = LogWriter::open_at_tail(&tail, env.clone(), options("two")).await.unwrap();
            committed(&mut next, "y").await;
            position(next.checkpoint().await.unwrap());
            let again = reader(&storage).await.unwrap();
            assert_eq!(
                (again.log_state().whole_from, again.log_state().version),
                (Position(0), next.log_state().version)
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_entry_below_a_snapshot_stops_nobody() {
    for missing in [false, true] {
        let (env, storage) = (Env::simulated(2), memory());
        let mut writer = with_snapshots(&storage, &env, 3).await;
        // Without a hint, the tail of a log with a gap is not found.
        env.sleep(Duration::from_secs(2)).await;
        assert!(writer.heartbeat().offer().await);
        let name = names::log_entry(Position(4));
        if missing {
            storage.delete(&name).await.unwrap();
        } else {
            damage(&storage, &name).await;
        }
        let found = reader(&storage).await.unwrap();
        assert_eq!(found.log_state().version, Version(6));
        let kept: Vec<_> = found.log_state().snapshots.iter().map(|kept| kept.snapshot.version.0).collect();
        // The snapshot of 4 replaces what is damaged, that of 2 can't be rolled forward.
        assert_eq!(kept, [4, 6]);
        // The producer goes on, and trims what can't be read.
        committed(&mut writer, "x").await;
        let keep = Retention::new().snapshots(1).younger_than(Duration::ZERO);
        trim(&mut writer, &keep).await.unwrap();
        assert_eq!(reader(&storage).await.unwrap().log_state().whole_from, Position(0));
    }
}

#[tokio::test(start_paused = true)]
async fn damage_above_every_snapshot_is_told() {
    let (env, storage) = (Env::simulated(3), memory());
    let mut writer = with_snapshots(&storage, &env, 1).await;
    committed(&mut writer, "x").await;
    committed(&mut writer, "y").await;
    damage(&storage, &names::log_entry(Position(4))).await;
    let error = reader(&storage).await.unwrap_err();
    assert!(error.to_string().contains("log/00000000000000000004"), "{error}");
}

/// A log of many versions takes bounded space: a few live entries, and the tombstones of at most twice their life.
#[tokio::test(start_paused = true)]
async fn a_long_log_takes_bounded_space() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::open(folder.path().to_str().unwrap(), &[]).await.unwrap();
    let env = Env::simulated(4);
    let mut writer = open(&storage, &env, options("one")).await.unwrap();
    let keep = Retention::new().snapshots(1).younger_than(Duration::ZERO).tombstone_life(Duration::from_hours(1));
    let (mut most, mut slept) = (0, LogReader::at(storage.clone(), writer.log_state().clone()));
    for round in 0..30 {
        for _ in 0..20 {
            committed(&mut writer, "x").await;
        }
        let (object, body) = snapshot(&writer);
        position(writer.publish(object, body).await.unwrap());
        env.sleep(Duration::from_mins(20)).await;
        trim(&mut writer, &keep).await.unwrap();
        let files = storage.list("log", None).await.unwrap().len();
        if round >= 10 {
            most = files.max(most);
        }
        // A reader that starts finds the tail, by the hint or without one.
        if round % 7 == 6 {
            storage.delete("hint").await.unwrap();
        }
        writer.heartbeat().offer().await;
        let started = reader(&storage).await.unwrap();
        assert_eq!(started.log_state().position, writer.log_state().position);
    }
    let versions = 30 * 20;
    assert!(most < 250, "{most} files of {versions} versions: an hour's are 60 versions, and twice that may stay");
    assert!(storage.list("checkpoints", None).await.unwrap().len() <= 2);
    assert_eq!(storage.list("snapshots", None).await.unwrap().len(), 1);
    // One that slept since the beginning gets an error that says to start again, although its position is gone.
    slept.next().await.unwrap();
    let told = slept.check_end().await;
    assert!(matches!(told, Err(ReadError::Trimmed { .. })), "{told:?}");
    assert!(read_hint(&storage).await.unwrap().is_some());
    // A hint that is older than the tombstones says nothing.
    let mut hint = read_hint(&storage).await.unwrap().unwrap();
    hint.position = Position(5);
    storage.put("hint", hint.encode()).await.unwrap();
    assert_eq!(reader(&storage).await.unwrap().log_state().position, writer.log_state().position);
}
