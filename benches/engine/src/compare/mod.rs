//! The comparison: every system does the same work in one run on one machine, and the figures say how it went.
//!
//! A run has rounds; a round gives every system a turn, one after another, so that a noisy minute hurts all alike. A turn
//! has two processes, one that publishes and one that reads, so that the memory of each can be counted. The processes print
//! samples as JSON lines; the parent combines them to rows with minimum, median and maximum over the rounds.
//!
//! Rules: a time counts only if the answers agree with the generator; what a system cannot do becomes a note.

mod chain;
mod consume;
mod expected;
mod figures;
mod hollow;
mod latency;
mod memory;
mod produce;
mod reads;
mod report;
mod results;
mod rounds;
mod table;
#[cfg(test)]
mod tests;

pub use chain::{Chain, Step};
pub use consume::consume;
pub use figures::{Case, Figure, Refreshes, Row, Sample, Unit};
pub use hollow::Hollow;
pub use memory::Meter;
pub use produce::produce;
pub use report::write_report;
pub use results::{Conditions, write_results};
pub use rounds::{Outcome, Plan, run};
pub use table::write_table;

use crate::peers::Refusal;

/// How often and how long everything is measured.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// The number of change sets per size, and of the producer's cycles.
    pub repetitions: u64,
    /// The number of timed passes of each read, and of warm loads.
    pub passes: usize,
    /// Seconds for which single look-ups are timed, per rate of refreshes.
    pub seconds: f64,
    /// The most versions that are published to refresh to while look-ups are timed.
    pub spare_versions: u64,
}

impl Effort {
    /// The effort of a full run.
    pub const FULL: Self = Self { repetitions: 5, passes: 5, seconds: 5.0, spare_versions: 200 };
    /// The effort of a smoke test.
    pub const QUICK: Self = Self { repetitions: 2, passes: 2, seconds: 1.0, spare_versions: 50 };

    /// The number of change sets of this size: of large ones there are few.
    #[must_use]
    pub fn repetitions_of(&self, size: u64) -> u64 {
        if size < 100_000 { self.repetitions } else { self.repetitions.min(3) }
    }
}

/// A line that a process of a turn prints: a sample, or a note on what it left out.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// A figure of this round.
    Sample(Sample),
    /// The reason why figures are absent.
    Note {
        /// For people.
        note: String,
    },
}

/// Where a process of a turn prints its lines.
pub struct Output<'a>(pub &'a mut dyn std::io::Write);

impl Output<'_> {
    /// Prints a sample.
    pub fn sample(&mut self, sample: Sample) -> std::io::Result<()> {
        self.print(&Line::Sample(sample))
    }

    /// Prints a note.
    pub fn note(&mut self, note: impl Into<String>) -> std::io::Result<()> {
        self.print(&Line::Note { note: note.into() })
    }

    /// The answer; if the system does not support `what`, `None` and a note.
    pub(crate) fn supported<T>(
        &mut self,
        what: impl std::fmt::Display,
        answer: Result<T, Refusal>,
    ) -> Result<Option<T>, Refusal> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(Refusal::Unsupported(why)) => {
                self.note(format!("{what}: {why}"))?;
                Ok(None)
            }
            Err(failed) => Err(failed),
        }
    }

    fn print(&mut self, line: &Line) -> std::io::Result<()> {
        serde_json::to_writer(&mut *self.0, line)?;
        writeln!(self.0)?;
        self.0.flush()
    }
}
