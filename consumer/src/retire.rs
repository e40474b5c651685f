//! Retired views: replaced, and perhaps still held.
//!
//! A view's memory is a tree of thousands of parts, and whoever drops the last handle pays for freeing them. So every
//! replaced view stays in this list, and the owner's task frees it once the last reader has let go (I3): a reader's
//! drop is a decrement.
//!
//! Rules: a view comes here only after `swap` has returned, so no new guard can reach it; what is freed is taken out
//! under the lock and dropped outside of it, off the async threads.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use cenote_state::view::View;
use cenote_store::env::Instant;

/// Replaced views that somebody holds.
#[derive(Debug, Default)]
pub(crate) struct RetiredViews {
    views: Mutex<Vec<Retired>>,
}

#[derive(Debug)]
struct Retired {
    view: Arc<View>,
    since: Instant,
    /// Memory that only it and older ones use; counted when it is first seen to be held on.
    bytes: Option<u64>,
}

/// Old views that readers hold on to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OldViews {
    /// How many are held.
    pub held: usize,
    /// How long ago the oldest was replaced.
    pub oldest: Duration,
    /// Bytes of records that no newer view shares.
    pub bytes: u64,
}

impl RetiredViews {
    /// Takes a view in that was replaced at `now`.
    pub(crate) fn push(&self, view: Arc<View>, now: Instant) {
        self.list().push(Retired { view, since: now, bytes: None });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list().is_empty()
    }

    /// Takes out the views that nobody else holds; dropping them frees their memory. `current` is the newest view.
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
        self.views.lock().expect("nothing panics while it holds this lock")
    }
}

/// Whether this list is the last holder. Handles are made from the outer `Arc` or from other handles, so once there
/// are none of either, there never will be.
fn is_free(view: &Arc<View>) -> bool {
    Arc::strong_count(view) == 1 && view.holders() == 1
}
