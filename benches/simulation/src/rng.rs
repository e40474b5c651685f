//! Random numbers for the driver and the actors, seeded apart from the engine's, so that draws of the engine do not change
//! what the actors do.

use std::time::Duration;

use cenote_store::env::Env;

/// A stream of random numbers.
#[derive(Debug)]
pub(crate) struct Rng {
    env: Env,
}

impl Rng {
    pub(crate) fn new(seed: u64) -> Rng {
        Rng { env: Env::simulated(seed ^ 0x51ED_2701_89AB_CDEF) }
    }

    pub(crate) fn draw(&self) -> u64 {
        self.env.random()
    }

    /// A number from 0 up to `end`, exclusive.
    pub(crate) fn below(&self, end: u64) -> u64 {
        self.draw() % end.max(1)
    }

    pub(crate) fn percent(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<'s, T>(&self, from: &'s [T]) -> &'s T {
        &from[usize::try_from(self.below(from.len() as u64)).expect("an index")]
    }

    /// A duration up to `longest`.
    pub(crate) fn wait(&self, longest: Duration) -> Duration {
        let millis = u64::try_from(longest.as_millis()).expect("durations are short");
        Duration::from_millis(self.below(millis))
    }

    /// A separate stream for one command, so that the draws of an actor do not depend on when it draws.
    pub(crate) fn split(&self) -> Rng {
        Rng::new(self.draw())
    }
}
