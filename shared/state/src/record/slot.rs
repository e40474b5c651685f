//! A Rust type's number in this process: the shortest way from a type to its binding.

use std::sync::atomic::{AtomicU32, Ordering};

/// Where a Rust type keeps its number in this program, so that a view finds its binding without hashing.
///
/// Numbers follow the order of first use and never leave the process.
#[derive(Debug, Default)]
pub struct Slot(AtomicU32);

/// The number that the next type gets; 0 means none yet.
static NEXT_SLOT: AtomicU32 = AtomicU32::new(1);

impl Slot {
    /// A slot without a number.
    #[must_use]
    pub const fn new() -> Slot {
        Slot(AtomicU32::new(0))
    }

    /// The number, given at the first call.
    #[inline(always)]
    #[must_use]
    pub fn number(&self) -> u32 {
        match self.0.load(Ordering::Relaxed) {
            0 => self.take_number(),
            number => number,
        }
    }

    #[cold]
    fn take_number(&self) -> u32 {
        let fresh = NEXT_SLOT.fetch_add(1, Ordering::Relaxed);
        match self.0.compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => fresh,
            Err(taken) => taken,
        }
    }
}
