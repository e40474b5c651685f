//! A delta: what turns the state of a commit's parent into the commit's.
//!
//! Removed ordinals, added rows, patches: each a *chunk* about one type, its rows laid out as in a segment. Decoding
//! checks everything that can be checked without the parent; applying checks the rest, and either fits as a whole or
//! changes nothing. Applying costs what the delta touches (I10).
//!
//! Order: ordinals ascend within a type and kind of chunk, from chunk to chunk too. An ordinal freed in a delta is not
//! used again in it.

mod apply;
mod bound;
mod build;
mod decode;
mod encode;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use crate::ids::TypeId;
use crate::layout::Layout;
use crate::packed::Symbols;
use crate::segment::Segment;

pub use apply::ApplyError;
pub use build::Changes;
pub use decode::{DeltaError, SymbolsOf, decode};
pub use encode::encode;

/// What turns one state into the next.
#[derive(Clone, Debug, Default)]
pub struct Delta {
    /// In the order of type numbers.
    pub chunks: Vec<Chunk>,
    /// The symbol tables of the types that get new ones, in the order of type numbers: those of the parent, then the new.
    pub symbols: Vec<(TypeId, Arc<Symbols>)>,
}

/// One kind of change to one type.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// The type.
    pub type_id: TypeId,
    /// What happens to it.
    pub change: Change,
}

/// What happens to some records of a type.
#[derive(Clone, Debug)]
pub enum Change {
    /// These go.
    Removed(Vec<u32>),
    /// These come, row by row.
    Added {
        /// Their ordinals.
        ordinals: Vec<u32>,
        /// A row each.
        rows: Segment,
    },
    /// A segment that was not there comes whole: rows from its first ordinal on.
    Whole {
        /// The segment's number.
        number: u32,
        /// Its rows, all live.
        rows: Segment,
    },
    /// Some fields of these get new values.
    Patched {
        /// The field indexes.
        fields: Vec<usize>,
        /// The layout of just these fields.
        layout: Box<Layout>,
        /// The ordinals.
        ordinals: Vec<u32>,
        /// A row each, of these fields.
        rows: Segment,
    },
}

impl Delta {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// How many records it removes, adds and patches. A record patched in several chunks counts in each.
    #[must_use]
    pub fn size(&self) -> DeltaSize {
        let mut size = DeltaSize::default();
        for chunk in &self.chunks {
            match &chunk.change {
                Change::Removed(ordinals) => size.removed += ordinals.len() as u64,
                Change::Added { ordinals, .. } => size.added += ordinals.len() as u64,
                Change::Whole { rows, .. } => size.added += u64::from(rows.rows()),
                Change::Patched { ordinals, .. } => size.patched += ordinals.len() as u64,
            }
        }
        size
    }
}

/// How many records a delta changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeltaSize {
    /// Records that go.
    pub removed: u64,
    /// Records that come.
    pub added: u64,
    /// Records with new values.
    pub patched: u64,
}
