//! What files take on disk: the same count for everybody's.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Bytes that all files in a folder take on disk, at any depth: Kafka's are reserved far beyond what is in them. What can't be
/// read is left out.
pub(super) fn folder_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => folder_bytes(&entry.path()),
        Ok(found) => found.blocks() * 512,
        Err(_) => 0,
    });
    bytes.sum()
}
