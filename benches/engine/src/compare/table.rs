//! Rows as tables: one per catalog size, with a line per case and a column per system.
//!
//! The terminal's table has how many times the engine's value each value is; the Markdown page and the report have the
//! range over the rounds.

use std::io::{self, Write};

use cenote_bench_support::numbers::{count, digits, human};
use cenote_bench_support::table::write_aligned;

use super::figures::{Case, Row};

/// The system that the others are compared with.
const ENGINE: &str = "cenote";

/// Writes all rows as text.
pub fn write_table(rows: &[Row], out: &mut dyn Write) -> io::Result<()> {
    for table in Table::of_each_size(rows) {
        writeln!(out, "\n{} records\n", count(table.records))?;
        write_aligned(&table.lines(|row| cell(row, table.find(ENGINE, row.sample.case))), out)?;
    }
    Ok(())
}

/// The rows of one catalog size.
pub(super) struct Table<'a> {
    pub(super) records: u64,
    pub(super) rows: Vec<&'a Row>,
}

impl<'a> Table<'a> {
    /// A table per catalog size, smallest first.
    pub(super) fn of_each_size(rows: &'a [Row]) -> Vec<Self> {
        let of = |records| Self { records, rows: rows.iter().filter(|row| row.records == records).collect() };
        sizes(rows).into_iter().map(of).collect()
    }

    /// The row of a system, if it has one for this case.
    pub(super) fn find(&self, system: &str, case: Case) -> Option<&'a Row> {
        self.rows.iter().copied().find(|row| row.system == system && row.sample.case == case)
    }

    /// The heading, then a line per case: its name, and the text of each system's row.
    pub(super) fn lines(&self, text: impl Fn(&Row) -> String) -> Vec<Vec<String>> {
        let systems = systems(&self.rows);
        let heading = std::iter::once("figure").chain(systems.iter().copied()).map(str::to_owned).collect();
        let line = |case: Case| {
            let cells = systems.iter().map(|system| self.find(system, case).map_or_else(String::new, &text));
            std::iter::once(case.to_string()).chain(cells).collect()
        };
        std::iter::once(heading).chain(cases(&self.rows).into_iter().map(line)).collect()
    }
}

/// The catalog sizes, smallest first.
pub(super) fn sizes(rows: &[Row]) -> Vec<u64> {
    let mut sizes: Vec<_> = rows.iter().map(|row| row.records).collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// The systems, in the order in which they first occur.
pub(super) fn systems<'a>(rows: &[&'a Row]) -> Vec<&'a str> {
    let mut systems: Vec<&str> = Vec::new();
    for row in rows {
        if !systems.contains(&row.system.as_str()) {
            systems.push(&row.system);
        }
    }
    systems
}

/// The cases, in the order in which they first occur.
pub(super) fn cases(rows: &[&Row]) -> Vec<Case> {
    let mut cases = Vec::new();
    for row in rows {
        if !cases.contains(&row.sample.case) {
            cases.push(row.sample.case);
        }
    }
    cases
}

/// The median for people.
pub(super) fn value(row: &Row) -> String {
    human(row.sample.value, row.sample.unit.name())
}

/// The lowest and the highest value for people.
pub(super) fn range(row: &Row) -> String {
    let show = |value| human(value, row.sample.unit.name());
    format!("{} – {}", show(row.min), show(row.max))
}

fn cell(row: &Row, engine: Option<&Row>) -> String {
    let engine = engine.map(|row| row.sample.value).filter(|value| row.system != ENGINE && *value > 0.0);
    match engine {
        Some(engine) => format!("{} ({}×)", value(row), digits(row.sample.value / engine)),
        None => value(row),
    }
}
