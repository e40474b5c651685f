//! Numbers for people: three significant digits and the unit that suits the size.
//!
//! Bytes and counts are `indicatif`'s. Times are not: its durations start at a second.

use indicatif::{DecimalBytes, HumanCount};

/// A value with the unit that suits its size; `unit` is `s`, `ns`, `bytes` or any other, which is left out.
#[must_use]
pub fn human(value: f64, unit: &str) -> String {
    match unit {
        "s" => seconds(value),
        "ns" => seconds(value * 1e-9),
        "bytes" => DecimalBytes(value.round() as u64).to_string(),
        _ => digits(value),
    }
}

/// A time in seconds, milliseconds, microseconds or nanoseconds.
fn seconds(value: f64) -> String {
    let (size, unit) = match value {
        v if v >= 1.0 => (1.0, "s"),
        v if v >= 1e-3 => (1e-3, "ms"),
        v if v >= 1e-6 => (1e-6, "µs"),
        _ => (1e-9, "ns"),
    };
    format!("{} {unit}", digits(value / size))
}

/// Three significant digits.
#[must_use]
pub fn digits(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

/// A count in full, its thousands separated: `1,000,000`.
#[must_use]
pub fn count(value: u64) -> String {
    HumanCount(value).to_string()
}

/// A count in short: `100 k`, `1.25 M`.
#[must_use]
pub fn short(value: f64) -> String {
    let (size, unit) = match value {
        v if v >= 1e6 => (1e6, " M"),
        v if v >= 1e3 => (1e3, " k"),
        _ => (1.0, ""),
    };
    let text = format!("{:.2}", value / size);
    text.trim_end_matches('0').trim_end_matches('.').to_owned() + unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_suit_the_size() {
        for (value, unit, expected) in [
            (1.25, "s", "1.25 s"),
            (0.5, "s", "500 ms"),
            (0.000_042, "s", "42.0 µs"),
            (24.0, "ns", "24.0 ns"),
            (1_500.0, "ns", "1.50 µs"),
            (253.4, "bytes", "253 B"),
            (61_700_000.0, "bytes", "61.70 MB"),
            (1.234, "ratio", "1.23"),
        ] {
            assert_eq!(human(value, unit), expected);
        }
        assert_eq!(count(1_000_000), "1,000,000");
        assert_eq!([10.0, 1_000.0, 1_250_000.0].map(short), ["10", "1 k", "1.25 M"]);
    }
}
