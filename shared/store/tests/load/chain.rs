//! A dataset of one type, committed by the log's own writer; a test spoils what the log or an object holds.

use std::sync::Arc;

use bytes::Bytes;
use cenote_state::blob::{encode_delta, encode_snapshot};
use cenote_state::delta::Changes;
use cenote_state::held::Selection;
use cenote_state::ids::{ColumnId, DatasetId, Ordinal, Timestamp, TypeId, Version};
use cenote_state::row::Row;
use cenote_state::schema::{Field, PLAIN, Schema, Shape, TypeKind, TypeSchema, ValueKind};
use cenote_state::state::State;
use cenote_store::env::Env;
use cenote_store::load::{Commits, LoadError, Replay, SnapshotToLoad, roll};
use cenote_store::log::names::Folder;
use cenote_store::log::{
    Body, Commit, DeltaPlace, LogReader, LogWriter, NewObject, ObjectRef, Outcome, Rule, Rules, Snapshot, WriterOptions,
};
use cenote_store::storage::Storage;
use object_store::memory::InMemory;

pub(crate) const ANY_SIZE: u64 = 1 << 30;
pub(crate) const ROOT: TypeId = TypeId(0);

/// One root type with a key and a text.
pub(crate) fn schema() -> Schema {
    let shapes = [ValueKind::Int(8), ValueKind::String];
    let fields = shapes.into_iter().enumerate().map(|(index, kind)| Field {
        name: format!("f{index}"),
        column: ColumnId(index as u16 + 10),
        optional: false,
        sparse: false,
        shape: Shape::One(kind),
        encoding: PLAIN,
    });
    let kind = TypeKind::Root { key: vec![vec!["f0".into()]] };
    let root = TypeSchema { name: "R".into(), kind, fields: fields.collect(), next_column: 99, segment_rows_log2: 2 };
    Schema { types: vec![root] }
}

pub(crate) fn empty() -> State {
    State::empty(Arc::new(schema()), 7).expect("the schema is sound")
}

pub(crate) fn row(number: u32, text: &str) -> Row {
    let mut row = Row::new(2);
    row.set(0, |out| out.extend_from_slice(&i64::from(number).to_le_bytes()));
    row.set(1, |out| out.extend_from_slice(text.as_bytes()));
    row
}

pub(crate) fn memory() -> Storage {
    Storage::new("memory://test", Arc::new(InMemory::new()))
}

/// A dataset and its one writer.
pub(crate) struct Chain {
    pub(crate) storage: Storage,
    pub(crate) env: Env,
    pub(crate) writer: LogWriter,
    /// The newest state, as it was committed.
    pub(crate) state: State,
}

impl Chain {
    pub(crate) async fn new() -> Chain {
        let (storage, env) = (memory(), Env::simulated(1));
        let reader = LogReader::empty(storage.clone());
        // A writer that keeps rule 3 refuses a commit with a wrong parent.
        let options = WriterOptions { rules: Rules::broken(Rule::SingleOwner), ..WriterOptions::default() };
        let writer = LogWriter::open(&reader, env.clone(), options).await.expect("it opens");
        Chain { storage, env, writer, state: empty() }
    }

    pub(crate) fn dataset(&self) -> DatasetId {
        self.writer.log_state().dataset
    }

    /// The encoded delta that adds ten records, and the state that it leads to.
    pub(crate) fn ten_more(&self) -> (Bytes, State) {
        let first = self.state.table(ROOT).len() as u32;
        let mut changes = Changes::new(&self.state);
        (first..first + 10).for_each(|number| changes.add(ROOT, Ordinal(number), &row(number, "a text")));
        let delta = changes.finish();
        let state = self.state.applied(&delta, self.state.version(), 1).expect("it fits");
        (encode_delta(self.dataset(), &delta, &self.state, 1).to_bytes(), state)
    }

    /// Commits ten more records, their delta in the entry.
    pub(crate) async fn commit(&mut self) -> Version {
        let (delta, state) = self.ten_more();
        self.put(state, DeltaPlace::Inline(delta), |_| {}).await
    }

    /// Commits ten more records, their delta in an object, which the entry names as `name` says.
    pub(crate) async fn commit_blob(&mut self, name: impl FnOnce(&mut ObjectRef)) -> (Version, String) {
        let (delta, state) = self.ten_more();
        let object = NewObject { name: self.writer.object_name(Folder::Blobs, None), parts: vec![delta.clone()] };
        let mut reference = object.reference();
        self.storage.put(&reference.name, delta).await.expect("it is put");
        name(&mut reference);
        let name = reference.name.clone();
        (self.put(state, DeltaPlace::Blob(reference), |_| {}).await, name)
    }

    /// Commits ten more records by an entry that `spoil` changes.
    pub(crate) async fn commit_spoiled(&mut self, spoil: impl FnOnce(&mut Commit)) -> Version {
        let (delta, state) = self.ten_more();
        self.put(state, DeltaPlace::Inline(delta), spoil).await
    }

    /// Commits a state, with all that a commit can say of it.
    pub(crate) async fn put(&mut self, new: State, delta: DeltaPlace, spoil: impl FnOnce(&mut Commit)) -> Version {
        let table = new.table(ROOT);
        let columns = table.layout().columns.iter().map(|column| column.id);
        let digests = columns.zip(&table.sums().columns).map(|(column, digest)| (ROOT, column, *digest));
        let mut commit = Commit {
            parent: self.state.version(),
            parent_digest: self.state.digest(),
            digest: new.digest(),
            column_digests: digests.collect(),
            counts: new.counts(),
            schema: (self.state.version() == Version::EMPTY).then(schema),
            delta,
            ..Commit::default()
        };
        spoil(&mut commit);
        let version = match self.writer.append(Body::Commit(Box::new(commit))).await {
            Ok(Outcome::Committed(position)) => Version(position.0),
            other => panic!("not committed: {other:?}"),
        };
        self.state = new.with_version(version);
        version
    }

    /// Writes a snapshot of the newest version into an object.
    pub(crate) async fn snapshot(&self) -> SnapshotToLoad {
        let version = self.state.version();
        let blob = encode_snapshot(self.dataset(), &self.state, 1);
        let reference = ObjectRef::of_snapshot(&self.writer.object_name(Folder::Snapshots, Some(version)), &blob);
        self.storage.put_large(&reference.name, blob.parts).await.expect("it is put");
        let snapshot =
            Snapshot { version, object: reference, digest: self.state.digest(), committed_at: Timestamp::default() };
        SnapshotToLoad { dataset: self.dataset(), snapshot, selection: Selection::Whole, bytes_max: ANY_SIZE, seed: 1 }
    }

    pub(crate) async fn reader(&self) -> LogReader {
        LogReader::start(self.storage.clone()).await.expect("there is a log")
    }

    /// The commits of the whole log.
    pub(crate) async fn commits(&self) -> Commits {
        Commits::after(&self.reader().await, Version::EMPTY, self.state.version(), &[])
    }

    /// A replay from the beginning.
    pub(crate) fn replay(&self) -> Replay {
        let state = State::empty(Arc::new(Schema::default()), 7).expect("an empty schema is sound");
        Replay::new(state, Timestamp::default(), self.dataset(), ANY_SIZE, 1)
    }

    /// Replays the whole log. Returns the newest state that was proven.
    pub(crate) async fn load(&self) -> (State, Result<(), LoadError>) {
        let mut commits = self.commits().await;
        let (replay, rolled) = roll(&self.env, &mut commits, self.replay(), Replay::step, &|_| {}).await;
        (replay.expect("nothing panicked").into_state(), rolled)
    }

    /// Replays the whole log, which must fail after `good`; returns the error.
    pub(crate) async fn error_after(&self, good: Version) -> LoadError {
        let (state, rolled) = self.load().await;
        let error = rolled.expect_err("it is damaged");
        assert_eq!(state.version(), good, "{error}");
        error
    }

    /// Changes the bytes of an object.
    pub(crate) async fn spoil(&self, object: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let bytes = self.storage.get(object).await.expect("it is read").expect("it is there");
        let mut bytes = bytes.to_vec();
        change(&mut bytes);
        self.storage.put(object, bytes.into()).await.expect("it is put");
    }
}
