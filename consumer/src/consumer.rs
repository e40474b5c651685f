//! The consumer: a handle on a dataset that is held in memory and kept up to date.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use cenote_state::ids::{Token, Version};
use cenote_state::view::View;
use cenote_store::storage::Storage;
use tokio::sync::{mpsc, oneshot, watch};

use crate::builder::Builder;
use crate::error::{NotYet, RefreshFailed};
use crate::follow::Goal;
use crate::refresh::RefreshError;
use crate::report::Report;
use crate::shared::Shared;
use crate::status::Status;
use crate::task::Ask;

/// While a version is waited for, the log is looked at again after this time, doubled up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Holds a dataset's newest version in memory. Put it into an `Arc` to share it.
///
/// Dropping it ends the following; the last view is freed where it is dropped.
pub struct Consumer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) asks: mpsc::UnboundedSender<Ask>,
    pub(crate) closing: watch::Sender<bool>,
    /// Runs this consumer's task; timers of callers without a runtime run on it, too.
    pub(crate) runtime: tokio::runtime::Handle,
}

impl Consumer {
    /// A consumer of the dataset at `url`: `s3://bucket/path`, `gs://…`, `az://…`, `file:///path`, a plain path,
    /// `memory://name`.
    pub fn builder(url: impl Into<String>) -> Builder {
        Builder::new(url.into(), None)
    }

    /// A consumer of the dataset on a storage of one's own.
    pub fn on(storage: Storage) -> Builder {
        Builder::new(storage.url().to_owned(), Some(storage))
    }

    /// The newest view, for as long as it is held. `Send`; it may cross an `.await`. Take one per request.
    #[inline]
    #[must_use]
    pub fn view(&self) -> View {
        self.shared.cell.view()
    }

    /// A look at the newest view without touching a counter: wait-free (I4). The view can't leave the closure; a
    /// refresh goes on beside it.
    #[inline]
    pub fn with<R>(&self, look: impl FnOnce(&View) -> R) -> R {
        self.shared.cell.with(look)
    }

    /// The version of the newest view; 0 before the first.
    #[must_use]
    pub fn version(&self) -> Version {
        self.shared.cell.version()
    }

    /// Whether there is a version to serve. A consumer goes on serving however unwell it is.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.version() > Version::EMPTY
    }

    /// How well it follows, what it lags behind by, what went wrong last, which old views are held.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared.status()
    }

    /// The dataset's URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.shared.url
    }

    /// Looks at the log now, and goes to the newest version. Gives the version that is served then.
    ///
    /// # Errors
    /// Why the newest version could not be reached; the view stays.
    pub async fn refresh(&self) -> Result<Version, RefreshFailed> {
        self.ask(Goal::Newest).await
    }

    /// Goes to this version and no further, for consumers that are `.manual()`; others go on by themselves.
    ///
    /// # Errors
    /// `Backward` if the view is newer already; `NoSuchVersion` if no commit stands there; else as for `refresh`.
    pub async fn refresh_to(&self, version: Version) -> Result<Version, RefreshFailed> {
        self.ask(Goal::Version(version)).await
    }

    /// A view that shows the write which `token` was given for: looks for it until it is there.
    ///
    /// # Errors
    /// `NotYet` when `timeout` is over, with the reason if the log could not be read.
    pub async fn view_at_least(&self, token: Token, timeout: Duration) -> Result<View, NotYet> {
        let wanted = token.version();
        let mut last_error = None;
        let found = self.shared.env.timeout(timeout, self.look_for(wanted, &mut last_error)).await;
        found.unwrap_or_else(|_| Err(NotYet::TimedOut { wanted, have: self.version(), waited: timeout, last_error }))
    }

    async fn look_for(&self, wanted: Version, last_error: &mut Option<RefreshFailed>) -> Result<View, NotYet> {
        let mut seen = self.shared.seen.subscribe();
        let mut pause = PAUSE;
        loop {
            let view = self.view();
            if view.version() >= wanted {
                return Ok(view);
            }
            drop(view);
            if seen.borrow_and_update().closed {
                return Err(NotYet::Closed);
            }
            *last_error = self.refresh().await.err();
            if self.version() >= wanted {
                continue;
            }
            tokio::select! {
                biased;
                _ = seen.changed() => {}
                () = self.shared.env.sleep(pause) => {}
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// The next view that is newer than the one that is served now.
    ///
    /// In a loop use [`Consumer::newer_than`], which misses nothing between two calls.
    ///
    /// # Errors
    /// `Closed` when the consumer is closed.
    pub async fn changed(&self) -> Result<View, NotYet> {
        self.newer_than(self.version()).await
    }

    /// A view newer than `version`: at once if there is one, else the next that comes.
    ///
    /// # Errors
    /// `Closed` when the consumer is closed.
    pub async fn newer_than(&self, version: Version) -> Result<View, NotYet> {
        let mut seen = self.shared.seen.subscribe();
        // The sender lives in what this handle shares, so it is there.
        let found = seen.wait_for(|seen| seen.version > version || seen.closed).await.map(|seen| *seen);
        match found {
            Ok(seen) if seen.version > version => Ok(self.view()),
            _ => Err(NotYet::Closed),
        }
    }

    /// Calls `listener` after each new version, on the consumer's task: keep it short.
    pub fn on_refresh(&self, listener: impl Fn(&Report) + Send + Sync + 'static) {
        self.shared.listen(Arc::new(listener));
    }

    /// Ends the following, a refresh under way included. The last view can still be read.
    pub async fn close(&self) {
        self.closing.send_replace(true);
        let mut seen = self.shared.seen.subscribe();
        let _ = seen.wait_for(|seen| seen.closed).await;
    }

    /// Waits for one of this consumer's futures on a thread without a runtime: `consumer.wait(consumer.refresh())`.
    ///
    /// # Panics
    /// On a thread of an async runtime: `.await` there.
    pub fn wait<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    async fn ask(&self, goal: Goal) -> Result<Version, RefreshFailed> {
        let (reply, answer) = oneshot::channel();
        let closed = || RefreshFailed::from(RefreshError::Closed);
        self.asks.send(Ask { goal, reply }).map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.closing.send_replace(true);
    }
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer").field("url", &self.url()).field("version", &self.version()).finish_non_exhaustive()
    }
}
