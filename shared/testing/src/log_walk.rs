//! A walker over a dataset's log that shares no code with the one that writes or reads it: offsets by hand, from
//! `FORMAT.md`, and BLAKE3.
//!
//! It checks what must hold of any log at any time (I1): dense, whole chain, epochs that rise only at `open`, one
//! dataset, tombstones only below the log start and before all entries.

use std::collections::HashSet;

use cenote_store::storage::Storage;

const OPEN: u16 = 1;
const CHECKPOINT: u16 = 4;
const TRIM: u16 = 5;

/// One live entry.
#[derive(Clone, Debug)]
pub struct Walked {
    /// Its position.
    pub position: u64,
    /// Its kind, as a number of the format.
    pub kind: u16,
    /// The epoch of its producer.
    pub epoch: u64,
    /// The oldest position that is kept.
    pub log_start: u64,
    /// The whole object.
    pub bytes: Vec<u8>,
    nonce: [u8; 16],
    checkpoint: u64,
    previous: [u8; 33],
    hash: [u8; 33],
}

/// Walks the whole log; panics where it is not as it must be. Gives the live entries.
pub async fn walk(storage: &Storage) -> Vec<Walked> {
    let listed = storage.list("log", None).await.expect("the log can be listed");
    let mut entries: Vec<Walked> = Vec::new();
    let mut tombstones = 0;
    for (index, listed) in listed.iter().enumerate() {
        let position = index as u64 + 1;
        assert_eq!(listed.name, format!("log/{position:020}"), "the log is dense");
        let bytes = storage.get(&listed.name).await.unwrap().expect("it was listed").to_vec();
        if &bytes[..8] == b"CENOTE-T" {
            assert!(entries.is_empty(), "tombstones come before all entries");
            check_tombstone(&bytes, position);
            tombstones = position;
            continue;
        }
        let entry = parse(position, bytes);
        if let Some(before) = entries.last() {
            check_follows(before, &entry);
        }
        entries.push(entry);
    }
    let nonces: HashSet<_> = entries.iter().map(|entry| entry.nonce).collect();
    assert_eq!(nonces.len(), entries.len(), "every body is there once");
    let log_start = entries.last().map_or(1, |entry| entry.log_start);
    assert!(tombstones < log_start, "tombstones are below the log start");
    entries
}

fn check_tombstone(bytes: &[u8], position: u64) {
    assert_eq!(bytes.len(), 81);
    assert_eq!(bytes[8..10], [2, 0]);
    assert_eq!(bytes[48..], typed_hash(&bytes[..48]));
    assert!(position < number(bytes, 32), "a tombstone is below its log start");
}

fn check_follows(before: &Walked, entry: &Walked) {
    assert_eq!(entry.previous, before.hash, "the chain is whole at {}", entry.position);
    assert_eq!(entry.epoch, before.epoch + u64::from(entry.kind == OPEN), "epochs rise at open, {}", entry.position);
    assert_eq!(entry.bytes[24..40], before.bytes[24..40], "one dataset");
    if entry.kind != CHECKPOINT {
        assert_eq!(entry.checkpoint, before.checkpoint);
    }
    assert!(entry.log_start == before.log_start || (entry.kind == TRIM && entry.log_start > before.log_start));
    assert!(entry.position - entry.checkpoint <= 1_000, "a checkpoint comes before the 1,000th entry");
}

fn parse(position: u64, bytes: Vec<u8>) -> Walked {
    assert_eq!(&bytes[..8], b"CENOTE-E");
    assert_eq!(bytes[8..10], [2, 0]);
    let sections = usize::from(bytes[12]) + 256 * usize::from(bytes[13]);
    assert_eq!(number(&bytes, 16), position);
    let table = &bytes[154..154 + 41 * sections];
    let own = typed_hash(&[&bytes[..121], table].concat());
    assert_eq!(bytes[121..154], own, "the hash of {position}");
    let mut at = 154 + table.len();
    for line in table.chunks(41) {
        let length = u32::from_le_bytes(line[4..8].try_into().unwrap()) as usize;
        assert_eq!(line[8..41], typed_hash(&bytes[at..at + length]), "a section of {position}");
        at += length;
    }
    assert_eq!(at, bytes.len());
    Walked {
        position,
        kind: u16::from_le_bytes([bytes[10], bytes[11]]),
        epoch: number(&bytes, 40),
        nonce: bytes[48..64].try_into().unwrap(),
        checkpoint: number(&bytes, 72),
        log_start: number(&bytes, 80),
        previous: bytes[88..121].try_into().unwrap(),
        hash: bytes[121..154].try_into().unwrap(),
        bytes,
    }
}

/// The kind, 2 for BLAKE3-256, and the value.
fn typed_hash(bytes: &[u8]) -> [u8; 33] {
    let mut hash = [2; 33];
    hash[1..].copy_from_slice(blake3::hash(bytes).as_bytes());
    hash
}

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// The positions at which `mark` is written.
pub fn positions_of(entries: &[Walked], mark: &str) -> Vec<u64> {
    let has = |entry: &&Walked| entry.bytes.windows(mark.len()).any(|window| window == mark.as_bytes());
    entries.iter().filter(has).map(|entry| entry.position).collect()
}
