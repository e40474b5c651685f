//! The schema from the command line: shown, given, changed.

use super::{Desk, json};

/// Publishes these lines as movies.
fn publish(desk: &Desk, lines: &str, more: &[&str]) -> String {
    desk.write("movies.jsonl", lines);
    desk.run(more)
}

/// What is said when these lines are refused.
fn refused(desk: &Desk, lines: &str, more: &[&str]) -> String {
    desk.write("movies.jsonl", lines);
    let (code, said) = desk.fail(&[&["run", "catalog", "movies.jsonl", "--type", "Movie"], more].concat());
    assert_eq!(code, 1, "{said}");
    said
}

fn schema(desk: &Desk) -> String {
    desk.succeed(&["schema", "catalog"])
}

#[test]
fn numbers_widen_when_asked() {
    let desk = Desk::new();
    publish(&desk, "{\"id\":1,\"price\":10,\"sizes\":[1]}", &["--key", "id"]);
    let lines = "{\"id\":1,\"price\":10.99,\"sizes\":[1,2.5]}";
    assert!(refused(&desk, lines, &[]).contains("or run again with --widen"));
    publish(&desk, lines, &["--widen"]);
    assert_eq!(schema(&desk), "Movie (root, key id)\n    id: i64\n    price: f64\n    sizes: Vec<f64>\n");
    assert!(publish(&desk, lines, &["--widen"]).contains("unchanged: "), "it is wide enough");
}

#[test]
fn fields_become_optional_when_asked() {
    let desk = Desk::new();
    publish(&desk, "{\"id\":1,\"title\":\"Up\",\"at\":{\"x\":1,\"y\":2}}", &["--key", "id"]);
    let lines = "{\"id\":1,\"at\":{\"x\":1}}";
    assert!(refused(&desk, lines, &[]).contains("or run again with --optional"));
    publish(&desk, lines, &["--optional"]);
    let expected = "Movie (root, key id)\n    id: i64\n    title: Option<String>\n    at: Movie.at\nMovie.at (component)\n    \
                    x: i64\n    y: Option<i64>\n";
    assert_eq!(schema(&desk), expected);
}

#[test]
fn fields_are_read_as_somebody_says() {
    let desk = Desk::new();
    let lines = "{\"id\":1,\"isbn\":17,\"extra\":{\"a\": [1]},\"votes\":{\"nl\":5}}\n\
                 {\"id\":2,\"isbn\":\"x\",\"extra\":3,\"votes\":{}}";
    let said = ["--as", "isbn=string", "--as", "extra=json", "--as", "votes=map"];
    publish(&desk, lines, &[&["--key", "id"][..], &said].concat());
    let expected =
        "Movie (root, key id)\n    id: i64\n    isbn: String\n    extra: String\n    votes: BTreeMap<String, i64>\n";
    assert_eq!(schema(&desk), expected);
    assert!(publish(&desk, lines, &said).contains("unchanged: "));
    // What was something else starts again.
    publish(&desk, lines, &["--as", "isbn=json", "--as", "extra=json", "--as", "votes=json"]);
    assert!(schema(&desk).contains("    votes: String\n"), "{}", schema(&desk));
    let (code, said) = desk.fail(&["run", "catalog", "movies.jsonl", "--type", "Movie", "--as", "isbn=number"]);
    assert!(code == 2 && said.contains("number is none of f64, string, json, map, record"), "{said}");
}

#[test]
fn objects_used_as_maps_and_nested_arrays_are_taken() {
    let desk = Desk::new();
    let versions: Vec<String> = (0..100).map(|version| format!("\"{version}\":\"y\"")).collect();
    let lines = format!("{{\"id\":1,\"stats\":{{{}}},\"shape\":[[1,2],[3]]}}", versions.join(","));
    let published = publish(&desk, &lines, &["--key", "id"]);
    assert!(
        published.contains("taken for maps, because their names look like data: stats (else: --as FIELD=record)\n")
    );
    let expected = "Movie (root, key id)\n    id: i64\n    stats: BTreeMap<String, String>\n    shape: Vec<Movie.shape>\n\
                    Movie.shape (component)\n    items: Vec<i64>\n";
    assert_eq!(schema(&desk), expected);
    // A new name is data, and no change of the schema.
    let more = lines.replace("\"0\":\"y\"", "\"100\":\"n\",\"0\":\"y\"");
    assert!(publish(&desk, &more, &[]).contains("1 changed"));
}

#[test]
fn a_schema_file_decides() {
    let desk = Desk::new();
    desk.write("schema.txt", "Movie (root, key id)\n    id: u32\n    title: Option<String>\n    year: i16\n");
    let lines = "{\"id\":1,\"year\":2009}";
    publish(&desk, lines, &["--schema", "schema.txt"]);
    assert_eq!(schema(&desk), "Movie (root, key id)\n    id: u32\n    title: Option<String>\n    year: i16\n");
    // As JSON, with another type for a field, which the file brings again.
    let shown = json(&desk.succeed(&["schema", "catalog", "--json"]));
    assert_eq!(shown["types"][0]["fields"][2], serde_json::json!({ "name": "year", "type": "i16" }), "{shown}");
    desk.write("schema.json", shown.to_string().replace("i16", "String"));
    publish(&desk, "{\"id\":1,\"year\":\"2009\"}", &["--schema", "schema.json"]);
    assert!(schema(&desk).contains("    year: String\n"));
    // Nothing is lost by leaving it out.
    desk.write("schema.txt", "Movie (root, key id)\n    id: u32\n    year: String\n");
    let said = refused(&desk, "{\"id\":1,\"year\":\"2009\"}", &["--schema", "schema.txt"]);
    let expected = "error: the schema does not fit the dataset, so nothing was written: Movie.title (Option<String>) is in the \
                    dataset and not in the schema; add it, or remove its values with --drop-field\n";
    assert_eq!(said, expected);
    publish(&desk, "{\"id\":1,\"year\":\"2009\"}", &["--schema", "schema.txt", "--drop-field", "title"]);
    assert_eq!(schema(&desk), "Movie (root, key id)\n    id: u32\n    year: String\n");
    desk.write("schema.txt", "Movie\n    id: u32\n");
    let (code, said) = desk.fail(&["run", "catalog", "movies.jsonl", "--type", "Movie", "--schema", "schema.txt"]);
    assert!(code == 2 && said.starts_with("error: schema.txt: line 1: a type is written as "), "{said}");
}

#[test]
fn fields_and_types_are_dropped() {
    let desk = Desk::new();
    publish(&desk, "{\"id\":1,\"note\":\"x\",\"cast\":[{\"name\":\"Ann\",\"age\":7}]}", &["--key", "id"]);
    desk.succeed(&["run", "catalog", "movies.jsonl", "--type", "Moovie", "--key", "id"]);
    assert!(schema(&desk).contains("Moovie.cast (component)\n"));
    let lines = "{\"id\":1,\"note\":\"x\",\"cast\":[{\"name\":\"Ann\",\"age\":7}]}";
    let dropped = ["--drop-field", "note", "--drop-field", "cast.age", "--drop-type", "Moovie"];
    publish(&desk, lines, &dropped);
    let expected =
        "Movie (root, key id)\n    id: i64\n    cast: Vec<Movie.cast>\nMovie.cast (component)\n    name: String\n";
    assert_eq!(schema(&desk), expected);
    assert!(publish(&desk, lines, &dropped).contains("unchanged: "), "and stay so");
    let said = refused(&desk, lines, &[&dropped[..4], &["--drop-type", "Moofie"]].concat());
    assert!(said.ends_with(": the dataset has no type Moofie; correct --drop-type\n"), "{said}");
    let (code, said) = desk.fail(&["schema", "catalog", "--type", "Moovie"]);
    assert_eq!((code, said.as_str()), (1, "error: the dataset has no type Moovie; it has Movie, Movie.cast\n"));
}
