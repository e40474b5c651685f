//! Encode: the delta as it will be written, byte for byte.
//!
//! The delta itself ends here: from now on there are its bytes only, so that a large one is not held twice.

use bytes::Bytes;
use cenote_state::blob::{Blob, encode_delta};
use cenote_state::digest::Sums;
use cenote_state::ids::DatasetId;

use super::diff::Diffed;
use crate::base::{BaseUpdates, CycleBase};

/// A change as bytes.
pub(crate) struct Encoded {
    pub(crate) base: CycleBase,
    pub(crate) sums: Vec<Sums>,
    pub(crate) updates: BaseUpdates,
    pub(crate) dataset: DatasetId,
    /// None if no record changed.
    pub(crate) bytes: Option<Bytes>,
}

impl Diffed {
    /// Encodes the delta.
    pub(crate) fn encode(self, dataset: DatasetId, threads: usize) -> Encoded {
        let Diffed { base, delta, sums, updates } = self;
        let blob = || encode_delta(dataset, &delta, &base.state, threads);
        let bytes = (!delta.is_empty()).then(|| Blob::to_bytes(&blob()));
        Encoded { base, sums, updates, dataset, bytes }
    }
}
