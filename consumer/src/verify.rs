//! Verifying: everything that a version names is read again, and every sum worked out from the records.
//!
//! A refresh trusts sums that it carries along and checks what it touches; this trusts nothing. The log is walked from
//! its floor to its tail; every kept snapshot up to the version is loaded, and its records hashed; the oldest is rolled
//! forward by every delta. What comes out is held against the commit: digests by column and segment, counts, keys, and
//! references, each of which must lead to a live component, as each component must be referred to.

use std::collections::BTreeMap;
use std::sync::Arc;

use cenote_state::digest::{Sums, state_digest};
use cenote_state::ids::{DatasetId, Ordinal, Position, Timestamp, TypeId, Version};
use cenote_state::record::{Binding, Registry};
use cenote_state::schema::{Schema, Shape, ValueKind};
use cenote_state::segment::RowAt;
use cenote_state::state::State;
use cenote_state::view::{NamedTable, NamedValue, View};
use cenote_store::env::{Env, Panicked};
use cenote_store::load::{self, Commits, LoadError, Replay, SnapshotToLoad};
use cenote_store::log::outline::KeptSnapshot;
use cenote_store::log::{Body, ContentHasher, LogReader, ObjectRef, ReadError};
use cenote_store::storage::Storage;

/// Hears what is being done: `reading the log`, how much of it is done, and how much there is.
pub type Progress<'p> = &'p (dyn Fn(&'static str, u64, u64) + Sync);

/// Why a version does not hold, or could not be verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The log could not be read, or is damaged.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A snapshot or a commit could not be loaded, or is damaged.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// What was read does not add up.
    #[error("{place} is damaged: {cause}; republish an older version, or publish the data again")]
    Damaged {
        /// Where.
        place: String,
        /// What does not add up.
        cause: String,
    },
    /// There is no such commit.
    #[error("there is no version {wanted} in the log: {why}")]
    NoSuchVersion {
        /// What was asked for.
        wanted: Version,
        /// It was never one, or was trimmed.
        why: String,
    },
    /// A computation panicked: a bug.
    #[error("{0}; please report this")]
    Panicked(#[from] Panicked),
}

/// What one request asks for when an object is hashed.
const RANGE_BYTES: u64 = 8 << 20;

/// What was read and found in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The dataset.
    pub dataset: DatasetId,
    /// The version.
    pub version: Version,
    /// When it was committed.
    pub committed_at: Timestamp,
    /// Its digest.
    pub digest: u128,
    /// The first position of the log that was walked.
    pub first: Position,
    /// The last.
    pub last: Position,
    /// The versions whose snapshots were read.
    pub snapshots: Vec<Version>,
    /// Deltas that were applied.
    pub deltas: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// By type.
    pub types: Vec<VerifiedType>,
}

/// What was found of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedType {
    /// Its name.
    pub name: String,
    /// Whether it has a key: each was looked up.
    pub is_root: bool,
    /// Records, each of which was hashed.
    pub records: u64,
    /// References to its records, of a component.
    pub references: u64,
    /// Keys in its records that lead to no record. That is allowed; a validator can forbid it.
    pub dangling_keys: u64,
}

/// Verifies a version, the newest by default. Memory: two states.
///
/// # Errors
/// The first damage that is met, named; or why it could not be looked for.
pub async fn verify(
    storage: &Storage,
    env: &Env,
    version: Option<Version>,
    progress: Progress<'_>,
) -> Result<Verified, VerifyError> {
    let mut reader = LogReader::start(storage.clone()).await?;
    while reader.next().await?.is_some() {}
    reader.check_end().await?;
    let verifier = Verifier { reader, env: env.clone(), seed: env.random(), progress };
    verifier.run(version).await
}

struct Verifier<'p> {
    reader: LogReader,
    env: Env,
    seed: u64,
    progress: Progress<'p>,
}

/// What the log says.
#[derive(Default)]
struct Walked {
    first: Position,
    bytes: u64,
    commits: BTreeMap<Version, (Timestamp, u128)>,
}

impl Verifier<'_> {
    async fn run(&self, version: Option<Version>) -> Result<Verified, VerifyError> {
        let mut walked = self.walk().await?;
        let outline = self.reader.outline();
        let version = version.unwrap_or(outline.version);
        let rollable = |kept: &&KeptSnapshot| kept.snapshot.version <= version;
        let kept: Vec<&KeptSnapshot> = outline.snapshots.iter().filter(rollable).collect();
        let is_start = kept.iter().any(|kept| kept.snapshot.version == version);
        if version == Version::EMPTY || !(is_start || walked.commits.contains_key(&version)) {
            return Err(self.no_such(version));
        }
        let mut start = None;
        for kept in &kept {
            let state = self.snapshot(kept, &mut walked).await?;
            start.get_or_insert((state, kept.committed_at()));
        }
        let whole = walked.first == Position(1);
        let (state, time) = match start {
            Some(start) if !whole => start,
            None if !whole => return Err(self.no_such(version)),
            _ => {
                let empty = State::empty(Arc::new(Schema::default()), self.seed);
                (empty.expect("a schema without types has no wrong keys"), Timestamp(0))
            }
        };
        let (state, deltas) = self.roll(state, time, version, &mut walked).await?;
        let digest = state.digest();
        let types = self.env.cpu(move || check_state(&state)).await??;
        Ok(Verified {
            dataset: outline.dataset,
            version,
            committed_at: walked.commits.get(&version).map_or(time, |(time, _)| *time),
            digest,
            first: walked.first,
            last: outline.position,
            snapshots: kept.iter().map(|kept| kept.snapshot.version).collect(),
            deltas,
            bytes: walked.bytes,
            types,
        })
    }

    fn no_such(&self, wanted: Version) -> VerifyError {
        let outline = self.reader.outline();
        let why = match wanted {
            _ if outline.version == Version::EMPTY => "nothing was committed yet".to_owned(),
            wanted if wanted > outline.version => format!("the newest is {}", outline.version),
            wanted if wanted.position() < outline.floor => {
                format!("it was trimmed, and the log begins at position {}", outline.floor)
            }
            _ => "another entry stands there; `cenote-producer log` shows the commits".to_owned(),
        };
        VerifyError::NoSuchVersion { wanted, why }
    }

    /// Every live entry: its bytes, its place in the chain of hashes, and each commit's place in the chain of versions.
    async fn walk(&self) -> Result<Walked, VerifyError> {
        let outline = self.reader.outline();
        let mut walked = Walked { first: outline.floor, ..Walked::default() };
        let mut before: Option<(Version, u128)> = (outline.floor == Position(1)).then_some((Version::EMPTY, 0));
        let mut walk = self.reader.walk_live();
        while let Some(entry) = walk.next().await? {
            walked.bytes += entry.bytes;
            if let Body::Checkpoint(object) = &entry.body
                && entry.head.position == outline.checkpoint
            {
                self.check_object(object, "hashing the checkpoint").await?;
            }
            if let Body::Commit(commit) = &entry.body {
                let version = Version(entry.head.position.0);
                if let Some(before) = before {
                    load::check_parent(version, commit, before)?;
                }
                before = Some((version, commit.digest));
                walked.commits.insert(version, (entry.head.time, commit.digest));
            }
            (self.progress)(
                "reading the log",
                entry.head.position.0 - walked.first.0 + 1,
                outline.position.0 - walked.first.0 + 1,
            );
        }
        Ok(walked)
    }

    /// That an object is the one that its entry names, byte by byte.
    async fn check_object(&self, object: &ObjectRef, what: &'static str) -> Result<(), VerifyError> {
        let (mut hasher, mut at) = (ContentHasher::default(), 0);
        let storage = self.reader.storage();
        let size = storage.size(&object.name).await.map_err(LoadError::from)?;
        if size != Some(object.length) {
            let size = size.map_or("is missing".to_owned(), |size| format!("has {size} bytes"));
            return Err(damaged(&object.name, format!("it {size}, and its entry says {} bytes", object.length)));
        }
        while at < object.length {
            let range = at..object.length.min(at + RANGE_BYTES);
            let bytes = storage.get_range(&object.name, range).await.map_err(LoadError::from)?;
            let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else {
                return Err(damaged(&object.name, "it went away while it was read"));
            };
            hasher.update(&bytes);
            at += bytes.len() as u64;
            (self.progress)(what, at, object.length);
        }
        match !object.hash.is_known() || hasher.finish() == object.hash {
            true => Ok(()),
            false => Err(damaged(&object.name, "its bytes are not those that its entry names")),
        }
    }

    /// A snapshot's state, its records hashed again.
    async fn snapshot(&self, kept: &KeptSnapshot, walked: &mut Walked) -> Result<State, VerifyError> {
        let snapshot = &kept.snapshot;
        let object = &snapshot.object;
        if let Some((_, digest)) = walked.commits.get(&snapshot.version)
            && *digest != snapshot.digest
        {
            return Err(damaged(
                &object.name,
                format!("it is named as another state than version {}", snapshot.version),
            ));
        }
        let what = SnapshotToLoad {
            dataset: self.reader.outline().dataset,
            snapshot: snapshot.clone(),
            bytes_max: u64::MAX,
            seed: self.seed,
        };
        let progress = |done, of| (self.progress)("reading snapshots", done, of);
        let (state, transfer) = load::snapshot(self.reader.storage(), &self.env, &what, &progress).await?;
        // Loading names what is wrong in a part; this finds what no part covers.
        self.check_object(object, "hashing snapshots").await?;
        walked.bytes += transfer.bytes + object.length;
        let (hashed, name) = (state.clone(), object.name.clone());
        self.env.cpu(move || check_sums(&hashed).map_err(|cause| damaged(&name, cause))).await??;
        Ok(state)
    }

    /// Rolls the state forward; every step is compared with its commit.
    async fn roll(
        &self,
        state: State,
        time: Timestamp,
        version: Version,
        walked: &mut Walked,
    ) -> Result<(State, u64), VerifyError> {
        let from = state.version();
        let replay = Replay::new(state, time, self.reader.outline().dataset, u64::MAX, self.env.threads());
        let mut commits = Commits::after(&self.reader, from, version, &[]);
        let progress = |at: Version| (self.progress)("applying deltas", at.0 - from.0, version.0 - from.0);
        let (replay, rolled) = load::roll(&self.env, &mut commits, replay, Replay::step, &progress).await;
        rolled?;
        let replay = replay.expect("a panic is an error");
        walked.bytes += commits.take_bytes();
        let deltas = replay.commits();
        Ok((replay.into_state(), deltas))
    }
}

fn damaged(place: &str, cause: impl Into<String>) -> VerifyError {
    VerifyError::Damaged { place: place.to_owned(), cause: cause.into() }
}

/// Everything that can be said of a state by its records alone.
fn check_state(state: &State) -> Result<Vec<VerifiedType>, VerifyError> {
    let place = format!("version {}", state.version());
    check_sums(state).map_err(|cause| damaged(&place, cause))?;
    check_keys(state).map_err(|cause| damaged(&place, cause))?;
    let references = count_references(state).map_err(|cause| damaged(&place, cause))?;
    let dangling = count_dangling_keys(state);
    let present = state.schema().iter().filter(|(_, of_type)| !of_type.fields.is_empty());
    Ok(present
        .map(|(id, of_type)| VerifiedType {
            name: of_type.name.clone(),
            is_root: of_type.is_root(),
            records: state.table(id).len() as u64,
            references: references[id.index()],
            dangling_keys: dangling.get(of_type.name.as_str()).copied().unwrap_or_default(),
        })
        .collect())
}

/// That the sums that the state carries are those of its records.
fn check_sums(state: &State) -> Result<(), String> {
    let mut totals = Vec::new();
    let mut scratch = Vec::new();
    for (table, of_type) in state.tables().iter().zip(&state.schema().types) {
        let mut sums = Sums::new(table.layout().columns.len());
        let mut live = 0;
        for number in 0..table.segment_count() {
            let mut digest: u128 = 0;
            for ordinal in table.live_in(number).map(Ordinal) {
                let row = table.row(ordinal).ok_or_else(|| no_row(&of_type.name, ordinal))?;
                digest = digest.wrapping_add(sums.add_stored(ordinal, row, &mut scratch));
                live += 1;
            }
            if table.segment(number).map_or(0, |segment| segment.digest()) != digest {
                return Err(format!("segment {number} of {} has another digest than its records", of_type.name));
            }
        }
        if live != table.len() {
            return Err(format!("{} has {live} records with rows, and {} that are live", of_type.name, table.len()));
        }
        for (field, (found, carried)) in of_type.fields.iter().zip(sums.columns.iter().zip(&table.sums().columns)) {
            if found != carried {
                return Err(format!(
                    "the values of {}.{} have another digest than was committed",
                    of_type.name, field.name
                ));
            }
        }
        if sums.presence != table.sums().presence {
            return Err(format!("the ordinals of {} have another digest than was committed", of_type.name));
        }
        totals.push((table.layout().type_id, sums.total()));
    }
    let found = state_digest(totals.into_iter());
    if found == state.digest() { Ok(()) } else { Err("its records have another digest than was committed".to_owned()) }
}

fn no_row(type_name: &str, ordinal: Ordinal) -> String {
    format!("record {ordinal} of {type_name} is live and has no row")
}

/// That every root is found by its key, and no other has it.
fn check_keys(state: &State) -> Result<(), String> {
    for (table, of_type) in state.tables().iter().zip(&state.schema().types) {
        let Some(plan) = table.key_plan() else { continue };
        for ordinal in table.ordinals() {
            let row = table.row(ordinal).ok_or_else(|| no_row(&of_type.name, ordinal))?;
            match plan.with_key(row, state, |key| table.find(key, state)) {
                Some(found) if found == ordinal => {}
                Some(found) => return Err(format!("records {found} and {ordinal} of {} have one key", of_type.name)),
                None => return Err(format!("record {ordinal} of {} is not found by its key", of_type.name)),
            }
        }
    }
    Ok(())
}

/// References to each type's records: each leads to a live component, and each component has one.
fn count_references(state: &State) -> Result<Vec<u64>, String> {
    let schema = state.schema();
    let mut counts: Vec<Vec<u32>> =
        state.tables().iter().map(|table| vec![0; table.ordinal_ceiling() as usize]).collect();
    let mut totals = vec![0; counts.len()];
    for (table, of_type) in state.tables().iter().zip(&schema.types) {
        for ordinal in table.ordinals() {
            let row = table.row(ordinal).ok_or_else(|| no_row(&of_type.name, ordinal))?;
            visit_references(&of_type.fields, row, &mut |field, id: TypeId, target| {
                if !state.table(id).is_live(target) {
                    let (name, target_name) = (&of_type.name, &schema.get(id).name);
                    return Err(format!(
                        "record {ordinal} of {name} refers by {field} to {target_name} {target}, which is not there"
                    ));
                }
                let count = &mut counts[id.index()][target.index()];
                *count = count.saturating_add(1);
                totals[id.index()] += 1;
                Ok(())
            })?;
        }
    }
    for ((table, of_type), counts) in state.tables().iter().zip(&schema.types).zip(&counts) {
        if of_type.is_root() {
            continue;
        }
        if let Some(orphan) = table.ordinals().find(|ordinal| counts[ordinal.index()] == 0) {
            return Err(format!("record {orphan} of component {} has no record that refers to it", of_type.name));
        }
    }
    Ok(totals)
}

/// Keys that lead to no record, by the type that holds them.
fn count_dangling_keys(state: &State) -> BTreeMap<String, u64> {
    let nothing = Registry::new().finish().expect("nothing is declared, so nothing is wrong");
    let binding = Binding::new(&nothing, state.schema()).expect("nothing fits anything");
    let view = View::new(state.clone(), Arc::new(binding), Timestamp(0));
    let holds_keys = |table: &NamedTable<'_>| {
        let mut kinds = table.schema().fields.iter().flat_map(|field| field.shape.kinds());
        kinds.any(|kind| matches!(kind, ValueKind::Key(_)))
    };
    let count = |table: NamedTable<'_>| {
        let values = table.iter().flat_map(|record| record.fields().map(|(_, value)| dangling_in(value)));
        (table.schema().name.clone(), values.sum())
    };
    view.named_tables().filter(holds_keys).map(count).collect()
}

fn dangling_in(value: NamedValue<'_>) -> u64 {
    match value {
        NamedValue::Key(key) => u64::from(key.get().is_none()),
        NamedValue::List(list) | NamedValue::Set(list) => list.iter().map(dangling_in).sum(),
        NamedValue::Map(map) => map.iter().map(|(key, value)| dangling_in(key) + dangling_in(value)).sum(),
        // A component's own keys are counted with its type.
        _ => 0,
    }
}

fn visit_references(
    fields: &[cenote_state::schema::Field],
    row: RowAt<'_>,
    visit: &mut impl FnMut(&str, TypeId, Ordinal) -> Result<(), String>,
) -> Result<(), String> {
    for (index, field) in fields.iter().enumerate() {
        let cell = row.cell(index);
        if field.shape.kinds().all(|kind| kind.component().is_none()) || !cell.is_present() {
            continue;
        }
        let mut visit_all = |kind: &ValueKind, elements: cenote_state::segment::Elements<'_>| {
            let Some(id) = kind.component() else { return Ok(()) };
            (0..elements.len()).try_for_each(|at| visit(&field.name, id, Ordinal(elements.image(at) as u32)))
        };
        match &field.shape {
            Shape::One(kind) => {
                if let Some(id) = kind.component() {
                    visit(&field.name, id, Ordinal(cell.image() as u32))?;
                }
            }
            Shape::List(kind) | Shape::Set(kind) => visit_all(kind, cell.elements())?,
            Shape::Map(key, value) => {
                let (keys, values) = cell.entries();
                visit_all(key, keys)?;
                visit_all(value, values)?;
            }
        }
    }
    Ok(())
}
