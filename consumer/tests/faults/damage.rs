//! Damage to objects: truncated, bits flipped, swapped with another's, missing, of a newer format.

use bytes::Bytes;
use cenote_state::blob::TAIL_BYTES;
use cenote_store::env::Env;
use cenote_store::log::names::Folder;
use cenote_store::log::{
    Body, Commit, DeltaPlace, LogReader, LogWriter, NewObject, Outcome, WriterOptions, repair_checksums,
};
use cenote_store::storage::Storage;

/// An object of the dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Object {
    /// The newest log entry.
    Entry,
    /// The newest delta that is a separate object.
    Blob,
    /// The snapshot.
    Snapshot,
    /// The snapshot's footer.
    Footer,
    /// The checkpoint.
    Checkpoint,
    /// The hint.
    Hint,
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    Truncated,
    Flipped,
    /// Has the bytes of another object of such a kind.
    Swapped,
    Missing,
    /// Has the number of the next format; checksums are right.
    Newer,
    /// A bit of its first bytes, which name the dataset, is flipped.
    HeaderFlipped,
}

impl Object {
    /// Its name, and that of the object that it is swapped with.
    async fn names(self, storage: &Storage) -> (String, String) {
        let listed = |folder: &'static str| async move {
            let listed = storage.list(folder, None).await.expect("it can be listed");
            listed.into_iter().map(|listed| listed.name).collect::<Vec<_>>()
        };
        let last = |names: Vec<String>| names.last().expect("there is one").clone();
        let log = listed("log").await;
        match self {
            Object::Entry => (last(log.clone()), log[1].clone()),
            Object::Blob => {
                let blobs = listed("blobs").await;
                (last(blobs.clone()), blobs[0].clone())
            }
            Object::Snapshot | Object::Footer => (last(listed("snapshots").await), last(listed("blobs").await)),
            Object::Checkpoint => (last(listed("checkpoints").await), log[0].clone()),
            Object::Hint => ("hint".to_owned(), last(listed("checkpoints").await)),
        }
    }
}

/// An object before the damage.
pub(crate) struct Undo {
    name: String,
    bytes: Bytes,
}

impl Undo {
    pub(crate) async fn restore(self, storage: &Storage) {
        storage.put(&self.name, self.bytes).await.expect("it can be put back");
    }
}

/// Damages an object for good.
pub(crate) async fn damage(storage: &Storage, object: Object, damage: Damage) -> Undo {
    let (name, other) = object.names(storage).await;
    let read = |name: String| async move { storage.get(&name).await.expect("it is read").expect("it is there") };
    let bytes = read(name.clone()).await;
    let new = match damage {
        Damage::Missing => None,
        Damage::Newer => Some(newer(object, bytes.to_vec())),
        Damage::Flipped => {
            let at = if object == Object::Footer { bytes.len() - TAIL_BYTES - 20 } else { bytes.len() / 2 };
            let mut bytes = bytes.to_vec();
            bytes[at] ^= 4;
            Some(bytes.into())
        }
        Damage::HeaderFlipped => {
            let mut bytes = bytes.to_vec();
            bytes[20] ^= 4;
            Some(bytes.into())
        }
        Damage::Truncated => {
            let end = if object == Object::Footer { bytes.len() - TAIL_BYTES } else { bytes.len() / 2 };
            Some(bytes.slice(..end))
        }
        Damage::Swapped => {
            let other = read(other).await;
            Some(if object == Object::Footer { with_footer_of(&bytes, &other) } else { other })
        }
    };
    match new {
        Some(new) => storage.put(&name, new).await.expect("it can be damaged"),
        None => storage.delete(&name).await.expect("it can go"),
    }
    Undo { name, bytes }
}

fn newer(object: Object, mut bytes: Vec<u8>) -> Bytes {
    if matches!(object, Object::Snapshot | Object::Footer | Object::Blob) {
        for at in [8, bytes.len() - TAIL_BYTES + 4] {
            bytes[at..at + 2].copy_from_slice(&3_u16.to_le_bytes());
        }
    } else {
        bytes[8..10].copy_from_slice(&3_u16.to_le_bytes());
        repair_checksums(&mut bytes);
    }
    bytes.into()
}

/// A producer of a newer release takes over and commits a delta in a newer format; its entry names it correctly.
pub(crate) async fn commit_newer(storage: &Storage, env: &Env) {
    let reader = LogReader::start(storage.clone()).await.expect("a log");
    let options = WriterOptions { take_over: true, ..WriterOptions::default() };
    let mut writer = LogWriter::open(&reader, env.clone(), options).await.expect("it opens");
    let (blob, _) = Object::Blob.names(storage).await;
    let bytes = storage.get(&blob).await.expect("it is read").expect("it is there");
    let name = writer.object_name(Folder::Blobs, None);
    let object = NewObject { name, parts: vec![newer(Object::Blob, bytes.to_vec())] };
    let log_state = writer.log_state();
    let commit = Commit {
        parent: log_state.version,
        parent_digest: log_state.digest,
        digest: 1,
        delta: DeltaPlace::Blob(object.reference()),
        ..Commit::default()
    };
    let outcome = writer.publish(object, Body::Commit(Box::new(commit))).await.expect("it is not refused");
    assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
}

/// A blob whose end is another's, footer and all.
fn with_footer_of(blob: &[u8], other: &[u8]) -> Bytes {
    let footer = |blob: &[u8]| {
        let tail = blob.len() - TAIL_BYTES;
        tail - u32::from_le_bytes(blob[tail..tail + 4].try_into().expect("four bytes")) as usize
    };
    [&blob[..footer(blob)], &other[footer(other)..]].concat().into()
}
