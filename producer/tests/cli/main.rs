//! The real `cenote-producer`, run as people run it.

mod care;
mod errors;
mod limits;
mod schema;
#[cfg(unix)]
mod stopping;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A folder in which commands are run; the dataset is `catalog` in it.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Desk {
        Desk { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).expect("the temporary folder can be written");
    }

    fn command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cenote-producer"));
        command.current_dir(self.folder.path()).args(arguments).env_remove("RUST_LOG");
        command.output().expect("the binary runs")
    }

    /// The same with this as its standard input.
    fn command_with(&self, arguments: &[&str], input: &str) -> Output {
        use std::io::Write;

        let mut command = Command::new(env!("CARGO_BIN_EXE_cenote-producer"));
        command.current_dir(self.folder.path()).args(arguments).env_remove("RUST_LOG");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        let mut stdin = child.stdin.take().expect("it is piped");
        stdin.write_all(input.as_bytes()).expect("it reads its input");
        drop(stdin);
        child.wait_with_output().expect("it ends")
    }

    /// The names of the dataset's objects.
    fn objects(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.path("catalog")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten() {
                let path = entry.expect("an entry").path();
                if path.is_dir() { folders.push(path) } else { found.push(path) }
            }
        }
        found.sort();
        found
    }

    /// What a command that succeeds prints.
    fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "", "{arguments:?}: progress is for terminals");
        text(&output.stdout)
    }

    /// What a command that fails says, and how it ends.
    fn fail(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.command(arguments);
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
        (output.status.code().expect("it was not killed"), text(&output.stderr))
    }

    fn run(&self, more: &[&str]) -> String {
        self.succeed(&[&["run", "catalog", "movies.jsonl", "--type", "Movie"], more].concat())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is UTF-8")
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("output is JSON")
}

const FIRST: &str = r#"{"id":1,"title":"Up","year":2009,"cast":[{"name":"Ann"},{"name":"Bo"}],"note":null}
{"id":2,"title":"Down","cast":[]}
{"id":3,"title":"Left","year":1999,"cast":[{"name":"Ann"}]}
"#;
const SECOND: &str = r#"{"id":1,"title":"Up","year":2010,"cast":[{"name":"Ann"},{"name":"Bo"}]}
{"id":3,"title":"Left","year":1999,"cast":[{"name":"Ann"}]}
{"id":4,"title":"Right","year":null,"cast":[{"name":"Cy"}]}
{"id":5,"title":"Back","cast":[]}
"#;

#[test]
fn releases_are_published_listed_and_brought_back() {
    let desk = Desk::new();
    desk.write("movies.jsonl", FIRST);
    let first = desk.run(&["--key", "id", "--tag", "release=1"]);
    let (schema, summary) = first.trim_end().rsplit_once('\n').expect("a schema and a summary");
    assert_eq!(
        schema,
        "schema, from movies.jsonl:\nMovie (root, key id)\n    id: i64\n    title: String\n    year: Option<i64>\n    \
         cast: Vec<Movie.cast>\nMovie.cast (component)\n    name: String\nleft out, null or empty on every line: note"
    );
    let expected = "version 2: 3 added, 0 changed, 0 removed: now 3 records of Movie; components: 2 added, 0 removed; \
                    the schema changed; delta of ";
    assert!(summary.starts_with(expected), "{summary}");

    let again = desk.run(&[]);
    assert_eq!(again, "unchanged: version 2 has the same 3 records of Movie; nothing was written\n");

    desk.write("movies.jsonl", SECOND);
    let second = json(&desk.run(&["--json", "--owner", "tests"]));
    let counts = ["added", "changed", "removed", "components_added", "components_removed", "records"];
    assert_eq!(counts.map(|name| second[name].as_u64().expect(name)), [2, 1, 1, 1, 0, 4], "{second}");
    assert_eq!((&second["unchanged"], &second["schema_changed"]), (&Value::Bool(false), &Value::Bool(false)));
    let version = second["version"].as_u64().expect("a version");

    let back = desk.succeed(&["republish", "catalog", "2", "--max-removed", "2"]);
    let expected = "is version 2 again: 1 added, 1 changed, 2 removed: now 3 records of all root types";
    assert!(back.contains(expected), "{back}");
    let again = desk.succeed(&["republish", "catalog", "--json", "2"]);
    assert_eq!(json(&again)["unchanged"], Value::Bool(true), "{again}");

    let log = desk.succeed(&["log", "catalog", "--json"]);
    let entries: Vec<Value> = log.lines().map(json).collect();
    let positions: Vec<u64> = entries.iter().map(|entry| entry["position"].as_u64().expect("a position")).collect();
    assert!(positions.windows(2).all(|pair| pair[1] == pair[0] + 1), "dense: {positions:?}");
    let commits: Vec<&Value> = entries.iter().filter(|entry| entry["kind"] == "commit").collect();
    let last = commits.last().expect("at least one commit");
    assert_eq!((&last["republishes"], &last["records"]["Movie"]), (&2.into(), &3.into()), "{last}");
    let one = commits.iter().find(|commit| commit["position"] == version).expect("the second release");
    assert_eq!(one["records"], serde_json::json!({ "Movie": 4, "Movie.cast": 3 }));
    assert!(entries.iter().any(|entry| entry["owner"] == "tests"), "{log}");

    let log = desk.succeed(&["log", "catalog"]);
    assert!(log.starts_with("position  time "), "{log}");
    assert!(log.contains("version 2 again; Movie 3, Movie.cast 2; delta of "), "{log}");
    assert_eq!(log.lines().count(), entries.len() + 1);
}

#[test]
fn tags_and_the_first_commit_are_in_the_log() {
    let desk = Desk::new();
    desk.write("movies.jsonl", FIRST);
    desk.run(&["--key", "id", "--tag", "release=1", "--tag", "by=me"]);
    let log = desk.succeed(&["log", "catalog", "--json"]);
    let commit = log.lines().map(json).find(|entry| entry["kind"] == "commit").expect("the commit");
    assert_eq!(commit["tags"], serde_json::json!({ "by": "me", "release": "1" }));
    assert_eq!(
        (&commit["position"], &commit["parent"], &commit["schema_changed"]),
        (&2.into(), &0.into(), &true.into())
    );
}

#[test]
fn fields_are_added_when_asked_for() {
    let desk = Desk::new();
    desk.write("movies.jsonl", "{\"id\":1,\"a\":1,\"c\":{\"x\":1}}");
    desk.run(&["--key", "id"]);
    desk.write("movies.jsonl", "{\"id\":1,\"a\":1,\"b\":\"new\",\"c\":{\"x\":1,\"y\":true}}");
    let added = desk.run(&["--add-fields"]);
    assert!(added.contains("    b: Option<String>\n"), "{added}");
    assert!(added.contains("    y: Option<bool>\n"), "{added}");
    assert!(added.contains("version "), "{added}");
    assert!(desk.run(&[]).starts_with("unchanged: "), "the added fields are the dataset's from now on");
}

#[test]
fn other_types_stay_as_they_are() {
    let desk = Desk::new();
    desk.write("movies.jsonl", FIRST);
    desk.run(&["--key", "id"]);
    desk.write("cities.jsonl", "{\"at\":{\"country\":\"nl\"},\"name\":\"Delft\"}");
    let arguments = ["run", "catalog", "cities.jsonl", "--type", "City", "--key", "at.country,name"];
    desk.succeed(&arguments);
    assert!(desk.succeed(&arguments).starts_with("unchanged: "));
    assert!(desk.run(&["--key", "id"]).starts_with("unchanged: "));
}

#[test]
fn a_type_is_emptied_only_if_that_is_meant() {
    let desk = Desk::new();
    desk.write("movies.jsonl", FIRST);
    desk.run(&["--key", "id"]);
    desk.write("movies.jsonl", "\n");
    let arguments = ["run", "catalog", "movies.jsonl", "--type", "Movie"];
    let expected = "error: movies.jsonl has 0 records and --min-records asks for 1; if it is meant to have no more, add \
                    --min-records 0\n";
    assert_eq!(desk.fail(&arguments), (1, expected.to_owned()));
    let expected = "error: it would remove 3 records of 3 records of Movie, more than --max-removed 10% allows; if you mean \
                    that, add --max-removed 3; --dry-run shows the records\n";
    assert_eq!(desk.fail(&[&arguments[..], &["--min-records", "0"]].concat()), (1, expected.to_owned()));
    let emptied = desk.run(&["--min-records", "0", "--max-removed", "100%"]);
    assert!(emptied.contains(": 0 added, 0 changed, 3 removed: now 0 records of Movie"), "{emptied}");
}

#[test]
fn help_has_examples() {
    let desk = Desk::new();
    for arguments in
        [&["--help"][..], &["run", "--help"], &["log", "--help"], &["republish", "--help"], &["schema", "--help"]]
    {
        let help = desk.succeed(arguments);
        assert!(help.contains("Examples:\n  cenote-producer "), "{help}");
    }
    assert!(desk.succeed(&["--version"]).starts_with("cenote-producer "));
}

#[test]
fn nothing_is_made_where_nothing_is_published() {
    let desk = Desk::new();
    desk.write("movies.jsonl", "{\"id\":1");
    desk.fail(&["run", "catalog", "movies.jsonl", "--type", "Movie", "--key", "id"]);
    desk.fail(&["log", "catalog"]);
    desk.fail(&["republish", "catalog", "1"]);
    assert!(!Path::new(&desk.path("catalog")).exists());
}
