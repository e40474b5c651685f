//! What the tests share: a dataset in memory, and helpers to write to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use cenote_state::ids::Position;
use cenote_store::env::Env;
use cenote_store::log::names::Folder;
use cenote_store::log::{
    Body, Commit, DeltaPlace, LogReader, LogWriter, NewObject, OpenError, Outcome, ReadError, Snapshot, WriterOptions,
};
use cenote_store::storage::Storage;

pub(crate) fn memory() -> Storage {
    Storage::new("memory://test", Arc::new(object_store::memory::InMemory::new()))
}

pub(crate) fn options(owner: &str) -> WriterOptions {
    WriterOptions { owner: owner.to_owned(), ..WriterOptions::default() }
}

pub(crate) fn taking_over(owner: &str) -> WriterOptions {
    WriterOptions { take_over: true, ..options(owner) }
}

pub(crate) async fn reader(storage: &Storage) -> Result<LogReader, ReadError> {
    match LogReader::start(storage.clone()).await {
        Err(ReadError::NotFound { .. }) => Ok(LogReader::empty(storage.clone())),
        started => started,
    }
}

/// Opens as a producer does: start, catch up, open, again if another was faster. The `open` entry is put at once.
pub(crate) async fn open(storage: &Storage, env: &Env, options: WriterOptions) -> Result<LogWriter, OpenError> {
    let mut reader = reader(storage).await?;
    loop {
        while reader.next().await?.is_some() {}
        match LogWriter::open(&reader, env.clone(), options.clone()).await {
            Err(OpenError::Behind { .. }) => {}
            Ok(mut writer) => {
                assert!(writer.take_dataset().await?.is_none(), "no other writer is there");
                return Ok(writer);
            }
            opened => return opened,
        }
    }
}

/// A commit on the writer's newest version, with a mark to be found by.
pub(crate) fn commit(writer: &LogWriter, mark: &str) -> Body {
    Body::Commit(Box::new(Commit {
        parent: writer.log_state().version,
        parent_digest: writer.log_state().digest,
        digest: u128::from(writer.log_state().position.0) + 1,
        tags: BTreeMap::from([("mark".to_owned(), mark.to_owned())]),
        delta: DeltaPlace::Inline(Bytes::from_static(b"delta")),
        ..Commit::default()
    }))
}

pub(crate) async fn put(writer: &mut LogWriter, mark: &str) -> Outcome {
    let body = commit(writer, mark);
    writer.append(body).await.expect("it is not refused")
}

/// Puts a commit that must be committed.
pub(crate) async fn committed(writer: &mut LogWriter, mark: &str) -> Position {
    position(put(writer, mark).await)
}

pub(crate) fn position(outcome: Outcome) -> Position {
    match outcome {
        Outcome::Committed(position) => position,
        other => panic!("it must be committed: {other:?}"),
    }
}

/// A commit whose delta is a blob.
pub(crate) fn blob_commit(writer: &LogWriter, mark: &str) -> (NewObject, Body) {
    let object = NewObject {
        name: writer.object_name(Folder::Blobs, None),
        parts: vec![Bytes::from_static(b"a large delta"), Bytes::from_static(b" in two parts")],
    };
    let Body::Commit(mut body) = commit(writer, mark) else { unreachable!("it is a commit") };
    body.delta = DeltaPlace::Blob(object.reference());
    (object, Body::Commit(body))
}

/// A snapshot of the newest version.
pub(crate) fn snapshot(writer: &LogWriter) -> (NewObject, Body) {
    let version = writer.log_state().version;
    let object = NewObject {
        name: writer.object_name(Folder::Snapshots, Some(version)),
        parts: vec![Bytes::from(vec![7; 1_000])],
    };
    let (digest, committed_at) = (writer.log_state().digest, writer.commit_time());
    let body = Body::Snapshot(Snapshot { version, object: object.reference(), digest, committed_at });
    (object, body)
}
