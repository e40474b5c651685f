//! Opening, refreshing, viewing.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cenote_consumer::error::ErrorKind;
use cenote_consumer::{Consumer, Health, OnEmpty, RefreshPath, RefreshReport, ReloadPolicy, Token, Version};
use cenote_state::ids::DatasetId;
use cenote_store::env::Env;
use cenote_testing::faults::LatencyStore;

use crate::chain::Chain;
use crate::{BY_COUNTRY, LONG, Movie, manual, memory, movie};

#[tokio::test(start_paused = true)]
async fn a_consumer_opens_and_follows() {
    let (storage, env) = (memory().await, Env::simulated(1));
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    let first = chain.commit(|edit| (0..100).for_each(|id| edit.put(&movie(id, "first")))).await;
    let consumer = manual(&storage, &env).open().await.expect("it opens");
    let view = consumer.view();
    assert_eq!((view.version(), view.len::<Movie>()), (first, 100));
    assert_eq!(view.get::<Movie>(42).expect("it is there").title(), "first");
    assert_eq!(view.find(&BY_COUNTRY, "nl").len(), 50);
    assert_eq!(consumer.status().health, Health::Fresh);

    let second = chain
        .commit(|edit| {
            edit.put(&movie(42, "second"));
            edit.delete::<Movie>(1);
            edit.put(&movie(1_000, "new"));
        })
        .await;
    assert_eq!(consumer.refresh().await.expect("it refreshes"), second);
    let newer = consumer.view();
    assert_eq!(newer.get::<Movie>(42).expect("it is there").title(), "second");
    assert!(newer.get::<Movie>(1).is_none());
    assert_eq!(newer.find(&BY_COUNTRY, "nl").len(), 51);
    assert_eq!(newer.find(&BY_COUNTRY, "be").len(), 49);
    newer.indexes().check_invariants(newer.state());
    // The older view is what it was (I2, I3).
    assert_eq!(view.get::<Movie>(42).expect("it is there").title(), "first");
    assert_eq!(view.find(&BY_COUNTRY, "be").len(), 50);
    assert_eq!(consumer.with(|view| view.get::<Movie>(1_000).map(super::MovieRef::id)), Some(1_000));
}

#[tokio::test(start_paused = true)]
async fn a_start_loads_a_snapshot_and_the_deltas_after_it() {
    let (storage, env) = (memory().await, Env::simulated(1));
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    let long = "a title that makes a snapshot worth its bytes ".repeat(40);
    chain.always_blobs = true;
    chain.commit(|edit| (0..300).for_each(|id| edit.put(&movie(id, &long)))).await;
    let snapped = chain.commit(|edit| (0..300).for_each(|id| edit.put(&movie(id, "short")))).await;
    chain.snapshot().await;
    chain.always_blobs = false;
    let last = chain.commit(|edit| edit.put(&movie(7, "last"))).await;
    let reports: Arc<Mutex<Vec<RefreshReport>>> = Arc::default();
    let sink = Arc::clone(&reports);
    let consumer = manual(&storage, &env)
        .on_refresh(move |report| sink.lock().unwrap().push(report.clone()))
        .open()
        .await
        .expect("it opens");
    let next = chain.commit(|edit| edit.put(&movie(8, "next"))).await;
    consumer.refresh().await.expect("it refreshes");
    let reports = reports.lock().unwrap();
    assert_eq!((reports[0].from, reports[0].to), (Version::EMPTY, last));
    assert_eq!(reports[0].path, RefreshPath::Snapshot { version: snapped, commits: 1 });
    assert_eq!((reports[1].from, reports[1].to), (last, next));
    assert_eq!(reports[1].path, RefreshPath::Deltas { commits: 1 });
    assert!(reports.iter().all(|report| report.bytes > 0));
    assert_eq!(consumer.view().get::<Movie>(7).expect("it is there").title(), "last");
}

/// Text that hardly compresses.
fn noise(seed: u64, words: u64) -> String {
    let word = |at: u64| (seed << 32 | at).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    (0..words).map(|at| format!("{:016x}", word(at).wrapping_mul(0xbf58_476d_1ce4_e5b9))).collect()
}

#[tokio::test(start_paused = true)]
async fn ranges_of_a_snapshot_may_come_in_any_order() {
    let (storage, env) = (memory().await, Env::simulated(1));
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    chain.always_blobs = true;
    let movies: Vec<Movie> = (0..64).map(|id| Movie { title: noise(id, 40_000), ..movie(id, "") }).collect();
    chain.commit(|edit| movies.iter().for_each(|movie| edit.put(movie))).await;
    let snapshot = chain.snapshot().await;
    assert!(snapshot.length > 16 << 20, "it comes in more than two ranges: {snapshot:?}");
    chain.trim().await;
    for seed in 0..4 {
        let env = Env::simulated(seed);
        let slow = LatencyStore::s3(env.clone()).wrap(&storage);
        let view = manual(&slow, &env).open().await.expect("it opens").view();
        assert_eq!(view.len::<Movie>(), movies.len());
        for movie in &movies {
            let found = view.get::<Movie>(movie.id).expect("it is there");
            assert!(found.title() == movie.title, "movie {} has the title of another", movie.id);
        }
        view.state().check_invariants();
    }
}

/// Deltas inside of entries are there once the log was read: no snapshot is cheaper than what is there.
#[tokio::test(start_paused = true)]
async fn deltas_that_were_just_read_are_preferred_to_a_snapshot() {
    let (storage, env) = (memory().await, Env::simulated(1));
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    chain.commit(|edit| (0..500).for_each(|id| edit.put(&movie(id, &noise(id, 40))))).await;
    let reports: Arc<Mutex<Vec<RefreshReport>>> = Arc::default();
    let sink = Arc::clone(&reports);
    let consumer = manual(&storage, &env).on_refresh(move |report| sink.lock().unwrap().push(report.clone()));
    let consumer = consumer.open().await.expect("it opens");
    for round in 0..9 {
        chain.commit(|edit| edit.put(&movie(1, &format!("round {round}")))).await;
    }
    let snapshot = chain.snapshot().await;
    let newest = chain.commit(|edit| edit.put(&movie(2, "newest"))).await;
    assert_eq!(consumer.refresh().await.expect("it refreshes"), newest);
    let report = reports.lock().unwrap().pop().expect("there are two");
    assert_eq!(report.path, RefreshPath::Deltas { commits: 10 });
    assert!(report.bytes < snapshot.length / 10, "{} of {}", report.bytes, snapshot.length);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_version_refreshes() {
    let (storage, env) = (memory().await, Env::simulated(1));
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    chain.commit(|edit| edit.put(&movie(1, "first"))).await;
    let consumer = manual(&storage, &env).open().await.expect("it opens");
    let written = chain.commit(|edit| edit.put(&movie(1, "second"))).await;
    let view = consumer.view_at_least(chain.token(written), LONG).await.expect("it comes");
    assert_eq!(view.get::<Movie>(1).expect("it is there").title(), "second");
    let never = chain.token(Version(written.0 + 1));
    let error = consumer.view_at_least(never, Duration::from_secs(3)).await.expect_err("it was not written");
    assert!(error.is_timeout() && !error.is_closed(), "{error}");
    let text =
        format!("version {} did not come within 3000 ms; this consumer serves version {written}", never.version());
    assert_eq!((error.to_string(), error.kind()), (text, ErrorKind::Retry));
    let (found, third) = futures::join!(consumer.view_at_least(never, LONG), async {
        env.sleep(Duration::from_secs(2)).await;
        chain.commit(|edit| edit.put(&movie(1, "third"))).await
    });
    assert_eq!(found.expect("it comes").version(), third);
}

#[tokio::test(start_paused = true)]
async fn a_token_of_another_dataset_is_refused() {
    let (storage, env) = (memory().await, Env::simulated(1));
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    let written = chain.commit(|edit| edit.put(&movie(1, "first"))).await;
    let ours = chain.token(written);
    let consumer = manual(&storage, &env).open().await.expect("it opens");
    // By way of a header, as services do it. Its version is there, and says nothing.
    let text = Token::new(DatasetId([7; 16]), written).to_string();
    let theirs: Token = text.parse().expect("it is one");
    let error = consumer.view_at_least(theirs, LONG).await.expect_err("it is of another dataset");
    assert!(error.is_other_dataset() && !error.is_timeout(), "{error}");
    let expected = format!(
        "the token is of dataset {}, and this consumer follows dataset {}: read where was written, or write again if \
         the dataset was made again",
        theirs.dataset(),
        ours.dataset()
    );
    assert_eq!((error.to_string(), error.kind()), (expected, ErrorKind::Configuration));
    // A consumer that waits for its first version learns which dataset it is when the version comes.
    let storage = memory().await;
    let consumer = manual(&storage, &env).when_empty(OnEmpty::Open).open().await.expect("it opens");
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    chain.commit(|edit| edit.put(&movie(1, "another"))).await;
    let error = consumer.view_at_least(ours, LONG).await.expect_err("it is of another dataset");
    assert!(error.is_other_dataset(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn refresh_to_stops_at_its_version_and_never_goes_back() {
    let (storage, env) = (memory().await, Env::simulated(1));
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    let mut versions = Vec::new();
    for round in 0..5 {
        versions.push(chain.commit(|edit| edit.put(&movie(1, &format!("round {round}")))).await);
    }
    let consumer = manual(&storage, &env).open().await.expect("it opens");
    let backward = consumer.refresh_to(versions[1]).await.expect_err("it is there already");
    assert!(backward.is_backward(), "{backward}");
    assert_eq!(backward.kind(), ErrorKind::Program);
    versions.push(chain.commit(|edit| edit.put(&movie(1, "six"))).await);
    versions.push(chain.commit(|edit| edit.put(&movie(1, "seven"))).await);
    assert_eq!(consumer.refresh_to(versions[5]).await.expect("there is a commit"), versions[5]);
    assert_eq!(consumer.view().get::<Movie>(1).expect("it is there").title(), "six");
    assert!(matches!(consumer.status().health, Health::Stale { .. }), "a newer version exists");
    let ahead = consumer.refresh_to(Version(99)).await.expect_err("no such version");
    assert!(ahead.is_no_such_version(), "{ahead}");
    assert_eq!(ahead.kind(), ErrorKind::Program);
    assert_eq!(consumer.refresh().await.expect("it goes on"), versions[6]);
}

#[tokio::test(start_paused = true)]
async fn polling_finds_a_new_version_and_changed_returns_it() {
    let (storage, env) = (memory().await, Env::simulated(1));
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    chain.commit(|edit| edit.put(&movie(1, "first"))).await;
    let consumer =
        manual(&storage, &env).reload(ReloadPolicy::Poll(Duration::from_secs(10))).open().await.expect("it opens");
    let started = env.instant();
    let (seen, version) =
        futures::join!(consumer.changed(), async { chain.commit(|edit| edit.put(&movie(1, "second"))).await });
    assert_eq!(seen.expect("it changes").version(), version);
    let took = env.instant() - started;
    assert!(took <= Duration::from_secs(12), "a poll is 10 s ± 20 %, this took {took:?}");
    assert_eq!(consumer.newer_than(Version(1)).await.expect("at once").version(), version);
    consumer.close().await;
    let closed = consumer.changed().await.expect_err("it is closed");
    assert_eq!((closed.is_closed(), closed.kind()), (true, ErrorKind::Stop));
    assert_eq!(consumer.view().version(), version, "a closed consumer can still be read");
    let closed = consumer.refresh().await.expect_err("it is closed");
    assert_eq!((closed.is_closed(), closed.kind()), (true, ErrorKind::Stop));
}

#[tokio::test(start_paused = true)]
async fn open_waits_for_a_dataset_that_does_not_exist() {
    let (storage, env) = (memory().await, Env::simulated(1));
    let started = env.instant();
    let error = manual(&storage, &env).open().await.expect_err("nothing was published");
    assert!(error.is_not_found() && error.to_string().contains(storage.url()), "{error}");
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let waited = env.instant() - started;
    assert!(waited >= Duration::from_mins(1) && waited < Duration::from_secs(63), "{waited:?}");

    let consumer = manual(&storage, &env).when_empty(OnEmpty::Open).open().await.expect("it may be empty");
    assert_eq!((consumer.status().health, consumer.is_serving()), (Health::Empty, false));
    assert!(consumer.view().find(&BY_COUNTRY, "nl").is_empty());
    assert!(consumer.view().get::<Movie>(1).is_none());
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    consumer.refresh().await.expect("an open entry is no version");
    assert_eq!(consumer.status().health, Health::Empty);
    chain.commit(|edit| edit.put(&movie(1, "first"))).await;
    consumer.refresh().await.expect("there is a version");
    assert_eq!((consumer.status().health, consumer.is_serving()), (Health::Fresh, true));
    assert_eq!(consumer.view().find(&BY_COUNTRY, "be").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_first_version_that_comes_while_waiting_opens() {
    let (storage, env) = (memory().await, Env::simulated(1));
    let (opened, version) = futures::join!(manual(&storage, &env).open(), async {
        env.sleep(Duration::from_secs(20)).await;
        let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
        env.sleep(Duration::from_secs(20)).await;
        chain.commit(|edit| edit.put(&movie(1, "first"))).await
    });
    assert_eq!(opened.expect("it opens").version(), version);
}

#[test]
fn a_program_without_a_runtime_reads_and_waits() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = folder.path().join("dataset").display().to_string();
    let env = Env::system();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let storage = runtime.block_on(cenote_store::storage::Storage::open(&url, &[])).expect("a folder opens");
    let mut chain = runtime.block_on(Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>));
    runtime.block_on(chain.commit(|edit| edit.put(&movie(1, "first"))));
    let consumer = Consumer::builder(url).with::<Movie>().open_blocking().expect("it opens");
    assert_eq!(
        consumer.with(|view| view.get::<Movie>(1).map(|movie| movie.title().to_owned())).as_deref(),
        Some("first")
    );
    let version = runtime.block_on(chain.commit(|edit| edit.put(&movie(1, "second"))));
    let view = consumer.wait(consumer.view_at_least(chain.token(version), LONG)).expect("it comes");
    assert_eq!(view.get::<Movie>(1).expect("it is there").title(), "second");
    consumer.wait(consumer.close());
}

/// A local folder is watched: its changes are seen before the next poll.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_local_files_is_seen_without_a_poll() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = folder.path().join("dataset").display().to_string();
    let env = Env::system();
    let storage = cenote_store::storage::Storage::open(&url, &[]).await.expect("a folder opens");
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    chain.commit(|edit| edit.put(&movie(1, "first"))).await;
    let consumer =
        manual(&storage, &env).reload(ReloadPolicy::Poll(Duration::from_hours(1))).open().await.expect("it opens");
    for round in 0..5 {
        let version = chain.commit(|edit| edit.put(&movie(1, &format!("round {round}")))).await;
        let seen = env.timeout(LONG, consumer.newer_than(Version(version.0 - 1))).await.expect("long before the poll");
        assert_eq!(seen.expect("it is open").version(), version);
    }
}

/// A service that starts before its producer: the folder does not exist yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_is_created_later_is_watched_from_then_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = folder.path().join("dataset").display().to_string();
    let env = Env::system();
    let consumer = Consumer::builder(url.clone())
        .with::<Movie>()
        .reload(ReloadPolicy::Poll(Duration::from_millis(50)))
        .when_empty(OnEmpty::Open)
        .open()
        .await
        .expect("it may be empty");
    let storage = cenote_store::storage::Storage::open(&url, &[]).await.expect("a folder opens");
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    let version = chain.commit(|edit| edit.put(&movie(1, "first"))).await;
    let seen = env.timeout(LONG, consumer.newer_than(Version::EMPTY)).await.expect("it is seen").expect("it is open");
    assert_eq!(seen.version(), version);
}
