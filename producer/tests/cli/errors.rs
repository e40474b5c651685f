//! Error messages, word for word: each names the line or the object, and what to do.

use super::Desk;

/// A dataset, if there is one, what is published then, and what is said.
struct Row {
    before: Option<&'static str>,
    file: Vec<u8>,
    said: String,
}

const BEFORE: &str = "{\"id\":1,\"title\":\"Up\",\"year\":2009,\"score\":0.5,\"cast\":[{\"name\":\"Ann\"}]}";

fn fresh(file: impl AsRef<[u8]>, said: &str) -> Row {
    Row { before: None, file: file.as_ref().to_vec(), said: said.to_owned() }
}

/// A second release: one line like the first, then `line`.
fn later(line: &str, said: &str) -> Row {
    Row { before: Some(BEFORE), file: format!("{BEFORE}\n{line}\n").into_bytes(), said: said.to_owned() }
}

fn rows() -> Vec<Row> {
    let second = |from: &str, to: &str| BEFORE.replace("\"id\":1", "\"id\":2").replace(from, to);
    let many: String = (0..36).map(|number| format!("{{\"id\":{}}}\n", number % 12)).collect();
    vec![
        fresh(
            "{\"id\":1}\n{\"id\":2,}\n",
            "movies.jsonl, line 2: malformed JSON at column 9: expected a field's name in quotes; correct the line",
        ),
        later(
            "{\"id\":2",
            "movies.jsonl, line 2: malformed JSON at column 8: expected a comma or the object's closing brace; correct \
             the line",
        ),
        fresh(
            "{\"id\":1,\"year\":2009}\n{\"id\":2,\"year\":\"2009\"}\n",
            "movies.jsonl, line 2, field year: a string, but a number on line 1; make them the same kind, use two \
             fields, or add --as FIELD=json to keep their JSON as text",
        ),
        later(
            &second("2009", "\"2009\""),
            "movies.jsonl, line 2, field year: the string \"2009\", but the dataset keeps i64; write a whole number",
        ),
        later(
            &second("2009", "2009.0"),
            "movies.jsonl, line 2, field year: the number 2009.0, but the dataset keeps i64; write a whole number, or \
             run again with --widen",
        ),
        later(
            &second("[{\"name\":\"Ann\"}]", "[{\"name\":\"Ann\"},{\"name\":null}]"),
            "movies.jsonl, line 2, field cast[1].name: missing, but the dataset has no Option there (String); give it a \
             value, or run again with --optional",
        ),
        fresh(
            "{\"id\":1}\n{\"title\":\"Up\"}\n",
            "movies.jsonl, line 2, field id: missing, but part of the key; give every record a value for it, or take \
             another key",
        ),
        later(
            &second("\"id\":2,", ""),
            "movies.jsonl, line 2, field id: missing, but part of the key; give every record a value for it, or take \
             another key",
        ),
        fresh(
            many,
            "movies.jsonl: 24 records of Movie under a key that an earlier line has; keep one line for each: 0 (lines 1, \
             13, 25); 1 (lines 2, 14, 26); 2 (lines 3, 15, 27); 3 (lines 4, 16, 28); 4 (lines 5, 17, 29); 5 (lines 6, \
             18, 30); 6 (lines 7, 19, 31); 7 (lines 8, 20, 32); 8 (lines 9, 21, 33); 9 (lines 10, 22, 34)",
        ),
        later(
            BEFORE,
            "movies.jsonl: 1 record of Movie under a key that an earlier line has; keep one line for each: 1 (lines 1, \
             2)",
        ),
        fresh(
            "{\"id\":1,\"n\":18446744073709551616}\n",
            "movies.jsonl, line 1, field n: 18446744073709551616 is out of range: a whole number goes from \
             -9223372036854775808 to 18446744073709551615; correct it, or write it as a string in another field",
        ),
        later(
            &second("2009", "9223372036854775808"),
            "movies.jsonl, line 2, field year: 9223372036854775808 is out of range: i64 goes from -9223372036854775808 \
             to 9223372036854775807; correct it, or write it as a string in another field",
        ),
        later(
            &second("0.5", "9007199254740993"),
            "movies.jsonl, line 2, field score: 9007199254740993 can't be held exactly by f64; round it, or write it \
             as a string in another field",
        ),
        fresh(
            b"{\"id\":1}\n{\"id\":2,\"title\":\"\xc3\x28\"}\n",
            "movies.jsonl, line 2: not UTF-8 from byte 18 on; convert the file to UTF-8",
        ),
        fresh(
            format!("{{\"id\":1,\"title\":\"{}\"}}\n", "x".repeat(16 << 20)),
            "movies.jsonl, line 1, field title: the record passes 16777216 bytes here; split it, or keep large content \
             elsewhere",
        ),
        fresh(
            format!("{{\"id\":1,\"list\":[{}0]}}\n", "0,".repeat(1 << 24)),
            "movies.jsonl, line 1, field list[2097150]: the record passes 16777216 bytes here; split it, or keep large \
             content elsewhere",
        ),
        later(
            &second("2009", "2009,\"note\":\"new\""),
            "movies.jsonl, line 2, field note: not a field of the dataset's Movie; remove it, or run again with \
             --add-fields to add it as optional",
        ),
        fresh(
            "",
            "movies.jsonl: no records; a new type's schema is found from its records, so give it at least one line",
        ),
        // All kinds of mistakes are reported together, each at its first line.
        later(
            &[second("2009", "0.5"), second("2009", "1.5"), "{".to_owned(), second("\"score\":0.5,", "")].join("\n"),
            "3 kinds of mistakes:\n  movies.jsonl, line 2, field year: the number 0.5, but the dataset keeps i64; write a \
             whole number, or run again with --widen; 1 more line has this mistake\n  movies.jsonl, line 4: malformed JSON at \
             column 2: expected a field's name in quotes; correct the line\n  movies.jsonl, line 5, field score: missing, \
             but the dataset has no Option there (f64); give it a value, or run again with --optional",
        ),
    ]
}

#[test]
fn each_names_the_line_the_field_and_the_remedy() {
    let rows = rows();
    // Each has a separate dataset, some run at a time: a producer that closes waits for its last heartbeat.
    for rows in rows.chunks(6) {
        std::thread::scope(|scope| {
            rows.iter().for_each(|row| drop(scope.spawn(|| check(row))));
        });
    }
}

fn check(row: &Row) {
    let desk = Desk::new();
    let arguments = ["run", "catalog", "movies.jsonl", "--type", "Movie", "--key", "id"];
    if let Some(before) = row.before {
        desk.write("movies.jsonl", before);
        desk.succeed(&arguments);
    }
    desk.write("movies.jsonl", &row.file);
    let output = desk.command(&arguments);
    assert_eq!(String::from_utf8_lossy(&output.stderr), format!("error: {}\n", row.said));
    assert_eq!(output.status.code(), Some(1), "{}", row.said);
}

#[test]
fn wrong_use_ends_with_two() {
    let desk = Desk::new();
    desk.write("movies.jsonl", BEFORE);
    desk.run(&["--key", "id"]);
    let run = |dataset: &str, more: &[&str]| desk.fail(&[&["run", dataset, "movies.jsonl", "--type"], more].concat());
    let new = run("other", &["Movie"]);
    assert_eq!(new, (2, "error: Movie is new to the dataset; name its key with --key FIELD\n".to_owned()));
    let key = run("catalog", &["Movie", "--key", "title,id"]);
    let said = "error: Movie has the key id in the dataset, and a key never changes; leave --key out, or publish under \
                another --type\n";
    assert_eq!(key, (2, said.to_owned()));
    let component = run("catalog", &["Movie.cast"]);
    let said =
        "error: Movie.cast is a component type in the dataset, and only root types are published; name a root type\n";
    assert_eq!(component, (2, said.to_owned()));
    let (code, said) = run("ftp://x/y", &["Movie"]);
    assert!(code == 2 && said.contains("`ftp://` is none of s3://"), "{code} {said}");
    let (code, said) = run("catalog", &["Movie", "--option", "colour=blue"]);
    assert!(code == 2 && said.contains("unknown option `colour`"), "{code} {said}");
    for wrong in [&["run"][..], &["fly"], &["log"], &["republish", "catalog", "two"], &["log", "x", "--option", "y"]] {
        let (code, said) = desk.fail(wrong);
        assert!(code == 2 && said.starts_with("error: "), "{wrong:?}: {code} {said}");
    }
}

#[test]
fn what_is_not_there_is_named() {
    let desk = Desk::new();
    let (code, said) = desk.fail(&["log", "catalog"]);
    assert!(code == 2 && said.contains("/catalog: nothing was published there yet, or the URL is wrong"), "{said}");
    let (code, said) = desk.fail(&["run", "catalog", "none.jsonl", "--type", "Movie", "--key", "id"]);
    let expected = "error: none.jsonl: can't be read: No such file or directory (os error 2); check the path and its permissions\n";
    assert_eq!((code, said.as_str()), (1, expected));
    desk.write("movies.jsonl", BEFORE);
    desk.run(&["--key", "id"]);
    let (code, said) = desk.fail(&["republish", "catalog", "77"]);
    assert!(
        code == 1
            && said.starts_with(
                "error: version 77 can't be republished: the log has no version 77: it was trimmed, or is no version"
            ),
        "{said}"
    );
}
