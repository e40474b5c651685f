//! The view cell: the one place that readers read, and the one place that a refresh writes.
//!
//! A read is a guard and a pointer; a swap is one store. Neither `view` nor `with` waits for a refresh, and `with` is
//! wait-free (I4).
//!
//! Rules: one task owns the writing side; the cell moves forward only (I8); a guard never leaves its closure, so that no
//! caller holds one across an `.await`.

use std::sync::Arc;

use arc_swap::ArcSwap;
use cenote_state::ids::Version;
use cenote_state::view::View;

/// Holds the newest view.
#[derive(Debug)]
pub(crate) struct ViewCell {
    view: ArcSwap<View>,
}

impl ViewCell {
    pub(crate) fn new(view: View) -> ViewCell {
        ViewCell { view: ArcSwap::from_pointee(view) }
    }

    /// A handle on the newest view.
    #[inline]
    pub(crate) fn view(&self) -> View {
        View::clone(&self.view.load())
    }

    /// Lends the newest view to a closure.
    #[inline]
    pub(crate) fn with<R>(&self, read: impl FnOnce(&View) -> R) -> R {
        read(&self.view.load())
    }

    pub(crate) fn version(&self) -> Version {
        self.view.load().version()
    }

    /// Swaps a newer view in and returns the one before. Only the task calls this.
    ///
    /// # Panics
    /// If the view is not newer: that is a bug in this crate, and readers must not see it.
    pub(crate) fn advance(&self, newer: View) -> Arc<View> {
        assert!(newer.version() > self.version(), "a consumer's version never goes back (I8)");
        self.view.swap(Arc::new(newer))
    }

    /// Swaps any view in: for the test that shows what torn swaps would do.
    #[cfg(feature = "testing")]
    pub(crate) fn replace(&self, view: View) -> Arc<View> {
        self.view.swap(Arc::new(view))
    }
}
