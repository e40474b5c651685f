//! The hash indexes that a program declares: bound to a schema, built from a state, updated by a delta.
//!
//! Pure functions over states, so that any owner of two states and of what changed between them can keep indexes: a
//! consumer with its views, a validator for its checks.
//!
//! Rules: an index belongs to one state, like every other part of a view (I2); an update costs what changed (I10): of
//! each changed root the old values and the new, never the table; only an index whose columns changed is built again;
//! what indexes take is counted while they are made, and is refused once it is too much (I9).

#[cfg(test)]
mod tests;

use std::any::TypeId as RustType;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::delta::{Change, Delta};
use crate::ids::{Ordinal, TypeId};
use crate::index::{ValueIndex, ValueIndexBuilder};
use crate::parallel;
use crate::record::{Declared, Root};
use crate::schema::{Field, Schema, Shape, ValueKind};
use crate::state::State;

use super::find::{HashIndex, IndexValue};
use super::path::Path;

/// An index that a program declares, before it meets a dataset.
#[derive(Clone, Debug)]
pub struct IndexDeclaration {
    identity: Identity,
    root: &'static str,
    /// What the values are, in a schema that has nothing else.
    kind: ValueKind,
    schema: Schema,
    /// What an absent value reads as under `#[record(default)]`.
    default: Option<Vec<u8>>,
}

/// By what an index is found again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// The root's number in this program.
    pub(super) slot: u32,
    pub(super) value: RustType,
    pub(super) path: &'static str,
}

/// An index that can't be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("index on {root}.{path}: {problem}")]
#[non_exhaustive]
pub struct IndexError {
    /// The root type.
    pub root: String,
    /// The path as written.
    pub path: String,
    /// What is wrong with it, and what to write instead.
    pub problem: String,
}

impl IndexDeclaration {
    /// What this index declares.
    #[must_use]
    pub fn new<T: Root, V: IndexValue + ?Sized>(index: &HashIndex<T, V>) -> IndexDeclaration {
        let (schema, kind) = V::kind();
        IndexDeclaration { identity: index.identity(), root: T::NAME, kind, schema, default: V::default_bytes() }
    }

    pub(super) fn path(&self) -> &'static str {
        self.identity.path
    }

    pub(super) fn default_bytes(&self) -> Option<&[u8]> {
        self.default.as_deref()
    }

    /// The root among the declared types.
    pub(super) fn root_in(&self, declared: &Declared) -> Result<TypeId, IndexError> {
        let found = declared.slots().find(|(slot, _)| *slot == self.identity.slot);
        let undeclared = || self.wrong(format!("{} is not declared; add .with::<{}>()", self.root, self.root));
        found.map(|(_, id)| id).ok_or_else(undeclared)
    }

    /// Whether the values at the path's end are the index's.
    pub(super) fn check_kind(&self, found: &ValueKind, schema: &Schema) -> Result<(), IndexError> {
        let name = |schema: &Schema, kind: &ValueKind| match kind {
            ValueKind::Dedup(_) => "String".to_owned(),
            kind => display(schema, kind),
        };
        let (wanted, found) = (name(&self.schema, &self.kind), name(schema, found));
        if wanted == found {
            return Ok(());
        }
        Err(self
            .wrong(format!("its values are {found}, not {wanted}; declare it as HashIndex<{}, {found}>", self.root)))
    }

    pub(super) fn wrong(&self, problem: String) -> IndexError {
        IndexError { root: self.root.to_owned(), path: self.identity.path.to_owned(), problem }
    }
}

fn display(schema: &Schema, kind: &ValueKind) -> String {
    let (column, shape) = (Default::default(), Shape::One(kind.clone()));
    schema.display_field(&Field { name: String::new(), column, optional: false, sparse: false, shape, encoding: 0 })
}

/// Declared indexes in one schema of the chain.
#[derive(Debug, Default)]
pub struct IndexBinding {
    indexes: Vec<BoundIndex>,
}

#[derive(Debug)]
struct BoundIndex {
    identity: Identity,
    path: Path,
}

impl IndexBinding {
    /// Finds each index's path. The declared types are known to fit the chain.
    pub fn new(indexes: &[IndexDeclaration], declared: &Declared, chain: &Schema) -> Result<IndexBinding, IndexError> {
        let mut bound: Vec<BoundIndex> = Vec::new();
        for index in indexes {
            if bound.iter().all(|known| known.identity != index.identity) {
                bound.push(BoundIndex { identity: index.identity, path: Path::new(index, declared, chain)? });
            }
        }
        Ok(IndexBinding { indexes: bound })
    }

    /// The place of an index; none if it was not declared.
    #[inline]
    pub(super) fn find(&self, identity: &Identity) -> Option<usize> {
        self.indexes.iter().position(|index| index.identity == *identity)
    }
}

/// The roots whose values may have changed, by index: gathered delta by delta, used once.
#[derive(Clone, Debug, Default)]
pub struct ChangedRoots {
    by_index: Vec<Vec<u32>>,
}

impl ChangedRoots {
    /// Whether no index is touched.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len_max() == 0
    }

    /// The most roots that any index has to look at.
    #[must_use]
    pub(crate) fn len_max(&self) -> usize {
        self.by_index.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// Notes what a delta changes. `state` is a state that it leads to, or its parent; `binding` is for its schema.
    pub fn note(&mut self, delta: &Delta, state: &State, binding: &IndexBinding) {
        self.by_index.resize_with(binding.indexes.len(), Vec::new);
        for (index, changed) in binding.indexes.iter().zip(&mut self.by_index) {
            let Some(root) = index.path.root else { continue };
            for chunk in delta.chunks.iter().filter(|chunk| chunk.type_id == root) {
                match &chunk.change {
                    Change::Removed(ordinals) | Change::Added { ordinals, .. } => changed.extend_from_slice(ordinals),
                    Change::Whole { number, rows } => {
                        let first = number * state.table(root).segment_rows();
                        changed.extend(first..first + rows.rows());
                    }
                    Change::Patched { fields, ordinals, .. } => {
                        if index.path.first_field().is_some_and(|first| fields.contains(&first)) {
                            changed.extend_from_slice(ordinals);
                        }
                    }
                }
            }
        }
    }
}

/// The declared indexes of one state. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Indexes {
    binding: Arc<IndexBinding>,
    values: Arc<[CountedIndex]>,
}

/// An index and about how many bytes it takes: counting them reads all of it, which an update does not.
#[derive(Clone, Debug)]
struct CountedIndex {
    index: ValueIndex,
    bytes: u64,
}

/// The indexes of a state take more memory than they may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its indexes take {needed} bytes, or more")]
#[non_exhaustive]
pub struct IndexesTooLarge {
    /// At least so many bytes.
    pub needed: u64,
}

/// What indexes that are made at the same time take together.
struct Room {
    taken: AtomicU64,
    bytes_max: u64,
}

impl Room {
    fn new(bytes_max: u64) -> Room {
        Room { taken: AtomicU64::new(0), bytes_max }
    }

    /// Takes so many bytes in place of others.
    fn take(&self, bytes: u64, in_place_of: u64) -> Result<(), IndexesTooLarge> {
        let added = bytes.wrapping_sub(in_place_of);
        let needed = self.taken.fetch_add(added, Ordering::Relaxed).wrapping_add(added);
        if needed > self.bytes_max { Err(IndexesTooLarge { needed }) } else { Ok(()) }
    }
}

/// An update that would touch more than one in this many of the records builds the index again instead.
const REBUILD_SHARE: usize = 4;

impl Indexes {
    /// Builds every index of a state, on up to `threads` threads. `seed` hides the hash from authors of records.
    ///
    /// # Errors
    /// If they take more than `bytes_max` bytes together.
    pub fn build(
        binding: Arc<IndexBinding>,
        state: &State,
        seed: u64,
        threads: usize,
        bytes_max: u64,
    ) -> Result<Indexes, IndexesTooLarge> {
        let room = Room::new(bytes_max);
        let make = |at: usize| binding.indexes[at].path.build(state, seed, &room);
        let values = in_parallel(binding.indexes.len(), threads, &make)?;
        Ok(Indexes { binding, values })
    }

    /// The indexes of `new`, from these, which are those of `old`.
    ///
    /// # Errors
    /// If they take more than `bytes_max` bytes together.
    #[expect(clippy::too_many_arguments, reason = "two states and what is between them")]
    pub fn updated(
        &self,
        binding: Arc<IndexBinding>,
        old: &State,
        new: &State,
        changed: ChangedRoots,
        seed: u64,
        threads: usize,
        bytes_max: u64,
    ) -> Result<Indexes, IndexesTooLarge> {
        let ChangedRoots { by_index: mut changed } = changed;
        changed.resize_with(binding.indexes.len(), Vec::new);
        for ordinals in &mut changed {
            ordinals.sort_unstable();
            ordinals.dedup();
        }
        let room = Room::new(bytes_max);
        let make = |at: usize| self.update(at, &binding, (old, new), &changed[at], seed, &room);
        let values = in_parallel(binding.indexes.len(), threads, &make)?;
        let mut indexes = Indexes { binding, values };
        if indexes.bytes() > bytes_max {
            indexes.count();
        }
        match indexes.bytes() {
            needed if needed > bytes_max => Err(IndexesTooLarge { needed }),
            _ => Ok(indexes),
        }
    }

    /// About how many bytes are held.
    fn bytes(&self) -> u64 {
        self.values.iter().map(|value| value.bytes).sum()
    }

    /// Makes that exact.
    fn count(&mut self) {
        self.values = self.values.iter().map(|value| CountedIndex::new(value.index.clone())).collect();
    }

    fn update(
        &self,
        at: usize,
        binding: &IndexBinding,
        (old, new): (&State, &State),
        changed: &[u32],
        seed: u64,
        room: &Room,
    ) -> Result<CountedIndex, IndexesTooLarge> {
        let path = &binding.indexes[at].path;
        let before = &self.binding.indexes[at].path;
        let records = path.root.map_or(0, |root| new.table(root).len());
        if path.columns != before.columns || changed.len() > records / REBUILD_SHARE + 64 {
            return path.build(new, seed, room);
        }
        let CountedIndex { mut index, mut bytes } = self.values[at].clone();
        for ordinal in changed {
            bytes += move_record(&mut index, *ordinal, &before.all_of(old, *ordinal), &path.all_of(new, *ordinal));
        }
        Ok(CountedIndex { index, bytes })
    }

    /// Bytes held, as if they shared nothing with other states' indexes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.values.iter().map(|value| value.index.memory_bytes()).sum()
    }

    /// The values of a declared index.
    #[inline]
    pub(super) fn get(&self, identity: &Identity) -> Option<&ValueIndex> {
        self.binding.find(identity).map(|at| &self.values[at].index)
    }

    /// Asserts that every index equals one that is built of its state.
    ///
    /// # Panics
    /// When one is not: for tests and debug builds.
    pub fn check_invariants(&self, state: &State) {
        for (bound, CountedIndex { index, bytes }) in self.binding.indexes.iter().zip(self.values.iter()) {
            index.check_invariants();
            let (taken, about) = (index.memory_bytes() as u64, *bytes);
            assert!(taken <= 2 * about + (64 << 10), "{} takes {taken} bytes, not {about}", bound.identity.path);
            let built = bound.path.build(state, 0, &Room::new(u64::MAX)).expect("there is room for any").index;
            assert_eq!(index.distinct(), built.distinct(), "{} has the values of its state", bound.identity.path);
            for (value, postings) in built.values() {
                assert_eq!(index.find(value), Some(postings), "{} has the records of each value", bound.identity.path);
            }
        }
    }
}

/// The values of one record, sorted, each once.
type Values = Vec<Option<Vec<u8>>>;

impl CountedIndex {
    fn new(index: ValueIndex) -> CountedIndex {
        CountedIndex { bytes: index.memory_bytes() as u64, index }
    }
}

impl Path {
    fn all_of(&self, state: &State, ordinal: u32) -> Values {
        let (mut has_none, mut values) = (false, BTreeSet::<Vec<u8>>::new());
        self.values(state, Ordinal(ordinal), &mut |value| match value {
            None => has_none = true,
            Some(value) if values.contains(value) => {}
            Some(value) => drop(values.insert(value.to_vec())),
        });
        has_none.then_some(None).into_iter().chain(values.into_iter().map(Some)).collect()
    }

    fn build(&self, state: &State, seed: u64, room: &Room) -> Result<CountedIndex, IndexesTooLarge> {
        /// How much more is taken before it is counted.
        const COUNTED: u64 = 64 << 10;
        let mut builder = ValueIndexBuilder::new(seed);
        let mut taken = 0;
        for ordinal in self.root.iter().flat_map(|root| state.table(*root).ordinals()) {
            self.values(state, ordinal, &mut |value| builder.add(value, ordinal.0));
            let bytes = builder.memory_bytes() as u64;
            if bytes > taken + COUNTED {
                room.take(bytes, taken)?;
                taken = bytes;
            }
        }
        let index = CountedIndex::new(builder.finish());
        room.take(index.bytes, taken)?;
        Ok(index)
    }
}

/// Takes a record from its old values to its new ones. Returns about how many bytes that adds, or more.
fn move_record(index: &mut ValueIndex, ordinal: u32, before: &Values, after: &Values) -> u64 {
    /// A value's place in pages and in the index of slots, and an ordinal's in postings, with what of them is empty.
    const ENTRY_BYTES: usize = 128;
    let mut bytes = 0;
    for value in before.iter().filter(|value| after.binary_search(value).is_err()) {
        index.remove(value.as_deref(), ordinal);
    }
    for value in after.iter().filter(|value| before.binary_search(value).is_err()) {
        index.insert(value.as_deref(), ordinal);
        bytes += ENTRY_BYTES + 2 * value.as_ref().map_or(0, Vec::len);
    }
    bytes as u64
}

/// `make(0)`, `make(1)`, …, on up to `threads` threads.
fn in_parallel(
    count: usize,
    threads: usize,
    make: &(impl Fn(usize) -> Result<CountedIndex, IndexesTooLarge> + Sync),
) -> Result<Arc<[CountedIndex]>, IndexesTooLarge> {
    let numbers: Vec<usize> = (0..count).collect();
    parallel::map(&numbers, threads, |number| make(*number)).into_iter().collect()
}
