//! Right checksums for blobs that were changed on purpose, and blobs without compression: so that mutations get past
//! both to what follows.

use bytes::Bytes;

use crate::hash::{HASH_BYTES, Hash};
use crate::ids::DatasetId;

use super::compress::NONE;
use super::read::unpack;
use super::write::{Run, assemble};
use super::{BlobKind, Footer, HEADER_BYTES, SectionPlace, TAIL_BYTES, footer_of};

/// Where the tail has the footer's hash.
const TAIL_HASH_AT: usize = 7;

/// The same blob with every section plain. Only for blobs that are sound.
#[must_use]
pub fn uncompressed(blob: &[u8]) -> Vec<u8> {
    let mut footer = footer_of(blob).expect("a sound blob has a footer");
    let mut out = blob[..HEADER_BYTES].to_vec();
    for (number, section) in footer.sections.iter_mut().enumerate() {
        let start = section.offset as usize;
        let offset = out.len();
        unpack(number, section, &blob[start..start + section.stored as usize], &mut out).expect("it is sound");
        (section.offset, section.stored, section.codec) = (offset as u64, section.plain, NONE);
        section.hash = Hash::of(&out[offset..]);
    }
    finish(out, &footer, &blob[blob.len() - TAIL_BYTES..])
}

/// A delta's blob of these chunks, whatever they say.
#[must_use]
pub fn blob_of_chunks(dataset: DatasetId, chunks: &[u8]) -> Bytes {
    let (sections, types, symbols) = (Vec::new(), Vec::new(), Vec::new());
    let footer = Footer { dataset, kind: BlobKind::Delta, schema: None, sections, types, symbols };
    assemble(footer, vec![Run::new(SectionPlace::default(), chunks)]).to_bytes()
}

/// Puts right hashes, lengths and sums into a blob, as far as its footer can be read. Longer or shorter sections become
/// the last one's.
pub fn repair_checksums(blob: &mut Vec<u8>) {
    if blob.len() < HEADER_BYTES + TAIL_BYTES {
        return;
    }
    let tail_at = blob.len() - TAIL_BYTES;
    let tail = blob[tail_at..].to_vec();
    let length = u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]) as usize;
    let Some(footer_at) = tail_at.checked_sub(length).filter(|at| *at >= HEADER_BYTES) else { return };
    let hash = Hash::of(&blob[footer_at..tail_at]).to_bytes();
    blob[tail_at + TAIL_HASH_AT..][..HASH_BYTES].copy_from_slice(&hash);
    let Ok(mut footer) = Footer::parse(&blob[footer_at..tail_at]) else { return };
    repair_sections(&mut footer, &blob[..footer_at]);
    repair_sums(&mut footer);
    *blob = finish(blob[..footer_at].to_vec(), &footer, &tail);
}

fn repair_sections(footer: &mut Footer, body: &[u8]) {
    let mut at = HEADER_BYTES;
    let last = footer.sections.len().saturating_sub(1);
    for (number, section) in footer.sections.iter_mut().enumerate() {
        let rest = body.len() - at;
        let stored = if number == last { rest } else { rest.min(section.stored as usize) };
        section.offset = at as u64;
        section.stored = stored as u32;
        if section.codec == NONE {
            section.plain = section.stored;
        }
        section.hash = Hash::of(&body[at..at + stored]);
        at += stored;
    }
}

fn repair_sums(footer: &mut Footer) {
    for info in &mut footer.types {
        let total = info.sums.iter().fold(0, |sum: u128, (_, column)| sum.wrapping_add(*column));
        let of_segments = info.segments.iter().fold(0, |sum: u128, segment| sum.wrapping_add(segment.digest));
        if let Some(first) = info.segments.first_mut() {
            first.digest = first.digest.wrapping_add(total.wrapping_sub(of_segments));
        }
    }
}

/// Body, footer, and the tail with the footer's length and hash.
fn finish(mut body: Vec<u8>, footer: &Footer, tail: &[u8]) -> Vec<u8> {
    let Ok(footer) = footer.encode() else { return body };
    body.extend_from_slice(&footer);
    let tail_at = body.len();
    body.extend_from_slice(tail);
    body[tail_at..tail_at + 4].copy_from_slice(&(footer.len() as u32).to_le_bytes());
    body[tail_at + TAIL_HASH_AT..][..HASH_BYTES].copy_from_slice(&Hash::of(&footer).to_bytes());
    body
}
