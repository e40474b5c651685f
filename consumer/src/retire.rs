//! Retired views: replaced, and perhaps still held by readers.
//!
//! A view's memory is a tree of thousands of parts, and dropping the last handle frees them all. So every replaced view
//! stays in this list, and the consumer's task frees it after the last reader has dropped it (I3): a reader's drop is a
//! decrement.
//!
//! Rules: a view is listed only after `swap` has returned, so that no new guard can reach it; a view to free is removed
//! under the lock and dropped outside of it, off the async threads.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use cenote_state::view::View;
use cenote_store::env::Instant;

/// Replaced views that readers may hold.
#[derive(Debug, Default)]
pub(crate) struct RetiredViews {
    views: Mutex<Vec<Retired>>,
}

#[derive(Debug)]
struct Retired {
    view: Arc<View>,
    since: Instant,
    /// Memory that only it and older views use; counted when it is first found to be still held.
    bytes: Option<u64>,
}

/// Replaced views that readers still hold, for instance in a long request or a leak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OldViews {
    /// How many are held.
    pub held: usize,
    /// How long ago the oldest was replaced.
    pub oldest: Duration,
    /// Bytes of records that no newer view shares.
    pub bytes: u64,
}

impl RetiredViews {
    /// Adds a view that was replaced at `now`.
    pub(crate) fn push(&self, view: Arc<View>, now: Instant) {
        self.list().push(Retired { view, since: now, bytes: None });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list().is_empty()
    }

    /// Removes the views that no reader holds; dropping them frees their memory. `current` is the newest view.
    #[must_use]
    pub(crate) fn take_free(&self, current: &View) -> Vec<Arc<View>> {
        let mut list = self.list();
        let all = std::mem::take(&mut *list);
        let (free, mut held): (Vec<_>, Vec<_>) = all.into_iter().partition(|retired| is_free(&retired.view));
        for index in 0..held.len() {
            if held[index].bytes.is_none() {
                let newer = held.get(index + 1).map_or(current, |newer| &newer.view);
                let bytes = held[index].view.state().bytes_apart(newer.state());
                held[index].bytes = Some(bytes);
            }
        }
        *list = held;
        free.into_iter().map(|retired| retired.view).collect()
    }

    pub(crate) fn summary(&self, now: Instant) -> OldViews {
        let list = self.list();
        OldViews {
            held: list.len(),
            oldest: list.first().map_or(Duration::ZERO, |oldest| now.saturating_duration_since(oldest.since)),
            bytes: list.iter().filter_map(|retired| retired.bytes).sum(),
        }
    }

    fn list(&self) -> MutexGuard<'_, Vec<Retired>> {
        self.views.lock().expect("no holder of this lock panics")
    }
}

/// Whether this list has the last handle. Handles are made from the outer `Arc` or from other handles: if there are none
/// of either, there will be none later.
fn is_free(view: &Arc<View>) -> bool {
    Arc::strong_count(view) == 1 && view.holders() == 1
}
