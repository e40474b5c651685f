//! Child processes: this program again, doing one job that the environment names.
//!
//! A child reports lines on its standard output, then waits to be killed, or ends.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use cenote_store::env::Env;
use cenote_store::storage::Storage;
use cenote_testing::faults::{Moment, StepStore};

use crate::script::{self, Journal};
use crate::{disk, racing};

const JOB: &str = "CENOTE_TEST_CHILD";
/// What a reported line begins with: the test harness prints other lines.
const PREFIX: &str = "child reports: ";

/// What a child does.
#[derive(Clone, Debug)]
pub(crate) enum Job {
    /// Runs the script; stops at this store call.
    Script { dataset: PathBuf, journal: PathBuf, number: usize, moment: Moment },
    /// Races a rival for the dataset.
    Race { dataset: PathBuf, name: String },
    /// Publishes more than the disk takes.
    FullDisk { dataset: PathBuf },
}

impl Job {
    fn encode(&self) -> String {
        match self {
            Job::Script { dataset, journal, number, moment } => {
                format!("script|{}|{}|{number}|{moment:?}", dataset.display(), journal.display())
            }
            Job::Race { dataset, name } => format!("race|{}|{name}", dataset.display()),
            Job::FullDisk { dataset } => format!("disk|{}", dataset.display()),
        }
    }

    fn decode(text: &str) -> Job {
        let parts: Vec<&str> = text.split('|').collect();
        match *parts {
            ["script", dataset, journal, number, moment] => Job::Script {
                dataset: dataset.into(),
                journal: journal.into(),
                number: number.parse().expect("a number"),
                moment: if moment == "Before" { Moment::Before } else { Moment::After },
            },
            ["race", dataset, name] => Job::Race { dataset: dataset.into(), name: name.to_owned() },
            ["disk", dataset] => Job::FullDisk { dataset: dataset.into() },
            _ => panic!("no such job: {text}"),
        }
    }
}

/// A process that does a job.
pub(crate) struct Child {
    process: std::process::Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Child {
    pub(crate) fn start(job: &Job) -> Child {
        let program = std::env::current_exe().expect("this program has a file");
        Child::spawn(Command::new(program), job)
    }

    /// The same under a shell that runs `before` first, like a limit.
    pub(crate) fn start_under(before: &str, job: &Job) -> Child {
        let program = std::env::current_exe().expect("this program has a file");
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("{before}; exec \"$0\" \"$@\"")).arg(program);
        Child::spawn(shell, job)
    }

    fn spawn(mut command: Command, job: &Job) -> Child {
        command.args(["--exact", "child::does_its_job", "--nocapture", "--test-threads=1"]);
        command.env(JOB, job.encode()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut process = command.spawn().expect("this program starts again");
        let lines = BufReader::new(process.stdout.take().expect("it is piped"));
        Child { process, lines }
    }

    /// The next line that the child reports; none at its end.
    pub(crate) fn line(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).expect("the pipe can be read") == 0 {
                return None;
            }
            // The harness may have begun the line.
            if let Some((_, reported)) = line.trim_end().split_once(PREFIX) {
                return Some(reported.to_owned());
            }
        }
    }

    /// Waits for a line, then kills the child by SIGKILL: nothing runs in it after that.
    pub(crate) fn kill_after_a_line(mut self) -> String {
        let line = self.line().expect("a child reports before it is killed");
        self.process.kill().expect("a child can be killed");
        self.process.wait().expect("it has ended");
        line
    }

    /// All lines, and whether the child succeeded.
    pub(crate) fn all(mut self) -> (Vec<String>, bool) {
        let lines = std::iter::from_fn(|| self.line()).collect();
        (lines, self.process.wait().expect("it ends").success())
    }
}

/// Reports a line to the parent.
pub(crate) fn report(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{PREFIX}{line}").and_then(|()| out.flush()).expect("the parent listens");
}

#[test]
fn does_its_job() {
    let Ok(job) = std::env::var(JOB) else { return };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let open = async |dataset: &PathBuf| Storage::open(&dataset.display().to_string(), &[]).await.expect("it opens");
    match Job::decode(&job) {
        Job::Script { dataset, journal, number, moment } => runtime.block_on(async {
            let (killer, journal) = (StepStore::kill_at(number, moment), Journal::in_file(journal));
            let storage = killer.wrap(&open(&dataset).await);
            let ended = killer.until_killed(script::run(storage, Env::system(), &journal)).await;
            report(if ended.is_some() { "finished" } else { "at the call" });
            std::future::pending::<()>().await;
        }),
        Job::Race { dataset, name } => runtime.block_on(async {
            report("ready");
            for outcome in racing::race(open(&dataset).await, Env::system(), &name).await {
                report(&outcome.to_string());
            }
        }),
        Job::FullDisk { dataset } => runtime.block_on(async { disk::publish_too_much(open(&dataset).await).await }),
    }
}
