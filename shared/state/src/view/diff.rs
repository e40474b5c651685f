//! What changed between two views, by key.
//!
//! A record keeps its ordinal while it lives, so only rows of segments that the two views don't share,
//! and ordinals that live in one of them only, are compared. Keys decide: an ordinal may have been given to another
//! record, and a record that was deleted and added again may have another one.

use std::fmt;

use crate::ids::Ordinal;
use crate::record::{RecordAt, Root};

use super::same::same_record;
use super::{NamedRecord, TableRef};

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

impl<'v, T: Root> Diff<'v, T> {
    pub(super) fn between(older: TableRef<'v, T>, newer: TableRef<'v, T>) -> Diff<'v, T> {
        let mut diff = Diff { added: Vec::new(), removed: Vec::new(), updated: Vec::new() };
        for before in suspects(older, newer) {
            match counterpart(before, newer) {
                None => diff.removed.push(reader(older, before)),
                Some(after) if same_record(before, after) => {}
                Some(after) => diff.updated.push((reader(older, before), reader(newer, after))),
            }
        }
        let fresh = suspects(newer, older).filter(|after| counterpart(*after, older).is_none());
        diff.added.extend(fresh.map(|after| reader(newer, after)));
        diff
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

/// The records of `of` that may differ from those of `other`.
fn suspects<'v, T: Root>(of: TableRef<'v, T>, other: TableRef<'v, T>) -> impl Iterator<Item = NamedRecord<'v>> {
    let ordinals = of.table.into_iter().flat_map(move |table| {
        table.segments().flat_map(move |(first, segment)| {
            let sharing = other.table.filter(|other| other.has(first, segment));
            let differs = move |ordinal| !sharing.is_some_and(|other| other.is_live(Ordinal(ordinal)));
            table.live_of(first, segment).filter(move |ordinal| differs(*ordinal))
        })
    });
    let state = &of.scope.view.state;
    ordinals.filter_map(move |ordinal| NamedRecord::new(state, of.binding.chain?, Ordinal(ordinal)))
}

/// The record with the same key on the other side.
fn counterpart<'v, T: Root>(record: NamedRecord<'v>, other: TableRef<'v, T>) -> Option<NamedRecord<'v>> {
    let (table, state) = (other.table?, &other.scope.view.state);
    let plan = record.state.table(record.id).key_plan()?;
    let (ordinal, row) = plan.with_key(record.row, record.state.tables(), |key| table.find_row(key, state.tables()))?;
    Some(NamedRecord { state, id: other.binding.chain?, row, ordinal })
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
