//! A typed hash: one byte for its kind and 32 for its value, as every object on storage has it.
//!
//! What proves bytes says how: the kind leaves room for another function without another layout. Written is BLAKE3-256,
//! whose collisions no one can construct, so that an entry's hash fixes every byte that the log leads to. (The digests of
//! rows are something else: sums that find damage, and prove nothing against someone who chooses the rows.)
//!
//! Rules: bytes are proven by [`Hash::check`] alone, which accepts no kind but the one that is written; kind 0 proves
//! nothing: it is before the first entry of a log, and in the line of a section that a reader may pass over.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use std::fmt;

/// Bytes of a hash on storage.
pub const HASH_BYTES: usize = 33;

const NONE: u8 = 0;
const BLAKE3: u8 = 2;

/// The hash of an object's or a section's bytes.
///
/// ```
/// use cenote_state::hash::Hash;
///
/// let hash = Hash::of(b"cenote");
/// assert_eq!(hash.check([&b"cen"[..], b"ote"]), Ok(()));
/// assert!(hash.to_string().starts_with("blake3:"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash {
    kind: u8,
    value: [u8; 32],
}

/// Why a hash does not prove bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Its kind is not known here: only a newer release can compare it.
    #[error("its hash is of kind {0}, which this release does not know")]
    Unknown(u8),
    /// The bytes are others, or the hash is of a kind that proves nothing.
    #[error("it does not match its hash")]
    Differs,
}

impl Hash {
    /// The hash of nothing: it covers no bytes.
    pub const NONE: Hash = Hash { kind: NONE, value: [0; 32] };

    /// The hash of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Hash {
        Hash::of_parts([bytes])
    }

    /// The hash of `parts`, one after another.
    #[must_use]
    pub fn of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Hash {
        let mut hasher = Hasher::default();
        parts.into_iter().for_each(|part| hasher.update(part));
        hasher.finish()
    }

    /// Whether it is the hash of `parts`, one after another. Kind 0 is the hash of no bytes.
    ///
    /// # Errors
    /// If it is not, or that is unknown.
    pub fn check<'a>(self, parts: impl IntoIterator<Item = &'a [u8]>) -> Result<(), HashError> {
        self.check_kind()?;
        if Hash::of_parts(parts) == self { Ok(()) } else { Err(HashError::Differs) }
    }

    /// Whether it is of the kind that proves bytes.
    ///
    /// # Errors
    /// If it is not.
    pub fn check_kind(self) -> Result<(), HashError> {
        match self.kind {
            BLAKE3 => Ok(()),
            // Kind 1 was a hash that finds damage only: accepted here, it would undo the stronger one.
            ..BLAKE3 => Err(HashError::Differs),
            kind => Err(HashError::Unknown(kind)),
        }
    }

    /// Whether it covers bytes, of whatever kind it is.
    #[must_use]
    pub fn covers(self) -> bool {
        self.kind != NONE
    }

    /// As storage has it.
    #[must_use]
    pub fn to_bytes(self) -> [u8; HASH_BYTES] {
        let mut bytes = [0; HASH_BYTES];
        let [kind, value @ ..] = &mut bytes;
        (*kind, *value) = (self.kind, self.value);
        bytes
    }

    /// From storage. Any kind is taken: [`Hash::check`] shows whether it is known.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; HASH_BYTES]) -> Hash {
        let [kind, value @ ..] = *bytes;
        Hash { kind, value }
    }
}

/// The hash of what comes piece by piece.
#[derive(Clone, Default)]
pub struct Hasher {
    inner: blake3::Hasher,
}

impl Hasher {
    /// Takes the next piece.
    pub fn update(&mut self, part: &[u8]) {
        self.inner.update(part);
    }

    /// The hash of all pieces so far.
    #[must_use]
    pub fn finish(&self) -> Hash {
        Hash { kind: BLAKE3, value: *self.inner.finalize().as_bytes() }
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            NONE => return f.write_str("none"),
            BLAKE3 => f.write_str("blake3:")?,
            kind => write!(f, "kind {kind}:")?,
        }
        self.value.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_hash_like_the_whole() {
        assert_eq!(Hash::of(b"cenote"), Hash::of_parts([&b"cen"[..], b"", b"ote"]));
    }

    #[test]
    fn the_kind_comes_first() {
        let hash = Hash::of(b"");
        // BLAKE3 of nothing, from the algorithm's published vectors.
        let expected = "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!((hash.to_string().as_str(), hash.to_bytes()[..3].to_vec()), (expected, vec![2, 0xAF, 0x13]));
        assert_eq!(Hash::from_bytes(&hash.to_bytes()), hash);
    }

    #[test]
    fn only_the_kind_that_is_written_proves_anything() {
        let of_kind = |kind: u8| {
            let mut bytes = Hash::of(b"cenote").to_bytes();
            bytes[0] = kind;
            Hash::from_bytes(&bytes).check([&b"cenote"[..]])
        };
        assert_eq!(of_kind(2), Ok(()));
        assert_eq!([of_kind(0), of_kind(1)], [Err(HashError::Differs); 2]);
        assert_eq!([of_kind(3), of_kind(255)], [Err(HashError::Unknown(3)), Err(HashError::Unknown(255))]);
        assert_eq!(Hash::NONE.check([]), Err(HashError::Differs));
    }
}
