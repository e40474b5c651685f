//! One entry of the log: its fixed header and what it says.
//!
//! An entry is what order is made of: it is created once, at one position, and never changes but to a tombstone. What
//! it contains is in tagged sections (see `sections`): control records, and the delta of a commit as given.
//!
//! Rules: at most 1 MiB of control and 1 MiB of delta; an object is named by the name that we give such objects and by
//! nothing else; decoding never panics and never allocates more than the entry's own size suggests (I9).

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use std::collections::BTreeMap;

use bytes::Bytes;

use super::error::DecodeError;
use super::head::{self, HEAD_BYTES_MAX, HEADER_BYTES, Head, Kind};
use super::names::{Folder, ObjectName};
use super::sections::{self, Sections, Tag};
use super::tombstone::Tombstone;
use super::wire::CommitCore;
use cenote_state::blob::Blob;
use cenote_state::hash::Hash;
use cenote_state::ids::{ColumnId, Timestamp, TypeId, Version};
use cenote_state::schema::Schema;

/// Control records of one entry, in bytes.
pub(crate) const CONTROL_BYTES_MAX: usize = 1 << 20;
/// A delta inside its entry, in bytes; a larger one is a blob.
pub const INLINE_DELTA_BYTES_MAX: usize = 1 << 20;
/// The largest entry.
pub(crate) const ENTRY_BYTES_MAX: usize = HEAD_BYTES_MAX + CONTROL_BYTES_MAX + INLINE_DELTA_BYTES_MAX;

const OPEN: Tag = Tag { number: 1, name: "open" };
const COMMIT: Tag = Tag { number: 2, name: "commit" };
const COLUMN_DIGESTS: Tag = Tag { number: 3, name: "column digests" };
const COUNTS: Tag = Tag { number: 4, name: "counts" };
const TAGS: Tag = Tag { number: 5, name: "tags" };
const SCHEMA: Tag = Tag { number: 6, name: "schema" };
const DELTA_BLOB: Tag = Tag { number: 7, name: "delta blob" };
const SNAPSHOT: Tag = Tag { number: 8, name: "snapshot" };
const CHECKPOINT: Tag = Tag { number: 9, name: "checkpoint" };
const TRIM: Tag = Tag { number: 10, name: "trim" };
const DELTA: Tag = Tag { number: sections::DATA_TAGS + 1, name: "delta" };

const KNOWN: [Tag; 11] =
    [OPEN, COMMIT, COLUMN_DIGESTS, COUNTS, TAGS, SCHEMA, DELTA_BLOB, SNAPSHOT, CHECKPOINT, TRIM, DELTA];

/// An entry as the log stores it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its fixed header.
    pub head: Head,
    /// What it says.
    pub body: Body,
    /// Its size on storage.
    pub bytes: u64,
}

/// What a log key holds.
#[derive(Clone, Debug, PartialEq)]
pub enum LogObject {
    /// An entry.
    Entry(Box<Entry>),
    /// What is left of one that was trimmed.
    Tombstone(Tombstone),
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// A producer takes the next epoch; at position 1 it makes the dataset.
    Open(Open),
    /// A version.
    Commit(Box<Commit>),
    /// A state was written whole, read back and compared.
    Snapshot(Snapshot),
    /// A place to start was written.
    Checkpoint(ObjectRef),
    /// The log start rises.
    Trim(Trim),
}

/// A producer takes the next epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Who: for people.
    pub owner: String,
}

/// A version: what turns its parent into it, and what that must add up to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Commit {
    /// The commit before; [`Version::EMPTY`] for the first.
    pub parent: Version,
    /// The parent's digest.
    pub parent_digest: u128,
    /// The digest of the whole state.
    pub digest: u128,
    /// The digests by column, those that changed.
    pub column_digests: Vec<(TypeId, ColumnId, u128)>,
    /// Live records of every type.
    pub counts: Vec<(TypeId, u64)>,
    /// What the producer's user attached.
    pub tags: BTreeMap<String, String>,
    /// The schema, when it changed.
    pub schema: Option<Schema>,
    /// The change.
    pub delta: DeltaPlace,
    /// The version whose state this is again.
    pub republishes: Option<Version>,
}

/// Where a commit's delta is.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum DeltaPlace {
    /// No record changed.
    #[default]
    None,
    /// In the entry. The bytes are the engine's business.
    Inline(Bytes),
    /// In a separate object.
    Blob(ObjectRef),
}

/// An object that an entry names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRef {
    /// Its name, relative to the dataset.
    pub name: String,
    /// Its size in bytes.
    pub length: u64,
    /// What proves it: the hash of its bytes; of a snapshot, the hash of its footer, which has those of its sections.
    pub hash: Hash,
}

/// A whole state on storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The version whose state it is.
    pub version: Version,
    /// The object.
    pub object: ObjectRef,
    /// The state's digest: that of its commit.
    pub digest: u128,
    /// When its version was committed, which its commit's entry can't tell once it was trimmed; 0 if nothing tells.
    pub committed_at: Timestamp,
}

/// The log start rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    /// The first position that keeps its entry.
    pub log_start: cenote_state::ids::Position,
}

impl ObjectRef {
    /// What an entry says of a snapshot's object.
    #[must_use]
    pub fn of_snapshot(name: &ObjectName, blob: &Blob) -> ObjectRef {
        ObjectRef { name: name.to_string(), length: blob.length(), hash: blob.footer_hash }
    }

    /// Whether `bytes` are the object, which is not a snapshot: of its length and its hash.
    #[must_use]
    pub fn is(&self, bytes: &[u8]) -> bool {
        bytes.len() as u64 == self.length && self.hash.check([bytes]).is_ok()
    }

    /// That it is one of ours in `folder`, and that its hash proves its bytes: its name becomes a key.
    pub(super) fn check(&self, folder: Folder, object: &str) -> Result<(), DecodeError> {
        if ObjectName::parse(&self.name).is_none_or(|name| name.folder != folder) {
            return Err(DecodeError::damaged(object, format!("it names `{}`, which is no such object", self.name)));
        }
        self.hash.check_kind().map_err(|error| DecodeError::hash(object, &self.name, error))
    }
}

impl Body {
    /// The kind of entry that says this.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Body::Open(_) => Kind::Open,
            Body::Commit(_) => Kind::Commit,
            Body::Snapshot(_) => Kind::Snapshot,
            Body::Checkpoint(_) => Kind::Checkpoint,
            Body::Trim(_) => Kind::Trim,
        }
    }

    /// The object that the entry names.
    #[must_use]
    pub fn object(&self) -> Option<&ObjectRef> {
        match self {
            Body::Commit(commit) => match &commit.delta {
                DeltaPlace::Blob(object) => Some(object),
                DeltaPlace::None | DeltaPlace::Inline(_) => None,
            },
            Body::Snapshot(snapshot) => Some(&snapshot.object),
            Body::Checkpoint(object) => Some(object),
            Body::Open(_) | Body::Trim(_) => None,
        }
    }

    fn to_sections(&self, object: &str) -> Result<Sections, DecodeError> {
        let mut out = Sections::default();
        match self {
            Body::Open(open) => out.control(OPEN, open, object)?,
            Body::Commit(commit) => commit.to_sections(&mut out, object)?,
            Body::Snapshot(snapshot) => out.control(SNAPSHOT, snapshot, object)?,
            Body::Checkpoint(checkpoint) => out.control(CHECKPOINT, checkpoint, object)?,
            Body::Trim(trim) => out.control(TRIM, trim, object)?,
        }
        Ok(out)
    }

    fn from_sections(kind: Kind, from: &Sections, object: &str) -> Result<Body, DecodeError> {
        Ok(match kind {
            Kind::Open => Body::Open(from.required(object, OPEN)?),
            Kind::Commit => Body::Commit(Box::new(Commit::from_sections(from, object)?)),
            Kind::Snapshot => Body::Snapshot(from.required(object, SNAPSHOT)?),
            Kind::Checkpoint => Body::Checkpoint(from.required(object, CHECKPOINT)?),
            Kind::Trim => Body::Trim(from.required(object, TRIM)?),
        })
    }

    /// What must be true of any body at this position.
    fn check(&self, head: &Head, object: &str) -> Result<(), DecodeError> {
        let folder = match self {
            Body::Snapshot(_) => Folder::Snapshots,
            Body::Checkpoint(_) => Folder::Checkpoints,
            Body::Open(_) | Body::Commit(_) | Body::Trim(_) => Folder::Blobs,
        };
        self.object().map_or(Ok(()), |named| named.check(folder, object))?;
        if let Body::Commit(commit) = self
            && let Some(Err(cause)) = commit.schema.as_ref().map(Schema::check)
        {
            return Err(DecodeError::damaged(object, format!("its schema: {cause}")));
        }
        let sound = match self {
            Body::Open(_) | Body::Checkpoint(_) => true,
            Body::Commit(commit) => commit.parent.position() < head.position,
            Body::Snapshot(snapshot) => snapshot.version.position() < head.position && snapshot.version.0 > 0,
            Body::Trim(trim) => trim.log_start == head.log_start,
        };
        if sound { Ok(()) } else { Err(DecodeError::damaged(object, "what it says contradicts its header")) }
    }
}

impl Commit {
    fn to_sections(&self, out: &mut Sections, object: &str) -> Result<(), DecodeError> {
        let Commit { parent, parent_digest, digest, republishes, .. } = *self;
        out.control(COMMIT, &CommitCore { parent, parent_digest, digest, republishes }, object)?;
        out.control(COLUMN_DIGESTS, &self.column_digests, object)?;
        out.control(COUNTS, &self.counts, object)?;
        if !self.tags.is_empty() {
            out.control(TAGS, &self.tags, object)?;
        }
        if let Some(schema) = &self.schema {
            out.control(SCHEMA, schema, object)?;
        }
        match &self.delta {
            DeltaPlace::None => {}
            DeltaPlace::Inline(bytes) => out.push(DELTA, bytes.clone()),
            DeltaPlace::Blob(blob) => out.control(DELTA_BLOB, blob, object)?,
        }
        Ok(())
    }

    fn from_sections(from: &Sections, object: &str) -> Result<Commit, DecodeError> {
        let core: CommitCore = from.required(object, COMMIT)?;
        let delta = match (from.find(DELTA), from.record(object, DELTA_BLOB)?) {
            (None, None) => DeltaPlace::None,
            (Some(bytes), None) => DeltaPlace::Inline(bytes.clone()),
            (None, Some(blob)) => DeltaPlace::Blob(blob),
            (Some(_), Some(_)) => return Err(DecodeError::damaged(object, "it has two deltas")),
        };
        Ok(Commit {
            parent: core.parent,
            parent_digest: core.parent_digest,
            digest: core.digest,
            column_digests: from.required(object, COLUMN_DIGESTS)?,
            counts: from.required(object, COUNTS)?,
            tags: from.record(object, TAGS)?.unwrap_or_default(),
            schema: from.record(object, SCHEMA)?,
            delta,
            republishes: core.republishes,
        })
    }
}

impl Entry {
    /// The entry that says `body` under `head`, and its bytes; the head's hash is computed here.
    ///
    /// # Errors
    /// If the body is larger than an entry may be, or contradicts the head.
    pub fn encode(mut head: Head, body: Body) -> Result<(Entry, Bytes), DecodeError> {
        let object = super::names::log_entry(head.position);
        body.check(&head, &object)?;
        let sections = body.to_sections(&object)?;
        check_limits(&object, sections.content_bytes())?;
        let mut out = Vec::with_capacity(HEADER_BYTES + 512);
        debug_assert!(sections.len() <= sections::SECTIONS_MAX);
        head.write(&sections.table(), &mut out);
        sections.append_contents(&mut out);
        Ok((Entry { head, body, bytes: out.len() as u64 }, out.into()))
    }

    /// The version, if the entry is a commit.
    #[must_use]
    pub fn commit(&self) -> Option<(Version, &Commit)> {
        match &self.body {
            Body::Commit(commit) => Some((Version(self.head.position.0), commit)),
            _ => None,
        }
    }
}

/// The entry or tombstone that the log key `name` holds. A plain function: no input makes it panic (I9).
///
/// # Errors
/// Each names the object and the cause; see [`DecodeError`] for what to do about it.
pub fn decode(name: &str, bytes: &Bytes) -> Result<LogObject, DecodeError> {
    if Tombstone::is_one(bytes) {
        return Tombstone::decode(name, bytes).map(LogObject::Tombstone);
    }
    if bytes.len() > ENTRY_BYTES_MAX {
        return Err(DecodeError::too_large(name, "the entry", bytes.len(), ENTRY_BYTES_MAX));
    }
    let head = Head::read(name, bytes)?;
    let (table, contents) = head::table_and_contents(name, bytes)?;
    check_limits(name, sections::announced_bytes(&table))?;
    let sections = Sections::parse(name, &table, contents, &KNOWN)?;
    let body = Body::from_sections(head.kind, &sections, name)?;
    body.check(&head, name)?;
    Ok(LogObject::Entry(Box::new(Entry { head, body, bytes: bytes.len() as u64 })))
}

fn check_limits(object: &str, (control, data): (usize, usize)) -> Result<(), DecodeError> {
    if control > CONTROL_BYTES_MAX {
        return Err(DecodeError::too_large(object, "its control records", control, CONTROL_BYTES_MAX));
    }
    if data > INLINE_DELTA_BYTES_MAX {
        return Err(DecodeError::too_large(object, "its delta", data, INLINE_DELTA_BYTES_MAX));
    }
    Ok(())
}
