//! The input of one root type: which records of the last version were given, and which are changed or new.

use std::collections::BTreeMap;

use cenote_state::ids::Ordinal;
use cenote_state::index::KeyIndex;
use cenote_state::keys::KeyRef;

use crate::arena::{Rows, Strings};

/// The input of one root type.
#[derive(Default)]
pub(crate) struct RootInput {
    /// Whether records that are not given are removed: the type is one of a cycle's.
    pub(crate) replaces: bool,
    /// In a cycle, the ordinals of the last version that were given, a bit each.
    seen: Vec<u64>,
    /// New values of records that the last version has; `None` for those that are removed.
    pub(crate) known: BTreeMap<u32, Option<u32>>,
    /// Records that the last version lacks.
    pub(crate) new: NewRecords,
    /// The rows that the numbers above refer to.
    pub(crate) rows: Rows,
    pub(super) duplicates: Duplicates,
}

/// Records whose keys the last version lacks, in the order in which the keys came.
#[derive(Default)]
pub(crate) struct NewRecords {
    keys: Strings,
    hashes: Vec<u64>,
    index: KeyIndex,
    /// By key: the newest row's number; `None` after a delete.
    pub(crate) rows: Vec<Option<u32>>,
}

/// Keys that were given twice.
#[derive(Default)]
pub(super) struct Duplicates {
    pub(super) count: u64,
    /// The first few.
    pub(super) first: Vec<String>,
}

impl RootInput {
    /// The input of a type whose records a cycle replaces; those of the last version have ordinals below `ceiling`.
    pub(super) fn replacing(ceiling: u32) -> RootInput {
        RootInput { replaces: true, seen: vec![0; (ceiling as usize).div_ceil(64)], ..RootInput::default() }
    }

    /// Whether nothing was given.
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty() && self.new.rows.is_empty() && self.seen.iter().all(|word| *word == 0)
    }

    /// Notes that a cycle was given this record. Returns whether it is the first time.
    pub(super) fn see(&mut self, ordinal: Ordinal) -> bool {
        let (word, bit) = (ordinal.index() / 64, 1_u64 << (ordinal.0 % 64));
        let is_new = self.seen[word] & bit == 0;
        self.seen[word] |= bit;
        is_new
    }

    /// Whether a cycle was given this record.
    pub(crate) fn was_seen(&self, ordinal: u32) -> bool {
        self.seen[ordinal as usize / 64] >> (ordinal % 64) & 1 == 1
    }
}

impl NewRecords {
    /// The number of this key, which is added if it is new.
    pub(super) fn number(&mut self, key: KeyRef<'_>, seed: u64) -> usize {
        if let Some(number) = self.find(key, seed) {
            return number;
        }
        let hash = key.hash(seed);
        let number = self.rows.len();
        key.with_bytes(|bytes| self.keys.push(bytes));
        self.hashes.push(hash);
        self.rows.push(None);
        let hashes = &self.hashes;
        self.index.insert(hash, number as u32, &mut |other| hashes[other as usize]);
        number
    }

    pub(super) fn find(&self, key: KeyRef<'_>, seed: u64) -> Option<usize> {
        let is_same = |number| key.with_bytes(|bytes| self.keys.get(number) == bytes);
        self.index.find(key.hash(seed), is_same).map(|number| number as usize)
    }
}
