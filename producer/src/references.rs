//! How often each component record is referred to, so that orphans are removed at a cost that follows the change.
//!
//! Counts are made from the state when a producer opens. A cycle counts its changes apart ([`Recount`]): they join the
//! counts once the commit is in the log, so that a cycle that fails changes nothing (I6).
//!
//! Rule: what is counted is every place that holds the ordinal, in live records of all types; a live component has at
//! least one.

use std::collections::{BTreeMap, BTreeSet};

use cenote_state::ids::{Ordinal, TypeId};
use cenote_state::state::State;
use cenote_state::table::Table;

use crate::plan::Plans;

/// References to the components of one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct References {
    /// By type and ordinal; those of roots stay empty.
    counts: Vec<Vec<u64>>,
}

impl References {
    /// Counts every reference in the state.
    pub(crate) fn of_state(state: &State, plans: &Plans) -> References {
        let room = |table: &Table| if table.key_plan().is_some() { 0 } else { table.ordinal_ceiling() };
        let mut counts: Vec<_> = state.tables().iter().map(|table| vec![0; room(table) as usize]).collect();
        for table in state.tables() {
            let plan = plans.of(table.layout().type_id);
            for ordinal in table.ordinals() {
                let row = table.row(ordinal).expect("a live ordinal has a row");
                plan.stored_references(row, |id, target| counts[id.index()][target as usize] += 1);
            }
        }
        References { counts }
    }

    /// Live components without a reference: a schema change that drops a column leaves some.
    pub(crate) fn orphans(&self, state: &State) -> Vec<(TypeId, u32)> {
        let tables = state.tables().iter().filter(|table| table.key_plan().is_none());
        let of_table = |table: &Table| {
            let id = table.layout().type_id;
            let orphans = table.live().iter().filter(move |ordinal| self.count(id, *ordinal) == 0);
            orphans.map(|ordinal| (id, ordinal)).collect::<Vec<_>>()
        };
        tables.flat_map(|table| of_table(table)).collect()
    }

    fn count(&self, id: TypeId, ordinal: u32) -> u64 {
        self.counts[id.index()].get(ordinal as usize).copied().unwrap_or(0)
    }

    /// Follows a commit.
    pub(crate) fn update(&mut self, changes: &[(TypeId, u32, i64)]) {
        for (id, ordinal, change) in changes {
            let counts = &mut self.counts[id.index()];
            if counts.len() <= *ordinal as usize {
                counts.resize(*ordinal as usize + 1, 0);
            }
            let count = &mut counts[*ordinal as usize];
            *count = count.checked_add_signed(*change).expect("no record loses references that it did not have");
        }
    }

    /// Asserts that the counts are those of the state, and that no component is an orphan.
    ///
    /// # Panics
    /// When they are not: for tests and debug builds.
    pub(crate) fn check_invariants(&self, state: &State, plans: &Plans) {
        let recounted = References::of_state(state, plans);
        for table in state.tables().iter().filter(|table| table.key_plan().is_none()) {
            let id = table.layout().type_id;
            let ceiling = table.ordinal_ceiling();
            for ordinal in 0..ceiling {
                let count = self.count(id, ordinal);
                assert_eq!(count, recounted.count(id, ordinal), "references to ordinal {ordinal} of type {id}");
                assert_eq!(count > 0, table.is_live(Ordinal(ordinal)), "ordinal {ordinal} of type {id}");
            }
        }
    }
}

/// What a cycle changes in the counts: of records that the last version has, and of those that the cycle brings.
///
/// A fresh record's provisional ordinal is its number after all ordinals that the last version's table has room for.
pub(crate) struct Recount<'a> {
    state: &'a State,
    plans: &'a Plans,
    before: &'a References,
    known: BTreeMap<(TypeId, u32), i64>,
    /// By type and number.
    fresh: Vec<Vec<u64>>,
    /// Fresh records that got their first reference, and whose references are still to be counted.
    reached: Vec<(TypeId, u32)>,
}

impl<'a> Recount<'a> {
    /// Nothing changed yet; `fresh` is how many records of each type the cycle brings.
    pub(crate) fn new(state: &'a State, plans: &'a Plans, before: &'a References, fresh: &[u32]) -> Recount<'a> {
        let fresh = fresh.iter().map(|count| vec![0; *count as usize]).collect();
        Recount { state, plans, before, known: BTreeMap::new(), fresh, reached: Vec::new() }
    }

    /// One more reference.
    pub(crate) fn add(&mut self, id: TypeId, ordinal: u32) {
        match ordinal.checked_sub(self.state.table(id).ordinal_ceiling()) {
            Some(number) => {
                let count = &mut self.fresh[id.index()][number as usize];
                *count += 1;
                if *count == 1 {
                    self.reached.push((id, number));
                }
            }
            None => *self.known.entry((id, ordinal)).or_default() += 1,
        }
    }

    /// A fresh record that is referred to, and whose references must be added now.
    pub(crate) fn next_reached(&mut self) -> Option<(TypeId, u32)> {
        self.reached.pop()
    }

    /// A record of the last version is removed, or gets other references: all that it has are subtracted.
    pub(crate) fn remove_all(&mut self, id: TypeId, ordinal: u32) {
        let row = self.state.table(id).row(Ordinal(ordinal)).expect("only records that are there go");
        let known = &mut self.known;
        self.plans.of(id).stored_references(row, |id, target| *known.entry((id, target)).or_default() -= 1);
    }

    /// Removes the orphans, and what only they referred to, and so on. Returns all that are removed, ascending.
    fn orphans(&mut self, suspects: &[(TypeId, u32)]) -> Vec<(TypeId, u32)> {
        let is_orphan = |recount: &Self, id: TypeId, ordinal: u32| {
            let change = recount.known.get(&(id, ordinal)).copied().unwrap_or(0);
            recount.before.count(id, ordinal).checked_add_signed(change).expect("counts cover every reference") == 0
        };
        let suspects: BTreeSet<_> = self.known.keys().chain(suspects).copied().collect();
        let mut gone: Vec<_> = suspects.into_iter().filter(|(id, ordinal)| is_orphan(self, *id, *ordinal)).collect();
        let mut next = 0;
        while let Some((id, ordinal)) = gone.get(next).copied() {
            next += 1;
            let row = self.state.table(id).row(Ordinal(ordinal)).expect("only records that are there go");
            let mut touched = Vec::new();
            self.plans.of(id).stored_references(row, |id, target| touched.push((id, target)));
            for (id, target) in touched {
                *self.known.entry((id, target)).or_default() -= 1;
                if is_orphan(self, id, target) {
                    gone.push((id, target));
                }
            }
        }
        gone.sort_unstable();
        gone
    }

    /// What becomes of components, now that every reference was added. `suspects` may be orphans though nothing changed
    /// about them.
    pub(crate) fn finish(mut self, suspects: &[(TypeId, u32)]) -> Recounted {
        let orphans = self.orphans(suspects);
        Recounted { fresh: self.fresh, known: self.known, orphans }
    }
}

/// What becomes of components.
pub(crate) struct Recounted {
    /// How often each fresh record is referred to, by type and number.
    pub(crate) fresh: Vec<Vec<u64>>,
    /// Changes in the references to records of the last version.
    pub(crate) known: BTreeMap<(TypeId, u32), i64>,
    /// Records of the last version that are removed, ascending.
    pub(crate) orphans: Vec<(TypeId, u32)>,
}
