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

impl Timestamp {
    /// For people, in UTC: `2026-01-31T23:59:59.999Z`.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        let (days, ms) = (self.0 / 86_400_000, self.0 % 86_400_000);
        let (year, month, day) = date(days);
        let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1_000)
    }
}

/// Year, month and day, by days since 1970-01-01. Counted from March on, leap days stand at the end of a year.
fn date(days: u64) -> (u64, u64, u64) {
    // From 0000-03-01, in cycles of 400 years.
    let since = days + 719_468;
    let (cycle, day) = (since / 146_097, since % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, late) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (cycle * 400 + year + late, month, day)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_utc() {
        for (ms, shown) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_767_225_600_000, "2026-01-01T00:00:00.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(Timestamp(ms).to_rfc3339(), shown);
        }
        // Whatever a log says.
        let _ = Timestamp(u64::MAX).to_rfc3339();
    }
}
