//! Differences between views, and the same data by name.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::json;

use super::NamedRecord;
use super::same::same_record;
use crate::delta::Changes;
use crate::ids::{ColumnId, Ordinal, TypeId, Version};
use crate::keys::KeyRef;
use crate::record::tests::World;
use crate::row::Row;
use crate::schema::{Field, PLAIN, Schema, Shape, TypeKind, TypeSchema, ValueKind};
use crate::state::State;
use crate::{Key, Record};

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Record)]
struct Place {
    zip: String,
    #[record(dedup)]
    city: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Record)]
enum Kind {
    #[record(name = "shop")]
    Shop,
    #[record(name = "bar")]
    Bar,
}

#[derive(Clone, Debug, PartialEq, Record)]
#[record(key = "kind, place.zip, number")]
struct Venue {
    kind: Kind,
    place: Place,
    number: i16,
    rating: f32,
    seats: Option<u32>,
    logo: Vec<u8>,
    doors: Vec<f64>,
    next: Option<Key<Venue>>,
    hours: BTreeMap<Kind, String>,
    prices: HashMap<i8, Place>,
    #[record(packed)]
    story: String,
}

fn venue(number: i16) -> Venue {
    let place = Place { zip: "1011".into(), city: "Amsterdam".into() };
    Venue {
        kind: Kind::Bar,
        place: place.clone(),
        number,
        rating: f32::NAN,
        seats: (number > 0).then_some(0),
        logo: vec![0xCA, 0xFE],
        doors: vec![0.5, f64::NEG_INFINITY],
        next: Some(Key::new((Kind::Shop, "2", -1))),
        hours: [(Kind::Bar, "all".into())].into(),
        prices: [(-1, place)].into(),
        story: "the pool \"é\" ".repeat(3),
    }
}

#[test]
fn keys_of_several_parts_find_their_records() {
    let mut world = World::of(|registry| registry.with::<Venue>());
    world.add_all(&[venue(1), venue(-1)]);
    let view = world.view();
    assert_eq!(view.get::<Venue>((Kind::Bar, "1011", -1)).expect("it was added").seats(), None);
    assert_eq!(view.get::<Venue>((Kind::Bar, "1011", 1)).expect("it was added").seats(), Some(0));
    assert!(view.get::<Venue>((Kind::Shop, "1011", 1)).is_none());
    let next = view.get::<Venue>((Kind::Bar, "1011", 1)).expect("it was added").next().expect("there is a key");
    assert_eq!(next.value(), Some((Kind::Shop, "2", -1)));
    assert!(next.get(&view).is_none(), "a key may dangle");
}

#[test]
fn the_same_data_is_reached_by_name() {
    let mut world = World::of(|registry| registry.with::<Venue>());
    world.add_all(&[venue(1), venue(-1)]);
    let view = world.view();
    let table = view.named("Venue").expect("the dataset has the type");
    let key = table.key_of_text(r#"["bar", "1011", -1]"#).expect("it is a key");
    let record = table.get(key.as_ref()).expect("it was added");
    assert_eq!(record.key(), Some(key));
    let place = json!({"zip": "1011", "city": "Amsterdam"});
    let expected = json!({
        "kind": "bar", "place": place, "number": -1, "rating": "NaN", "seats": null, "logo": "cafe",
        "doors": [0.5, "-Infinity"], "next": ["shop", "2", -1], "hours": {"bar": "all"}, "prices": {"-1": place},
        "story": "the pool \"é\" the pool \"é\" the pool \"é\" ",
    });
    assert_eq!(serde_json::to_value(record).expect("it is JSON"), expected);
    assert!(view.named("Nothing").is_err());
    assert!(record.get("nothing").is_err());
}

#[test]
fn what_is_no_key_is_refused() {
    let world = World::of(|registry| registry.with::<Venue>());
    let view = world.view();
    let table = view.named("Venue").expect("the dataset has the type");
    let refusal = |text| table.key_of_text(text).expect_err("it is no key").to_string();
    assert_eq!(
        refusal("7"),
        "a key of Venue has 3 parts, not 1; write a JSON array in the order of (kind, place.zip, number)"
    );
    assert_eq!(
        refusal(r#"["bar", "1", 40000]"#),
        "40000 is no i16, which the key (kind, place.zip, number) of Venue needs"
    );
    let components = view.named("Place").expect("the dataset has the type");
    assert!(components.key_of_text("7").expect_err("no key").to_string().starts_with("Place is a component"));
    assert!(table.get(KeyRef::Bytes(&[1, 2])).is_none());
}

#[test]
fn a_diff_is_by_key_and_by_bits() {
    let mut world = World::of(|registry| registry.with::<Venue>());
    world.add_all(&[venue(1), venue(2), venue(3)]);
    let older = world.view();
    world.remove::<Venue>(&[0, 1]);
    let mut changed = venue(2);
    changed.place.city = "Utrecht".into();
    changed.story.push_str("the end");
    world.add_all(&[changed, venue(4)]);
    let newer = world.view();
    let diff = newer.diff::<Venue>(&older);
    assert_eq!(diff.removed.iter().map(|venue| venue.number()).collect::<Vec<_>>(), [1]);
    assert_eq!(diff.added.iter().map(|venue| venue.number()).collect::<Vec<_>>(), [4]);
    let [(before, after)] = diff.updated.as_slice() else { panic!("NaN is the same NaN: {:?}", diff.updated) };
    assert_eq!((before.place().city(), after.place().city()), ("Amsterdam", "Utrecht"));
    assert!(before.story() < after.story() && after.story() == format!("{}the end", before.story()));
    assert!(newer.diff::<Venue>(&newer.clone()).is_empty());
}

/// Component types, each with two references to the next and a list of numbers; the first is a root. Everything is at
/// `ordinal`.
fn ladder(levels: u16, ordinal: u32) -> State {
    let field = |name: &str, column, shape| {
        let (name, column, encoding) = (name.into(), ColumnId(column), PLAIN);
        Field { name, column, optional: false, sparse: false, shape, encoding }
    };
    let types = (0..levels).map(|level| {
        let mut fields = vec![field("numbers", 0, Shape::List(ValueKind::UInt(4)))];
        if level + 1 < levels {
            fields.push(field("next", 1, Shape::List(ValueKind::Component(TypeId(level + 1)))));
        }
        fields.push(field("id", 2, Shape::One(ValueKind::UInt(4))));
        let kind = if level == 0 { TypeKind::Root { key: vec![vec!["id".into()]] } } else { TypeKind::Component };
        TypeSchema { name: format!("Rung{level}"), kind, fields, next_column: 3, segment_rows_log2: 2 }
    });
    let schema = Schema { types: types.collect() };
    schema.check().expect("it is sound");
    let empty = State::empty(Arc::new(schema), 7).expect("it is sound");
    let mut changes = Changes::new(&empty);
    for level in 0..levels {
        let mut row = Row::new(empty.schema().get(TypeId(level)).fields.len());
        let numbers: u32 = if level == 0 { 5_000 } else { 2 };
        row.set(0, |out| {
            out.extend_from_slice(&numbers.to_le_bytes());
            (0..u64::from(numbers)).for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
        });
        if level + 1 < levels {
            row.set(1, |out| {
                [2, ordinal, ordinal].iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
            });
        }
        row.set(row.columns() - 1, |out| out.extend_from_slice(&1_u64.to_le_bytes()));
        changes.add(TypeId(level), Ordinal(ordinal), &row);
    }
    empty.applied(&changes.finish(), Version(1), 1).expect("it fits")
}

/// What hangs together by more paths than can be walked is printed to a depth and a size, which say where they are.
#[test]
fn printing_ends() {
    let shown = |levels| {
        let state = ladder(levels, 0);
        let record = NamedRecord::new(&state, TypeId(0), Ordinal(0)).expect("it was added");
        let json = serde_json::to_string(&record).expect("it is JSON");
        let read: serde_json::Value = serde_json::from_str(&json).expect("it can be read again");
        let own = read["numbers"].as_array().expect("it is a list");
        assert_eq!(own.len(), 5_000, "a record's own values are all there");
        (json, format!("{record:?}"))
    };
    let (json, debug) = shown(5);
    assert!(!json.contains('…') && !debug.contains('…'), "all of few components is there");
    let (json, debug) = shown(60);
    for text in [&json, &debug] {
        assert!(text.contains("… Rung33 0: within 32 components") && text.contains("… 1 more"));
        assert!(text.len() < 200_000, "{} bytes", text.len());
    }
}

/// Though no ordinal is the same.
#[test]
fn comparing_ends() {
    let (one, other) = (ladder(60, 0), ladder(60, 1));
    let record = |state, ordinal| NamedRecord::new(state, TypeId(0), Ordinal(ordinal)).expect("it was added");
    assert!(same_record(record(&one, 0), record(&other, 1)));
}

#[test]
#[should_panic(expected = "Missing is not declared: add .with::<Missing>()")]
fn an_undeclared_type_is_named() {
    #[derive(Record)]
    #[record(key = "id")]
    struct Missing {
        id: u64,
    }
    let world = World::of(|registry| registry.with::<Venue>());
    let missing = world.view().len::<Missing>();
    unreachable!("{missing} records of a type that was not declared");
}

#[derive(Clone, Debug, PartialEq, Record)]
#[record(key = "id")]
struct Shelf {
    id: u64,
    label: String,
}

#[test]
fn many_look_ups_find_what_each_would() {
    let mut world = World::of(|registry| registry.with::<Shelf>().with::<Venue>());
    let shelves: Vec<Shelf> =
        (0..5_000).step_by(3).map(|id| Shelf { id: id * id, label: format!("shelf {id}") }).collect();
    world.add_all(&shelves);
    world.add_all(&[venue(1)]);
    let view = world.view();
    // No keys, fewer and more than are looked up together, present and absent, some twice.
    for count in [0, 1, 15, 16, 17, 4_000] {
        let keys = (0..count).map(|at| (at * 7 % 5_000) * (at * 7 % 5_000));
        let one_by_one: Vec<_> = keys.clone().map(|key| view.get::<Shelf>(key)).collect();
        let many: Vec<_> = view.get_many::<Shelf>(keys).collect();
        assert_eq!(many, one_by_one);
        assert!(count < 15 || many.iter().any(Option::is_none) && many.iter().any(Option::is_some));
    }
    let venues = view.get_many::<Venue>([(Kind::Bar, "1011", 1), (Kind::Shop, "1011", 1)]);
    assert_eq!(venues.map(|venue| Some(venue?.number())).collect::<Vec<_>>(), [Some(1), None]);
}
