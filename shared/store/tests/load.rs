//! A snapshot becomes a state.

use std::sync::Arc;

use cenote_state::blob::encode_snapshot;
use cenote_state::delta::Changes;
use cenote_state::ids::{ColumnId, DatasetId, Ordinal, TypeId, Version};
use cenote_state::row::Row;
use cenote_state::schema::{Field, PLAIN, Schema, Shape, TypeKind, TypeSchema, ValueKind};
use cenote_state::state::State;
use cenote_store::env::Env;
use cenote_store::load::{SnapshotToLoad, snapshot};
use cenote_store::storage::Storage;
use object_store::memory::InMemory;

const DATASET: DatasetId = DatasetId([7; 16]);
const ANY_SIZE: u64 = 1 << 30;
const ROOT: TypeId = TypeId(0);
const RECORDS: u32 = 2_000;

fn text(number: u32) -> String {
    "abcdefgh ".repeat(2_000) + &number.to_string()
}

/// One root type with a key and a long text.
fn state() -> State {
    let shapes = [ValueKind::Int(8), ValueKind::String];
    let fields = shapes.into_iter().enumerate().map(|(index, kind)| Field {
        name: format!("f{index}"),
        column: ColumnId(index as u16 + 10),
        optional: false,
        sparse: false,
        shape: Shape::One(kind),
        encoding: PLAIN,
    });
    let kind = TypeKind::Root { key: vec![vec!["f0".into()]] };
    let root = TypeSchema { name: "R".into(), kind, fields: fields.collect(), next_column: 99, segment_rows_log2: 2 };
    let empty = State::empty(Arc::new(Schema { types: vec![root] }), 7).unwrap();
    let mut changes = Changes::new(&empty);
    for number in 0..RECORDS {
        let mut row = Row::new(2);
        row.set(0, |out| out.extend_from_slice(&i64::from(number).to_le_bytes()));
        row.set(1, |out| out.extend_from_slice(text(number).as_bytes()));
        changes.add(ROOT, Ordinal(number), &row);
    }
    empty.applied(&changes.finish(), Version(1), 1).unwrap()
}

/// All texts, in the order of their ordinals.
fn texts(state: &State) -> Vec<String> {
    let table = state.table(ROOT);
    let text = |number| table.row(Ordinal(number)).expect("it is live").cell(1).text().to_owned();
    (0..RECORDS).map(text).collect()
}

#[tokio::test]
async fn a_snapshot_is_fetched_by_ranges() {
    let state = state();
    let storage = Storage::new("memory://test", Arc::new(InMemory::new()));
    let blob = encode_snapshot(DATASET, &state, 2);
    storage.put_large("snapshots/1", blob.parts.clone()).await.unwrap();
    let name = "snapshots/1".to_owned();
    let (dataset, version, digest) = (DATASET, Version(3), state.digest());
    let what = SnapshotToLoad { name, dataset, version, digest, bytes_max: ANY_SIZE, seed: 1 };
    let (loaded, took) = snapshot(&storage, &Env::system(), &what, &|_, _| {}).await.unwrap();
    assert_eq!(texts(&loaded), (0..RECORDS).map(text).collect::<Vec<_>>());
    assert_eq!(loaded.digest(), state.digest());
    assert_eq!(loaded.version(), Version(3));
    assert!(took.bytes < blob.length() * 21 / 20 + (64 << 10), "{took:?} of {}", blob.length());

    let small = SnapshotToLoad { bytes_max: 1 << 20, ..what.clone() };
    let error = snapshot(&storage, &Env::system(), &small, &|_, _| {}).await.unwrap_err().to_string();
    assert!(error.starts_with("snapshots/1: it needs ") && error.contains("raise max_state_bytes"), "{error}");
    let gone = SnapshotToLoad { name: "snapshots/2".into(), ..what };
    let error = snapshot(&storage, &Env::system(), &gone, &|_, _| {}).await.unwrap_err();
    assert!(error.to_string().starts_with("snapshots/2 is missing though the log names it"), "{error}");
}
