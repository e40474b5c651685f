//! What takes records away by accident is refused, with the option that allows it.

use std::fmt::Write;

use super::{Desk, FIRST, SECOND, json, text};

/// Records with these numbers.
fn lines(numbers: std::ops::Range<u32>) -> String {
    numbers.fold(String::new(), |mut lines, id| {
        writeln!(lines, "{{\"id\":{id},\"name\":\"n{id}\"}}").expect("text can be written to");
        lines
    })
}

#[test]
fn a_pipe_is_published_as_a_file_is() {
    let desk = Desk::new();
    for (dataset, file) in [("dash", "-"), ("device", "/dev/stdin")] {
        let arguments = ["run", dataset, file, "--type", "Movie", "--key", "id", "--json"];
        let output = desk.command_with(&arguments, FIRST);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let result = json(&text(&output.stdout));
        assert_eq!((&result["added"], &result["records"]), (&3.into(), &3.into()), "{file}: {result}");
        let again = json(&text(&desk.command_with(&arguments, FIRST).stdout));
        assert_eq!(again["unchanged"], true, "{file}: {again}");
    }
    let output = desk.command_with(&["run", "empty", "-", "--type", "Movie", "--key", "id"], "");
    let said = "error: standard input: no records; a new type's schema is found from its records, so give it at least one \
                line\n";
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(1), said));
    assert!(!desk.path("empty").exists());
}

#[cfg(unix)]
#[test]
fn a_named_pipe_is_read_before_the_dataset_is_taken() {
    let desk = Desk::new();
    let pipe = desk.path("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo makes a pipe");
    std::thread::scope(|scope| {
        scope.spawn(|| std::fs::write(&pipe, FIRST).expect("somebody reads"));
        let published = desk.succeed(&["run", "catalog", "pipe", "--type", "Movie", "--key", "id", "--json"]);
        assert_eq!(json(&published)["records"], 3);
    });
}

#[test]
fn a_file_that_was_cut_off_is_refused() {
    let desk = Desk::new();
    desk.write("movies.jsonl", lines(0..40));
    desk.run(&["--key", "id"]);
    let before = desk.objects();
    desk.write("movies.jsonl", lines(0..20));
    let arguments = ["run", "catalog", "movies.jsonl", "--type", "Movie"];
    let expected = "error: it would remove 20 records of 40 records of Movie, more than --max-removed 10% allows; if you \
                    mean that, add --max-removed 20; --dry-run shows the records\n";
    assert_eq!(desk.fail(&arguments), (1, expected.to_owned()));
    let commits = |desk: &Desk| {
        let log = desk.succeed(&["log", "catalog", "--json"]);
        log.lines().filter(|line| json(line)["kind"] == "commit").count()
    };
    assert_eq!(commits(&desk), 1, "nothing was published");
    assert!(before.iter().all(|object| object.exists()));
    // A tenth may go without a word.
    desk.write("movies.jsonl", lines(0..36));
    assert!(desk.run(&[]).contains(": 0 added, 0 changed, 4 removed: now 36 records of Movie"));
    desk.write("movies.jsonl", lines(0..20));
    assert!(desk.run(&["--max-removed", "50%"]).contains("16 removed"));
    desk.write("movies.jsonl", lines(0..10));
    assert!(desk.run(&["--max-removed", "10"]).contains("10 removed"));
}

#[test]
fn other_limits_are_those_that_are_asked_for() {
    let desk = Desk::new();
    desk.write("movies.jsonl", lines(0..20));
    desk.run(&["--key", "id"]);
    let changed = lines(0..20).replace("n1", "m1");
    desk.write("movies.jsonl", changed);
    let run = |more: &[&str]| desk.fail(&[&["run", "catalog", "movies.jsonl", "--type", "Movie"], more].concat());
    let expected = "error: it would change 11 records of 20 records of Movie, more than --max-changed 50% allows; if you mean \
                    that, add --max-changed 11; --dry-run shows the records\n";
    assert_eq!(run(&["--max-changed", "50%"]), (1, expected.to_owned()));
    let expected = "error: movies.jsonl has 20 records and --min-records asks for 21; if it is meant to have no more, add \
                    --min-records 20\n";
    assert_eq!(run(&["--min-records", "21"]), (1, expected.to_owned()));
    let (code, said) = run(&["--max-removed", "0.5"]);
    assert!(code == 2 && said.contains("0.5 is no limit; write a number of records"), "{said}");
    assert!(desk.run(&["--min-records", "20"]).contains("11 changed"));
}

#[test]
fn an_old_version_is_published_again_within_limits() {
    let desk = Desk::new();
    desk.write("movies.jsonl", lines(0..10));
    desk.run(&["--key", "id"]);
    let expected = "error: it would remove 10 records of 10 records of Movie, more than --max-removed 10% allows; if you \
                    mean that, add --max-removed 10; --dry-run shows the records\n";
    assert_eq!(desk.fail(&["republish", "catalog", "0"]), (1, expected.to_owned()));
    let dry = desk.succeed(&["republish", "catalog", "0", "--dry-run", "--max-removed", "100%"]);
    assert!(dry.starts_with(
        "dry run, nothing was written:\nMovie: 0 added, 0 changed, 10 removed: 0 records instead of 10\n"
    ));
    let republished = desk.succeed(&["republish", "catalog", "0", "--max-removed", "100%"]);
    assert!(republished.contains("10 removed: now 0 records"), "{republished}");
}

#[test]
fn a_dry_run_shows_the_records_and_writes_nothing() {
    let desk = Desk::new();
    desk.write("movies.jsonl", FIRST);
    let dry = desk.run(&["--key", "id", "--dry-run"]);
    assert!(dry.starts_with("schema, from movies.jsonl:\nMovie (root, key id)\n"), "{dry}");
    assert!(dry.contains("dry run, nothing was written:\nschema: type Movie is new\n"), "{dry}");
    assert!(dry.contains("Movie: 3 added, 0 changed, 0 removed: 3 records instead of 0\n  + {\"id\":1,"), "{dry}");
    assert!(!desk.path("catalog").exists());
    desk.run(&["--key", "id"]);
    let before = desk.objects();
    desk.write("movies.jsonl", SECOND);
    let dry = desk.run(&["--dry-run"]);
    let (_, changes) = dry.split_once("Movie: ").expect("the changes of movies");
    assert_eq!(
        changes,
        "2 added, 1 changed, 1 removed: 4 records instead of 3\n  - {\"id\":2,\"title\":\"Down\",\"year\":null,\"cast\":[]}\n  \
         ~ 1: year: 2009 -> 2010\n  + {\"id\":4,\"title\":\"Right\",\"year\":null,\"cast\":[{\"name\":\"Cy\"}]}\n  + \
         {\"id\":5,\"title\":\"Back\",\"year\":null,\"cast\":[]}\n"
    );
    let as_json = json(&desk.run(&["--dry-run", "--json"]));
    assert_eq!((&as_json["dry_run"], &as_json["removed"]), (&true.into(), &1.into()), "{as_json}");
    assert_eq!(as_json["changes"]["Movie"]["removed"][0]["title"], "Down");
    assert_eq!(as_json["changes"]["Movie"]["changed"][0][1]["year"], 2010);
    desk.write("movies.jsonl", FIRST);
    assert!(desk.run(&["--dry-run"]).contains("unchanged: version 2 has the same records\n"));
    assert_eq!(desk.objects(), before, "not one object");
}
