//! A dataset's schema over the years: what grows by itself, what is refused, what readers make of it.

use std::collections::BTreeMap;

use crate::ids::ColumnId;
use crate::record::tests::World;
use crate::record::{Binding, Registry};
use crate::schema::{Allow, Declared, Field, FieldHints, Schema};
use crate::{Key, Record};

fn declared<T: crate::Root>() -> Declared {
    Registry::new().with::<T>().finish().expect("the types are sound")
}

fn first<T: crate::Root>() -> Schema {
    Schema::default().evolve(&declared::<T>(), &[]).expect("an empty chain takes anything").schema
}

/// The refusals, or the changes.
fn check<T: crate::Root>(chain: &Schema, allow: &[Allow], expected: &[&str]) -> Option<Schema> {
    match chain.evolve(&declared::<T>(), allow) {
        Ok(evolved) => {
            assert_eq!(evolved.changes.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
            Some(evolved.schema)
        }
        Err(error) => {
            assert_eq!(error.refusals.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
            None
        }
    }
}

/// Why `chain` can't be read with `T`.
fn check_bind<T: crate::Root>(chain: &Schema, expected: &[&str]) {
    let problems = match Binding::new(&declared::<T>(), chain) {
        Ok(_) => Vec::new(),
        Err(error) => error.problems.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(problems, expected);
}

mod old {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Record)]
    pub(super) enum Genre {
        Drama,
        Comedy,
    }

    #[derive(Record)]
    pub(super) struct Place {
        pub(super) zip: u16,
    }

    #[derive(Record)]
    #[record(key = "id, place.zip")]
    pub(super) struct Movie {
        pub(super) id: u32,
        pub(super) place: Place,
        pub(super) genre: Genre,
        #[record(dedup)]
        pub(super) country: String,
        pub(super) rating: Option<f32>,
    }
}

mod new {
    use super::*;

    #[derive(Clone, Copy, Debug, Default, PartialEq, Record)]
    pub(super) enum Genre {
        Comedy,
        #[default]
        Horror,
        Drama,
    }

    #[derive(Record)]
    pub(super) struct Place {
        #[record(was = "zip")]
        pub(super) postcode: u32,
    }

    #[derive(Record)]
    #[record(key = "number, place.postcode")]
    pub(super) struct Movie {
        #[record(was = "id")]
        pub(super) number: i64,
        pub(super) place: Place,
        pub(super) genre: Option<Genre>,
        #[record(dedup, was = "country")]
        pub(super) land: String,
        pub(super) rating: Option<f32>,
        #[record(default)]
        pub(super) tags: BTreeMap<String, Key<Movie>>,
        #[record(default)]
        pub(super) second: Genre,
    }
}

#[test]
fn a_schema_grows_by_itself() {
    let chain = first::<old::Movie>();
    let expected = [
        "Movie.id is renamed to number",
        "Movie.country is renamed to land",
        "Place.zip is renamed to postcode",
        "Movie.number widens from u32 to i64",
        "Movie.genre can be Horror",
        "Movie.genre widens from enum {  } to Option<enum {  }>",
        "Movie.tags is new",
        "Movie.second is new",
        "Place.postcode widens from u16 to u32",
    ];
    let next = check::<new::Movie>(&chain, &[], &expected).expect("nothing is lost");
    let movie = next.get(next.find("Movie").expect("it is there"));
    assert_eq!(movie.key_paths(), [vec!["number".to_owned()], vec!["place".to_owned(), "postcode".to_owned()]]);
    assert_eq!(movie.fields.iter().map(|field| field.column.0).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6]);
    assert!(movie.fields[5].sparse && !movie.fields[5].optional);
    check::<new::Movie>(&next, &[], &[]).expect("the same again changes nothing");
}

#[test]
fn readers_meet_both_schemas_by_name() {
    check_bind::<new::Movie>(&first::<old::Movie>(), &[]);
    check_bind::<new::Movie>(&Schema::default(), &[]);
    let mut world = World::on(declared::<old::Movie>(), first::<old::Movie>());
    let place = old::Place { zip: 7 };
    world.add_all(&[old::Movie { id: 1, place, genre: old::Genre::Drama, country: "nl".into(), rating: None }]);
    world.declared = declared::<new::Movie>();
    let view = world.view();
    let movie = view.get::<new::Movie>((1, 7)).expect("it was added");
    assert_eq!((movie.number(), movie.place().postcode(), movie.land()), (1, 7, "nl"));
    assert_eq!((movie.genre(), movie.second(), movie.rating()), (Some(new::Genre::Drama), new::Genre::Horror, None));
    assert!(movie.tags().is_empty() && movie.tags().get("x").is_none());
}

#[test]
fn rolling_back_destroys_nothing() {
    let chain = first::<old::Movie>().evolve(&declared::<new::Movie>(), &[]).expect("it grows").schema;
    mod back {
        use super::*;

        #[derive(Clone, Copy, Debug, PartialEq, Record)]
        pub(super) enum Genre {
            Drama,
        }

        #[derive(Record)]
        pub(super) struct Place {
            postcode: u32,
        }

        #[derive(Record)]
        #[record(key = "number, place.postcode")]
        pub(super) struct Movie {
            number: i32,
            place: Place,
            genre: Option<Genre>,
            land: String,
            rating: f32,
            fresh: u8,
        }
    }
    let refusals = [
        "Movie.number is i64 in the dataset and i32 in the struct; a key never narrows: declare it as i64",
        "Movie.genre can be Comedy in the dataset and not in the struct; add the variant, or write .allow(Allow::without_variant(\"Movie.genre.Comedy\"))",
        "Movie.genre can be Horror in the dataset and not in the struct; add the variant, or write .allow(Allow::without_variant(\"Movie.genre.Horror\"))",
        "Movie.land is String (dedup) in the dataset and String in the struct; declare it as String with #[record(dedup)], or write .allow(Allow::replace(\"Movie.land\")) to start a new column",
        "Movie.rating is Option<f32> in the dataset and f32 in the struct; declare it as Option<f32>, or write .allow(Allow::replace(\"Movie.rating\")) to start a new column",
        "Movie.fresh is new, and older records lack it; write Option, or add #[record(default)]",
        "Movie.tags is in the dataset and not in the struct; declare it (BTreeMap<String, Key<Movie>>), or write .allow(Allow::remove(\"Movie.tags\")) to lose its values",
        "Movie.second is in the dataset and not in the struct; declare it (enum { Comedy, Horror, Drama }), or write .allow(Allow::remove(\"Movie.second\")) to lose its values",
    ];
    assert!(check::<back::Movie>(&chain, &[], &refusals).is_none());
    let problems = [
        "Movie.number is i64 in the dataset, and i32 in the program; declare it as i64",
        "Movie.genre can be Comedy in the dataset; add that variant, or mark one with #[record(other)]",
        "Movie.genre can be Horror in the dataset; add that variant, or mark one with #[record(other)]",
        "Movie.land is String (dedup) in the dataset, and String in the program; declare it as String with #[record(dedup)]",
        "Movie.rating may be absent in the dataset; write Option, or add #[record(default)]",
        "Movie.fresh is missing in the dataset; write Option, or add #[record(default)]",
    ];
    check_bind::<back::Movie>(&chain, &problems);
}

#[test]
fn what_is_allowed_goes_and_its_column_is_never_reused() {
    #[derive(Record)]
    #[record(key = "id")]
    struct Wide {
        id: u8,
        gone: u32,
        count: u32,
    }
    #[derive(Record)]
    #[record(key = "id", name = "Wide")]
    struct Narrow {
        id: u8,
        #[record(default)]
        count: u16,
    }
    let chain = first::<Wide>();
    let allow = [Allow::remove("Wide.gone"), Allow::replace("Wide.count")];
    let expected = ["Wide.count is removed", "Wide.count is new", "Wide.gone is removed"];
    let next = check::<Narrow>(&chain, &allow, &expected).expect("it is allowed");
    let columns: Vec<_> = next.types[0].fields.iter().map(|field| (field.name.as_str(), field.column.0)).collect();
    assert_eq!(columns, [("id", 0), ("count", 3)]);
    assert_eq!(next.types[0].next_column, 4);
}

#[test]
fn keys_and_kinds_never_change() {
    #[derive(Record)]
    struct Part {
        name: String,
    }
    #[derive(Record)]
    #[record(key = "id")]
    struct Whole {
        id: u8,
        code: u16,
        part: Part,
    }
    #[derive(Record)]
    #[record(key = "name", name = "Part")]
    struct RootPart {
        name: String,
    }
    #[derive(Record)]
    #[record(key = ["id", "code"], name = "Whole")]
    struct OtherKey {
        id: u8,
        code: u16,
        part: Part,
    }
    let chain = first::<Whole>();
    let kind = "Part is a component in the dataset and a root in the program; that never changes: publish a type of another name";
    assert!(check::<RootPart>(&chain, &[], &[kind]).is_none());
    let key = "Whole has the key (id) in the dataset and (id, code) in the struct; a key never changes: write #[record(key = \"id\")], or publish a type of another name";
    assert!(check::<OtherKey>(&chain, &[], &[key]).is_none());
    check_bind::<RootPart>(
        &chain,
        &["Part is a component in the dataset, and a root in the program; remove its #[record(key = …)]"],
    );
    check_bind::<OtherKey>(
        &chain,
        &["Whole has the key (id) in the dataset, and (id, code) in the program; write #[record(key = \"id\")]"],
    );
}

#[test]
fn unknown_variants_read_as_the_one_marked_other() {
    #[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Eq, Ord, Record)]
    enum Known {
        #[record(other)]
        Other,
        Comedy,
    }
    #[derive(Record)]
    #[record(key = "id", name = "Film")]
    struct Film {
        id: u8,
        genre: old::Genre,
        genres: Vec<old::Genre>,
        by_genre: BTreeMap<old::Genre, old::Genre>,
    }
    #[derive(Record)]
    #[record(key = "id", name = "Film")]
    struct Reading {
        id: u16,
        genre: Known,
        genres: Vec<Known>,
        by_genre: BTreeMap<Known, Known>,
    }
    let mut world = World::on(declared::<Film>(), first::<Film>());
    let (drama, comedy) = (old::Genre::Drama, old::Genre::Comedy);
    world.add_all(&[Film { id: 1, genre: drama, genres: vec![comedy, drama], by_genre: [(comedy, drama)].into() }]);
    world.declared = declared::<Reading>();
    let view = world.view();
    let film = view.get::<Reading>(1).expect("it was added").to_owned();
    assert_eq!((film.id, film.genre, film.genres), (1, Known::Other, vec![Known::Comedy, Known::Other]));
    assert_eq!(film.by_genre, [(Known::Comedy, Known::Other)].into());
    assert_eq!(view.get::<Reading>(1).expect("it was added").by_genre().get(Known::Comedy), Some(Known::Other));
}

/// I9: a schema comes from the log, and a hostile one is refused before anything is read by it.
#[test]
fn a_schema_that_can_not_be_read_by_is_refused() {
    use crate::ids::{ColumnId, TypeId};
    use crate::schema::{Field, Shape, TypeKind, TypeSchema, ValueKind};

    let field = |name: &str, column, kind| Field {
        name: name.to_owned(),
        column: ColumnId(column),
        optional: false,
        sparse: false,
        shape: Shape::One(kind),
        encoding: 0,
    };
    let component = |name: &str, fields| TypeSchema {
        name: name.to_owned(),
        kind: TypeKind::Component,
        fields,
        next_column: 9,
        segment_rows_log2: 3,
    };
    let text = component("Text", vec![field("value", 0, ValueKind::String)]);
    let user = |kind| component("User", vec![field("id", 0, ValueKind::Bool), field("it", 1, kind)]);
    let with = |kind, other: &TypeSchema| Schema { types: vec![user(kind), other.clone()] };
    let two = component("Two", vec![field("value", 0, ValueKind::String), field("more", 1, ValueKind::Bool)]);
    let bytes = component("Bytes", vec![field("value", 0, ValueKind::Bytes)]);
    let removed = component("Gone", Vec::new());
    let root = TypeSchema { kind: TypeKind::Root { key: vec![vec!["value".to_owned()]] }, ..text.clone() };
    let (dedup, part) = (ValueKind::Dedup(TypeId(1)), ValueKind::Component(TypeId(1)));
    let encoded =
        Schema { types: vec![component("Odd", vec![Field { encoding: 1, ..field("value", 0, ValueKind::Bool) }])] };
    let cases = [
        (with(dedup.clone(), &text), ""),
        (with(dedup.clone(), &removed), ""),
        (with(dedup.clone(), &bytes), "type Bytes is used for texts, and is not one text"),
        (with(dedup, &two), "type Two is used for texts, and is not one text"),
        (with(part.clone(), &bytes), ""),
        (with(part, &root), "type Text is used both as a root and as a component"),
        (
            with(ValueKind::Component(TypeId(0)), &text),
            "component User contains itself; refer to a root by Key instead",
        ),
        (with(ValueKind::Key(TypeId(9)), &text), "type User: field it is not one that this release can read"),
        (encoded, "type Odd: field value is not one that this release can read"),
    ];
    for (schema, expected) in cases {
        assert_eq!(schema.check().err().unwrap_or_default(), expected, "{schema}");
    }
}

mod packing {
    use super::*;

    #[derive(Record)]
    #[record(key = "id")]
    pub(super) struct Plain {
        pub(super) id: u8,
        pub(super) text: String,
        pub(super) maybe: Option<String>,
    }

    #[derive(Record)]
    #[record(key = "id", name = "Plain")]
    pub(super) struct Packed {
        pub(super) id: u8,
        #[record(packed)]
        pub(super) text: String,
        #[record(packed)]
        pub(super) maybe: Option<String>,
    }
}

#[test]
fn a_column_is_packed_or_plain_for_ever() {
    let (plain, packed) = (first::<packing::Plain>(), first::<packing::Packed>());
    let from_plain = [
        "Plain.text is String in the dataset and String (packed) in the struct; declare it as String, or write .allow(Allow::replace(\"Plain.text\")) to start a new column",
        "Plain.maybe is Option<String> in the dataset and Option<String (packed)> in the struct; declare it as Option<String>, or write .allow(Allow::replace(\"Plain.maybe\")) to start a new column",
    ];
    assert!(check::<packing::Packed>(&plain, &[], &from_plain).is_none());
    let to_plain = [
        "Plain.text is String (packed) in the dataset and String in the struct; declare it as String with #[record(packed)], or write .allow(Allow::replace(\"Plain.text\")) to start a new column",
        "Plain.maybe is Option<String (packed)> in the dataset and Option<String> in the struct; declare it as Option<String> with #[record(packed)], or write .allow(Allow::replace(\"Plain.maybe\")) to start a new column",
    ];
    assert!(check::<packing::Plain>(&packed, &[], &to_plain).is_none());
    check::<packing::Packed>(&packed, &[], &[]).expect("the same again changes nothing");
    let expected = ["Plain.maybe is removed", "Plain.maybe is new"];
    let allow = [Allow::replace("Plain.maybe")];
    #[derive(Record)]
    #[record(key = "id", name = "Plain")]
    struct Half {
        id: u8,
        text: String,
        #[record(packed)]
        maybe: Option<String>,
    }
    let next = check::<Half>(&plain, &allow, &expected).expect("it is allowed");
    assert_eq!((next.types[0].fields[2].column.0, next.types[0].fields[2].is_packed()), (3, true));
}

#[test]
fn readers_that_expect_packed_text_are_deployed_first() {
    check_bind::<packing::Packed>(&first::<packing::Packed>(), &[]);
    let problems = [
        "Plain.text is String (packed) in the dataset, and String in the program; declare it as String with #[record(packed)]",
        "Plain.maybe is String (packed) in the dataset, and String in the program; declare it as String with #[record(packed)]",
    ];
    check_bind::<packing::Plain>(&first::<packing::Packed>(), &problems);
    let mut world = World::on(declared::<packing::Plain>(), first::<packing::Plain>());
    world.add_all(&[packing::Plain { id: 1, text: "plain".into(), maybe: None }]);
    world.declared = declared::<packing::Packed>();
    let view = world.view();
    let record = view.get::<packing::Packed>(1).expect("it was added");
    assert!(record.text() == "plain" && record.maybe().is_none());
}

/// Within the limits of columns and of names, and too large for an entry: said where it is declared, not at the commit.
#[test]
fn a_schema_that_no_entry_has_room_for_is_refused() {
    let mut declared = declared::<packing::Plain>();
    let field = declared.schema.types[0].fields[1].clone();
    for number in 10..4_010 {
        declared.schema.types[0].fields.push(Field { name: format!("{number:0>255}"), ..field.clone() });
        declared.hints[0].push(FieldHints::default());
    }
    let error = Schema::default().evolve(&declared, &[]).expect_err("it is too large").to_string();
    assert!(error.contains("bytes of names in its schema; 524288 are the limit"), "{error}");
    declared.schema.types[0].next_column = 5_000;
    for (field, column) in declared.schema.types[0].fields.iter_mut().zip(0..) {
        field.column = ColumnId(column);
    }
    let error = declared.schema.check().expect_err("it is too large");
    assert!(error.ends_with(" bytes; 524288 are the limit"), "{error}");
}

#[test]
fn a_schema_from_outside_packs_single_plain_text_only() {
    let mut schema = first::<packing::Packed>();
    schema.check().expect("it is sound");
    let wrong = |schema: &Schema| schema.check().expect_err("it is not sound");
    schema.types[0].fields[1].encoding = 2;
    assert_eq!(wrong(&schema), "type Plain: field text is not one that this release can read");
    let mut schema = first::<packing::Packed>();
    schema.types[0].fields[0].encoding = super::PACKED;
    assert_eq!(wrong(&schema), "type Plain: field id is not one that this release can read");
    // What is read as a key, or as deduplicated text, is read as `&str`.
    let mut schema = first::<packing::Packed>();
    schema.types[0].kind = crate::schema::TypeKind::Root { key: vec![vec!["text".into()]] };
    let message = "type Plain: the key field text is packed; a key is read at every look-up, so leave it plain";
    assert_eq!(wrong(&schema), message);
    let mut schema = first::<old::Movie>();
    let text = schema.types.iter_mut().find(|schema| schema.name == "Movie.country").expect("it is there");
    text.fields[0].encoding = super::PACKED;
    assert_eq!(wrong(&schema), "type Movie.country is used for texts, and is not one text");
}

#[test]
fn names_that_forge_messages_are_refused_from_outside_too() {
    #[derive(Record)]
    #[record(key = "id")]
    struct Movie {
        id: u64,
    }
    let sound = first::<Movie>();
    sound.check().expect("it is sound");
    for name in ["a\u{1b}[2J", "a\nERROR forged", "a\u{202e}b", "\u{85}"] {
        let (mut of_type, mut of_field) = (sound.clone(), sound.clone());
        of_type.types[0].name = name.to_owned();
        of_field.types[0].fields[0].name = name.to_owned();
        for schema in [of_type, of_field] {
            let said = schema.check().unwrap_err();
            assert!(said.contains("control characters") && crate::shown::is_plain(&said), "{said:?}");
        }
    }
}
mod misspelt {
    use super::*;

    #[derive(Record)]
    #[record(key = "id, place.zip")]
    pub(super) struct Movie {
        pub(super) id: u32,
        pub(super) place: old::Place,
        pub(super) genre: old::Genre,
        #[record(dedup)]
        pub(super) country: String,
    }
}

#[test]
fn a_permission_for_nothing_is_refused() {
    let chain = first::<old::Movie>();
    let paths = ["Moovie.rating", "Movie.rateing", "Movie.genre", "Movie"];
    let allow = paths.map(Allow::remove);
    let expected = [
        "Allow::remove(\"Moovie.rating\") allows nothing: there is no such type; correct the path, or leave it out",
        "Allow::remove(\"Movie\") allows nothing: it is a type; a path leads to a field, and remove_type removes a type; correct \
         the path, or leave it out",
        "Allow::remove(\"Movie.genre\") allows nothing: Movie keeps genre as it is; correct the path, or leave it out",
        "Allow::remove(\"Movie.rateing\") allows nothing: Movie has no rateing; correct the path, or leave it out",
    ];
    check::<old::Movie>(&chain, &allow, &expected);
    let others =
        [Allow::replace("Movie.genre"), Allow::without_variant("Movie.genre.Thriller"), Allow::remove_type("Actor")];
    let expected = [
        "Allow::replace(\"Movie.genre\") allows nothing: Movie keeps genre as it is; correct the path, or leave it out",
        "Allow::without_variant(\"Movie.genre.Thriller\") allows nothing: Movie has no genre.Thriller; correct the path, or \
         leave it out",
        "Allow::remove_type(\"Actor\") allows nothing: the dataset has no type Actor; correct the path, or leave it out",
    ];
    check::<old::Movie>(&chain, &others, &expected);
    // What was lost before is no mistake: the program starts again. Nor is a dataset that has nothing to lose yet.
    let allow = [Allow::remove("Movie.rating")];
    let next = check::<misspelt::Movie>(&chain, &allow, &["Movie.rating is removed"]).expect("it is allowed");
    check::<misspelt::Movie>(&next, &allow, &[]);
    Schema::default().evolve(&declared::<misspelt::Movie>(), &allow).expect("the type is new");
}

#[test]
fn a_type_is_removed_with_what_only_it_led_to() {
    #[derive(Record)]
    #[record(key = "id")]
    struct Shop {
        id: u32,
        place: old::Place,
        favourite: Option<Key<old::Movie>>,
    }
    #[derive(Record)]
    #[record(key = "id")]
    #[record(name = "Shop")]
    struct Plain {
        id: u32,
        place: old::Place,
    }
    let chain = first::<Shop>();
    let allow = [Allow::remove("Shop.favourite"), Allow::remove_type("Movie")];
    check::<Shop>(
        &chain,
        &allow[1..],
        &["type Movie can't be removed: Shop.favourite leads to it; remove that field first"],
    );
    check::<old::Movie>(
        &first::<old::Movie>(),
        &allow[1..],
        &["type Movie can't be removed: the program declares it; declare it no more"],
    );
    let expected = ["Shop.favourite is removed", "type Movie is removed", "type Movie.country is removed"];
    let next = check::<Plain>(&chain, &allow, &expected).expect("it is allowed");
    assert_eq!(
        next.to_string(),
        "Shop (root, key id)\n    id: u32\n    place: Place\nPlace (component)\n    zip: u16\n"
    );
    assert_eq!(next.types.len(), chain.types.len(), "the numbers stay taken");
    check::<Plain>(&next, &allow, &[]);
    // A reader that declares it has an empty table; a producer may begin it again, with other columns.
    check_bind::<old::Movie>(&next, &[]);
    let again = next.evolve(&declared::<old::Movie>(), &[]).expect("the type is free").schema;
    let movie = again.get(again.find("Movie").expect("it is there"));
    assert_eq!((movie.fields[0].column.0, again.check()), (5, Ok(())));
}

#[test]
fn names_that_are_exchanged_are_refused() {
    #[derive(Record)]
    #[record(key = "id", name = "T")]
    struct Before {
        id: u8,
        a: u8,
        b: u8,
    }
    #[derive(Record)]
    #[record(key = "id", name = "T")]
    struct Swapped {
        id: u8,
        #[record(was = "b")]
        a: u8,
        #[record(was = "a")]
        b: u8,
    }
    let refused = Registry::new().with::<Swapped>().finish().expect_err("a swap");
    assert_eq!(
        refused.to_string(),
        "type T: the fields a, b exchange their names by was, and nothing tells whether that was done; publish one of them \
         under a new name first"
    );
    #[derive(Record)]
    #[record(key = "id", name = "T")]
    struct Shifted {
        id: u8,
        #[record(was = "b")]
        c: u8,
        #[record(was = "a")]
        b: u8,
        #[record(default)]
        a: u8,
    }
    let chain = first::<Before>();
    check::<Shifted>(
        &chain,
        &[],
        &["T.c and T.b would both be the dataset's field b; rename first and publish, then add the other"],
    );
    // One after the other.
    #[derive(Record)]
    #[record(key = "id", name = "T")]
    struct Renamed {
        id: u8,
        a: u8,
        #[record(was = "b")]
        c: u8,
    }
    let next = check::<Renamed>(&chain, &[], &["T.b is renamed to c"]).expect("a new name");
    let expected = ["T.a is renamed to b", "T.a is new"];
    check::<Shifted>(
        &next,
        &[],
        &["T.b and T.a would both be the dataset's field a; rename first and publish, then add the other"],
    );
    #[derive(Record)]
    #[record(key = "id", name = "T")]
    struct Moved {
        id: u8,
        #[record(was = "b")]
        c: u8,
        #[record(was = "a")]
        b: u8,
    }
    let next = check::<Moved>(&next, &[], &expected[..1]).expect("a new name");
    check::<Shifted>(&next, &[], &expected[1..]);
}
