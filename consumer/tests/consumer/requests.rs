//! How many requests a start, a poll and a refresh send to the store.

use std::time::Duration;

use cenote_store::env::Env;
use cenote_testing::faults::{CountingStore, RequestKind};

use crate::chain::Chain;
use crate::{Movie, manual, memory, movie};

#[tokio::test(start_paused = true)]
async fn a_start_a_poll_and_a_refresh_make_the_requests_that_they_should() {
    let (storage, env) = (memory().await, Env::simulated(1));
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    let title = "an incompressible title would be better, but this will do ".repeat(20);
    chain.commit(|edit| (0..2_000).for_each(|id| edit.put(&movie(id, &format!("{title}{id}"))))).await;
    chain.commit(|edit| (0..2_000).for_each(|id| edit.put(&movie(id, &format!("{id}{title}"))))).await;
    let snapshot = chain.snapshot().await;
    let deltas = 5;
    for id in 0..deltas {
        chain.commit(|edit| edit.put(&movie(id, "changed"))).await;
    }
    env.sleep(Duration::from_secs(2)).await;
    chain.beat().await;
    let entries: u64 = storage.list("log", None).await.expect("it lists").iter().map(|entry| entry.size).sum();

    let counting = CountingStore::new();
    let consumer = manual(&counting.wrap(&storage), &env).open().await.expect("it opens");
    let start = counting.take();
    // The key after the tail.
    assert_eq!(start.of(RequestKind::Head), 1, "{start:?}");
    // The probe, the hint, its entry's head, the entries since the beginning, the snapshot's footer and its one range.
    let gets = start.of(RequestKind::Get);
    assert!(gets <= 3 + (deltas + 4) + 2, "{start:?}");
    let needed = entries + snapshot.length;
    assert!(start.bytes_read <= needed + needed / 20 + 4_096, "{} of {needed} bytes", start.bytes_read);

    consumer.refresh().await.expect("nothing new");
    let checked = counting.take();
    assert!(checked.total() <= 4, "the first poll checks the end of the log: {checked:?}");
    for _ in 0..5 {
        consumer.refresh().await.expect("nothing new");
        let poll = counting.take();
        assert_eq!((poll.total(), poll.of(RequestKind::Get)), (1, 1), "{poll:?}");
    }
    env.sleep(Duration::from_secs(61)).await;
    consumer.refresh().await.expect("nothing new");
    let checked = counting.take();
    assert!(checked.total() <= 4, "{checked:?}");

    let version = chain.commit(|edit| edit.put(&movie(7, "inline"))).await;
    let entry = storage.size(&cenote_store::log::names::log_entry(version.position())).await.unwrap().unwrap();
    consumer.refresh().await.expect("it refreshes");
    let refresh = counting.take();
    assert_eq!((refresh.total(), refresh.bytes_read), (2, entry), "the entry, and that it is the last: {refresh:?}");

    chain.always_blobs = true;
    chain.commit(|edit| edit.put(&movie(8, "in a blob"))).await;
    consumer.refresh().await.expect("it refreshes");
    let refresh = counting.take();
    assert_eq!(refresh.total(), 3, "the entry, its blob, and that it is the last: {refresh:?}");
    assert_eq!(refresh.of(RequestKind::List), 0, "nothing is listed");
}
