//! What a cycle starts from: the newest committed state, and what the producer knows about it.
//!
//! A cycle reads all of it and changes none of it: its findings are kept apart ([`BaseUpdates`]) until it is committed. So a
//! cycle that fails, or a future that is dropped, leaves the producer as it was (I6).

use std::sync::Arc;

use cenote_state::ids::TypeId;
use cenote_state::keys::KeyPlan;
use cenote_state::schema::KeyError;
use cenote_state::state::State;

use crate::content::Content;
use crate::ordinals::Ordinals;
use crate::plan::Plans;
use crate::references::References;

/// The newest state and its indexes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct CycleBase {
    /// The newest version's records, under the schema that the next commit has.
    pub(crate) state: State,
    pub(crate) plans: Arc<Plans>,
    pub(crate) content: Arc<Content>,
    pub(crate) references: Arc<References>,
    pub(crate) ordinals: Arc<Ordinals>,
    /// Components without a reference since a schema change; the next commit removes them.
    pub(crate) orphans: Arc<[(TypeId, u32)]>,
}

/// What a commit changes in the indexes, at the cost of the commit.
#[derive(Debug, Default)]
pub(crate) struct BaseUpdates {
    /// Ordinals that were removed and added, ascending, by type; types without any are left out.
    pub(crate) types: Vec<TypeUpdates>,
    /// Changes in the number of references to components.
    pub(crate) references: Vec<(TypeId, u32, i64)>,
}

/// What a commit changes in the indexes of one type.
#[derive(Debug)]
pub(crate) struct TypeUpdates {
    pub(crate) type_id: TypeId,
    pub(crate) removed: Vec<u32>,
    pub(crate) added: Vec<u32>,
    /// How many records have new values under their ordinals.
    pub(crate) changed: u64,
    /// How many records have new values under other ordinals: they are among those removed and those added.
    pub(crate) moved: u64,
}

impl CycleBase {
    /// Builds all indexes from the state: what opening costs.
    pub(crate) fn of_state(state: State) -> Result<CycleBase, KeyError> {
        let plans = Plans::new(state.schema())?;
        let references = References::of_state(&state, &plans);
        Ok(CycleBase {
            content: Arc::new(Content::of_state(&state)),
            orphans: references.orphans(&state).into(),
            references: Arc::new(references),
            ordinals: Arc::new(Ordinals::of_state(&state)),
            plans: Arc::new(plans),
            state,
        })
    }

    /// How the keys of a root type are read.
    ///
    /// # Panics
    /// If the type is a component: only roots are added.
    pub(crate) fn key_plan(&self, id: TypeId) -> &KeyPlan {
        self.state.table(id).key_plan().expect("only roots are added, and they have keys")
    }

    /// Moves on to a committed state. No clone should be left by now: an index that is shared is copied first.
    pub(crate) fn update(&mut self, next: State, updates: &BaseUpdates) {
        let content = Arc::make_mut(&mut self.content);
        let ordinals = Arc::make_mut(&mut self.ordinals);
        for TypeUpdates { type_id, removed, added, .. } in &updates.types {
            ordinals.update(*type_id, &next, removed, added);
            if next.table(*type_id).key_plan().is_none() {
                content.update(*type_id, &self.state, removed, &next, added);
            }
        }
        Arc::make_mut(&mut self.references).update(&updates.references);
        self.orphans = Arc::new([]);
        self.state = next;
    }

    /// Asserts that the indexes, updated commit by commit, are those that the state gives.
    ///
    /// # Panics
    /// If they are not: for tests.
    pub(crate) fn check_invariants(&self) {
        self.state.check_invariants();
        self.references.check_invariants(&self.state, &self.plans);
        self.ordinals.check_invariants(&self.state);
        self.content.check_invariants(&self.state);
    }
}
