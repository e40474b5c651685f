//! Control records as bytes: bincode in its legacy configuration, bounded and checked.
//!
//! Legacy bytes (little-endian, fixed-width integers, lengths as u64) equal those of bincode 1 and its successors, so
//! the format outlives the crate. bincode alone trusts lengths, ignores trailing bytes and does not notice damage;
//! what is decoded here is therefore framed and hashed by its container.
//!
//! Rules: nothing larger than `LIMIT` is read or allocated; every byte is consumed; a record never changes its shape
//! (a container grows by a new section, never by a new field).

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes that are not the record that they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// More bytes than the limit for this record.
    #[error("{found} bytes, more than the limit of {limit}")]
    TooLarge {
        /// The size as found.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// Not a record of this shape.
    #[error("not the record that should be here: {cause}")]
    Malformed {
        /// The decoder's message.
        cause: String,
    },
    /// The record ends before its bytes do.
    #[error("{count} bytes too many after the record")]
    Trailing {
        /// How many are left.
        count: usize,
    },
}

/// `value` as bytes.
///
/// # Errors
/// If that takes more than `LIMIT` bytes.
pub fn encode<const LIMIT: usize>(value: &impl Serialize) -> Result<Vec<u8>, CodecError> {
    let bytes = bincode::serde::encode_to_vec(value, bincode::config::legacy())
        .map_err(|error| CodecError::Malformed { cause: error.to_string() })?;
    check_size::<LIMIT>(bytes.len())?;
    Ok(bytes)
}

/// The record that `bytes` are, all of them.
///
/// # Errors
/// If they are too many, another record's, or more than one record's.
pub fn decode<T: DeserializeOwned, const LIMIT: usize>(bytes: &[u8]) -> Result<T, CodecError> {
    check_size::<LIMIT>(bytes.len())?;
    // The limit is on what the decoder may claim, so that a forged length can't make it allocate more. It is part of a
    // type, so a small record gets one of a few: else a text's length in it could claim all that a large one may.
    match bytes.len() {
        ..=SMALL_BYTES if LIMIT > SMALL_BYTES => decode_claiming::<T, SMALL_BYTES>(bytes),
        ..=MEDIUM_BYTES if LIMIT > MEDIUM_BYTES => decode_claiming::<T, MEDIUM_BYTES>(bytes),
        _ => decode_claiming::<T, LIMIT>(bytes),
    }
}

fn decode_claiming<T: DeserializeOwned, const LIMIT: usize>(bytes: &[u8]) -> Result<T, CodecError> {
    let config = bincode::config::legacy().with_limit::<LIMIT>();
    let (value, consumed) = bincode::serde::decode_from_slice(bytes, config)
        .map_err(|error| CodecError::Malformed { cause: error.to_string() })?;
    match bytes.len().saturating_sub(consumed) {
        0 => Ok(value),
        count => Err(CodecError::Trailing { count }),
    }
}

/// Most records are smaller.
const SMALL_BYTES: usize = 64 << 10;
const MEDIUM_BYTES: usize = 4 << 20;

fn check_size<const LIMIT: usize>(found: usize) -> Result<(), CodecError> {
    if found > LIMIT { Err(CodecError::TooLarge { found, limit: LIMIT }) } else { Ok(()) }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests damage bytes that they made")]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_bincode_1() {
        // Written by hand from bincode 1's specification: u16, length as u64 and the text, variant as u32.
        let bytes = encode::<64>(&(0x0102_u16, "ab", Some(7_u8))).unwrap();
        assert_eq!(bytes, [0x02, 0x01, 2, 0, 0, 0, 0, 0, 0, 0, b'a', b'b', 1, 7]);
    }

    #[test]
    fn trailing_bytes_are_refused() {
        assert_eq!(decode::<u8, 8>(&[1, 2, 3]), Err(CodecError::Trailing { count: 2 }));
    }

    #[test]
    fn a_forged_length_allocates_nothing() {
        let mut bytes = encode::<64>(&"ab").unwrap();
        bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(matches!(decode::<String, 64>(&bytes), Err(CodecError::Malformed { .. })));
        bytes[..8].copy_from_slice(&(1_u64 << 40).to_le_bytes());
        assert!(matches!(decode::<String, 64>(&bytes), Err(CodecError::Malformed { .. })));
        assert!(matches!(decode::<Vec<u64>, 64>(&bytes), Err(CodecError::Malformed { .. })));
    }

    /// Else a footer of a few kilobytes, whose limit is 256 MiB, makes a reader allocate 84 MiB for a name.
    #[test]
    fn a_small_record_claims_no_more_than_small_records_may() {
        let mut bytes = encode::<64>(&"ab").unwrap();
        bytes[..8].copy_from_slice(&(80_u64 << 20).to_le_bytes());
        let Err(CodecError::Malformed { cause }) = decode::<String, { 256 << 20 }>(&bytes) else {
            panic!("it is forged")
        };
        assert!(cause.contains("LimitExceeded"), "refused by its claim, before anything is allocated: {cause}");
        let large = "x".repeat(SMALL_BYTES * 2);
        let bytes = encode::<{ 256 << 20 }>(&large).unwrap();
        assert_eq!(decode::<String, { 256 << 20 }>(&bytes), Ok(large));
    }

    #[test]
    fn the_limit_is_exact() {
        assert!(encode::<16>(&[0_u64; 2]).is_ok());
        assert_eq!(encode::<15>(&[0_u64; 2]), Err(CodecError::TooLarge { found: 16, limit: 15 }));
        assert_eq!(decode::<[u64; 2], 15>(&[0; 16]), Err(CodecError::TooLarge { found: 16, limit: 15 }));
        assert_eq!(decode::<[u64; 2], 16>(&[0; 16]), Ok([0; 2]));
    }
}
