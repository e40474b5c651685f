//! A dataset made by hand: commits, snapshots and faults that no producer would make.
//!
//! It writes by the log's writer, so that the order is right, and a test chooses what is wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use cenote_state::blob::{encode_delta, encode_snapshot};
use cenote_state::delta::Changes;
use cenote_state::ids::{Ordinal, TypeId, Version};
use cenote_state::packed::{SymbolTable, Symbols};
use cenote_state::record::{Binding, Declared, KeyValue, Record, Registry, Root, RowWriter};
use cenote_state::row::Row;
use cenote_state::schema::Schema;
use cenote_state::state::State;
use cenote_state::token::Token;
use cenote_store::env::Env;
use cenote_store::log::names::Folder;
use cenote_store::log::retention::{Retention, trim};
use cenote_store::log::{
    Body, Commit, DeltaPlace, LogReader, LogWriter, NewObject, ObjectRef, Outcome, Snapshot, WriterOptions,
};
use cenote_store::storage::Storage;
use cenote_testing::interner::Components;

/// A dataset and its one writer.
pub(crate) struct Chain {
    pub(crate) state: State,
    declared: Declared,
    binding: Binding,
    writer: LogWriter,
    components: Components,
    /// Puts every delta into a separate object, however small.
    pub(crate) always_blobs: bool,
    /// What is wrong with the next commit or snapshot.
    pub(crate) spoil: Spoil,
}

/// What is wrong with the next commit or snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Spoil {
    #[default]
    Nothing,
    /// Its digest is not its state's.
    Digest,
    /// Its counts are not its state's.
    Counts,
    /// Its delta is cut short; the hash is that of what is there.
    Delta,
}

/// What one commit changes.
pub(crate) struct Edit<'c> {
    chain: &'c mut Chain,
    rows: BTreeMap<(TypeId, u32), Option<Row>>,
}

impl Chain {
    /// Creates a dataset of these types, without a version.
    pub(crate) async fn create(storage: &Storage, env: &Env, with: impl FnOnce(Registry) -> Registry) -> Chain {
        let declared = with(Registry::new()).finish().expect("the types are sound");
        let mut schema = declared.schema().clone();
        schema.types.iter_mut().for_each(|schema| schema.segment_rows_log2 = 4);
        let options = WriterOptions { take_over: true, ..WriterOptions::default() };
        let writer = LogWriter::open(&LogReader::empty(storage.clone()), env.clone(), options).await.expect("it opens");
        let state = State::empty(Arc::new(schema), 7).expect("the schema is sound");
        let binding = Binding::new(&declared, state.schema()).expect("a type fits itself");
        Chain {
            state,
            declared,
            binding,
            writer,
            components: Components::default(),
            always_blobs: false,
            spoil: Spoil::Nothing,
        }
    }

    /// Commits changes; returns the version.
    pub(crate) async fn commit(&mut self, edit: impl FnOnce(&mut Edit<'_>)) -> Version {
        let mut made = Edit { chain: self, rows: BTreeMap::new() };
        edit(&mut made);
        let rows = made.rows;
        let old = self.state.clone();
        let mut changes = Changes::new(&old);
        bring_symbols(&old, &mut changes);
        for (component, ordinal, row) in self.components.take_added() {
            changes.add(component, ordinal, &row);
        }
        for ((id, ordinal), row) in rows {
            let ordinal = Ordinal(ordinal);
            let stored = old.table(id).row(ordinal).filter(|_| old.table(id).is_live(ordinal));
            match (stored, row) {
                (None, None) => {}
                (Some(_), None) => changes.remove(id, ordinal),
                (None, Some(row)) => changes.add(id, ordinal, &row),
                (Some(stored), Some(row)) => {
                    let mut bytes = Vec::new();
                    let fields: Vec<usize> = (0..row.columns())
                        .filter(|at| {
                            bytes.clear();
                            let is_present = stored.cell(*at).canonical(&mut bytes);
                            row.cell(*at) != is_present.then_some(bytes.as_slice())
                        })
                        .collect();
                    if !fields.is_empty() {
                        changes.patch(id, ordinal, &fields, &row);
                    }
                }
            }
        }
        let delta = changes.finish();
        let new = old.applied(&delta, old.version(), 1).expect("the changes fit");
        let dataset = self.writer.log_state().dataset;
        let bytes = encode_delta(dataset, &delta, &old, 1).to_bytes();
        self.put(old, new, Some(bytes), None).await
    }

    /// Commits another schema.
    pub(crate) async fn evolve(
        &mut self,
        with: impl FnOnce(Registry) -> Registry,
        change: impl FnOnce(&mut Schema),
    ) -> Version {
        let mut schema = self.state.schema().as_ref().clone();
        change(&mut schema);
        self.declared = with(Registry::new()).finish().expect("the types are sound");
        self.binding = Binding::new(&self.declared, &schema).expect("the types fit");
        let new = self.state.relayout(Arc::new(schema), 1).expect("the schema is sound");
        self.put(self.state.clone(), new, None, None).await
    }

    /// Commits the new state by an entry that the test can spoil.
    pub(crate) async fn put(&mut self, old: State, new: State, delta: Option<Bytes>, tag: Option<&str>) -> Version {
        let spoil = std::mem::take(&mut self.spoil);
        let delta = delta.map(|delta| if spoil == Spoil::Delta { delta.slice(..delta.len() - 40) } else { delta });
        let mut object = None;
        let place = match delta {
            None => DeltaPlace::None,
            Some(bytes) if self.always_blobs => {
                let made = NewObject { name: self.writer.object_name(Folder::Blobs, None), parts: vec![bytes] };
                let reference = made.reference();
                object = Some(made);
                DeltaPlace::Blob(reference)
            }
            Some(bytes) => DeltaPlace::Inline(bytes),
        };
        let is_first = old.version() == Version::EMPTY;
        let schema_changed = is_first || old.schema() != new.schema();
        let mut counts = new.counts();
        if spoil == Spoil::Counts {
            counts[0].1 += 1;
        }
        let commit = Commit {
            parent: old.version(),
            parent_digest: old.digest(),
            digest: if spoil == Spoil::Digest { new.digest() ^ 1 } else { new.digest() },
            counts,
            tags: tag.map(|tag| ("tag".to_owned(), tag.to_owned())).into_iter().collect(),
            schema: schema_changed.then(|| new.schema().as_ref().clone()),
            delta: place,
            ..Commit::default()
        };
        let body = Body::Commit(Box::new(commit));
        let outcome = match object {
            Some(object) => self.writer.publish(object, body).await,
            None => self.writer.append(body).await,
        };
        let version = match outcome {
            Ok(Outcome::Committed(position)) => Version(position.0),
            other => panic!("not committed: {other:?}"),
        };
        self.state = new.with_version(version);
        version
    }

    /// What a producer's report would return.
    pub(crate) fn token(&self, version: Version) -> Token {
        Token::new(self.writer.log_state().dataset, version)
    }

    /// Writes a snapshot of the newest version; its object can be spoiled.
    pub(crate) async fn snapshot(&mut self) -> ObjectRef {
        let (version, spoil) = (self.state.version(), std::mem::take(&mut self.spoil));
        let blob = encode_snapshot(self.writer.log_state().dataset, &self.state, 1);
        let mut bytes = blob.to_bytes().to_vec();
        if spoil != Spoil::Nothing {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x40;
        }
        let name = self.writer.object_name(Folder::Snapshots, Some(version));
        let reference = ObjectRef::of_snapshot(&name, &blob);
        let object = NewObject { name, parts: vec![bytes.into()] };
        let body = Body::Snapshot(Snapshot {
            version,
            object: reference.clone(),
            digest: self.state.digest(),
            committed_at: self.writer.commit_time(),
        });
        match self.writer.publish(object, body).await {
            Ok(Outcome::Committed(_)) => reference,
            other => panic!("no snapshot: {other:?}"),
        }
    }

    /// Writes a checkpoint.
    pub(crate) async fn checkpoint(&mut self) {
        let outcome = self.writer.checkpoint().await.expect("a checkpoint");
        assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
    }

    /// Writes a checkpoint, then trims to the newest snapshot.
    pub(crate) async fn trim(&mut self) {
        self.checkpoint().await;
        let keep = Retention::new().snapshots(1).younger_than(std::time::Duration::ZERO);
        trim(&mut self.writer, &keep).await.expect("trimmed");
    }

    /// Writes the hint, as a producer that is alive does.
    pub(crate) async fn beat(&self) {
        self.writer.heartbeat().offer().await;
    }

    /// Writes the last hint.
    pub(crate) async fn close(&mut self) {
        assert!(self.writer.close().await.is_none());
    }
}

/// Gives packed columns a table with the first commit.
fn bring_symbols(old: &State, changes: &mut Changes<'_>) {
    for (id, schema) in old.schema().iter().filter(|(id, _)| old.table(*id).symbols().is_none()) {
        let mut symbols = Symbols::default();
        for field in schema.fields.iter().filter(|field| field.is_packed()) {
            let table = SymbolTable::new(&[6, 8, 1], b"and whcame of e").expect("it is a table");
            assert!(symbols.push(field.column, table), "it is the first");
        }
        if !symbols.is_empty() {
            changes.bring_symbols(id, Arc::new(symbols));
        }
    }
}

impl Edit<'_> {
    /// Adds a record, or replaces the one with its key.
    pub(crate) fn put<T: Root>(&mut self, record: &T) {
        let mut row = Row::default();
        let Chain { binding, components, .. } = &mut *self.chain;
        RowWriter::new().write(record, binding, components, &mut row).expect("within the limits");
        let id = self.id::<T>();
        let ordinal = self.find::<T>(id, record.key()).unwrap_or_else(|| self.free(id));
        self.rows.insert((id, ordinal.0), Some(row));
    }

    /// Removes the record with this key.
    pub(crate) fn delete<T: Root>(&mut self, key: <T::Key as KeyValue>::Borrowed<'_>) {
        let id = self.id::<T>();
        let ordinal = self.find::<T>(id, key).expect("it is there");
        self.rows.insert((id, ordinal.0), None);
    }

    /// The version that is changed.
    pub(crate) fn version(&self) -> Version {
        self.chain.state.version()
    }

    fn id<T: Record>(&self) -> TypeId {
        self.chain.state.schema().find(T::NAME).expect("the dataset has the type")
    }

    fn find<T: Root>(&self, id: TypeId, key: <T::Key as KeyValue>::Borrowed<'_>) -> Option<Ordinal> {
        let state = &self.chain.state;
        T::Key::with(key, |key| state.table(id).find(key, state.tables()))
    }

    /// An ordinal that was free before this commit.
    fn free(&self, id: TypeId) -> Ordinal {
        let mut free = self.chain.state.table(id).live().absent(0..u32::MAX);
        Ordinal(free.find(|ordinal| !self.rows.contains_key(&(id, *ordinal))).expect("ordinals are many"))
    }
}
