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
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

/// By how much a poll may be moved.
const JITTER: f64 = 0.2;

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
    /// Polls the log about this often, ± 20 %. A dataset in a local folder is watched as well: its changes are seen at
    /// once.
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

/// Reports when to poll again.
pub(crate) struct Watcher {
    env: Env,
    policy: ReloadPolicy,
    next: Instant,
    storage: Storage,
    changed: Arc<Notify>,
    local: Option<RecommendedWatcher>,
}

impl Watcher {
    pub(crate) fn new(env: Env, policy: ReloadPolicy, storage: Storage) -> Watcher {
        let next = env.instant();
        Watcher { env, policy, next, storage, changed: Arc::default(), local: None }
    }

    /// The log was read: the next poll is due after the policy's time.
    pub(crate) fn looked(&mut self) {
        if let ReloadPolicy::Poll(every) = self.policy {
            self.next = self.env.instant() + self.env.jitter(every, JITTER);
            self.watch_files();
        }
    }

    /// Waits until it is time to poll again. Dropping the future loses nothing.
    pub(crate) async fn due(&self) {
        if self.policy == ReloadPolicy::Manual {
            return std::future::pending().await;
        }
        let wait = self.next.saturating_duration_since(self.env.instant());
        tokio::select! {
            biased;
            () = self.changed.notified() => {}
            () = self.env.sleep(wait) => {}
        }
    }

    /// Watches the log's folder, if it exists by now. Polling goes on even if this fails.
    fn watch_files(&mut self) {
        if self.local.is_some() {
            return;
        }
        let Some(log) = self.storage.local_folder().map(|folder| folder.join("log")).filter(|log| log.is_dir()) else {
            return;
        };
        let changed = Arc::clone(&self.changed);
        let on_event = move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| is_entry(&event)) {
                changed.notify_one();
            }
        };
        let watching = notify::recommended_watcher(on_event).and_then(|mut watcher| {
            watcher.watch(&log, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        match watching {
            Ok(watcher) => {
                self.local = Some(watcher);
                // Changes before this moment were not reported.
                self.changed.notify_one();
            }
            Err(error) => tracing::warn!(%error, folder = %log.display(), "not watching the folder, polling only"),
        }
    }
}

/// Whether an entry may have come. The name of a file that is being written contains a `#`.
fn is_entry(event: &notify::Event) -> bool {
    let is_staged = |path: &std::path::PathBuf| path.as_os_str().as_encoded_bytes().contains(&b'#');
    !event.kind.is_access() && (event.paths.is_empty() || !event.paths.iter().all(is_staged))
}
