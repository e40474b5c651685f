//! Control records as bytes: bincode in its legacy configuration, bounded and checked.
//!
//! Legacy bytes (little-endian, fixed-width integers, counts as u64) equal those of bincode 1 and its successors, so the
//! format outlives the crate. A record in memory changes with the code; its bytes must not. So nothing is derived: a record
//! names in one place, its crate's module `wire`, what of it is on storage and in which order ([`wire!`](crate::wire)), and
//! the compiler refuses a field that is left out.
//!
//! ```text
//! number   little-endian, of its width       option   0, or 1 and the value
//! bool     0 or 1                            list     count u64, then the elements
//! string   bytes u64, then UTF-8             enum     number u8, then its fields
//! record   its fields, one after another     map      as a list of pairs, sorted by key, each key once
//! ```
//!
//! Rules: a value has one form, and every byte is consumed; nothing is allocated on a count's word alone beyond a small
//! multiple of what came in ([`decode`], I9); a record never changes its shape (a container grows by a new section, never
//! by a new field). bincode does not notice damage; the container's hash has proven the bytes before they come here.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use bincode::config;

pub use bincode::de::Decoder;
pub use bincode::enc::Encoder;
pub use bincode::error::{DecodeError, EncodeError};
pub use bincode::{Decode, Encode};

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
        /// What does not fit.
        cause: String,
    },
    /// The record ends before its bytes do.
    #[error("{count} bytes too many after the record")]
    Trailing {
        /// How many are left.
        count: usize,
    },
}

/// What [`wire!`](crate::wire) makes of a record: it can be written as bytes and read from them.
pub trait Wire: Encode + Decode<()> {}

impl<T: Encode + Decode<()>> Wire for T {}

/// `value` as bytes.
///
/// # Errors
/// If that takes more than `limit` bytes.
pub fn encode(value: &impl Wire, limit: usize) -> Result<Vec<u8>, CodecError> {
    let bytes = bincode::encode_to_vec(value, config::legacy()).map_err(|error| malformed_by(&error))?;
    check_size(bytes.len(), limit)?;
    Ok(bytes)
}

/// The record that `bytes` are, all of them.
///
/// bincode makes room for a list when it has read the count; what it may make room for is bounded by a step that follows the
/// size of the bytes. An element takes at most about a sixteenth of its size in memory as bytes, so a step is that much
/// larger than the bytes that it is for.
///
/// # Errors
/// If they are more than `limit`, another record's, or more than one record's.
pub fn decode<T: Wire>(bytes: &[u8], limit: usize) -> Result<T, CodecError> {
    check_size(bytes.len(), limit)?;
    if bytes.len() <= SMALL_BYTES {
        decode_within::<T, { SMALL_BYTES << MEMORY_LOG2 }>(bytes)
    } else if bytes.len() <= MEDIUM_BYTES {
        decode_within::<T, { MEDIUM_BYTES << MEMORY_LOG2 }>(bytes)
    } else {
        decode_within::<T, { LARGE_BYTES << MEMORY_LOG2 }>(bytes)
    }
}

/// Most records are smaller.
const SMALL_BYTES: usize = 4 << 10;
const MEDIUM_BYTES: usize = 1 << 20;
/// The largest record of all is a footer.
const LARGE_BYTES: usize = crate::blob::FOOTER_BYTES_MAX;
/// How much larger a value may be in memory than as bytes, as a power of two.
const MEMORY_LOG2: usize = 4;

fn decode_within<T: Wire, const MEMORY: usize>(bytes: &[u8]) -> Result<T, CodecError> {
    let (value, consumed) = bincode::decode_from_slice(bytes, config::legacy().with_limit::<MEMORY>())
        .map_err(|error| malformed_by(&error))?;
    match bytes.len().saturating_sub(consumed) {
        0 => Ok(value),
        count => Err(CodecError::Trailing { count }),
    }
}

fn check_size(found: usize, limit: usize) -> Result<(), CodecError> {
    if found > limit { Err(CodecError::TooLarge { found, limit }) } else { Ok(()) }
}

fn malformed_by(error: &impl ToString) -> CodecError {
    CodecError::Malformed { cause: error.to_string() }
}

/// An error of bytes that are no such record.
pub(crate) fn malformed<T>(cause: &'static str) -> Result<T, DecodeError> {
    Err(DecodeError::Other(cause))
}

/// Says what of a record is on storage, in which order: all fields, or the compiler asks for those that are not named.
#[macro_export]
macro_rules! wire {
    ($($name:ident { $($field:ident: $type:ty),* $(,)? })*) => { $(
        impl $crate::codec::Encode for $name {
            fn encode<E: $crate::codec::Encoder>(&self, to: &mut E) -> Result<(), $crate::codec::EncodeError> {
                let $name { $($field),* } = self;
                $( <$type as $crate::codec::Encode>::encode($field, to)?; )*
                Ok(())
            }
        }

        impl<C> $crate::codec::Decode<C> for $name {
            fn decode<D: $crate::codec::Decoder<Context = C>>(
                from: &mut D,
            ) -> Result<Self, $crate::codec::DecodeError> {
                $( let $field = <$type as $crate::codec::Decode<C>>::decode(from)?; )*
                Ok($name { $($field),* })
            }
        }
    )* };
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests damage bytes that they made")]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Sample {
        number: u16,
        text: String,
        maybe: Option<u8>,
        pairs: Vec<(u8, u16)>,
    }

    wire! { Sample { number: u16, text: String, maybe: Option<u8>, pairs: Vec<(u8, u16)> } }

    fn sample() -> Sample {
        Sample { number: 0x0102, text: "ab".to_owned(), maybe: Some(7), pairs: vec![(1, 2), (3, 4)] }
    }

    #[test]
    fn bytes_are_as_drawn() {
        let bytes = encode(&sample(), 64).unwrap();
        let expected = [2, 1, 2, 0, 0, 0, 0, 0, 0, 0, b'a', b'b', 1, 7, 2, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 3, 4, 0];
        assert_eq!(bytes, expected);
        assert_eq!(decode::<Sample>(&bytes, 64), Ok(sample()));
    }

    #[test]
    fn trailing_and_missing_bytes_are_refused() {
        assert_eq!(decode::<u8>(&[1, 2, 3], 8), Err(CodecError::Trailing { count: 2 }));
        let bytes = encode(&sample(), 64).unwrap();
        for length in 0..bytes.len() {
            assert!(matches!(decode::<Sample>(&bytes[..length], 64), Err(CodecError::Malformed { .. })), "{length}");
        }
    }

    /// The counts are beyond what the bytes can pay for: without a bound, the first two would allocate and then fail.
    #[test]
    fn a_forged_count_allocates_nothing() {
        let refused = Err(malformed_by(&DecodeError::LimitExceeded));
        for count in [1_u64 << 17, 1 << 40, u64::MAX] {
            let mut bytes = count.to_le_bytes().to_vec();
            bytes.resize(100, 0);
            assert_eq!(decode::<Vec<u64>>(&bytes, 100).map(drop), refused, "{count}");
            assert_eq!(decode::<String>(&bytes, 100).map(drop), refused, "{count}");
            assert_eq!(decode::<Vec<Sample>>(&bytes, 100).map(drop), refused, "{count}");
        }
    }

    /// The smallest elements of the records that are on storage, as many as there is room for.
    #[test]
    fn a_list_of_the_smallest_elements_is_read() {
        use crate::schema::{Schema, TypeKind, TypeSchema};
        let empty = || TypeSchema {
            name: String::new(),
            kind: TypeKind::Component,
            fields: Vec::new(),
            next_column: 0,
            segment_rows_log2: 0,
        };
        for count in [180, 45_000] {
            let schema = Schema { types: std::iter::repeat_with(empty).take(count).collect() };
            let bytes = encode(&schema, usize::MAX).unwrap();
            assert_eq!(decode::<Schema>(&bytes, usize::MAX), Ok(schema));
        }
        let names = vec![vec![String::new(); 120]; 4];
        let bytes = encode(&names, usize::MAX).unwrap();
        assert_eq!(decode::<Vec<Vec<String>>>(&bytes, usize::MAX), Ok(names));
    }

    #[test]
    fn a_value_has_one_form() {
        assert!(decode::<bool>(&[2], 8).is_err());
        assert!(decode::<Option<u8>>(&[2, 0], 8).is_err());
        assert!(decode::<String>(&[1, 0, 0, 0, 0, 0, 0, 0, 0xFF], 9).is_err());
    }

    #[test]
    fn the_limit_is_exact() {
        assert!(encode(&(0_u64, 0_u64), 16).is_ok());
        assert_eq!(encode(&(0_u64, 0_u64), 15), Err(CodecError::TooLarge { found: 16, limit: 15 }));
        assert_eq!(decode::<(u64, u64)>(&[0; 16], 15), Err(CodecError::TooLarge { found: 16, limit: 15 }));
        assert_eq!(decode::<(u64, u64)>(&[0; 16], 16), Ok((0, 0)));
    }
}
