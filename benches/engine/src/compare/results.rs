//! The results as a Markdown page: `compare --markdown` writes it, so that figures in documents have one source.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use cenote_bench_support::machine::{describe, today};
use cenote_bench_support::numbers::count;
use cenote_bench_support::table::write_markdown;

use super::Outcome;
use super::figures::Row;
use super::table::{Table, range, value};

/// The conditions of a run.
pub struct Conditions {
    /// The command, as it was typed.
    pub command: String,
    /// The commit that was measured.
    pub commit: String,
    /// The machine.
    pub machine: String,
    /// The date.
    pub date: String,
}

impl Conditions {
    /// The conditions of this process; the commit is the one of the current folder.
    pub fn current() -> io::Result<Self> {
        let arguments: Vec<_> = std::env::args().skip(1).collect();
        // Cargo names the folder of a program after its profile.
        let program = std::env::current_exe()?;
        let profile = program.parent().and_then(Path::file_name).map_or("release".into(), OsStr::to_string_lossy);
        let features = if cfg!(feature = "peers") { "--features peers " } else { "" };
        let command = format!("cargo run --profile {profile} -p cenote-bench-engine {features}--bin compare --");
        let command = format!("{command} {}", arguments.join(" "));
        Ok(Self { command, commit: commit(), machine: describe()?, date: today() })
    }
}

/// The commit that is checked out, marked if files differ from it.
fn commit() -> String {
    let described = Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=10"]).output();
    let described = described.ok().filter(|output| output.status.success());
    let text = described.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_else(|| "unknown".to_owned())
}

/// Writes the page to this file.
pub fn write_results(outcome: &Outcome, conditions: &Conditions, path: &Path) -> io::Result<()> {
    let mut page = Vec::new();
    write_page(outcome, conditions, &mut page)?;
    fs::write(path, page)
}

fn write_page(outcome: &Outcome, conditions: &Conditions, out: &mut dyn Write) -> io::Result<()> {
    let Conditions { command, commit, machine, date } = conditions;
    writeln!(out, "# Results\n")?;
    writeln!(out, "`compare --markdown` wrote this page. [WORKLOAD.md](engine/WORKLOAD.md) defines the work,")?;
    writeln!(out, "[README.md](README.md) says what the systems are and how the figures are made.\n")?;
    writeln!(out, "```text\n{command}\n```\n")?;
    writeln!(out, "{machine}; {date}; commit {commit}.\n")?;
    writeln!(
        out,
        "A cell is the median over the rounds, with minimum and maximum below it. Lower is better everywhere."
    )?;
    for table in Table::of_each_size(&outcome.rows) {
        writeln!(out, "\n## {} records\n", count(table.records))?;
        write_markdown(&table.lines(cell), out)?;
    }
    if !outcome.failures.is_empty() {
        writeln!(out, "\n## Failed\n")?;
        outcome.failures.iter().try_for_each(|failure| writeln!(out, "- {failure}"))?;
    }
    Ok(())
}

fn cell(row: &Row) -> String {
    if row.runs == 1 { value(row) } else { format!("{}<br><sub>{}</sub>", value(row), range(row)) }
}
