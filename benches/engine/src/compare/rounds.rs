//! The parent: rounds in which every system has its turn, in processes of its own.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::hollow::Hollow;
use super::rows::{Row, Sample, Samples};
use super::{Effort, Said};
use crate::peers::{self, System};
use crate::workload::Catalog;

/// What to run.
pub struct Plan {
    /// Catalog sizes.
    pub records: Vec<u64>,
    /// Names of systems; empty for all that are here.
    pub systems: Vec<String>,
    /// How often everybody has a turn.
    pub rounds: usize,
    /// Passed on to the children.
    pub quick: bool,
    /// Where Hollow is, if anywhere.
    pub hollow: Option<String>,
    /// The binary to start again as a child.
    pub binary: PathBuf,
}

impl Plan {
    /// The effort that the flags ask for.
    #[must_use]
    pub fn effort(&self) -> Effort {
        if self.quick { Effort::QUICK } else { Effort::FULL }
    }
}

/// Who has a turn.
enum Player {
    Rust(Box<dyn System>),
    Hollow(Hollow),
}

impl Player {
    fn name(&self) -> &str {
        match self {
            Self::Rust(system) => system.name(),
            Self::Hollow(hollow) => hollow.name(),
        }
    }
}

/// What came of a run.
pub struct Outcome {
    /// The figures of every turn that ended well.
    pub rows: Vec<Row>,
    /// The turns that did not, with the reason.
    pub failures: Vec<String>,
}

/// Runs the plan; `tell` hears what happens, for people.
///
/// A system whose turn fails has no other turn with as many records, and no figures of that turn; the others go on.
pub fn run(plan: &Plan, tell: &mut dyn FnMut(&str)) -> io::Result<Outcome> {
    let players = players(plan, tell)?;
    let mut samples = Samples::default();
    let mut failures = Vec::new();
    for &records in &plan.records {
        Catalog::new(records).assert_known();
        let mut players: Vec<_> = players.iter().collect();
        for round in 1..=plan.rounds {
            players.retain(|player| {
                let name = player.name();
                tell(&format!("{records} records, round {round} of {}: {name}", plan.rounds));
                match turn(plan, player, records, tell) {
                    Ok(turn) => turn.into_iter().for_each(|sample| samples.push(name, records, sample)),
                    Err(error) => {
                        failures.push(format!("{name}, {records} records, round {round}: {error}"));
                        tell(&format!("  {name} failed: {error}"));
                        return false;
                    }
                }
                true
            });
        }
    }
    Ok(Outcome { rows: samples.rows(), failures })
}

/// Systems that are there only when asked for at build time.
const BEHIND_FEATURE: [&str; 5] = ["lmdb", "redb", "sqlite", "sqlite-file", "redis"];

fn players(plan: &Plan, tell: &mut dyn FnMut(&str)) -> io::Result<Vec<Player>> {
    let wanted = |name: &str| plan.systems.is_empty() || plan.systems.iter().any(|system| system == name);
    let mut players = Vec::new();
    let mut known = Vec::new();
    for system in peers::all() {
        known.push(system.name());
        match system.missing() {
            _ if !wanted(system.name()) => {}
            Some(missing) => tell(&format!("skipped {}: {missing}", system.name())),
            None => players.push(Player::Rust(system)),
        }
    }
    for mapping in Hollow::MAPPINGS {
        known.push(mapping);
        match &plan.hollow {
            _ if !wanted(mapping) => {}
            None => tell(&format!(
                "skipped {mapping}: no --hollow CLASSPATH; benches/engine/peers/hollow/pom.xml makes one"
            )),
            Some(classpath) => players.push(Player::Hollow(Hollow::new(mapping, classpath)?)),
        }
    }
    for name in BEHIND_FEATURE.into_iter().filter(|_| !cfg!(feature = "peers")) {
        known.push(name);
        if wanted(name) {
            tell(&format!("skipped {name}: not built in; add --features peers"));
        }
    }
    match plan.systems.iter().find(|system| !known.contains(&system.as_str())) {
        Some(unknown) => Err(io::Error::other(format!("there is no system {unknown}; there are {}", known.join(", ")))),
        None => Ok(players),
    }
}

/// One system's samples of a round; none count unless all of it ended well.
fn turn(plan: &Plan, player: &Player, records: u64, tell: &mut dyn FnMut(&str)) -> io::Result<Vec<Sample>> {
    let folder = tempfile::Builder::new().prefix("cenote-compare-").tempdir()?;
    let mut samples = Vec::new();
    for part in ["produce", "consume"] {
        let command = match player {
            Player::Rust(system) => child(plan, system.name(), part, records, folder.path()),
            Player::Hollow(hollow) => hollow.command(part, records, folder.path(), plan.effort()),
        };
        listen(command, |said| match said {
            Said::Sample(sample) => samples.push(sample),
            Said::Note { note } => tell(&format!("  {}: {note}", player.name())),
        })?;
        if let (Player::Hollow(hollow), "produce") = (player, part) {
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

/// Runs a child to its end and hears every line of JSON that it says.
fn listen(mut command: Command, mut hear: impl FnMut(Said)) -> io::Result<()> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let lines = BufReader::new(child.stdout.take().expect("the output is piped")).lines();
    let mut heard = Ok(());
    for line in lines {
        // What can't be understood is told at the end: a child that nobody waits for would disturb the next one.
        heard = heard.and_then(|()| {
            hear(serde_json::from_str(&line?)?);
            Ok(())
        });
    }
    let status = child.wait()?;
    if status.success() { heard } else { Err(io::Error::other(format!("{command:?} ended with {status}"))) }
}
