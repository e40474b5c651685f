//! Numbers as people read them.

use std::time::Duration;

/// `1.2 MB`.
pub fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

/// `3.4 million/s`.
pub fn rate(a_second: f64) -> String {
    format!("{:.1} million/s", a_second / 1e6)
}

/// `4.5 ms`.
pub fn time(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}
