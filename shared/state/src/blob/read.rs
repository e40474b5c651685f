//! Reading a blob: the tail, the footer, then sections; each hash compared before the bytes are used.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use std::sync::Arc;

use crate::delta::{self, Delta, DeltaError};
use crate::hash::Hash;
use crate::ids::{DatasetId, TypeId};
use crate::state::State;

use super::compress::decompress;
use super::footer::unsound;
use super::symbols::read_symbols;
use super::{BlobError, BlobKind, FOOTER_BYTES_MAX, FORMAT, Footer, HEADER_BYTES, MAGIC, SectionInfo, TAIL_BYTES};

/// An object's last bytes.
struct Tail {
    footer_bytes: usize,
    footer_hash: Hash,
}

impl Tail {
    fn read(bytes: &[u8; TAIL_BYTES]) -> Result<Tail, BlobError> {
        if !bytes.ends_with(&MAGIC) {
            return Err(BlobError::Magic { place: "end" });
        }
        let [l0, l1, l2, l3, f0, f1, reserved, hash @ .., _, _, _, _, _, _, _, _] = bytes;
        known_format([*f0, *f1])?;
        if *reserved != 0 {
            return Err(BlobError::Magic { place: "end" });
        }
        let footer_bytes = u32::from_le_bytes([*l0, *l1, *l2, *l3]) as usize;
        if footer_bytes > FOOTER_BYTES_MAX {
            return Err(unsound(format!("{footer_bytes} bytes, more than {FOOTER_BYTES_MAX}")));
        }
        Ok(Tail { footer_bytes, footer_hash: Hash::from_bytes(hash) })
    }
}

/// The footer's hash, from the object's end.
pub fn footer_hash(end: &[u8]) -> Result<Hash, BlobError> {
    let tail = end.last_chunk::<TAIL_BYTES>().ok_or(BlobError::Magic { place: "end" })?;
    Tail::read(tail).map(|tail| tail.footer_hash)
}

/// The footer from the object's end, or how many bytes of the end it takes to have it.
pub fn read_footer(end: &[u8], object_bytes: u64) -> Result<Result<Footer, usize>, BlobError> {
    let tail = end.last_chunk::<TAIL_BYTES>().ok_or(BlobError::Magic { place: "end" })?;
    let Tail { footer_bytes: bytes, footer_hash } = Tail::read(tail)?;
    let needed = bytes.saturating_add(TAIL_BYTES);
    if needed.saturating_add(HEADER_BYTES) as u64 > object_bytes {
        return Err(unsound("it is longer than the object"));
    }
    let Some((footer, _)) = last_bytes(end, needed).and_then(|end| end.split_at_checked(bytes)) else {
        return Ok(Err(needed));
    };
    footer_hash.check([footer]).map_err(|source| BlobError::Hash { what: "footer".into(), source })?;
    Footer::decode(footer, object_bytes).map(Ok)
}

fn last_bytes(bytes: &[u8], count: usize) -> Option<&[u8]> {
    bytes.get(bytes.len().checked_sub(count)?..)
}

/// The footer of an object that is in memory whole; the header checked too.
pub fn footer_of(blob: &[u8]) -> Result<Footer, BlobError> {
    let header = blob.first_chunk::<HEADER_BYTES>().filter(|_| blob.len() >= const { HEADER_BYTES + TAIL_BYTES });
    let header = header.ok_or(BlobError::Magic { place: "start" })?;
    check_format(header)?;
    let footer = read_footer(blob, blob.len() as u64)?.map_err(|_| unsound("it is longer than the object"))?;
    check_header(header, &footer)?;
    Ok(footer)
}

fn check_format(header: &[u8; HEADER_BYTES]) -> Result<(), BlobError> {
    if header[..8] != MAGIC {
        return Err(BlobError::Magic { place: "start" });
    }
    known_format([header[8], header[9]])
}

fn known_format(bytes: [u8; 2]) -> Result<(), BlobError> {
    match u16::from_le_bytes(bytes) {
        FORMAT => Ok(()),
        found @ ..FORMAT => Err(BlobError::OldFormat { found, known: FORMAT }),
        found => Err(BlobError::Format { found, known: FORMAT }),
    }
}

/// That the object's first bytes are those of a blob, and of the one whose footer this is.
pub fn check_header(header: &[u8; HEADER_BYTES], footer: &Footer) -> Result<(), BlobError> {
    check_format(header)?;
    // No hash covers the header, so that it is right to the last bit.
    if header[10] != footer.kind as u8 || header[11..16] != [0; 5] || header[16..] != footer.dataset.0 {
        return Err(unsound("it does not belong to the header"));
    }
    Ok(())
}

impl Footer {
    /// That the blob is this dataset's, and of this kind.
    pub fn expect(&self, dataset: DatasetId, kind: BlobKind) -> Result<(), BlobError> {
        if self.dataset != dataset {
            return Err(BlobError::Dataset { expected: dataset, found: self.dataset });
        }
        if self.kind != kind {
            return Err(BlobError::Kind { expected: kind, found: self.kind });
        }
        Ok(())
    }
}

/// Appends a section's plain bytes. `stored` are the section's bytes in the object.
pub(super) fn unpack(number: usize, section: &SectionInfo, stored: &[u8], out: &mut Vec<u8>) -> Result<(), BlobError> {
    let differs = |source| BlobError::Hash { what: format!("section {number}"), source };
    section.hash.check([stored]).map_err(differs)?;
    let start = out.len();
    out.resize(start.saturating_add(section.plain as usize), 0);
    let place = out.get_mut(start..).and_then(|place| decompress(section.codec, stored, place));
    place.ok_or(BlobError::Compression { section: number, plain: section.plain })
}

/// The delta in a blob, as far as it changes what `parent` holds. `parent` is the state that it applies to, already under
/// the commit's schema; `bytes_max` bounds what it may decompress to.
pub fn decode_delta(blob: &[u8], dataset: DatasetId, parent: &State, bytes_max: u64) -> Result<Delta, BlobError> {
    let footer = footer_of(blob)?;
    footer.expect(dataset, BlobKind::Delta)?;
    let needed = footer.plain_bytes();
    if needed > bytes_max {
        return Err(BlobError::TooLarge { needed, limit: bytes_max });
    }
    let mut runs: Vec<Vec<u8>> = Vec::new();
    for (number, section) in footer.sections.iter().enumerate() {
        let start = usize::try_from(section.offset).ok().and_then(|start| blob.get(start..));
        let stored = start.and_then(|start| start.get(..section.stored as usize));
        let stored = stored.ok_or_else(|| unsound(format!("section {number} leaves the object")))?;
        if !section.continues {
            runs.push(Vec::with_capacity(section.plain as usize));
        }
        unpack(number, section, stored, runs.last_mut().expect("the first section continues nothing"))?;
    }
    let symbols = read_symbols(&footer, parent)?;
    let symbols_of = |id: TypeId| match symbols.iter().find(|(of, _)| *of == id) {
        Some((_, symbols)) => Some(Arc::clone(symbols)),
        None => parent.table(id).symbols().cloned(),
    };
    let runs = runs.iter().map(Vec::as_slice);
    match delta::decode(runs, parent, &symbols_of, bytes_max) {
        Ok(delta) => Ok(Delta { symbols, ..delta }),
        Err(DeltaError::TooLarge { needed, limit }) => Err(BlobError::TooLarge { needed, limit }),
        Err(error) => Err(error.into()),
    }
}
