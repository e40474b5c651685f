//! Right checksums for bytes that were changed on purpose, so that mutations get past them to the decoders.

use super::head::u16_at;
use super::{checkpoint, frame, head, hint, sections, tombstone};

/// Repairs the hashes of an entry, tombstone, hint or checkpoint, as far as its structure is intact.
pub fn repair_checksums(bytes: &mut [u8]) {
    let (sections_at, hash_at) = if tombstone::Tombstone::is_one(bytes) {
        tombstone::REPAIR
    } else if hint::is_one(bytes) || checkpoint::is_one(bytes) {
        frame::REPAIR
    } else {
        head::REPAIR
    };
    let table = hash_at + cenote_state::hash::HASH_BYTES;
    if bytes.len() < table {
        return;
    }
    let Some(count) = u16_at(bytes, sections_at).map(usize::from) else { return };
    sections::repair(bytes, table, count);
    head::repair(bytes, hash_at, count);
}
