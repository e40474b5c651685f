//! The table on the terminal: a line per figure, a column per system, and how many times the engine's value it is.

use std::io::{self, Write};

use cenote_bench_support::numbers::{digits, human};
use cenote_bench_support::table::write_aligned;

use super::rows::Row;

/// Who the others are held against.
const OURS: &str = "cenote";

/// Writes all rows as tables, one per catalog size.
pub fn write_table(rows: &[Row], out: &mut dyn Write) -> io::Result<()> {
    let mut sizes: Vec<_> = rows.iter().map(|row| row.records).collect();
    sizes.dedup();
    sizes.sort_unstable();
    sizes.dedup();
    for records in sizes {
        let own: Vec<_> = rows.iter().filter(|row| row.records == records).collect();
        writeln!(out, "\n{records} records\n")?;
        write_one(&own, out)?;
    }
    Ok(())
}

fn write_one(rows: &[&Row], out: &mut dyn Write) -> io::Result<()> {
    let systems = systems(rows);
    let mut lines = vec![header(&systems)];
    for figure in figures(rows) {
        let of = |system: &str| rows.iter().find(|row| row.system == system && row.same_figure(figure));
        let ours = of(OURS).map(|row| row.sample.value);
        let cell = |system: &&str| of(system).map_or_else(String::new, |row| cell(row, ours));
        let mut line = vec![title(figure)];
        line.extend(systems.iter().map(cell));
        lines.push(line);
    }
    write_aligned(&lines, out)
}

fn header(systems: &[&str]) -> Vec<String> {
    let mut line = vec!["figure".to_owned()];
    line.extend(systems.iter().map(|&system| system.to_owned()));
    line
}

/// The systems of these rows, in the order in which they come.
pub(super) fn systems<'a>(rows: &[&'a Row]) -> Vec<&'a str> {
    let mut systems: Vec<&str> = Vec::new();
    for row in rows {
        if !systems.contains(&row.system.as_str()) {
            systems.push(&row.system);
        }
    }
    systems
}

/// One row of each figure, in the order in which they come.
pub(super) fn figures<'a>(rows: &[&'a Row]) -> Vec<&'a Row> {
    let mut figures: Vec<&Row> = Vec::new();
    for row in rows {
        if !figures.iter().any(|figure| figure.same_figure(row)) {
            figures.push(row);
        }
    }
    figures
}

/// The figure with what it depends on.
pub(super) fn title(row: &Row) -> String {
    let sample = &row.sample;
    let mut title = sample.figure.clone();
    if let Some(changes) = sample.changes {
        title += &format!(" K={changes}");
    }
    if let Some(threads) = sample.threads {
        title += if threads == 1 { " 1 thread" } else { " 2 threads" };
    }
    if let Some(refreshes) = &sample.refreshes {
        title += &format!(", refreshes {refreshes}");
    }
    if sample.lookups_per_view.is_some() {
        title += ", a view each";
    }
    if sample.one_by_one.is_some() {
        title += ", one by one";
    }
    title
}

fn cell(row: &Row, ours: Option<f64>) -> String {
    let value = human(row.sample.value, &row.sample.unit);
    match ours {
        Some(ours) if row.system != OURS && ours > 0.0 => format!("{value} ({}×)", digits(row.sample.value / ours)),
        _ => value,
    }
}
