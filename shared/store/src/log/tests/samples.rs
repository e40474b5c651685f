//! Entries to test with.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use crate::log::names::{Folder, ObjectName};
use crate::log::{Body, Commit, DeltaPlace, Entry, Head, Kind, ObjectRef, Open, Snapshot, Trim};
use cenote_state::hash::Hash;
use cenote_state::ids::{ColumnId, DatasetId, Epoch, Position, Timestamp, TypeId, Version};
use cenote_state::schema::{Field, Schema, Shape, TypeKind, TypeSchema, ValueKind};

pub(super) const DATASET: DatasetId = DatasetId(*b"0123456789abcdef");

pub(super) fn head(position: u64, kind: Kind) -> Head {
    Head {
        position: Position(position),
        dataset: DATASET,
        epoch: Epoch(3),
        kind,
        nonce: *b"nonce-nonce-nonc",
        time: Timestamp(1_767_225_600_000),
        checkpoint: Position(if kind == Kind::Checkpoint { position } else { 5 }),
        log_start: Position(4),
        previous: Hash::of(b"before"),
        hash: Hash::NONE,
    }
}

pub(super) fn object(folder: Folder, position: u64, length: u64) -> ObjectRef {
    let name = ObjectName { folder, position: Position(position), epoch: Epoch(3), id: [7; 16] };
    ObjectRef { name: name.to_string(), length, hash: Hash::of(b"object") }
}

pub(super) fn schema() -> Schema {
    let id = Field {
        name: "id".to_owned(),
        column: ColumnId(0),
        optional: false,
        sparse: false,
        shape: Shape::One(ValueKind::UInt(8)),
        encoding: 0,
    };
    let movie = TypeSchema {
        name: "Movie".to_owned(),
        kind: TypeKind::Root { key: vec![vec!["id".to_owned()]] },
        fields: vec![id],
        next_column: 1,
        segment_rows_log2: 12,
    };
    Schema { types: vec![movie] }
}

pub(super) fn commit() -> Commit {
    Commit {
        parent: Version(41),
        parent_digest: 1,
        digest: u128::MAX,
        column_digests: vec![(TypeId(0), ColumnId(1), 17), (TypeId(0), ColumnId(0xFFFF), 18)],
        counts: vec![(TypeId(0), 1_000_000)],
        tags: BTreeMap::from([("release".to_owned(), "8.1.9".to_owned())]),
        schema: Some(schema()),
        delta: DeltaPlace::Inline(Bytes::from_static(b"a delta")),
        republishes: Some(Version(7)),
    }
}

/// One body of every kind.
pub(super) fn bodies(position: u64) -> Vec<Body> {
    let blob = DeltaPlace::Blob(object(Folder::Blobs, position, 1 << 30));
    vec![
        Body::Open(Open { owner: "host-1".to_owned() }),
        Body::Commit(Box::new(commit())),
        Body::Commit(Box::new(Commit { delta: blob, schema: None, ..commit() })),
        Body::Commit(Box::new(Commit { parent: Version(position - 1), ..Commit::default() })),
        Body::Snapshot(Snapshot {
            version: Version(position - 2),
            object: object(Folder::Snapshots, position - 2, 1 << 40),
            digest: 5,
            committed_at: Timestamp(0),
        }),
        Body::Checkpoint(object(Folder::Checkpoints, position, 500)),
        Body::Snapshot(Snapshot {
            version: Version(position - 2),
            object: object(Folder::Snapshots, position - 2, 1 << 40),
            digest: 5,
            committed_at: Timestamp(1_767_225_600_000),
        }),
        Body::Trim(Trim { log_start: Position(4) }),
    ]
}

pub(super) fn entries(position: u64) -> Vec<(Entry, Bytes)> {
    let encode = |body: Body| Entry::encode(head(position, body.kind()), body).unwrap();
    bodies(position).into_iter().map(encode).collect()
}

prop_compose! {
    pub(super) fn any_commit()(
        parent in 0_u64..40,
        digests in any::<(u128, u128)>(),
        column_digests in prop::collection::vec(any::<(u16, u16, u128)>(), 0..20),
        counts in prop::collection::vec(any::<(u16, u64)>(), 0..20),
        tags in prop::collection::btree_map(".{0,8}", ".{0,16}", 0..4),
        delta in prop::option::of(prop::collection::vec(any::<u8>(), 0..200)),
        republishes in prop::option::of(any::<u64>()),
        with_schema in any::<bool>(),
    ) -> Commit {
        Commit {
            parent: Version(parent),
            parent_digest: digests.0,
            digest: digests.1,
            column_digests: column_digests.into_iter().map(|(t, c, d)| (TypeId(t), ColumnId(c), d)).collect(),
            counts: counts.into_iter().map(|(t, count)| (TypeId(t), count)).collect(),
            tags,
            schema: with_schema.then(schema),
            delta: delta.map_or(DeltaPlace::None, |bytes| DeltaPlace::Inline(bytes.into())),
            republishes: republishes.map(Version),
        }
    }
}
