//! Views that are held, and what frees them.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use cenote_consumer::View;
use cenote_store::env::Env;
use cenote_testing::faults::{Fault, FaultyStore, Rule};

use crate::chain::Chain;
use crate::{BY_COUNTRY, LONG, Movie, manual, memory, movie};

fn table(view: &View) -> &Arc<cenote_state::table::Table> {
    &view.state().tables()[0]
}

/// I2, I3: a view that is held does not change, whatever is published meanwhile.
#[tokio::test(start_paused = true)]
async fn held_views_stay_what_they_were() {
    let (storage, env) = (memory().await, Env::simulated(1));
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    chain.commit(|edit| (0..200).for_each(|id| edit.put(&movie(id, "round 0")))).await;
    let consumer = manual(&storage, &env).open().await.expect("it opens");
    let mut held = vec![consumer.view()];
    for round in 1..20_u64 {
        chain
            .commit(|edit| {
                (0..200).filter(|id| id % 20 != round).for_each(|id| edit.put(&movie(id, &format!("round {round}"))));
                edit.delete::<Movie>(if round == 1 { 2 } else { 1_000 + round - 1 });
                edit.put(&movie(1_000 + round, "in one version only"));
            })
            .await;
        consumer.refresh().await.expect("it refreshes");
        held.push(consumer.view());
    }
    for (round, view) in (0..).zip(&held) {
        let titles = view.all::<Movie>().filter(|movie| movie.title() == format!("round {round}")).count();
        assert!(round == 0 && titles == 200 || titles >= 189, "round {round} has {titles} of its titles");
        assert_eq!(view.get::<Movie>(1_000 + round).is_some(), round > 0);
        assert!(view.get::<Movie>(1_001 + round).is_none());
        assert!(view.all::<Movie>().all(|movie| movie.plot().to_string().starts_with(movie.title())));
        let nl = view.all::<Movie>().filter(|movie| movie.country() == "nl").count();
        assert_eq!(view.find(&BY_COUNTRY, "nl").len(), nl);
        view.state().check_invariants();
        view.indexes().check_invariants(view.state());
    }
    assert_eq!(consumer.status().old_views.held, 19);
}

/// I4: a long read delays neither the next version nor other reads, and a refresh that waits for its store delays no read.
#[tokio::test]
async fn reads_and_refreshes_do_not_wait_for_each_other() {
    let (storage, env) = (memory().await, Env::system());
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    let first = chain.commit(|edit| edit.put(&movie(1, "first"))).await;
    let faults = FaultyStore::new(env.clone());
    let consumer = Arc::new(manual(&faults.wrap(&storage), &env).open().await.expect("it opens"));

    let (inside, is_inside) = mpsc::channel();
    let (leave, may_leave) = mpsc::channel::<()>();
    let looking = std::thread::spawn({
        let consumer = Arc::clone(&consumer);
        move || {
            consumer.with(|view| {
                inside.send(()).expect("the test waits for it");
                may_leave.recv().expect("the test sends it");
                view.version()
            })
        }
    });
    is_inside.recv().expect("it looks");
    let second = chain.commit(|edit| edit.put(&movie(1, "second"))).await;
    assert_eq!(consumer.refresh().await.expect("it refreshes"), second);
    assert_eq!((consumer.with(View::version), consumer.view().version()), (second, second));
    leave.send(()).expect("it still looks");
    assert_eq!(looking.join().expect("it does not panic"), first);

    faults.add(Rule::new(Fault::Hang));
    chain.commit(|edit| edit.put(&movie(1, "third"))).await;
    let refreshing = env.spawn({
        let consumer = Arc::clone(&consumer);
        async move { consumer.refresh().await }
    });
    while faults.fired() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!((consumer.with(View::version), consumer.view().version()), (second, second));
    assert!(!refreshing.is_finished());
}

/// I3: a reader that drops the last handle frees nothing; the consumer's task frees the view.
#[tokio::test(start_paused = true)]
async fn a_reader_does_not_free_the_view_that_it_drops() {
    let (storage, env) = (memory().await, Env::simulated(1));
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    chain.commit(|edit| (0..200).for_each(|id| edit.put(&movie(id, "first")))).await;
    let consumer = manual(&storage, &env).open().await.expect("it opens");
    let old = consumer.view();
    let watched = Arc::downgrade(table(&old));
    chain.commit(|edit| (0..200).for_each(|id| edit.put(&movie(id, "second")))).await;
    consumer.refresh().await.expect("it refreshes");
    env.sleep(Duration::from_secs(5)).await;
    let status = consumer.status().old_views;
    assert_eq!(status.held, 1);
    assert!(status.oldest >= Duration::from_secs(5), "{status:?}");
    assert!(status.bytes > 1_000, "{status:?}");
    drop(old);
    assert!(watched.upgrade().is_some(), "the reader freed it");
    env.sleep(Duration::from_secs(1)).await;
    assert!(watched.upgrade().is_none(), "the task did not free it");
    assert_eq!(consumer.status().old_views.held, 0);
}

#[tokio::test(start_paused = true)]
async fn a_view_outlives_its_consumer() {
    let (storage, env) = (memory().await, Env::simulated(1));
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    chain.commit(|edit| edit.put(&movie(1, "first"))).await;
    let consumer = manual(&storage, &env).open().await.expect("it opens");
    let view = consumer.view();
    drop(consumer);
    env.sleep(LONG).await;
    assert_eq!(view.get::<Movie>(1).expect("it is there").title(), "first");
    let watched = Arc::downgrade(table(&view));
    drop(view);
    assert!(watched.upgrade().is_none(), "the last view frees where it is dropped");
}

#[tokio::test(start_paused = true)]
async fn a_consumer_follows_until_its_last_clone_is_dropped() {
    let (storage, env) = (memory().await, Env::simulated(1));
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    chain.commit(|edit| edit.put(&movie(1, "first"))).await;
    let consumer = manual(&storage, &env).open().await.expect("it opens");
    let (clone, kept) = (consumer.clone(), Arc::new(()));
    let watched = Arc::downgrade(&kept);
    consumer.on_refresh(move |_| assert!(Arc::strong_count(&kept) > 0));
    drop(consumer);
    let second = chain.commit(|edit| edit.put(&movie(1, "second"))).await;
    assert_eq!(clone.refresh().await.expect("it follows"), second);
    drop(clone);
    env.sleep(LONG).await;
    assert!(watched.upgrade().is_none(), "the task has ended, and its listeners are freed");
}

/// A version has the time of its commit, by whichever route it is reached, and after the commit's entry was trimmed.
#[tokio::test(start_paused = true)]
async fn a_view_of_a_snapshot_alone_knows_when_it_was_committed() {
    let (storage, env) = (memory().await, Env::simulated(1));
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    chain.commit(|edit| edit.put(&movie(1, "first"))).await;
    env.sleep(Duration::from_secs(100)).await;
    chain.commit(|edit| edit.put(&movie(1, "second"))).await;
    let by_delta = manual(&storage, &env).open().await.expect("it opens").view();
    env.sleep(Duration::from_secs(1_000)).await;
    chain.snapshot().await;
    let by_entry = manual(&storage, &env).open().await.expect("it opens").view();
    // Now a checkpoint names the snapshot, so that the snapshot's entry is not read; the commit's entry is a tombstone.
    chain.trim().await;
    let by_checkpoint = manual(&storage, &env).open().await.expect("it opens").view();
    for view in [&by_entry, &by_checkpoint] {
        assert_eq!((view.version(), view.committed_at()), (by_delta.version(), by_delta.committed_at()));
    }
    assert!(env.now().0 - by_delta.committed_at().0 >= 1_000_000);
}
