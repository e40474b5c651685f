//! The table of faults: what happens, and what each party says of it, word for word. Each message names the object and
//! the remedy; nothing is said where the party gets along.

use std::time::Duration;

use cenote_testing::faults::{Fault, RequestKind, Rule};

use crate::damage::{Damage, Object};

/// One fault.
pub(crate) struct Row {
    pub(crate) fault: &'static str,
    pub(crate) strike: Strike,
    /// Who follows, two versions behind.
    pub(crate) follower: &'static str,
    /// Who starts.
    pub(crate) fresh: &'static str,
    /// Who publishes. Once a minute it looks whether its newest entry still stands.
    pub(crate) producer: &'static str,
    /// Who opens to publish.
    pub(crate) opening: &'static str,
}

/// How it happens.
pub(crate) enum Strike {
    /// The store misbehaves.
    Store(fn() -> Vec<Rule>),
    /// An object is damaged.
    Object(Object, Damage),
    /// Another dataset was made under the same name.
    MadeAnew,
    /// A newer release committed something that this one can't read.
    CommittedByNewer,
    /// There is no dataset.
    Gone,
    /// Something else is there.
    NotOurs,
}

impl Row {
    /// Whether all is well once the fault is over. What was deleted stays away, what was committed stays.
    pub(crate) fn recovers(&self) -> bool {
        !matches!(self.strike, Strike::MadeAnew | Strike::Gone | Strike::NotOurs | Strike::CommittedByNewer)
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

/// And until it lands, the store is not to be reached.
fn lands_minutes_later() -> Vec<Rule> {
    let later = Fault::LandsLater(Duration::from_secs(180));
    vec![Rule::new(later).on(RequestKind::Create).times(1), Rule::new(Fault::Unavailable).on(RequestKind::Create)]
}

fn conflicts() -> Vec<Rule> {
    vec![Rule::new(Fault::Conflict).on(RequestKind::Create).times(3)]
}

fn conflicts_for_ever() -> Vec<Rule> {
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

/// All of them.
pub(crate) const ROWS: &[Row] = &[
    Row {
        fault: "there is no dataset",
        strike: Strike::Gone,
        follower: "no dataset at s3://media/catalog: nothing was published there yet, or the URL is wrong",
        fresh: "no dataset at s3://media/catalog after 60 s: nothing was published there yet, or the URL \
            is wrong; publish first, or open with .allow_empty()",
        producer: "the log that this writer appended to is gone: no dataset at s3://media/catalog: nothing was \
            published there yet, or the URL is wrong",
        opening: "",
    },
    Row {
        fault: "the dataset was made anew",
        strike: Strike::MadeAnew,
        follower: "log/00000000000000000005 belongs to dataset <id>, not <id>: the dataset was made anew, \
            open it again",
        fresh: "",
        producer: "the log that this writer appended to is gone: log/00000000000000000007 belongs to dataset \
            <id>, not <id>: the dataset was made anew, open it again",
        opening: "",
    },
    Row {
        fault: "not Cenote's",
        strike: Strike::NotOurs,
        follower: "log/00000000000000000001 is not Cenote's: it begins with [23, 21, 2f, 62, 69, 6e, 2f, \
            73]; check the dataset's URL",
        fresh: "cannot load a version of s3://media/catalog: log/00000000000000000001 is not Cenote's: it begins with [23, 21, 2f, 62, 69, 6e, 2f, \
            73]; check the dataset's URL",
        producer: "",
        opening: "log/00000000000000000001 is not Cenote's: it begins with [23, 21, 2f, 62, 69, 6e, 2f, \
            73]; check the dataset's URL",
    },
    Row {
        fault: "entry: truncated",
        strike: Strike::Object(Object::Entry, Damage::Truncated),
        follower: "log/00000000000000000007 is damaged: it ends inside its section table; restore it from a \
            copy, or make the dataset anew",
        fresh: "cannot load a version of s3://media/catalog: log/00000000000000000007 is damaged: it \
            ends inside its section table; restore it from a copy, or make the dataset anew",
        producer: "",
        opening: "log/00000000000000000007 is damaged: it ends inside its section table; restore it from a \
            copy, or make the dataset anew",
    },
    Row {
        fault: "entry: flipped",
        strike: Strike::Object(Object::Entry, Damage::Flipped),
        follower: "log/00000000000000000007 is damaged: its header does not match its hash; restore it from \
            a copy, or make the dataset anew",
        fresh: "cannot load a version of s3://media/catalog: log/00000000000000000007 is damaged: its \
            header does not match its hash; restore it from a copy, or make the dataset anew",
        producer: "",
        opening: "log/00000000000000000007 is damaged: its header does not match its hash; restore it from \
            a copy, or make the dataset anew",
    },
    Row {
        fault: "entry: swapped",
        strike: Strike::Object(Object::Entry, Damage::Swapped),
        follower: "log/00000000000000000007 is damaged: it holds the entry of position 2; restore it from a \
            copy, or make the dataset anew",
        fresh: "cannot load a version of s3://media/catalog: log/00000000000000000007 is damaged: it \
            holds the entry of position 2; restore it from a copy, or make the dataset anew",
        producer: "",
        opening: "log/00000000000000000007 is damaged: it holds the entry of position 2; restore it from a \
            copy, or make the dataset anew",
    },
    Row {
        fault: "entry: missing",
        strike: Strike::Object(Object::Entry, Damage::Missing),
        follower: "",
        fresh: "cannot load a version of s3://media/catalog: the log is damaged at \
            log/00000000000000000007: it is missing, and the hint tells of position 7; restore it \
            from a copy, or make the dataset anew",
        producer: "the log that this writer appended to is gone: the log is damaged at log/00000000000000000007: \
            it is missing, and it was there before; restore it from a copy, or make the dataset anew",
        opening: "the log is damaged at log/00000000000000000007: it is missing, and the hint tells of \
            position 7; restore it from a copy, or make the dataset anew",
    },
    Row {
        fault: "blob: newer format",
        strike: Strike::Object(Object::Blob, Damage::Newer),
        follower: "blobs/00000000000000000004-1-<id> is not the object that version 6 names: its length or \
            hash differs; restore it from a copy, or make a snapshot",
        fresh: "blobs/00000000000000000004-1-<id> is not the object that version 6 names: its length or \
            hash differs; restore it from a copy, or make a snapshot",
        producer: "",
        opening: "blobs/00000000000000000004-1-<id> is not the object that version 6 names: its length or \
            hash differs; restore it from a copy, or make a snapshot",
    },
    Row {
        fault: "blob: truncated",
        strike: Strike::Object(Object::Blob, Damage::Truncated),
        follower: "blobs/00000000000000000004-1-<id> is not the object that version 6 names: its length or \
            hash differs; restore it from a copy, or make a snapshot",
        fresh: "blobs/00000000000000000004-1-<id> is not the object that version 6 names: its length or \
            hash differs; restore it from a copy, or make a snapshot",
        producer: "",
        opening: "blobs/00000000000000000004-1-<id> is not the object that version 6 names: its length or \
            hash differs; restore it from a copy, or make a snapshot",
    },
    Row {
        fault: "blob: flipped",
        strike: Strike::Object(Object::Blob, Damage::Flipped),
        follower: "blobs/00000000000000000004-1-<id> is not the object that version 6 names: its length or \
            hash differs; restore it from a copy, or make a snapshot",
        fresh: "blobs/00000000000000000004-1-<id> is not the object that version 6 names: its length or \
            hash differs; restore it from a copy, or make a snapshot",
        producer: "",
        opening: "blobs/00000000000000000004-1-<id> is not the object that version 6 names: its length or \
            hash differs; restore it from a copy, or make a snapshot",
    },
    Row {
        fault: "blob: swapped",
        strike: Strike::Object(Object::Blob, Damage::Swapped),
        follower: "cannot read s3://media/catalog/blobs/00000000000000000004-1-<id>: larger than this \
            object may be, so it is damaged or not ours; restore it from a copy: the object has \
            1201845 bytes, allowed are 1200856",
        fresh: "cannot read s3://media/catalog/blobs/00000000000000000004-1-<id>: larger than this \
            object may be, so it is damaged or not ours; restore it from a copy: the object has \
            1201845 bytes, allowed are 1200856",
        producer: "",
        opening: "cannot read s3://media/catalog/blobs/00000000000000000004-1-<id>: larger than this \
            object may be, so it is damaged or not ours; restore it from a copy: the object has \
            1201845 bytes, allowed are 1200856",
    },
    Row {
        fault: "blob: missing",
        strike: Strike::Object(Object::Blob, Damage::Missing),
        follower: "blobs/00000000000000000004-1-<id> is missing, and log/00000000000000000006 names it: if \
            it doesn't appear within minutes, restore it from a copy",
        fresh: "blobs/00000000000000000004-1-<id> is missing, and log/00000000000000000006 names it: if \
            it doesn't appear within minutes, restore it from a copy",
        producer: "",
        opening: "blobs/00000000000000000004-1-<id> is missing, and log/00000000000000000006 names it: if \
            it doesn't appear within minutes, restore it from a copy",
    },
    Row {
        fault: "blob: newer format, by a newer release",
        strike: Strike::CommittedByNewer,
        follower: "cannot decode blobs/00000000000000000009-2-<id> of version 9: it has format 3, this release \
            reads up to 1; upgrade this program",
        fresh: "cannot decode blobs/00000000000000000009-2-<id> of version 9: it has format 3, this release \
            reads up to 1; upgrade this program",
        producer: "fenced: epoch 2 was opened at log position 8, this producer's is 1; open anew to take over",
        opening: "cannot decode blobs/00000000000000000009-2-<id> of version 9: it has format 3, this release \
            reads up to 1; upgrade this program",
    },
    Row {
        fault: "snapshot: header flipped",
        strike: Strike::Object(Object::Snapshot, Damage::HeaderFlipped),
        follower: "",
        fresh: "",
        producer: "",
        opening: "cannot decode snapshots/00000000000000000003-1-<id> of version 3; restore it from a copy, or \
            make another snapshot: its footer is not sound: it does not belong to the header",
    },
    Row {
        fault: "snapshot: newer format",
        strike: Strike::Object(Object::Snapshot, Damage::Newer),
        follower: "",
        fresh: "cannot load a version of s3://media/catalog: cannot decode \
            snapshots/00000000000000000003-1-<id> of version 3: it has format 3, this release reads up to 1; \
            upgrade this program",
        producer: "",
        opening: "cannot decode snapshots/00000000000000000003-1-<id> of version 3: it has format 3, this \
            release reads up to 1; upgrade this program",
    },
    Row {
        fault: "snapshot: truncated",
        strike: Strike::Object(Object::Snapshot, Damage::Truncated),
        follower: "",
        fresh: "",
        producer: "",
        opening: "snapshots/00000000000000000003-1-<id> is not the object that version 3 names: its length or \
            hash differs; restore it from a copy, or make a snapshot",
    },
    Row {
        fault: "snapshot: flipped",
        strike: Strike::Object(Object::Snapshot, Damage::Flipped),
        follower: "",
        fresh: "",
        producer: "",
        opening: "cannot decode snapshots/00000000000000000003-1-<id> of version 3; restore it from a copy, or \
            make another snapshot: its footer is damaged: the hash does not match",
    },
    Row {
        fault: "snapshot: swapped",
        strike: Strike::Object(Object::Snapshot, Damage::Swapped),
        follower: "",
        fresh: "",
        producer: "",
        opening: "snapshots/00000000000000000003-1-<id> is not the object that version 3 names: its length or \
            hash differs; restore it from a copy, or make a snapshot",
    },
    Row {
        fault: "snapshot: missing",
        strike: Strike::Object(Object::Snapshot, Damage::Missing),
        follower: "",
        fresh: "",
        producer: "",
        opening: "snapshots/00000000000000000003-1-<id> is missing though the log names it; if it was not \
            trimmed just now, restore it from a copy or make another snapshot",
    },
    Row {
        fault: "footer: truncated",
        strike: Strike::Object(Object::Footer, Damage::Truncated),
        follower: "",
        fresh: "",
        producer: "",
        opening: "snapshots/00000000000000000003-1-<id> is not the object that version 3 names: its length or \
            hash differs; restore it from a copy, or make a snapshot",
    },
    Row {
        fault: "footer: flipped",
        strike: Strike::Object(Object::Footer, Damage::Flipped),
        follower: "",
        fresh: "",
        producer: "",
        opening: "cannot decode snapshots/00000000000000000003-1-<id> of version 3; restore it from a copy, or \
            make another snapshot: its footer is damaged: the hash does not match",
    },
    Row {
        fault: "footer: swapped",
        strike: Strike::Object(Object::Footer, Damage::Swapped),
        follower: "",
        fresh: "",
        producer: "",
        opening: "snapshots/00000000000000000003-1-<id> is not the object that version 3 names: its length or \
            hash differs; restore it from a copy, or make a snapshot",
    },
    Row {
        fault: "checkpoint: newer format",
        strike: Strike::Object(Object::Checkpoint, Damage::Newer),
        follower: "",
        fresh: "cannot load a version of s3://media/catalog: the log is damaged at \
            checkpoints/00000000000000000005-1-<id>: it is not the object that its entry names; \
            restore it from a copy, or make the dataset anew",
        producer: "",
        opening: "the log is damaged at checkpoints/00000000000000000005-1-<id>: it is not the object that \
            its entry names; restore it from a copy, or make the dataset anew",
    },
    Row {
        fault: "checkpoint: truncated",
        strike: Strike::Object(Object::Checkpoint, Damage::Truncated),
        follower: "",
        fresh: "cannot load a version of s3://media/catalog: the log is damaged at \
            checkpoints/00000000000000000005-1-<id>: it is not the object that its entry names; \
            restore it from a copy, or make the dataset anew",
        producer: "",
        opening: "the log is damaged at checkpoints/00000000000000000005-1-<id>: it is not the object that \
            its entry names; restore it from a copy, or make the dataset anew",
    },
    Row {
        fault: "checkpoint: flipped",
        strike: Strike::Object(Object::Checkpoint, Damage::Flipped),
        follower: "",
        fresh: "cannot load a version of s3://media/catalog: the log is damaged at \
            checkpoints/00000000000000000005-1-<id>: it is not the object that its entry names; \
            restore it from a copy, or make the dataset anew",
        producer: "",
        opening: "the log is damaged at checkpoints/00000000000000000005-1-<id>: it is not the object that \
            its entry names; restore it from a copy, or make the dataset anew",
    },
    Row {
        fault: "checkpoint: swapped",
        strike: Strike::Object(Object::Checkpoint, Damage::Swapped),
        follower: "",
        fresh: "cannot load a version of s3://media/catalog: the log is damaged at \
            checkpoints/00000000000000000005-1-<id>: it is not the object that its entry names; \
            restore it from a copy, or make the dataset anew",
        producer: "",
        opening: "the log is damaged at checkpoints/00000000000000000005-1-<id>: it is not the object that \
            its entry names; restore it from a copy, or make the dataset anew",
    },
    Row {
        fault: "checkpoint: missing",
        strike: Strike::Object(Object::Checkpoint, Damage::Missing),
        follower: "",
        fresh: "cannot load a version of s3://media/catalog: checkpoints/00000000000000000005-1-<id> is \
            missing, and log/00000000000000000005 names it: if it doesn't appear within minutes, \
            restore it from a copy",
        producer: "",
        opening: "checkpoints/00000000000000000005-1-<id> is missing, and log/00000000000000000005 names \
            it: if it doesn't appear within minutes, restore it from a copy",
    },
    Row {
        fault: "hint: newer format",
        strike: Strike::Object(Object::Hint, Damage::Newer),
        follower: "",
        fresh: "",
        producer: "",
        opening: "",
    },
    Row {
        fault: "hint: truncated",
        strike: Strike::Object(Object::Hint, Damage::Truncated),
        follower: "",
        fresh: "",
        producer: "",
        opening: "",
    },
    Row {
        fault: "hint: flipped",
        strike: Strike::Object(Object::Hint, Damage::Flipped),
        follower: "",
        fresh: "",
        producer: "",
        opening: "",
    },
    Row {
        fault: "hint: swapped",
        strike: Strike::Object(Object::Hint, Damage::Swapped),
        follower: "",
        fresh: "",
        producer: "",
        opening: "",
    },
    Row {
        fault: "hint: missing",
        strike: Strike::Object(Object::Hint, Damage::Missing),
        follower: "",
        fresh: "",
        producer: "",
        opening: "",
    },
    Row { fault: "slow", strike: Strike::Store(slow), follower: "", fresh: "", producer: "", opening: "" },
    Row {
        fault: "outage",
        strike: Strike::Store(outage),
        follower: "cannot read s3://media/catalog/log/00000000000000000006: the store is throttling, \
            unreachable or cut off; try again later: Generic faults error: status code: 503 Service \
            Unavailable",
        fresh: "cannot load a version of s3://media/catalog: cannot read \
            s3://media/catalog/log/00000000000000000000: the store is throttling, unreachable or cut \
            off; try again later: Generic faults error: status code: 503 Service Unavailable",
        producer: "nobody knows whether log position 8 was written (cannot create \
            s3://media/catalog/log/00000000000000000008: the store is throttling, unreachable or cut \
            off; try again later): call settle, or any other method, to find out",
        opening: "cannot read s3://media/catalog/log/00000000000000000000: the store is throttling, \
            unreachable or cut off; try again later: Generic faults error: status code: 503 Service \
            Unavailable",
    },
    Row {
        fault: "silence",
        strike: Strike::Store(silence),
        follower: "cannot read s3://media/catalog/log/00000000000000000006: the store gave no answer in \
            time; try again: Generic faults error: timed out",
        fresh: "cannot load a version of s3://media/catalog: cannot read \
            s3://media/catalog/log/00000000000000000000: the store gave no answer in time; try \
            again: Generic faults error: timed out",
        producer: "nobody knows whether log position 8 was written (cannot create \
            s3://media/catalog/log/00000000000000000008: the store gave no answer in time; try \
            again): call settle, or any other method, to find out",
        opening: "cannot read s3://media/catalog/log/00000000000000000000: the store gave no answer in \
            time; try again: Generic faults error: timed out",
    },
    Row {
        fault: "answers lost",
        strike: Strike::Store(answers_lost),
        follower: "",
        fresh: "",
        producer: "",
        opening: "",
    },
    Row {
        fault: "lands minutes later",
        strike: Strike::Store(lands_minutes_later),
        follower: "",
        fresh: "",
        producer: "nobody knows whether log position 8 was written (cannot create \
            s3://media/catalog/log/00000000000000000008: the store is throttling, unreachable or cut \
            off; try again later): call settle, or any other method, to find out",
        opening: "nobody knows whether the open entry at log position 8 stands (cannot create \
            s3://media/catalog/log/00000000000000000008: the store is throttling, unreachable or cut \
            off; try again later): open again",
    },
    Row { fault: "409", strike: Strike::Store(conflicts), follower: "", fresh: "", producer: "", opening: "" },
    Row {
        fault: "409 for ever",
        strike: Strike::Store(conflicts_for_ever),
        follower: "",
        fresh: "",
        producer: "nobody knows whether log position 8 was written (cannot create \
            s3://media/catalog/log/00000000000000000008: the store is throttling, unreachable or cut \
            off; try again later): call settle, or any other method, to find out",
        opening: "nobody knows whether the open entry at log position 8 stands (cannot create \
            s3://media/catalog/log/00000000000000000008: the store is throttling, unreachable or cut \
            off; try again later): open again",
    },
    Row {
        fault: "meets itself",
        strike: Strike::Store(meets_itself),
        follower: "",
        fresh: "",
        producer: "",
        opening: "",
    },
    Row {
        fault: "403 for missing keys",
        strike: Strike::Store(missing_is_denied),
        follower: "cannot read s3://media/catalog/log/00000000000000000008: access denied; grant \
            s3:GetObject, and s3:ListBucket on the bucket: without it a missing key answers 403 too: \
            The operation lacked the necessary privileges to complete for path \
            log/00000000000000000008: status code: 403",
        fresh: "cannot load a version of s3://media/catalog: cannot read \
            s3://media/catalog/log/00000000000000000000: access denied; grant s3:GetObject, and \
            s3:ListBucket on the bucket: without it a missing key answers 403 too: The operation \
            lacked the necessary privileges to complete for path log/00000000000000000000: status \
            code: 403",
        producer: "",
        opening: "cannot read s3://media/catalog/log/00000000000000000000: access denied; grant \
            s3:GetObject, and s3:ListBucket on the bucket: without it a missing key answers 403 too: \
            The operation lacked the necessary privileges to complete for path \
            log/00000000000000000000: status code: 403",
    },
    Row {
        fault: "403",
        strike: Strike::Store(denied),
        follower: "cannot read s3://media/catalog/log/00000000000000000006: access denied; grant \
            s3:GetObject, and s3:ListBucket on the bucket: without it a missing key answers 403 too: \
            The operation lacked the necessary privileges to complete for path \
            log/00000000000000000006: status code: 403",
        fresh: "cannot load a version of s3://media/catalog: cannot read \
            s3://media/catalog/log/00000000000000000000: access denied; grant s3:GetObject, and \
            s3:ListBucket on the bucket: without it a missing key answers 403 too: The operation \
            lacked the necessary privileges to complete for path log/00000000000000000000: status \
            code: 403",
        producer: "nobody knows whether log position 8 was written (cannot create \
            s3://media/catalog/log/00000000000000000008: access denied; grant s3:PutObject): call \
            settle, or any other method, to find out",
        opening: "cannot read s3://media/catalog/log/00000000000000000000: access denied; grant \
            s3:GetObject, and s3:ListBucket on the bucket: without it a missing key answers 403 too: \
            The operation lacked the necessary privileges to complete for path \
            log/00000000000000000000: status code: 403",
    },
    Row {
        fault: "full",
        strike: Strike::Store(full),
        follower: "",
        fresh: "",
        producer: "nobody knows whether log position 8 was written (cannot create \
            s3://media/catalog/log/00000000000000000008: no space left at the store; make room): \
            call settle, or any other method, to find out",
        opening: "nobody knows whether the open entry at log position 8 stands (cannot create \
            s3://media/catalog/log/00000000000000000008: no space left at the store; make room): \
            open again",
    },
];
