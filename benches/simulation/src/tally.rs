//! How often each outcome occurred, and the trace of a run.

use xxhash_rust::xxh3::Xxh3;

/// An outcome of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// A version was acknowledged.
    Committed,
    /// A version was reported as not written.
    Lost,
    /// The outcome was unknown, and the version is in the log.
    UnknownLanded,
    /// The outcome was unknown, and the version is not in the log.
    UnknownNever,
    /// A producer was superseded by another one.
    Fenced,
    /// A producer found a tombstone at the position where it wanted to write.
    ProducerMetTombstone,
    /// A consumer found a tombstone at the position where it wanted to read on.
    ConsumerMetTombstone,
    /// A producer or consumer started from a checkpoint.
    StartedFromCheckpoint,
    /// A consumer quarantined a version.
    Quarantine,
    /// An object that an entry names was missing.
    MissingObject,
    /// A consumer noticed that the newest entry is missing.
    ShortLog,
    /// A producer opened while another one was open.
    Takeover,
    /// An entry named a snapshot.
    Snapshot,
    /// The log was trimmed.
    Trim,
    /// A sweep deleted garbage.
    Swept,
    /// A caller dropped a call half-way.
    Dropped,
    /// An actor was killed.
    Killed,
    /// A producer or consumer did not open, because of a fault of the store.
    NotOpened,
    /// A refresh failed; the old view is still served.
    NotRefreshed,
    /// An object was removed or corrupted.
    StoreDamaged,
    /// The log was trimmed while a consumer refreshed.
    TrimmedDuringRefresh,
    /// A producer was stopped between the object that it put and the entry that names it.
    Stopped,
    /// The wall clock was set.
    ClockSet,
    /// A read was answered with what was there before a write.
    StaleRead,
    /// An older copy of the dataset was put back.
    Restored,
    /// A consumer noticed that it follows an older copy.
    NoticedCopy,
}

impl Outcome {
    /// All outcomes. A run without one of them tests too little.
    pub const ALL: [Outcome; 26] = [
        Outcome::Committed,
        Outcome::Lost,
        Outcome::UnknownLanded,
        Outcome::UnknownNever,
        Outcome::Fenced,
        Outcome::ProducerMetTombstone,
        Outcome::ConsumerMetTombstone,
        Outcome::StartedFromCheckpoint,
        Outcome::Quarantine,
        Outcome::MissingObject,
        Outcome::ShortLog,
        Outcome::Takeover,
        Outcome::Snapshot,
        Outcome::Trim,
        Outcome::Swept,
        Outcome::Dropped,
        Outcome::Killed,
        Outcome::NotOpened,
        Outcome::NotRefreshed,
        Outcome::StoreDamaged,
        Outcome::TrimmedDuringRefresh,
        Outcome::Stopped,
        Outcome::ClockSet,
        Outcome::StaleRead,
        Outcome::Restored,
        Outcome::NoticedCopy,
    ];
}

/// How often each outcome occurred.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    counts: [u64; Outcome::ALL.len()],
}

impl Tally {
    /// How often `outcome` occurred.
    #[must_use]
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.counts[outcome as usize]
    }

    /// The outcomes that never occurred.
    #[must_use]
    pub fn unseen(&self) -> Vec<Outcome> {
        Outcome::ALL.into_iter().filter(|outcome| self.of(*outcome) == 0).collect()
    }

    pub(crate) fn count(&mut self, outcome: Outcome) {
        self.counts[outcome as usize] += 1;
    }
}

/// The lines of a run and their hash; the driver takes the lines.
#[derive(Default)]
pub(crate) struct Trace {
    hash: Xxh3,
    lines: Vec<String>,
}

impl Trace {
    pub(crate) fn line(&mut self, line: String) {
        self.hash.update(line.as_bytes());
        self.hash.update(b"\n");
        self.lines.push(line);
    }

    pub(crate) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash.digest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_listed_in_their_order() {
        assert!(Outcome::ALL.iter().enumerate().all(|(index, outcome)| *outcome as usize == index));
    }
}
