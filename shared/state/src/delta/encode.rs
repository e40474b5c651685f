//! A delta as bytes.
//!
//! ```text
//! chunk:     kind u8 | type u16 | length u32 of what follows
//! removed 1: ordinals
//! added 2:   ordinals | rows as in a segment
//! patched 3: columns u16 | column u16 each | ordinals | rows as in a segment of these columns
//! whole 4:   segment number u32 | rows as in a segment
//! ordinals:  count u32 | first u32 | width u8 | the distance to the one before, `width` bytes each
//! ```
//! Little-endian. Chunks follow each other in sections of up to 4 MiB; a longer chunk has a section alone.

use std::sync::Arc;

use crate::ids::TypeId;
use crate::layout::Layout;
use crate::segment;

use super::{Change, Chunk, Delta};

pub(super) const REMOVED: u8 = 1;
pub(super) const ADDED: u8 = 2;
pub(super) const PATCHED: u8 = 3;
pub(super) const WHOLE: u8 = 4;
const CHUNK_HEADER_BYTES: usize = 7;

/// The delta as sections: runs of chunks of up to `section_bytes_max`, or one longer chunk.
#[must_use]
pub fn encode(delta: &Delta, layouts: &dyn Fn(TypeId) -> Arc<Layout>, section_bytes_max: usize) -> Vec<Vec<u8>> {
    let mut sections = Vec::new();
    let mut section = Vec::new();
    for chunk in &delta.chunks {
        let start = section.len();
        encode_chunk(chunk, &layouts(chunk.type_id), &mut section);
        if start > 0 && section.len() > section_bytes_max {
            let next = section.split_off(start);
            sections.push(std::mem::replace(&mut section, next));
        }
    }
    if !section.is_empty() {
        sections.push(section);
    }
    sections
}

fn encode_chunk(chunk: &Chunk, layout: &Layout, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; CHUNK_HEADER_BYTES]);
    let kind = match &chunk.change {
        Change::Removed(ordinals) => {
            encode_ordinals(ordinals, out);
            REMOVED
        }
        Change::Added { ordinals, rows } => {
            encode_ordinals(ordinals, out);
            segment::encode(layout, rows, out);
            ADDED
        }
        Change::Patched { fields, layout: of_fields, ordinals, rows } => {
            out.extend_from_slice(&(fields.len() as u16).to_le_bytes());
            fields.iter().for_each(|field| out.extend_from_slice(&layout.columns[*field].id.0.to_le_bytes()));
            encode_ordinals(ordinals, out);
            segment::encode(of_fields, rows, out);
            PATCHED
        }
        Change::Whole { number, rows } => {
            out.extend_from_slice(&number.to_le_bytes());
            segment::encode(layout, rows, out);
            WHOLE
        }
    };
    let length = u32::try_from(out.len() - start - CHUNK_HEADER_BYTES).expect("a chunk has at most 4 GiB");
    out[start] = kind;
    out[start + 1..start + 3].copy_from_slice(&chunk.type_id.0.to_le_bytes());
    out[start + 3..start + CHUNK_HEADER_BYTES].copy_from_slice(&length.to_le_bytes());
}

fn encode_ordinals(ordinals: &[u32], out: &mut Vec<u8>) {
    let steps = || ordinals.windows(2).map(|pair| pair[1] - pair[0]);
    let width = steps().max().map_or(0, |max| (u32::BITS - max.leading_zeros()).div_ceil(8) as u8);
    out.extend_from_slice(&(ordinals.len() as u32).to_le_bytes());
    out.extend_from_slice(&ordinals.first().copied().unwrap_or(0).to_le_bytes());
    out.push(width);
    steps().for_each(|step| out.extend_from_slice(&step.to_le_bytes()[..usize::from(width)]));
}
