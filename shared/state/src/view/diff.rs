//! What changed between two views, by key.
//!
//! A record keeps its ordinal while it lives, so only rows of segments that the two views don't share,
//! and ordinals that live in one of them only, are compared. Keys decide: an ordinal may have been given to another
//! record, and a record that was deleted and added again may have another one.

use std::fmt;

use crate::ids::Ordinal;
use crate::record::{RecordAt, Root};

use super::same::same_record;
use super::{NamedRecord, NamedTable, TableRef};

/// What changed between two views, by key; each list in the order of ordinals.
#[non_exhaustive]
pub struct Diff<'v, T: Root> {
    /// In the newer view only.
    pub added: Vec<T::Ref<'v>>,
    /// In the older view only.
    pub removed: Vec<T::Ref<'v>>,
    /// In both, and different: the older, the newer.
    pub updated: Vec<(T::Ref<'v>, T::Ref<'v>)>,
}

/// What changed in a type between two views, by key, without a Rust type.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct NamedDiff<'v> {
    /// In the newer view only.
    pub added: Vec<NamedRecord<'v>>,
    /// In the older view only.
    pub removed: Vec<NamedRecord<'v>>,
    /// In both, and different: the older, the newer.
    pub updated: Vec<(NamedRecord<'v>, NamedRecord<'v>)>,
}

impl<'v> NamedDiff<'v> {
    /// A table that a view lacks has no records.
    pub(super) fn between(older: Option<NamedTable<'v>>, newer: Option<NamedTable<'v>>) -> NamedDiff<'v> {
        let mut diff = NamedDiff::default();
        for before in suspects(older, newer) {
            match counterpart(before, newer) {
                None => diff.removed.push(before),
                Some(after) if same_record(before, after) => {}
                Some(after) => diff.updated.push((before, after)),
            }
        }
        diff.added.extend(suspects(newer, older).filter(|after| counterpart(*after, older).is_none()));
        diff
    }
}

impl<'v, T: Root> Diff<'v, T> {
    pub(super) fn between(older: TableRef<'v, T>, newer: TableRef<'v, T>) -> Diff<'v, T> {
        let NamedDiff { added, removed, updated } = NamedDiff::between(named(older), named(newer));
        let updated = updated.into_iter().map(|(before, after)| (reader(older, before), reader(newer, after)));
        Diff {
            added: added.into_iter().map(|after| reader(newer, after)).collect(),
            removed: removed.into_iter().map(|before| reader(older, before)).collect(),
            updated: updated.collect(),
        }
    }

    /// Whether nothing changed.
    ///
    /// ```
    /// use cenote_consumer::{Record, View};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64, title: String, year: u16, genres: Vec<String> }
    ///
    /// fn is_same(older: &View, newer: &View) -> bool {
    ///     newer.diff::<Movie>(older).is_empty()
    /// }
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.updated.is_empty()
    }
}

fn named<'v, T: Root>(table: TableRef<'v, T>) -> Option<NamedTable<'v>> {
    table.table?;
    Some(NamedTable { state: &table.scope.view.state, id: table.binding.chain? })
}

/// The records of `of` that may differ from those of `other`.
fn suspects<'v>(of: Option<NamedTable<'v>>, other: Option<NamedTable<'v>>) -> impl Iterator<Item = NamedRecord<'v>> {
    let other = other.map(NamedTable::table);
    of.into_iter().flat_map(move |of| {
        let table = of.table();
        let ordinals = table.segments().flat_map(move |(first, segment)| {
            let sharing = other.filter(|other| other.has(first, segment));
            let differs = move |ordinal| !sharing.is_some_and(|other| other.is_live(Ordinal(ordinal)));
            table.live_of(first, segment).filter(move |ordinal| differs(*ordinal))
        });
        ordinals.filter_map(move |ordinal| NamedRecord::new(of.state, of.id, Ordinal(ordinal)))
    })
}

/// The record with the same key on the other side.
fn counterpart<'v>(record: NamedRecord<'v>, other: Option<NamedTable<'v>>) -> Option<NamedRecord<'v>> {
    let plan = record.state.table(record.id).key_plan()?;
    plan.with_key(record.row, record.state.tables(), |key| other?.get(key))
}

fn reader<'v, T: Root>(table: TableRef<'v, T>, record: NamedRecord<'v>) -> T::Ref<'v> {
    T::view(RecordAt::new(record.row, table.binding, table.scope, record.ordinal))
}

impl<T: Root> fmt::Debug for Diff<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Diff { added, removed, updated } = self;
        f.debug_struct("Diff").field("added", added).field("removed", removed).field("updated", updated).finish()
    }
}
