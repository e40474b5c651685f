//! The audit: reads the log with separate code, without faults and latencies, and remembers it (I1).
//!
//! It reads headers, hashes and tombstones by their offsets and shares nothing with the code that writes them; sections of
//! entries are decoded as readers do. Every position that was once written is checked again for as long as it is live.

use std::collections::{BTreeMap, BTreeSet};

use cenote_store::log::{Entry, LogObject, decode};
use cenote_store::storage::Storage;
use futures::FutureExt;

const HEADER_BYTES: usize = 154;
const LINE_BYTES: usize = 41;
/// Retention puts so many at once, at most.
const TOMBSTONES_AT_ONCE: u64 = 32;
const OPEN: u16 = 1;
const CHECKPOINT: u16 = 4;
const TRIM: u16 = 5;

/// What the audit remembers of an entry.
#[derive(Clone, Debug)]
struct Known {
    kind: u16,
    epoch: u64,
    log_start: u64,
    checkpoint: u64,
    dataset: [u8; 16],
    previous: [u8; 33],
    hash: [u8; 33],
    /// The object that the entry names.
    names: Option<String>,
}

/// The log as it was read.
#[derive(Clone, Default)]
pub(crate) struct Audit {
    entries: BTreeMap<u64, Known>,
    nonces: BTreeSet<[u8; 16]>,
    /// Positions up to here are tombstones, or were.
    tombstones_end: u64,
    /// Tombstones after it: some are put at once.
    tombstones: BTreeSet<u64>,
    /// Damaged objects, which are not checked.
    pub(crate) damaged: BTreeSet<String>,
}

impl Audit {
    pub(crate) fn tail(&self) -> u64 {
        self.entries.last_key_value().map_or(0, |(position, _)| *position)
    }

    pub(crate) fn log_start(&self) -> u64 {
        self.entries.last_key_value().map_or(1, |(_, entry)| entry.log_start)
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.entries.last_key_value().map_or(0, |(_, entry)| entry.epoch)
    }

    /// Whether a start now uses a checkpoint.
    pub(crate) fn has_checkpoint(&self) -> bool {
        self.entries.last_key_value().is_some_and(|(_, entry)| entry.checkpoint > 0)
    }

    /// The objects that live entries name.
    pub(crate) fn named(&self) -> Vec<String> {
        self.entries.range(self.log_start()..).filter_map(|(_, entry)| entry.names.clone()).collect()
    }

    /// Reads new entries at the end of the log.
    pub(crate) fn advance(&mut self, store: &Storage) -> Result<Vec<Entry>, String> {
        let mut new = Vec::new();
        while let Some(bytes) = read(store, &name(self.tail() + 1)) {
            let position = self.tail() + 1;
            let object = name(position);
            if bytes.starts_with(b"CENOTE-T") {
                return Err(format!("{object} is a tombstone, but there was no entry"));
            }
            let (mut known, nonce) = parse(position, &bytes)?;
            if let Some(before) = self.entries.get(&(position - 1)) {
                check_follows(position, before, &known)?;
            }
            if !self.nonces.insert(nonce) {
                return Err(format!("the body at {position} occurs twice"));
            }
            let entry = match decode(&object, &bytes) {
                Ok(LogObject::Entry(entry)) => *entry,
                other => return Err(format!("{object} can't be decoded: {other:?}")),
            };
            known.names = entry.body.object().map(|named| named.name.clone());
            if position >= known.log_start {
                self.check_named(store, position, &known)?;
            }
            self.entries.insert(position, known);
            new.push(entry);
        }
        Ok(new)
    }

    /// Checks all positions again: live ones are dense and unchanged, and the objects that they name exist; older ones are
    /// tombstones.
    pub(crate) fn recheck(&mut self, store: &Storage) -> Result<(), String> {
        let log_start = self.log_start();
        for position in self.tombstones_end + 1..=self.tail() {
            let object = name(position);
            if self.damaged.contains(&object) {
                continue;
            }
            let bytes = read(store, &object).ok_or_else(|| format!("{object} is missing: the log is not dense"))?;
            if bytes.starts_with(b"CENOTE-T") {
                check_tombstone(position, &bytes)?;
                if position >= log_start || position > self.tombstones_end + TOMBSTONES_AT_ONCE {
                    return Err(format!(
                        "{object} is a tombstone: log start {log_start}, {} before it",
                        self.tombstones_end
                    ));
                }
                self.tombstones.insert(position);
                while self.tombstones.remove(&(self.tombstones_end + 1)) {
                    self.tombstones_end += 1;
                }
                continue;
            }
            if self.tombstones.contains(&position) {
                return Err(format!("{object} was a tombstone (I1)"));
            }
            let known = &self.entries[&position];
            if bytes[121..HEADER_BYTES] != known.hash || parse(position, &bytes).is_err() {
                return Err(format!("{object} is not the entry that was there before (I1)"));
            }
            if position >= log_start {
                self.check_named(store, position, known)?;
            }
        }
        Ok(())
    }

    fn check_named(&self, store: &Storage, position: u64, known: &Known) -> Result<(), String> {
        let Some(named) = &known.names else { return Ok(()) };
        let is_there = store.size(named).now_or_never().expect("memory answers at once");
        if matches!(is_there, Ok(Some(_))) || self.damaged.contains(named) {
            return Ok(());
        }
        Err(format!("{} names {named}, which does not exist", name(position)))
    }
}

pub(crate) fn name(position: u64) -> String {
    format!("log/{position:020}")
}

/// The bytes of an object, from memory that answers at once.
pub(crate) fn read(store: &Storage, name: &str) -> Option<bytes::Bytes> {
    store.get(name).now_or_never().expect("memory answers at once").expect("memory does not fail")
}

/// The kind, 2 for BLAKE3-256, and the value.
fn typed_hash(bytes: &[u8]) -> [u8; 33] {
    let mut hash = [2; 33];
    hash[1..].copy_from_slice(blake3::hash(bytes).as_bytes());
    hash
}

fn check_tombstone(position: u64, bytes: &[u8]) -> Result<(), String> {
    let sound = bytes.len() == 81
        && bytes[8..10] == [2, 0]
        && bytes[48..] == typed_hash(&bytes[..48])
        && position < number(bytes, 32);
    if sound { Ok(()) } else { Err(format!("the tombstone at {position} is not one")) }
}

fn check_follows(position: u64, before: &Known, entry: &Known) -> Result<(), String> {
    let must = |holds: bool, what: &str| if holds { Ok(()) } else { Err(format!("at {position}: {what} (I1)")) };
    must(entry.previous == before.hash, "it follows another entry than the one before it")?;
    must(entry.epoch == before.epoch + u64::from(entry.kind == OPEN), "the epoch rises at `open` and only there")?;
    must(entry.dataset == before.dataset, "it belongs to another dataset")?;
    must(entry.kind == CHECKPOINT || entry.checkpoint == before.checkpoint, "it names another checkpoint")?;
    let log_start_fits =
        entry.log_start == before.log_start || (entry.kind == TRIM && entry.log_start > before.log_start);
    must(log_start_fits, "its log start is another one, and it is no `trim`")?;
    must(position - entry.checkpoint <= 1_000, "a checkpoint comes before the 1,000th entry")
}

fn parse(position: u64, bytes: &[u8]) -> Result<(Known, [u8; 16]), String> {
    let wrong = |what: &str| Err(format!("the entry at {position} has a wrong {what}"));
    if bytes.len() < HEADER_BYTES || &bytes[..8] != b"CENOTE-E" || bytes[8..10] != [2, 0] {
        return wrong("beginning");
    }
    let sections = usize::from(bytes[12]) + 256 * usize::from(bytes[13]);
    let Some(table) = bytes.get(HEADER_BYTES..HEADER_BYTES + LINE_BYTES * sections) else { return wrong("table") };
    if number(bytes, 16) != position {
        return wrong("position");
    }
    if bytes[121..HEADER_BYTES] != typed_hash(&[&bytes[..121], table].concat()) {
        return wrong("hash");
    }
    let mut at = HEADER_BYTES + table.len();
    for line in table.chunks(LINE_BYTES) {
        let length = u32::from_le_bytes(line[4..8].try_into().expect("four bytes")) as usize;
        let Some(section) = bytes.get(at..at + length) else { return wrong("length") };
        if line[8..] != typed_hash(section) {
            return wrong("section");
        }
        at += length;
    }
    if at != bytes.len() {
        return wrong("length");
    }
    let known = Known {
        kind: u16::from_le_bytes([bytes[10], bytes[11]]),
        epoch: number(bytes, 40),
        log_start: number(bytes, 80),
        checkpoint: number(bytes, 72),
        dataset: bytes[24..40].try_into().expect("16 bytes"),
        previous: bytes[88..121].try_into().expect("33 bytes"),
        hash: bytes[121..HEADER_BYTES].try_into().expect("33 bytes"),
        names: None,
    };
    Ok((known, bytes[48..64].try_into().expect("16 bytes")))
}

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
