use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::delta::Change;
use crate::delta::tests::{ROOT, Record, Step, delta, of_one_key, read, schema, steps};
use crate::digest::PRESENCE;
use crate::held::Selection;
use crate::ids::{ColumnId, DatasetId, Ordinal, TypeId, Version};
use crate::record::Registry;
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
    read_part(blob, digest, &Selection::Whole)
}

fn read_part(blob: &[u8], digest: u128, selection: &Selection) -> Result<State, BlobError> {
    let footer = footer_of(blob)?;
    let reader = SnapshotReader::new(footer, DATASET, digest, selection, 99, ANY_SIZE)?;
    let runs: Vec<_> = reader.runs().collect();
    let stored = |range: std::ops::Range<u64>| blob.get(range.start as usize..range.end as usize);
    let decoded = (0..runs.len()).map(|number| reader.decode_run(number, &stored, &mut Vec::new()));
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
    // After the header: the segment's rows, the byte with their bits.
    let bits = HEADER_BYTES + 4;
    assert_eq!(blob[bits - 4..=bits], [1, 0, 0, 0, 1]);
    blob[bits] = u8::MAX;
    repair_checksums(&mut blob);
    let loaded = read_snapshot(&blob, state.digest()).unwrap();
    loaded.check_invariants();
    assert_eq!(loaded.table(ROOT).len(), 1);
}

/// What a program holds that declares the key and these fields.
fn holding(fields: &[usize]) -> Selection {
    let mut part = schema();
    let mut index = 0..;
    part.types[0].fields.retain(|_| index.next().is_some_and(|index| index == 0 || fields.contains(&index)));
    let declared = Registry::new().with_schema(&part).finish().expect("a part is sound");
    Selection::declared(Arc::new(declared))
}

/// The sums of a state, as commits tell them.
fn sums_of(state: &State) -> Vec<(TypeId, ColumnId, u128)> {
    let table = state.table(ROOT);
    let columns = table.layout().columns.iter().map(|column| column.id).chain([PRESENCE]);
    let sums = table.sums().columns.iter().chain([&table.sums().presence]);
    columns.zip(sums).map(|(column, sum)| (ROOT, column, *sum)).collect()
}

/// The canonical bytes of each held cell.
fn cells(state: &State, columns: &[ColumnId]) -> Vec<(u32, ColumnId, Option<Vec<u8>>)> {
    let table = state.table(ROOT);
    let of_row = |ordinal: Ordinal| {
        let row = table.row(ordinal).expect("it is live");
        let held = (0..row.columns()).map(move |field| row.cell(field)).filter(|cell| columns.contains(&cell.column()));
        held.map(move |cell| {
            let mut bytes = Vec::new();
            (ordinal.0, cell.column(), cell.canonical(&mut bytes).then_some(bytes))
        })
    };
    table.ordinals().flat_map(of_row).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// A part by deltas, by a snapshot, and of a whole state that is there: each the same, proven by the same digest.
    #[test]
    fn a_part_is_what_the_whole_has_of_it(steps in steps(), fields in proptest::collection::vec(1..5_usize, 0..3)) {
        let selection = holding(&fields);
        let mut whole = State::empty(Arc::new(schema()), 7).unwrap();
        let mut part = State::empty_of(&selection, Arc::new(schema()), 7).unwrap();
        for (number, step) in steps.iter().enumerate() {
            let delta = delta(&whole, &read(&whole), step);
            let bytes = encode_delta(DATASET, &delta, &whole, 1).to_bytes();
            let version = Version(number as u64 + 1);
            whole = whole.applied(&delta, version, 1).unwrap();
            let delta = decode_delta(&bytes, DATASET, &part, ANY_SIZE).unwrap();
            part = part.applied(&delta, version, 1).unwrap().with_sums_of_unheld(sums_of(&whole).into_iter());
            part.check_invariants();
            prop_assert_eq!(part.digest(), whole.digest());
        }
        let columns: Vec<ColumnId> = part.table(ROOT).layout().columns.iter().map(|column| column.id).collect();
        prop_assert_eq!(cells(&part, &columns), cells(&whole, &columns));
        let blob = encode_snapshot(DATASET, &whole, 1).to_bytes();
        let loaded = read_part(&blob, whole.digest(), &selection).unwrap();
        loaded.check_invariants();
        prop_assert_eq!(loaded.digest(), whole.digest());
        prop_assert_eq!(cells(&loaded, &columns), cells(&whole, &columns));
    }
}

/// A state whose texts are large and differ, so that they are a part of their own.
fn of_large_texts() -> State {
    let text =
        |key: u64| (0..40).map(|at| format!("{:x}", (key + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15 + at))).collect();
    let record =
        |key: i64| Record { number: key as i32, text: Some(text(key as u64)), list: vec![], story: String::new() };
    state_of(&[(0..4_000).map(|key| (key, Some(record(key)))).collect()])
}

#[test]
fn a_reader_needs_the_sections_of_the_columns_that_it_holds() {
    let state = of_large_texts();
    let blob = encode_snapshot(DATASET, &state, 1).to_bytes();
    let footer = footer_of(&blob).unwrap();
    assert_eq!(footer.types[0].parts, [2, 1, 2], "the texts are apart: {:?}", footer.types[0].parts);
    let bytes = |selection: &Selection| {
        let reader = SnapshotReader::new(footer.clone(), DATASET, state.digest(), selection, 9, ANY_SIZE).unwrap();
        reader.runs().flatten().map(|section| section.end - section.start).sum::<u64>()
    };
    let (whole, part) = (bytes(&Selection::Whole), bytes(&holding(&[1])));
    assert!(part * 20 < whole, "{part} of {whole} bytes");
    assert_eq!(bytes(&holding(&[1, 2, 3, 4])), whole);
    // What is not needed may be damaged, or be gone.
    let text = footer.sections.iter().find(|section| section.place.part == 2).unwrap();
    let mut damaged = blob.to_vec();
    damaged[text.offset as usize..text.end() as usize].fill(0);
    assert_eq!(read_part(&damaged, state.digest(), &holding(&[1])).unwrap().digest(), state.digest());
    let error = read_snapshot(&damaged, state.digest()).unwrap_err();
    assert!(error.to_string().ends_with("is damaged"), "{error}");
}

#[test]
fn a_footer_that_contradicts_itself_about_parts_is_refused() {
    let state = of_large_texts();
    let footer = footer_of(&encode_snapshot(DATASET, &state, 1).to_bytes()).unwrap();
    let refused = |change: &dyn Fn(&mut Footer), why: &str| {
        let mut footer = footer.clone();
        change(&mut footer);
        let made = SnapshotReader::new(footer, DATASET, state.digest(), &Selection::Whole, 9, ANY_SIZE);
        let error = made.err().expect(why).to_string();
        assert!(error.contains(why), "{error}");
    };
    refused(&|footer| footer.types[0].runs[0] += 1, "its runs are not its segments");
    refused(&|footer| footer.types[0].runs.push(0), "a run lacks a section");
    refused(&|footer| footer.types[0].parts[0] = 3, "its parts are not its columns");
    refused(&|footer| footer.types[0].parts[1] = 0, "its parts are not its columns");
    refused(&|footer| footer.types[0].parts.truncate(2), "a section is of no run");
    refused(&|footer| footer.types[0].parts.push(1), "a run lacks a section");
    refused(&|footer| footer.sections[1].place.part = 0, "a part of a run is there twice");
    refused(&|footer| footer.sections[1].place.part = 9, "a section is of no run");
    refused(&|footer| footer.sections[1].place.run = u32::MAX, "a section is of no run");
    refused(&|footer| footer.sections[1].place.type_id = TypeId(7), "a section is of a type that its schema lacks");
    refused(&|footer| footer.sections.truncate(1), "a run lacks a section");

    let decoded = |change: &dyn Fn(&mut Footer)| {
        let mut footer = footer.clone();
        change(&mut footer);
        let end = footer.sections.last().unwrap().end();
        let bytes = footer.encode().unwrap();
        Footer::decode(&bytes, end + bytes.len() as u64 + TAIL_BYTES as u64).unwrap_err()
    };
    let unknown = decoded(&|footer| footer.sections[0].codec = 3);
    assert!(unknown.needs_upgrade(), "{unknown}");
    let larger = decoded(&|footer| footer.sections.last_mut().unwrap().stored += SECTION_BYTES_MAX as u32);
    assert!(larger.to_string().contains("larger than"), "{larger}");
}
