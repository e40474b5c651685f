//! The layout follows the data: what a commit copies, and what a table takes, however its records change.

use cenote_producer::{Producer, Record, SnapshotPolicy};
use cenote_state::state::State;
use cenote_state::table::Table;

use super::*;

/// A record of any length.
#[derive(Clone, Debug, PartialEq, Record)]
#[record(key = "id")]
struct Page {
    id: u32,
    text: String,
}

fn page(id: u32, bytes: usize) -> Page {
    Page { id, text: "x".repeat(bytes) }
}

async fn open(name: &str) -> Producer {
    let url = format!("memory://{name}");
    let builder = Producer::builder(url).with::<Page>().env(Env::simulated(7));
    builder.snapshots(SnapshotPolicy::Manual).open().await.expect("it opens")
}

fn table(state: &State) -> &Table {
    state.table(state.schema().find("Page").expect("the type was published"))
}

/// Publishes these pages in the place of all others.
async fn publish(producer: &mut Producer, pages: impl Iterator<Item = Page>) {
    let fill = async |writer: &mut Writer| {
        pages.into_iter().try_for_each(|page| writer.add(&page))?;
        Ok(())
    };
    producer.cycle(fill).await.expect("it is committed");
}

/// Changes these pages; the bytes of segments that this replaced.
async fn update(producer: &mut Producer, pages: impl Iterator<Item = Page>) -> u64 {
    let before = producer.committed_state().clone();
    let change = |changes: &mut Update| {
        pages.into_iter().try_for_each(|page| changes.upsert(&page))?;
        Ok(())
    };
    producer.update(change).await.expect("it is committed");
    producer.check_invariants();
    before.bytes_apart(producer.committed_state())
}

/// Edits until the table has no segment left of the size before.
async fn settle(producer: &mut Producer, page: &Page) {
    for round in 0_u64.. {
        let state = producer.committed_state();
        let segments = table(state).segments().count();
        let own = (0..table(state).segment_count()).filter(|number| table(state).segment(*number).is_some()).count();
        if own == segments {
            break;
        }
        let tail = if round % 2 == 0 { "a" } else { "b" };
        update(producer, std::iter::once(Page { text: page.text.clone() + tail, ..page.clone() })).await;
    }
}

/// One long record in the first commit, or none: the many short ones after it take the same.
#[test]
fn a_long_record_first_does_not_decide_for_all() {
    run(async {
        let mut bytes = Vec::new();
        for first in [20, 70_000] {
            let mut producer = open(&format!("layout-first-{first}")).await;
            publish(&mut producer, std::iter::once(page(0, first))).await;
            publish(&mut producer, (0..50_000).map(|id| page(id, if id == 0 { first } else { 8 }))).await;
            let state = producer.committed_state();
            assert!(table(state).segments().count() < 60, "{} segments", table(state).segments().count());
            bytes.push(state.memory_bytes());
        }
        assert!(bytes[1] < bytes[0] + 200_000, "{bytes:?}");
    });
}

/// Short records first, long ones later, and short ones again: a change copies what it touches, within a budget that does
/// not follow the table (I10).
#[test]
fn a_change_costs_as_little_when_records_have_grown_and_shrunk_by_a_thousand() {
    const PAGES: u32 = 2_048;
    const BATCH: u32 = 64;
    run(async {
        let mut producer = open("layout-grown").await;
        publish(&mut producer, (0..PAGES).map(|id| page(id, 0))).await;
        let small = producer.committed_state().memory_bytes();
        for (bytes, segment_bytes) in [(40_000, 300_000), (40, 100_000)] {
            // One of many is looked at, so that what is cut for it is seen.
            for first in (0..PAGES).step_by(BATCH as usize) {
                update(&mut producer, (first..first + BATCH).map(|id| page(id, bytes))).await;
                let apart = update(&mut producer, std::iter::once(page(first / 2, bytes + 1))).await;
                assert!(apart < 4 << 20, "one change of {first} changed to {bytes} bytes each copies {apart} bytes");
            }
            settle(&mut producer, &page(7, bytes)).await;
            let apart = update(&mut producer, std::iter::once(page(9, bytes + 1))).await;
            assert!(apart < segment_bytes, "one change of {bytes} bytes copies {apart} bytes");
        }
        let state = producer.committed_state();
        assert!(state.memory_bytes() < small + u64::from(PAGES) * 200, "{small} grew to {}", state.memory_bytes());
    });
}

/// All at once: the whole table is what the commit brings, and the next one is as cheap as any.
#[test]
fn records_that_all_grow_at_once_are_cut_at_once() {
    run(async {
        let mut producer = open("layout-at-once").await;
        publish(&mut producer, (0..4_096).map(|id| page(id, 0))).await;
        assert_eq!(table(producer.committed_state()).segments().count(), 1);
        publish(&mut producer, (0..4_096).map(|id| page(id, 10_000))).await;
        let apart = update(&mut producer, std::iter::once(page(9, 10_001))).await;
        assert!(apart < 2 << 20, "one change copies {apart} bytes");
        let producer_state = producer.committed_state().digest();
        producer.snapshot().await.expect("it is written");
        producer.close().await.expect("it is closed");
        let mut again = open("layout-at-once").await;
        assert_eq!(again.committed_state().digest(), producer_state);
        assert!(update(&mut again, std::iter::once(page(9, 10_002))).await < 300_000);
        let version = again.version();
        publish(&mut again, (0..4_096).map(|id| page(id, if id == 9 { 10_002 } else { 10_000 }))).await;
        assert_eq!(again.version(), version, "a cut alone is no reason for a version");
    });
}
