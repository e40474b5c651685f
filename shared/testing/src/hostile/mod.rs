//! Every decoder as a plain function of bytes, for tests and fuzzers: no input may make one panic, allocate beyond the
//! limits, or loop (I9).
//!
//! A function returns whether the decoder accepted the bytes. Accepted objects are also read in full: every cell, JSON,
//! key look-ups, a delta applied; a lie that a decoder accepts must do no harm later. A [`Target`] adds seeds and a repair
//! of checksums, so that mutations get past the hashes to the decoders.
//!
//! Rules: nothing here knows more than a reader would; a function's result depends on its bytes alone.

mod sample;

use bytes::Bytes;

use cenote_state::blob::{self, SnapshotReader, decode_delta, encode_snapshot, footer_of};
use cenote_state::codec;
use cenote_state::delta::{self, Delta};
use cenote_state::digest::{Sums, state_digest};
use cenote_state::held::Selection;
use cenote_state::ids::{TypeId, Version};
use cenote_state::schema::Schema;
use cenote_state::segment;
use cenote_state::state::State;
use cenote_store::log::plan::{CostModel, is_snapshot_due, plan};
use cenote_store::log::{Body, DeltaPlace, Entry, Hint, LogObject, LogState, decode, names, repair_checksums};

use sample::{DATASET, NAME, world};

/// What a state may take here.
const STATE_BYTES_MAX: u64 = 16 << 20;
const SCHEMA_BYTES_MAX: usize = 1 << 20;

/// A decoder, with seeds and repairs to attack it.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is also that of its fuzz target.
    pub name: &'static str,
    /// Decodes, and reads in full what the decoder accepts.
    pub run: fn(&[u8]) -> bool,
    /// Makes checksums right after a mutation.
    pub repair: fn(&mut Vec<u8>),
    /// Valid objects.
    pub seeds: fn() -> Vec<Bytes>,
    /// Objects that claim to hold more than they do and are valid otherwise; they must be refused within the limit.
    pub lies: fn() -> Vec<Bytes>,
    /// The most that a run may have allocated at any moment: the limits of what it decodes, and as much again for reading.
    pub bytes_max: usize,
}

/// All of them.
pub const TARGETS: [Target; 10] = [
    Target {
        name: "entry",
        run: entry,
        repair: repair_log,
        seeds: sample::entries,
        lies: Vec::new,
        bytes_max: 32 << 20,
    },
    Target {
        name: "tombstone",
        run: entry,
        repair: repair_log,
        seeds: sample::tombstones,
        lies: Vec::new,
        bytes_max: 1 << 20,
    },
    Target { name: "hint", run: hint, repair: repair_log, seeds: sample::hints, lies: Vec::new, bytes_max: 1 << 20 },
    Target {
        name: "checkpoint",
        run: checkpoint,
        repair: repair_log,
        seeds: sample::checkpoints,
        lies: Vec::new,
        bytes_max: 16 << 20,
    },
    Target {
        name: "snapshot",
        run: snapshot,
        repair: repair_blob,
        seeds: sample::snapshots,
        lies: Vec::new,
        bytes_max: 64 << 20,
    },
    Target {
        name: "delta_blob",
        run: delta_blob,
        repair: repair_blob,
        seeds: sample::delta_blobs,
        lies: sample::lying_delta_blobs,
        bytes_max: 64 << 20,
    },
    Target {
        name: "chain",
        run: chain,
        repair: repair_blob,
        seeds: sample::delta_blobs,
        lies: sample::lying_delta_blobs,
        bytes_max: 64 << 20,
    },
    Target {
        name: "delta_chunks",
        run: delta_chunks,
        repair: keep,
        seeds: sample::delta_chunks,
        lies: sample::lying_delta_chunks,
        bytes_max: 32 << 20,
    },
    Target {
        name: "segment",
        run: segment,
        repair: keep,
        seeds: sample::segments,
        lies: Vec::new,
        bytes_max: 16 << 20,
    },
    Target { name: "schema", run: schema, repair: keep, seeds: sample::schemas, lies: Vec::new, bytes_max: 32 << 20 },
];

/// Repairs the checksums of a target's object: without it, most mutations of a fuzzer fail at a checksum.
pub fn repaired(target: &str, bytes: &mut Vec<u8>) {
    if let Some(target) = TARGETS.iter().find(|known| known.name == target) {
        (target.repair)(bytes);
    }
}

#[expect(clippy::ptr_arg, reason = "of one type with those that change the length")]
fn repair_log(bytes: &mut Vec<u8>) {
    repair_checksums(bytes);
}

fn repair_blob(bytes: &mut Vec<u8>) {
    blob::repair_checksums(bytes);
}

fn keep(_bytes: &mut Vec<u8>) {}

/// An entry or a tombstone, and a delta inside the entry.
pub fn entry(bytes: &[u8]) -> bool {
    let Ok(object) = decode(NAME, &Bytes::copy_from_slice(bytes)) else { return false };
    let LogObject::Entry(entry) = object else { return true };
    let mut log_state = world().log_state.clone();
    let _ = log_state.advance(&entry);
    let _ = LogState::empty().advance(&entry);
    if let Body::Commit(commit) = &entry.body {
        if let Some(schema) = &commit.schema {
            use_schema(schema);
        }
        if let DeltaPlace::Inline(bytes) = &commit.delta {
            delta_blob(bytes);
        }
    }
    assert!(Entry::encode(entry.head, entry.body).is_ok(), "what was decoded can be written");
    true
}

/// A hint.
pub fn hint(bytes: &[u8]) -> bool {
    let Ok(hint) = Hint::decode(names::HINT, &Bytes::copy_from_slice(bytes)) else { return false };
    let _ = hint.encode();
    true
}

/// A checkpoint, and plans from it.
pub fn checkpoint(bytes: &[u8]) -> bool {
    let Ok(log_state) = LogState::decode("checkpoints/x", &Bytes::copy_from_slice(bytes)) else { return false };
    let model = CostModel::default();
    for version in [Version::EMPTY, Version(1), Version(7), log_state.version] {
        let _ = (plan(&log_state, None, version, &model), log_state.knows(version), log_state.cost_at(version));
    }
    let _ = (is_snapshot_due(&log_state, &model), log_state.entries_since_checkpoint());
    assert!(log_state.encode().is_ok(), "what was decoded can be written");
    true
}

/// A snapshot: footer, sections, state.
pub fn snapshot(bytes: &[u8]) -> bool {
    let whole = loaded(bytes, &Selection::Whole);
    let states = [whole, loaded(bytes, &world().part)];
    states.iter().flatten().for_each(read_through);
    states[0].is_some()
}

fn loaded(bytes: &[u8], selection: &Selection) -> Option<State> {
    let footer = footer_of(bytes).ok()?;
    // The digest is taken on trust: the attacker wrote the log, too.
    let sums = footer
        .types
        .iter()
        .map(|info| (info.type_id, info.sums.iter().fold(0, |sum: u128, (_, column)| sum.wrapping_add(*column))));
    let digest = state_digest(sums);
    let reader = SnapshotReader::new(footer, DATASET, digest, selection, 9, STATE_BYTES_MAX).ok()?;
    let runs: Vec<_> = reader.runs().collect();
    let stored = |range: std::ops::Range<u64>| bytes.get(range.start as usize..range.end as usize);
    let decoded = (0..runs.len()).map(|number| reader.decode_run(number, &stored, &mut Vec::new()).ok());
    let decoded = decoded.collect::<Option<Vec<_>>>()?;
    reader.finish(decoded, Version(9), 1).ok()
}

/// A delta's blob, on each of the sample's states.
pub fn delta_blob(bytes: &[u8]) -> bool {
    let mut sound = false;
    for parent in world().all() {
        let Ok(delta) = decode_delta(bytes, DATASET, parent, STATE_BYTES_MAX) else { continue };
        sound = true;
        if let Ok(state) = parent.applied(&delta, Version(9), 1) {
            read_through(&state);
        }
    }
    sound
}

/// A delta's blob on its true parent, and whatever follows: a state that a delta led to is as good as any other, whoever
/// wrote the delta. Its sums and indexes are those of its records, it survives a snapshot, and the next delta.
pub fn chain(bytes: &[u8]) -> bool {
    let mut sound = false;
    for (parent, next) in world().states.iter().zip(world().next_deltas()) {
        let Ok(delta) = decode_delta(bytes, DATASET, parent, STATE_BYTES_MAX) else { continue };
        let Ok(state) = parent.applied(&delta, Version(9), 1) else { continue };
        sound = true;
        check_step(parent, &delta, &state);
        let Ok(delta) = decode_delta(&next, DATASET, &state, STATE_BYTES_MAX) else { continue };
        if let Ok(after) = state.applied(&delta, Version(10), 1) {
            check_step(&state, &delta, &after);
        }
    }
    sound
}

fn check_step(before: &State, delta: &Delta, after: &State) {
    assert_eq!(recomputed_digest(after), after.digest(), "the sums are those of the records");
    world().indexes(before).updated(before, delta, after).check_invariants(after);
    let blob = encode_snapshot(DATASET, after, 1).to_bytes();
    let again = loaded(&blob, &Selection::Whole).expect("what was applied can be kept");
    assert_eq!(again.digest(), after.digest(), "a snapshot keeps every record");
    read_through(after);
}

/// The state's digest from its records, not from the sums that it carries.
fn recomputed_digest(state: &State) -> u128 {
    let mut scratch = Vec::new();
    let sums = state.tables().iter().map(|table| {
        let mut sums = Sums::new(table.layout().columns.len());
        for ordinal in table.ordinals() {
            sums.add_stored(ordinal, table.row(ordinal).expect("a live ordinal has a row"), &mut scratch);
        }
        (table.layout().type_id, sums.total())
    });
    state_digest(sums)
}

/// A delta's chunks, out of their blob.
pub fn delta_chunks(bytes: &[u8]) -> bool {
    let mut sound = false;
    for parent in world().all() {
        // The symbol tables of the sample's deltas are in their footers, which are not part of these bytes.
        let symbols = |id: TypeId| world().newest().table(id).symbols().cloned();
        let sections = std::iter::once(bytes);
        let Ok(delta) = delta::decode(sections, parent, &symbols, STATE_BYTES_MAX) else {
            continue;
        };
        sound = true;
        if let Ok(state) = parent.applied(&delta, Version(9), 1) {
            read_through(&state);
        }
    }
    sound
}

/// A segment of each of the sample's types.
pub fn segment(bytes: &[u8]) -> bool {
    let state = world().newest();
    let ceilings = |id: TypeId| state.table(id).ordinal_ceiling();
    let mut sound = false;
    for table in state.tables() {
        let layout = table.layout();
        let (rows_max, symbols) = (table.segment_rows(), table.symbols());
        let Ok(segment) = segment::decode(layout, bytes, rows_max, &ceilings, symbols) else { continue };
        sound = true;
        let mut canonical = Vec::new();
        for row in 0..segment.rows() {
            let row = segment.row(layout, row).expect("it is below the count");
            for field in 0..layout.columns.len() {
                canonical.clear();
                row.cell(field).canonical(&mut canonical);
            }
        }
        segment::encode(layout, &segment, &mut canonical);
    }
    sound
}

/// A schema, as entries and footers hold it.
pub fn schema(bytes: &[u8]) -> bool {
    let Ok(schema) = codec::decode::<Schema>(bytes, SCHEMA_BYTES_MAX) else { return false };
    if schema.check().is_err() {
        return false;
    }
    use_schema(&schema);
    true
}

/// What a reader does with a schema from a commit.
fn use_schema(schema: &Schema) {
    if schema.check().is_err() {
        return;
    }
    let _ = world().binding_for(schema);
    if let Ok(state) = State::empty(schema.clone().into(), 9) {
        read_through(&state);
    }
    for parent in world().all() {
        if let Ok(state) = parent.relayout(schema.clone().into(), 1) {
            read_through(&state);
        }
    }
}

/// Every cell by name and by struct, JSON, and look-ups by key.
fn read_through(state: &State) {
    let view = world().view(state);
    for table in view.named_tables() {
        for record in table.iter() {
            serde_json::to_writer(std::io::sink(), &record).expect("whatever is read has a JSON form");
            if let Some(key) = record.key() {
                let _ = table.get(key.as_ref());
            }
        }
    }
    world().read_typed(state);
}
