//! Watching: when to poll the log again.
//!
//! A watcher only reports "poll again"; the log says what there is to see. So a watcher may be late, early or wrong, and
//! nothing breaks: polling alone is enough, a change of a local file only makes it sooner.
//!
//! Rules: polls are spread by ± 20 %, so that a fleet that started at one moment does not poll at one moment; a poll that was
//! delayed by other work is not made up for.

use std::sync::Arc;
use std::time::Duration;

use cenote_store::env::{Env, Instant};
use cenote_store::storage::Storage;
use tokio::sync::Notify;

use crate::local::WatchedFolder;

/// By how much a poll may be moved.
const JITTER: f64 = 0.2;
/// The shortest time between two polls: ten requests a second. Whoever needs versions sooner waits for one by its token.
pub(crate) const POLL_MIN: Duration = Duration::from_millis(100);

/// When a consumer looks for newer versions.
///
/// ```
/// use std::time::Duration;
///
/// use cenote_consumer::{Consumer, ReloadPolicy};
///
/// let builder = Consumer::builder("s3://media/catalog").reload(ReloadPolicy::Poll(Duration::from_secs(2)));
/// # drop(builder);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReloadPolicy {
    /// Polls the log about this often, ± 20 %, and at most every 100 ms. A dataset in a local folder is watched as well:
    /// its changes are seen at once.
    Poll(Duration),
    /// Only when [`Consumer::refresh`](crate::Consumer::refresh) or a similar method is called.
    Manual,
}

impl Default for ReloadPolicy {
    /// Polls every 10 seconds.
    fn default() -> ReloadPolicy {
        ReloadPolicy::Poll(Duration::from_secs(10))
    }
}

/// Why it is time to poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Enough time has passed.
    Time,
    /// The files of the log have changed.
    Changed,
}

/// Reports when to poll again.
pub(crate) struct Watcher {
    env: Env,
    policy: ReloadPolicy,
    next: Instant,
    storage: Storage,
    changed: Arc<Notify>,
    local: Option<WatchedFolder>,
}

impl Watcher {
    pub(crate) fn new(env: Env, policy: ReloadPolicy, storage: Storage) -> Watcher {
        let next = env.instant();
        Watcher { env, policy, next, storage, changed: Arc::default(), local: None }
    }

    /// The log was read: the next poll is due after the policy's time.
    pub(crate) fn looked(&mut self) {
        if let ReloadPolicy::Poll(every) = self.policy {
            self.next = self.env.instant() + self.env.jitter(every.max(POLL_MIN), JITTER);
            self.watch_files();
        }
    }

    /// Waits until it is time to poll again. Dropping the future loses nothing.
    pub(crate) async fn due(&self) -> Due {
        if self.policy == ReloadPolicy::Manual {
            return std::future::pending().await;
        }
        let wait = self.next.saturating_duration_since(self.env.instant());
        tokio::select! {
            biased;
            () = self.changed.notified() => Due::Changed,
            () = self.env.sleep(wait) => Due::Time,
        }
    }

    /// Watches the log's folder, if it exists by now. Polling goes on even if this fails.
    fn watch_files(&mut self) {
        if self.local.as_ref().is_some_and(|watched| !watched.is_lost()) {
            return;
        }
        self.local = None;
        let Some(log) = self.storage.local_folder().map(|folder| folder.join("log")).filter(|log| log.is_dir()) else {
            return;
        };
        match WatchedFolder::new(&log, &self.changed) {
            Ok(watched) => {
                self.local = Some(watched);
                // Changes before this moment were not reported.
                self.changed.notify_one();
            }
            Err(error) => tracing::warn!(%error, folder = %log.display(), "not watching the folder, polling only"),
        }
    }
}
