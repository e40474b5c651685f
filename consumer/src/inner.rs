//! What the handles and the task share: the view cell, the status, the listeners.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use cenote_state::ids::{DatasetId, Timestamp, Version};
use cenote_state::view::View;
use cenote_store::env::Env;
use tokio::sync::watch;

use crate::cell::ViewCell;
use crate::metrics::Metrics;
use crate::report::RefreshReport;
use crate::retire::RetiredViews;
use crate::status::{Health, Status, StatusInner};

pub(crate) type Listener = Arc<dyn Fn(&RefreshReport) + Send + Sync>;

/// What callers that wait for a version watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) version: Version,
    /// Why the consumer follows no more.
    pub(crate) ended: Option<Ended>,
}

/// Why a consumer follows no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Ended {
    #[error("the consumer is closed; open another")]
    Closed,
    #[error("the consumer's task is gone, with the runtime that it ran on or after a panic; open another consumer")]
    TaskGone,
}

/// Shared by the handles and the task.
pub(crate) struct Inner {
    pub(crate) env: Env,
    pub(crate) url: String,
    pub(crate) cell: ViewCell,
    /// The dataset that is followed, once its log was found.
    pub(crate) dataset: OnceLock<DatasetId>,
    pub(crate) progress: watch::Sender<Progress>,
    retired: RetiredViews,
    status: Mutex<StatusInner>,
    listeners: Mutex<Vec<Listener>>,
    metrics: Metrics,
}

impl Inner {
    pub(crate) fn new(env: Env, url: String, empty: View, listeners: Vec<Listener>) -> Inner {
        Inner {
            env,
            metrics: Metrics::new(&url),
            url,
            cell: ViewCell::new(empty),
            dataset: OnceLock::new(),
            progress: watch::Sender::new(Progress { version: Version::EMPTY, ended: None }),
            retired: RetiredViews::default(),
            status: Mutex::default(),
            listeners: Mutex::new(listeners),
        }
    }

    pub(crate) fn status_inner(&self) -> MutexGuard<'_, StatusInner> {
        self.status.lock().expect("no holder of this lock panics")
    }

    /// Notes a commit that the view does not show yet.
    pub(crate) fn note_newer(&self, newest: Version, since: Timestamp) {
        let mut status = self.status_inner();
        status.newest = status.newest.max(newest);
        status.behind_since.get_or_insert(since);
    }

    pub(crate) fn status(&self) -> Status {
        let old_views = self.retired.summary(self.env.instant());
        let held = self.cell.view().state().held_counts();
        let mut status = self.status_inner().status(self.env.now(), old_views, held);
        if self.ended().is_some() {
            status.health = Health::Closed;
        }
        status
    }

    pub(crate) fn ended(&self) -> Option<Ended> {
        self.progress.borrow().ended
    }

    /// Swaps a newer view in, and retires the one before.
    pub(crate) fn swap(&self, newer: View, missing_types: Vec<String>) {
        let version = newer.version();
        let before = self.cell.advance(newer);
        self.retired.push(before, self.env.instant());
        let mut status = self.status_inner();
        status.version = version;
        if !missing_types.is_empty() && missing_types != status.missing_types {
            tracing::warn!(url = self.url, missing = ?missing_types, "the dataset has other types, and not these that the program declares: is it the right dataset?");
        }
        status.missing_types = missing_types;
        drop(status);
        self.progress.send_modify(|progress| progress.version = version);
    }

    /// Swaps type by type, as no build may: a test shows that it notices.
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

    /// Frees the retired views that no reader holds any more, off the async threads.
    pub(crate) async fn sweep(&self) {
        let free = {
            let current = self.cell.view();
            self.retired.take_free(&current)
        };
        if !free.is_empty() {
            // No destructor here panics; if one did, it would be contained.
            let _ = self.env.cpu(move || drop(free)).await;
        }
        self.metrics.old_views(&self.retired.summary(self.env.instant()));
    }

    pub(crate) fn listen(&self, listener: Listener) {
        self.listeners().push(listener);
    }

    /// Reports a refresh to the log, the metrics and the listeners.
    pub(crate) fn report(&self, report: &RefreshReport) {
        tracing::info!(
            url = self.url, from = %report.from, to = %report.to, path = ?report.path, bytes = report.bytes,
            took = ?report.steps.total, "refreshed"
        );
        self.metrics.refreshed(report);
        let listeners = self.listeners().clone();
        for listener in listeners {
            // A listener is the user's code: its panic must not end the task.
            if catch_unwind(AssertUnwindSafe(|| listener(report))).is_err() {
                tracing::error!(url = self.url, "an on_refresh listener panicked; the consumer goes on");
            }
        }
    }

    fn listeners(&self) -> MutexGuard<'_, Vec<Listener>> {
        self.listeners.lock().expect("no holder of this lock panics")
    }

    /// Notes that the consumer follows no more; the first reason counts.
    pub(crate) fn end(&self, ended: Ended) {
        self.progress.send_modify(|progress| progress.ended = progress.ended.or(Some(ended)));
    }
}
