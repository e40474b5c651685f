//! The parent process: rounds in which every system has its turn, each in two processes.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::figures::{Row, Sample, Samples};
use super::hollow::Hollow;
use super::{Effort, Line};
use crate::peers::{self, System};
use crate::workload::Catalog;

/// What to run.
pub struct Plan {
    /// Catalog sizes.
    pub records: Vec<u64>,
    /// Names of systems; if empty, all that are installed.
    pub systems: Vec<String>,
    /// The number of rounds.
    pub rounds: usize,
    /// Whether to measure little of everything.
    pub quick: bool,
    /// The class path of Hollow, if it is installed.
    pub hollow: Option<String>,
    /// The program to start for each part of a turn.
    pub binary: PathBuf,
}

impl Plan {
    /// The effort that the flags ask for.
    #[must_use]
    pub fn effort(&self) -> Effort {
        if self.quick { Effort::QUICK } else { Effort::FULL }
    }
}

/// A system in the run.
enum Participant {
    Rust(Box<dyn System>),
    Hollow(Hollow),
}

impl Participant {
    fn name(&self) -> &str {
        match self {
            Self::Rust(system) => system.name(),
            Self::Hollow(hollow) => hollow.name(),
        }
    }
}

/// The result of a run.
pub struct Outcome {
    /// The figures of every turn that ended well.
    pub rows: Vec<Row>,
    /// The turns that failed, with the reason.
    pub failures: Vec<String>,
}

/// Runs the plan; `log` gets the progress, for people.
///
/// A system whose turn fails gets no more turns of that size, and the figures of that turn are discarded; the others go on.
pub fn run(plan: &Plan, log: &mut dyn FnMut(&str)) -> io::Result<Outcome> {
    let participants = participants(plan, log)?;
    let mut samples = Samples::default();
    let mut failures = Vec::new();
    for &records in &plan.records {
        Catalog::new(records).assert_known();
        let mut participants: Vec<_> = participants.iter().collect();
        for round in 1..=plan.rounds {
            participants.retain(|participant| {
                let name = participant.name();
                log(&format!("{records} records, round {round} of {}: {name}", plan.rounds));
                match turn(plan, participant, records, log) {
                    Ok(turn) => turn.into_iter().for_each(|sample| samples.push(name, records, sample)),
                    Err(error) => {
                        failures.push(format!("{name}, {records} records, round {round}: {error}"));
                        log(&format!("  {name} failed: {error}"));
                        return false;
                    }
                }
                true
            });
        }
    }
    Ok(Outcome { rows: samples.rows(), failures })
}

/// Systems that need the feature `peers`.
const BEHIND_FEATURE: [&str; 5] = ["lmdb", "redb", "sqlite", "sqlite-file", "redis"];

fn participants(plan: &Plan, log: &mut dyn FnMut(&str)) -> io::Result<Vec<Participant>> {
    let wanted = |name: &str| plan.systems.is_empty() || plan.systems.iter().any(|system| system == name);
    let mut participants = Vec::new();
    let mut known = Vec::new();
    for system in peers::all() {
        known.push(system.name());
        match system.missing() {
            _ if !wanted(system.name()) => {}
            Some(missing) => log(&format!("skipped {}: {missing}", system.name())),
            None => participants.push(Participant::Rust(system)),
        }
    }
    for mapping in Hollow::MAPPINGS {
        known.push(mapping);
        match &plan.hollow {
            _ if !wanted(mapping) => {}
            None => log(&format!(
                "skipped {mapping}: no --hollow CLASSPATH; benches/engine/peers/hollow/pom.xml builds one"
            )),
            Some(classpath) => participants.push(Participant::Hollow(Hollow::new(mapping, classpath)?)),
        }
    }
    for name in BEHIND_FEATURE.into_iter().filter(|_| !cfg!(feature = "peers")) {
        known.push(name);
        if wanted(name) {
            log(&format!("skipped {name}: not built; add --features peers"));
        }
    }
    match plan.systems.iter().find(|system| !known.contains(&system.as_str())) {
        Some(unknown) => Err(io::Error::other(format!("there is no system {unknown}; there are {}", known.join(", ")))),
        None => Ok(participants),
    }
}

/// Runs a system's turn and returns its samples.
fn turn(plan: &Plan, participant: &Participant, records: u64, log: &mut dyn FnMut(&str)) -> io::Result<Vec<Sample>> {
    let folder = tempfile::Builder::new().prefix("cenote-compare-").tempdir()?;
    let mut samples = Vec::new();
    for part in ["produce", "consume"] {
        let command = match participant {
            Participant::Rust(system) => child(plan, system.name(), part, records, folder.path()),
            Participant::Hollow(hollow) => hollow.command(part, records, folder.path(), plan.effort()),
        };
        read_lines(command, |line| match line {
            Line::Sample(sample) => samples.push(sample),
            Line::Note { note } => log(&format!("  {}: {note}", participant.name())),
        })?;
        if let (Participant::Hollow(hollow), "produce") = (participant, part) {
            samples.extend(hollow.blob_samples(folder.path())?);
        }
    }
    Ok(samples)
}

fn child(plan: &Plan, system: &str, part: &str, records: u64, folder: &Path) -> Command {
    let mut command = Command::new(&plan.binary);
    command.args(["child", part, "--system", system, "--records", &records.to_string()]);
    command.arg("--folder").arg(folder);
    if plan.quick {
        command.arg("--quick");
    }
    command
}

/// Runs a child process to its end and passes on each line that it prints.
fn read_lines(mut command: Command, mut each: impl FnMut(Line)) -> io::Result<()> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let lines = BufReader::new(child.stdout.take().expect("the output is piped")).lines();
    let mut all_read = Ok(());
    for line in lines {
        // An unreadable line is reported at the end: a child that is still running would disturb the next one.
        all_read = all_read.and_then(|()| {
            each(serde_json::from_str(&line?)?);
            Ok(())
        });
    }
    let status = child.wait()?;
    if status.success() { all_read } else { Err(io::Error::other(format!("{command:?} ended with {status}"))) }
}
