//! The numbers that must not be mixed up, each with a separate type.
//!
//! On storage every one of them is little-endian, at its natural width. The crate `humantime` gives the calendar that a
//! [`Timestamp`] is shown by.

use std::fmt;
use std::time::{Duration, SystemTime};

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
    /// A key of the log: 1, 2, 3, … without gaps. Position 0 is before the log.
    ///
    /// # Example
    /// ```
    /// use cenote_consumer::Position;
    ///
    /// assert_eq!(Position(7).next(), Position(8));
    /// ```
    Position(u64)
}
number! {
    /// The position of a commit entry. Versions rise, with gaps; 0 is the empty state before the first commit.
    ///
    /// # Example
    /// ```
    /// use cenote_consumer::{Position, Version};
    ///
    /// assert!(Version::EMPTY < Version(7));
    /// assert_eq!(Version(7).position(), Position(7));
    /// ```
    Version(u64)
}
number! {
    /// The number of the producer that owns the dataset; each `open` entry raises it by one.
    Epoch(u64)
}
number! {
    /// A record's number within its type, dense. A root keeps it until it is deleted.
    ///
    /// # Example
    /// ```
    /// use cenote_consumer::Ordinal;
    ///
    /// let colors = ["red", "green"];
    /// assert_eq!(colors[Ordinal(1).index()], "green");
    /// ```
    Ordinal(u32)
}
number! {
    /// A type's place in the dataset's schema; never reused.
    ///
    /// # Example
    /// ```
    /// use cenote_consumer::schema::{Schema, TypeId};
    ///
    /// fn name(schema: &Schema, id: TypeId) -> &str {
    ///     &schema.types[id.index()].name
    /// }
    /// ```
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
    ///
    /// [Example](Position#example)
    #[must_use]
    pub fn next(self) -> Position {
        Position(self.0 + 1)
    }
}

impl Version {
    /// The empty state that every chain starts from.
    pub const EMPTY: Version = Version(0);

    /// The position of this version's commit in the log.
    ///
    /// [Example](Version#example)
    #[must_use]
    pub fn position(self) -> Position {
        Position(self.0)
    }
}

impl Timestamp {
    /// The last millisecond of the year 9999: RFC 3339 has no later time.
    const LAST_SHOWN_MS: u64 = 253_402_300_799_999;

    /// For people, in UTC: `2026-01-31T23:59:59.999Z`. A time after the year 9999 shows as the last one in it.
    ///
    /// ```
    /// use cenote_consumer::Timestamp;
    ///
    /// assert_eq!(Timestamp(1_767_225_600_000).to_rfc3339(), "2026-01-01T00:00:00.000Z");
    /// ```
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        let since_epoch = Duration::from_millis(self.0.min(Self::LAST_SHOWN_MS));
        humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + since_epoch).to_string()
    }
}

impl Ordinal {
    /// As an index into a slice.
    ///
    /// [Example](Ordinal#example)
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl TypeId {
    /// As an index into a slice.
    ///
    /// [Example](TypeId#example)
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A dataset's random id, made at its creation: a dataset that is made again under the same name is another dataset.
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
        // A log may have any number.
        assert_eq!(Timestamp(u64::MAX).to_rfc3339(), "9999-12-31T23:59:59.999Z");
    }
}
