//! The machine and this process, as Linux reports them under `/proc`.

use std::io;
use std::thread;

use jiff::Timestamp;
use procfs::process::{ClearRefs, Process};
use procfs::{CpuInfo, Current, KernelVersion, Meminfo};

use crate::numbers::human;

/// The machine, in a line for people: processor, cores that this process may use, memory, kernel.
///
/// # Errors
/// If `/proc` cannot be read.
pub fn describe() -> io::Result<String> {
    let processors = CpuInfo::current().map_err(io::Error::other)?;
    let processor = processors.model_name(0).unwrap_or("unknown processor").to_owned();
    let cores = thread::available_parallelism()?;
    let memory = Meminfo::current().map_err(io::Error::other)?.mem_total;
    let kernel = KernelVersion::current().map_err(io::Error::other)?;
    let memory = human(memory as f64, "bytes");
    Ok(format!("{processor}, {cores} cores, {memory} of memory, Linux {}.{}", kernel.major, kernel.minor))
}

/// The date of today in UTC, such as `2026-01-31`.
#[must_use]
pub fn today() -> String {
    Timestamp::now().strftime("%Y-%m-%d").to_string()
}

/// Memory of this process, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessMemory {
    /// The resident set.
    pub resident: u64,
    /// The highest resident set since [`reset_peak`].
    pub highest_resident: u64,
    /// Resident memory that no file is mapped to: without the pages of the program itself.
    pub anonymous: u64,
}

/// Memory of this process now.
///
/// # Errors
/// If `/proc` cannot be read or lacks a value.
pub fn process_memory() -> io::Result<ProcessMemory> {
    let status = Process::myself().and_then(|process| process.status()).map_err(io::Error::other)?;
    let bytes = |kibibytes: Option<u64>, name: &str| {
        let kibibytes = kibibytes.ok_or_else(|| io::Error::other(format!("the kernel reports no {name}")));
        kibibytes.map(|kibibytes| kibibytes * 1_024)
    };
    Ok(ProcessMemory {
        resident: bytes(status.vmrss, "VmRSS")?,
        highest_resident: bytes(status.vmhwm, "VmHWM")?,
        anonymous: bytes(status.rssanon, "RssAnon")?,
    })
}

/// Sets the highest resident set to the current one.
///
/// # Errors
/// If `/proc/self/clear_refs` cannot be written.
pub fn reset_peak() -> io::Result<()> {
    let process = Process::myself().map_err(io::Error::other)?;
    process.clear_refs(ClearRefs::PeakRSS).map_err(io::Error::other)
}
