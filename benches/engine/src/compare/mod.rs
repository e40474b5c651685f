//! The comparison: every system does the same work in one run on one machine, and the figures say how it went.
//!
//! A run has rounds; a round gives every system a turn, one after another, so that a noisy minute hurts all alike. A turn
//! has two processes, one that publishes and one that reads, so that memory is each one's own. Children write samples as
//! JSON lines; the parent adds them up to rows with minimum, median and maximum over the rounds.
//!
//! Rules: answers are checked against the generator before their times count; what a system lacks is a note.

mod chain;
mod consume;
mod hollow;
mod latency;
mod machine;
mod produce;
mod reads;
mod report;
mod rounds;
mod rows;
mod table;
#[cfg(test)]
mod tests;
mod truth;

pub use chain::{Chain, Step};
pub use consume::consume;
pub use hollow::Hollow;
pub use machine::Meter;
pub use produce::produce;
pub use report::write_report;
pub use rounds::{Outcome, Plan, run};
pub use rows::{Row, Sample};
pub use table::write_table;

use crate::peers::Refusal;

/// How much of everything is done; small with `--quick`.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Change sets per size, and cycles of the producer.
    pub repetitions: u64,
    /// Timed passes of each read, and warm loads.
    pub passes: usize,
    /// Seconds per phase of latencies.
    pub seconds: f64,
    /// The most versions to refresh to while look-ups are timed.
    pub spare_versions: u64,
}

impl Effort {
    /// The effort of a full run.
    pub const FULL: Self = Self { repetitions: 5, passes: 5, seconds: 5.0, spare_versions: 200 };
    /// The effort of a smoke test.
    pub const QUICK: Self = Self { repetitions: 2, passes: 2, seconds: 1.0, spare_versions: 50 };

    /// Change sets of this size: large ones are few.
    #[must_use]
    pub fn repetitions_of(&self, size: u64) -> u64 {
        if size < 100_000 { self.repetitions } else { self.repetitions.min(3) }
    }
}

/// What a child of the comparison says: a sample, or a note on what it left out.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum Said {
    /// A figure of this round.
    Sample(Sample),
    /// Why figures are absent.
    Note {
        /// In words, for people.
        note: String,
    },
}

/// Where a child says what it has to say.
pub struct Out<'a>(pub &'a mut dyn std::io::Write);

impl Out<'_> {
    /// A line with a sample.
    pub fn sample(&mut self, sample: Sample) -> std::io::Result<()> {
        self.say(&Said::Sample(sample))
    }

    /// A line with a note.
    pub fn note(&mut self, note: impl Into<String>) -> std::io::Result<()> {
        self.say(&Said::Note { note: note.into() })
    }

    /// The answer, or a note that `what` is not supported.
    pub(crate) fn supported<T>(&mut self, what: &str, answer: Result<T, Refusal>) -> Result<Option<T>, Refusal> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(Refusal::Unsupported(why)) => {
                self.note(format!("{what}: {why}"))?;
                Ok(None)
            }
            Err(failed) => Err(failed),
        }
    }

    fn say(&mut self, said: &Said) -> std::io::Result<()> {
        serde_json::to_writer(&mut *self.0, said)?;
        writeln!(self.0)?;
        self.0.flush()
    }
}
