//! Child processes: this program again, playing one part that the environment names.
//!
//! A child says a last word on its standard output, then waits to be killed, or ends.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use cenote_store::env::Env;
use cenote_store::storage::Storage;
use cenote_testing::faults::{Moment, StepStore};

use crate::diary::{Diary, life};
use crate::{disk, racing};

const PART: &str = "CENOTE_TEST_CHILD";
/// What a line of a child begins with: the test harness says other things.
const WORD: &str = "child says: ";

/// What a child does.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// Lives the diary's life; stands still at this store call.
    Life { dataset: PathBuf, diary: PathBuf, number: usize, moment: Moment },
    /// Races a rival for the dataset.
    Racer { dataset: PathBuf, name: String },
    /// Publishes more than the disk takes.
    FullDisk { dataset: PathBuf },
}

impl Part {
    fn encode(&self) -> String {
        match self {
            Part::Life { dataset, diary, number, moment } => {
                format!("life|{}|{}|{number}|{moment:?}", dataset.display(), diary.display())
            }
            Part::Racer { dataset, name } => format!("racer|{}|{name}", dataset.display()),
            Part::FullDisk { dataset } => format!("disk|{}", dataset.display()),
        }
    }

    fn decode(text: &str) -> Part {
        let parts: Vec<&str> = text.split('|').collect();
        match *parts {
            ["life", dataset, diary, number, moment] => Part::Life {
                dataset: dataset.into(),
                diary: diary.into(),
                number: number.parse().expect("a number"),
                moment: if moment == "Before" { Moment::Before } else { Moment::After },
            },
            ["racer", dataset, name] => Part::Racer { dataset: dataset.into(), name: name.to_owned() },
            ["disk", dataset] => Part::FullDisk { dataset: dataset.into() },
            _ => panic!("no such part: {text}"),
        }
    }
}

/// A process that plays a part.
pub(crate) struct Child {
    process: std::process::Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Child {
    pub(crate) fn start(part: &Part) -> Child {
        let own = std::env::current_exe().expect("this program has a file");
        Child::spawn(Command::new(own), part)
    }

    /// The same under a shell that runs `before` first, like a limit.
    pub(crate) fn start_under(before: &str, part: &Part) -> Child {
        let own = std::env::current_exe().expect("this program has a file");
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("{before}; exec \"$0\" \"$@\"")).arg(own);
        Child::spawn(shell, part)
    }

    fn spawn(mut command: Command, part: &Part) -> Child {
        command.args(["--exact", "child::plays_its_part", "--nocapture", "--test-threads=1"]);
        command.env(PART, part.encode()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut process = command.spawn().expect("this program starts again");
        let lines = BufReader::new(process.stdout.take().expect("it is piped"));
        Child { process, lines }
    }

    /// The next thing that the child says; none at its end.
    pub(crate) fn word(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).expect("the pipe can be read") == 0 {
                return None;
            }
            // The harness may have begun the line.
            if let Some((_, word)) = line.trim_end().split_once(WORD) {
                return Some(word.to_owned());
            }
        }
    }

    /// Waits for its last word, then kills it: SIGKILL, nothing runs after it.
    pub(crate) fn kill_when_it_says_so(mut self) -> String {
        let word = self.word().expect("a child that dies says so first");
        self.process.kill().expect("a child can be killed");
        self.process.wait().expect("it is gone");
        word
    }

    /// All that it says, and whether it ended well.
    pub(crate) fn all(mut self) -> (Vec<String>, bool) {
        let words = std::iter::from_fn(|| self.word()).collect();
        (words, self.process.wait().expect("it ends").success())
    }
}

/// Says a word to the parent.
pub(crate) fn say(word: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{WORD}{word}").and_then(|()| out.flush()).expect("the parent listens");
}

#[test]
fn plays_its_part() {
    let Ok(part) = std::env::var(PART) else { return };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let open = async |dataset: &PathBuf| Storage::open(&dataset.display().to_string(), &[]).await.expect("it opens");
    match Part::decode(&part) {
        Part::Life { dataset, diary, number, moment } => runtime.block_on(async {
            let (killer, diary) = (StepStore::kill_at(number, moment), Diary::in_file(diary));
            let storage = killer.wrap(&open(&dataset).await);
            let ended = killer.until_killed(life(storage, Env::system(), &diary)).await;
            say(if ended.is_some() { "lived" } else { "at the call" });
            std::future::pending::<()>().await;
        }),
        Part::Racer { dataset, name } => runtime.block_on(async {
            say("ready");
            for line in racing::race(open(&dataset).await, Env::system(), &name).await {
                say(&line.to_string());
            }
        }),
        Part::FullDisk { dataset } => runtime.block_on(async { disk::publish_too_much(open(&dataset).await).await }),
    }
}
