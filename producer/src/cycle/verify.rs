//! Verify: the encoded delta is decoded again, applied to the old state, and the result compared with what the user gave.
//!
//! Two computations must agree: the digest that the diff summed from the user's rows, and the digest of the state that every
//! reader will have. A difference is a bug in Cenote or broken memory, and never reaches the log.

use bytes::Bytes;
use cenote_state::blob::{BlobError, decode_delta};
use cenote_state::delta::ApplyError;
use cenote_state::ids::Version;
use cenote_state::state::State;

use super::encode::Encoded;
use crate::base::BaseUpdates;

/// A change whose bytes lead to the right state.
pub(crate) struct Verified {
    /// The old state, under the new schema.
    pub(crate) before: State,
    /// The new state, as read back.
    pub(crate) after: State,
    pub(crate) bytes: Option<Bytes>,
    pub(crate) updates: BaseUpdates,
}

/// The delta does not lead to the state that it was made for. Nothing was written; report it as a bug.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VerifyError {
    #[error("the delta can't be decoded again: nothing was written, please report this")]
    Decode(#[from] BlobError),
    #[error("the delta does not fit its parent: nothing was written, please report this")]
    Apply(#[from] ApplyError),
    #[error(
        "type {type_name} has the digest {found:032x} after the delta, and {expected:032x} was given: nothing was written, please report this"
    )]
    Digest { type_name: String, expected: u128, found: u128 },
}

impl Encoded {
    /// Decodes, applies, compares.
    pub(crate) fn verify(self, version: Version, threads: usize) -> Result<Verified, VerifyError> {
        let Encoded { base, sums, updates, dataset, bytes } = self;
        let before = base.state;
        let after = match &bytes {
            Some(bytes) => {
                let delta = decode_delta(bytes, dataset, &before, u64::MAX)?;
                before.applied(&delta, version, threads)?
            }
            None => before.with_version(version),
        };
        for (table, expected) in after.tables().iter().zip(&sums) {
            if table.sums() != expected {
                let type_name = before.schema().get(table.layout().type_id).name.clone();
                let (expected, found) = (expected.total(), table.sums().total());
                return Err(VerifyError::Digest { type_name, expected, found });
            }
        }
        Ok(Verified { before, after, bytes, updates })
    }
}
