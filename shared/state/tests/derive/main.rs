//! What `#[derive(Record)]` accepts, and what it reports for what it refuses.
//!
//! Each file in `pass` and `fail` is compiled alone, against the library that these tests link. Files in `pass` compile.
//! In `fail`, each line with `//~ text` must have an error with the text in its message or a note; a line may
//! ask for several texts. An error elsewhere in the file must repeat an expected one. (The usual tool for this builds all
//! dependencies a second time.) `other_crates` has the cases that need other crates, or a look at what was declared.

mod other_crates;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The library as cargo built it for this test: the newest, since each set of features has a separate one.
fn library() -> (PathBuf, PathBuf) {
    let deps = std::env::current_exe().expect("a test has a path").parent().expect("in a folder").to_owned();
    let files = std::fs::read_dir(&deps).expect("cargo's folder can be read");
    let libraries = files.filter_map(|file| {
        let path = file.ok()?.path();
        let name = path.file_name()?.to_str()?;
        let ours =
            name.starts_with("libcenote_state-") && path.extension().is_some_and(|extension| extension == "rlib");
        Some((path.metadata().and_then(|metadata| metadata.modified()).ok().filter(|_| ours)?, path))
    });
    let (_, newest) = libraries.max().expect("cargo builds the library before this test");
    (deps, newest)
}

/// The compiler's messages.
fn compile(file: &Path, lints: &[&str]) -> Vec<Value> {
    compile_in(file, lints, "cenote_state", Path::new(env!("CARGO_MANIFEST_DIR")))
}

/// The compiler's messages, in a package that has its manifest in `package` and the library by the name `library_name`.
fn compile_in(file: &Path, lints: &[&str], library_name: &str, package: &Path) -> Vec<Value> {
    let (deps, library) = library();
    let metadata = tempfile::tempdir().expect("a folder for the output");
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .env("CARGO_MANIFEST_DIR", package)
        .args(["--edition=2024", "--crate-type=lib", "--emit=metadata", "--error-format=json"])
        .args(lints)
        .arg("--extern")
        .arg(format!("{library_name}={}", library.display()))
        .arg("-L")
        .arg(format!("dependency={}", deps.display()))
        .arg("--out-dir")
        .arg(metadata.path())
        .arg(file)
        .output()
        .expect("rustc runs");
    let messages = String::from_utf8(output.stderr).expect("rustc speaks UTF-8");
    messages.lines().map(|line| serde_json::from_str(line).expect("a message is JSON")).collect()
}

/// The messages as a terminal shows them.
fn rendered(messages: &[Value]) -> String {
    messages.iter().filter_map(|message| message["rendered"].as_str()).collect()
}

/// An error's line and all that it says; none for the summary at the end.
fn error(file: &Path, message: &Value) -> Option<(u64, String)> {
    if message["level"] != "error" {
        return None;
    }
    let span = message["spans"].as_array()?.iter().find(|span| span["is_primary"] == true)?;
    // The user's line, not the macro's.
    let mut place = span;
    while !place["expansion"].is_null() && place["file_name"].as_str().map(Path::new) != Some(file) {
        place = &place["expansion"]["span"];
    }
    let notes = message["children"].as_array()?.iter().filter_map(|child| child["message"].as_str());
    let texts = std::iter::once(message["message"].as_str()?).chain(span["label"].as_str()).chain(notes);
    Some((place["line_start"].as_u64()?, texts.collect::<Vec<_>>().join("\n")))
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/derive").join(folder);
    let files = std::fs::read_dir(folder).expect("the cases are there");
    let mut files: Vec<_> = files.map(|file| file.expect("it can be listed").path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// What the compiler reports for a program that has the library as `cen`, and a manifest with these dependencies.
fn renamed(derive: &str, dependencies: &str) -> Vec<Value> {
    let package = tempfile::tempdir().expect("a folder for a package");
    let manifest = format!("[package]\nname = \"mine\"\n\n{dependencies}\n");
    std::fs::write(package.path().join("Cargo.toml"), manifest).expect("the manifest can be written");
    let code = format!(
        "use cen::__derive::{derive} as Record;
        #[derive(Record)]
        #[record(key = \"id\")]
        pub struct Movie {{ id: u64, mood: Mood }}
        #[derive(Clone, Copy, Debug, PartialEq, Record)]
        pub enum Mood {{ Calm }}"
    );
    let file = package.path().join("lib.rs");
    std::fs::write(&file, code).expect("the program can be written");
    compile_in(&file, &["-Adead_code"], "cen", package.path())
}

#[test]
fn a_library_may_have_another_name() {
    for (derive, dependencies) in [
        ("RecordOfConsumer", "[dependencies]\ncen = { package = \"cenote-consumer\", version = \"1\" }"),
        ("RecordOfProducer", "[dev-dependencies]\ncen = { package = \"cenote-producer\", path = \"..\" }"),
        ("RecordOfProducer", "[target.'cfg(unix)'.dependencies.cen]\npackage = \"cenote-producer\""),
        // The derive comes from a crate that exports it again; the program depends on the other library.
        ("RecordOfConsumer", "[dependencies]\nmodels = \"1\"\ncen = { package = \"cenote-producer\" }"),
        (
            "RecordOfConsumer",
            "[dependencies]\ncen.workspace = true\n[workspace.dependencies]\ncen = { package = \"cenote-consumer\" }",
        ),
    ] {
        let messages = renamed(derive, dependencies);
        assert!(messages.is_empty(), "{dependencies}: {}", rendered(&messages));
    }
}

#[test]
fn a_library_that_the_manifest_does_not_name_is_looked_for_as_it_is_published() {
    let messages = renamed("RecordOfConsumer", "[dependencies]\n");
    let said = rendered(&messages);
    assert!(said.contains("cenote_consumer"), "{said}");
}

#[test]
fn what_it_takes_compiles() {
    for file in files("pass") {
        let messages = compile(&file, &["-Wmissing_docs", "-Wunreachable_pub"]);
        assert!(messages.is_empty(), "{}", rendered(&messages));
    }
}

#[test]
fn what_it_refuses_is_reported_at_its_place() {
    for file in files("fail") {
        let source = std::fs::read_to_string(&file).expect("the case is there");
        let mut found: BTreeMap<u64, String> = BTreeMap::new();
        for (line, text) in compile(&file, &[]).iter().filter_map(|message| error(&file, message)) {
            found.entry(line).or_default().push_str(&text);
        }
        let mut problems = Vec::new();
        let all: Vec<&str> = source.lines().flat_map(|line| line.split("//~").skip(1).map(str::trim)).collect();
        for (line, code) in source.lines().enumerate().map(|(at, code)| (at as u64 + 1, code)) {
            let said = found.remove(&line).unwrap_or_default();
            let mut expected = code.split("//~").skip(1).map(str::trim).peekable();
            if expected.peek().is_none() && !said.is_empty() && !all.iter().any(|text| said.contains(text)) {
                problems.push(format!("line {line} should be fine and says: {said}"));
            }
            let missing = expected.filter(|text| !said.contains(text));
            problems.extend(missing.map(|text| format!("line {line} should say: {text}\nand says: {said}")));
        }
        problems.extend(found.into_iter().map(|(line, said)| format!("elsewhere, line {line}: {said}")));
        assert!(problems.is_empty(), "{}:\n{}", file.display(), problems.join("\n\n"));
    }
}
