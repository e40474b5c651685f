//! Health: each state of it, and what ends it. The view is served through all of them.

use std::error::Error;
use std::time::Duration;

use cenote_consumer::error::ErrorKind;
use cenote_consumer::{Consumer, Health, Record, ReloadPolicy};
use cenote_store::env::Env;
use cenote_store::log::{names, repair_checksums};
use cenote_testing::faults::{Fault, FaultyStore, Rule};

use crate::chain::Chain;
use crate::{Movie, manual, memory, movie};

fn health(consumer: &Consumer) -> Health {
    consumer.status().health
}

/// The movies of a producer that dropped the titles.
#[derive(Record)]
#[record(key = "id", name = "Movie")]
struct Untitled {
    id: u64,
    country: String,
    rating: Option<u32>,
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_store_makes_it_stale_until_it_is_reachable() {
    let (storage, env) = (memory().await, Env::simulated(1));
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    let first = chain.commit(|edit| edit.put(&movie(1, "first"))).await;
    let faults = FaultyStore::new(env.clone());
    let consumer = manual(&faults.wrap(&storage), &env).open().await.expect("it opens");
    let second = chain.commit(|edit| edit.put(&movie(1, "second"))).await;
    faults.add(Rule::new(Fault::Unavailable));
    let error = consumer.refresh().await.expect_err("the store is unreachable");
    assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
    let since = env.now();
    assert_eq!(health(&consumer), Health::Stale { since });
    env.sleep(Duration::from_secs(30)).await;
    consumer.refresh().await.expect_err("it still is");
    assert_eq!(health(&consumer), Health::Stale { since }, "since the first failure");
    assert_eq!((consumer.view().version(), consumer.is_serving()), (first, true));
    assert!(consumer.status().last_error.is_some());
    faults.clear();
    assert_eq!(consumer.refresh().await.expect("it is reachable"), second);
    assert_eq!(health(&consumer), Health::Fresh);
    assert!(consumer.status().last_error.is_none());
}

#[tokio::test(start_paused = true)]
async fn open_waits_while_the_store_is_unreachable() {
    let (storage, env) = (memory().await, Env::simulated(1));
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    let first = chain.commit(|edit| edit.put(&movie(1, "first"))).await;
    let faults = FaultyStore::new(env.clone());
    faults.add(Rule::new(Fault::Unavailable).times(20));
    let consumer = manual(&faults.wrap(&storage), &env).open().await.expect("it opens in the end");
    assert_eq!(consumer.version(), first);
    faults.add(Rule::new(Fault::Denied));
    let error = manual(&faults.wrap(&storage), &env).open().await.expect_err("waiting does not help");
    assert!(error.to_string().contains(storage.url()), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_overdue_heartbeat_makes_it_unknown_until_one_comes() {
    let (storage, env) = (memory().await, Env::simulated(1));
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    chain.commit(|edit| edit.put(&movie(1, "first"))).await;
    chain.beat().await;
    let consumer =
        manual(&storage, &env).reload(ReloadPolicy::Poll(Duration::from_secs(10))).open().await.expect("it opens");
    for _ in 0..20 {
        env.sleep(Duration::from_secs(10)).await;
        chain.beat().await;
        assert_eq!(health(&consumer), Health::Fresh, "the promise is 15 s, and it is kept");
    }
    let last = env.now();
    env.sleep(Duration::from_secs(200)).await;
    let Health::Unknown { since } = health(&consumer) else { panic!("{:?}", health(&consumer)) };
    let broken = Duration::from_millis(since.0 - last.0);
    assert!(broken <= Duration::from_secs(100), "it is noticed within two checks, {broken:?}");
    assert!(consumer.is_serving());
    chain.beat().await;
    env.sleep(Duration::from_secs(100)).await;
    assert_eq!(health(&consumer), Health::Fresh);
    chain.close().await;
    env.sleep(Duration::from_secs(1_000)).await;
    assert_eq!(health(&consumer), Health::Fresh, "a producer that closed promises nothing");
}

#[tokio::test(start_paused = true)]
async fn another_dataset_at_the_url_is_not_followed() {
    let (storage, env) = (memory().await, Env::simulated(1));
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    for round in 0..3 {
        chain.commit(|edit| edit.put(&movie(1, &format!("round {round}")))).await;
    }
    let consumer = manual(&storage, &env).open().await.expect("it opens");
    let version = consumer.version();
    for object in storage.list("", None).await.expect("it lists") {
        storage.delete(&object.name).await.expect("it deletes");
    }
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    chain.commit(|edit| edit.put(&movie(1, "another dataset"))).await;
    consumer.refresh().await.expect_err("another dataset");
    assert_eq!(health(&consumer), Health::DatasetReplaced);
    for _ in 0..5 {
        chain.commit(|edit| edit.put(&movie(1, "longer than the old one"))).await;
    }
    consumer.refresh().await.expect_err("another dataset");
    assert_eq!(health(&consumer), Health::DatasetReplaced);
    assert_eq!(consumer.view().version(), version);
    assert_eq!(consumer.view().get::<Movie>(1).expect("it is there").title(), "round 2");
}

#[tokio::test(start_paused = true)]
async fn an_entry_of_a_newer_release_needs_an_upgrade() {
    let (storage, env) = (memory().await, Env::simulated(1));
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    let first = chain.commit(|edit| edit.put(&movie(1, "first"))).await;
    let consumer = manual(&storage, &env).open().await.expect("it opens");
    let second = chain.commit(|edit| edit.put(&movie(1, "second"))).await;
    let third = chain.commit(|edit| edit.put(&movie(1, "third"))).await;
    let name = names::log_entry(third.position());
    let mut bytes = storage.get(&name).await.expect("it reads").expect("it is there").to_vec();
    // The kind of an entry that is reserved.
    bytes[10..12].copy_from_slice(&6_u16.to_le_bytes());
    repair_checksums(&mut bytes);
    storage.put(&name, bytes.into()).await.expect("it is put");
    consumer.refresh().await.expect_err("an unknown kind");
    assert_eq!(health(&consumer), Health::NeedsUpgrade);
    assert_eq!(consumer.view().version(), second, "what was known is shown, and was not first: {first}");
}

#[tokio::test(start_paused = true)]
async fn a_schema_that_does_not_fit_is_incompatible_until_it_does() {
    let (storage, env) = (memory().await, Env::simulated(1));
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    let first = chain.commit(|edit| edit.put(&movie(1, "first"))).await;
    let consumer = manual(&storage, &env).open().await.expect("it opens");
    let titles = chain.state.schema().types[0].fields.iter().find(|field| field.name == "title").cloned();
    let untitled = chain
        .evolve(cenote_state::record::Registry::with::<Untitled>, |schema| {
            schema.types[0].fields.retain(|field| field.name != "title");
        })
        .await;
    let error = consumer.refresh().await.expect_err("the titles were dropped");
    assert_eq!(error.to_string(), format!("version {untitled} does not fit the program's records"));
    let source = error.source().expect("it has a source");
    assert!(source.to_string().contains("Movie.title"), "{source}");
    assert_eq!(error.kind(), ErrorKind::Program);
    assert_eq!((health(&consumer), consumer.view().version()), (Health::Incompatible, first));
    let again = consumer.refresh().await.expect_err("nothing new: not tried again");
    assert!(std::ptr::addr_eq(source, again.source().expect("it has a source")), "it is the same error");
    // Another column of that name, which every row has: as a producer would, after an empty dataset.
    chain
        .evolve(cenote_state::record::Registry::with::<Movie>, |schema| {
            let mut title = titles.expect("it was there");
            title.column = cenote_state::ids::ColumnId(schema.types[0].next_column);
            schema.types[0].next_column += 1;
            schema.types[0].fields.insert(1, title);
        })
        .await;
    let last = chain.commit(|edit| edit.put(&movie(1, "titled again"))).await;
    assert_eq!(consumer.refresh().await.expect("it fits"), last);
    assert_eq!(health(&consumer), Health::Fresh);
    assert_eq!(consumer.view().get::<Movie>(1).expect("it is there").title(), "titled again");
    consumer.view().indexes().check_invariants(consumer.view().state());
}

#[tokio::test(start_paused = true)]
async fn a_state_that_is_too_large_is_refused() {
    let (storage, env) = (memory().await, Env::simulated(1));
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    let first = chain.commit(|edit| edit.put(&movie(1, "first"))).await;
    let consumer = manual(&storage, &env).max_state_bytes(100_000).open().await.expect("it opens");
    chain.commit(|edit| (0..10_000).for_each(|id| edit.put(&movie(id, "one of many")))).await;
    let error = consumer.refresh().await.expect_err("too large");
    let source = error.source().map(ToString::to_string).unwrap_or_default();
    assert!(
        error.is_too_large() && format!("{error}: {source}").contains("raise max_state_bytes"),
        "{error}: {source}"
    );
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(consumer.version(), first);
    assert!(matches!(health(&consumer), Health::Stale { .. }));
}

/// A version that fits, and whose indexes do not fit beside it, is refused; the old view is served.
#[tokio::test(start_paused = true)]
async fn indexes_that_are_too_large_are_refused() {
    let env = Env::simulated(1);
    let mut needed = None;
    for case in ["measured", "tight", "wide"] {
        let storage = memory().await;
        let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
        let first = chain.commit(|edit| edit.put(&movie(1, "first"))).await;
        let bytes_max = match needed {
            Some((state, indexes)) if case == "tight" => state + indexes / 2,
            Some((state, indexes)) => state + indexes * 4,
            None => u64::MAX,
        };
        let consumer = manual(&storage, &env).max_state_bytes(bytes_max).open().await.expect("it opens");
        let many = (0..2_000).map(|id| Movie { country: format!("country {id}"), ..movie(id, "one of many") });
        let second = chain.commit(|edit| many.for_each(|movie| edit.put(&movie))).await;
        if case == "tight" {
            let error = consumer.refresh().await.expect_err("too large");
            let text = format!("{error}: {}", error.source().map(ToString::to_string).unwrap_or_default());
            assert!(error.is_too_large() && text.contains("raise max_state_bytes"), "{text}");
            assert_eq!((consumer.version(), consumer.view().len::<Movie>()), (first, 1));
            assert!(matches!(health(&consumer), Health::Stale { .. }));
            continue;
        }
        assert_eq!(consumer.refresh().await.expect("there is room"), second);
        let view = consumer.view();
        view.indexes().check_invariants(view.state());
        needed = Some((view.state().memory_bytes(), view.indexes().memory_bytes() as u64));
    }
}
