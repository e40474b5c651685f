//! The memory that a state and its indexes may take, and about how much they take.
//!
//! A program that is killed for its memory serves nothing; one that refuses a version serves the old one and reports why.
//!
//! Rules: counting a whole state costs more than a small delta, so it is done near the limit only; in between, an upper
//! bound of each delta is added.

use cenote_state::delta::{Change, Delta};
use cenote_state::state::State;
use sysinfo::{MemoryRefreshKind, ProcessRefreshKind, ProcessesToUpdate, System, get_current_pid};

/// A delta's rows may lie in segments that are copied, and their keys in pages: they count double.
const FACTOR: u64 = 2;

/// How many bytes a state may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    limit: u64,
    /// An upper bound of what the current state takes.
    estimate: u64,
}

impl Budget {
    pub(crate) fn new(limit: u64) -> Budget {
        Budget { limit, estimate: u64::MAX }
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Makes what `make` makes of a state that was admitted, given how many bytes it may take: what the state leaves. An
    /// error of it says how many it takes.
    ///
    /// # Errors
    /// The bytes that both take, if they are too many.
    pub(crate) fn beside<T>(&mut self, state: &State, make: impl Fn(u64) -> Result<T, u64>) -> Result<T, u64> {
        if self.limit == u64::MAX {
            return make(u64::MAX);
        }
        let made = make(self.limit.saturating_sub(self.estimate));
        if made.is_ok() {
            return made;
        }
        // The estimate may be far above what the state takes.
        self.estimate = state.memory_bytes();
        make(self.limit.saturating_sub(self.estimate)).map_err(|needed| needed.saturating_add(self.estimate))
    }

    /// Admits a new state, which `delta` led to.
    ///
    /// # Errors
    /// The bytes that the state takes, if they are too many.
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

/// The memory of the machine, or the limit of the container that this process runs in, whichever is less. Groups that
/// contain the container's group count as well. No limit if the system does not say.
pub(crate) fn of_machine() -> u64 {
    let Ok(mut system) = System::new() else { return u64::MAX };
    system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
    let machine = Some(system.total_memory()).filter(|bytes| *bytes > 0);
    let container = get_current_pid().ok().and_then(|pid| {
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, ProcessRefreshKind::nothing());
        system.process(pid)?.cgroup_limits()
    });
    let container = container.map(|limits| limits.total_memory).filter(|bytes| *bytes > 0);
    machine.into_iter().chain(container).min().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_memory_and_a_container_has_no_more() {
        let mut system = System::new().expect("the system is supported");
        system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        let limit = of_machine();
        assert!(limit > 1 << 20 && limit <= system.total_memory(), "{limit}");
    }
}
