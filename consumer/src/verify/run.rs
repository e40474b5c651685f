//! The run of a verification: the log, the snapshots, the deltas.

use std::collections::BTreeMap;
use std::sync::Arc;

use cenote_state::hash::Hasher;
use cenote_state::held::Selection;
use cenote_state::ids::{Position, Timestamp, Version};
use cenote_state::schema::Schema;
use cenote_state::state::State;
use cenote_store::env::Env;
use cenote_store::load::{self, Commits, Replay, SnapshotToLoad};
use cenote_store::log::state::KeptSnapshot;
use cenote_store::log::{Body, LogReader, ObjectRef, ReadError};
use cenote_store::storage::Storage;

use super::state::{check_state, check_sums};
use super::{OnProgress, Verified, VerifyProgress};
use crate::error::VerifyCause;
use crate::follow::why_no_such_version;

/// The bytes of one request when an object is hashed.
const RANGE_BYTES: u64 = 8 << 20;

/// A verification under way.
pub(super) struct Verification<'p> {
    reader: LogReader,
    env: Env,
    seed: u64,
    on_progress: &'p OnProgress,
}

/// What was found in the log.
#[derive(Default)]
struct WalkedLog {
    first: Position,
    bytes: u64,
    commits: BTreeMap<Version, (Timestamp, u128)>,
}

impl<'p> Verification<'p> {
    /// Reads the log to its end, and verifies a version, the newest by default.
    pub(super) async fn run(
        storage: &Storage,
        env: &Env,
        on_progress: &'p OnProgress,
        version: Option<Version>,
    ) -> Result<Verified, VerifyCause> {
        let mut reader = LogReader::start(storage.clone()).await?;
        while reader.next().await?.is_some() {}
        reader.check_end().await?;
        let seed = env.random();
        Verification { reader, env: env.clone(), seed, on_progress }.verify(version).await
    }

    fn progress(&self, step: &'static str, done: u64, total: u64) {
        (self.on_progress)(VerifyProgress { step, done, total });
    }

    async fn verify(&self, version: Option<Version>) -> Result<Verified, VerifyCause> {
        let mut walked = self.walk().await?;
        let log_state = self.reader.log_state();
        let version = version.unwrap_or(log_state.version);
        let rollable = |kept: &&KeptSnapshot| kept.snapshot.version <= version;
        let kept: Vec<&KeptSnapshot> = log_state.snapshots.iter().filter(rollable).collect();
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
        let checked = self.env.cpu(move || check_state(&state)).await;
        let types = checked.map_err(|source| VerifyCause::Panicked { version, source })??;
        Ok(Verified {
            dataset: log_state.dataset,
            version,
            committed_at: walked.commits.get(&version).map_or(time, |(time, _)| *time),
            digest,
            first: walked.first,
            last: log_state.position,
            snapshots: kept.iter().map(|kept| kept.snapshot.version).collect(),
            deltas,
            bytes: walked.bytes,
            types,
        })
    }

    fn no_such(&self, wanted: Version) -> VerifyCause {
        VerifyCause::NoSuchVersion { wanted, why: why_no_such_version(self.reader.log_state(), wanted) }
    }

    /// Reads every live entry; checks the chain of hashes, and each commit's parent.
    async fn walk(&self) -> Result<WalkedLog, VerifyCause> {
        let log_state = self.reader.log_state();
        let mut walked = WalkedLog { first: log_state.log_start, ..WalkedLog::default() };
        let mut before: Option<(Version, u128)> = (log_state.log_start == Position(1)).then_some((Version::EMPTY, 0));
        let mut walk = self.reader.walk_live();
        while let Some(entry) = walk.next().await? {
            walked.bytes += entry.bytes;
            if let Body::Checkpoint(object) = &entry.body
                && entry.head.position == log_state.checkpoint
            {
                self.check_object(object, entry.head.position, "hashing the checkpoint").await?;
            }
            if let Body::Commit(commit) = &entry.body {
                let version = Version(entry.head.position.0);
                if let Some(before) = before {
                    load::check_parent(version, commit, before)?;
                }
                before = Some((version, commit.digest));
                walked.commits.insert(version, (entry.head.time, commit.digest));
            }
            self.progress(
                "reading the log",
                entry.head.position.0 - walked.first.0 + 1,
                log_state.position.0 - walked.first.0 + 1,
            );
        }
        Ok(walked)
    }

    /// Checks that an object has the length and the hash that its entry names. While it is needed, the entry at `needed_by`
    /// is in the log.
    async fn check_object(
        &self,
        object: &ObjectRef,
        needed_by: Position,
        what: &'static str,
    ) -> Result<(), VerifyCause> {
        let (mut hasher, mut at) = (Hasher::default(), 0);
        let storage = self.reader.storage();
        match storage.size(&object.name).await? {
            None => return Err(self.missing(object, needed_by).await),
            Some(size) if size != object.length => {
                let what = format!("it has {size} bytes, and its entry says {} bytes", object.length);
                return Err(VerifyCause::damaged(&object.name, what));
            }
            Some(_) => {}
        }
        while at < object.length {
            let range = at..object.length.min(at + RANGE_BYTES);
            let bytes = storage.get_range(&object.name, range).await?;
            let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else {
                return Err(self.missing(object, needed_by).await);
            };
            hasher.update(&bytes);
            at += bytes.len() as u64;
            self.progress(what, at, object.length);
        }
        if hasher.finish() == object.hash {
            Ok(())
        } else {
            Err(VerifyCause::damaged(&object.name, "its bytes are not those that its entry names"))
        }
    }

    async fn missing(&self, object: &ObjectRef, needed_by: Position) -> VerifyCause {
        match self.reader.explain_missing(needed_by, object).await {
            Ok(ReadError::Missing { .. }) => {
                VerifyCause::damaged(&object.name, format!("it is missing, and its entry says {} bytes", object.length))
            }
            Ok(became) | Err(became) => became.into(),
        }
    }

    /// Loads a snapshot's state, and hashes its records again.
    async fn snapshot(&self, kept: &KeptSnapshot, walked: &mut WalkedLog) -> Result<State, VerifyCause> {
        let snapshot = &kept.snapshot;
        let object = &snapshot.object;
        if let Some((_, digest)) = walked.commits.get(&snapshot.version)
            && *digest != snapshot.digest
        {
            return Err(VerifyCause::damaged(
                &object.name,
                format!("it is named as another state than version {}", snapshot.version),
            ));
        }
        let what = SnapshotToLoad {
            dataset: self.reader.log_state().dataset,
            snapshot: snapshot.clone(),
            selection: Selection::Whole,
            bytes_max: u64::MAX,
            seed: self.seed,
        };
        let progress = |done, of| self.progress("reading snapshots", done, of);
        let (state, transfer) = load::snapshot(self.reader.storage(), &self.env, &what, &progress).await?;
        walked.bytes += transfer.bytes;
        let hashed = state.clone();
        let checked = self.env.cpu(move || check_sums(&hashed)).await;
        let checked = checked.map_err(|source| VerifyCause::Panicked { version: snapshot.version, source })?;
        checked.map_err(|what| VerifyCause::damaged(&object.name, what))?;
        Ok(state)
    }

    /// Rolls the state forward by every delta; each step is compared with its commit.
    async fn roll(
        &self,
        state: State,
        time: Timestamp,
        version: Version,
        walked: &mut WalkedLog,
    ) -> Result<(State, u64), VerifyCause> {
        let from = state.version();
        let replay = Replay::new(state, time, self.reader.log_state().dataset, u64::MAX, self.env.threads());
        let mut commits = Commits::after(&self.reader, from, version, &[]);
        let progress = |at: Version| self.progress("applying deltas", at.0 - from.0, version.0 - from.0);
        let (replay, rolled) = load::roll(&self.env, &mut commits, replay, Replay::step, &progress).await;
        rolled?;
        let replay = replay.expect("a panic is an error");
        walked.bytes += commits.take_bytes();
        let deltas = replay.commits();
        Ok((replay.into_state(), deltas))
    }
}
