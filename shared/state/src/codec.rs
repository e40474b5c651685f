//! Control records as bytes: what is written of a record, in which order, by hand.
//!
//! A record in memory changes with the code; its bytes must not. So a record says in one place, its crate's module `wire`,
//! what of it is on storage and in which order ([`wire!`](crate::wire)), and the compiler asks a person who adds a field
//! whether it is to be there.
//!
//! ```text
//! number   little-endian, of its width       option   0, or 1 and the value
//! bool     0 or 1                            list     count u32, then the elements
//! string   bytes u32, then UTF-8             enum     number u8, then its fields
//! record   its fields, one after another     map      as a list of pairs, sorted by key, each key once
//! ```
//!
//! Rules: a value has one form, and every byte is consumed; a count is believed only as far as the bytes that are left could
//! hold so many, so nothing is allocated on a number's word alone (I9); a record never changes its shape (a container
//! grows by a new section, never by a new field). Bytes are proven by their container's hash before they come here.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use std::collections::BTreeMap;

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
        cause: &'static str,
    },
    /// The record ends before its bytes do.
    #[error("{count} bytes too many after the record")]
    Trailing {
        /// How many are left.
        count: usize,
    },
}

/// What can be written as bytes and read from them.
pub trait Wire: Sized {
    /// The fewest bytes that one takes.
    const BYTES_MIN: usize;

    /// Appends it.
    fn write(&self, out: &mut Vec<u8>);

    /// Reads one.
    ///
    /// # Errors
    /// If the bytes are none.
    fn read(from: &mut Reader<'_>) -> Result<Self, CodecError>;
}

/// Bytes that are read from the front.
#[derive(Clone, Debug)]
pub struct Reader<'b> {
    rest: &'b [u8],
}

/// `value` as bytes.
///
/// # Errors
/// If that takes more than `limit` bytes.
pub fn encode(value: &impl Wire, limit: usize) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::new();
    value.write(&mut bytes);
    check_size(bytes.len(), limit)?;
    Ok(bytes)
}

/// The record that `bytes` are, all of them.
///
/// # Errors
/// If they are more than `limit`, another record's, or more than one record's.
pub fn decode<T: Wire>(bytes: &[u8], limit: usize) -> Result<T, CodecError> {
    check_size(bytes.len(), limit)?;
    let mut from = Reader { rest: bytes };
    let value = T::read(&mut from)?;
    match from.rest.len() {
        0 => Ok(value),
        count => Err(CodecError::Trailing { count }),
    }
}

fn check_size(found: usize, limit: usize) -> Result<(), CodecError> {
    if found > limit { Err(CodecError::TooLarge { found, limit }) } else { Ok(()) }
}

/// An error of bytes that are no such record.
pub(crate) fn malformed<T>(cause: &'static str) -> Result<T, CodecError> {
    Err(CodecError::Malformed { cause })
}

impl<'b> Reader<'b> {
    /// The next `count` bytes.
    ///
    /// # Errors
    /// If there are fewer.
    pub fn take(&mut self, count: usize) -> Result<&'b [u8], CodecError> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else { return malformed("it ends too early") };
        self.rest = rest;
        Ok(taken)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// If there are fewer.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let Some((taken, rest)) = self.rest.split_first_chunk() else { return malformed("it ends too early") };
        self.rest = rest;
        Ok(*taken)
    }

    /// A count of elements that take at least `bytes_min` bytes each.
    ///
    /// # Errors
    /// If the bytes that are left can't hold so many.
    pub fn count(&mut self, bytes_min: usize) -> Result<usize, CodecError> {
        let count = u32::read(self)? as usize;
        match count.checked_mul(bytes_min.max(1)) {
            Some(needed) if needed <= self.rest.len() => Ok(count),
            _ => malformed("a count is larger than its bytes can hold"),
        }
    }
}

/// The number of elements or bytes, as it is written.
///
/// # Panics
/// At 2^32; every container's limit is below that.
pub fn write_count(count: usize, out: &mut Vec<u8>) {
    u32::try_from(count).expect("a container's limit is below 4 GiB").write(out);
}

macro_rules! numbers {
    ($($number:ty),*) => { $(
        impl Wire for $number {
            const BYTES_MIN: usize = size_of::<$number>();

            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn read(from: &mut Reader<'_>) -> Result<Self, CodecError> {
                from.array().map(<$number>::from_le_bytes)
            }
        }
    )* };
}

numbers!(u8, u16, u32, u64, u128);

impl Wire for bool {
    const BYTES_MIN: usize = 1;

    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, CodecError> {
        match u8::read(from)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => malformed("a flag is neither 0 nor 1"),
        }
    }
}

impl Wire for String {
    const BYTES_MIN: usize = 4;

    fn write(&self, out: &mut Vec<u8>) {
        write_count(self.len(), out);
        out.extend_from_slice(self.as_bytes());
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, CodecError> {
        let count = from.count(1)?;
        match str::from_utf8(from.take(count)?) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => malformed("a text is not UTF-8"),
        }
    }
}

impl<T: Wire> Wire for Option<T> {
    const BYTES_MIN: usize = 1;

    fn write(&self, out: &mut Vec<u8>) {
        self.is_some().write(out);
        if let Some(value) = self {
            value.write(out);
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, CodecError> {
        bool::read(from)?.then(|| T::read(from)).transpose()
    }
}

/// Elements that room is made for before any was read: what a list takes beyond them, its bytes have paid for.
const RESERVED: usize = 256;

impl<T: Wire> Wire for Vec<T> {
    const BYTES_MIN: usize = 4;

    fn write(&self, out: &mut Vec<u8>) {
        write_count(self.len(), out);
        self.iter().for_each(|element| element.write(out));
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, CodecError> {
        let count = from.count(T::BYTES_MIN)?;
        let mut list = Vec::with_capacity(count.min(RESERVED));
        for _ in 0..count {
            list.push(T::read(from)?);
        }
        Ok(list)
    }
}

impl<K: Wire + Ord, V: Wire> Wire for BTreeMap<K, V> {
    const BYTES_MIN: usize = 4;

    fn write(&self, out: &mut Vec<u8>) {
        write_count(self.len(), out);
        for (key, value) in self {
            key.write(out);
            value.write(out);
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, CodecError> {
        let pairs = Vec::<(K, V)>::read(from)?;
        if !pairs.is_sorted_by(|(one, _), (next, _)| one < next) {
            return malformed("the keys of a map are out of order");
        }
        Ok(pairs.into_iter().collect())
    }
}

macro_rules! tuples {
    ($(($($name:ident),*)),*) => { $(
        impl<$($name: Wire),*> Wire for ($($name,)*) {
            const BYTES_MIN: usize = const {
                let mut bytes = 0_usize;
                $( bytes = bytes.saturating_add($name::BYTES_MIN); )*
                bytes
            };

            #[expect(non_snake_case, reason = "a field is named as its type")]
            fn write(&self, out: &mut Vec<u8>) {
                let ($($name,)*) = self;
                $( $name.write(out); )*
            }

            fn read(from: &mut Reader<'_>) -> Result<Self, CodecError> {
                Ok(($($name::read(from)?,)*))
            }
        }
    )* };
}

tuples!((A, B), (A, B, C));

/// Says what of a record is on storage, in which order: all fields, or the compiler asks for those that are not named.
#[macro_export]
macro_rules! wire {
    ($($name:ident { $($field:ident: $type:ty),* $(,)? })*) => { $(
        impl $crate::codec::Wire for $name {
            const BYTES_MIN: usize = const {
                let mut bytes = 0_usize;
                $( bytes = bytes.saturating_add(<$type as $crate::codec::Wire>::BYTES_MIN); )*
                bytes
            };

            fn write(&self, out: &mut Vec<u8>) {
                let $name { $($field),* } = self;
                $( $crate::codec::Wire::write($field, out); )*
            }

            fn read(
                from: &mut $crate::codec::Reader<'_>,
            ) -> Result<Self, $crate::codec::CodecError> {
                $( let $field = <$type as $crate::codec::Wire>::read(from)?; )*
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
        assert_eq!(bytes, [2, 1, 2, 0, 0, 0, b'a', b'b', 1, 7, 2, 0, 0, 0, 1, 2, 0, 3, 4, 0]);
        assert_eq!(decode::<Sample>(&bytes, 64), Ok(sample()));
        assert_eq!(Sample::BYTES_MIN, 11);
    }

    #[test]
    fn trailing_and_missing_bytes_are_refused() {
        assert_eq!(decode::<u8>(&[1, 2, 3], 8), Err(CodecError::Trailing { count: 2 }));
        let bytes = encode(&sample(), 64).unwrap();
        for length in 0..bytes.len() {
            assert!(matches!(decode::<Sample>(&bytes[..length], 64), Err(CodecError::Malformed { .. })), "{length}");
        }
    }

    #[test]
    fn a_forged_count_allocates_nothing() {
        let too_many = Err(CodecError::Malformed { cause: "a count is larger than its bytes can hold" });
        let mut bytes = vec![0xFF; 4];
        bytes.resize(100, 0);
        assert_eq!(decode::<Vec<u64>>(&bytes, 100).map(drop), too_many.clone());
        assert_eq!(decode::<String>(&bytes, 100).map(drop), too_many.clone());
        assert_eq!(decode::<Vec<Sample>>(&bytes, 100).map(drop), too_many);
    }

    #[test]
    fn a_value_has_one_form() {
        assert!(decode::<bool>(&[2], 8).is_err());
        assert!(decode::<Option<u8>>(&[2, 0], 8).is_err());
        assert!(decode::<String>(&[1, 0, 0, 0, 0xFF], 8).is_err());
        let map = BTreeMap::from([(1_u8, 2_u8), (3, 4)]);
        let bytes = encode(&map, 64).unwrap();
        assert_eq!(decode(&bytes, 64), Ok(map));
        for swapped in [[2, 0, 0, 0, 3, 4, 1, 2], [2, 0, 0, 0, 1, 2, 1, 2]] {
            assert!(decode::<BTreeMap<u8, u8>>(&swapped, 64).is_err(), "{swapped:?}");
        }
    }

    #[test]
    fn the_limit_is_exact() {
        assert!(encode(&(0_u64, 0_u64), 16).is_ok());
        assert_eq!(encode(&(0_u64, 0_u64), 15), Err(CodecError::TooLarge { found: 16, limit: 15 }));
        assert_eq!(decode::<(u64, u64)>(&[0; 16], 15), Err(CodecError::TooLarge { found: 16, limit: 15 }));
        assert_eq!(decode::<(u64, u64)>(&[0; 16], 16), Ok((0, 0)));
    }
}
