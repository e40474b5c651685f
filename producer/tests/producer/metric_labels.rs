//! The metrics of a producer: those of the table in the crate's documentation, each with the dataset's label.

use cenote_testing::faults::{Fault, FaultyStore, RequestKind, Rule};
use cenote_testing::metrics::RecordedMetrics;

use super::*;
use cenote_producer::storage::Storage;

#[test]
fn each_metric_of_the_table_is_recorded_with_its_dataset() {
    let recorded = RecordedMetrics::default();
    let _guard = metrics::set_default_local_recorder(&recorded);
    run(async {
        let env = Env::simulated(7);
        let faults = FaultyStore::new(env.clone());
        let storage = Storage::open("memory://metric-labels", &[]).await.unwrap();
        let builder = Producer::builder_on(faults.wrap(&storage)).with::<Movie>().env(env);
        let builder = builder.validate_with("refuses 9", |_, new| match new.get::<Movie>(9) {
            Some(_) => Err("it is a nine".into()),
            None => Ok(()),
        });
        let mut producer = builder.snapshots(SnapshotPolicy::Manual).open().await.unwrap();
        producer.update(|changes| Ok(changes.upsert(&movie(1))?)).await.unwrap();
        producer.update(|changes| Ok(changes.upsert(&movie(1))?)).await.unwrap();
        producer.update(|changes| Ok(changes.upsert(&movie(9))?)).await.unwrap_err();
        faults.add(Rule::new(Fault::FlipBit(5_000)).on(RequestKind::Get).prefix("snapshots/"));
        producer.snapshot().await.unwrap_err();
        faults.clear();
        producer.snapshot().await.unwrap();
    });
    recorded.check(include_str!("../../src/lib.rs"), "memory://metric-labels");
}
