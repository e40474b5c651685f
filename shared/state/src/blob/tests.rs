use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::delta::Change;
use crate::delta::tests::{ROOT, Record, Step, delta, of_one_key, read, schema, steps};
use crate::held::Selection;
use crate::ids::{ColumnId, DatasetId, Version};
use crate::schema::{Field, Shape, ValueKind};
use crate::state::State;
use crate::table::TableEdit;

const DATASET: DatasetId = DatasetId([7; 16]);
const ANY_SIZE: u64 = 1 << 30;

fn state_of(steps: &[Step]) -> State {
    let mut state = State::empty(Arc::new(schema()), 7).unwrap();
    for (number, step) in steps.iter().enumerate() {
        let delta = delta(&state, &read(&state), step);
        let bytes = encode_delta(DATASET, &delta, &state, 2).to_bytes();
        let arrived = decode_delta(&bytes, DATASET, &state, ANY_SIZE).unwrap();
        state = state.applied(&arrived, Version(number as u64 + 1), 1).unwrap();
    }
    state
}

fn read_snapshot(blob: &[u8], digest: u128) -> Result<State, BlobError> {
    let footer = footer_of(blob)?;
    let reader = SnapshotReader::new(footer, DATASET, digest, &Selection::Whole, 99, ANY_SIZE)?;
    let runs: Vec<_> = reader.runs().collect();
    let decoded = runs
        .into_iter()
        .enumerate()
        .map(|(number, run)| reader.decode_run(number, &blob[run.start as usize..run.end as usize], &mut Vec::new()));
    let decoded = decoded.collect::<Result<Vec<_>, _>>()?;
    reader.finish(decoded, Version(9), 2)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// A snapshot of n is n, digests included; so snapshot(n) = snapshot(m) + deltas, since states follow their deltas.
    #[test]
    fn snapshots_survive(steps in steps()) {
        let state = state_of(&steps);
        let blob = encode_snapshot(DATASET, &state, 2).to_bytes();
        let loaded = read_snapshot(&blob, state.digest()).unwrap();
        loaded.check_invariants();
        prop_assert_eq!(read(&loaded), read(&state));
        prop_assert_eq!(loaded.digest(), state.digest());
        prop_assert_eq!(encode_snapshot(DATASET, &loaded, 1).to_bytes(), blob, "the same state gives the same bytes (I12)");
        let other = read_snapshot(&encode_snapshot(DATASET, &state, 1).to_bytes(), state.digest() ^ 1);
        let refused = matches!(other, Err(BlobError::Digest { .. }));
        prop_assert!(refused);
    }

    /// A damaged snapshot is refused, never read: every byte of it is under a hash or checked (I9).
    #[test]
    fn damage_is_found(steps in steps(), at in any::<proptest::sample::Index>(), bit in 0..8_u32) {
        let state = state_of(&steps);
        let mut blob = encode_snapshot(DATASET, &state, 1).to_bytes().to_vec();
        let at = at.index(blob.len());
        blob[at] ^= 1 << bit;
        // Bytes that no reader looks at: the header's and the tail's reserved ones, and the header's format.
        let unread = (8..10).contains(&at) || (11..16).contains(&at) || (blob.len() - 26..blob.len() - 24).contains(&at);
        prop_assert!(unread || read_snapshot(&blob, state.digest()).is_err(), "byte {at}");
    }

    /// Added and dropped columns, on a running chain (a schema evolves by column number).
    #[test]
    fn states_of_another_layout_keep_their_records(steps in steps()) {
        let state = state_of(&steps);
        let mut wider = schema();
        wider.types[0].fields.insert(0, Field {
            name: "new".into(), column: ColumnId(50), optional: true, sparse: true, shape: Shape::One(ValueKind::F64), encoding: 0,
        });
        let relaid = state.relayout(Arc::new(wider.clone()), 2).unwrap();
        relaid.check_invariants();
        prop_assert_eq!(relaid.digest(), state.digest(), "an absent column adds nothing");
        let back = relaid.relayout(Arc::new(schema()), 1).unwrap();
        back.check_invariants();
        prop_assert_eq!(read(&back), read(&state));
        // A column that changes its form, as only a hostile schema has it: nothing panics, and the digest differs.
        let mut reshaped = schema();
        reshaped.types[0].fields[1].shape = Shape::One(ValueKind::String);
        let reshaped = state.relayout(Arc::new(reshaped), 1).unwrap();
        let table = reshaped.table(ROOT);
        let rows = table.ordinals().map(|ordinal| table.row(ordinal).unwrap());
        for row in rows {
            (0..row.columns()).for_each(|field| {
                row.cell(field).canonical(&mut Vec::new());
            });
        }
        prop_assert_eq!(reshaped.digest() != state.digest(), !read(&state).is_empty());
        wider.types[0].fields.retain(|field| field.name != "f2");
        let without = state.relayout(Arc::new(wider), 1).unwrap();
        without.check_invariants();
        let had_text = read(&state).values().any(|record| record.text.is_some());
        prop_assert_eq!(without.digest() != state.digest(), had_text, "a dropped column takes its sums with it");
    }
}

#[test]
fn a_record_longer_than_a_section_is_cut() {
    let long = Record { number: 1, text: Some("x".repeat(9 << 20)), list: vec![], story: String::new() };
    let state = state_of(&[Step::from([(1, Some(long))])]);
    let blob = encode_snapshot(DATASET, &state, 1).to_bytes();
    let footer = footer_of(&blob).unwrap();
    assert_eq!(footer.sections.iter().filter(|section| section.continues).count(), 2);
    assert_eq!(read(&read_snapshot(&blob, state.digest()).unwrap()), read(&state));
}

#[test]
fn another_datasets_blob_is_refused() {
    let state = state_of(&[]);
    let blob = encode_delta(DatasetId([1; 16]), &Default::default(), &state, 1).to_bytes();
    let error = decode_delta(&blob, DATASET, &state, ANY_SIZE).unwrap_err();
    assert!(error.to_string().starts_with("it belongs to dataset 0101"), "{error}");
    let snapshot = encode_snapshot(DATASET, &state, 1).to_bytes();
    let error = decode_delta(&snapshot, DATASET, &state, ANY_SIZE).unwrap_err();
    assert_eq!(error.to_string(), "it is a Snapshot, not a Delta");
}

/// As in a delta (I9): such a state can't be applied to, so it is put together past the key index.
#[test]
fn a_snapshot_of_thousands_of_records_of_one_key_is_refused() {
    let empty = State::empty(Arc::new(schema()), 7).unwrap();
    let with = |count| {
        let delta = of_one_key(&empty, count);
        let whole = delta.chunks.iter().map(|chunk| match &chunk.change {
            Change::Whole { number, rows } => (*number as usize, rows),
            other => panic!("an empty segment comes whole: {other:?}"),
        });
        let edit = TableEdit { whole: whole.collect(), ..TableEdit::default() };
        let table = Arc::new(empty.table(ROOT).edited(&edit, 1).unwrap());
        let state = empty.with_tables(empty.schema().clone(), vec![table]);
        read_snapshot(&encode_snapshot(DATASET, &state, 1).to_bytes(), state.digest())
    };
    assert_eq!(with(1_000).unwrap().table(ROOT).len(), 1_000);
    let error = with(20_000).unwrap_err();
    assert!(error.to_string().contains("one key"), "{error}");
}

/// A row's live bit may be set where there is no such row (I9): it brings no record.
#[test]
fn live_bits_after_the_last_row_are_ignored() {
    let empty = State::empty(Arc::new(schema()), 7).unwrap();
    let state = empty.applied(&of_one_key(&empty, 1), Version(1), 1).unwrap();
    let mut blob = uncompressed(&encode_snapshot(DATASET, &state, 1).to_bytes());
    // After the header: the segment's length, its rows, the byte with their bits.
    let bits = HEADER_BYTES + 8;
    assert_eq!(blob[bits - 4..=bits], [1, 0, 0, 0, 1]);
    blob[bits] = u8::MAX;
    repair_checksums(&mut blob);
    let loaded = read_snapshot(&blob, state.digest()).unwrap();
    loaded.check_invariants();
    assert_eq!(loaded.table(ROOT).len(), 1);
}
