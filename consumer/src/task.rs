//! The consumer's task: one loop that refreshes when a poll is due or a caller requests it.
//!
//! Rules: a request is answered by a look at the log that began after it; requests that wait together are answered
//! together; closing does not wait for a refresh, whose future is dropped; wherever the task ends, callers that wait are
//! told, also if its runtime is shut down or it panics.

use std::sync::Arc;
use std::time::Duration;

use cenote_state::ids::Version;
use tokio::sync::{mpsc, oneshot, watch};

use crate::error::RefreshError;
use crate::follow::{Follower, Goal};
use crate::inner::{Ended, Inner};
use crate::watch::{Due, Watcher};

/// How often the retired views are swept while there are any.
const SWEEP_EVERY: Duration = Duration::from_millis(200);

/// A caller's request to refresh now.
pub(crate) struct RefreshRequest {
    pub(crate) goal: Goal,
    pub(crate) reply: oneshot::Sender<Result<Version, RefreshError>>,
}

/// The task, ready to run.
pub(crate) struct Task {
    // First, so that it tells before the requests are refused.
    pub(crate) alive: Alive,
    pub(crate) follower: Follower,
    pub(crate) watcher: Watcher,
    pub(crate) requests: mpsc::UnboundedReceiver<RefreshRequest>,
    pub(crate) closing: watch::Receiver<bool>,
}

/// Tells the callers when it is dropped before the consumer was closed.
pub(crate) struct Alive(pub(crate) Arc<Inner>);

impl Drop for Alive {
    fn drop(&mut self) {
        if self.0.ended().is_none() {
            tracing::error!(url = self.0.url, "{}", Ended::TaskGone);
            self.0.end(Ended::TaskGone);
        }
    }
}

impl Task {
    /// Runs until the consumer is closed, or its last handle is dropped.
    pub(crate) async fn run(self) {
        let Task { mut follower, mut watcher, mut requests, mut closing, alive } = self;
        let inner = follower.inner.clone();
        tokio::select! {
            biased;
            // An error means that no handle exists any more.
            _ = closing.wait_for(|closing| *closing) => {}
            () = follow(&mut follower, &mut watcher, &mut requests) => {}
        }
        drop((follower, watcher, requests));
        inner.sweep().await;
        inner.end(Ended::Closed);
        drop(alive);
    }
}

async fn follow(
    follower: &mut Follower,
    watcher: &mut Watcher,
    requests: &mut mpsc::UnboundedReceiver<RefreshRequest>,
) {
    let inner = follower.inner.clone();
    loop {
        let request = tokio::select! {
            biased;
            request = requests.recv() => match request {
                Some(request) => Some(request),
                None => return,
            },
            why = watcher.due() => {
                follower.log_changed |= why == Due::Changed;
                None
            }
            () = inner.env.sleep(SWEEP_EVERY), if inner.has_retired() => {
                inner.sweep().await;
                continue;
            }
        };
        answer(follower, requests, request).await;
        watcher.looked();
        inner.sweep().await;
    }
}

/// Refreshes once for each caller that wants a certain version, then once for all that want the newest.
async fn answer(
    follower: &mut Follower,
    requests: &mut mpsc::UnboundedReceiver<RefreshRequest>,
    first: Option<RefreshRequest>,
) {
    let mut waiting: Vec<RefreshRequest> = first.into_iter().collect();
    while let Ok(request) = requests.try_recv() {
        waiting.push(request);
    }
    let is_poll = waiting.is_empty();
    let (newest, certain): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|request| request.goal == Goal::Newest);
    for request in certain {
        let result = follower.refresh(request.goal).await;
        // The caller may have dropped its future.
        let _ = request.reply.send(result);
    }
    if is_poll || !newest.is_empty() {
        let result = follower.refresh(Goal::Newest).await;
        for request in newest {
            let _ = request.reply.send(result.clone());
        }
    }
}
