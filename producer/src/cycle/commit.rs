//! Propose: the entry that the producer puts into the log.

use std::collections::BTreeMap;

use cenote_state::digest::PRESENCE;
use cenote_state::ids::{ColumnId, TypeId, Version};
use cenote_state::schema::Schema;
use cenote_state::state::State;
use cenote_store::log::entry::INLINE_DELTA_BYTES_MAX;
use cenote_store::log::names::ObjectName;
use cenote_store::log::{Body, Commit, DeltaPlace, NewObject};

use super::validate::Validated;
use super::verify::Verified;
use crate::base::BaseUpdates;

/// What a commit holds besides its change.
pub(crate) struct CommitNotes {
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) republishes: Option<Version>,
    /// The newest commit's schema.
    pub(crate) parent_schema: Schema,
    /// The newest commit's digest. A schema change may have changed it for the state that the cycle starts from.
    pub(crate) parent_digest: u128,
    /// A name for the delta, if it needs a separate object.
    pub(crate) blob: ObjectName,
}

/// An entry to put, and how the producer goes on after it.
pub(crate) struct Proposal {
    pub(crate) body: Body,
    pub(crate) object: Option<NewObject>,
    pub(crate) next: Next,
}

/// How the producer goes on after the entry was committed.
#[derive(Debug)]
pub(crate) struct Next {
    pub(crate) state: State,
    pub(crate) updates: BaseUpdates,
    pub(crate) delta_bytes: u64,
    pub(crate) schema_changed: bool,
}

impl Validated {
    /// The entry for this change. It is not put yet.
    pub(crate) fn propose(self, notes: CommitNotes) -> Proposal {
        let Validated(Verified { before, after, bytes, updates }) = self;
        let delta_bytes = bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        let (delta, object) = match bytes {
            None => (DeltaPlace::None, None),
            Some(bytes) if bytes.len() <= INLINE_DELTA_BYTES_MAX => (DeltaPlace::Inline(bytes), None),
            Some(bytes) => {
                let object = NewObject { name: notes.blob, parts: vec![bytes] };
                (DeltaPlace::Blob(object.reference()), Some(object))
            }
        };
        let schema_changed = **after.schema() != notes.parent_schema;
        let commit = Commit {
            parent: before.version(),
            parent_digest: notes.parent_digest,
            digest: after.digest(),
            column_digests: changed_digests(&before, &after),
            counts: after.counts(),
            tags: notes.tags,
            schema: schema_changed.then(|| after.schema().as_ref().clone()),
            delta,
            republishes: notes.republishes,
        };
        let next = Next { state: after, updates, delta_bytes, schema_changed };
        Proposal { body: Body::Commit(Box::new(commit)), object, next }
    }
}

/// The digests by column that changed.
fn changed_digests(before: &State, after: &State) -> Vec<(TypeId, ColumnId, u128)> {
    let mut changed = Vec::new();
    for (old, new) in before.tables().iter().zip(after.tables()) {
        let id = new.layout().type_id;
        let ids = new.layout().columns.iter().map(|column| column.id).chain([PRESENCE]);
        let olds = old.sums().columns.iter().chain([&old.sums().presence]);
        let news = new.sums().columns.iter().chain([&new.sums().presence]);
        let pairs = ids.zip(olds.zip(news)).filter(|(_, (old, new))| old != new);
        changed.extend(pairs.map(|(column, (_, new))| (id, column, *new)));
    }
    changed
}
