//! The results of a run: JSON lines, tables on the terminal, one HTML page.

mod bars;
mod guide;
mod page;
mod tables;

use std::io::{self, Write};

use super::faults::Outcome;
use super::measure::Measurement;

pub use guide::{Advice, advise};
pub use page::write_page;
pub use tables::write_tables;

/// The results of a run.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Figures.
    pub rows: Vec<Measurement>,
    /// The outcomes of faults.
    pub outcomes: Vec<Outcome>,
    /// Errors of turns and faults that gave no figures or no outcome.
    pub failed: Vec<String>,
    /// The command line.
    pub command: String,
    /// Products in the catalogue.
    pub products: u64,
    /// Pages.
    pub pages: u64,
}

impl Report {
    /// The strategies, in the order of their figures.
    #[must_use]
    pub fn systems(&self) -> Vec<&str> {
        let mut systems: Vec<&str> = Vec::new();
        let all = self.rows.iter().map(|row| row.system.as_str());
        for system in all.chain(self.outcomes.iter().map(|outcome| outcome.system.as_str())) {
            if !systems.contains(&system) {
                systems.push(system);
            }
        }
        systems
    }

    /// A figure that depends on no rate, burst or query.
    #[must_use]
    pub fn figure(&self, system: &str, figure: &str) -> Option<f64> {
        self.find(system, figure, |row| row.rate.is_none() && row.burst.is_none() && row.query.is_none())
    }

    /// A figure at a rate of commands.
    #[must_use]
    pub fn at(&self, system: &str, figure: &str, rate: u32) -> Option<f64> {
        self.find(system, figure, |row| row.rate == Some(rate) && row.query.is_none())
    }

    /// A figure of a burst.
    #[must_use]
    pub fn burst(&self, system: &str, figure: &str) -> Option<f64> {
        self.find(system, figure, |row| row.burst.is_some())
    }

    /// A figure of a query, alone or while commands arrive.
    #[must_use]
    pub fn query(&self, system: &str, figure: &str, query: &str, loaded: bool) -> Option<f64> {
        self.find(system, figure, |row| row.query.as_deref() == Some(query) && row.rate.is_some() == loaded)
    }

    fn find(&self, system: &str, figure: &str, fits: impl Fn(&Measurement) -> bool) -> Option<f64> {
        let mut own = self.rows.iter().filter(|row| row.system == system && row.figure == figure);
        own.find(|row| fits(row)).map(|row| row.value)
    }

    /// The rates at which freshness was measured.
    #[must_use]
    pub fn rates(&self) -> Vec<u32> {
        let mut rates: Vec<u32> =
            self.rows.iter().filter(|row| row.figure == "freshness_max").filter_map(|row| row.rate).collect();
        rates.sort_unstable();
        rates.dedup();
        rates
    }
}

/// Whether a strategy has Cenote as its read side, by its name.
pub(crate) fn is_cenote(system: &str) -> bool {
    system.starts_with("cenote")
}

/// Rows, then outcomes, one JSON object per line.
pub fn write_json(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    for row in &report.rows {
        writeln!(out, "{}", serde_json::to_string(row)?)?;
    }
    for outcome in &report.outcomes {
        let mut line = serde_json::to_value(outcome)?;
        if let Some(fields) = line.as_object_mut() {
            fields.insert("figure".to_owned(), "fault".into());
            fields.insert("unit".to_owned(), "s".into());
            fields.insert("value".to_owned(), outcome.wrong_for_s.into());
        }
        writeln!(out, "{line}")?;
    }
    Ok(())
}
