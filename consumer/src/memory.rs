//! The memory that a state may take, and about how much one takes.
//!
//! A program that is killed for its memory serves nothing; one that refuses a version serves the old one and says so.
//!
//! Rules: counting a whole state costs more than a small delta, so it is done near the limit only; in between the
//! deltas are added up, for more than they can be.

use cenote_state::delta::{Change, Delta};
use cenote_state::state::State;

/// A delta's rows may lie in segments that are copied, and their keys in pages: counted double.
const FACTOR: u64 = 2;

/// What a state may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    limit: u64,
    /// At least what the current state takes.
    estimate: u64,
}

impl Budget {
    pub(crate) fn new(limit: u64) -> Budget {
        Budget { limit, estimate: u64::MAX }
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Takes in what became of the state; `Err` has what it takes if that is too much.
    pub(crate) fn admit(&mut self, state: &State, delta: Option<&Delta>) -> Result<(), u64> {
        if self.limit == u64::MAX {
            return Ok(());
        }
        let grown = delta.map(|delta| self.estimate.saturating_add(FACTOR * bytes_of(delta)));
        let estimate = match grown {
            Some(grown) if grown <= self.limit => grown,
            _ => state.memory_bytes(),
        };
        if estimate > self.limit {
            return Err(estimate);
        }
        self.estimate = estimate;
        Ok(())
    }
}

fn bytes_of(delta: &Delta) -> u64 {
    let rows = delta.chunks.iter().filter_map(|chunk| match &chunk.change {
        Change::Removed(_) => None,
        Change::Added { rows, .. } | Change::Whole { rows, .. } | Change::Patched { rows, .. } => Some(rows),
    });
    rows.map(|rows| rows.memory_bytes() as u64).sum()
}

/// What the machine, or the container, has; no limit if it does not say.
pub(crate) fn of_machine() -> u64 {
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let container =
        number("/sys/fs/cgroup/memory.max").or_else(|| number("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemTotal:"))?.to_owned();
        line.split_whitespace().nth(1)?.parse::<u64>().ok()?.checked_mul(1_024)
    });
    container.into_iter().chain(machine).min().unwrap_or(u64::MAX)
}
