//! What a consumer says when it can follow no more, or follows what its program did not mean.

use std::time::Duration;

use cenote_consumer::error::ErrorKind;
use cenote_consumer::{Consumer, Health, OnEmpty, Record, ReloadPolicy, Token, Version};
use cenote_producer::Producer;
use cenote_store::env::Env;
use cenote_store::log::LogReader;
use cenote_testing::faults::CountingStore;

use crate::chain::Chain;
use crate::{LONG, Movie, manual, memory, movie};

/// A type that is not in the dataset.
#[derive(Record)]
#[record(key = "name")]
struct Country {
    name: String,
}

/// The runtime that a consumer was opened on is shut down: callers elsewhere are told, and do not wait.
#[test]
fn a_consumer_whose_runtime_is_gone_says_so() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (opened_on, other) = (runtime(), runtime());
    let (consumer, dataset) = opened_on.block_on(async {
        let (storage, env) = (memory().await, Env::system());
        let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
        chain.commit(|edit| edit.put(&movie(1, "first"))).await;
        let reload = ReloadPolicy::Poll(Duration::from_secs(1));
        let consumer = manual(&storage, &env).reload(reload).open().await.expect("it opens");
        let dataset = LogReader::start(storage).await.expect("there is a log").log_state().dataset;
        (consumer, dataset)
    });
    let version = consumer.version();
    // It waits already when the runtime goes.
    let waits = {
        let consumer = consumer.clone();
        std::thread::spawn(move || other.block_on(async { (consumer.changed().await, consumer) }))
    };
    drop(opened_on);
    let (waited, consumer) = (waits.join().expect("no panic"), consumer);
    let error = waited.0.expect_err("nothing newer will come");
    assert_eq!((error.is_closed(), error.kind()), (true, ErrorKind::Stop));
    assert!(error.to_string().contains("the runtime that it ran on"), "{error}");
    runtime().block_on(async {
        assert!(consumer.newer_than(version).await.expect_err("nothing newer").is_closed());
        assert!(
            consumer
                .view_at_least(Token::new(dataset, Version(99)), LONG)
                .await
                .expect_err("nothing newer")
                .is_closed()
        );
        assert!(consumer.refresh().await.expect_err("nobody answers").is_closed());
        consumer.close().await;
    });
    assert_eq!(consumer.status().health, Health::Closed);
    assert!(consumer.is_serving() && consumer.view().get::<Movie>(1).is_some(), "its view can still be read");
}

#[tokio::test(start_paused = true)]
async fn a_closed_consumer_says_so() {
    let (storage, env) = (memory().await, Env::simulated(1));
    let consumer = manual(&storage, &env).when_empty(OnEmpty::Open).open().await.expect("it opens");
    assert_eq!(consumer.status().health, Health::Empty);
    consumer.close().await;
    assert_eq!(consumer.status().health, Health::Closed);
    assert_eq!(consumer.refresh().await.expect_err("closed").to_string(), "the consumer is closed; open another");
}

#[tokio::test(start_paused = true)]
async fn types_that_only_the_program_has_are_in_the_status() {
    let (storage, env) = (memory().await, Env::simulated(1));
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    let of =
        |storage: &_| Consumer::builder_on(Clone::clone(storage)).env(env.clone()).with::<Movie>().with::<Country>();
    let early = of(&storage).reload(ReloadPolicy::Manual).when_empty(OnEmpty::Open).open().await.expect("it opens");
    assert_eq!(early.status().missing_types, [""; 0], "the dataset has no types at all yet");
    chain.commit(|edit| edit.put(&movie(1, "first"))).await;
    early.refresh().await.expect("it refreshes");
    assert_eq!((early.status().missing_types, early.status().health), (vec!["Country".to_owned()], Health::Fresh));
    let both = cenote_state::record::Registry::new().with::<Movie>().with::<Country>();
    let both = both.finish().expect("the types are sound").schema().clone();
    let country = both.types.iter().find(|of_type| of_type.name == "Country").cloned().expect("it is declared");
    chain
        .evolve(cenote_state::record::Registry::with::<Movie>, |schema| {
            schema.types.push(country);
        })
        .await;
    early.refresh().await.expect("it refreshes");
    assert_eq!(early.status().missing_types, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_wrong_dataset_is_in_the_status() {
    let (storage, env) = (memory().await, Env::simulated(1));
    let mut producer =
        Producer::builder_on(storage.clone()).env(env.clone()).with::<Movie>().open().await.expect("opens");
    producer.update(|changes| Ok(changes.upsert(&movie(1, "first"))?)).await.expect("it is published");
    let consumer = Consumer::builder_on(storage).env(env).with::<Country>().reload(ReloadPolicy::Manual);
    assert_eq!(consumer.open().await.expect("it opens").status().missing_types, ["Country"]);
}

#[tokio::test(start_paused = true)]
async fn polls_have_a_floor() {
    let (storage, env) = (memory().await, Env::simulated(1));
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    chain.commit(|edit| edit.put(&movie(1, "first"))).await;
    let counting = CountingStore::new();
    let consumer = manual(&counting.wrap(&storage), &env).reload(ReloadPolicy::Poll(Duration::ZERO));
    let consumer = consumer.open().await.expect("it opens");
    counting.take();
    env.sleep(Duration::from_secs(10)).await;
    let polls = counting.take().total();
    assert!((70..150).contains(&polls), "{polls} requests in 10 s");
    drop(consumer);
}

/// However many consumers there are, they share one of the few watchers that the system gives to a process.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_of_local_folders_share_one_watcher() {
    let watchers = || {
        let open = std::fs::read_dir("/proc/self/fd").expect("files are open").flatten();
        let targets = open.filter_map(|file| std::fs::read_link(file.path()).ok());
        targets.filter(|target| target.to_string_lossy().contains("inotify")).count()
    };
    let folder = tempfile::tempdir().expect("a folder");
    let env = Env::system();
    let mut chains = Vec::new();
    let mut consumers = Vec::new();
    for name in ["one", "two"] {
        let url = folder.path().join(name).display().to_string();
        let storage = cenote_store::storage::Storage::open(&url, &[]).await.expect("a folder opens");
        let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
        chain.commit(|edit| edit.put(&movie(1, "first"))).await;
        for _ in 0..10 {
            let reload = ReloadPolicy::Poll(Duration::from_hours(1));
            consumers.push(manual(&storage, &env).reload(reload).open().await.expect("it opens"));
        }
        chains.push(chain);
    }
    assert_eq!(watchers(), 1);
    for (chain, consumers) in chains.iter_mut().zip(consumers.chunks(10)) {
        let version = chain.commit(|edit| edit.put(&movie(1, "second"))).await;
        for consumer in consumers {
            let seen = env.timeout(LONG, consumer.newer_than(Version(version.0 - 1))).await;
            assert_eq!(seen.expect("long before the poll").expect("it is open").version(), version);
        }
    }
}

/// A folder that was removed and made again under the same name is watched again, and is seen to be another dataset.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_dataset_in_a_watched_folder_is_noticed_before_the_next_check() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("dataset");
    let url = path.display().to_string();
    let env = Env::system();
    let storage = cenote_store::storage::Storage::open(&url, &[]).await.expect("a folder opens");
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    for _ in 0..3 {
        chain.commit(|edit| edit.put(&movie(1, "first"))).await;
    }
    let reload = ReloadPolicy::Poll(Duration::from_millis(100));
    let consumer = manual(&storage, &env).reload(reload).open().await.expect("it opens");
    env.timeout(LONG, async {
        while consumer.refresh().await.is_err() {
            env.sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("it is fresh");
    std::fs::remove_dir_all(&path).expect("it is removed");
    let storage = cenote_store::storage::Storage::open(&url, &[]).await.expect("a folder opens");
    Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    env.timeout(LONG, async {
        while consumer.status().health != Health::DatasetReplaced {
            env.sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("within seconds, not a minute");
}
