//! Loading a snapshot: by ranges, in parallel, decoded on all cores.
//!
//! A large state comes as fast as the network and the cores allow, and without a second copy of its bytes in memory.
//!
//! Rules: the object has the length that the log names and a footer of the hash that it names, and is checked against the
//! log's digest, before anything else is fetched; every range is checked against the footer's hashes before it is used;
//! what does not fit is read once more. A missing object may have been trimmed: the log says (rule 6).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use tokio::sync::Semaphore;

use super::LoadError;
use crate::env::{Env, Panicked};
use crate::log::gone::explain_missing;
use crate::log::plan::PART_BYTES;
use crate::log::{ReadError, Snapshot};
use crate::storage::{Storage, StorageError};
use cenote_state::blob::{self, BlobError, SnapshotReader};
use cenote_state::held::Selection;
use cenote_state::ids::DatasetId;
use cenote_state::state::State;

/// The end of a snapshot that is requested first; its footer usually fits.
const TAIL_BYTES: u64 = 64 << 10;
/// A range of a local file. Each thread reads the range that it decodes: larger ranges, or more at once, gain nothing
/// there and take memory.
const LOCAL_PART_BYTES: u64 = 1 << 20;
/// Requests to storage under way at once, for each thread that decodes.
const REQUESTS_PER_THREAD: usize = 2;

/// Which snapshot, and what it must be.
#[derive(Clone, Debug)]
pub struct SnapshotToLoad {
    /// The dataset.
    pub dataset: DatasetId,
    /// The snapshot as the log names it.
    pub snapshot: Snapshot,
    /// What of it is held. Nothing else is fetched.
    pub selection: Selection,
    /// The bytes that the state may take in memory.
    pub bytes_max: u64,
    /// This process's seed for key indexes.
    pub seed: u64,
}

/// What loading transferred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    /// Bytes fetched.
    pub bytes: u64,
    /// Requests made.
    pub requests: u64,
}

impl SnapshotToLoad {
    fn missing(&self) -> LoadError {
        LoadError::Missing { version: self.snapshot.version, object: self.snapshot.object.name.clone() }
    }

    fn altered(&self) -> LoadError {
        LoadError::Altered { version: self.snapshot.version, object: self.snapshot.object.name.clone() }
    }

    fn wrong(&self, source: BlobError) -> LoadError {
        LoadError::Blob { version: self.snapshot.version, object: self.snapshot.object.name.clone(), source }
    }

    fn panicked(&self, source: Panicked) -> LoadError {
        LoadError::Panicked { version: self.snapshot.version, object: self.snapshot.object.name.clone(), source }
    }
}

/// Loads the state in a snapshot. `progress` is called after each range that was decoded, with the bytes so far and the
/// bytes in all. Wrong bytes may have been damaged on their way: they are read again before that is called damage.
///
/// # Errors
/// If the store fails, the object was trimmed, is missing or is not the one that the log names, or its bytes are wrong.
pub async fn snapshot(
    storage: &Storage,
    env: &Env,
    what: &SnapshotToLoad,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<(State, Transfer), LoadError> {
    let loaded = match load_once(storage, env, what, progress).await {
        Err(LoadError::Altered { .. }) => load_once(storage, env, what, progress).await,
        Err(LoadError::Blob { source, .. })
            if !source.needs_upgrade() && !matches!(source, BlobError::TooLarge { .. }) =>
        {
            load_once(storage, env, what, progress).await
        }
        loaded => loaded,
    };
    match loaded {
        Err(LoadError::Missing { version, object }) => {
            // Retention deletes a snapshot after the entries that would roll it forward.
            let became = explain_missing(storage, Some(what.dataset), version.position().next(), &object).await?;
            Err(match became {
                ReadError::Trimmed { .. } | ReadError::Replaced { .. } | ReadError::Restored { .. } => became.into(),
                _ => LoadError::Missing { version, object },
            })
        }
        loaded => loaded,
    }
}

async fn load_once(
    storage: &Storage,
    env: &Env,
    what: &SnapshotToLoad,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<(State, Transfer), LoadError> {
    let object = &what.snapshot.object;
    let tail = storage.get_tail(&object.name, TAIL_BYTES).await?.ok_or_else(|| what.missing())?;
    if tail.size != object.length {
        return Err(what.altered());
    }
    if blob::footer_hash(&tail.bytes).map_err(|error| what.wrong(error))? != object.hash {
        return Err(what.altered());
    }
    let mut transfer = Transfer { bytes: tail.bytes.len() as u64, requests: 1 };
    let footer = match blob::read_footer(&tail.bytes, tail.size).map_err(|error| what.wrong(error))? {
        Ok(footer) => footer,
        Err(needed) => {
            let end = storage.get_tail(&object.name, needed as u64).await?.ok_or_else(|| what.missing())?;
            transfer = Transfer { bytes: transfer.bytes + end.bytes.len() as u64, requests: 2 };
            blob::read_footer(&end.bytes, end.size)
                .map_err(|error| what.wrong(error))?
                .map_err(|_| what.wrong(BlobError::Magic { place: "end" }))?
        }
    };
    let reader =
        SnapshotReader::new(footer, what.dataset, what.snapshot.digest, &what.selection, what.seed, what.bytes_max);
    let reader = Arc::new(reader.map_err(|error| what.wrong(error))?);
    let (part_bytes, requests) = match storage.local_folder() {
        Some(_) => (LOCAL_PART_BYTES, env.threads()),
        None => (PART_BYTES, env.threads() * REQUESTS_PER_THREAD),
    };
    let ranges = ranges_of(&reader, part_bytes);
    let whole: u64 = ranges.iter().map(|range| range.bytes.end - range.bytes.start).sum();
    transfer.requests += ranges.len() as u64;
    transfer.bytes += whole;
    let done = AtomicU64::new(0);
    // Buffers to decompress into, one for each thread that decodes: little memory is held in addition to the state.
    let buffers = Arc::<Mutex<Vec<Vec<u8>>>>::default();
    let decoding = Semaphore::new(env.threads());
    let mut decoded = futures::stream::iter(ranges)
        .map(|range| async {
            let bytes = fetch(storage, &object.name, &range, &tail.bytes, tail.size).await?;
            let bytes = bytes.ok_or_else(|| what.missing())?;
            let (reader, buffers, length) = (Arc::clone(&reader), Arc::clone(&buffers), bytes.len() as u64);
            let first_run = range.runs.start;
            let _turn = decoding.acquire().await.expect("the semaphore is never closed");
            let decode = move || {
                let mut buffer = buffers.lock().expect("taking a buffer does not panic").pop().unwrap_or_default();
                let runs = decode_range(&reader, &range, &bytes, &mut buffer);
                buffers.lock().expect("returning a buffer does not panic").push(buffer);
                runs
            };
            let runs = env.cpu(decode).await.map_err(|panic| what.panicked(panic))?;
            let runs = runs.map_err(|error| what.wrong(error))?;
            let so_far = done.fetch_add(length, Ordering::Relaxed) + length;
            progress(so_far, whole);
            Ok::<_, LoadError>((first_run, runs))
        })
        // In any order: a range that is ready does not wait for one before it while a thread is idle.
        .buffer_unordered(requests)
        .try_collect::<Vec<_>>()
        .await?;
    decoded.sort_unstable_by_key(|(first_run, _)| *first_run);
    let (version, threads) = (what.snapshot.version, env.threads());
    drop(buffers);
    let reader = Arc::into_inner(reader).expect("every decoding has ended");
    let runs = decoded.into_iter().flat_map(|(_, runs)| runs).collect();
    let finished = env.cpu(move || reader.finish(runs, version, threads)).await;
    let state = finished.map_err(|panic| what.panicked(panic))?.map_err(|error| what.wrong(error))?;
    Ok((state, transfer))
}

/// Neighbouring runs that are fetched together.
struct FetchRange {
    runs: std::ops::Range<usize>,
    bytes: std::ops::Range<u64>,
}

/// Bytes between two runs that are fetched with them: they cost less than another request.
const GAP_BYTES: u64 = 128 << 10;

/// The first one begins with the header; it is there even if there is no run.
fn ranges_of(reader: &SnapshotReader, part_bytes: u64) -> Vec<FetchRange> {
    let mut ranges = vec![FetchRange { runs: 0..0, bytes: 0..blob::HEADER_BYTES as u64 }];
    for (number, run) in reader.runs().enumerate() {
        match ranges.last_mut() {
            Some(last)
                if run.end - last.bytes.start <= part_bytes
                    && run.start.saturating_sub(last.bytes.end) <= GAP_BYTES =>
            {
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
