//! Programs that wait, and programs that are told to end.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cenote_store::env::Env;

use crate::{Desk, FIRST};

/// A `run` that owns the dataset and waits for more records, and the end of the pipe that it reads.
struct Busy {
    child: Child,
    pipe: File,
}

impl Busy {
    async fn start(desk: &Desk) -> Busy {
        let pipe = desk.path("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().expect("there is mkfifo").success());
        let mut command = Command::new(env!("CARGO_BIN_EXE_cenote-producer"));
        command.current_dir(desk.folder.path()).args(["run", "catalog", "pipe", "--type", "Movie"]);
        command.args(["--owner", "night-job"]).stderr(Stdio::piped());
        let child = command.spawn().expect("the binary runs");
        // Opens as soon as the program opens its end.
        let mut pipe = Env::system().cpu(move || File::options().write(true).open(pipe)).await;
        pipe.as_mut().expect("no panic").as_mut().expect("it opens").write_all(b"{\"id\":1,").expect("it is read");
        while !owns(&desk.path("catalog/hint"), "night-job") {
            Env::system().sleep(Duration::from_millis(10)).await;
        }
        Busy { child, pipe: pipe.expect("no panic").expect("it opens") }
    }

    fn signal(&self, name: &str) {
        let kill = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(kill.expect("there is kill").success());
    }
}

fn owns(hint: &Path, owner: &str) -> bool {
    std::fs::read(hint).is_ok_and(|bytes| bytes.windows(owner.len()).any(|window| window == owner.as_bytes()))
}

fn published() -> Desk {
    let desk = Desk::new();
    desk.write("movies.jsonl", FIRST);
    desk.run(&["--key", "id"]);
    desk
}

#[tokio::test]
async fn a_program_that_is_told_to_end_says_goodbye_and_the_next_need_not_wait() {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let desk = published();
        let mut busy = Busy::start(&desk).await;
        busy.signal(signal);
        let mut said = String::new();
        busy.child.stderr.take().expect("it is piped").read_to_string(&mut said).expect("it is UTF-8");
        let ended = busy.child.wait().expect("it ends");
        assert_eq!(ended.code(), Some(code), "{said}");
        assert!(said.starts_with(&format!("SIG{signal}: stopping")), "{said}");
        assert!(!owns(&desk.path("catalog/hint"), "night-job"));
        // `succeed` checks that nothing is said on stderr: there is nothing to wait for.
        assert!(desk.run(&[]).starts_with("unchanged"));
        drop(busy.pipe);
    }
}

#[tokio::test]
async fn a_program_that_waits_says_for_whom_and_since_when_and_the_other_learns_by_whom_it_is_fenced() {
    let desk = published();
    let mut busy = Busy::start(&desk).await;
    let mut next = Command::new(env!("CARGO_BIN_EXE_cenote-producer"));
    next.current_dir(desk.folder.path()).args(["run", "catalog", "movies.jsonl", "--type", "Movie"]);
    let mut next = next.stderr(Stdio::piped()).spawn().expect("the binary runs");
    let mut line = String::new();
    BufReader::new(next.stderr.take().expect("it is piped")).read_line(&mut line).expect("it is UTF-8");
    assert!(line.starts_with("waiting for night-job (epoch 2), last heard of at 20"), "{line}");
    assert!(line.trim_end().ends_with("s of silence; --take-over takes it over at once"), "{line}");
    next.kill().expect("it can be killed");
    next.wait().expect("it ends");
    // The same with the flag does not wait.
    desk.run(&["--take-over", "--owner", "day-job"]);
    busy.pipe.write_all(b"\"title\":\"Up\",\"cast\":[]}\n").expect("it is read");
    drop(busy.pipe);
    let mut said = String::new();
    busy.child.stderr.take().expect("it is piped").read_to_string(&mut said).expect("it is UTF-8");
    assert_eq!(busy.child.wait().expect("it ends").code(), Some(1), "{said}");
    assert!(said.contains("fenced: day-job opened epoch 3 at log position"), "{said}");
}

/// A typing error with `--take-over` must fence nobody.
#[test]
fn the_input_is_opened_before_the_log() {
    let desk = published();
    let before = std::fs::read_dir(desk.path("catalog/log")).expect("it is there").count();
    let (code, said) = desk.fail(&["run", "catalog", "moves.jsonl", "--type", "Movie", "--take-over"]);
    assert!(code != 0 && said.contains("moves.jsonl"), "{said}");
    assert_eq!(std::fs::read_dir(desk.path("catalog/log")).expect("it is there").count(), before, "no new entry");
}

/// `close` does not wait until another hint may be put.
#[tokio::test]
async fn closing_waits_for_nothing() {
    let env = Env::system();
    let desk = published();
    let started = env.instant();
    for _ in 0..5 {
        desk.run(&[]);
    }
    assert!(env.instant() - started < Duration::from_secs(5), "a second each: the hint's gap");
}
