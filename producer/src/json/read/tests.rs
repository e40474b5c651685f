//! A line and a struct with the same values make the same row.

use std::collections::{BTreeMap, BTreeSet};

use cenote_state::ids::Ordinal;
use cenote_state::record::{Binding, Registry, RowWriter, WriteError};
use cenote_state::{Key, Record};

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Record)]
enum Genre {
    Drama,
    Comedy,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Record)]
struct Actor {
    name: String,
    age: Option<u8>,
}

#[derive(Clone, Debug, Record)]
#[record(key = "code, no")]
struct Shelf {
    code: String,
    no: u16,
}

#[derive(Clone, Debug, Record)]
#[record(key = "id")]
struct Movie {
    id: u64,
    title: String,
    year: i16,
    rating: Option<f32>,
    score: f64,
    seen: bool,
    #[record(dedup)]
    country: String,
    poster: Vec<u8>,
    genre: Genre,
    genres: BTreeSet<Genre>,
    lead: Option<Actor>,
    cast: Vec<Actor>,
    sequels: Vec<Key<Movie>>,
    shelf: Key<Shelf>,
    facts: BTreeMap<String, String>,
    votes: BTreeMap<i8, Actor>,
    tags: Option<BTreeSet<String>>,
    #[record(dedup)]
    languages: Vec<String>,
}

/// Equal rows become one.
#[derive(Default)]
struct Interned(Vec<(TypeId, Row)>);

impl Interner for Interned {
    fn intern(&mut self, component: TypeId, row: &Row) -> Result<Ordinal, WriteError> {
        let cells = |row: &Row| (0..row.columns()).map(|at| row.cell(at).map(<[u8]>::to_vec)).collect::<Vec<_>>();
        let same = |known: &(TypeId, Row)| known.0 == component && cells(&known.1) == cells(row);
        let place = self.0.iter().position(same).unwrap_or(self.0.len());
        if place == self.0.len() {
            self.0.push((component, row.clone()));
        }
        Ok(Ordinal(place as u32))
    }
}

struct World {
    reader: RowReader,
    binding: Binding,
    interned: Interned,
}

fn world() -> World {
    let declared = Registry::new().with::<Movie>().with::<Shelf>().finish().expect("the types are sound");
    let schema = Arc::new(declared.schema().clone());
    let root = schema.find("Movie").expect("declared");
    let binding = Binding::new(&declared, &schema).expect("its own schema");
    World {
        reader: RowReader::new(&schema, root, &Reading::default()).unwrap(),
        binding,
        interned: Interned::default(),
    }
}

fn movie() -> Movie {
    let actor = |name: &str, age| Actor { name: name.to_owned(), age };
    Movie {
        id: u64::MAX,
        title: "Up \"and\" over\né".to_owned(),
        year: -5,
        rating: Some(0.1),
        score: f64::NEG_INFINITY,
        seen: true,
        country: "nl".to_owned(),
        poster: vec![0, 255],
        genre: Genre::Comedy,
        genres: [Genre::Comedy, Genre::Drama].into(),
        lead: None,
        cast: vec![actor("Ann", None), actor("Bo", Some(7)), actor("Ann", None)],
        sequels: vec![Key::new(7), Key::new(0)],
        shelf: Key::new(("B", 12)),
        facts: [("b".to_owned(), String::new()), ("a".to_owned(), "x".to_owned())].into(),
        votes: [(3, actor("Cy", None)), (-3, actor("Bo", Some(7)))].into(),
        tags: Some(["é".to_owned(), "z".to_owned()].into()),
        languages: vec!["nl".to_owned(), "fr".to_owned(), "nl".to_owned()],
    }
}

const MOVIE: &str = r#"{"id":18446744073709551615,"title":"Up \"and\" over\n\u00e9","year":-5,"rating":0.1,
 "score":"-Infinity","seen":true,"country":"nl","poster":"00fF","genre":"Comedy","genres":["Drama","Comedy","Drama"],
 "lead":null,"cast":[{"name":"Ann"},{"age":7,"name":"Bo"},{"name":"Ann","age":null}],"sequels":[7,0],"shelf":["B",12],
 "facts":{"b":"","a":"x"},"votes":{"3":{"name":"Cy"},"-3":{"name":"Bo","age":7}},"tags":["z","é","z"],
 "languages":["nl","fr","nl"],"more":null,"still":[{"x":[]}]}"#;

/// Cells, with ordinals replaced by what they refer to: the two sides meet components in different orders.
fn read(world: &mut World, line: &str) -> Result<Row, String> {
    let mut row = Row::default();
    let World { reader, interned, .. } = world;
    let read = reader.read("f.jsonl", 1, line, interned, &mut row);
    read.map(|()| row).map_err(|error| error.to_string())
}

#[test]
fn a_line_makes_the_row_that_the_struct_makes() {
    let mut world = world();
    let mut expected = Row::default();
    let World { binding, interned, .. } = &mut world;
    RowWriter::new().write(&movie(), binding, interned, &mut expected).expect("within the limits");
    let components = world.interned.0.len();
    let row = read(&mut world, MOVIE).expect("a sound line");
    assert_eq!(world.interned.0.len(), components, "every component is one that the struct has");
    for index in 0..expected.columns() {
        let name = &world.reader.schema.get(world.reader.root).fields[index].name;
        assert_eq!(row.cell(index), expected.cell(index), "{name}");
    }
}

#[test]
fn what_does_not_fit_is_an_error_with_its_remedy() {
    let check = |from: &str, to: &str, expected: &str| {
        assert!(MOVIE.contains(from), "{from}");
        let line = MOVIE.replacen(from, to, 1);
        assert_eq!(read(&mut world(), &line).expect_err(to), format!("f.jsonl, line 1{expected}"), "{to}");
    };
    let wrong = "but the dataset keeps";
    check(
        "\"year\":-5",
        "\"year\":\"x\"",
        &format!(", field year: the string \"x\", {wrong} i16; write a whole number"),
    );
    check(
        "\"year\":-5",
        "\"year\":1.0",
        &format!(", field year: the number 1.0, {wrong} i16; write a whole number, or run again with --widen"),
    );
    check(
        "\"year\":-5",
        "\"year\":32768",
        ", field year: 32768 is out of range: i16 goes from -32768 to 32767; correct it, or write it as a string in \
         another field",
    );
    check(
        "\"id\":18446744073709551615",
        "\"id\":-1",
        ", field id: -1 is out of range: u64 goes from 0 to 18446744073709551615; correct it, or write it as a string \
         in another field",
    );
    check(
        "\"rating\":0.1",
        "\"rating\":16777217",
        ", field rating: 16777217 can't be held exactly by f32; round it, or write it as a string in another field",
    );
    check(
        "\"rating\":0.1",
        "\"rating\":1e39",
        ", field rating: 1e39 is out of range: f32 goes from -3.4028235e38 to 3.4028235e38; correct it, or write it \
         as a string in another field",
    );
    check(
        "\"score\":\"-Infinity\"",
        "\"score\":\"∞\"",
        &format!(", field score: the string \"∞\", {wrong} f64; write a number"),
    );
    check("\"seen\":true", "\"seen\":1", &format!(", field seen: the number 1, {wrong} bool; write true or false"));
    check(
        "\"poster\":\"00fF\"",
        "\"poster\":\"0\"",
        &format!(
            ", field poster: a string that isn't hexadecimal, {wrong} bytes; write them as hexadecimal digits in a string"
        ),
    );
    check(
        "\"genre\":\"Comedy\"",
        "\"genre\":\"War\"",
        ", field genre: \"War\" is none of the dataset's variants (Drama, Comedy); write one of them",
    );
    check(
        "\"title\":\"",
        "\"title\":null,\"x\":\"",
        ", field x: not a field of the dataset's Movie; remove it, or run again with --add-fields to add it as optional",
    );
    check("\"lead\":null", "\"lead\":[]", &format!(", field lead: an array, {wrong} Actor; write an object"));
    check(
        "\"cast\":[",
        "\"cast\":[null,",
        ", field cast[0]: null in an array; leave it out, or make the elements objects, whose fields may be null",
    );
    check(
        "\"age\":7,",
        "\"age\":256,",
        ", field cast[1].age: 256 is out of range: u8 goes from 0 to 255; correct it, or write it as a string in another field",
    );
    check(
        "{\"age\":7,\"name\":\"Bo\"}",
        "{\"age\":7}",
        ", field cast[1].name: missing, but the dataset has no Option there (String); give it a value, or run again with --optional",
    );
    check(
        "\"id\":18446744073709551615,",
        "",
        ", field id: missing, but part of the key; give every record a value for it, or take another key",
    );
    check(
        "\"shelf\":[\"B\",12]",
        "\"shelf\":[\"B\"]",
        &format!(", field shelf: an array of 1, {wrong} Key<Shelf>, of 2 parts; write an array of the key's parts"),
    );
    check("\"a\":\"x\"", "\"b\":\"x\"", ", field facts: there twice in one object; remove one of them");
    check("\"3\":{", "\"x\":{", &format!(", field votes.x: \"x\", {wrong} i8; write a whole number"));
    check(
        "\"3\":{",
        "\"128\":{",
        ", field votes.128: 128 is out of range: i8 goes from -128 to 127; correct it, or write it as a string in another field",
    );
    check(
        "\"tags\":[",
        "\"tags\":{\"a\":[",
        &format!(", field tags: an object, {wrong} Option<BTreeSet<String>>; write an array"),
    );
    check("\"id\":", "\"id\" ", ": malformed JSON at column 7: expected a colon; correct the line");
    check(
        "\"seen\":true",
        "\"seen\":true,\"seen\":true",
        ", field seen: there twice in one object; remove one of them",
    );
}

#[test]
fn a_field_is_never_read_from_the_record_before() {
    let mut world = world();
    read(&mut world, MOVIE).expect("a sound line");
    let error = read(&mut world, &MOVIE.replace("\"year\":-5,", "")).expect_err("no year");
    assert_eq!(
        error,
        "f.jsonl, line 1, field year: missing, but the dataset has no Option there (i16); give it a value, or run again with --optional"
    );
}

#[test]
fn limits_hold_at_the_limit() {
    let mut world = world();
    let small = read(&mut world, &MOVIE.replace("Up \\\"and\\\" over\\n\\u00e9", "")).expect("a sound line");
    let room = RECORD_BYTES_MAX - small.bytes();
    let with = |length: usize| MOVIE.replace("Up \\\"and\\\" over\\n\\u00e9", &"x".repeat(length));
    assert_eq!(read(&mut world, &with(room)).expect("at the limit").bytes(), RECORD_BYTES_MAX);
    let error = read(&mut world, &with(room + 1)).expect_err("above the limit");
    assert!(error.contains("the record passes 16777216 bytes here; split it"), "{error}");
}

/// A file is read by the schema that it gives, and what comes out is what went in.
fn round_trip(line: &str, said: &[(&str, As)]) -> String {
    use crate::json::{Lines, infer};
    let mut reading = Reading::default();
    for (path, how) in said {
        reading.set(&path.split('.').map(str::to_owned).collect::<Vec<_>>(), *how);
    }
    let key = [vec!["id".to_owned()]];
    let inferred = infer(&mut Lines::new("f", line.as_bytes()), "T", &key, &reading, &mut |_| {}).expect(line);
    let schema = Arc::new(inferred.schema);
    let root = schema.find("T").expect("inferred");
    let mut reader = RowReader::new(&schema, root, &reading).expect("a sound schema");
    let (mut interned, mut row) = (Interned::default(), Row::default());
    reader.read("f", 1, line, &mut interned, &mut row).expect(line);
    let cell = row.cell(1).expect("the second field");
    String::from_utf8_lossy(cell).into_owned()
}

#[test]
fn what_is_said_of_fields_holds_when_they_are_read() {
    assert_eq!(round_trip("{\"id\":1,\"a\":{\"b\": [1, null]} }", &[("a", As::Json)]), "{\"b\": [1, null]}");
    assert_eq!(round_trip("{\"id\":1,\"a\":1.50}", &[("a", As::String)]), "1.50");
    assert_eq!(round_trip("{\"id\":1,\"a\":\"x\"}", &[("a", As::String)]), "x");
    assert_eq!(round_trip("{\"id\":1,\"a\":\"x\"}", &[("a", As::Json)]), "\"x\"");
    assert_eq!(round_trip("{\"id\":1,\"skipped\":[{}],\"b\":true}", &[("skipped", As::Skip)]), "\u{1}\0\0\0\0\0\0\0");
    // One list of two; the ordinals of its components.
    assert_eq!(round_trip("{\"id\":1,\"a\":[[1,2],[3]]}", &[]), "\u{2}\0\0\0\0\0\0\0\u{1}\0\0\0");
    let map = "{\"id\":1,\"a\":{\"k\":{\"b\":\"x\"}}}";
    assert_eq!(round_trip(map, &[("a", As::Map)]), "\u{1}\0\0\0\u{1}\0\0\0k\0\0\0\0");
}
