//! An allocator that counts, so that the memory of a system is known to the byte.
//!
//! It adds two relaxed atomic operations to each call of the system's allocator, for every Rust system alike. Crates that
//! count either report no peak that can be reset, or reallocate by copying, which would be in the figures.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// Bytes that are allocated now.
pub(crate) fn allocated() -> usize {
    LIVE.load(Relaxed)
}

/// The most bytes that were allocated since the last reset.
pub(crate) fn peak() -> usize {
    PEAK.load(Relaxed)
}

/// Sets the peak to what is allocated now.
pub(crate) fn reset_peak() {
    PEAK.store(allocated(), Relaxed);
}

/// The system's allocator, counted.
pub(crate) struct Counting;

fn grown(bytes: usize) {
    let live = LIVE.fetch_add(bytes, Relaxed) + bytes;
    if live > PEAK.load(Relaxed) {
        PEAK.fetch_max(live, Relaxed);
    }
}

// SAFETY: every call is forwarded to the system's allocator with its arguments, and its result is returned unchanged;
// counting touches only two atomics and never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller keeps `alloc`'s contract, which is the same here.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller keeps `alloc_zeroed`'s contract, which is the same here.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: `ptr` came from `System` through the functions here, with this layout.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // The kernel moves large blocks, so there is no moment with both copies.
        match new_size.checked_sub(layout.size()) {
            Some(more) => grown(more),
            None => _ = LIVE.fetch_sub(layout.size() - new_size, Relaxed),
        }
        // SAFETY: `ptr` came from `System` through the functions here, with this layout.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}
