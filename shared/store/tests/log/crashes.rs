//! A crash between any two steps (rule 1, I6): what was reported is in the log, the rest is garbage, the next producer goes on.

use cenote_store::env::Env;
use cenote_store::log::retention::{Retention, sweep, trim};
use cenote_store::log::{Outcome, Rules};
use cenote_store::storage::Storage;
use cenote_testing::faults::{Moment, StepStore};

use crate::house::{blob_commit, committed, memory, open, options, position, reader, snapshot, taking_over};
use cenote_testing::log_walk::{positions_of, walk};

/// A producer's life: commits, blobs, snapshots, checkpoints, a trim, a close. Records the marks of what was reported as committed.
async fn life(storage: Storage, env: Env, reported: &std::sync::Mutex<Vec<String>>) {
    let mut writer = open(&storage, &env, options("one")).await.expect("the store works until it dies");
    for round in 0..4 {
        let mark = format!("small-{round}");
        committed(&mut writer, &mark).await;
        reported.lock().unwrap().push(mark);
        let mark = format!("large-{round}");
        let (object, body) = blob_commit(&writer, &mark);
        position(writer.publish(object, body).await.unwrap());
        reported.lock().unwrap().push(mark);
        let (object, body) = snapshot(&writer);
        position(writer.publish(object, body).await.unwrap());
        writer.heartbeat().offer().await;
    }
    let keep = Retention::new().snapshots(3).younger_than(std::time::Duration::ZERO);
    trim(&mut writer, &keep).await.expect("it is trimmed");
    writer.close().await;
}

/// Every object that a live entry names is there; after a sweep nothing else is.
async fn check_names(storage: &Storage) {
    sweep(storage, Rules::default()).await.unwrap();
    let reader = reader(storage).await.unwrap();
    let mut named = Vec::new();
    let mut live = reader.walk_live();
    while let Some(entry) = live.next().await.unwrap() {
        if let Some(object) = entry.body.object() {
            assert!(
                storage.get(&object.name).await.unwrap().is_some(),
                "{} names {}",
                entry.head.position,
                object.name
            );
            named.push(object.name.clone());
        }
    }
    for folder in ["blobs", "snapshots", "checkpoints"] {
        for listed in storage.list(folder, None).await.unwrap() {
            assert!(named.contains(&listed.name), "{} is garbage that stayed", listed.name);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_any_two_steps_loses_nothing() {
    let recorder = StepStore::new();
    let storage = memory();
    life(recorder.wrap(&storage), Env::simulated(1), &Default::default()).await;
    check_names(&storage).await;
    let steps = recorder.steps();
    assert!(steps.len() > 40, "{} steps", steps.len());
    for (number, step) in steps.iter().enumerate() {
        for moment in [Moment::Before, Moment::After] {
            let at = format!("{moment:?} step {number}, {step:?}");
            let (storage, env, reported) = (memory(), Env::simulated(1), Default::default());
            let killer = StepStore::kill_at(number, moment);
            let ended = killer.until_killed(life(killer.wrap(&storage), env.clone(), &reported)).await;
            assert!(ended.is_none(), "{at}");
            let mut next = open(&storage, &env, taking_over("two")).await.unwrap_or_else(|e| panic!("{at}: {e}"));
            committed(&mut next, "after the crash").await;
            let keep = Retention::new().snapshots(3).younger_than(std::time::Duration::ZERO);
            trim(&mut next, &keep).await.unwrap_or_else(|error| panic!("{at}: {error}"));
            let (object, body) = snapshot(&next);
            assert!(matches!(next.publish(object, body).await, Ok(Outcome::Committed(_))), "{at}");
            let entries = walk(&storage).await;
            let log_start = entries[0].position;
            for mark in reported.lock().unwrap().iter() {
                // What was trimmed can't be found any more; all else is there, once.
                let found = positions_of(&entries, mark);
                assert!(found.len() == 1 || (found.is_empty() && log_start > 1), "{at}: {mark} at {found:?}");
            }
            check_names(&storage).await;
        }
    }
}
