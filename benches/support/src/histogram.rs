//! Quantiles of many values.

/// Counts by value, 128 steps per power of two: an error below 0.8 %.
pub struct Histogram {
    counts: Vec<u64>,
    count: u64,
    max: u64,
}

const STEP_BITS: u32 = 7;

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; 64 << STEP_BITS], count: 0, max: 0 }
    }
}

impl Histogram {
    /// Counts a value.
    pub fn add(&mut self, value: u64) {
        self.counts[place(value)] += 1;
        self.count += 1;
        self.max = self.max.max(value);
    }

    /// How many values there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The value that this share of all values is not above; at 1, the highest exactly.
    #[must_use]
    pub fn quantile(&self, share: f64) -> u64 {
        let wanted = (share * self.count as f64).ceil() as u64;
        let mut seen = 0;
        let reaches = |&count: &u64| {
            seen += count;
            seen >= wanted
        };
        let found = self.counts.iter().position(reaches);
        if share >= 1.0 { self.max } else { found.map_or(self.max, value) }
    }
}

fn place(value: u64) -> usize {
    let exponent = value.checked_ilog2().unwrap_or(0);
    if exponent < STEP_BITS {
        return value as usize;
    }
    let shift = exponent - STEP_BITS;
    let step = (value >> shift) - (1 << STEP_BITS);
    (((shift + 1) as usize) << STEP_BITS) + step as usize
}

/// The lowest value of a place.
fn value(place: usize) -> u64 {
    let (power, step) = (place >> STEP_BITS, (place & ((1 << STEP_BITS) - 1)) as u64);
    match power.checked_sub(1) {
        None => step,
        Some(shift) => ((1 << STEP_BITS) + step) << shift,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_hundredth() {
        let mut histogram = Histogram::default();
        (1..=1_000_000).for_each(|value| histogram.add(value));
        for (share, expected) in [(0.5, 500_000.0), (0.99, 990_000.0), (0.999, 999_000.0)] {
            let found = histogram.quantile(share) as f64;
            assert!((found - expected).abs() < expected * 0.01, "{found} instead of {expected}");
        }
        assert_eq!(histogram.quantile(1.0), 1_000_000);
    }
}
