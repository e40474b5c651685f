//! The run: a turn for each strategy in a separate process, then the faults, then the report.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use cenote_bench_cqrs::Answer;
use cenote_bench_cqrs::clock::blocking;
use cenote_bench_cqrs::faults::{self, Outcome, Plan};
use cenote_bench_cqrs::measure::{self, Measurement};
use cenote_bench_cqrs::report::{self, Report};
use cenote_bench_cqrs::strategy::Strategy;
use cenote_bench_cqrs::strategy::cenote::serve_objects;
use cenote_bench_support::clock::timed;

use crate::cli::{self, Parts, Read, Run, Turn};

/// The whole run.
pub(crate) async fn run(run: &Run) -> Answer<ExitCode> {
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    if !run.only_faults {
        for strategy in run.strategies(&Strategy::ALL)? {
            let (took, own) = timed(|| both_processes(strategy, &run.parts));
            eprintln!("{}: {took:.1} s", strategy.title(run.parts.write()));
            match own {
                Ok(own) => rows.extend(own),
                Err(error) => failed.push(format!("{}: {error}", strategy.title(run.parts.write()))),
            }
        }
    }
    let mut outcomes = Vec::new();
    if run.faults || run.only_faults {
        let began = cenote_bench_support::clock::now();
        let all = break_all(run).await?;
        eprintln!("faults: {:.1} s", began.elapsed().as_secs_f64());
        for outcome in all {
            match outcome {
                Ok(outcome) => outcomes.push(outcome),
                Err(error) => failed.push(error.to_string()),
            }
        }
    }
    show(run, rows, outcomes, &failed)
}

fn show(run: &Run, rows: Vec<Measurement>, outcomes: Vec<Outcome>, failed: &[String]) -> Answer<ExitCode> {
    let command: Vec<_> = std::env::args().skip(1).collect();
    let world = run.parts.world();
    let report = Report {
        rows,
        outcomes,
        failed: failed.to_vec(),
        command: command.join(" "),
        products: world.products,
        pages: world.pages,
    };
    let mut stdout = std::io::stdout().lock();
    if run.json {
        report::write_json(&report, &mut stdout)?;
    } else {
        report::write_tables(&report, &mut stdout)?;
    }
    stdout.flush()?;
    if let Some(folder) = &run.report {
        report::write_page(&report, folder)?;
        eprintln!("the report is {}", folder.join("index.html").display());
    }
    failed.iter().for_each(|failed| eprintln!("cqrs: {failed}"));
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The turn in one process, and the reader in another on what it left.
fn both_processes(strategy: Strategy, parts: &Parts) -> Answer<Vec<Measurement>> {
    let folder = tempfile::tempdir()?;
    // S3 is elsewhere: the object server must take no memory or time of a reader's or publisher's process.
    let objects = if strategy.is_far() { Some(Objects::start(folder.path())?) } else { None };
    let parts = &Parts { objects: objects.as_ref().map(|objects| objects.address.clone()), ..parts.clone() };
    let said = child("turn", &[strategy.name().to_owned()], folder.path(), parts)?;
    let mut rows = Vec::new();
    let mut expected = None;
    for line in said {
        match line.strip_prefix("expected ") {
            Some(json) => expected = Some(json.to_owned()),
            None => rows.push(serde_json::from_str(&line)?),
        }
    }
    let expected = expected.ok_or("the turn ended early")?;
    for line in child("read", &[expected, strategy.name().to_owned()], folder.path(), parts)? {
        rows.push(serde_json::from_str(&line)?);
    }
    Ok(rows)
}

/// The object server, in a separate process; killed when this is dropped.
struct Objects {
    process: std::process::Child,
    address: String,
}

impl Objects {
    fn start(folder: &Path) -> Answer<Objects> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut process = command.arg("objects").arg(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdout = process.stdout.take().ok_or("the child has no output")?;
        let mut objects = Objects { process, address: String::new() };
        BufReader::new(stdout).read_line(&mut objects.address)?;
        objects.address.truncate(objects.address.trim_end().len());
        if objects.address.is_empty() { Err("the object server did not start".into()) } else { Ok(objects) }
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        // It also ends when its input ends.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An object server, as a child process: until its input ends.
pub(crate) async fn objects(folder: &Path) -> Answer<ExitCode> {
    let (address, _server) = serve_objects(folder).await?;
    println!("{address}");
    blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await?;
    Ok(ExitCode::SUCCESS)
}

fn child(part: &str, names: &[String], folder: &Path, parts: &Parts) -> Answer<Vec<String>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(part).args(names).arg(folder).args(parts.arguments()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let stdout = child.stdout.take().ok_or("the child has no output")?;
    let lines = BufReader::new(stdout).lines().collect::<Result<Vec<_>, _>>()?;
    if child.wait()?.success() { Ok(lines) } else { Err("it failed; see above".into()) }
}

/// One strategy's turn, as a child process.
pub(crate) async fn take_turn(turn: &Turn) -> Answer<ExitCode> {
    let strategy = cli::find(&turn.strategy)?;
    let mut stage = turn.parts.stage(turn.folder.clone(), turn.parts.world(), turn.parts.settings());
    stage.keep = true;
    let mut stdout = std::io::stdout();
    let mut say = |row: Measurement| {
        let line = serde_json::to_string(&row).expect("a row has string keys only");
        // If the parent is gone, the output has no reader.
        let _ = writeln!(stdout, "{line}");
    };
    let expected = measure::turn(strategy, &stage, &turn.parts.effort(), &mut say).await?;
    println!("expected {}", serde_json::to_string(&expected)?);
    Ok(ExitCode::SUCCESS)
}

/// A process that only reads, as a child process.
pub(crate) async fn read(read: &Read, began: Instant) -> Answer<ExitCode> {
    let turn = &read.turn;
    let stage = turn.parts.stage(turn.folder.clone(), turn.parts.world(), turn.parts.settings());
    let strategy = cli::find(&turn.strategy)?;
    let expected = serde_json::from_str(&read.expected)?;
    for row in measure::read_process(strategy, &stage, &expected, began).await? {
        println!("{}", serde_json::to_string(&row)?);
    }
    Ok(ExitCode::SUCCESS)
}

/// All faults on all strategies.
async fn break_all(run: &Run) -> Answer<Vec<Answer<Outcome>>> {
    let strategies = run.strategies(&faults::usual())?;
    let plan = if run.parts.quick { Plan::QUICK } else { Plan::FULL };
    let folders: Mutex<Vec<tempfile::TempDir>> = Mutex::default();
    let stage = |world, settings| {
        let folder = tempfile::tempdir()?;
        let path: PathBuf = folder.path().to_owned();
        folders.lock().expect("nothing panics under this lock").push(folder);
        Ok(run.parts.stage(path, world, settings))
    };
    let report = |outcome: &Answer<Outcome>| match outcome {
        Ok(outcome) => eprintln!("{}: {} — {:?}", outcome.system, outcome.fault.name(), outcome.verdict),
        Err(error) => eprintln!("{error}"),
    };
    Ok(faults::run_all(&strategies, run.parts.write(), &plan, &stage, &report).await)
}
