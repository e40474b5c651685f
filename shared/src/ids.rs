//! The numbers that must not mix, each a type of its own.
//!
//! Every one of them is written little-endian at its natural width wherever it reaches storage.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A key of the log: 1, 2, 3, … without gaps. Position 0 stands before the log.
    Position(u64)
}
number! {
    /// The position of a commit entry. Versions rise, with gaps; 0 is the empty state before the first commit.
    Version(u64)
}
number! {
    /// The number of the producer that holds the dataset; each `open` entry raises it by one.
    Epoch(u64)
}
number! {
    /// A record's number within its type, dense. A root keeps it until it is deleted.
    Ordinal(u32)
}
number! {
    /// A type's place in the dataset's schema; never reused.
    TypeId(u16)
}
number! {
    /// A column's number within its type; never reused, so that a column added again is a new one.
    ColumnId(u16)
}
number! {
    /// Milliseconds since the Unix epoch, as the writer's clock had them.
    Timestamp(u64)
}

impl Position {
    /// The key after this one.
    #[must_use]
    pub fn next(self) -> Position {
        Position(self.0 + 1)
    }
}

impl Version {
    /// The empty state that every chain starts from.
    pub const EMPTY: Version = Version(0);

    /// The log key where this version's commit stands.
    #[must_use]
    pub fn position(self) -> Position {
        Position(self.0)
    }
}

impl Ordinal {
    /// As an index into a slice.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl TypeId {
    /// As an index into a slice.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A dataset's random id, made at its creation: a dataset made anew under the same name is another dataset.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DatasetId(pub [u8; 16]);

impl fmt::Display for DatasetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for DatasetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatasetId({self})")
    }
}

/// What a write gets; a read `at_least(token)` sees that write.
///
/// `Token::from(Version)` is the only kind for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    version: Version,
}

impl From<Version> for Token {
    fn from(version: Version) -> Self {
        Token { version }
    }
}

impl Token {
    /// The first version that shows the write.
    #[must_use]
    pub fn version(self) -> Version {
        self.version
    }
}
