//! Records without Rust types, and the bytes that come of records.

use bytes::Bytes;
use cenote_state::blob::{decode_delta, encode_delta};
use cenote_state::ids::{DatasetId, TypeId, Version};
use cenote_state::keys::KeyRef;
use cenote_state::row::Row;
use cenote_state::schema::Schema;
use cenote_state::state::State;
use cenote_store::log::{Body, DeltaPlace, LogObject, LogReader};
use cenote_store::storage::Storage;

use super::*;
use cenote_producer::error::ErrorKind;

/// The schema that the structs of these tests declare.
async fn declared() -> Schema {
    let producer = producer("rows-declared").open().await.unwrap();
    producer.schema().as_ref().clone()
}

fn scalar(row: &mut Row, field: usize, value: i64) {
    row.set(field, |out| out.extend_from_slice(&value.to_le_bytes()));
}

#[test]
fn rows_are_records_without_structs() {
    run(async {
        let schema = declared().await;
        let open = || Producer::builder("memory://rows-untyped").with_schema(&schema).env(Env::simulated(7)).open();
        let mut producer = open().await.unwrap();
        let id = producer.schema().find("Country").unwrap();
        let country = |code: &str, people: i64| {
            let mut row = Row::new(2);
            row.set(0, |out| out.extend_from_slice(code.as_bytes()));
            scalar(&mut row, 1, people);
            row
        };
        producer.cycle(async |writer| Ok(writer.add_row(id, &country("nl", 17))?)).await.unwrap();
        let updated = producer.update(|changes| {
            changes.upsert_row(id, &country("nl", 18))?;
            changes.upsert_row(id, &country("be", 11))?;
            Ok(changes.delete_key(id, KeyRef::Bytes(b"de"))?)
        });
        assert!(!updated.await.unwrap().value);
        producer.close().await.unwrap();
        let typed = super::producer("rows-untyped").open().await.unwrap();
        let people: Vec<i64> = ["nl", "be"].map(|code| typed.view().get::<Country>(code).unwrap().people()).into();
        assert_eq!(people, [18, 11]);
        typed.check_invariants();
    });
}

#[test]
fn rows_that_are_not_canonical_are_refused() {
    run(async {
        let schema = declared().await;
        let mut producer =
            Producer::builder("memory://rows-wrong").with_schema(&schema).env(Env::simulated(7)).open().await.unwrap();
        let id = producer.schema().find("Country").unwrap();
        let mut not_text = Row::new(2);
        not_text.set(0, |out| out.push(0xFF));
        scalar(&mut not_text, 1, 1);
        let mut no_people = Row::new(2);
        no_people.set(0, |out| out.extend_from_slice(b"nl"));
        let mut short = no_people.clone();
        short.set(1, |out| out.push(1));
        for (row, message) in [
            (not_text, "the bytes of Country.code are not those of a String"),
            (no_people, "Country.people has no value, and every record must have one"),
            (short, "the bytes of Country.people are not those of a i64"),
            (Row::new(3), "a row of Country has 3 cells where the type has 2 fields"),
        ] {
            let error = producer.update(|changes| Ok(changes.upsert_row(id, &row)?)).await.unwrap_err().to_string();
            assert!(error.ends_with(message), "{error}");
        }
        let unknown = TypeId(999);
        let error = producer.update(|changes| Ok(changes.upsert_row(unknown, &Row::new(1))?)).await.unwrap_err();
        let expected = "type number 999 is not a root type of this producer; declare it where the producer is built";
        assert_eq!((error.to_string().as_str(), error.kind()), (expected, ErrorKind::Program));
    });
}

/// The delta of a version, apart from the dataset's id.
async fn delta(name: &str, version: Version, parent: &State) -> Bytes {
    let storage = Storage::open(&format!("memory://{name}"), &[]).await.unwrap();
    let reader = LogReader::start(storage).await.unwrap();
    let Some(LogObject::Entry(entry)) = reader.read(version.position()).await.unwrap() else { panic!("no entry") };
    let Body::Commit(commit) = entry.body else { panic!("no commit") };
    let DeltaPlace::Inline(bytes) = commit.delta else { panic!("no delta") };
    let delta = decode_delta(&bytes, entry.head.dataset, parent, u64::MAX).unwrap();
    encode_delta(DatasetId([0; 16]), &delta, parent, 1).to_bytes()
}

/// I12: same adds on the same parent, same bytes, whatever the process's seeds.
#[test]
fn the_same_adds_make_the_same_bytes() {
    run(async {
        let mut deltas = Vec::new();
        for (name, seed) in [("rows-bytes-1", 1), ("rows-bytes-2", 2)] {
            let builder = producer(name).env(Env::simulated(seed)).snapshots(SnapshotPolicy::Manual);
            let mut producer = builder.open().await.unwrap();
            let actor = |n: u64| Actor { name: format!("actor {}", n % 17), agency: None };
            let cast = |id: u64| Movie { cast: (0..id % 5).map(|n| actor(id + n)).collect(), ..movie(id) };
            let fill = async |writer: &mut Writer| (0..500).rev().try_for_each(|id| Ok(writer.add(&cast(id))?));
            producer.cycle(fill).await.unwrap();
            let parent = producer.committed_state().clone();
            producer
                .update(|changes| {
                    (0..100).step_by(3).try_for_each(|id| changes.delete::<Movie>(id).map(drop))?;
                    (1_000..1_050).try_for_each(|id| changes.upsert(&cast(id)))?;
                    (200..300).try_for_each(|id| Ok(changes.upsert(&Movie { title: "new".into(), ..cast(id) })?))
                })
                .await
                .unwrap();
            deltas.push(delta(name, producer.version(), &parent).await);
        }
        assert!(deltas[0] == deltas[1], "the deltas differ");
    });
}

/// New records fill the tail, then segments that are a quarter free, and touch few segments.
#[test]
fn freed_ordinals_are_filled_segment_by_segment() {
    run(async {
        let mut producer = producer("rows-ordinals").open().await.unwrap();
        // About 64 bytes of country each would make segments of 4,096; long titles make them 8.
        let wide = |id: u64| Movie { title: format!("{id:8000}"), ..movie(id) };
        let fill = async |writer: &mut Writer| (0..64).try_for_each(|id| Ok(writer.add(&wide(id))?));
        producer.cycle(fill).await.unwrap();
        let id = producer.schema().find("Movie").unwrap();
        let rows = producer.schema().get(id).segment_rows();
        assert_eq!(rows, 8, "a segment is about 64 KiB");
        let ordinal = |producer: &Producer, key: u64| {
            let view = producer.view();
            view.state().table(id).find(KeyRef::Scalar(key), view.state().tables()).unwrap().0
        };
        // One from each of eight segments, an eighth of it: not worth touching them.
        let scattered =
            |changes: &mut Update| (0..64).step_by(8).try_for_each(|key| Ok(changes.delete::<Movie>(key).map(drop)?));
        producer.update(scattered).await.unwrap();
        producer.update(|changes| (100..102).try_for_each(|key| Ok(changes.upsert(&wide(key))?))).await.unwrap();
        assert_eq!(ordinal(&producer, 100), 56, "the tail's free ordinal first");
        assert_eq!(ordinal(&producer, 101), 64, "then a new segment");
        // Three more of segment 2: now it is half free.
        producer
            .update(|changes| (17..20).try_for_each(|key| Ok(changes.delete::<Movie>(key).map(drop)?)))
            .await
            .unwrap();
        producer.update(|changes| (200..212).try_for_each(|key| Ok(changes.upsert(&wide(key))?))).await.unwrap();
        let given: Vec<u32> = (200..212).map(|key| ordinal(&producer, key)).collect();
        assert_eq!(given[..4], [16, 17, 18, 19], "the half-empty segment");
        assert_eq!(given[4..11], [65, 66, 67, 68, 69, 70, 71], "the tail");
        assert_eq!(given[11], 72, "a new segment rather than eight others");
        producer.check_invariants();
    });
}

/// Futures of cycles can be spawned.
#[test]
fn a_cycle_may_run_on_any_thread() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    run(async {
        let mut producer = is_send(producer("rows-send").open()).await.unwrap();
        let movies = vec![movie(1)];
        let filled = producer.cycle(async |writer| {
            for movie in &movies {
                tokio::task::yield_now().await;
                writer.add(movie)?;
            }
            Ok(())
        });
        is_send(filled).await.unwrap();
        is_send(producer.update(|changes| Ok(changes.delete::<Movie>(1)?))).await.unwrap();
        is_send(producer.close()).await.unwrap();
    });
}
