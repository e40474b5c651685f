//! Encode: the delta as it will be written, byte for byte.

use bytes::Bytes;
use cenote_state::blob::{Blob, encode_delta};
use cenote_state::ids::DatasetId;

use super::diff::Diffed;

/// A change and its bytes.
pub(crate) struct Encoded {
    pub(crate) diffed: Diffed,
    pub(crate) dataset: DatasetId,
    /// None if no record changed.
    pub(crate) bytes: Option<Bytes>,
}

impl Diffed {
    /// Encodes the delta.
    pub(crate) fn encode(self, dataset: DatasetId, threads: usize) -> Encoded {
        let blob = |diffed: &Diffed| encode_delta(dataset, &diffed.delta, &diffed.base.state, threads);
        let bytes = (!self.delta.is_empty()).then(|| Blob::to_bytes(&blob(&self)));
        Encoded { diffed: self, dataset, bytes }
    }
}
