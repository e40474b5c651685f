//! Any record of any kind of field comes back bit by bit.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{Hash, Hasher};

use proptest::collection::{btree_map, btree_set, hash_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::World;
use crate::record::WriteError;
use crate::row::RECORD_BYTES_MAX;
use crate::{Key, Record};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Record)]
enum Mood {
    // Another order than the variants' names, and than Ord has.
    Wild,
    Calm,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Record)]
struct Part {
    name: Option<String>,
    number: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Record)]
struct Numbers {
    bool: bool,
    i8: i8,
    i16: Option<i16>,
    i32: Option<i32>,
    i64: i64,
    u8: Option<u8>,
    u16: u16,
    u32: u32,
    u64: u64,
}

#[derive(Clone, Debug, PartialEq, Record)]
#[record(key = "id")]
struct Anything {
    id: i32,
    numbers: Numbers,
    text: String,
    maybe: Option<String>,
    #[record(dedup)]
    dedup: Option<String>,
    bytes: Option<Vec<u8>>,
    moods: Vec<Mood>,
    parts: Vec<Part>,
    blobs: Vec<Vec<u8>>,
    signed: BTreeSet<i16>,
    bag: Option<BTreeSet<Part>>,
    keys: BTreeSet<Key<Anything>>,
    by_text: BTreeMap<String, Part>,
    by_mood: BTreeMap<Mood, Vec<u8>>,
    by_number: HashMap<i8, Mood>,
    // By bits, since a NaN is not equal to itself.
    float: f32,
    double: Option<f64>,
    floats: Vec<f32>,
    #[record(packed)]
    packed: String,
    #[record(packed)]
    maybe_packed: Option<String>,
}

fn numbers() -> impl Strategy<Value = Numbers> {
    let parts = any::<(bool, i8, Option<i16>, Option<i32>, i64, Option<u8>, u16, u32, u64)>();
    parts.prop_map(|(bool, i8, i16, i32, i64, u8, u16, u32, u64)| Numbers {
        bool,
        i8,
        i16,
        i32,
        i64,
        u8,
        u16,
        u32,
        u64,
    })
}

fn part() -> impl Strategy<Value = Part> {
    (option::of(".{0,3}"), option::of(prop_oneof![Just(0), Just(i64::MIN), any::<i64>()]))
        .prop_map(|(name, number)| Part { name, number })
}

fn mood() -> impl Strategy<Value = Mood> {
    prop_oneof![Just(Mood::Wild), Just(Mood::Calm)]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..5)
}

fn packed() -> impl Strategy<Value = String> {
    prop_oneof![".{0,9}", "(the |pool |ö){0,9}"]
}

fn anything() -> impl Strategy<Value = Anything> {
    let texts =
        (".{0,9}", option::of(".{0,3}"), option::of("[ab]{0,2}"), option::of(bytes()), packed(), option::of(packed()));
    let lists = (vec(mood(), 0..9), vec(part(), 0..5), vec(bytes(), 0..4));
    let keys = btree_set(any::<i32>().prop_map(Key::<Anything>::new), 0..5);
    let sets = (btree_set(any::<i16>(), 0..9), option::of(btree_set(part(), 0..4)), keys);
    let maps =
        (btree_map(".{0,3}", part(), 0..4), btree_map(mood(), bytes(), 0..3), hash_map(any::<i8>(), mood(), 0..9));
    // All bit patterns: quiet and signalling NaNs, either zero, subnormal numbers.
    let floats = (any::<u32>(), option::of(any::<u64>()), vec(any::<u32>(), 0..5));
    (any::<i32>(), numbers(), texts, lists, sets, maps, floats).prop_map(
        |(id, numbers, texts, lists, sets, maps, floats)| Anything {
            id,
            numbers,
            text: texts.0,
            maybe: texts.1,
            dedup: texts.2,
            bytes: texts.3,
            moods: lists.0,
            parts: lists.1,
            blobs: lists.2,
            signed: sets.0,
            bag: sets.1,
            keys: sets.2,
            by_text: maps.0,
            by_mood: maps.1,
            by_number: maps.2,
            float: f32::from_bits(floats.0),
            double: floats.1.map(f64::from_bits),
            floats: floats.2.into_iter().map(f32::from_bits).collect(),
            packed: texts.4,
            maybe_packed: texts.5,
        },
    )
}

/// The floats by their bits, and the rest without them.
fn split(record: &Anything) -> (u32, Option<u64>, Vec<u32>, Anything) {
    let bits = record.floats.iter().map(|float| float.to_bits()).collect();
    let rest = Anything { float: 0.0, double: None, floats: Vec::new(), ..record.clone() };
    (record.float.to_bits(), record.double.map(f64::to_bits), bits, rest)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_record_comes_back(records in hash_map(any::<i32>(), anything(), 1..20)) {
        let records: Vec<Anything> = records.into_iter().map(|(id, record)| Anything { id, ..record }).collect();
        let mut world = World::of(|registry| registry.with::<Anything>());
        world.add_all(&records);
        let view = world.view();
        for record in &records {
            let found = view.get::<Anything>(record.id).expect("it was added");
            prop_assert_eq!(split(&found.to_owned()), split(record));
            for key in &record.keys {
                prop_assert!(found.keys().contains(key.lend()));
            }
            for number in [i16::MIN, -1, 0, 1, i16::MAX] {
                prop_assert_eq!(found.signed().contains(number), record.signed.contains(&number));
            }
            for (text, part) in &record.by_text {
                prop_assert_eq!(found.by_text().get(text).map(PartRef::to_owned), Some(part.clone()));
            }
            for mood in [Mood::Wild, Mood::Calm] {
                prop_assert_eq!(found.by_mood().get(mood), record.by_mood.get(&mood).map(Vec::as_slice));
            }
            let again = world.row(&found.to_owned()).expect("it was written before");
            let first = world.row(record).expect("it was written before");
            for column in 0..first.columns() {
                prop_assert_eq!(again.cell(column), first.cell(column));
            }
        }
    }

    /// A record that is found to be the same without being written has the same bytes when it is written, and the other way round.
    #[test]
    fn the_same_record_is_found_without_writing(stored in anything(), other in anything(), changed in 0..24_usize) {
        let given = with_field(&stored, other, changed);
        let mut world = World::of(|registry| registry.with::<Anything>());
        world.add_all(std::slice::from_ref(&stored));
        let found = world.view().find_same(&given).is_some();
        let (given_row, stored_row) = (world.row(&given).unwrap(), world.row(&stored).unwrap());
        let same = given_row == stored_row;
        prop_assert!(same || !found, "field {} differs", changed);
        prop_assert!(found || !same, "field {} is the same", changed);
    }
}

/// A record with one field of another's; none for a number beyond the last.
fn with_field(record: &Anything, other: Anything, field: usize) -> Anything {
    let mut record = record.clone();
    match field {
        0 => record.numbers = other.numbers,
        1 => record.text = other.text,
        2 => record.maybe = other.maybe,
        3 => record.dedup = other.dedup,
        4 => record.bytes = other.bytes,
        5 => record.moods = other.moods,
        6 => record.parts = other.parts,
        7 => record.blobs = other.blobs,
        8 => record.signed = other.signed,
        9 => record.bag = other.bag,
        10 => record.keys = other.keys,
        11 => record.by_text = other.by_text,
        12 => record.by_mood = other.by_mood,
        13 => record.by_number = other.by_number,
        14 => record.float = other.float,
        15 => record.double = other.double,
        16 => record.floats = other.floats,
        17 => record.packed = other.packed,
        18 => record.maybe_packed = other.maybe_packed,
        // Equal to what was there where numbers are compared, and not where their bits are.
        19 => record.float = -record.float,
        20 => record.moods.reverse(),
        _ => {}
    }
    record
}

#[derive(Debug, PartialEq, Record)]
#[record(key = "id")]
struct Large {
    id: u8,
    text: String,
    list: Vec<bool>,
}

#[test]
fn a_record_of_sixteen_mebibytes_is_the_limit() {
    let mut world = World::of(|registry| registry.with::<Large>());
    // The id's scalar and the list's count.
    let room = RECORD_BYTES_MAX - 8 - 4;
    let mut record = Large { id: 1, text: "x".repeat(room), list: Vec::new() };
    world.add_all(std::slice::from_ref(&record));
    assert_eq!(world.view().get::<Large>(1).expect("it was added").to_owned(), record);
    record.text.push('x');
    let error = world.row(&record).expect_err("it is a byte too long");
    assert_eq!(error, WriteError::RecordTooLarge { type_name: "Large".into(), field: "list".into() });
    let list = vec![true; crate::row::LIST_ELEMENTS_MAX + 1];
    let error = world.row(&Large { id: 1, text: String::new(), list }).expect_err("it is an element too long");
    assert_eq!(error.to_string(), "Large.list has 16777217 elements; 16777216 are the limit");
}

#[test]
fn a_list_of_a_hundred_thousand_comes_back() {
    let mut world = World::of(|registry| registry.with::<Large>());
    let record = Large { id: 1, text: String::new(), list: (0..100_000).map(|at| at % 3 == 0).collect() };
    world.add_all(std::slice::from_ref(&record));
    assert_eq!(world.view().get::<Large>(1).expect("it was added").to_owned(), record);
}

#[derive(Clone, Debug, PartialEq, Record)]
struct Wave {
    height: f32,
}

impl Eq for Wave {}

impl Hash for Wave {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.height.to_bits().hash(state);
    }
}

#[derive(Clone, Debug, Record)]
#[record(key = "id")]
struct Sea {
    id: i32,
    waves: HashSet<Wave>,
}

/// A NaN differs from itself, and is twice in a set of the program's; in the dataset it is there once.
#[test]
fn a_set_is_the_same_only_if_each_value_has_a_separate_place() {
    let sea = |heights: [f32; 3]| Sea { id: 1, waves: heights.map(|height| Wave { height }).into_iter().collect() };
    let mut world = World::of(|registry| registry.with::<Sea>());
    world.add_all(&[sea([f32::NAN, 1.0, 2.0])]);
    let given = sea([f32::NAN, f32::NAN, 1.0]);
    assert_eq!(given.waves.len(), 3);
    assert!(world.view().find_same(&given).is_none(), "2.0 is missing");
    assert!(world.view().find_same(&sea([2.0, 1.0, f32::NAN])).is_some());
}
