//! The driver's dice: seeded apart from the engine's, so that the engine's draws do not change the story's.

use std::time::Duration;

use cenote_store::env::Env;

/// Draws.
#[derive(Debug)]
pub(crate) struct Dice {
    env: Env,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice { env: Env::simulated(seed ^ 0x51ED_2701_89AB_CDEF) }
    }

    pub(crate) fn draw(&self) -> u64 {
        self.env.random()
    }

    /// From 0 to `end`, without `end`.
    pub(crate) fn below(&self, end: u64) -> u64 {
        self.draw() % end.max(1)
    }

    pub(crate) fn percent(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<'s, T>(&self, from: &'s [T]) -> &'s T {
        &from[usize::try_from(self.below(from.len() as u64)).expect("an index")]
    }

    /// Up to `longest`.
    pub(crate) fn wait(&self, longest: Duration) -> Duration {
        let millis = u64::try_from(longest.as_millis()).expect("short of ages");
        Duration::from_millis(self.below(millis))
    }

    /// Dice for one order, so that what an actor draws does not depend on when it draws.
    pub(crate) fn split(&self) -> Dice {
        Dice::new(self.draw())
    }
}
