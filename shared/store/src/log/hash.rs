//! A hash as storage has it: one byte for the kind and 32 for the value.
//!
//! xxh3-128 now, which notices damage; the width leaves room for a signed chain. Seed 0.

use std::fmt;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// Bytes of a hash on storage.
pub(crate) const HASH_BYTES: usize = 33;

const NONE: u8 = 0;
const XXH3_128: u8 = 1;

/// The hash of an object's or a section's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ContentHash {
    kind: u8,
    value: [u8; 32],
}

impl ContentHash {
    /// The hash of nothing: the predecessor of the first entry.
    pub const NONE: ContentHash = ContentHash { kind: NONE, value: [0; 32] };

    /// The hash of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> ContentHash {
        ContentHash::from_u128(xxh3_128(bytes))
    }

    /// The hash of `parts`, one after another.
    #[must_use]
    pub(crate) fn of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> ContentHash {
        let mut hasher = ContentHasher::default();
        parts.into_iter().for_each(|part| hasher.update(part));
        hasher.finish()
    }

    fn from_u128(hash: u128) -> ContentHash {
        let mut value = [0; 32];
        value[..16].copy_from_slice(&hash.to_le_bytes());
        ContentHash { kind: XXH3_128, value }
    }

    /// As storage has it.
    #[must_use]
    pub fn to_bytes(self) -> [u8; HASH_BYTES] {
        let mut bytes = [0; HASH_BYTES];
        bytes[0] = self.kind;
        bytes[1..].copy_from_slice(&self.value);
        bytes
    }

    /// From storage. Any kind is taken: the comparison shows whether it is known.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; HASH_BYTES]) -> ContentHash {
        let mut value = [0; 32];
        value.copy_from_slice(&bytes[1..]);
        ContentHash { kind: bytes[0], value }
    }

    /// Whether this code can recompute it.
    #[must_use]
    pub fn is_known(self) -> bool {
        self.kind <= XXH3_128
    }
}

/// The hash of what comes piece by piece.
#[derive(Clone, Default)]
pub struct ContentHasher {
    inner: Xxh3,
}

impl ContentHasher {
    /// Takes the next piece.
    pub fn update(&mut self, part: &[u8]) {
        self.inner.update(part);
    }

    /// The hash of all pieces so far.
    #[must_use]
    pub fn finish(&self) -> ContentHash {
        ContentHash::from_u128(self.inner.digest128())
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({self})")
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.kind)?;
        self.value[..16].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_hash_like_the_whole() {
        assert_eq!(ContentHash::of(b"cenote"), ContentHash::of_parts([&b"cen"[..], b"", b"ote"]));
    }

    #[test]
    fn the_kind_comes_first() {
        let bytes = ContentHash::of(b"").to_bytes();
        // xxh3-128 of nothing with seed 0, from the algorithm's published vectors, low half first.
        let low = 0x6001_C324_468D_497F_u64.to_le_bytes();
        assert_eq!((bytes[0], &bytes[1..9], &bytes[17..]), (1, &low[..], &[0; 16][..]));
        assert_eq!(ContentHash::from_bytes(&bytes), ContentHash::of(b""));
    }
}
