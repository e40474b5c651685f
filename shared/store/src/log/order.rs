//! The seven rules of order, in one place.
//!
//! Storage gives us put-if-absent on single objects and nothing else. All of Cenote's promises (I1, I6, I7, I11) rest
//! on the order in which objects are written, named and deleted. Each rule is one item here; the rest of the code asks
//! it and decides nothing by itself. With the feature `testing`, a simulation can break each, and must then see something
//! go wrong.
//!
//! 1. Objects, then the entry that names them, then the hint: [`Rules::publish_steps`].
//! 2. A put has three outcomes, and no caller gets "not written" while it may still take effect: [`Rules::judge_put`].
//! 3. One producer holds the dataset; a higher epoch is final: [`Rules::may_open`], [`Rules::is_fenced`]. Its `open` comes
//!    just before its first other entry, so that a producer that writes nothing leaves nothing and fences no producer.
//! 4. Retention: `trim`, then tombstones in ascending order, a few at a time, then deletion; the log start never passes what is kept:
//!    [`Rules::trim_steps`], [`Rules::log_start_limit`].
//! 5. Garbage is what no entry names and none can name any more: [`Rules::is_garbage`], [`Rules::may_name`].
//! 6. "Not found" is the end of the log only after an entry, and not below the hint: [`Rules::is_end`].
//! 7. A snapshot is read back and compared before an entry names it: [`Rules::is_proven`].

use std::time::Duration;

use super::hint::Hint;
use super::names::ObjectName;
use super::state::LogState;
use cenote_state::ids::{Epoch, Position, Timestamp};

/// A rule of order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// 1. Objects, then the entry that names them, then the hint.
    ObjectsBeforeEntry,
    /// 2. A put has three outcomes and is settled.
    SettlePuts,
    /// 3. One producer owns the dataset.
    SingleOwner,
    /// 4. Trim, then tombstones, then deletion.
    TrimOrder,
    /// 5. Only garbage is deleted.
    Garbage,
    /// 6. What the end of the log is.
    EndOfLog,
    /// 7. A snapshot is read back before an entry names it.
    ReadBack,
}

impl Rule {
    /// All of them, in the order of their numbers.
    pub const ALL: [Rule; 7] = [
        Rule::ObjectsBeforeEntry,
        Rule::SettlePuts,
        Rule::SingleOwner,
        Rule::TrimOrder,
        Rule::Garbage,
        Rule::EndOfLog,
        Rule::ReadBack,
    ];
}

/// The rules. All are kept; only with the feature `testing` can a simulation break one. Without it this is nothing at
/// run time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    #[cfg(any(test, feature = "testing"))]
    broken: Option<Rule>,
}

/// A step of publishing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishStep {
    /// Put the objects that the entry will name.
    Objects,
    /// Put the entry.
    Entry,
}

/// A step of trimming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrimStep {
    /// Put the `trim` entry.
    Trim,
    /// Overwrite the log objects below the log start, in ascending order.
    Tombstones,
    /// Delete what only they named.
    Delete,
}

/// What is at a position after a put to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Our own entry.
    Ours,
    /// Another's entry, a tombstone, or something else.
    Anothers,
    /// Nothing, or the store does not say.
    Nothing,
}

/// What became of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Our entry.
    Committed,
    /// Another's does: ours never will.
    Lost,
    /// Nothing yet: our put may still take effect, so only the same bytes may be put there.
    Undecided,
}

/// What "not found" after the last known key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotFound {
    /// The log ends here.
    End,
    /// Something is missing that was there.
    Damage,
}

impl Rules {
    /// All rules but one: only for simulations, which must then fail.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn broken(rule: Rule) -> Rules {
        Rules { broken: Some(rule) }
    }

    #[cfg(any(test, feature = "testing"))]
    fn keep(self, rule: Rule) -> bool {
        self.broken != Some(rule)
    }

    #[cfg(not(any(test, feature = "testing")))]
    fn keep(self, _rule: Rule) -> bool {
        true
    }

    /// Rule 1. The order of publishing: a crash between any two steps leaves garbage, never a name without its object.
    /// The hint follows an entry that is known to be in the log, so it never runs ahead of the log.
    #[must_use]
    pub fn publish_steps(self) -> [PublishStep; 2] {
        let steps = [PublishStep::Objects, PublishStep::Entry];
        if self.keep(Rule::ObjectsBeforeEntry) { steps } else { [steps[1], steps[0]] }
    }

    /// Rule 2. The outcome of a put-if-absent that the store did not simply confirm, from what is there now.
    ///
    /// An error, or "exists" with nothing there (S3's 409), leaves it open. Only the other two are ever reported as final.
    #[must_use]
    pub fn judge_put(self, standing: Standing) -> Verdict {
        match standing {
            Standing::Ours => Verdict::Committed,
            Standing::Anothers => Verdict::Lost,
            Standing::Nothing if self.keep(Rule::SettlePuts) => Verdict::Undecided,
            Standing::Nothing => Verdict::Lost,
        }
    }

    /// Rule 3. Whether a new producer may put its `open` now; else how long to wait before it looks at the hint again.
    ///
    /// `hint` has been unchanged for `unchanged_for`, by our own monotonic clock. A hint of an epoch below the log's is
    /// a superseded producer's, and no hint at all may be that of a producer that just opened: both are as good as a
    /// promise of `default_promise`, because the owner of the dataset is about to put its own.
    ///
    /// # Errors
    /// How long to wait.
    pub fn may_open(
        self,
        log_epoch: Epoch,
        hint: Option<&Hint>,
        unchanged_for: Duration,
        default_promise: Duration,
    ) -> Result<(), Duration> {
        let promise = match hint {
            _ if log_epoch.0 == 0 => Duration::ZERO,
            Some(hint) if hint.epoch >= log_epoch && hint.owner.is_none() => Duration::ZERO,
            Some(hint) if hint.epoch >= log_epoch => hint.heartbeat_interval,
            _ => default_promise,
        };
        match promise.saturating_sub(unchanged_for) {
            Duration::ZERO => Ok(()),
            rest => Err(rest),
        }
    }

    /// Rule 3. Whether a writer of epoch `own` that meets `found` is superseded. That is final.
    #[must_use]
    pub fn is_fenced(self, own: Epoch, found: Epoch) -> bool {
        found > own && self.keep(Rule::SingleOwner)
    }

    /// Rule 3. Whether a commit must name the newest version as its parent: a writer that was superseded has another
    /// reason to be found out than its epoch.
    pub(super) fn checks_parents(self) -> bool {
        self.keep(Rule::SingleOwner)
    }

    /// Rule 4. The order of trimming. A crash between any two leaves tombstones to write and garbage to delete; at no
    /// moment does an entry that readers may still need name what is gone.
    #[must_use]
    pub fn trim_steps(self) -> [TrimStep; 3] {
        let steps = [TrimStep::Trim, TrimStep::Tombstones, TrimStep::Delete];
        if self.keep(Rule::TrimOrder) { steps } else { [steps[2], steps[1], steps[0]] }
    }

    /// Rule 4. The highest log start that keeps the newest `snapshots` of them and every one made after `younger_than`:
    /// the version after the oldest kept one. Never lower than the log start is, and 0 snapshots count as 1.
    #[must_use]
    pub fn log_start_limit(self, log_state: &LogState, snapshots: usize, younger_than: Timestamp) -> Position {
        let kept = &log_state.snapshots;
        let by_count = kept.len().saturating_sub(snapshots.max(1));
        let by_age = kept.iter().position(|kept| kept.time > younger_than).unwrap_or(kept.len());
        let limit = kept.get(by_count.min(by_age)).map(|oldest| oldest.snapshot.version.position().next());
        limit.unwrap_or(log_state.log_start).max(log_state.log_start)
    }

    /// Rule 5. Whether the object `name` may be deleted by any process, after the log was read to its tail: no live entry
    /// and not the newest checkpoint names it, and none can name it any more. Otherwise only its own writer may.
    #[must_use]
    pub fn is_garbage(self, name: &ObjectName, is_named: bool, log_epoch: Epoch, log_start: Position) -> bool {
        let is_past = name.epoch < log_epoch || name.position < log_start;
        !is_named && (is_past || !self.keep(Rule::Garbage))
    }

    /// Rule 5, the other side. Whether an entry of `epoch` may name the object: its own writer's, not below the log start.
    #[must_use]
    pub fn may_name(self, name: &ObjectName, epoch: Epoch, log_start: Position) -> bool {
        (name.epoch == epoch && name.position >= log_start) || !self.keep(Rule::Garbage)
    }

    /// Rule 6. What it means that nothing exists after `last`: the end of the log only if `last` itself holds an
    /// entry and the hint names nothing after it.
    #[must_use]
    pub fn is_end(self, last: Position, last_is_entry: bool, hint: Option<Position>) -> NotFound {
        let is_end = last_is_entry && hint.is_none_or(|hint| hint <= last);
        if is_end || !self.keep(Rule::EndOfLog) { NotFound::End } else { NotFound::Damage }
    }

    /// Rule 7. Whether a snapshot may be named: read back from storage and decoded, it has its commit's digest.
    #[must_use]
    pub fn is_proven(self, committed: u128, read_back: u128) -> bool {
        committed == read_back || !self.keep(Rule::ReadBack)
    }

    /// Rule 7, for the code that would have to read back: whether to do it at all.
    #[must_use]
    pub fn reads_back(self) -> bool {
        self.keep(Rule::ReadBack)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::names::Folder;
    use cenote_state::ids::DatasetId;

    const SECOND: Duration = Duration::from_secs(1);

    fn hint(epoch: u64, owner: Option<&str>) -> Hint {
        Hint {
            dataset: DatasetId([1; 16]),
            position: Position(9),
            epoch: Epoch(epoch),
            beat: 1,
            owner: owner.map(str::to_owned),
            heartbeat_interval: 10 * SECOND,
        }
    }

    #[test]
    fn opening_waits_for_the_promise_of_the_newest_epoch() {
        let rules = Rules::default();
        let check = |log_epoch, hint: Option<Hint>, unchanged_s: u32, expected: Result<(), u32>| {
            let may = rules.may_open(Epoch(log_epoch), hint.as_ref(), unchanged_s * SECOND, 15 * SECOND);
            assert_eq!(may, expected.map_err(|seconds| seconds * SECOND), "{log_epoch} {hint:?} {unchanged_s}");
        };
        check(0, None, 0, Ok(())); // there is no dataset yet
        check(2, Some(hint(2, None)), 0, Ok(())); // it closed
        check(2, Some(hint(2, Some("a"))), 0, Err(10));
        check(2, Some(hint(2, Some("a"))), 4, Err(6));
        check(2, Some(hint(2, Some("a"))), 10, Ok(()));
        check(2, Some(hint(3, Some("a"))), 0, Err(10)); // it opened since we read the log
        check(2, Some(hint(1, None)), 0, Err(15)); // the last hint of a superseded one says nothing of the owner
        check(2, None, 14, Err(1));
        check(2, None, 15, Ok(()));
    }

    #[test]
    fn the_end_of_the_log_is_after_an_entry_and_not_below_the_hint() {
        let rules = Rules::default();
        assert_eq!(rules.is_end(Position(9), true, None), NotFound::End);
        assert_eq!(rules.is_end(Position(9), true, Some(Position(9))), NotFound::End);
        assert_eq!(rules.is_end(Position(9), true, Some(Position(10))), NotFound::Damage);
        assert_eq!(rules.is_end(Position(9), false, None), NotFound::Damage);
    }

    #[test]
    fn garbage_is_what_no_producer_can_name_any_more() {
        let rules = Rules::default();
        for (position, epoch) in [(9, 2), (9, 1), (4, 2), (4, 1), (5, 2)] {
            let name =
                ObjectName { folder: Folder::Blobs, position: Position(position), epoch: Epoch(epoch), id: [0; 16] };
            let (log_epoch, log_start) = (Epoch(2), Position(5));
            // The two sides of rule 5 never meet: what may be deleted may not be named.
            let garbage = rules.is_garbage(&name, false, log_epoch, log_start);
            assert_ne!(garbage, rules.may_name(&name, log_epoch, log_start), "{name}");
            assert!(!rules.is_garbage(&name, true, log_epoch, log_start));
        }
    }

    #[test]
    fn each_rule_can_be_broken_alone() {
        for broken in Rule::ALL {
            let rules = Rules::broken(broken);
            let kept = [
                rules.publish_steps()[0] == PublishStep::Objects,
                rules.judge_put(Standing::Nothing) == Verdict::Undecided,
                rules.is_fenced(Epoch(1), Epoch(2)),
                rules.trim_steps()[0] == TrimStep::Trim,
                rules.is_end(Position(9), false, None) == NotFound::Damage,
                !rules.is_proven(1, 2),
            ];
            let order = [
                Rule::ObjectsBeforeEntry,
                Rule::SettlePuts,
                Rule::SingleOwner,
                Rule::TrimOrder,
                Rule::EndOfLog,
                Rule::ReadBack,
            ];
            for (kept, rule) in kept.into_iter().zip(order) {
                assert_eq!(kept, rule != broken, "{rule:?} with {broken:?} broken");
            }
        }
    }
}
