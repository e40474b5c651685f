//! Writing a blob: runs of plain bytes cut into sections, compressed on several threads, then the footer and the tail.

use std::sync::Arc;

use bytes::Bytes;

use crate::delta::{self, Delta};
use crate::hash::Hash;
use crate::ids::{DatasetId, TypeId};
use crate::parallel;
use crate::state::State;

use super::compress::compress;
use super::symbols::new_symbols;
use super::{
    Blob, BlobKind, FORMAT, Footer, HEADER_BYTES, MAGIC, SECTION_BYTES_MAX, SectionInfo, SectionPlace, TAIL_BYTES,
};

/// A run of bytes of one place, of any length, compressed.
pub(super) struct Run {
    place: SectionPlace,
    pieces: Vec<Piece>,
}

struct Piece {
    codec: u8,
    plain: u32,
    stored: Bytes,
}

impl Run {
    /// Cuts and compresses.
    pub(super) fn new(place: SectionPlace, plain: &[u8]) -> Run {
        Run { place, pieces: plain.chunks(SECTION_BYTES_MAX).map(Piece::new).collect() }
    }
}

impl Piece {
    fn new(plain: &[u8]) -> Piece {
        let (codec, stored) = compress(plain);
        Piece { codec, plain: plain.len() as u32, stored: stored.into() }
    }
}

/// The blob of a delta; `state` is its parent, under the delta's schema.
#[must_use]
pub fn encode_delta(dataset: DatasetId, delta: &Delta, state: &State, threads: usize) -> Blob {
    let layouts = |id: TypeId| Arc::clone(state.table(id).layout());
    let sections = delta::encode(delta, &layouts, SECTION_BYTES_MAX);
    let runs = parallel::map(&sections, threads, |plain| Run::new(SectionPlace::default(), plain));
    let (schema, types, symbols) = (None, Vec::new(), new_symbols(delta, state));
    assemble(Footer { dataset, kind: BlobKind::Delta, schema, sections: Vec::new(), types, symbols }, runs)
}

/// Puts header, sections, footer and tail together; the footer's sections are found here.
pub(super) fn assemble(mut footer: Footer, runs: Vec<Run>) -> Blob {
    let mut parts = vec![header(&footer)];
    let mut offset = HEADER_BYTES as u64;
    for run in runs {
        for (index, piece) in run.pieces.into_iter().enumerate() {
            let stored = u32::try_from(piece.stored.len()).expect("a section has at most 4 MiB");
            let hash = Hash::of(&piece.stored);
            let (place, continues, codec, plain) = (run.place, index > 0, piece.codec, piece.plain);
            footer.sections.push(SectionInfo { place, continues, codec, offset, stored, plain, hash });
            offset += u64::from(stored);
            parts.push(piece.stored);
        }
    }
    let footer = footer.encode().expect("a footer of a state that fits in memory fits its limit");
    let footer_hash = Hash::of(&footer);
    let tail = tail(footer.len(), footer_hash);
    parts.extend([footer.into(), tail]);
    Blob { parts, footer_hash }
}

fn header(footer: &Footer) -> Bytes {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    header[8..10].copy_from_slice(&FORMAT.to_le_bytes());
    header[10] = footer.kind as u8;
    header[16..].copy_from_slice(&footer.dataset.0);
    Bytes::copy_from_slice(&header)
}

fn tail(footer_bytes: usize, footer_hash: Hash) -> Bytes {
    let mut tail = Vec::with_capacity(TAIL_BYTES);
    tail.extend_from_slice(&(footer_bytes as u32).to_le_bytes());
    tail.extend_from_slice(&FORMAT.to_le_bytes());
    tail.push(0);
    tail.extend_from_slice(&footer_hash.to_bytes());
    tail.extend_from_slice(&MAGIC);
    debug_assert_eq!(tail.len(), TAIL_BYTES);
    tail.into()
}
