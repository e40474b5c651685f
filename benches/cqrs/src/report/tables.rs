//! The tables on the terminal: a line per strategy, a column per figure; then the faults and their outcomes.

use std::io::{self, Write};

use super::{Report, advise};
use crate::faults::{Fault, Outcome, Repair, Verdict};
use cenote_bench_support::numbers::{human, short};
use cenote_bench_support::table::write_aligned;

/// A column: its heading, and its cell for a strategy.
type Column<'a> = (String, Box<dyn Fn(&str) -> Option<String> + 'a>);

/// Everything, as text.
pub fn write_tables(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    if !report.rows.is_empty() {
        writeln!(out, "{} products, {} pages\n", report.products, report.pages)?;
        for (title, columns) in tables(report) {
            writeln!(out, "{title}\n")?;
            write_table(report, &columns, out)?;
            writeln!(out)?;
        }
    }
    if !report.outcomes.is_empty() {
        write_faults(&report.outcomes, out)?;
    }
    for advice in advise(report) {
        writeln!(out, "{}", advice.question)?;
        for answer in advice.answers {
            writeln!(out, "  {answer}")?;
        }
    }
    Ok(())
}

/// All tables of figures, by title.
pub(super) fn tables(report: &Report) -> Vec<(&'static str, Vec<Column<'_>>)> {
    vec![
        ("From acknowledgement to visible: p50 / p99 / max", fresh_columns(report, "freshness")),
        ("From when a command was due to visible: p50 / p99 / max", fresh_columns(report, "visible")),
        ("From a command's call to its acknowledgement: p50 / p99 / max", fresh_columns(report, "ack")),
        ("Commands answered a second, and how late this program called one at most", pace_columns(report)),
        ("Reads, alone: p50 / p99 / p99.9, and per second and core", read_columns(report, false)),
        ("Reads, while commands arrive", read_columns(report, true)),
        ("What it takes", cost_columns(report)),
    ]
}

/// Three figures; a dash for one that had too few samples.
fn three(of: impl Fn(&str) -> Option<f64>, shares: [&str; 3], unit: &str) -> Option<String> {
    let found = shares.map(&of);
    let shown = found.map(|value| value.map_or_else(|| "–".to_owned(), |value| human(value, unit)));
    found.iter().any(Option::is_some).then(|| shown.join(" / "))
}

fn pace_columns(report: &Report) -> Vec<Column<'_>> {
    let cell = |answered: Option<f64>, late: Option<f64>| {
        Some(format!("{}/s, {}", short(answered?), late.map_or_else(String::new, |late| human(late, "s"))))
    };
    let mut columns: Vec<Column<'_>> = Vec::new();
    for rate in report.rates() {
        let of =
            move |system: &str| cell(report.at(system, "answered_a_second", rate), report.at(system, "late_max", rate));
        columns.push((format!("{rate} commands/s"), Box::new(of)));
    }
    let burst = |system: &str| report.burst(system, "answered_a_second").map(|rate| format!("{}/s", short(rate)));
    columns.push(("burst".to_owned(), Box::new(burst)));
    let loaded = report.rows.iter().find(|row| row.figure == "answered_under_reads").and_then(|row| row.rate);
    if let Some(rate) = loaded {
        let of = move |system: &str| {
            report.at(system, "answered_under_reads", rate).map(|answered| format!("{}/s", short(answered)))
        };
        columns.push((format!("{rate} commands/s, while reads are timed"), Box::new(of)));
    }
    columns
}

fn fresh_columns<'a>(report: &'a Report, figure: &'static str) -> Vec<Column<'a>> {
    const SHARES: [&str; 3] = ["p50", "p99", "max"];
    let mut columns: Vec<Column<'a>> = Vec::new();
    for rate in report.rates() {
        let cell =
            move |system: &str| three(|share| report.at(system, &format!("{figure}_{share}"), rate), SHARES, "s");
        columns.push((format!("{rate} commands/s"), Box::new(cell)));
    }
    let burst = report.rows.iter().find_map(|row| row.burst);
    if let Some(burst) = burst {
        let cell = move |system: &str| three(|share| report.burst(system, &format!("{figure}_{share}")), SHARES, "s");
        columns.push((format!("burst of {burst}"), Box::new(cell)));
    }
    columns
}

fn read_columns(report: &Report, loaded: bool) -> Vec<Column<'_>> {
    let column = |query: &'static str| -> Column<'_> {
        let cell = move |system: &str| {
            let times = three(
                |share| report.query(system, &format!("read_{share}"), query, loaded),
                ["p50", "p99", "p999"],
                "ns",
            )?;
            let rate = report.query(system, "reads_a_second", query, loaded)?;
            Some(format!("{times}, {}/s", short(rate)))
        };
        (query.to_owned(), Box::new(cell))
    };
    ["product", "category", "page"].into_iter().map(column).collect()
}

fn cost_columns(report: &Report) -> Vec<Column<'_>> {
    let figures = [
        ("bootstrap", "bootstrap", "s"),
        ("rebuild", "rebuild", "s"),
        ("restart", "restart_to_first_answer", "s"),
        ("reader's memory", "memory_reader", "bytes"),
        ("memory of embedded parts", "memory_all_parts", "bytes"),
        ("database server's", "memory_write_side", "bytes"),
        ("broker's", "memory_broker", "bytes"),
        ("read store's", "memory_read_store", "bytes"),
        ("write side's disk", "disk_write_side", "bytes"),
        ("outbox and capture on disk", "disk_feeds", "bytes"),
        ("broker's disk", "disk_broker", "bytes"),
        ("read side's disk", "disk_read_side", "bytes"),
        ("log entries", "log_entries", "count"),
        ("processes", "processes", "count"),
        ("polls a month", "polls_a_month", "count"),
        ("requests a month, idle", "idle_requests_a_month", "count"),
    ];
    figures
        .into_iter()
        .map(|(title, figure, unit)| -> Column<'_> {
            let cell = move |system: &str| {
                let value = report.figure(system, figure)?;
                Some(if unit == "count" { short(value) } else { human(value, unit) })
            };
            (title.to_owned(), Box::new(cell))
        })
        .collect()
}

fn write_table(report: &Report, columns: &[Column<'_>], out: &mut dyn Write) -> io::Result<()> {
    let mut lines = vec![vec![String::new()]];
    lines[0].extend(columns.iter().map(|(title, _)| title.clone()));
    for system in report.systems() {
        let mut line = vec![system.to_owned()];
        line.extend(columns.iter().map(|(_, cell)| cell(system).unwrap_or_default()));
        lines.push(line);
    }
    write_aligned(&lines, out)
}

fn write_faults(outcomes: &[Outcome], out: &mut dyn Write) -> io::Result<()> {
    for fault in Fault::ALL {
        let own: Vec<_> = outcomes.iter().filter(|outcome| outcome.fault == fault).collect();
        if own.is_empty() {
            continue;
        }
        writeln!(out, "{}", fault.name())?;
        for outcome in own {
            writeln!(out, "  {:<20} {}", outcome.system, describe(outcome))?;
            for more in outcome.row.iter().chain(&outcome.note) {
                writeln!(out, "  {:<20}   {more}", "")?;
            }
        }
    }
    writeln!(out)
}

/// An outcome in a line.
pub(super) fn describe(outcome: &Outcome) -> String {
    let late = human(outcome.wrong_for_s, "s");
    let verdict = match outcome.verdict {
        Verdict::Right => format!("right (at most {late} stale)"),
        Verdict::WrongForAWhile => format!("wrong for a while: {late}"),
        Verdict::StaysWrong => "STAYS WRONG".to_owned(),
    };
    format!("{verdict}; noticed by {}; repaired by {}", noticed(outcome), repaired(outcome))
}

/// The alarms that rang.
pub(super) fn noticed(outcome: &Outcome) -> String {
    let rang: Vec<_> = outcome.noticed.iter().map(ToString::to_string).collect();
    if rang.is_empty() { "nothing".to_owned() } else { rang.join(", ") }
}

/// What repaired it.
pub(super) fn repaired(outcome: &Outcome) -> String {
    match &outcome.repaired {
        Repair::NotNeeded => "not needed".to_owned(),
        Repair::Itself => "the strategy itself".to_owned(),
        Repair::Person(how) => format!("a person: {how}"),
        Repair::Failed => "nothing that was tried".to_owned(),
    }
}
