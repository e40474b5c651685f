//! The log's state: what a writer needs to continue and a reader to plan.
//!
//! An log state is advanced entry by entry, by readers and writers alike, and it is what a checkpoint holds. It is also
//! where an entry is judged to follow the one before.
//!
//! Rules: only an entry that follows advances it; costs are running sums from the first entry on, so that the cost of a
//! way between two versions is a difference, wherever the two were computed.

use std::ops::Sub;

use super::entry::{Body, DeltaPlace, Entry, Snapshot};
use super::error::ReadError;
use super::head::{Head, Kind};
use super::names;
use cenote_state::hash::Hash;
use cenote_state::ids::{DatasetId, Epoch, Position, Timestamp, Version};

/// Marks kept; beyond that, every other one is dropped from the older half: they only serve estimates.
const MARKS_MAX: usize = 8_192;

/// How many snapshots are kept, the newest; with a snapshot every minute that is more than a day, and it fits a checkpoint.
const SNAPSHOTS_MAX: usize = 2_048;

/// Bytes and requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Bytes to read.
    pub bytes: u64,
    /// Requests to make.
    pub requests: u64,
}

impl Cost {
    /// One more request. Saturates: sums from a forged checkpoint must not make us panic.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.requests = self.requests.saturating_add(1);
    }
}

impl Sub for Cost {
    type Output = Cost;

    fn sub(self, other: Cost) -> Cost {
        Cost { bytes: self.bytes.saturating_sub(other.bytes), requests: self.requests.saturating_sub(other.requests) }
    }
}

/// A snapshot that an entry names, and its place in the running sums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptSnapshot {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// When its entry was made.
    pub time: Timestamp,
    /// The log up to and with the snapshot's version.
    pub cost: Cost,
}

impl KeptSnapshot {
    /// When its version was committed, or, if that was not recorded, when the snapshot was named: a little later.
    #[must_use]
    pub fn committed_at(&self) -> Timestamp {
        let committed_at = self.snapshot.committed_at;
        if committed_at == Timestamp::default() { self.time } else { committed_at }
    }
}

/// A commit in the running sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The commit.
    pub version: Version,
    /// The log up to and with it.
    pub cost: Cost,
}

/// The log's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogState {
    /// The dataset; zero before the first entry.
    pub dataset: DatasetId,
    /// The last position that counts here; 0 before the first entry.
    pub position: Position,
    /// Its entry's hash.
    pub hash: Hash,
    /// Its epoch.
    pub epoch: Epoch,
    /// The newest checkpoint entry; 0 if there is none.
    pub checkpoint: Position,
    /// The first position that holds an entry.
    pub log_start: Position,
    /// From here on all entries were seen to follow one another; 0 if that is all there are. Only a start around damage
    /// sets it, and no checkpoint holds it.
    pub whole_from: Position,
    /// The newest commit.
    pub version: Version,
    /// Its state's digest.
    pub digest: u128,
    /// The log so far.
    pub cost: Cost,
    /// The snapshots that can be rolled forward, oldest version first.
    pub snapshots: Vec<KeptSnapshot>,
    /// The commits since the newest snapshot's version, that one included.
    pub marks: Vec<Mark>,
}

impl LogState {
    /// Before the first entry.
    #[must_use]
    pub fn empty() -> LogState {
        LogState {
            dataset: DatasetId([0; 16]),
            position: Position(0),
            hash: Hash::NONE,
            epoch: Epoch(0),
            checkpoint: Position(0),
            log_start: Position(1),
            whole_from: Position(0),
            version: Version::EMPTY,
            digest: 0,
            cost: Cost::default(),
            snapshots: Vec::new(),
            marks: Vec::new(),
        }
    }

    /// The newest snapshot.
    #[must_use]
    pub fn newest_snapshot(&self) -> Option<&KeptSnapshot> {
        self.snapshots.last()
    }

    /// Entries since the newest checkpoint, or since the beginning.
    #[must_use]
    pub fn entries_since_checkpoint(&self) -> u64 {
        self.position.0 - self.checkpoint.0
    }

    /// Takes the next entry in, if it follows.
    ///
    /// # Errors
    /// If it doesn't: the dataset was replaced, or the log is damaged.
    pub fn advance(&mut self, entry: &Entry) -> Result<(), ReadError> {
        Link::of_log_state(self).check(&entry.head)?;
        self.take(entry);
        Ok(())
    }

    /// The state after `entry`, of which the entries before are not known: what it and later ones say counts. Snapshots of
    /// versions before it can't be rolled forward.
    pub(super) fn beginning_with(entry: &Entry) -> Result<LogState, ReadError> {
        let head = &entry.head;
        if head.position.0 == 1 {
            let mut log_state = LogState::empty();
            return log_state.advance(entry).map(|()| log_state);
        }
        let opens = u64::from(head.kind == Kind::Open);
        let (version, digest) = match &entry.body {
            Body::Commit(commit) => (commit.parent, commit.parent_digest),
            _ => (Version::EMPTY, 0),
        };
        let mut log_state = LogState {
            dataset: head.dataset,
            position: Position(head.position.0 - 1),
            hash: head.previous,
            epoch: Epoch(head.epoch.0 - opens),
            checkpoint: if head.kind == Kind::Checkpoint { Position(0) } else { head.checkpoint },
            log_start: head.log_start,
            whole_from: head.position,
            version,
            digest,
            ..LogState::empty()
        };
        log_state.advance(entry).map(|()| log_state)
    }

    fn take(&mut self, entry: &Entry) {
        let head = &entry.head;
        self.dataset = head.dataset;
        self.position = head.position;
        self.hash = head.hash;
        self.epoch = head.epoch;
        self.checkpoint = head.checkpoint;
        self.log_start = head.log_start;
        self.cost.add(entry.bytes);
        match &entry.body {
            Body::Commit(commit) => {
                if let DeltaPlace::Blob(blob) = &commit.delta {
                    self.cost.add(blob.length);
                }
                self.version = Version(head.position.0);
                self.digest = commit.digest;
                self.mark();
            }
            Body::Snapshot(snapshot) => self.keep(snapshot, head.time),
            Body::Trim(_) => self.snapshots.retain(|kept| kept.snapshot.version.0 + 1 >= head.log_start.0),
            Body::Open(_) | Body::Checkpoint(_) => {}
        }
    }

    fn mark(&mut self) {
        self.marks.push(Mark { version: self.version, cost: self.cost });
        if self.marks.len() > MARKS_MAX {
            let mut index = 0;
            self.marks.retain(|_| {
                index += 1;
                index > MARKS_MAX / 2 || index % 2 == 1
            });
        }
    }

    fn keep(&mut self, snapshot: &Snapshot, time: Timestamp) {
        if snapshot.version.0 + 1 < self.log_start.max(self.whole_from).0 {
            return; // the deltas that would roll it forward are gone
        }
        if self.whole_from.0 > 0 && snapshot.version > self.version {
            (self.version, self.digest) = (snapshot.version, snapshot.digest);
        }
        // A second snapshot of a version takes the place of the first: a person had a reason to make it.
        self.snapshots.retain(|other| other.snapshot.version != snapshot.version);
        let kept = KeptSnapshot { snapshot: snapshot.clone(), time, cost: self.cost_at(snapshot.version) };
        let at = self.snapshots.partition_point(|other| other.snapshot.version <= snapshot.version);
        self.snapshots.insert(at, kept);
        if self.snapshots.len() > SNAPSHOTS_MAX {
            self.snapshots.remove(0);
        }
        let newest = self.snapshots.last().map_or(Version::EMPTY, |kept| kept.snapshot.version);
        self.marks.retain(|mark| mark.version >= newest);
    }

    /// The log up to and with `version`; where marks were dropped, up to the nearest one below that is known.
    #[must_use]
    pub fn cost_at(&self, version: Version) -> Cost {
        if version > self.version {
            return self.cost;
        }
        let snapshots = self.snapshots.iter().map(|kept| (kept.snapshot.version, kept.cost));
        let marks = self.marks.iter().map(|mark| (mark.version, mark.cost));
        let below = snapshots.chain(marks).filter(|(known, _)| *known <= version);
        below.max_by_key(|(known, _)| *known).map_or(Cost::default(), |(_, cost)| cost)
    }

    /// Whether `version` is a commit, as far as marks and snapshots show.
    #[must_use]
    pub fn knows(&self, version: Version) -> bool {
        self.version == version || self.marks.iter().any(|mark| mark.version == version)
    }
}

/// What the next entry must fit to: the newest one's place, hash and epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) dataset: DatasetId,
    pub(super) position: Position,
    pub(super) hash: Hash,
    epoch: Epoch,
    checkpoint: Position,
    log_start: Position,
}

impl Link {
    pub(super) fn of_log_state(log_state: &LogState) -> Link {
        let LogState { dataset, position, hash, epoch, checkpoint, log_start, .. } = *log_state;
        Link { dataset, position, hash, epoch, checkpoint, log_start }
    }

    pub(super) fn of_head(head: &Head) -> Link {
        let Head { dataset, position, hash, epoch, checkpoint, log_start, .. } = *head;
        Link { dataset, position, hash, epoch, checkpoint, log_start }
    }

    /// Whether `next` follows: the position, the dataset, the chain of hashes, the epoch and the header's pointers.
    pub(super) fn check(&self, next: &Head) -> Result<(), ReadError> {
        let object = names::log_entry(next.position);
        if self.position.0 > 0 && next.dataset != self.dataset {
            return Err(ReadError::Replaced { object, expected: self.dataset, found: next.dataset });
        }
        match self.misfit(next) {
            Some(cause) => Err(ReadError::damaged(object, cause)),
            None => Ok(()),
        }
    }

    fn misfit(&self, next: &Head) -> Option<String> {
        let opens = next.kind == Kind::Open;
        if next.position != self.position.next() {
            return Some(format!("position {} was expected", self.position.next()));
        }
        if next.previous != self.hash {
            return Some(format!("it follows an entry of hash {}, not the one before it", next.previous));
        }
        if next.epoch.0 != self.epoch.0 + u64::from(opens) {
            return Some(format!("its epoch is {}, the one before has {}", next.epoch, self.epoch));
        }
        if next.kind != Kind::Checkpoint && next.checkpoint != self.checkpoint {
            return Some(format!("its checkpoint is {}, the one before has {}", next.checkpoint, self.checkpoint));
        }
        let log_start_fits =
            if next.kind == Kind::Trim { next.log_start >= self.log_start } else { next.log_start == self.log_start };
        (!log_start_fits).then(|| format!("its log start is {}, the one before has {}", next.log_start, self.log_start))
    }
}
