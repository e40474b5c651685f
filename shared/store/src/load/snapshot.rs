//! Loading a snapshot: by ranges, in parallel, decoded on all cores.
//!
//! A large state comes as fast as the network and the cores allow, and without a second copy of its bytes in memory.
//!
//! Rules: the object has the length that the log names and a footer of the hash that it names, and is checked against the
//! log's digest, before anything else is fetched; every range is checked against the footer's hashes before it is used;
//! what does not fit is read once more. A missing object may have been trimmed: the log says (rule 6).

use std::ops::Range;
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
    let units = units_of(&reader, part_bytes);
    let whole: u64 = units.iter().flat_map(|unit| &unit.ranges).map(|range| range.end - range.start).sum();
    let tail_start = tail.size - tail.bytes.len() as u64;
    for range in units.iter().flat_map(|unit| &unit.ranges).filter(|range| range.start < tail_start) {
        transfer.requests += 1;
        transfer.bytes += range.end - range.start;
    }
    let done = AtomicU64::new(0);
    // Buffers to decompress into, one for each thread that decodes: little memory is held in addition to the state.
    let buffers = Arc::<Mutex<Vec<Vec<u8>>>>::default();
    let decoding = Semaphore::new(env.threads());
    let mut decoded = futures::stream::iter(units)
        .map(|unit| async {
            let fetching = unit.ranges.iter().map(|range| fetch(storage, &object.name, range, &tail.bytes, tail.size));
            let bytes = futures::future::try_join_all(fetching).await?;
            let bytes: Vec<Bytes> = bytes.into_iter().collect::<Option<_>>().ok_or_else(|| what.missing())?;
            let length = bytes.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
            let (reader, buffers) = (Arc::clone(&reader), Arc::clone(&buffers));
            let first_run = unit.runs.start;
            let _turn = decoding.acquire().await.expect("the semaphore is never closed");
            let decode = move || {
                let mut buffer = buffers.lock().expect("taking a buffer does not panic").pop().unwrap_or_default();
                let runs = decode_unit(&reader, &unit, &bytes, &mut buffer);
                buffers.lock().expect("returning a buffer does not panic").push(buffer);
                runs
            };
            let runs = env.cpu(decode).await.map_err(|panic| what.panicked(panic))?;
            let runs = runs.map_err(|error| what.wrong(error))?;
            let so_far = done.fetch_add(length, Ordering::Relaxed) + length;
            progress(so_far, whole);
            Ok::<_, LoadError>((first_run, runs))
        })
        // In any order: a unit that is ready does not wait for one before it while a thread is idle.
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

/// Neighbouring runs that are fetched and decoded together.
struct Unit {
    runs: Range<usize>,
    /// What is fetched of the object, in its order.
    ranges: Vec<Range<u64>>,
}

/// Bytes between two sections that are fetched with them: they cost less than another request.
const GAP_BYTES: u64 = 128 << 10;
/// A unit has no more bytes than this, however its sections stand among others.
const UNIT_BYTES_MAX: u64 = 64 << 20;

/// Runs that stand among each other are one unit, and so are neighbours of up to `part_bytes`. The first one begins with
/// the header; it is there even if there is no run.
fn units_of(reader: &SnapshotReader, part_bytes: u64) -> Vec<Unit> {
    let header = 0..blob::HEADER_BYTES as u64;
    let mut units = vec![Unit { runs: 0..0, ranges: Vec::from([header]) }];
    let (mut bytes, mut end) = (0, 0);
    for (number, sections) in reader.runs().enumerate() {
        let start = sections.iter().map(|section| section.start).min().unwrap_or(0);
        let more: u64 = sections.iter().map(|section| section.end - section.start).sum();
        let most = if start < end { UNIT_BYTES_MAX } else { part_bytes };
        end = sections.iter().map(|section| section.end).fold(end, u64::max);
        match units.last_mut() {
            Some(last) if bytes + more <= most => {
                (last.runs.end, bytes) = (number + 1, bytes + more);
                last.ranges.extend(sections);
            }
            _ => {
                bytes = more;
                units.push(Unit { runs: number..number + 1, ranges: sections });
            }
        }
    }
    units.iter_mut().for_each(|unit| unit.ranges = joined(std::mem::take(&mut unit.ranges)));
    units
}

/// The same bytes in fewer ranges, and what is between them where it is little.
fn joined(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end + GAP_BYTES => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

/// The range's bytes; from the tail that is here already where it covers them.
async fn fetch(
    storage: &Storage,
    name: &str,
    range: &Range<u64>,
    tail: &Bytes,
    size: u64,
) -> Result<Option<Bytes>, StorageError> {
    let tail_start = size - tail.len() as u64;
    if range.start >= tail_start {
        let within = (range.start - tail_start) as usize..(range.end - tail_start) as usize;
        return Ok(Some(tail.slice(within)));
    }
    storage.get_range(name, range.clone()).await
}

fn decode_unit(
    reader: &SnapshotReader,
    unit: &Unit,
    fetched: &[Bytes],
    plain: &mut Vec<u8>,
) -> Result<Vec<blob::DecodedRun>, BlobError> {
    if unit.ranges.first().is_some_and(|range| range.start == 0) {
        let header = fetched.first().and_then(|bytes| bytes.first_chunk());
        blob::check_header(header.ok_or(BlobError::Magic { place: "start" })?, reader.footer())?;
    }
    let stored = |section: Range<u64>| {
        let at = unit.ranges.partition_point(|range| range.start <= section.start).checked_sub(1)?;
        let (range, bytes) = (unit.ranges.get(at)?, fetched.get(at)?);
        bytes.get((section.start - range.start) as usize..(section.end - range.start) as usize)
    };
    unit.runs.clone().map(|run| reader.decode_run(run, &stored, plain)).collect()
}
