//! Programs that wait, and programs that are asked to end.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use cenote_producer::{Producer, Version};
use cenote_store::env::Env;
use cenote_store::error::with_sources;

use crate::{Desk, FIRST, SECOND};

fn command(desk: &Desk, file: &str, owner: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cenote-producer"));
    command.current_dir(desk.folder.path()).args(["run", "catalog", file, "--type", "Movie", "--owner", owner]);
    command.env_remove("RUST_LOG").stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn owns(hint: &Path, owner: &str) -> bool {
    std::fs::read(hint).is_ok_and(|bytes| bytes.windows(owner.len()).any(|window| window == owner.as_bytes()))
}

/// A dataset of two versions.
fn published() -> Desk {
    let desk = Desk::new();
    desk.write("movies.jsonl", FIRST);
    desk.run(&["--key", "id"]);
    desk.write("movies.jsonl", SECOND);
    desk.run(&["--max-removed", "100%", "--max-changed", "100%"]);
    desk
}

/// Signals a program while it publishes a file that takes it a while. Returns how it ended, and what it said.
async fn stopped(desk: &Desk, signal: &str) -> (Option<i32>, String) {
    let hint = desk.path("catalog/hint");
    for records in [100_000, 400_000, 1_600_000] {
        let lines = (0..records).map(|id| format!("{{\"id\":{id},\"title\":\"movie {id}\",\"cast\":[]}}\n"));
        desk.write("large.jsonl", lines.collect::<String>());
        let mut child = command(desk, "large.jsonl", "night-job").spawn().expect("the binary runs");
        let is_done = loop {
            if owns(&hint, "night-job") {
                break false;
            }
            if child.try_wait().expect("it can be asked").is_some() {
                break true;
            }
            Env::system().sleep(Duration::from_millis(2)).await;
        };
        if !is_done {
            let kill = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
            kill.expect("there is kill");
        }
        let mut said = String::new();
        child.stderr.take().expect("it is piped").read_to_string(&mut said).expect("it is UTF-8");
        let code = child.wait().expect("it ends").code();
        // Else it was faster than the signal.
        if code != Some(0) {
            return (code, said);
        }
    }
    panic!("no file is large enough");
}

#[tokio::test]
async fn a_program_that_is_told_to_end_says_goodbye_and_the_next_need_not_wait() {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let desk = published();
        let (ended, said) = stopped(&desk, signal).await;
        assert_eq!(ended, Some(code), "{said}");
        assert!(said.starts_with(&format!("SIG{signal}: stopping")), "{said}");
        assert!(!owns(&desk.path("catalog/hint"), "night-job"));
        // `succeed` checks that nothing is said on stderr: there is nothing to wait for.
        assert!(desk.run(&[]).starts_with("unchanged"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_waits_says_for_whom_and_since_when_and_who_is_fenced_learns_by_whom() {
    let desk = published();
    let catalog = desk.path("catalog").to_str().expect("it is UTF-8").to_owned();
    let builder = Producer::builder(catalog).owner("night-job");
    let mut busy = builder.declare_with(|dataset, registry| Ok(registry.with_schema(dataset))).open().await.unwrap();
    let mut next = command(&desk, "movies.jsonl", "day-job").spawn().expect("the binary runs");
    let mut line = String::new();
    BufReader::new(next.stderr.take().expect("it is piped")).read_line(&mut line).expect("it is UTF-8");
    next.kill().expect("it can be killed");
    next.wait().expect("it ends");
    assert!(line.starts_with("waiting for night-job (epoch "), "{line}");
    assert!(line.contains("), last heard of at 20"), "{line}");
    assert!(line.trim_end().ends_with("s of silence; --take-over takes it over at once"), "{line}");
    // With the flag it does not wait.
    desk.write("movies.jsonl", SECOND.replace("Up", "Upper"));
    desk.run(&["--take-over", "--owner", "day-job"]);
    let error = busy.republish(Version(2)).await.expect_err("it is fenced");
    assert!(error.is_fenced() && with_sources(&error).starts_with("fenced: day-job opened epoch"), "{error}");
}

/// A typing error with `--take-over` must fence no producer.
#[test]
fn the_input_is_opened_before_the_log() {
    let desk = published();
    let before = std::fs::read_dir(desk.path("catalog/log")).expect("it is there").count();
    let (code, said) = desk.fail(&["run", "catalog", "moves.jsonl", "--type", "Movie", "--take-over"]);
    assert!(code != 0 && said.contains("moves.jsonl"), "{said}");
    assert_eq!(std::fs::read_dir(desk.path("catalog/log")).expect("it is there").count(), before, "no new entry");
}
