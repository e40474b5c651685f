//! What files take on disk, counted alike for all parts.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Bytes that all files in a folder take on disk, at any depth; files that can't be read are left out. Blocks are counted
/// and not lengths: Kafka reserves files far longer than their content.
pub(super) fn folder_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => folder_bytes(&entry.path()),
        Ok(found) => found.blocks() * 512,
        Err(_) => 0,
    });
    bytes.sum()
}
