//! Packed text: when a column gets its table, and what becomes of it.

use cenote_state::Root;

use super::*;
use cenote_producer::Allow;

#[derive(Clone, Debug, PartialEq, Record)]
#[record(key = "id")]
struct Essay {
    id: u64,
    #[record(packed)]
    text: String,
    #[record(packed)]
    note: Option<String>,
}

/// The same with its text plain.
mod plain {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Record)]
    #[record(key = "id")]
    pub(super) struct Essay {
        pub(super) id: u64,
        pub(super) text: String,
        pub(super) note: Option<String>,
    }
}

fn text(id: u64) -> String {
    let words = ["a clear pool ", "in a limestone ", "hollow: ", "you look ", "straight ", "to the bottom. "];
    (0..20).map(|at| words[((id * 31 + at * at) % 6) as usize]).collect()
}

fn essay(id: u64) -> Essay {
    Essay { id, text: text(id), note: id.is_multiple_of(3).then(|| format!("on {id}")) }
}

fn on<T: Root>(name: &str) -> ProducerBuilder {
    Producer::builder(format!("memory://{name}")).with::<T>().env(Env::simulated(7)).snapshots(SnapshotPolicy::Manual)
}

async fn publish(producer: &mut Producer, ids: std::ops::Range<u64>) {
    producer.update(|changes| ids.clone().try_for_each(|id| Ok(changes.upsert(&essay(id))?))).await.unwrap();
    let view = producer.view();
    for id in ids {
        assert_eq!(view.get::<Essay>(id).unwrap().to_owned(), essay(id));
    }
}

/// How many tables the type has, and what its segments take.
fn tables_and_bytes(producer: &Producer) -> (usize, usize) {
    let view = producer.view();
    let table = view.state().table(view.schema().find("Essay").unwrap());
    let tables = table.symbols().map_or(0, |symbols| symbols.len());
    let segments = (0..table.segment_count()).filter_map(|number| table.segment(number));
    (tables, segments.map(|segment| segment.memory_bytes()).sum())
}

#[test]
fn a_column_gets_its_table_with_enough_text_and_keeps_it() {
    run(async {
        let mut producer = on::<Essay>("packed-kept").open().await.unwrap();
        publish(&mut producer, 0..20).await;
        assert_eq!(tables_and_bytes(&producer).0, 0, "20 essays are too little text");
        // Each update brings little, but older text counts.
        for first in (20..120).step_by(10) {
            publish(&mut producer, first..first + 10).await;
        }
        assert_eq!(tables_and_bytes(&producer).0, 1, "the notes are too little text");
        let (_, before) = tables_and_bytes(&producer);
        publish(&mut producer, 120..1_000).await;
        let (tables, after) = tables_and_bytes(&producer);
        let plain: usize = (120..1_000).map(|id| text(id).len()).sum();
        assert!(tables == 1 && (after - before) * 2 < plain, "{} bytes for {plain} of text", after - before);
        producer.check_invariants();

        let digest = producer.committed_state().digest();
        producer.snapshot().await.unwrap();
        publish(&mut producer, 1_000..1_010).await;
        producer.close().await.unwrap();
        let mut producer = on::<Essay>("packed-kept").open().await.unwrap();
        assert_eq!(tables_and_bytes(&producer).0, 1, "by way of the snapshot");
        producer.check_invariants();
        publish(&mut producer, 0..1_020).await;
        assert_ne!(producer.committed_state().digest(), digest);
        let unchanged = producer.cycle(async |writer| (0..1_020).try_for_each(|id| Ok(writer.add(&essay(id))?)));
        assert!(unchanged.await.unwrap().committed().is_none(), "equal text is the same, however it is packed");
    });
}

/// A column whose text never sufficed for a table was read again, 16,384 rows of it, by each update of one row.
#[test]
fn a_small_update_looks_at_few_older_rows() {
    run(async {
        let mut producer = on::<Essay>("packed-few").open().await.unwrap();
        let note = |id: u64| (id >= 1_024).then(|| text(id));
        let essay = |id| Essay { id, text: String::new(), note: note(id) };
        // The older texts come after as many rows as an update of one row reads.
        producer.cycle(async |writer| (0..1_024).try_for_each(|id| Ok(writer.add(&essay(id))?))).await.unwrap();
        for id in 1_024..1_300 {
            producer.update(|changes| Ok(changes.upsert(&essay(id))?)).await.unwrap();
        }
        assert_eq!(tables_and_bytes(&producer).0, 0, "the older texts were not looked at");
        producer.update(|changes| (1_300..1_317).try_for_each(|id| Ok(changes.upsert(&essay(id))?))).await.unwrap();
        assert_eq!(tables_and_bytes(&producer).0, 1, "17 rows look at 64 as many");
        producer.check_invariants();
    });
}

#[test]
fn a_digest_does_not_tell_packed_text_from_plain() {
    run(async {
        let mut packed = on::<Essay>("packed-digest").open().await.unwrap();
        let mut plain = on::<plain::Essay>("plain-digest").open().await.unwrap();
        packed.cycle(async |writer| (0..500).try_for_each(|id| Ok(writer.add(&essay(id))?))).await.unwrap();
        let same = |id| {
            let Essay { id, text, note } = essay(id);
            plain::Essay { id, text, note }
        };
        plain.cycle(async |writer| (0..500).try_for_each(|id| Ok(writer.add(&same(id))?))).await.unwrap();
        assert_eq!(tables_and_bytes(&packed).0, 1);
        assert_eq!(packed.committed_state().digest(), plain.committed_state().digest());
        assert!(tables_and_bytes(&packed).1 * 3 < tables_and_bytes(&plain).1 * 2);
    });
}

#[test]
fn a_plain_column_is_packed_by_starting_it_again() {
    run(async {
        let name = "packed-again";
        let mut old = on::<plain::Essay>(name).open().await.unwrap();
        let plain = |id| plain::Essay { id, text: text(id), note: None };
        old.cycle(async |writer| (0..500).try_for_each(|id| Ok(writer.add(&plain(id))?))).await.unwrap();
        old.close().await.unwrap();
        let refused = on::<Essay>(name).open().await.unwrap_err().to_string();
        assert!(refused.contains("write .allow(Allow::replace(\"Essay.text\")) to start a new column"), "{refused}");
        let allowed = on::<Essay>(name).allow(Allow::replace("Essay.text")).allow(Allow::replace("Essay.note"));
        // The column is new, so it says what older records read as.
        #[derive(Clone, Debug, PartialEq, Record)]
        #[record(key = "id", name = "Essay")]
        struct Again {
            id: u64,
            #[record(packed, default)]
            text: String,
            #[record(packed)]
            note: Option<String>,
        }
        let error = allowed.open().await.unwrap_err().to_string();
        assert!(error.contains("Essay.text is new, and older records lack it"), "{error}");
        let allowed = on::<Again>(name).allow(Allow::replace("Essay.text")).allow(Allow::replace("Essay.note"));
        let mut new = allowed.open().await.unwrap();
        let again = |id| Again { id, text: text(id), note: None };
        new.cycle(async |writer| (0..500).try_for_each(|id| Ok(writer.add(&again(id))?))).await.unwrap();
        assert_eq!(tables_and_bytes(&new).0, 1);
        for id in 0..500 {
            assert_eq!(new.view().get::<Again>(id).unwrap().text(), text(id));
        }
        new.check_invariants();
    });
}
