//! One step of SplitMix64, from which the workloads make their streams.
//!
//! Not for anything that must be unpredictable: it exists so that every language can make the same records.

/// SplitMix64's last step: every bit of `z` reaches every bit of the result.
#[must_use]
pub fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
