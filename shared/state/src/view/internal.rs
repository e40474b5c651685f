//! What the producer and the consumer do with a view: they make it of a state, and take the state out again.
//!
//! Hidden from the documentation, since no user has a state; these may change in any release.

use std::sync::Arc;

use crate::ids::{Ordinal, Timestamp};
use crate::record::bind::TypeBinding;
use crate::record::{Binding, Root};
use crate::state::State;

use super::{Bound, Indexes, View, Viewed};

impl View {
    /// A state as the program's types see it. `binding` was made for the state's schema.
    #[doc(hidden)]
    #[must_use]
    pub fn new(state: State, binding: Arc<Binding>, committed_at: Timestamp) -> View {
        View::with_indexes(state, binding, Indexes::default(), committed_at)
    }

    /// The same with hash indexes, which are the state's.
    #[doc(hidden)]
    #[must_use]
    pub fn with_indexes(state: State, binding: Arc<Binding>, indexes: Indexes, committed_at: Timestamp) -> View {
        let table = |of_type: &TypeBinding| state.tables().get(of_type.chain?.index()).cloned();
        let bound = binding.types().map(|of_type| Bound { table: table(of_type), binding: Arc::clone(of_type) });
        View { viewed: Arc::new(Viewed { bound: bound.collect(), state, binding, indexes, committed_at }) }
    }

    /// The ordinal of the record under this one's key, if it is equal to this one: then adding it changes nothing. `None`
    /// does not mean that they differ; the caller compares canonical bytes.
    #[doc(hidden)]
    #[inline]
    #[must_use]
    pub fn find_same<T: Root>(&self, record: &T) -> Option<Ordinal> {
        self.viewed.binding.by_slot(T::slot().number())?;
        let found = T::at(self.table::<T>().get(record.key())?);
        record.is_same(found).then(|| found.ordinal())
    }

    /// The state itself.
    #[doc(hidden)]
    #[must_use]
    pub fn state(&self) -> &State {
        &self.viewed.state
    }

    /// How the program's types were found in the schema.
    #[doc(hidden)]
    #[must_use]
    pub fn binding(&self) -> &Arc<Binding> {
        &self.viewed.binding
    }

    /// The hash indexes.
    #[doc(hidden)]
    #[must_use]
    pub fn indexes(&self) -> &Indexes {
        &self.viewed.indexes
    }

    /// How many handles there are on this view, this one included. Exact only while no other thread can clone one.
    #[doc(hidden)]
    #[must_use]
    pub fn holders(&self) -> usize {
        Arc::strong_count(&self.viewed)
    }
}
