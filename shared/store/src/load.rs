//! Fetching states: a snapshot by ranges, in parallel, on all cores; a delta from its entry or its blob.
//!
//! The one module of this crate where storage and states meet; both sides start by it.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use tokio::sync::Semaphore;

use crate::env::{Env, Panicked};
use crate::log::plan::PART_BYTES;
use crate::storage::{Storage, StorageError};
use cenote_state::blob::{self, BlobError, SnapshotReader};
use cenote_state::ids::{DatasetId, Version};
use cenote_state::state::State;

/// The end of a snapshot that is asked for first; its footer usually fits.
const TAIL_BYTES: u64 = 64 << 10;
/// A range of a local file, of which each thread that decodes reads its own: nothing is won there by large ones or by many
/// at once, and they take memory beside the state.
const LOCAL_PART_BYTES: u64 = 1 << 20;
/// Requests to storage under way at once, for each thread that decodes.
const REQUESTS_PER_THREAD: usize = 2;

/// Why an object can't be loaded. Every variant names it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// Storage refused or failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The object isn't there.
    #[error(
        "{object} is missing though the log names it; if it was not trimmed just now, restore it from a copy or make another snapshot"
    )]
    Missing {
        /// Its name.
        object: String,
    },
    /// The object isn't what it should be.
    #[error("{object}: {source}{}", source.remedy())]
    Blob {
        /// Its name.
        object: String,
        /// What is wrong.
        source: BlobError,
    },
    /// Decoding panicked: a bug of ours that hurt nothing else.
    #[error("{object}: {source}")]
    Panicked {
        /// Its name.
        object: String,
        /// What it said.
        source: Panicked,
    },
}

/// Which snapshot, and what it must be.
#[derive(Clone, Debug)]
pub struct SnapshotToLoad {
    /// The object.
    pub name: String,
    /// The dataset.
    pub dataset: DatasetId,
    /// The version whose state it is.
    pub version: Version,
    /// That version's digest, by its commit.
    pub digest: u128,
    /// What the state may take in memory.
    pub bytes_max: u64,
    /// This process's seed for key indexes.
    pub seed: u64,
}

/// What loading took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Bytes fetched.
    pub bytes: u64,
    /// Requests made.
    pub requests: u64,
}

/// The state in a snapshot; `progress` hears of every range that was decoded: bytes so far, bytes in all.
pub async fn snapshot(
    storage: &Storage,
    env: &Env,
    what: &SnapshotToLoad,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<(State, Loaded), LoadError> {
    let object = || what.name.clone();
    let wrong = |source| LoadError::Blob { object: object(), source };
    let missing = || LoadError::Missing { object: object() };
    let tail = storage.get_tail(&what.name, TAIL_BYTES).await?.ok_or_else(missing)?;
    let mut loaded = Loaded { bytes: tail.bytes.len() as u64, requests: 1 };
    let footer = match blob::read_footer(&tail.bytes, tail.size).map_err(wrong)? {
        Ok(footer) => footer,
        Err(needed) => {
            let end = storage.get_tail(&what.name, needed as u64).await?.ok_or_else(missing)?;
            loaded = Loaded { bytes: loaded.bytes + end.bytes.len() as u64, requests: 2 };
            blob::read_footer(&end.bytes, end.size)
                .map_err(wrong)?
                .map_err(|_| wrong(BlobError::Magic { place: "end" }))?
        }
    };
    let reader = SnapshotReader::new(footer, what.dataset, what.digest, what.seed, what.bytes_max).map_err(wrong)?;
    let reader = Arc::new(reader);
    let (part_bytes, requests) = match storage.is_local() {
        Some(_) => (LOCAL_PART_BYTES, env.threads()),
        None => (PART_BYTES, env.threads() * REQUESTS_PER_THREAD),
    };
    let ranges = ranges_of(&reader, part_bytes);
    let whole: u64 = ranges.iter().map(|range| range.bytes.end - range.bytes.start).sum();
    loaded.requests += ranges.len() as u64;
    loaded.bytes += whole;
    let done = std::sync::atomic::AtomicU64::new(0);
    // Room to decompress into, for as many as decode at once: what is held beside the state stays small.
    let rooms = Arc::<Mutex<Vec<Vec<u8>>>>::default();
    let decoding = Semaphore::new(env.threads());
    let mut decoded = futures::stream::iter(ranges)
        .map(|range| async {
            let bytes = fetch(storage, &what.name, &range, &tail.bytes, tail.size).await?.ok_or_else(missing)?;
            let (reader, rooms, length) = (Arc::clone(&reader), Arc::clone(&rooms), bytes.len() as u64);
            let first_run = range.runs.start;
            let _turn = decoding.acquire().await.expect("nobody closes it");
            let decode = move || {
                let mut room = rooms.lock().expect("taking a room does not panic").pop().unwrap_or_default();
                let runs = decode_range(&reader, &range, &bytes, &mut room);
                rooms.lock().expect("giving it back does not panic").push(room);
                runs
            };
            let runs = env.cpu(decode).await;
            let runs = runs.map_err(|source| LoadError::Panicked { object: object(), source })?.map_err(wrong)?;
            let so_far = done.fetch_add(length, std::sync::atomic::Ordering::Relaxed) + length;
            progress(so_far, whole);
            Ok::<_, LoadError>((first_run, runs))
        })
        // In any order: one that is ready does not wait for one before it while a thread has nothing to do.
        .buffer_unordered(requests)
        .try_collect::<Vec<_>>()
        .await?;
    decoded.sort_unstable_by_key(|(first_run, _)| *first_run);
    let (version, threads) = (what.version, env.threads());
    drop(rooms);
    let reader = Arc::into_inner(reader).expect("every decoding has ended");
    let runs = decoded.into_iter().flat_map(|(_, runs)| runs).collect();
    let finished = env.cpu(move || reader.finish(runs, version, threads)).await;
    let state = finished.map_err(|source| LoadError::Panicked { object: object(), source })?.map_err(wrong)?;
    Ok((state, loaded))
}

/// Neighbouring runs that are fetched together.
struct FetchRange {
    runs: std::ops::Range<usize>,
    bytes: std::ops::Range<u64>,
}

/// The first one begins with the header; it is there even if there is no run.
fn ranges_of(reader: &SnapshotReader, part_bytes: u64) -> Vec<FetchRange> {
    let mut ranges = vec![FetchRange { runs: 0..0, bytes: 0..blob::HEADER_BYTES as u64 }];
    for (number, run) in reader.runs().enumerate() {
        match ranges.last_mut() {
            Some(last) if run.end - last.bytes.start <= part_bytes => {
                last.runs.end = number + 1;
                last.bytes.end = run.end;
            }
            _ => ranges.push(FetchRange { runs: number..number + 1, bytes: run }),
        }
    }
    ranges
}

/// The range's bytes; from the tail that is here already where it covers them.
async fn fetch(
    storage: &Storage,
    name: &str,
    range: &FetchRange,
    tail: &Bytes,
    size: u64,
) -> Result<Option<Bytes>, StorageError> {
    let tail_start = size - tail.len() as u64;
    if range.bytes.start >= tail_start {
        let within = (range.bytes.start - tail_start) as usize..(range.bytes.end - tail_start) as usize;
        return Ok(Some(tail.slice(within)));
    }
    storage.get_range(name, range.bytes.clone()).await
}

fn decode_range(
    reader: &SnapshotReader,
    range: &FetchRange,
    bytes: &[u8],
    plain: &mut Vec<u8>,
) -> Result<Vec<blob::DecodedRun>, BlobError> {
    if range.bytes.start == 0 {
        let header = bytes.first_chunk().ok_or(BlobError::Magic { place: "start" })?;
        blob::check_header(header, reader.footer())?;
    }
    let runs = reader.runs().enumerate().skip(range.runs.start).take(range.runs.len());
    runs.map(|(number, run)| {
        let start = (run.start - range.bytes.start) as usize;
        let stored = bytes.get(start..start + (run.end - run.start) as usize);
        reader.decode_run(number, stored.ok_or(BlobError::Magic { place: "middle" })?, plain)
    })
    .collect()
}

impl LoadError {
    /// x
    pub fn kind(&self) -> crate::error::ErrorKind {
        crate::error::ErrorKind::Damaged
    }
}
