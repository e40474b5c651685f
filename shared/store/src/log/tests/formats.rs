//! Round trips, golden bytes, limits, and what a decoder says of bytes that are not right.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::samples::{DATASET, any_commit, bodies, commit, entries, head};
use crate::error::ErrorKind;
use crate::log::entry::{CONTROL_BYTES_MAX, INLINE_DELTA_BYTES_MAX};
use crate::log::head::HEADER_BYTES;
use crate::log::{
    Body, Commit, DecodeError, DeltaPlace, Entry, Hint, Kind, LogObject, LogState, Tombstone, decode, names,
    repair_checksums,
};
use cenote_state::hash::{HASH_BYTES, Hash};
use cenote_state::ids::{Epoch, Position, Timestamp, Version};

const NAME: &str = "log/00000000000000000042";

fn entry(bytes: Bytes) -> Entry {
    match decode(NAME, &bytes).unwrap() {
        LogObject::Entry(entry) => *entry,
        LogObject::Tombstone(_) => panic!("it is an entry"),
    }
}

#[test]
fn every_kind_reads_back() {
    for (written, bytes) in entries(42) {
        assert_eq!(entry(bytes), written);
    }
}

proptest! {
    #[test]
    fn any_commit_reads_back(commit in any_commit()) {
        let body = Body::Commit(Box::new(commit));
        let (written, bytes) = Entry::encode(head(42, Kind::Commit), body).unwrap();
        prop_assert_eq!(entry(bytes), written);
    }

    #[test]
    fn damage_anywhere_is_noticed(commit in any_commit(), at in any::<prop::sample::Index>(), bit in 0..8) {
        let body = Body::Commit(Box::new(commit));
        let (_, bytes) = Entry::encode(head(42, Kind::Commit), body).unwrap();
        let mut damaged = bytes.to_vec();
        damaged[at.index(bytes.len())] ^= 1_u8 << bit;
        prop_assert!(decode(NAME, &damaged.into()).is_err());
    }
}

#[test]
fn the_header_is_as_drawn() {
    let (_, bytes) = Entry::encode(head(42, Kind::Trim), bodies(42).pop().unwrap()).unwrap();
    let mut expected = Vec::new();
    expected.extend_from_slice(b"CENOTE-E");
    expected.extend_from_slice(&[2, 0, 5, 0, 1, 0, 0, 0]); // format 2, kind 5, one section, reserved
    expected.extend_from_slice(&[42, 0, 0, 0, 0, 0, 0, 0]); // position
    expected.extend_from_slice(b"0123456789abcdef"); // dataset
    expected.extend_from_slice(&[3, 0, 0, 0, 0, 0, 0, 0]); // epoch
    expected.extend_from_slice(b"nonce-nonce-nonc");
    expected.extend_from_slice(&[0x00, 0xA8, 0xDA, 0x76, 0x9B, 0x01, 0, 0]); // 2026-01-01T00:00:00Z
    expected.extend_from_slice(&[5, 0, 0, 0, 0, 0, 0, 0]); // newest checkpoint
    expected.extend_from_slice(&[4, 0, 0, 0, 0, 0, 0, 0]); // log start
    expected.push(2); // BLAKE3-256
    expected.extend_from_slice(blake3::hash(b"before").as_bytes());
    assert_eq!(bytes[..121], expected);
    // The table: tag 10 (trim), critical, 8 bytes; then the hash of the one section, which is the log start.
    assert_eq!(bytes[154..162], [10, 0, 1, 0, 8, 0, 0, 0]);
    assert_eq!(bytes[154 + 41..], [4, 0, 0, 0, 0, 0, 0, 0]);
    let own = [&bytes[..121], &bytes[154..195]].concat();
    assert_eq!((bytes[121], &bytes[122..154]), (2, &blake3::hash(&own).as_bytes()[..]));
}

#[test]
fn a_tombstone_is_as_drawn() {
    let tombstone = Tombstone { dataset: DATASET, log_start: Position(43), time: Timestamp(1_767_225_600_123) };
    let bytes = tombstone.encode();
    let mut expected = b"CENOTE-T\x02\0\0\0\0\0\0\x000123456789abcdef\x2B\0\0\0\0\0\0\0".to_vec();
    expected.extend_from_slice(&1_767_225_600_123_u64.to_le_bytes());
    let hash = blake3::hash(&expected);
    expected.push(2);
    expected.extend_from_slice(hash.as_bytes());
    assert_eq!(bytes, expected);
    assert_eq!(decode(NAME, &bytes), Ok(LogObject::Tombstone(tombstone)));
    // There is no tombstone at the log start that it names.
    assert!(matches!(decode("log/00000000000000000043", &bytes), Err(DecodeError::Damaged { .. })));
}

#[test]
fn hint_and_checkpoint_read_back() {
    let hint = Hint {
        dataset: DATASET,
        position: Position(42),
        epoch: Epoch(3),
        beat: 9,
        owner: Some("host-1".to_owned()),
        heartbeat_interval: Duration::from_secs(15),
    };
    assert_eq!(Hint::decode(names::HINT, &hint.encode()).unwrap(), hint);
    let log_state = sample_log_state();
    assert_eq!(log_state.snapshots.len(), 1);
    assert_eq!(LogState::decode("checkpoints/x", &log_state.encode().unwrap()).unwrap(), log_state);
}

/// A log of an open, a commit, its snapshot, and another commit.
fn sample_log_state() -> LogState {
    let mut log_state = LogState::empty();
    for (index, pick) in [0, 3, 4, 3].into_iter().enumerate() {
        let position = index as u64 + 1;
        let mut body = bodies(position + 2)[pick].clone();
        if let Body::Commit(commit) = &mut body {
            commit.parent = Version::EMPTY;
        }
        if let Body::Snapshot(snapshot) = &mut body {
            snapshot.version = Version(2);
        }
        let mut head = head(position, body.kind());
        (head.epoch, head.checkpoint, head.log_start) = (Epoch(1), Position(0), Position(1));
        head.previous = log_state.hash;
        log_state.advance(&Entry::encode(head, body).unwrap().0).unwrap();
    }
    log_state
}

#[test]
fn entries_at_the_limit_and_beyond() {
    let inline = |bytes: usize| Commit { delta: DeltaPlace::Inline(vec![7; bytes].into()), ..commit() };
    let encode = |commit| Entry::encode(head(42, Kind::Commit), Body::Commit(Box::new(commit)));
    let (written, bytes) = encode(inline(INLINE_DELTA_BYTES_MAX)).unwrap();
    assert_eq!(entry(bytes), written);
    assert!(matches!(encode(inline(INLINE_DELTA_BYTES_MAX + 1)), Err(DecodeError::TooLarge { .. })));
    // One tag takes two lengths of 8 bytes, its name and its text; the commit's own delta and head don't count.
    let control = encode(commit()).unwrap().0.bytes as usize - HEADER_BYTES - 6 * 41 - b"a delta".len();
    let filled = |bytes: usize| {
        let mut large = commit();
        large.tags.insert("text".to_owned(), "x".repeat(bytes - control - 8 - 8 - "text".len()));
        encode(large)
    };
    let (written, bytes) = filled(CONTROL_BYTES_MAX).unwrap();
    assert_eq!(entry(bytes), written);
    assert!(matches!(filled(CONTROL_BYTES_MAX + 1), Err(DecodeError::TooLarge { .. })));
}

/// Bytes with one change, hashes repaired; what the decoder says.
fn changed(at: usize, to: &[u8]) -> Result<LogObject, DecodeError> {
    let (_, bytes) = Entry::encode(head(42, Kind::Trim), bodies(42).pop().unwrap()).unwrap();
    let mut bytes = bytes.to_vec();
    bytes[at..at + to.len()].copy_from_slice(to);
    repair_checksums(&mut bytes);
    decode(NAME, &bytes.into())
}

/// Single bytes changed and the header's hash repaired, but no section's.
fn changed_after(changes: &[(usize, u8)]) -> Result<LogObject, DecodeError> {
    let (_, bytes) = Entry::encode(head(42, Kind::Trim), bodies(42).pop().unwrap()).unwrap();
    let mut bytes = bytes.to_vec();
    changes.iter().for_each(|(at, to)| bytes[*at] = *to);
    if changes.iter().all(|(at, _)| *at != 121) {
        let hash = Hash::of_parts([&bytes[..121], &bytes[HEADER_BYTES..HEADER_BYTES + 41]]);
        bytes[121..HEADER_BYTES].copy_from_slice(&hash.to_bytes());
    }
    decode(NAME, &bytes.into())
}

#[test]
fn what_a_newer_release_wrote_needs_an_upgrade() {
    let cases: [(&str, usize, &[u8]); 5] = [
        ("format version is 3", 8, &[3, 0]),
        ("`pin` entry", 10, &[6, 0]),
        ("unknown kind 99", 10, &[99, 0]),
        ("section 77 is critical", HEADER_BYTES, &[77, 0]),
        ("unknown flags", HEADER_BYTES + 2, &[3, 0]),
    ];
    for (expected, at, to) in cases {
        let error = changed(at, to).unwrap_err();
        assert!(matches!(error, DecodeError::NeedsUpgrade { .. }), "{error}");
        assert!(error.to_string().contains(expected) && error.to_string().contains(NAME), "{error}");
    }
}

/// A hash of a kind that proves nothing would let anyone who can write change what it should prove.
#[test]
fn weak_hashes_are_refused() {
    for kind in [0, 1] {
        let text = changed_after(&[(HEADER_BYTES + 8, kind)]).unwrap_err().to_string();
        let expected = ["is not covered by a hash", "does not match its hash"][usize::from(kind)];
        assert!(text.contains("section 10") && text.contains(expected), "{text}");
        let text = changed_after(&[(121, kind)]).unwrap_err().to_string();
        assert!(text.contains("its header does not match its hash"), "{text}");
    }
    for at in [HEADER_BYTES + 8, 121] {
        let error = changed_after(&[(at, 3)]).unwrap_err();
        assert!(matches!(error, DecodeError::NeedsUpgrade { .. }), "{error}");
        assert!(error.to_string().contains("a hash of the unknown kind 3"), "{error}");
    }
    for hash in [Hash::NONE, Hash::from_bytes(&[1; HASH_BYTES]), Hash::from_bytes(&[3; HASH_BYTES])] {
        for pick in [2, 4, 5] {
            let mut body = bodies(42).remove(pick);
            match &mut body {
                Body::Commit(commit) => {
                    let DeltaPlace::Blob(object) = &mut commit.delta else { panic!("it has a blob") };
                    object.hash = hash;
                }
                Body::Snapshot(snapshot) => snapshot.object.hash = hash,
                Body::Checkpoint(object) => object.hash = hash,
                Body::Open(_) | Body::Trim(_) => panic!("it names no object"),
            }
            let error = Entry::encode(head(42, body.kind()), body).unwrap_err();
            assert_eq!(matches!(error, DecodeError::NeedsUpgrade { .. }), hash.to_bytes()[0] == 3, "{error}");
        }
    }
}

/// Room for a signature of the entry in the entry: a signer can't change the hash that is signed.
#[test]
fn a_section_may_be_not_covered_if_nobody_needs_it() {
    let (_, bytes) = Entry::encode(head(42, Kind::Trim), bodies(42).pop().unwrap()).unwrap();
    let with_signature = |flags: u8, signature: &[u8; 8]| {
        let (head, table) = bytes.split_at(HEADER_BYTES);
        let (table, content) = table.split_at(41);
        let mut line = [0; 41];
        (line[0], line[2], line[4]) = (77, flags, 8);
        let mut signed = [head, table, &line, content, &[0; 8]].concat();
        signed[12] = 2;
        repair_checksums(&mut signed);
        // The repair gave it a hash, which is taken away again, before the header's hash is made.
        signed[HEADER_BYTES + 41 + 8..HEADER_BYTES + 82].fill(0);
        let hash = Hash::of_parts([&signed[..121], &signed[HEADER_BYTES..HEADER_BYTES + 82]]);
        signed[121..HEADER_BYTES].copy_from_slice(&hash.to_bytes());
        let at = signed.len() - 8;
        signed[at..].copy_from_slice(signature);
        (hash, decode(NAME, &signed.into()))
    };
    let (hash, read) = with_signature(0, b"one mark");
    let Ok(LogObject::Entry(entry)) = read else { panic!("{read:?}") };
    assert_eq!((entry.head.hash, entry.body), (hash, bodies(42).pop().unwrap()));
    assert_eq!(with_signature(0, b"another!").0, hash, "its hash does not depend on what is not covered");
    let error = with_signature(1, b"one mark").1.unwrap_err();
    assert!(error.to_string().contains("section 77 is not covered by a hash"), "{error}");
}

#[test]
fn format_1_is_told_by_its_name() {
    let error = changed(8, &[1, 0]).unwrap_err();
    let text = format!("{NAME} has format 1; this version reads format 2: make the dataset again");
    assert_eq!((error.to_string(), error.kind()), (text, ErrorKind::Configuration));
}

#[test]
fn an_unknown_section_is_passed_over_unless_it_is_critical() {
    // Tag 77 without its critical flag is skipped, so what is missing is the one that it was.
    let error = changed(HEADER_BYTES, &[77, 0, 0, 0]).unwrap_err();
    assert!(error.to_string().contains("section trim is missing"), "{error}");
}

#[test]
fn what_is_wrong_is_reported() {
    let cases: [(&str, usize, &[u8]); 6] = [
        ("is not Cenote's", 0, b"PK\x03\x04\0\0\0\0"),
        ("position 43", 16, &[43]),
        ("contradict each other", 72, &[43]),
        ("contradict each other", 80, &[0]),
        ("contradicts its header", 195, &[3]),
        ("limit is 64", 12, &[65, 0]),
    ];
    for (expected, at, to) in cases {
        let error = changed(at, to).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(NAME), "{expected}: {error}");
    }
}

#[test]
fn a_name_that_is_not_ours_is_refused() {
    let mut body = bodies(42).remove(5);
    if let Body::Checkpoint(object) = &mut body {
        object.name = "log/00000000000000000001".to_owned();
    }
    let error = Entry::encode(head(42, Kind::Checkpoint), body).unwrap_err().to_string();
    assert!(error.contains("no such object"), "{error}");
}

#[test]
fn truncation_anywhere_is_noticed() {
    for (_, bytes) in entries(42) {
        for length in 0..bytes.len() {
            assert!(decode(NAME, &bytes.slice(..length)).is_err(), "{length} bytes");
        }
    }
}

#[test]
fn a_schema_that_is_none_is_refused() {
    let mut commit = commit();
    if let Some(schema) = &mut commit.schema {
        schema.types[0].name = "x".repeat(256);
    }
    let error = Entry::encode(head(42, Kind::Commit), Body::Commit(Box::new(commit))).unwrap_err().to_string();
    assert!(error.contains("its schema: ") && error.contains("name"), "{error}");
}
