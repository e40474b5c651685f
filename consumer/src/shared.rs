//! What the handle and the owner's task have in common: the cell, the status, who wants to be told.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard};

use cenote_state::ids::{Timestamp, Version};
use cenote_state::view::View;
use cenote_store::env::Env;
use tokio::sync::watch;

use crate::cell::ViewCell;
use crate::report::Report;
use crate::retire::RetiredViews;
use crate::status::{Situation, Status};

pub(crate) type Listener = Arc<dyn Fn(&Report) + Send + Sync>;

/// What waiters wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) version: Version,
    pub(crate) closed: bool,
}

/// Owned by the handle and the task alike.
pub(crate) struct Shared {
    pub(crate) env: Env,
    pub(crate) url: String,
    pub(crate) cell: ViewCell,
    pub(crate) seen: watch::Sender<Seen>,
    retired: RetiredViews,
    situation: Mutex<Situation>,
    listeners: Mutex<Vec<Listener>>,
}

impl Shared {
    pub(crate) fn new(env: Env, url: String, empty: View, listeners: Vec<Listener>) -> Shared {
        Shared {
            env,
            url,
            cell: ViewCell::new(empty),
            seen: watch::Sender::new(Seen { version: Version::EMPTY, closed: false }),
            retired: RetiredViews::default(),
            situation: Mutex::default(),
            listeners: Mutex::new(listeners),
        }
    }

    pub(crate) fn situation(&self) -> MutexGuard<'_, Situation> {
        self.situation.lock().expect("nothing panics while it holds this lock")
    }

    /// A commit is there that the view does not show yet.
    pub(crate) fn behind(&self, newest: Version, since: Timestamp) {
        let mut situation = self.situation();
        situation.newest = situation.newest.max(newest);
        situation.behind_since.get_or_insert(since);
    }

    pub(crate) fn status(&self) -> Status {
        let old_views = self.retired.summary(self.env.instant());
        self.situation().status(self.env.now(), old_views)
    }

    /// Puts a newer view in its place, and the one before among the retired.
    pub(crate) fn swap(&self, newer: View) {
        let version = newer.version();
        let before = self.cell.advance(newer);
        self.retired.push(before, self.env.instant());
        self.situation().version = version;
        self.seen.send_modify(|seen| seen.version = version);
    }

    /// What a build would do that swaps type by type: for the test that shows that it is caught.
    #[cfg(feature = "testing")]
    pub(crate) fn swap_torn(&self, newer: &View) {
        let old = self.cell.view();
        for types in 1..newer.state().tables().len() {
            let state = old.state().torn(newer.state(), types);
            let torn = View::with_indexes(state, newer.binding().clone(), old.indexes().clone(), old.committed_at());
            let before = self.cell.replace(torn);
            self.retired.push(before, self.env.instant());
            std::thread::yield_now();
        }
    }

    pub(crate) fn has_retired(&self) -> bool {
        !self.retired.is_empty()
    }

    /// Frees the retired views that nobody holds any more, off the async threads.
    pub(crate) async fn sweep(&self) {
        let free = {
            let current = self.cell.view();
            self.retired.take_free(&current)
        };
        if !free.is_empty() {
            // A destructor of ours does not panic; if one did, it would be contained here.
            let _ = self.env.cpu(move || drop(free)).await;
        }
        let old_views = self.retired.summary(self.env.instant());
        metrics::gauge!("cenote_consumer_old_views", "dataset" => self.url.clone()).set(old_views.held as f64);
        metrics::gauge!("cenote_consumer_old_views_bytes", "dataset" => self.url.clone()).set(old_views.bytes as f64);
        metrics::gauge!("cenote_consumer_old_views_seconds", "dataset" => self.url.clone())
            .set(old_views.oldest.as_secs_f64());
    }

    pub(crate) fn listen(&self, listener: Listener) {
        self.listeners().push(listener);
    }

    /// Tells the log, the metrics and the listeners.
    pub(crate) fn tell(&self, report: &Report) {
        tracing::info!(
            url = self.url, from = %report.from, to = %report.to, path = ?report.path, bytes = report.bytes,
            took = ?report.steps.total, "refreshed"
        );
        metrics::gauge!("cenote_consumer_version", "dataset" => self.url.clone()).set(report.to.0 as f64);
        metrics::histogram!("cenote_consumer_refresh_seconds", "dataset" => self.url.clone())
            .record(report.steps.total.as_secs_f64());
        metrics::counter!("cenote_consumer_bytes", "dataset" => self.url.clone()).increment(report.bytes);
        let listeners = self.listeners().clone();
        for listener in listeners {
            // A listener is the user's: it must not end the following.
            if catch_unwind(AssertUnwindSafe(|| listener(report))).is_err() {
                tracing::error!(url = self.url, "an on_refresh listener panicked; going on");
            }
        }
    }

    fn listeners(&self) -> MutexGuard<'_, Vec<Listener>> {
        self.listeners.lock().expect("nothing panics while it holds this lock")
    }

    pub(crate) fn close(&self) {
        self.seen.send_modify(|seen| seen.closed = true);
    }
}
