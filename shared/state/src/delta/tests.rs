use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::digest::Sums;
use crate::ids::{ColumnId, Ordinal, Version};
use crate::keys::KeyRef;
use crate::packed::SymbolTable;
use crate::row::Row;
use crate::schema::{Field, PACKED, PLAIN, Schema, Shape, TypeKind, TypeSchema, ValueKind};
use crate::state::State;

pub(crate) const ROOT: TypeId = TypeId(0);
const KEY: usize = 0;

/// A root with an integer key, a number, an optional text, a list, and packed text.
pub(crate) fn schema() -> Schema {
    let shapes = [
        (Shape::One(ValueKind::Int(8)), false),
        (Shape::One(ValueKind::Int(4)), false),
        (Shape::One(ValueKind::String), true),
        (Shape::List(ValueKind::UInt(2)), false),
        (Shape::One(ValueKind::String), false),
    ];
    let fields = shapes.into_iter().enumerate().map(|(index, (shape, sparse))| Field {
        name: format!("f{index}"),
        column: ColumnId(index as u16 + 10),
        optional: sparse,
        sparse,
        shape,
        encoding: if index == 4 { PACKED } else { PLAIN },
    });
    let kind = TypeKind::Root { key: vec![vec!["f0".into()]] };
    let root = TypeSchema { name: "R".into(), kind, fields: fields.collect(), next_column: 99, segment_rows_log2: 2 };
    Schema { types: vec![root] }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) number: i32,
    pub(crate) text: Option<String>,
    pub(crate) list: Vec<u16>,
    pub(crate) story: String,
}

fn row(key: i64, record: &Record) -> Row {
    let mut row = Row::new(5);
    row.set(KEY, |out| out.extend_from_slice(&key.to_le_bytes()));
    row.set(1, |out| out.extend_from_slice(&i64::from(record.number).to_le_bytes()));
    if let Some(text) = &record.text {
        row.set(2, |out| out.extend_from_slice(text.as_bytes()));
    }
    row.set(3, |out| {
        out.extend_from_slice(&(record.list.len() as u32).to_le_bytes());
        record.list.iter().for_each(|one| out.extend_from_slice(&u64::from(*one).to_le_bytes()));
    });
    row.set(4, |out| out.extend_from_slice(record.story.as_bytes()));
    row
}

fn record() -> impl Strategy<Value = Record> {
    let number = prop_oneof![any::<i32>(), -3..3_i32];
    let text = proptest::option::of(".{0,8}");
    let list = proptest::collection::vec(any::<u16>(), 0..4);
    let story = prop_oneof![".{0,8}", (0..99_u32).prop_map(|number| format!("once upon a time {number} ").repeat(3))];
    (number, text, list, story).prop_map(|(number, text, list, story)| Record { number, text, list, story })
}

/// What one version does to keys: a new value, or none.
pub(crate) type Step = BTreeMap<i64, Option<Record>>;

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = prop_oneof![-20..20_i64, Just(i64::MIN), Just(i64::MAX)];
    let step = proptest::collection::btree_map(key, proptest::option::weighted(0.7, record()), 0..12);
    proptest::collection::vec(step, 1..12)
}

/// The change from `state` to `state` and `step`, as a producer would find it.
pub(crate) fn delta(state: &State, model: &BTreeMap<i64, Record>, step: &Step) -> Delta {
    let table = state.table(ROOT);
    let mut changes = Changes::new(state);
    // The first table comes once there are a few records, the second some time later: both stay in use.
    let tables = table.symbols().map_or(0, |symbols| symbols.len());
    if step.len() > 3 && tables < 2 && model.len() >= tables * 6 {
        changes.bring_symbols(ROOT, Arc::new(more_symbols(table.symbols())));
    }
    let mut free = (0..).filter(|ordinal| !table.is_live(Ordinal(*ordinal))).map(Ordinal);
    for (key, change) in step {
        let found = table.find(KeyRef::Scalar(*key as u64), state.tables());
        match (found, change) {
            (None, Some(record)) => changes.add(ROOT, free.next().unwrap(), &row(*key, record)),
            (Some(ordinal), None) => changes.remove(ROOT, ordinal),
            (Some(ordinal), Some(record)) => {
                let old = &model[key];
                let changed = [
                    record.number != old.number,
                    record.text != old.text,
                    record.list != old.list,
                    record.story != old.story,
                ];
                let fields: Vec<_> = (1..5).filter(|field| changed[field - 1]).collect();
                if !fields.is_empty() {
                    changes.patch(ROOT, ordinal, &fields, &row(*key, record));
                }
            }
            (None, None) => {}
        }
    }
    changes.finish()
}

/// So many records, all of one key: nothing that a producer would send.
pub(crate) fn of_one_key(state: &State, count: u32) -> Delta {
    let mut changes = Changes::new(state);
    let record = Record { number: 0, text: None, list: Vec::new(), story: String::new() };
    (0..count).for_each(|ordinal| changes.add(ROOT, Ordinal(ordinal), &row(1, &record)));
    changes.finish()
}

pub(crate) fn read(state: &State) -> BTreeMap<i64, Record> {
    let table = state.table(ROOT);
    let records = table.ordinals().map(|ordinal| {
        let row = table.row(ordinal).unwrap();
        let elements = row.cell(3).elements();
        let record = Record {
            number: row.cell(1).scalar() as i32,
            text: row.cell(2).is_present().then(|| row.cell(2).text().to_owned()),
            list: (0..elements.len()).map(|index| elements.scalar(index) as u16).collect(),
            story: row.cell(4).packed_text().into(),
        };
        (row.cell(KEY).scalar() as i64, record)
    });
    records.collect()
}

/// One more table for the packed column.
fn more_symbols(known: Option<&Arc<Symbols>>) -> Symbols {
    let mut symbols = known.map_or_else(Symbols::default, |known| Symbols::clone(known));
    let words = ["once", " upon ", "a time ", "12"].map(str::as_bytes);
    let words = &words[symbols.len()..];
    let lengths: Vec<u8> = words.iter().map(|word| word.len() as u8).collect();
    let table = SymbolTable::new(&lengths, &words.concat()).expect("it is a table");
    assert!(symbols.push(ColumnId(14), table));
    symbols
}

fn sections(state: &State, delta: &Delta) -> Vec<Vec<u8>> {
    encode(delta, &|id| state.table(id).layout().clone(), 64)
}

/// `sent` has the symbol tables, which travel in the blob's footer.
fn decoded(state: &State, sections: &[Vec<u8>], sent: &Delta) -> Result<Delta, DeltaError> {
    let symbols = |id: TypeId| match sent.symbols.iter().find(|(of, _)| *of == id) {
        Some((_, symbols)) => Some(Arc::clone(symbols)),
        None => state.table(id).symbols().cloned(),
    };
    let delta = decode(sections.iter().map(Vec::as_slice), state, &symbols, u64::MAX)?;
    Ok(Delta { symbols: sent.symbols.clone(), ..delta })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Deltas against a map: every field, every look-up, digests by both paths; old states stay as they were (I2, I3, I5).
    #[test]
    fn states_follow_the_model(steps in steps()) {
        let mut state = State::empty(Arc::new(schema()), 7).unwrap();
        let mut model: BTreeMap<i64, Record> = BTreeMap::new();
        let mut held = Vec::new();
        for (number, step) in steps.iter().enumerate() {
            let delta = delta(&state, &model, step);
            let bytes = sections(&state, &delta);
            let arrived = decoded(&state, &bytes, &delta).unwrap();
            prop_assert_eq!(sections(&state, &arrived), bytes, "a delta survives its bytes");
            held.push((state.clone(), model.clone()));
            state = state.applied(&arrived, Version(number as u64 + 1), 2).unwrap();
            for (key, change) in step {
                match change {
                    Some(record) => model.insert(*key, record.clone()),
                    None => model.remove(key),
                };
            }
            prop_assert_eq!(read(&state), model.clone());
            state.check_invariants();
            let mut sums = Sums::new(5);
            let columns: Vec<_> = state.table(ROOT).layout().columns.iter().map(|column| column.id).collect();
            for (key, record) in &model {
                let ordinal = state.table(ROOT).find(KeyRef::Scalar(*key as u64), state.tables()).unwrap();
                sums.add_row(ordinal, &columns, (&row(*key, record)).into());
            }
            prop_assert_eq!(&sums, state.table(ROOT).sums());
        }
        for (state, model) in held {
            prop_assert_eq!(read(&state), model);
        }
    }

    /// Damaged deltas are refused, or fit, without a panic (I9).
    #[test]
    fn damage_never_panics(steps in steps(), hits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4)) {
        let mut state = State::empty(Arc::new(schema()), 7).unwrap();
        let mut model = BTreeMap::new();
        for step in &steps {
            let delta = delta(&state, &model, step);
            let mut bytes = sections(&state, &delta);
            if let Some(section) = bytes.first_mut() {
                for (at, value) in &hits {
                    let at = at.index(section.len());
                    section[at] = *value;
                }
            }
            if let Ok(damaged) = decoded(&state, &bytes, &delta) {
                let _ = state.applied(&damaged, Version(1), 1);
            }
            state = state.applied(&delta, Version(1), 1).unwrap();
            model = read(&state);
        }
    }
}

#[test]
fn a_delta_touches_only_its_segments() {
    let empty = State::empty(Arc::new(schema()), 7).unwrap();
    let record = |number| Record { number, text: Some("text".into()), list: vec![1], story: "story".into() };
    let all: Step = (0..100).map(|key| (key, Some(record(key as i32)))).collect();
    let full = empty.applied(&delta(&empty, &BTreeMap::new(), &all), Version(1), 1).unwrap();
    let model = read(&full);
    let one: Step = BTreeMap::from([(42, Some(record(-1)))]);
    let next = full.applied(&delta(&full, &model, &one), Version(2), 1).unwrap();
    let (old, new) = (full.table(ROOT), next.table(ROOT));
    let moved = (0..old.segment_count())
        .filter(|number| !Arc::ptr_eq(old.segment(*number).unwrap(), new.segment(*number).unwrap()));
    assert_eq!(moved.collect::<Vec<_>>(), [42 / 4]);
}

/// Enough segments that threads share them out, each with patches, removals or new records.
#[test]
fn many_segments_become_the_same_on_any_number_of_threads() {
    let empty = State::empty(Arc::new(schema()), 7).unwrap();
    let record = |number| Record { number, text: Some("text".into()), list: vec![1], story: "story".into() };
    let all: Step = (0..2_000).map(|key| (key, Some(record(key as i32)))).collect();
    let mut step: Step = (0..2_000).step_by(3).map(|key| (key, Some(record(-1)))).collect();
    step.extend((0..2_000).step_by(7).map(|key| (key, None)));
    step.extend((2_000..2_300).map(|key| (key, Some(record(1)))));
    let survives = |(key, change): (&i64, &Option<Record>)| Some((*key, change.clone()?));
    let expected: BTreeMap<_, _> =
        all.iter().filter(|(key, _)| !step.contains_key(key)).chain(&step).filter_map(survives).collect();
    for threads in [1, 2, 3, 7] {
        let full = empty.applied(&delta(&empty, &BTreeMap::new(), &all), Version(1), threads).unwrap();
        let next = full.applied(&delta(&full, &read(&full), &step), Version(2), threads).unwrap();
        assert_eq!(read(&next), expected, "{threads} threads");
        next.check_invariants();
    }
}

/// Neither added nor patched rows make a chunk of any length: its length has 32 bits.
#[test]
fn long_rows_are_cut_into_chunks() {
    let empty = State::empty(Arc::new(schema()), 7).unwrap();
    let text = |key: i64| "x".repeat(10_000_000) + &key.to_string();
    let long = |key: i64| Record { number: 1, text: Some(text(key)), list: vec![], story: String::new() };
    let all: Step = (0..6).map(|key| (key, Some(long(key)))).collect();
    let adding = delta(&empty, &BTreeMap::new(), &all);
    let shape = |delta: &Delta| -> Vec<(&str, u32)> {
        let chunks = delta.chunks.iter().map(|chunk| match &chunk.change {
            Change::Added { rows, .. } => ("added", rows.rows()),
            Change::Whole { rows, .. } => ("whole", rows.rows()),
            Change::Patched { rows, .. } => ("patched", rows.rows()),
            Change::Removed(_) => ("removed", 0),
        });
        chunks.collect()
    };
    assert_eq!(shape(&adding), [("added", 2), ("added", 2), ("whole", 2)]);
    let arrived = decoded(&empty, &sections(&empty, &adding), &adding).unwrap();
    let full = empty.applied(&arrived, Version(1), 1).unwrap();
    full.check_invariants();
    let model = read(&full);
    let changed: Step = (0..6).map(|key| (key, Some(long(key + 10)))).collect();
    let patching = delta(&full, &model, &changed);
    assert_eq!(shape(&patching), [("patched", 2), ("patched", 2), ("patched", 2)]);
    let arrived = decoded(&full, &sections(&full, &patching), &patching).unwrap();
    let next = full.applied(&arrived, Version(2), 1).unwrap();
    next.check_invariants();
    assert_eq!(read(&next), changed.into_iter().map(|(key, record)| (key, record.unwrap())).collect());
}

#[test]
fn an_edit_that_does_not_fit_changes_nothing() {
    let empty = State::empty(Arc::new(schema()), 7).unwrap();
    let one = Record { number: 1, text: None, list: vec![], story: String::new() };
    let step = Step::from([(1, Some(one.clone())), (2, Some(one))]);
    let adding = delta(&empty, &BTreeMap::new(), &step);
    let state = empty.applied(&adding, Version(1), 1).unwrap();
    let error = state.applied(&adding, Version(2), 1).unwrap_err();
    assert_eq!(error.to_string(), "it does not fit the records of type R");
    assert_eq!(error.source.to_string(), "ordinal 0 is added beyond 8, or its segment is there already");
    let chunk = |change| Delta { chunks: vec![Chunk { type_id: ROOT, change }], symbols: vec![] };
    for ordinals in [vec![7], vec![1, 1], vec![1, 0]] {
        state.applied(&chunk(Change::Removed(ordinals)), Version(2), 1).unwrap_err();
    }
    let keys: BTreeSet<_> = read(&state).into_keys().collect();
    assert_eq!(keys, BTreeSet::from([1, 2]));
}

/// Reported while there are few of them: work on the key index grows with the square of equal keys (I9).
#[test]
fn thousands_of_records_of_one_key_are_refused() {
    let state = State::empty(Arc::new(schema()), 7).unwrap();
    assert!(state.applied(&of_one_key(&state, 1_000), Version(1), 1).is_ok());
    let error = state.applied(&of_one_key(&state, 20_000), Version(1), 1).unwrap_err();
    assert!(matches!(error.source, crate::table::EditError::EqualKeys { .. }), "{error}");
}
