//! Processes, each as a task: kept running, killed and restarted as by an orchestrator.
//!
//! A process that ends, for whatever reason, is started again after a while. Each start calls the function that builds it,
//! so it has nothing but what was stored.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::Answer;
use crate::clock;
use crate::metrics::Metrics;
use crate::points::Killed;

/// A process that must not be started again: another one has taken its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("another process has taken this one's place")]
pub struct Replaced;

/// The processes of one strategy.
pub struct Tasks {
    restart_after: Duration,
    metrics: Arc<Metrics>,
    kept: Mutex<Vec<Kept>>,
}

struct Kept {
    name: &'static str,
    kill: Arc<Notify>,
    replace: Arc<Notify>,
    up: Arc<AtomicBool>,
    handle: JoinHandle<()>,
}

impl Tasks {
    /// No processes yet.
    #[must_use]
    pub fn new(restart_after: Duration, metrics: Arc<Metrics>) -> Tasks {
        Tasks { restart_after, metrics, kept: Mutex::default() }
    }

    /// Keeps the process running that `start` makes.
    pub fn keep(&self, name: &'static str, start: impl Fn() -> BoxFuture<'static, Answer<()>> + Send + 'static) {
        let (kill, replace, up) = (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(AtomicBool::new(true)));
        let keeper = Keeper {
            kill: Arc::clone(&kill),
            replace: Arc::clone(&replace),
            up: Arc::clone(&up),
            metrics: Arc::clone(&self.metrics),
            restart_after: self.restart_after,
        };
        let handle = clock::spawn(async move { keeper.keep(start).await });
        self.kept.lock().expect("nothing panics under this lock").push(Kept { name, kill, replace, up, handle });
    }

    /// Kills the processes with this name, at whatever point; they are started again.
    pub fn kill(&self, name: &str) {
        let kept = self.kept.lock().expect("nothing panics under this lock");
        kept.iter().filter(|kept| kept.name == name).for_each(|kept| kept.kill.notify_one());
    }

    /// Deploys the processes with this name: they end and are started at once. No alarm rings.
    pub fn deploy(&self, name: &str) {
        let kept = self.kept.lock().expect("nothing panics under this lock");
        kept.iter().filter(|kept| kept.name == name).for_each(|kept| kept.replace.notify_one());
    }

    /// How many are not running.
    #[must_use]
    pub fn down(&self) -> u64 {
        let kept = self.kept.lock().expect("nothing panics under this lock");
        kept.iter().filter(|kept| !kept.up.load(Relaxed)).count() as u64
    }

    /// Ends all of them.
    pub async fn stop(&self) {
        let kept = std::mem::take(&mut *self.kept.lock().expect("nothing panics under this lock"));
        for Kept { handle, .. } in kept {
            handle.abort();
            // Aborted, which is what was wanted.
            let _ = handle.await;
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        let kept = self.kept.get_mut().expect("nothing panics under this lock");
        kept.iter().for_each(|kept| kept.handle.abort());
    }
}

struct Keeper {
    kill: Arc<Notify>,
    replace: Arc<Notify>,
    up: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
    restart_after: Duration,
}

impl Keeper {
    async fn keep(self, start: impl Fn() -> BoxFuture<'static, Answer<()>>) {
        loop {
            let ended = tokio::select! {
                biased;
                () = self.replace.notified() => continue,
                () = self.kill.notified() => None,
                ended = start() => Some(ended),
            };
            match ended {
                Some(Err(error)) if error.is::<Replaced>() => return,
                Some(Err(error)) if !error.is::<Killed>() => self.count(&self.metrics.retries),
                _ => self.count(&self.metrics.restarts),
            }
            self.up.store(false, Relaxed);
            clock::sleep(self.restart_after).await;
            self.up.store(true, Relaxed);
        }
    }

    fn count(&self, counter: &AtomicU64) {
        Metrics::count(counter, 1);
    }
}
