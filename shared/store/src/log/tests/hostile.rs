//! Hostile bytes: seeded mutations of valid objects, hashes repaired, must give an error or an object (I9).

use bytes::Bytes;

use super::samples::{DATASET, entries};
use crate::env::Env;
use crate::log::{Hint, LogObject, LogState, Tombstone, decode, names, repair_checksums};
use cenote_state::ids::{Position, Timestamp};

const NAME: &str = "log/00000000000000000042";
const ROUNDS: usize = 60_000;

fn draw(env: &Env, below: usize) -> usize {
    usize::try_from(env.random() % below.max(1) as u64).expect("it is below a usize")
}

/// Flips, overwrites with telling values, cuts, repeats.
fn mutate(env: &Env, bytes: &mut Vec<u8>) {
    for _ in 0..=draw(env, 3) {
        if bytes.is_empty() {
            return;
        }
        let at = draw(env, bytes.len());
        match draw(env, 6) {
            0 => bytes[at] ^= 1 << draw(env, 8),
            1 => bytes[at] = [0, 1, 0x7F, 0x80, 0xFF][draw(env, 5)],
            2 => bytes.iter_mut().skip(at).take(8).for_each(|byte| *byte = 0xFF),
            3 => bytes.truncate(at),
            4 => bytes.insert(at, 0xFF),
            _ => {
                let end = (at + draw(env, 64)).min(bytes.len());
                bytes.extend_from_within(at..end);
            }
        }
    }
}

#[test]
fn mutations_never_panic() {
    let env = Env::simulated(9);
    let mut corpus: Vec<Bytes> = entries(42).into_iter().map(|(_, bytes)| bytes).collect();
    corpus.push(Tombstone { dataset: DATASET, log_start: Position(43), time: Timestamp(1_767_225_600_123) }.encode());
    corpus.push(Bytes::new());
    let (mut sound, mut broken) = (0, 0);
    for round in 0..ROUNDS {
        let mut bytes = corpus[draw(&env, corpus.len())].to_vec();
        mutate(&env, &mut bytes);
        if round % 4 != 0 {
            repair_checksums(&mut bytes);
        }
        match decode(NAME, &bytes.into()) {
            Ok(LogObject::Entry(entry)) => {
                // What decodes can be judged without a panic, and written again.
                let _ = LogState::empty().advance(&entry);
                assert!(crate::log::Entry::encode(entry.head, entry.body).is_ok());
                sound += 1;
            }
            Ok(LogObject::Tombstone(_)) => sound += 1,
            Err(error) => {
                assert!(error.to_string().contains(NAME), "{error}");
                broken += 1;
            }
        }
    }
    // Both ways are walked: mutations reach past the hashes, and most are refused.
    assert!(sound > 100 && broken > ROUNDS / 2, "{sound} sound, {broken} broken");
}

#[test]
fn mutated_hints_and_checkpoints_never_panic() {
    let env = Env::simulated(10);
    let hint = Hint {
        dataset: DATASET,
        position: Position(4),
        epoch: cenote_state::ids::Epoch(1),
        beat: 1,
        owner: None,
        heartbeat_interval: std::time::Duration::from_secs(1),
    };
    let mut log_state = LogState::empty();
    for (entry, _) in entries(42) {
        let mut at = crate::log::LogState { position: Position(41), ..log_state.clone() };
        (at.hash, at.dataset, at.checkpoint, at.log_start) = (entry.head.previous, DATASET, Position(5), Position(4));
        at.epoch = cenote_state::ids::Epoch(if entry.head.kind == crate::log::Kind::Open { 2 } else { 3 });
        at.advance(&entry).unwrap();
        log_state = at;
    }
    let corpus = [hint.encode(), log_state.encode().unwrap()];
    for _ in 0..ROUNDS {
        let mut bytes = corpus[draw(&env, corpus.len())].to_vec();
        mutate(&env, &mut bytes);
        repair_checksums(&mut bytes);
        let bytes = Bytes::from(bytes);
        let _ = Hint::decode(names::HINT, &bytes);
        let _ = LogState::decode("checkpoints/x", &bytes);
    }
}
