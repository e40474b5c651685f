//! The faults that the messages are tested for: what happens, and how it is made to happen.

use std::time::Duration;

use cenote_testing::faults::{Fault, RequestKind, Rule};

use crate::damage::{Damage, Object};

/// One fault.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) injection: Injection,
}

/// How the fault is injected.
pub(crate) enum Injection {
    /// The store misbehaves.
    Store(fn() -> Vec<Rule>),
    /// An object is damaged.
    Object(Object, Damage),
    /// Another dataset is made at the same URL.
    Replaced,
    /// A newer release commits a delta that this one can't read.
    CommittedByNewer,
    /// The dataset is deleted.
    Deleted,
    /// A file that is not Cenote's is at the log's first position.
    Foreign,
}

impl Case {
    /// Whether everything works again after the fault. What was deleted or committed stays so.
    pub(crate) fn recovers(&self) -> bool {
        !matches!(
            self.injection,
            Injection::Replaced | Injection::Deleted | Injection::Foreign | Injection::CommittedByNewer
        )
    }
}

fn outage() -> Vec<Rule> {
    vec![Rule::new(Fault::Unavailable)]
}

fn silence() -> Vec<Rule> {
    vec![Rule::new(Fault::Timeout)]
}

fn slow() -> Vec<Rule> {
    vec![Rule::new(Fault::Slow(Duration::from_secs(15)))]
}

fn answers_lost() -> Vec<Rule> {
    vec![Rule::new(Fault::AnswerLost).on(RequestKind::Create)]
}

/// Until the entry lands, the store is unreachable.
fn lands_minutes_later() -> Vec<Rule> {
    let later = Fault::LandsLater(Duration::from_mins(3));
    vec![Rule::new(later).on(RequestKind::Create).times(1), Rule::new(Fault::Unavailable).on(RequestKind::Create)]
}

fn conflicts() -> Vec<Rule> {
    vec![Rule::new(Fault::Conflict).on(RequestKind::Create).times(3)]
}

fn endless_conflicts() -> Vec<Rule> {
    vec![Rule::new(Fault::Conflict).on(RequestKind::Create)]
}

fn meets_itself() -> Vec<Rule> {
    vec![Rule::new(Fault::MeetsItself).on(RequestKind::Create)]
}

fn missing_is_denied() -> Vec<Rule> {
    vec![Rule::new(Fault::DeniedIfMissing)]
}

fn denied() -> Vec<Rule> {
    vec![Rule::new(Fault::Denied)]
}

fn full() -> Vec<Rule> {
    [RequestKind::Create, RequestKind::Put].map(|kind| Rule::new(Fault::DiskFull).on(kind)).into()
}

/// All faults.
pub(crate) const CASES: &[Case] = &[
    Case { name: "no dataset", injection: Injection::Deleted },
    Case { name: "dataset replaced", injection: Injection::Replaced },
    Case { name: "foreign file", injection: Injection::Foreign },
    Case { name: "entry: truncated", injection: Injection::Object(Object::Entry, Damage::Truncated) },
    Case { name: "entry: flipped", injection: Injection::Object(Object::Entry, Damage::Flipped) },
    Case { name: "entry: swapped", injection: Injection::Object(Object::Entry, Damage::Swapped) },
    Case { name: "entry: missing", injection: Injection::Object(Object::Entry, Damage::Missing) },
    Case { name: "blob: newer format", injection: Injection::Object(Object::Blob, Damage::Newer) },
    Case { name: "blob: truncated", injection: Injection::Object(Object::Blob, Damage::Truncated) },
    Case { name: "blob: flipped", injection: Injection::Object(Object::Blob, Damage::Flipped) },
    Case { name: "blob: swapped", injection: Injection::Object(Object::Blob, Damage::Swapped) },
    Case { name: "blob: missing", injection: Injection::Object(Object::Blob, Damage::Missing) },
    Case { name: "blob: newer format, by a newer release", injection: Injection::CommittedByNewer },
    Case { name: "snapshot: header flipped", injection: Injection::Object(Object::Snapshot, Damage::HeaderFlipped) },
    Case { name: "snapshot: newer format", injection: Injection::Object(Object::Snapshot, Damage::Newer) },
    Case { name: "snapshot: truncated", injection: Injection::Object(Object::Snapshot, Damage::Truncated) },
    Case { name: "snapshot: flipped", injection: Injection::Object(Object::Snapshot, Damage::Flipped) },
    Case { name: "snapshot: swapped", injection: Injection::Object(Object::Snapshot, Damage::Swapped) },
    Case { name: "snapshot: missing", injection: Injection::Object(Object::Snapshot, Damage::Missing) },
    Case { name: "footer: truncated", injection: Injection::Object(Object::Footer, Damage::Truncated) },
    Case { name: "footer: flipped", injection: Injection::Object(Object::Footer, Damage::Flipped) },
    Case { name: "footer: swapped", injection: Injection::Object(Object::Footer, Damage::Swapped) },
    Case { name: "checkpoint: newer format", injection: Injection::Object(Object::Checkpoint, Damage::Newer) },
    Case { name: "checkpoint: truncated", injection: Injection::Object(Object::Checkpoint, Damage::Truncated) },
    Case { name: "checkpoint: flipped", injection: Injection::Object(Object::Checkpoint, Damage::Flipped) },
    Case { name: "checkpoint: swapped", injection: Injection::Object(Object::Checkpoint, Damage::Swapped) },
    Case { name: "checkpoint: missing", injection: Injection::Object(Object::Checkpoint, Damage::Missing) },
    Case { name: "hint: newer format", injection: Injection::Object(Object::Hint, Damage::Newer) },
    Case { name: "hint: truncated", injection: Injection::Object(Object::Hint, Damage::Truncated) },
    Case { name: "hint: flipped", injection: Injection::Object(Object::Hint, Damage::Flipped) },
    Case { name: "hint: swapped", injection: Injection::Object(Object::Hint, Damage::Swapped) },
    Case { name: "hint: missing", injection: Injection::Object(Object::Hint, Damage::Missing) },
    Case { name: "slow", injection: Injection::Store(slow) },
    Case { name: "outage", injection: Injection::Store(outage) },
    Case { name: "silence", injection: Injection::Store(silence) },
    Case { name: "answers lost", injection: Injection::Store(answers_lost) },
    Case { name: "lands minutes later", injection: Injection::Store(lands_minutes_later) },
    Case { name: "409", injection: Injection::Store(conflicts) },
    Case { name: "409 endlessly", injection: Injection::Store(endless_conflicts) },
    Case { name: "meets itself", injection: Injection::Store(meets_itself) },
    Case { name: "403 for missing keys", injection: Injection::Store(missing_is_denied) },
    Case { name: "403", injection: Injection::Store(denied) },
    Case { name: "full", injection: Injection::Store(full) },
];
