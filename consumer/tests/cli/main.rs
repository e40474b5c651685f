//! The program `cenote-consumer`, run as a process, on datasets that the producer library publishes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cenote_consumer::Record;
use cenote_producer::Producer;
use serde::Deserialize;
use serde_json::{Value, json as value};
use tempfile::TempDir;

/// A record, which the tests also have as a line of JSON.
#[derive(Record, Deserialize)]
#[record(key = "id")]
struct Movie {
    id: i64,
    title: String,
    score: Option<f64>,
    cast: Vec<Cast>,
}

#[derive(Record, Deserialize)]
#[record(name = "Movie.cast")]
struct Cast {
    name: String,
}

/// A folder with a dataset in it, `catalog`.
struct Catalog {
    folder: TempDir,
}

impl Catalog {
    fn new() -> Catalog {
        Catalog { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("catalog")
    }

    /// Publishes the releases one after another, with a snapshot of the first; returns their versions.
    fn publish(&self, releases: &[&str]) -> Vec<u64> {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let builder = Producer::builder(self.path().to_str().expect("a plain path")).with::<Movie>();
            let builder = builder.snapshots(cenote_producer::SnapshotPolicy::Manual);
            let mut producer = builder.open().await.expect("it opens");
            let mut versions = Vec::new();
            for release in releases {
                let cycled = producer.cycle(async |writer| {
                    release.lines().try_for_each(|line| Ok(writer.add(&serde_json::from_str::<Movie>(line)?)?))
                });
                versions.push(cycled.await.expect("it commits").version().0);
                if versions.len() == 1 {
                    producer.snapshot().await.expect("a snapshot");
                }
            }
            // The last hint names the end of the log, so that a newest entry that is deleted is missed.
            producer.close().await.expect("it closes");
            versions
        })
    }

    fn command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cenote-consumer"));
        command.current_dir(self.folder.path()).args(arguments).env_remove("RUST_LOG");
        command.output().expect("the binary runs")
    }

    /// The output of a command that succeeds.
    fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "", "{arguments:?}: progress is for terminals");
        text(&output.stdout)
    }

    /// The exit code and the message of a command that fails.
    fn fail(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.command(arguments);
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
        (output.status.code().expect("it was not killed"), text(&output.stderr))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is UTF-8")
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("output is JSON")
}

const FIRST: &str = r#"{"id":1,"title":"Up","score":0.1,"cast":[{"name":"Ann"},{"name":"Bo"}]}
{"id":2,"title":"Down \"é\"","score":-1e300,"cast":[]}
{"id":-3,"title":"","score":null,"cast":[{"name":"Ann"}]}
"#;
const SECOND: &str = r#"{"id":1,"title":"Up","score":0.2,"cast":[{"name":"Ann"},{"name":"Bo"}]}
{"id":-3,"title":"","score":null,"cast":[{"name":"Ann"}]}
{"id":4,"title":"Right","score":4.0,"cast":[{"name":"Cy"}]}
"#;

#[test]
fn records_come_out_as_they_went_in() {
    let catalog = Catalog::new();
    catalog.publish(&[FIRST]);
    let scanned = catalog.succeed(&["scan", "catalog", "Movie"]);
    let records = |text: &str| text.lines().map(parsed).collect::<Vec<_>>();
    assert_eq!(records(&scanned), records(FIRST));
    assert_eq!(records(&catalog.succeed(&["scan", "catalog", "Movie", "--json", "--limit", "2"])), records(FIRST)[..2]);
    assert_eq!(catalog.succeed(&["scan", "catalog", "Movie.cast", "--limit", "0"]), "");
    assert_eq!(catalog.succeed(&["scan", "catalog", "Movie.cast"]), "{\"name\":\"Ann\"}\n{\"name\":\"Bo\"}\n");

    let got = catalog.succeed(&["get", "catalog", "Movie", "1"]);
    assert_eq!(got, format!("{}\n", FIRST.lines().next().expect("a line")), "one line: no terminal");
    assert_eq!(parsed(&catalog.succeed(&["get", "catalog", "Movie", "-3", "--json"]))["score"], Value::Null);
}

#[test]
fn the_newest_version_is_read() {
    let catalog = Catalog::new();
    let versions = catalog.publish(&[FIRST, SECOND]);
    assert_eq!(parsed(&catalog.succeed(&["get", "catalog", "Movie", "1"]))["score"], value!(0.2));
    let message = format!("error: no Movie has the key 2 in version {}\n", versions[1]);
    assert_eq!(catalog.fail(&["get", "catalog", "Movie", "2"]), (1, message));
}

#[test]
fn stats_are_those_of_the_newest_version() {
    let catalog = Catalog::new();
    let versions = catalog.publish(&[FIRST, SECOND]);
    let stats = parsed(&catalog.succeed(&["stats", "catalog", "--json"]));
    assert_eq!((&stats["version"], &stats["dataset"]), (&value!(versions[1]), &value!("catalog")));
    let [movies, cast] = [&stats["types"][0], &stats["types"][1]];
    assert_eq!((&movies["type"], &movies["kind"], &movies["records"]), (&value!("Movie"), &value!("root"), &value!(3)));
    assert_eq!((&cast["type"], &cast["records"]), (&value!("Movie.cast"), &value!(3)));
    let numbers = ["bytes", "dead_rows", "segments", "key_index_bytes"].map(|name| movies[name].as_u64().expect(name));
    assert!(numbers[0] > numbers[3] && numbers[2] == 1 && numbers[3] > 0, "{numbers:?}");
    let sum: u64 = [movies, cast].iter().map(|of_type| of_type["bytes"].as_u64().expect("bytes")).sum();
    assert_eq!(stats["bytes"], value!(sum));

    let shown = catalog.succeed(&["stats", "catalog"]);
    assert!(shown.starts_with(&format!("version {}, committed at 20", versions[1])), "{shown}");
    let words = |line: &str| line.split_whitespace().take(3).map(str::to_owned).collect::<Vec<_>>();
    assert!(shown.lines().any(|line| words(line) == ["Movie.cast", "component", "3"]), "{shown}");
}

#[test]
fn a_whole_version_is_verified() {
    let catalog = Catalog::new();
    let versions = catalog.publish(&[FIRST, SECOND]);
    let verified = parsed(&catalog.succeed(&["verify", "catalog", "--json"]));
    assert_eq!((&verified["whole"], &verified["version"]), (&value!(true), &value!(versions[1])));
    assert_eq!((&verified["snapshots"], &verified["deltas"]), (&value!([versions[0]]), &value!(2)), "{verified}");
    let types = value!([
        { "type": "Movie", "kind": "root", "records": 3, "references": 0, "dangling_keys": 0 },
        { "type": "Movie.cast", "kind": "component", "records": 3, "references": 4, "dangling_keys": 0 },
    ]);
    assert_eq!(verified["types"], types);
    assert_eq!(verified["digest"], parsed(&catalog.succeed(&["stats", "catalog", "--json"]))["digest"]);

    let old = catalog.succeed(&["verify", "catalog", "--version", &versions[0].to_string()]);
    assert!(old.contains("Movie.cast: 2 records hashed, all referred to, 3 times\n"), "{old}");
    assert!(old.contains(&format!("version {} is whole: digest ", versions[0])), "{old}");
    let (code, message) = catalog.fail(&["verify", "catalog", "--version", "99"]);
    assert_eq!(
        (code, message),
        (1, format!("error: there is no version 99 in the log: the newest is {}\n", versions[1]))
    );
    let (code, message) = catalog.fail(&["verify", "catalog", "--version", "1"]);
    assert!(code == 1 && message.starts_with("error: there is no version 1 in the log: "), "{message}");
}

/// The only file in a folder of the dataset.
fn only_file(folder: &Path) -> PathBuf {
    let mut files = std::fs::read_dir(folder).expect("the folder is there");
    let file = files.next().expect("a file").expect("it can be read").path();
    assert!(files.next().is_none(), "one file in {}", folder.display());
    file
}

#[test]
fn damage_is_found_and_named() {
    let catalog = Catalog::new();
    let versions = catalog.publish(&[FIRST, SECOND]);
    let snapshot = only_file(&catalog.path().join("snapshots"));
    let entry = |version: u64| catalog.path().join(format!("log/{version:020}"));
    for (file, name) in [(snapshot.clone(), "snapshots/"), (entry(versions[1]), "log/"), (entry(versions[0]), "log/")] {
        let good = std::fs::read(&file).expect("it can be read");
        for at in [0, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            std::fs::write(&file, &bad).expect("it can be written");
            let (code, message) = catalog.fail(&["verify", "catalog"]);
            assert!(code == 1 && message.contains(name), "byte {at} of {}: {code} {message}", file.display());
        }
        std::fs::write(&file, &good[..good.len() - 1]).expect("it can be written");
        let (code, message) = catalog.fail(&["verify", "catalog"]);
        assert!(code == 1 && message.contains(name), "cut off: {code} {message}");
        std::fs::remove_file(&file).expect("it can be removed");
        let (code, message) = catalog.fail(&["verify", "catalog"]);
        assert!(code == 1 && message.contains("missing"), "missing: {code} {message}");
        std::fs::write(&file, &good).expect("it can be written");
    }
    catalog.succeed(&["verify", "catalog"]);
}

#[test]
fn damage_is_reported_as_json() {
    let catalog = Catalog::new();
    let versions = catalog.publish(&[FIRST, SECOND]);
    let entry = catalog.path().join(format!("log/{:020}", versions[1]));
    let mut bytes = std::fs::read(&entry).expect("it can be read");
    bytes[100] ^= 0x10;
    std::fs::write(&entry, &bytes).expect("it can be written");
    let output = catalog.command(&["verify", "catalog", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let damage = parsed(&text(&output.stdout));
    assert_eq!((&damage["whole"], &damage["dataset"]), (&value!(false), &value!("catalog")));
    let message = damage["error"].as_str().expect("a message");
    assert!(message.contains(&format!("log/{:020}", versions[1])), "{message}");
    assert_eq!(text(&output.stderr), format!("error: {message}\n"));
}

#[test]
fn a_snapshot_of_another_dataset_is_found() {
    let (catalog, other) = (Catalog::new(), Catalog::new());
    catalog.publish(&[FIRST]);
    other.publish(&[FIRST]);
    let [own, foreign] = [&catalog, &other].map(|catalog| only_file(&catalog.path().join("snapshots")));
    std::fs::copy(foreign, own).expect("it can be copied");
    let (code, message) = catalog.fail(&["verify", "catalog"]);
    assert!(code == 1 && message.contains("is not the object that version 2 names"), "{code} {message}");
}

#[test]
fn wrong_use_ends_with_two_and_a_wrong_name_with_one() {
    let catalog = Catalog::new();
    let (code, message) = catalog.fail(&["stats", "catalog"]);
    assert!(
        code == 2 && message.contains("/catalog: nothing was published there yet, or the URL is wrong"),
        "{message}"
    );
    catalog.publish(&[FIRST]);
    let message = "error: the dataset has no type Film; it has Movie, Movie.cast\n".to_owned();
    assert_eq!(catalog.fail(&["scan", "catalog", "Film"]), (1, message));
    let message = "error: \"two\" is no i64, which the key (id) of Movie needs\n".to_owned();
    assert_eq!(catalog.fail(&["get", "catalog", "Movie", "two"]), (2, message));
    let message = "error: Movie.cast is a component and has no key; look at the records that hold it\n".to_owned();
    assert_eq!(catalog.fail(&["get", "catalog", "Movie.cast", "Ann"]), (2, message));
    let (code, message) = catalog.fail(&["stats", "ftp://x/y"]);
    assert!(code == 2 && message.contains("`ftp://` is none of s3://"), "{code} {message}");
    for wrong in [&["get", "catalog"][..], &["fly"], &["scan", "catalog", "Movie", "--limit", "x"], &["verify"]] {
        let (code, message) = catalog.fail(wrong);
        assert!(code == 2 && message.starts_with("error: "), "{wrong:?}: {code} {message}");
    }
}

#[test]
fn help_has_examples() {
    let catalog = Catalog::new();
    for arguments in
        [&["--help"][..], &["get", "--help"], &["scan", "--help"], &["stats", "--help"], &["verify", "--help"]]
    {
        let help = catalog.succeed(arguments);
        assert!(help.contains("Examples:\n  cenote-consumer "), "{help}");
    }
}
