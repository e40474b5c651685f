//! Repair: what of a damaged dataset is whole, and a writable dataset made of it.
//!
//! The log is read object by object, in whatever state it is. Entries that follow one another are a stretch; a version is
//! whole if a snapshot and the commits of one stretch after it lead there, each proven by its digest. The newest such
//! version becomes the first of a new dataset under the same URL.
//!
//! Rules: positions are never written again, so the repaired dataset has another id, and readers must open it again; what
//! was there is kept in a folder next to it, and is deleted from its old place only once it is there; nothing is written
//! before the new state is in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use cenote_state::held::Selection;
use cenote_state::ids::{DatasetId, Position, Timestamp, Version};
use cenote_state::schema::Schema;
use cenote_state::state::State;
use cenote_store::env::Env;
use cenote_store::error::{ErrorKind, with_sources};
use cenote_store::load::{self, Commits, Replay, SnapshotToLoad};
use cenote_store::log::names::{self, Folder};
use cenote_store::log::tail::read_hint;
use cenote_store::log::{Body, Entry, LogObject, LogReader, LogState, ReadError, Snapshot, decode};
use cenote_store::storage::{Storage, StorageError};
use futures::future::try_join_all;

use crate::error::OpenCause;
use crate::load::Loader;
use crate::{CycleError, OpenError, Producer, SnapshotError};

/// Where what was there is kept, by dataset.
const ASIDE: &str = "aside";
/// Objects read or moved at once.
const AT_ONCE: usize = 16;
/// The tag of the first version of a repaired dataset: which dataset and version it was made of.
pub const ANCESTOR: &str = "ancestor";

/// Why a dataset was not examined or not repaired.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepairError {
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The log can't be read, for another reason than damage.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The dataset can't be opened, for another reason than damage.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is nothing to make a dataset of.
    #[error("no version is whole: restore the dataset from a copy, or publish the data under another URL")]
    NothingWhole,
    /// A producer is alive.
    #[error("{owner} publishes to this dataset: stop it first, or repair with --take-over")]
    Owned {
        /// Its name.
        owner: String,
    },
    /// The version could not be published.
    #[error("the whole version could not be published; what was there is in {aside}")]
    Publish {
        /// Where what was there is kept.
        aside: String,
        /// Why.
        #[source]
        source: CycleError,
    },
    /// The snapshot of the version was not made.
    #[error("the whole version is published, but no snapshot was made of it; what was there is in {aside}")]
    Snapshot {
        /// Where what was there is kept.
        aside: String,
        /// Why.
        #[source]
        source: SnapshotError,
    },
}

/// What a dataset is worth.
pub struct Assessment {
    /// The dataset.
    pub dataset: DatasetId,
    /// Whether a producer opens it as it is.
    pub is_writable: bool,
    /// The newest version that is whole, if one is.
    pub whole: Option<Version>,
    /// When that was committed.
    pub committed_at: Timestamp,
    /// Commits after it that can be read and not reached.
    pub lost: Vec<Version>,
    /// What is damaged or missing, by object.
    pub damage: Vec<String>,
    state: Option<State>,
    /// Where the log was found: in its place, or in a folder next to it.
    prefix: String,
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// The new dataset.
    pub dataset: DatasetId,
    /// Its first version.
    pub version: Version,
    /// The folder, in the dataset, of what was there.
    pub aside: String,
    /// How many objects that are.
    pub objects: u64,
}

/// Examines a dataset. Writes nothing.
///
/// # Errors
/// If the store fails, or there is no dataset.
pub async fn assess(storage: &Storage, env: &Env) -> Result<Assessment, RepairError> {
    let loader = Loader { env: env.clone(), seed: env.random(), bytes_max: u64::MAX };
    let damage = match as_it_is(storage, &loader).await {
        Ok(Ok(assessment)) => return Ok(assessment),
        Ok(Err(damage)) => damage,
        Err(error) => return Err(error),
    };
    let mut pieces = Pieces::read(storage, damage).await?;
    let found = pieces.newest_whole(storage, &loader).await?;
    let whole = found.as_ref().map(|(state, _)| state.version());
    let lost = pieces.commits().filter(|version| whole.is_none_or(|whole| *version > whole)).collect();
    let (state, committed_at) = found.map_or((None, Timestamp(0)), |(state, at)| (Some(state), at));
    let Pieces { dataset, damage, prefix, .. } = pieces;
    Ok(Assessment { dataset, is_writable: false, whole, committed_at, lost, damage, state, prefix })
}

/// The dataset as a producer opens it, or the damage that keeps it from that.
async fn as_it_is(storage: &Storage, loader: &Loader) -> Result<Result<Assessment, String>, RepairError> {
    let reader = match LogReader::start(storage.clone()).await {
        Ok(reader) => reader,
        Err(error) if error.kind() == ErrorKind::Damaged => return Ok(Err(with_sources(&error))),
        // An earlier repair may have been interrupted when everything was in its folder.
        Err(ReadError::NotFound { .. }) if !storage.list(ASIDE, None).await?.is_empty() => {
            return Ok(Err("log/ is empty: an earlier repair was interrupted".to_owned()));
        }
        Err(error) => return Err(error.into()),
    };
    let log_state = reader.log_state();
    let tail = names::log_entry(log_state.position);
    if let Some(after) = storage.list("log", Some(&tail)).await?.first() {
        let next = names::log_entry(log_state.position.next());
        return Ok(Err(format!("{next} is missing, and {} is there", after.name)));
    }
    match loader.load(&reader, log_state.version).await {
        Ok(loaded) => Ok(Ok(Assessment {
            dataset: log_state.dataset,
            is_writable: true,
            whole: Some(log_state.version),
            committed_at: loaded.committed_at,
            lost: Vec::new(),
            damage: loaded.damaged.iter().map(|name| format!("{name} can't be loaded; make a snapshot")).collect(),
            state: None,
            prefix: String::new(),
        })),
        Err(error) if matches!(error.kind(), ErrorKind::Damaged) => Ok(Err(with_sources(&error))),
        Err(error) => Err(OpenError::from(error).into()),
    }
}

/// Makes a writable dataset of the newest whole version: see [`assess`].
///
/// # Errors
/// If no version is whole, a producer is alive, or the store fails. Running it again is always safe.
pub async fn repair(
    storage: &Storage,
    env: &Env,
    assessment: Assessment,
    owner: &str,
    take_over: bool,
) -> Result<Repaired, RepairError> {
    let (Some(state), Some(version)) = (assessment.state, assessment.whole) else {
        return Err(RepairError::NothingWhole);
    };
    if !take_over {
        await_silence(storage, env).await?;
    }
    let aside = format!("{ASIDE}/{}", assessment.dataset);
    let mut old = Vec::new();
    for folder in Folder::ALL {
        old.extend(storage.list(folder.name(), None).await?.into_iter().map(|listed| listed.name));
    }
    let mut objects = 0;
    if assessment.prefix.is_empty() {
        let mut log: Vec<_> = storage.list("log", None).await?.into_iter().map(|listed| listed.name).collect();
        copy(storage, &log, &aside).await?;
        objects += log.len() as u64;
        storage.delete(names::HINT).await?;
        // The newest first: until the first position is free, no program takes this for a place without a dataset.
        log.reverse();
        for name in &log {
            storage.delete(name).await?;
        }
    }
    let schema = state.schema().clone();
    let builder = Producer::builder_on(storage.clone()).env(env.clone()).owner(owner);
    let mut producer = builder.declare_with(move |_, registry| Ok(registry.with_schema(&schema))).open().await?;
    let tags = BTreeMap::from([(ANCESTOR.to_owned(), format!("{} version {version}", assessment.dataset))]);
    let published = producer.adopt(state, tags).await;
    let published = published.map_err(|source| RepairError::Publish { aside: aside.clone(), source })?.version();
    let made = producer.snapshot().await;
    made.map_err(|source| RepairError::Snapshot { aside: aside.clone(), source })?;
    let dataset = producer.dataset();
    if let Err(error) = producer.close().await {
        tracing::warn!(%error, "the next producer waits until the last heartbeat is too old");
    }
    copy(storage, &old, &aside).await?;
    for some in old.chunks(AT_ONCE) {
        try_join_all(some.iter().map(|name| storage.delete(name))).await?;
    }
    objects += old.len() as u64;
    Ok(Repaired { dataset, version: published, aside: format!("{}/{aside}", storage.url()), objects })
}

/// Waits for one promise of the owner that the hint names, if it names one.
async fn await_silence(storage: &Storage, env: &Env) -> Result<(), RepairError> {
    let Some(before) = read_hint(storage).await? else { return Ok(()) };
    let Some(owner) = before.owner.clone() else { return Ok(()) };
    env.sleep(before.heartbeat_interval).await;
    match read_hint(storage).await? {
        Some(after) if after != before => Err(RepairError::Owned { owner: after.owner.unwrap_or(owner) }),
        _ => Ok(()),
    }
}

async fn copy(storage: &Storage, objects: &[String], aside: &str) -> Result<(), StorageError> {
    for some in objects.chunks(AT_ONCE) {
        let one = async |name: &String| match storage.get(name).await? {
            Some(bytes) => storage.put_large(&format!("{aside}/{name}"), vec![bytes]).await,
            None => Ok(()),
        };
        try_join_all(some.iter().map(one)).await?;
    }
    Ok(())
}

/// What can be read of a log.
struct Pieces {
    dataset: DatasetId,
    /// Entries that follow one another, the oldest stretch first.
    stretches: Vec<Vec<Entry>>,
    /// Snapshots that any of them names, the newest version first.
    snapshots: Vec<Snapshot>,
    damage: Vec<String>,
    prefix: String,
}

impl Pieces {
    async fn read(storage: &Storage, first_damage: String) -> Result<Pieces, RepairError> {
        let mut damage = vec![first_damage];
        let (prefix, listed) = log_objects(storage).await?;
        let (mut entries, mut expected): (Vec<Entry>, Option<Position>) = (Vec::new(), None);
        for some in listed.chunks(AT_ONCE) {
            let read = try_join_all(some.iter().map(|name| storage.get(name))).await?;
            for (full, bytes) in some.iter().zip(read) {
                let name = &full[prefix.len()..];
                let (Some(position), Some(bytes)) = (names::log_position(name), bytes) else { continue };
                if let Some(expected) = expected.filter(|expected| *expected < position) {
                    damage.push(format!("{} to before {name} are missing", names::log_entry(expected)));
                }
                match decode(name, &bytes) {
                    Ok(LogObject::Entry(entry)) => {
                        expected = Some(position.next());
                        entries.push(*entry);
                    }
                    // What is missing after a tombstone may have been deleted with others of its age.
                    Ok(LogObject::Tombstone(_)) => expected = None,
                    Err(error) => {
                        expected = Some(position.next());
                        damage.push(error.to_string());
                    }
                }
            }
        }
        let Some(dataset) = entries.last().map(|newest| newest.head.dataset) else {
            return Err(RepairError::NothingWhole);
        };
        let mut stretches: Vec<Vec<Entry>> = Vec::new();
        for entry in entries.into_iter().filter(|entry| entry.head.dataset == dataset) {
            match stretches.last_mut().and_then(|stretch| Some((stretch.last()?.head.clone(), stretch))) {
                Some((last, stretch))
                    if last.position.next() == entry.head.position && last.hash == entry.head.previous =>
                {
                    stretch.push(entry);
                }
                _ => stretches.push(vec![entry]),
            }
        }
        let mut pieces = Pieces { dataset, stretches, snapshots: Vec::new(), damage, prefix };
        pieces.find_snapshots(storage).await?;
        Ok(pieces)
    }

    /// Those that entries name, and those that checkpoints do.
    async fn find_snapshots(&mut self, storage: &Storage) -> Result<(), StorageError> {
        let mut found = Vec::new();
        for entry in self.stretches.iter().flatten() {
            match &entry.body {
                Body::Snapshot(snapshot) => found.push(snapshot.clone()),
                Body::Checkpoint(object) => {
                    let Some(bytes) = storage.get(&object.name).await? else { continue };
                    if let Ok(log_state) = LogState::decode(&object.name, &bytes) {
                        found.extend(log_state.snapshots.into_iter().map(|kept| kept.snapshot));
                    }
                }
                _ => {}
            }
        }
        found.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.version));
        found.dedup();
        self.snapshots = found;
        Ok(())
    }

    fn commits(&self) -> impl Iterator<Item = Version> {
        let entries = self.stretches.iter().flatten();
        entries.filter(|entry| entry.commit().is_some()).map(|entry| Version(entry.head.position.0))
    }

    /// The newest version that a snapshot, or nothing, and the commits after it lead to.
    async fn newest_whole(
        &mut self,
        storage: &Storage,
        loader: &Loader,
    ) -> Result<Option<(State, Timestamp)>, RepairError> {
        for snapshot in self.snapshots.clone() {
            let (name, version, at) = (snapshot.object.name.clone(), snapshot.version, snapshot.committed_at);
            let what = SnapshotToLoad {
                selection: Selection::Whole,
                dataset: self.dataset,
                snapshot,
                bytes_max: loader.bytes_max,
                seed: loader.seed,
            };
            match load::snapshot(storage, &loader.env, &what, &|_, _| {}).await {
                Ok((state, _)) => return Ok(Some(self.rolled(storage, loader, state, at).await)),
                Err(error) if error.kind() == ErrorKind::Damaged => {
                    self.damage.push(format!("snapshot of version {version}: {name}: {}", with_sources(&error)));
                }
                Err(error) => return Err(OpenError::from(OpenCause::from(error)).into()),
            }
        }
        if self.stretches.first().and_then(|stretch| stretch.first()).is_none_or(|first| first.head.position.0 > 1) {
            return Ok(None);
        }
        let empty = State::empty(Arc::new(Schema::default()), loader.seed).map_err(OpenCause::from);
        let rolled = self.rolled(storage, loader, empty.map_err(OpenError::from)?, Timestamp(0)).await;
        Ok(Some(rolled).filter(|(state, _)| state.version() > Version::EMPTY))
    }

    /// The state as far as the commits of one stretch lead.
    async fn rolled(&mut self, storage: &Storage, loader: &Loader, state: State, at: Timestamp) -> (State, Timestamp) {
        let from = state.version();
        let follows = |stretch: &&Vec<Entry>| {
            stretch.iter().any(|entry| entry.commit().is_some_and(|(_, commit)| commit.parent == from))
        };
        let mut replay = Replay::new(state, at, self.dataset, loader.bytes_max, loader.env.threads());
        let Some(stretch) = self.stretches.iter().find(follows) else {
            return (replay.state().clone(), replay.committed_at());
        };
        let last = stretch.last().expect("it has a commit").head.position;
        let log_state = LogState { dataset: self.dataset, position: last, ..LogState::empty() };
        let reader = LogReader::at(storage.clone(), log_state);
        let mut commits = Commits::after(&reader, from, Version(last.0), stretch);
        let stopped = loop {
            match commits.next().await {
                Ok(Some(fetched)) => {
                    if let Err(error) = replay.step(&fetched) {
                        break Some(with_sources(&error));
                    }
                }
                Ok(None) => break None,
                Err(error) => break Some(with_sources(&error)),
            }
        };
        self.damage.extend(stopped);
        (replay.state().clone(), replay.committed_at())
    }
}

/// The log's objects, in order: in their place, else in the folder where an interrupted repair put them.
async fn log_objects(storage: &Storage) -> Result<(String, Vec<String>), StorageError> {
    let names = |listed: Vec<cenote_store::storage::Listed>| listed.into_iter().map(|listed| listed.name).collect();
    let log: Vec<String> = names(storage.list("log", None).await?);
    if !log.is_empty() {
        return Ok((String::new(), log));
    }
    let aside: Vec<String> = names(storage.list(ASIDE, None).await?);
    let logs: Vec<String> = aside.into_iter().filter(|name| name.split('/').nth(2) == Some("log")).collect();
    let prefix = logs.last().and_then(|name| name.find("log/").map(|at| name[..at].to_owned())).unwrap_or_default();
    Ok((prefix.clone(), logs.into_iter().filter(|name| name.starts_with(&prefix)).collect()))
}
