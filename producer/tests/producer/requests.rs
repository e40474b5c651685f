//! The requests that a producer makes to the store.

use std::time::Duration;

use cenote_store::storage::Storage;
use cenote_testing::faults::{CountingStore, RequestKind};

use super::outcomes::noise;
use super::*;

#[test]
fn a_version_is_two_puts_and_no_version_is_a_heartbeat() {
    run(async {
        let (env, counting) = (Env::simulated(14), CountingStore::new());
        let storage = counting.wrap(&Storage::open("memory://requests", &[]).await.unwrap());
        let builder = Producer::builder_on(storage).with::<Movie>().env(env.clone()).snapshots(SnapshotPolicy::Manual);
        let mut producer = builder.open().await.unwrap();
        counting.take();
        for id in 1..=10 {
            producer.update(|changes| Ok(changes.upsert(&movie(id))?)).await.unwrap();
            env.sleep(Duration::from_secs(2)).await;
        }
        let small = counting.take();
        assert_eq!((small.of(RequestKind::Create), small.of(RequestKind::Put)), (10, 10), "entry and hint: {small:?}");
        assert_eq!(
            small.of(RequestKind::Get),
            9,
            "a look at the version before, if it is older than a second: {small:?}"
        );
        assert_eq!(small.total(), 29, "{small:?}");
        for id in 11..=20 {
            producer.update(|changes| Ok(changes.upsert(&movie(id))?)).await.unwrap();
            env.sleep(Duration::from_millis(500)).await;
        }
        assert!(counting.take().of(RequestKind::Get) <= 1, "versions one after another are not looked at");

        // Hard to compress, and more than an entry holds.
        let noisy: Vec<Movie> = (100..112).map(|id| Movie { title: noise(id), ..movie(id) }).collect();
        let change = |changes: &mut Update| noisy.iter().try_for_each(|movie| Ok(changes.upsert(movie)?));
        producer.update(change).await.unwrap();
        env.sleep(Duration::from_secs(2)).await;
        let large = counting.take();
        assert_eq!((large.of(RequestKind::Create), large.of(RequestKind::Put)), (1, 2), "and the blob: {large:?}");

        env.sleep(Duration::from_mins(10)).await;
        let idle = counting.take();
        assert!((119..=121).contains(&idle.of(RequestKind::Put)), "a hint every 5 s: {idle:?}");
        assert_eq!(idle.total(), idle.of(RequestKind::Put), "and nothing else: {idle:?}");

        producer.update(|changes| Ok(changes.upsert(&movie(21))?)).await.unwrap();
        let looked_back = counting.take();
        assert!(
            looked_back.of(RequestKind::Get) <= 2,
            "the newest entry, and an older one once a minute: {looked_back:?}"
        );
    });
}
