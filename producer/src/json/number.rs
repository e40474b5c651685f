//! Numbers from their text, without a change of value on the way.
//!
//! A *whole* number is written without fraction and exponent. It fits an integer by range, and a float only if the
//! float is exactly that number. Other numbers are floats, rounded once to the nearest.

use super::error::{Problem, shortened};

/// Whether it is written without fraction and exponent.
pub(super) fn is_whole(number: &str) -> bool {
    !number.contains(['.', 'e', 'E'])
}

/// Whether an `f64` is exactly this whole number.
pub(super) fn is_exact_f64(whole: &str) -> bool {
    // Fifteen digits always are.
    whole.len() <= 15 || whole.parse().is_ok_and(|float: f64| format!("{float:.0}") == whole)
}

/// Whether an `f32` is exactly this whole number.
pub(super) fn is_exact_f32(whole: &str) -> bool {
    whole.len() <= 7 || whole.parse().is_ok_and(|float: f32| format!("{float:.0}") == whole)
}

/// Says what the range is that `number` is out of.
pub(super) fn out_of_range(kind: impl Into<String>, number: &str, min: impl Limit, max: impl Limit) -> Problem {
    Problem::OutOfRange { number: shortened(number), kind: kind.into(), min: min.shown(), max: max.shown() }
}

/// The end of a range as people know it: integers in full, floats with an exponent.
pub(super) trait Limit {
    fn shown(&self) -> String;
}

macro_rules! limits {
    ($($number:ty: $format:literal),*) => { $(impl Limit for $number {
        fn shown(&self) -> String { format!($format, self) }
    })* };
}
limits!(i64: "{}", u64: "{}", f32: "{:e}", f64: "{:e}");

/// The least and the greatest signed integer of so many bytes.
pub(super) fn signed_range(bytes: u8) -> (i64, i64) {
    let shift = 64 - 8 * u32::from(bytes);
    (i64::MIN >> shift, i64::MAX >> shift)
}

/// The greatest unsigned integer of so many bytes.
pub(super) fn unsigned_max(bytes: u8) -> u64 {
    u64::MAX >> (64 - 8 * u32::from(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactness_is_by_value_not_by_shortest_text() {
        for (whole, f64s, f32s) in [
            ("0", true, true),
            ("16777216", true, true),
            ("16777217", true, false),
            ("9007199254740992", true, true),
            ("9007199254740993", false, false),
            ("-9007199254740993", false, false),
            ("18446744073709551615", false, false),
            ("18446744073709551616", true, true),
            // The shortest text of the nearest f64, but not its value.
            ("100000000000000000000000", false, false),
            ("99999999999999991611392", true, false),
        ] {
            assert_eq!((is_exact_f64(whole), is_exact_f32(whole)), (f64s, f32s), "{whole}");
        }
        assert!(!is_exact_f64(&"9".repeat(400)), "beyond the range");
    }

    #[test]
    fn ranges_are_those_of_the_types() {
        assert_eq!(signed_range(1), (-128, 127));
        assert_eq!(signed_range(8), (i64::MIN, i64::MAX));
        assert_eq!(unsigned_max(2), 65_535);
        assert_eq!(unsigned_max(8), u64::MAX);
    }
}
