//! Tables that are cut again, against a map; what an edit of one touches; and the limit of a segment.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use crate::blob::{Blob, SnapshotReader, decode_delta, encode_delta, encode_snapshot, footer_of};
use crate::delta::tests::{ROOT, Record, Step, delta, read, schema, steps};
use crate::held::Selection;
use crate::ids::{DatasetId, Ordinal, Version};
use crate::keys::KeyRef;
use crate::state::State;
use crate::table::EditError;

const DATASET: DatasetId = DatasetId([7; 16]);

/// The state under a schema whose segments have 2^`rows_log2` rows.
fn cut(state: &State, rows_log2: u8) -> State {
    let mut schema = state.schema().as_ref().clone();
    schema.types[0].segment_rows_log2 = rows_log2;
    state.relayout(Arc::new(schema), 2).unwrap()
}

fn applied(parent: &State, blob: &[u8], version: u64) -> State {
    let delta = decode_delta(blob, DATASET, parent, 1 << 30).unwrap();
    parent.applied(&delta, Version(version), 2).unwrap()
}

fn by_snapshot(state: &State) -> State {
    let blob = Blob::to_bytes(&encode_snapshot(DATASET, state, 2));
    let footer = footer_of(&blob).unwrap();
    let reader = SnapshotReader::new(footer, DATASET, state.digest(), &Selection::Whole, 99, 1 << 30).unwrap();
    let stored = |range: std::ops::Range<u64>| blob.get(range.start as usize..range.end as usize);
    let decoded = (0..reader.runs().len()).map(|number| reader.decode_run(number, &stored, &mut Vec::new()).unwrap());
    let decoded = decoded.collect();
    reader.finish(decoded, state.version(), 2).unwrap()
}

fn check(state: &State, model: &BTreeMap<i64, Record>) {
    state.check_invariants();
    assert!(state.table(ROOT).segments().is_sorted_by_key(|(first, _)| first), "segments come in order");
    assert_eq!(read(state), *model);
    let table = state.table(ROOT);
    for key in model.keys() {
        let (ordinal, row) = table.find_row(KeyRef::Scalar(*key as u64), state.tables()).unwrap();
        assert_eq!(row.cell(0).scalar() as i64, *key);
        let (first, segment) = table.segment_of(ordinal).unwrap();
        assert!((first..first + segment.rows()).contains(&ordinal.0) && table.has(first, segment));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// A reader that follows the deltas, and one that starts at the snapshot of any version, has the records of a map, the same
    /// digests, and room for the same ordinals, however the segments are cut on the way; and what is held stays as it was.
    #[test]
    fn a_table_that_is_cut_anew_keeps_its_records(
        steps in proptest::collection::vec((steps(), 0_u8..7), 1..5),
        start in any::<proptest::sample::Index>(),
    ) {
        let steps: Vec<(Step, Option<u8>)> = steps
            .into_iter()
            .flat_map(|(steps, rows_log2)| {
                let cuts = std::iter::once(Some(rows_log2)).chain(std::iter::repeat(None));
                steps.into_iter().zip(cuts).collect::<Vec<_>>()
            })
            .collect();
        let start = start.index(steps.len());
        let mut state = State::empty(Arc::new(schema()), 7).unwrap();
        let (mut started, mut held) = (None, Vec::new());
        let mut model: BTreeMap<i64, Record> = BTreeMap::new();
        for (number, (step, rows_log2)) in steps.iter().enumerate() {
            let parent = rows_log2.map_or_else(|| state.clone(), |rows_log2| cut(&state, rows_log2));
            check(&parent, &model);
            let delta = delta(&parent, &model, step);
            let blob = Blob::to_bytes(&encode_delta(DATASET, &delta, &parent, 2));
            for (key, change) in step {
                match change {
                    Some(record) => model.insert(*key, record.clone()),
                    None => model.remove(key),
                };
            }
            held.push((state.clone(), read(&state)));
            state = applied(&parent, &blob, number as u64 + 1);
            check(&state, &model);
            if let Some(other) = started.take() {
                let parent = rows_log2.map_or_else(|| State::clone(&other), |rows_log2| cut(&other, rows_log2));
                started = Some(applied(&parent, &blob, number as u64 + 1));
            }
            if number == start {
                started = Some(by_snapshot(&state));
            }
            if let Some(other) = &started {
                check(other, &model);
                prop_assert_eq!(other.digest(), state.digest());
                prop_assert_eq!(other.table(ROOT).ordinal_ceiling(), state.table(ROOT).ordinal_ceiling());
            }
        }
        for (state, model) in held {
            check(&state, &model);
        }
    }
}

fn record(number: i32, bytes: usize) -> Record {
    Record { number, text: Some("x".repeat(bytes)), list: vec![], story: String::new() }
}

fn next(state: &State, step: &Step) -> State {
    let delta = delta(state, &read(state), step);
    state.applied(&delta, Version(state.version().0 + 1), 1).unwrap()
}

/// I10: neither the commit that says so nor any later one copies the table.
#[test]
fn an_edit_cuts_what_it_touches_and_a_little_more() {
    let empty = cut(&State::empty(Arc::new(schema()), 7).unwrap(), 4);
    let all: Step = (0..1_024).map(|key| (key, Some(record(key as i32, 20)))).collect();
    let full = next(&empty, &all);
    for rows_log2 in [0, 2, 6, 10] {
        let mut state = cut(&full, rows_log2);
        assert_eq!(full.bytes_apart(&state), 0, "all segments stay where they are");
        assert!(!state.table(ROOT).is_settled());
        let mut edits = 0;
        while !state.table(ROOT).is_settled() {
            let step = Step::from([(1_000, Some(record(-edits, 20)))]);
            let after = next(&state, &step);
            let block = (16 * 100).max(state.table(ROOT).segment_rows() as u64 * 100 + 16 * 400);
            let apart = state.bytes_apart(&after);
            assert!(apart <= 1_024 + 2 * block, "edit {edits} at 2^{rows_log2} rows copies {apart} bytes");
            assert_eq!(after.digest(), after.settled(2).digest());
            (state, edits) = (after, edits + 1);
        }
        assert!(rows_log2 == 10 || edits > 10, "{edits} edits share the work");
        state.check_invariants();
        let sizes: Vec<u32> = state.table(ROOT).segments().map(|(_, segment)| segment.rows()).collect();
        assert!(sizes.iter().all(|rows| *rows == 1 << rows_log2), "{sizes:?}");
    }
}

/// A table that nothing touches is cut by what is done to others; one that is cut again before it is done is finished.
#[test]
fn a_second_cut_finishes_the_first() {
    let full =
        next(&State::empty(Arc::new(schema()), 7).unwrap(), &(0..99).map(|key| (key, Some(record(1, 9)))).collect());
    let twice = cut(&next(&cut(&full, 0), &Step::from([(5, None)])), 5);
    twice.check_invariants();
    assert_eq!(twice.table(ROOT).ordinal_ceiling(), 128);
    assert_eq!(twice.settled(1).table(ROOT).segments().count(), 4);
    assert_eq!(twice.table(ROOT).row(Ordinal(5)).is_some(), twice.table(ROOT).segment_of(Ordinal(5)).is_some());
    let unchanged = twice.applied(&crate::delta::Delta::default(), Version(9), 1).unwrap();
    assert!(twice.table(ROOT).segment(0).is_none() && unchanged.table(ROOT).segment(0).is_some());
}

/// No panic where rows pass what a segment may hold, but an error that says where (I9).
#[test]
fn a_segment_that_would_be_too_large_is_refused() {
    let empty = State::empty(Arc::new(schema()), 7).unwrap();
    let long = |keys: std::ops::Range<i64>| keys.map(|key| (key, Some(record(1, 15 << 20)))).collect::<Step>();
    let three = next(&empty, &long(0..3));
    let delta = delta(&three, &read(&three), &long(3..4));
    let error = three.applied(&delta, Version(2), 1).unwrap_err();
    assert!(matches!(error.source, EditError::TooLarge { ordinal: 0, .. }), "{error:?}");
    assert_eq!(error.source.to_string(), "the rows around ordinal 0 take 62914600 bytes, and a segment holds 50331648");
    let finer = cut(&three, 1).applied(&delta, Version(2), 1).unwrap();
    finer.check_invariants();
    assert_eq!(finer.table(ROOT).len(), 4);
}
