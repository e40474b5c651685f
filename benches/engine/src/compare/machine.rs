//! What the machine tells about this process: memory, and files in the page cache.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::{Advice, fadvise};

use crate::peers::Memory;

/// The counting allocator of the binary.
#[derive(Clone, Copy)]
pub struct Meter {
    /// Bytes that are allocated now.
    pub live: fn() -> usize,
    /// The most that were since the last reset.
    pub peak: fn() -> usize,
    /// Starts the peak anew at what is allocated now.
    pub reset_peak: fn(),
}

/// Bytes at one moment, by every way to count them.
#[derive(Clone, Copy)]
pub(super) struct Bytes {
    heap: u64,
    resident: u64,
}

impl Meter {
    /// What is in use now.
    pub(super) fn now(&self) -> io::Result<Bytes> {
        Ok(Bytes { heap: (self.live)() as u64, resident: status("VmRSS:")? })
    }

    /// Starts both peaks anew.
    pub(super) fn mark(&self) -> io::Result<()> {
        (self.reset_peak)();
        fs::write("/proc/self/clear_refs", "5")
    }

    /// The most that was in use since the mark.
    pub(super) fn highest(&self) -> io::Result<Bytes> {
        Ok(Bytes { heap: (self.peak)() as u64, resident: status("VmHWM:")? })
    }
}

impl Bytes {
    /// How much more this is than `before`, as this memory is counted.
    pub(super) fn since(&self, before: &Self, memory: Memory) -> u64 {
        match memory {
            Memory::Heap => self.heap.saturating_sub(before.heap),
            Memory::Resident => self.resident.saturating_sub(before.resident),
            Memory::Told(bytes) => bytes,
        }
    }
}

fn status(key: &str) -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(number.ok_or_else(|| io::Error::other(format!("the kernel tells no {key}")))? * 1024)
}

/// Drops a folder's files from the page cache, so that the next read is a cold one.
pub(super) fn forget(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            forget(&entry.path())?;
        } else {
            let file = File::open(entry.path())?;
            // Only clean pages can be dropped.
            file.sync_all()?;
            fadvise(&file, 0, None, Advice::DontNeed)?;
        }
    }
    Ok(())
}
