//! Watching: when to look at the log again.
//!
//! A watcher only says "look again"; what there is to see, the log says. So a watcher may be late, early or wrong, and
//! nothing breaks: polling alone is enough, a change of a local file only makes it sooner.
//!
//! Rules: polls are spread by ± 20 %, so that a fleet that was started at once does not ask at once; a poll that was
//! put off by other work is not made up for.

use std::sync::Arc;
use std::time::Duration;

use cenote_store::env::{Env, Instant};
use cenote_store::storage::Storage;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

/// How a poll may be moved.
const JITTER: f64 = 0.2;

/// When to look at the log again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    /// About so often, and at once when a local store changes.
    Poll(Duration),
    /// Only when asked to.
    Manual,
}

/// Says when to look again.
pub(crate) struct Watcher {
    env: Env,
    watch: Watch,
    next: Instant,
    storage: Storage,
    changed: Arc<Notify>,
    local: Option<RecommendedWatcher>,
}

impl Watcher {
    pub(crate) fn new(env: Env, watch: Watch, storage: Storage) -> Watcher {
        let next = env.instant();
        Watcher { env, watch, next, storage, changed: Arc::default(), local: None }
    }

    /// A look was made: the next one is due a poll later.
    pub(crate) fn looked(&mut self) {
        if let Watch::Poll(every) = self.watch {
            self.next = self.env.instant() + self.env.jitter(every, JITTER);
            self.watch_files();
        }
    }

    /// Waits until it is time to look again. Dropping this loses nothing.
    pub(crate) async fn due(&self) {
        if self.watch == Watch::Manual {
            return std::future::pending().await;
        }
        let wait = self.next.saturating_duration_since(self.env.instant());
        tokio::select! {
            biased;
            () = self.changed.notified() => {}
            () = self.env.sleep(wait) => {}
        }
    }

    /// Watches the log's folder, once there is one. Whatever fails here, polling goes on.
    fn watch_files(&mut self) {
        if self.local.is_some() {
            return;
        }
        let Some(log) = self.storage.local_folder().map(|folder| folder.join("log")).filter(|log| log.is_dir()) else {
            return;
        };
        let changed = Arc::clone(&self.changed);
        let heard = move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| is_entry(&event)) {
                changed.notify_one();
            }
        };
        let watching = notify::recommended_watcher(heard).and_then(|mut watcher| {
            watcher.watch(&log, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        match watching {
            Ok(watcher) => {
                self.local = Some(watcher);
                // What came before the first look at the folder was not told.
                self.changed.notify_one();
            }
            Err(error) => tracing::warn!(%error, folder = %log.display(), "not watching the folder, polling only"),
        }
    }
}

/// Whether an entry may have come. A put that is being staged has a `#` in its name.
fn is_entry(event: &notify::Event) -> bool {
    let is_staged = |path: &std::path::PathBuf| path.as_os_str().as_encoded_bytes().contains(&b'#');
    !event.kind.is_access() && (event.paths.is_empty() || !event.paths.iter().all(is_staged))
}
