//! The metrics of a consumer: those of the table in the crate's documentation, each with the dataset's label.

use cenote_store::env::Env;
use cenote_testing::metrics::RecordedMetrics;

use crate::chain::Chain;
use crate::{Movie, manual, memory, movie};

#[tokio::test(start_paused = true)]
async fn each_metric_of_the_table_is_recorded_with_its_dataset() {
    let recorded = RecordedMetrics::default();
    let _guard = metrics::set_default_local_recorder(&recorded);
    let (storage, env) = (memory().await, Env::simulated(1));
    let mut chain = Chain::create(&storage, &env, cenote_state::record::Registry::with::<Movie>).await;
    chain.commit(|edit| edit.put(&movie(1, "first"))).await;
    let consumer = manual(&storage, &env).open().await.expect("it opens");
    let _held = consumer.view();
    chain.commit(|edit| edit.put(&movie(1, "second"))).await;
    consumer.refresh().await.expect("it refreshes");
    recorded.check(include_str!("../../src/lib.rs"), storage.url());
}
