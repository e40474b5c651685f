//! The consumer: a handle on a dataset that is held in memory and kept up to date.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use cenote_state::ids::Version;
use cenote_state::token::Token;
use cenote_state::view::View;
use tokio::sync::{mpsc, oneshot, watch};

use crate::error::{RefreshCause, RefreshError, WaitCause, WaitError};
use crate::follow::Goal;
use crate::inner::{Ended, Inner, Progress};
use crate::report::RefreshReport;
use crate::status::Status;
use crate::task::RefreshRequest;

/// While a caller waits for a version, the log is polled again after this time, doubled up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Holds a dataset's newest version in memory, and follows the dataset. Cheap to clone: all clones are one consumer.
///
/// When the last clone is dropped, the consumer stops following. Views that readers hold stay valid.
///
/// ```
/// # use cenote_producer::Producer;
/// use cenote_consumer::{Consumer, Record};
///
/// #[derive(Record)]
/// #[record(key = "id")]
/// struct Movie {
///     id: u64,
///     title: String,
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let mut producer = Producer::builder("memory://consumer").with::<Movie>().open().await?;
/// # let heat = Movie { id: 42, title: "Heat".into() };
/// # let written = producer.update(|changes| Ok(changes.upsert(&heat)?)).await?.version();
/// let consumer = Consumer::builder("memory://consumer").with::<Movie>().open().await?;
/// let for_a_thread = consumer.clone();
/// let reader = std::thread::spawn(move || for_a_thread.with(|view| view.len::<Movie>()));
/// assert_eq!(reader.join().unwrap(), 1);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Consumer {
    inner: Arc<Inner>,
    handle: Arc<Handle>,
}

/// What the clones share besides the data: the way to the task, which ends with the last clone.
struct Handle {
    requests: mpsc::UnboundedSender<RefreshRequest>,
    close: watch::Sender<bool>,
    /// Runs the task; callers without a runtime wait on it.
    runtime: tokio::runtime::Handle,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close.send_replace(true);
    }
}

impl Consumer {
    pub(crate) fn new(
        inner: Arc<Inner>,
        requests: mpsc::UnboundedSender<RefreshRequest>,
        close: watch::Sender<bool>,
        runtime: tokio::runtime::Handle,
    ) -> Consumer {
        Consumer { inner, handle: Arc::new(Handle { requests, close, runtime }) }
    }

    /// The newest view, for as long as it is held. It is `Send` and may be held across an `.await`. Take one per request, so
    /// that all reads of the request see one version.
    ///
    /// ```
    /// # use cenote_consumer::{Consumer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64, title: String }
    /// fn title(consumer: &Consumer, id: u64) -> Option<String> {
    ///     let view = consumer.view();
    ///     Some(view.get::<Movie>(id)?.title().to_owned())
    /// }
    /// ```
    #[inline]
    #[must_use]
    pub fn view(&self) -> View {
        self.inner.cell.view()
    }

    /// Lends the newest view to a closure, without touching a counter: wait-free. The view can't leave the closure. A
    /// refresh does not wait for the closure.
    ///
    /// ```
    /// # use cenote_consumer::{Consumer, Record};
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64, title: String }
    /// fn title_length(consumer: &Consumer, id: u64) -> Option<usize> {
    ///     consumer.with(|view| view.get::<Movie>(id).map(|movie| movie.title().len()))
    /// }
    /// ```
    #[inline]
    pub fn with<R>(&self, read: impl FnOnce(&View) -> R) -> R {
        self.inner.cell.with(read)
    }

    /// The version of the newest view; 0 before the first.
    ///
    /// ```
    /// # use cenote_consumer::Consumer;
    /// fn log(consumer: &Consumer) {
    ///     println!("serving version {}", consumer.version());
    /// }
    /// ```
    #[must_use]
    pub fn version(&self) -> Version {
        self.inner.cell.version()
    }

    /// Whether there is a version to serve. A consumer goes on serving its last version through every failure.
    ///
    /// ```
    /// # use cenote_consumer::Consumer;
    /// fn readiness(consumer: &Consumer) -> u16 {
    ///     if consumer.is_serving() { 200 } else { 503 }
    /// }
    /// ```
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.version() > Version::EMPTY
    }

    /// How well the consumer follows the dataset, how far it is behind, what failed last, and which old views are held.
    ///
    /// ```
    /// # use cenote_consumer::Consumer;
    /// fn log(consumer: &Consumer) {
    ///     let status = consumer.status();
    ///     println!("{}, {:?} behind, {} old views held", status.health, status.lag, status.old_views.held);
    /// }
    /// ```
    #[must_use]
    pub fn status(&self) -> Status {
        self.inner.status()
    }

    /// The dataset's URL.
    ///
    /// ```
    /// # use cenote_consumer::{Consumer, OnEmpty};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let consumer = Consumer::builder("memory://url").when_empty(OnEmpty::Open).open().await?;
    /// assert_eq!(consumer.url(), "memory://url");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn url(&self) -> &str {
        &self.inner.url
    }

    /// Reads the log now and goes to the newest version. Returns the version that is served then.
    ///
    /// ```
    /// # use cenote_consumer::Consumer;
    /// # use cenote_consumer::error::RefreshError;
    /// # async fn example(consumer: &Consumer) -> Result<(), RefreshError> {
    /// let version = consumer.refresh().await?;
    /// assert_eq!(version, consumer.version());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// If the newest version could not be reached; the view stays.
    pub async fn refresh(&self) -> Result<Version, RefreshError> {
        self.request(Goal::Newest).await
    }

    /// Goes to this version and no further, for consumers that reload by [`ReloadPolicy::Manual`]; others go on by
    /// themselves.
    ///
    /// ```
    /// # use cenote_consumer::{Consumer, Version};
    /// # use cenote_consumer::error::RefreshError;
    /// # async fn example(consumer: &Consumer) -> Result<(), RefreshError> {
    /// consumer.refresh_to(Version(42)).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`RefreshError::is_backward`] if the view is newer already; [`RefreshError::is_no_such_version`] if the log has no
    /// commit there; otherwise as for [`refresh`](Consumer::refresh).
    ///
    /// [`ReloadPolicy::Manual`]: crate::ReloadPolicy::Manual
    pub async fn refresh_to(&self, version: Version) -> Result<Version, RefreshError> {
        self.request(Goal::Version(version)).await
    }

    /// A view that shows a certain write, given the token of that write. Refreshes until the view is there.
    ///
    /// ```
    /// # use cenote_producer::Producer;
    /// # use cenote_consumer::{Consumer, Record};
    /// # use std::time::Duration;
    /// # #[derive(Record)]
    /// # #[record(key = "id")]
    /// # struct Movie { id: u64, title: String }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let mut producer = Producer::builder("memory://at-least").with::<Movie>().open().await?;
    /// # producer.update(|changes| Ok(changes.upsert(&Movie { id: 1, title: "Ran".into() })?)).await?;
    /// # let consumer = Consumer::builder("memory://at-least").with::<Movie>().open().await?;
    /// let heat = Movie { id: 42, title: "Heat".into() };
    /// let written = producer.update(|changes| Ok(changes.upsert(&heat)?)).await?;
    /// let view = consumer.view_at_least(written.token(), Duration::from_secs(5)).await?;
    /// assert!(view.get::<Movie>(42).is_some());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`WaitError::is_timeout`] after `timeout`, with the failure of the last refresh as its source;
    /// [`WaitError::is_other_dataset`] at once if the token is of another dataset than the one that is followed;
    /// [`WaitError::is_closed`] if the consumer was closed.
    pub async fn view_at_least(&self, token: Token, timeout: Duration) -> Result<View, WaitError> {
        let wanted = token.version();
        let mut last_error = None;
        let found = self.inner.env.timeout(timeout, self.await_token(token, &mut last_error)).await;
        let timed_out = || WaitCause::TimedOut { wanted, current: self.version(), waited: timeout, last_error };
        Ok(found.unwrap_or_else(|_| Err(timed_out()))?)
    }

    async fn await_token(&self, token: Token, last_error: &mut Option<RefreshError>) -> Result<View, WaitCause> {
        let wanted = token.version();
        let mut progress = self.inner.progress.subscribe();
        let mut pause = PAUSE;
        loop {
            let view = self.view();
            // Of an empty dataset nothing is known yet, and no view of it is at least anything.
            if let Some(followed) = self.inner.dataset.get().filter(|followed| **followed != token.dataset()) {
                return Err(WaitCause::OtherDataset { token: token.dataset(), followed: *followed });
            }
            if view.version() >= wanted {
                return Ok(view);
            }
            drop(view);
            if let Some(ended) = progress.borrow_and_update().ended {
                return Err(WaitCause::Ended(ended));
            }
            *last_error = self.refresh().await.err();
            if self.version() >= wanted {
                continue;
            }
            tokio::select! {
                biased;
                _ = progress.changed() => {}
                () = self.inner.env.sleep(pause) => {}
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// The next view that is newer than the current one.
    ///
    /// In a loop use [`newer_than`](Consumer::newer_than), which misses no version between two calls.
    ///
    /// ```
    /// # use cenote_consumer::Consumer;
    /// # use cenote_consumer::error::WaitError;
    /// # async fn example(consumer: &Consumer) -> Result<(), WaitError> {
    /// let view = consumer.changed().await?;
    /// println!("version {} came", view.version());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`WaitError::is_closed`] when the consumer is closed.
    pub async fn changed(&self) -> Result<View, WaitError> {
        self.newer_than(self.version()).await
    }

    /// A view that is newer than `version`: at once if there is one, otherwise the next that comes.
    ///
    /// ```
    /// # use cenote_consumer::{Consumer, Version};
    /// # async fn example(consumer: &Consumer) {
    /// let mut seen = Version::EMPTY;
    /// while let Ok(view) = consumer.newer_than(seen).await {
    ///     seen = view.version();
    ///     println!("version {seen}");
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`WaitError::is_closed`] when the consumer is closed.
    pub async fn newer_than(&self, version: Version) -> Result<View, WaitError> {
        let mut progress = self.inner.progress.subscribe();
        // The sender is part of what this handle holds, so the channel is open.
        let is_over = |progress: &Progress| progress.version > version || progress.ended.is_some();
        let found = progress.wait_for(is_over).await.map(|found| *found);
        match found {
            Ok(found) if found.version > version => Ok(self.view()),
            Ok(Progress { ended, .. }) => Err(WaitCause::Ended(ended.unwrap_or(Ended::Closed)).into()),
            Err(_) => Err(WaitCause::Ended(Ended::Closed).into()),
        }
    }

    /// Calls `listener` after each new version, on the consumer's task: keep it short. A panic in it is logged.
    ///
    /// ```
    /// # use cenote_consumer::Consumer;
    /// fn log_refreshes(consumer: &Consumer) {
    ///     consumer.on_refresh(|report| println!("{} in {:?}", report.to, report.steps.total));
    /// }
    /// ```
    pub fn on_refresh(&self, listener: impl Fn(&RefreshReport) + Send + Sync + 'static) {
        self.inner.listen(Arc::new(listener));
    }

    /// Stops following, for all clones; a refresh that is under way is dropped. The last view can still be read.
    ///
    /// ```
    /// # use cenote_consumer::{Consumer, OnEmpty};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let consumer = Consumer::builder("memory://close").when_empty(OnEmpty::Open).open().await?;
    /// consumer.close().await;
    /// assert!(consumer.changed().await.is_err());
    /// # Ok(()) }
    /// ```
    pub async fn close(&self) {
        self.handle.close.send_replace(true);
        let mut progress = self.inner.progress.subscribe();
        let _ = progress.wait_for(|progress| progress.ended.is_some()).await;
    }

    /// Waits for one of this consumer's futures on a thread without an async runtime.
    ///
    /// ```no_run
    /// # use cenote_consumer::Consumer;
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let consumer = Consumer::builder("/data/catalog").open_blocking()?;
    /// consumer.wait(consumer.refresh())?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    /// On a thread of an async runtime: use `.await` there.
    pub fn wait<F: Future>(&self, future: F) -> F::Output {
        self.handle.runtime.block_on(future)
    }

    async fn request(&self, goal: Goal) -> Result<Version, RefreshError> {
        let (reply, answer) = oneshot::channel();
        // The task drops its receivers before it says why.
        let ended = || RefreshError::from(RefreshCause::Ended(self.inner.ended().unwrap_or(Ended::Closed)));
        self.handle.requests.send(RefreshRequest { goal, reply }).map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer").field("url", &self.url()).field("version", &self.version()).finish_non_exhaustive()
    }
}
