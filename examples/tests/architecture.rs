//! Every file and item that ARCHITECTURE.md names exists: a map that lies is worse than none.

use std::path::Path;

/// The words in backquotes that look like a path of this repository.
fn named(text: &str) -> Vec<&str> {
    let quoted = text.split('`').skip(1).step_by(2);
    let crates = ["shared/", "producer/", "consumer/", "benches/", "examples/"];
    quoted.filter(|word| word.contains(".rs") && crates.iter().any(|name| word.starts_with(name))).collect()
}

/// Whether the source defines the item.
fn defines(source: &str, item: &str) -> bool {
    let kinds = ["fn", "struct", "enum", "trait", "type", "const", "static", "mod", "macro_rules!"];
    let ends = |rest: &str| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_');
    // Numbers are made by a macro, as `Version(u64)`.
    let made = format!("    {item}(u");
    let defined = |kind: &&str| {
        let start = format!("{kind} {item}");
        source.match_indices(&start).any(|(at, _)| ends(&source[at + start.len()..]))
    };
    source.contains(&made) || kinds.iter().any(defined)
}

/// Whether the item is a test: an attribute says so just before.
fn is_test(source: &str, item: &str) -> bool {
    let before = source.find(&format!("fn {item}(")).map_or("", |at| &source[..at]);
    let before = before.trim_end_matches("async ").trim_end();
    before.lines().next_back().is_some_and(|line| {
        let line = line.trim_start();
        line.starts_with("#[test]") || line.starts_with("#[tokio::test")
    })
}

/// The tests that are said to force an invariant.
fn forcing(text: &str) -> Vec<(&str, Vec<&str>)> {
    let lines = text.lines().filter_map(|line| Some((line.strip_prefix("| I")?, line)));
    let lines = lines.filter(|(rest, _)| rest.starts_with(|next: char| next.is_ascii_digit()));
    lines.map(|(_, line)| (line, tests_of(line))).collect()
}

/// The tests in the last column of a line.
fn tests_of(line: &str) -> Vec<&str> {
    named(line.trim_end_matches([' ', '|']).rsplit('|').next().unwrap_or(""))
}

/// Asserts that a line of the map names at least one test, and only tests.
fn check_tests(root: &Path, line: &str, tests: &[&str]) {
    assert!(!tests.is_empty(), "no test forces it: {line}");
    for (file, item) in tests.iter().filter_map(|word| word.split_once('#')) {
        let source = std::fs::read_to_string(root.join(file)).expect("it exists");
        assert!(is_test(&source, item), "{file} has no test {item}");
    }
}

#[test]
fn each_invariant_is_forced_by_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).expect("ARCHITECTURE.md is there");
    let forcing = forcing(&text);
    assert_eq!(forcing.len(), 12, "I1 to I12");
    for (line, tests) in forcing {
        check_tests(&root, line, &tests);
    }
}

#[test]
fn what_the_readme_says_next_to_hollow_is_shown_by_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |name: &str| std::fs::read_to_string(root.join(name)).expect("it is there");
    let (readme, map) = (read("README.md"), read("ARCHITECTURE.md"));
    let table = readme.split_once("| | Cenote | Netflix Hollow |").expect("the README has the table").1;
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let mut shown = 0;
    for row in rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>()) {
        if row[2] == "not yet" || row[1] == "languages" {
            continue;
        }
        let start = format!("| {} |", row[1]);
        let line = map.lines().find(|line| line.starts_with(&start));
        let line = line.unwrap_or_else(|| panic!("ARCHITECTURE.md names no test for the README's row: {}", row[1]));
        check_tests(&root, line, &tests_of(line));
        shown += 1;
    }
    assert!(shown > 10, "only {shown} rows: is the format of the table still the same?");
}

#[test]
fn what_the_map_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).expect("ARCHITECTURE.md is there");
    let words = named(&text);
    assert!(words.len() > 60, "only {} items are named: is the format of the tables still the same?", words.len());
    let mut missing = Vec::new();
    for word in words {
        let (file, item) = word.split_once('#').map_or((word, None), |(file, item)| (file, Some(item)));
        match std::fs::read_to_string(root.join(file)) {
            Err(_) => missing.push(format!("{file} does not exist")),
            Ok(source) => missing.extend(
                item.filter(|item| !defines(&source, item)).map(|item| format!("{file} does not define {item}")),
            ),
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
