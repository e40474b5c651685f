//! The random numbers of the workload: SplitMix64, with a stream per subject and number.
//!
//! They are predictable on purpose, so that programs in any language make the same records.

use cenote_bench_support::random::mix;

/// The seed that all streams start from.
const SEED: u64 = 42;

/// What a stream is for, which is part of its seed.
#[derive(Clone, Copy)]
pub(super) enum Subject {
    Actor = 1,
    Movie = 2,
    Changes = 3,
    ReadKeys = 4,
    Word = 5,
}

/// One stream of random numbers.
pub(super) struct Stream(u64);

impl Stream {
    /// The stream of this subject with this number.
    pub(super) fn new(subject: Subject, number: u64) -> Self {
        Self(mix(mix(SEED + subject as u64).wrapping_add(number)))
    }

    /// A number from 0 to `end - 1`. The slight bias of the remainder is part of the definition.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 33) % end
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }
}
