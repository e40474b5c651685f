use super::*;

fn infer_lines(lines: &str) -> Result<Inferred, JsonErrors> {
    infer_as(lines, &Reading::default())
}

fn infer_as(lines: &str, reading: &Reading) -> Result<Inferred, JsonErrors> {
    let mut lines = Lines::new("movies.jsonl", lines.as_bytes());
    infer(&mut lines, "Movie", &[vec!["id".to_owned()]], reading, &mut |_| {})
}

fn check(lines: &str, expected: &str) {
    let inferred = infer_lines(lines).unwrap_or_else(|error| panic!("{lines}: {error}"));
    let expected = format!("Movie (root, key id)\n    id: i64\n{expected}");
    assert_eq!(inferred.schema.to_string(), expected, "{lines}");
}

fn check_error(lines: &str, expected: &str) {
    let error = infer_lines(lines).expect_err(lines);
    assert_eq!(error.to_string(), format!("movies.jsonl{expected}"), "{lines}");
}

#[test]
fn kinds_are_what_every_line_says() {
    check("{\"id\":1}", "");
    check("{\"id\":1,\"a\":true}", "    a: bool\n");
    check("{\"id\":1,\"a\":\"1\"}", "    a: String\n");
    check("{\"id\":1,\"a\":-9223372036854775808}\n{\"id\":2,\"a\":9223372036854775807}", "    a: i64\n");
    check("{\"id\":1,\"a\":9223372036854775808}\n{\"id\":2,\"a\":0}", "    a: u64\n");
    check("{\"id\":1,\"a\":1.0}", "    a: f64\n");
    check("{\"id\":1,\"a\":1e3}", "    a: f64\n");
    check("{\"id\":1,\"a\":9007199254740992}\n{\"id\":2,\"a\":-0.5}", "    a: f64\n");
    check("{\"id\":1,\"a\":18446744073709551616}\n{\"id\":2,\"a\":0.5}", "    a: f64\n");
}

#[test]
fn missing_and_null_are_options() {
    check("{\"id\":1,\"a\":1}\n{\"id\":2}", "    a: Option<i64>\n");
    check("{\"id\":1}\n{\"id\":2,\"a\":1}", "    a: Option<i64>\n");
    check("{\"id\":1,\"a\":null}\n{\"id\":2,\"a\":1}", "    a: Option<i64>\n");
    check("{\"id\":1,\"a\":null}\n{\"id\":2,\"a\":[]}\n{\"id\":3,\"a\":[1]}", "    a: Option<Vec<i64>>\n");
}

#[test]
fn objects_are_components_and_arrays_lists() {
    check(
        "{\"id\":1,\"cast\":[{\"name\":\"Ann\"},{\"name\":\"Bo\",\"age\":7}],\"home\":{\"at\":{\"lat\":0.5}}}",
        "    cast: Vec<Movie.cast>\n    home: Movie.home\n\
         Movie.cast (component)\n    name: String\n    age: Option<i64>\n\
         Movie.home (component)\n    at: Movie.home.at\n\
         Movie.home.at (component)\n    lat: f64\n",
    );
    check(
        "{\"id\":1,\"a\":{}}\n{\"id\":2,\"a\":{\"b\":1}}",
        "    a: Movie.a\nMovie.a (component)\n    b: Option<i64>\n",
    );
}

#[test]
fn an_empty_value_is_left_out_and_reported() {
    let inferred =
        infer_lines("{\"id\":1,\"a\":null,\"b\":[],\"c\":{},\"d\":{\"e\":1,\"f\":null},\"g\":[{\"h\":null}]}");
    let inferred = inferred.expect("sound lines");
    assert_eq!(inferred.left_out, ["a", "b", "c", "d.f", "g"]);
    assert_eq!(inferred.records, 1);
    let expected = "Movie (root, key id)\n    id: i64\n    d: Movie.d\nMovie.d (component)\n    e: i64\n";
    assert_eq!(inferred.schema.to_string(), expected);
    assert_eq!(inferred.schema.check(), Ok(()));
}

#[test]
fn keys_may_be_of_several_parts_and_lead_through_components() {
    let paths = [vec!["home".to_owned(), "zip".to_owned()], vec!["no".to_owned()]];
    let infer =
        |lines: &str| infer(&mut Lines::new("f", lines.as_bytes()), "House", &paths, &Reading::default(), &mut |_| {});
    let inferred = infer("{\"home\":{\"zip\":\"1011\"},\"no\":4}").expect("sound lines");
    assert!(inferred.schema.to_string().starts_with("House (root, key home.zip, no)\n"));
    let error =
        infer("{\"home\":{\"zip\":\"1011\"},\"no\":4}\n{\"home\":{\"zip\":null},\"no\":4}").expect_err("no zip");
    let first = error.iter().next().expect("an error");
    assert_eq!((first.line, first.field.as_str()), (2, "home.zip"));
    let error = infer("{\"home\":{\"zip\":1.5},\"no\":4}").expect_err("floats are no keys");
    let said = "f: type House: the key field home.zip is f64; use integers, bool, String, bytes, enums or Key";
    assert_eq!(error.to_string(), said);
}

#[test]
fn errors_name_the_line_the_field_and_the_remedy() {
    check_error("", ": no records; a new type's schema is found from its records, so give it at least one line");
    check_error(
        "{\"id\":1}\n[2]",
        ", line 2: an array, where a record is expected; write an object like {\"id\": 1} on each line",
    );
    check_error(
        "{\"id\":1}\n\n{\"id\":2}}",
        ", line 3: malformed JSON at column 9: expected the end of the line; correct the line",
    );
    check_error(
        "{\"id\":1,\"a\":{\"b\":[1,2}}",
        ", line 1: malformed JSON at column 22: expected a comma or the array's closing bracket; correct the line",
    );
    check_error(
        "{\"id\":1}\n{\"title\":\"Up\"}",
        ", line 2, field id: missing, but part of the key; give every record a value for it, or take another key",
    );
    check_error(
        "{\"title\":\"Up\"}",
        ", line 1, field id: missing, but part of the key; give every record a value for it, or take another key",
    );
    check_error(
        "{\"id\":1,\"a\":1}\n{\"id\":2,\"a\":\"x\"}",
        ", line 2, field a: a string, but a number on line 1; make them the same kind, use two fields, or add \
         --as FIELD=json to keep their JSON as text",
    );
    check_error(
        "{\"id\":1,\"a\":[{\"b\":1}]}\n{\"id\":2,\"a\":[{\"b\":1},{\"b\":[]}]}",
        ", line 2, field a[1].b: an array, but a number on line 1; make them the same kind, use two fields, or add \
         --as FIELD=json to keep their JSON as text",
    );
    check_error(
        "{\"id\":1,\"a\":[1,null]}",
        ", line 1, field a[1]: null in an array; leave it out, or make the elements objects, whose fields may be null",
    );
    check_error("{\"id\":1,\"id\":1}", ", line 1, field id: there twice in one object; remove one of them");
    check_error(
        "{\"id\":-1}\n{\"id\":9223372036854775808}",
        ", line 2, field id: a number above 9223372036854775807, but a negative one on line 1: no integer type holds \
         both; correct one, or add --as FIELD=string",
    );
    check_error(
        "{\"id\":1,\"a\":9007199254740993}\n{\"id\":2,\"a\":0.5}",
        ", line 1, field a: a whole number that an f64 can't hold exactly, but a number with a fraction on line 2; \
         round one, or add --as FIELD=string",
    );
    check_error(
        "{\"id\":1,\"a\":18446744073709551616}",
        ", line 1, field a: 18446744073709551616 is out of range: a whole number goes from -9223372036854775808 to \
         18446744073709551615; correct it, or write it as a string in another field",
    );
    check_error(
        "{\"id\":1,\"a\":1e400}",
        ", line 1, field a: 1e400 is out of range: f64 goes from -1.7976931348623157e308 to 1.7976931348623157e308; \
         correct it, or write it as a string in another field",
    );
    check_error(
        &format!("{{\"id\":1,\"{}\":1}}", "n".repeat(256)),
        &format!(
            ", line 1, field {}: a name of 256 bytes; a field or component has a name of 1 to 255 bytes, so rename it",
            "n".repeat(256)
        ),
    );
}

#[test]
fn bytes_that_are_not_text_are_named() {
    let mut lines = Lines::new("f", &b"{\"id\":1}\n{\"id\":2,\"a\":\"\xff\"}"[..]);
    let error =
        infer(&mut lines, "T", &[vec!["id".to_owned()]], &Reading::default(), &mut |_| {}).expect_err("not UTF-8");
    assert_eq!(error.to_string(), "f, line 2: not UTF-8 from byte 14 on; convert the file to UTF-8");
}

#[test]
fn names_that_are_data_run_out_of_columns() {
    let names: Vec<String> = (0..limits::COLUMNS).map(|number| format!("\"n{number}\":[{number}]")).collect();
    let line = format!("{{\"id\":1,\"votes\":{{\"x\":null,{}}}}}", names.join(","));
    check_error(
        &line,
        ", line 1, field votes.n8189: one field name too many: a dataset has 8192 columns at most; if the names are \
         data, add --as FIELD=map",
    );
}

#[test]
fn a_byte_order_mark_blank_lines_and_line_ends_are_no_matter() {
    check("\u{feff}{\"id\":1}\r\n\r\n  \n{\"id\":2}", "");
}

fn reading(said: &[(&str, As)]) -> Reading {
    let mut reading = Reading::default();
    for (path, how) in said {
        reading.set(&path.split('.').map(str::to_owned).collect::<Vec<_>>(), *how);
    }
    reading
}

fn check_as(lines: &str, said: &[(&str, As)], expected: &str) {
    let inferred = infer_as(lines, &reading(said)).unwrap_or_else(|error| panic!("{lines}: {error}"));
    assert_eq!(inferred.schema.to_string(), format!("Movie (root, key id)\n    id: i64\n{expected}"), "{lines}");
    assert_eq!(inferred.schema.check(), Ok(()));
    assert_eq!(inferred.maps, [""; 0], "nothing was guessed");
}

#[test]
fn fields_are_read_as_somebody_says() {
    check_as("{\"id\":1,\"a\":1}", &[("a", As::F64)], "    a: f64\n");
    check_as("{\"id\":1,\"a\":[1,2]}", &[("a", As::F64)], "    a: Vec<f64>\n");
    check_as(
        "{\"id\":1,\"a\":1}\n{\"id\":2,\"a\":\"x\"}\n{\"id\":3,\"a\":true}",
        &[("a", As::String)],
        "    a: String\n",
    );
    check_as(
        "{\"id\":1,\"a\":[1,{}]}\n{\"id\":2,\"a\":\"x\"}\n{\"id\":3}",
        &[("a", As::Json)],
        "    a: Option<String>\n",
    );
    check_as(
        "{\"id\":1,\"a\":{\"nl\":1}}\n{\"id\":2,\"a\":{\"fr\":0.5}}",
        &[("a", As::Map)],
        "    a: BTreeMap<String, f64>\n",
    );
    check_as("{\"id\":1,\"a\":1,\"b\":1}", &[("a", As::Skip)], "    b: i64\n");
    check_as(
        "{\"id\":1,\"a\":[{\"b\":{\"nl\":{\"n\":1}}},{\"b\":{\"fr\":{\"n\":1,\"m\":2}}}]}",
        &[("a.b", As::Map), ("a.b.m", As::F64)],
        "    a: Vec<Movie.a>\nMovie.a (component)\n    b: BTreeMap<String, Movie.a.b>\n\
         Movie.a.b (component)\n    n: i64\n    m: Option<f64>\n",
    );
    for (lines, how, expected) in [
        (
            "{\"id\":1,\"a\":\"x\"}",
            As::F64,
            ", line 1, field a: a string, which --as FIELD=f64 does not take; correct it, or take json, which takes all",
        ),
        (
            "{\"id\":1,\"a\":9007199254740993}",
            As::F64,
            ", line 1, field a: 9007199254740993 can't be held exactly by f64; round it, or write it as a string in another field",
        ),
        (
            "{\"id\":1,\"a\":{\"b\":null}}",
            As::Map,
            ", line 1, field a.b: null in a map; leave the entry out, or make the values objects, whose fields may be null",
        ),
    ] {
        let error = infer_as(lines, &reading(&[("a", how)])).expect_err(lines);
        assert_eq!(error.to_string(), format!("movies.jsonl{expected}"));
    }
}

fn object(names: impl Iterator<Item = String>, value: &str) -> String {
    format!("{{{}}}", names.map(|name| format!("\"{name}\":{value}")).collect::<Vec<_>>().join(","))
}

#[test]
fn objects_whose_names_are_data_are_maps() {
    // Like the versions of browsers: names that are no fields, in every record.
    let versions = object((0..40).map(|version| format!("{version}.5")), "\"y\"");
    let inferred = infer_lines(&format!("{{\"id\":1,\"stats\":{{\"ie\":{versions},\"edge\":{{\"1\":\"n\"}}}}}}"));
    let inferred = inferred.expect("a sound line");
    let expected = "Movie (root, key id)\n    id: i64\n    stats: Movie.stats\nMovie.stats (component)\n    \
                    ie: BTreeMap<String, String>\n    edge: Movie.stats.edge\nMovie.stats.edge (component)\n    1: String\n";
    assert_eq!((inferred.schema.to_string().as_str(), inferred.maps), (expected, vec!["stats.ie".to_owned()]));
    // Like the languages of countries: few in each record, many in all.
    let lines: Vec<String> = (0..60).map(|id| format!("{{\"id\":{id},\"a\":{{\"l{id}\":{{\"n\":1}}}}}}\n")).collect();
    check(&lines.concat(), "    a: BTreeMap<String, Movie.a>\nMovie.a (component)\n    n: i64\n");
    // More names than a schema has room for.
    let lines: Vec<String> = (0..20)
        .map(|id| {
            format!(
                "{{\"id\":{id},\"a\":{}}}\n",
                object((0..1_000).map(|name| format!("n{}", id * 1_000 + name)), "1.5")
            )
        })
        .collect();
    check(&lines.concat(), "    a: BTreeMap<String, f64>\n");
    // Fields are fields, however many.
    let fields = object((0..40).map(|field| format!("field_{field}")), "1");
    let inferred = infer_lines(&format!("{{\"id\":1,\"a\":{fields}}}")).expect("a sound line");
    assert_eq!(inferred.schema.types[1].fields.len(), 40);
    // So are those of different kinds, those that are null, and those that the command line calls fields.
    for (lines, said) in [
        (format!("{{\"id\":1,\"a\":{}}}", versions.replace("\"5.5\":\"y\"", "\"5.5\":1")), None),
        (format!("{{\"id\":1,\"a\":{}}}", versions.replace("\"5.5\":\"y\"", "\"5.5\":null")), None),
        (format!("{{\"id\":1,\"a\":{versions}}}"), Some(("a", As::Record))),
    ] {
        let inferred = infer_as(&lines, &reading(said.as_slice())).expect("a sound line");
        assert!(inferred.maps.is_empty() && inferred.schema.types.len() == 2, "{lines}");
    }
}

#[test]
fn lists_in_lists_are_components_with_items() {
    check("{\"id\":1,\"a\":[[1,2],[]]}", "    a: Vec<Movie.a>\nMovie.a (component)\n    items: Vec<i64>\n");
    check(
        "{\"id\":1,\"a\":[[[0.5]],[]]}",
        "    a: Vec<Movie.a>\nMovie.a (component)\n    items: Vec<Movie.a.items>\n\
         Movie.a.items (component)\n    items: Vec<f64>\n",
    );
}

#[test]
fn all_kinds_of_mistakes_are_told_together() {
    let lines = "{\"id\":1,\"a\":1,\"b\":[1]}\n{\"id\":2,\"a\":\"x\"}\n{\"id\":3,\"a\":\"y\",\"b\":[\"z\"]}\n{\n\
                 {\"id\":4,\"a\":1,\"b\":[1,\"z\"]}\n{\"id\":5,\"a\":1,\"b\":[\"z\"]}";
    let json = "make them the same kind, use two fields, or add --as FIELD=json to keep their JSON as text";
    let expected = format!(
        "3 kinds of mistakes:\n  movies.jsonl, line 2, field a: a string, but a number on line 1; {json}; 1 more line \
         has this mistake\n  movies.jsonl, line 4: malformed JSON at column 2: expected a field's name in quotes; correct \
         the line\n  movies.jsonl, line 5, field b[1]: a string, but a number on line 1; {json}; 1 more line has this mistake"
    );
    assert_eq!(infer_lines(lines).expect_err("several mistakes").to_string(), expected);
    let lines = "{\"a\":9007199254740993,\"b\":-1}\n{\"a\":0.5,\"b\":9223372036854775808}";
    let error = infer_lines(lines).expect_err("no key, and two fields").to_string();
    assert!(error.starts_with("3 kinds of mistakes:\n") && error.contains("field id: missing"), "{error}");
}
