//! Memory of this process, by the counting allocator and by the kernel; and files in the page cache.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use cenote_bench_support::machine::{process_memory, reset_peak};
use rustix::fs::{Advice, fadvise};

use crate::peers::Memory;

/// The counting allocator of the program.
#[derive(Clone, Copy)]
pub struct Meter {
    /// Returns the bytes that are allocated now.
    pub allocated: fn() -> usize,
    /// Returns the most bytes that were allocated since the last reset.
    pub peak: fn() -> usize,
    /// Sets the peak to what is allocated now.
    pub reset_peak: fn(),
}

/// Bytes at one moment, counted both ways.
#[derive(Clone, Copy)]
pub(super) struct Bytes {
    heap: u64,
    resident: u64,
}

impl Meter {
    /// The bytes in use now.
    pub(super) fn now(&self) -> io::Result<Bytes> {
        Ok(Bytes { heap: (self.allocated)() as u64, resident: process_memory()?.resident })
    }

    /// Sets both peaks to what is in use now.
    pub(super) fn reset(&self) -> io::Result<()> {
        (self.reset_peak)();
        reset_peak()
    }

    /// The most bytes in use since the last reset.
    pub(super) fn highest(&self) -> io::Result<Bytes> {
        Ok(Bytes { heap: (self.peak)() as u64, resident: process_memory()?.highest_resident })
    }
}

impl Bytes {
    /// The growth since `before`, by the way that counts for this kind of memory.
    pub(super) fn since(&self, before: &Self, memory: Memory) -> u64 {
        match memory {
            Memory::Heap => self.heap.saturating_sub(before.heap),
            Memory::Resident => self.resident.saturating_sub(before.resident),
            Memory::Reported(bytes) => bytes,
        }
    }
}

/// Drops the files of a folder from the page cache, so that the next read comes from the disk.
pub(super) fn drop_from_page_cache(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            drop_from_page_cache(&entry.path())?;
        } else {
            let file = File::open(entry.path())?;
            // Only clean pages can be dropped.
            file.sync_all()?;
            fadvise(&file, 0, None, Advice::DontNeed)?;
        }
    }
    Ok(())
}
