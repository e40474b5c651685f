//! A producer that is killed before and after every store call of its script, in memory and as a real process by `kill -9`
//! on files. The next producer goes on, and no version is ever partly visible (I6).

use cenote_consumer::OnEmpty;
use cenote_store::env::Env;
use cenote_store::log::retention::sweep;
use cenote_store::log::{LogReader, Rules};
use cenote_store::storage::Storage;
use cenote_testing::faults::{Moment, RequestKind, Step, StepStore};

use crate::child::{Child, Job};
use crate::dataset::{Content, consumer, content, memory, producer, publish, small};
use crate::script::{self, Acks, Journal, contents};
use cenote_testing::log_walk::walk;

/// What readers see after the producer was killed: the last acknowledged content, or the one that was being published.
async fn seen(storage: &Storage, env: &Env, acks: Acks, at: &str) -> usize {
    let contents = contents();
    let opened =
        consumer(storage, env).when_empty(OnEmpty::Open).open().await.unwrap_or_else(|error| panic!("{at}: {error}"));
    let seen = content(&opened.view());
    let number = contents.iter().rposition(|known| *known == seen);
    let number = number.unwrap_or_else(|| panic!("{at}: no content is {seen:?}"));
    assert!(number == acks.acknowledged || number == acks.tried, "{at}: content {number} is seen, {acks:?}");
    number
}

/// The next producer goes on from what readers see, a consumer that had opened follows, and nothing is lost on the way.
async fn goes_on(storage: &Storage, env: &Env, acks: Acks, at: &str) {
    let first = seen(storage, env, acks, at).await;
    let mut next = producer(storage, env).open().await.unwrap_or_else(|error| panic!("{at}: {error}"));
    assert_eq!(content(&next.view()), contents()[first], "{at}: what readers saw does not change");
    let follower =
        consumer(storage, env).when_empty(OnEmpty::Open).open().await.unwrap_or_else(|error| panic!("{at}: {error}"));
    assert_eq!(content(&follower.view()), contents()[first], "{at}");
    let after: Content = small(7, "after");
    publish(&mut next, &after).await.unwrap_or_else(|error| panic!("{at}: {error}"));
    follower.refresh().await.unwrap_or_else(|error| panic!("{at}: {error}"));
    assert_eq!(content(&follower.view()), after, "{at}");
    next.snapshot().await.unwrap_or_else(|error| panic!("{at}: {error}"));
    next.close().await.unwrap_or_else(|error| panic!("{at}: {error}"));
    let fresh = consumer(storage, env).open().await.unwrap_or_else(|error| panic!("{at}: {error}"));
    assert_eq!(content(&fresh.view()), after, "{at}");
    walk(storage).await;
    every_name_is_there(storage, at).await;
}

/// Every object that a live entry names exists, and after a sweep no other.
async fn every_name_is_there(storage: &Storage, at: &str) {
    sweep(storage, Rules::default()).await.unwrap_or_else(|error| panic!("{at}: {error}"));
    let reader = LogReader::start(storage.clone()).await.unwrap_or_else(|error| panic!("{at}: {error}"));
    let mut live = reader.walk_live();
    let mut named = Vec::new();
    while let Some(entry) = live.next().await.unwrap_or_else(|error| panic!("{at}: {error}")) {
        named.extend(entry.body.object().map(|object| object.name.clone()));
    }
    for name in &named {
        assert!(storage.size(name).await.unwrap().is_some(), "{at}: {name} is named and does not exist");
    }
    for folder in ["blobs", "snapshots", "checkpoints"] {
        for listed in storage.list(folder, None).await.unwrap() {
            assert!(named.contains(&listed.name), "{at}: {} is garbage that was not swept", listed.name);
        }
    }
}

fn assert_all_kinds(steps: &[Step]) {
    let has = |kind: RequestKind, prefix: &str| {
        assert!(steps.iter().any(|step| step.kind == kind && step.key.starts_with(prefix)), "no {kind:?} of {prefix}");
    };
    has(RequestKind::Create, "log/");
    has(RequestKind::Put, "blobs/");
    has(RequestKind::Put, "snapshots/");
    has(RequestKind::Get, "snapshots/");
    has(RequestKind::Put, "checkpoints/");
    has(RequestKind::Put, "log/"); // a tombstone
    has(RequestKind::Delete, "blobs/");
    has(RequestKind::Put, "hint");
}

#[tokio::test(start_paused = true)]
async fn a_kill_before_or_after_any_store_call_loses_nothing() {
    let (recorder, storage, journal) = (StepStore::new(), memory(), Journal::new());
    script::run(recorder.wrap(&storage), Env::simulated(1), &journal).await;
    assert_eq!(seen(&storage, &Env::simulated(2), journal.acks(), "the whole script").await, contents().len() - 1);
    let steps = recorder.steps();
    assert_all_kinds(&steps);
    for (number, step) in steps.iter().enumerate() {
        for moment in [Moment::Before, Moment::After] {
            let at = format!("{moment:?} step {number}, {:?} {}", step.kind, step.key);
            let (storage, journal, killer) = (memory(), Journal::new(), StepStore::kill_at(number, moment));
            let ended = killer.until_killed(script::run(killer.wrap(&storage), Env::simulated(1), &journal)).await;
            assert!(ended.is_none(), "{at}: it was not killed");
            goes_on(&storage, &Env::simulated(2), journal.acks(), &at).await;
        }
    }
}

#[test]
fn a_process_killed_at_any_store_call_on_files_loses_nothing() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let mut number = 0;
    let mut finished = false;
    // How many calls there are depends on time (there are heartbeats): the loop ends when a script finishes.
    while !finished {
        for moment in [Moment::Before, Moment::After] {
            let place = folder.path().join(format!("{number}-{moment:?}"));
            let (dataset, journal) = (place.join("dataset"), place.join("journal"));
            std::fs::create_dir_all(&place).expect("a folder");
            let at = format!("{moment:?} call {number} of a process");
            let child =
                Child::start(&Job::Script { dataset: dataset.clone(), journal: journal.clone(), number, moment });
            finished = child.kill_after_a_line() == "finished";
            let acks = Journal::read_file(&journal);
            assert!(!finished || acks.acknowledged == contents().len() - 1, "{at}: {acks:?}");
            runtime.block_on(async {
                let storage = Storage::open(&dataset.display().to_string(), &[]).await.expect("a folder opens");
                goes_on(&storage, &Env::system(), acks, &at).await;
            });
            std::fs::remove_dir_all(&place).expect("the folder can go");
        }
        number += 1;
    }
    assert!(number > 40, "{number} calls");
}
