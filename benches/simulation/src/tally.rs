//! The tally: how often each outcome was seen, and the trace that tells two runs apart.

use xxhash_rust::xxh3::Xxh3;

/// What can become of somebody's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// A version was acknowledged.
    Committed,
    /// A caller was told that a version was not written, and never will be.
    Lost,
    /// Nobody knew, and it stands in the log.
    UnknownLanded,
    /// Nobody knew, and it never came.
    UnknownNever,
    /// A producer learned that another holds the dataset.
    Fenced,
    /// A producer that slept met a tombstone where it wanted to write.
    ProducerMetTombstone,
    /// A consumer that slept met one where it wanted to read on.
    ConsumerMetTombstone,
    /// Somebody started from a checkpoint.
    StartedFromCheckpoint,
    /// A consumer held a version back.
    Quarantine,
    /// An object that an entry names was not there.
    MissingObject,
    /// A consumer was told that where the log stops is not its end.
    ShortLog,
    /// A producer opened while another held the dataset.
    Takeover,
    /// A snapshot was named.
    Snapshot,
    /// A log start was raised.
    Trim,
    /// A sweep found garbage.
    Swept,
    /// A call was dropped half-way.
    Dropped,
    /// An actor was killed.
    Killed,
    /// A dataset was not opened: the store, or a damage.
    NotOpened,
    /// A refresh failed; the old view went on.
    NotRefreshed,
    /// The store damaged something on purpose.
    Mishap,
}

impl Outcome {
    /// All of them; a run that never sees one of these has tested too little.
    pub const ALL: [Outcome; 20] = [
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
        Outcome::Mishap,
    ];
}

/// How often each outcome was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    counts: [u64; Outcome::ALL.len()],
}

impl Tally {
    /// How often `outcome` was seen.
    #[must_use]
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.counts[outcome as usize]
    }

    /// The outcomes that were never seen.
    #[must_use]
    pub fn unseen(&self) -> Vec<Outcome> {
        Outcome::ALL.into_iter().filter(|outcome| self.of(*outcome) == 0).collect()
    }

    pub(crate) fn count(&mut self, outcome: Outcome) {
        self.counts[outcome as usize] += 1;
    }
}

/// Every line, hashed; lines wait here until the driver tells them.
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
    fn outcomes_stand_in_their_order() {
        assert!(Outcome::ALL.iter().enumerate().all(|(index, outcome)| *outcome as usize == index));
    }
}
