//! The publisher: the one process between the write database and the dataset.
//!
//! It starts with a cycle over everything, which makes good what was missed while it was away: a record that has not
//! changed costs a look-up and no bytes. Then `cenote-cycle` repeats that cycle; `cenote-update` makes a version of the
//! rows in the outbox, and marks them. What arrives while a version is being published shares the next one.
//!
//! Rules: rows are marked after their version is committed; a row that is not newer than the record changes nothing, so a
//! row may come twice; a publisher that was fenced does not start again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use cenote_producer::CycleError;
use cenote_producer::error::ErrorKind;
use cenote_state::ids::Version;
use cenote_state::token::Token;
use cenote_store::storage::Storage;
use cenote_testing::faults::StepStore;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::records::{Program, WithWeight, WithoutWeight};
use super::session::Session;
use crate::Answer;
use crate::broker::{DeadLetter, Envelope};
use crate::clock;
use crate::domain::Micros;
use crate::metrics::Metrics;
use crate::points::{Killed, Point, Points};
use crate::settings::Settings;
use crate::strategy::Replaced;
use crate::write::{Feed, FeedEntry, WriteSide};

/// What operations ask of the publisher.
pub(super) enum Request {
    /// Publish what has come.
    Publish,
    /// Publish everything.
    Cycle,
    /// Publish an old version again.
    Republish(Version),
    /// Publish again what has changed since.
    Replay(Micros),
}

/// What came of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Published {
    /// The newest version.
    pub(super) version: Version,
    /// Its token.
    pub(super) token: Token,
    /// How many messages were replayed.
    pub(super) replayed: u64,
}

/// A request, and where the answer is sent.
pub(super) type Asked = (Request, oneshot::Sender<Answer<Published>>);

/// The publisher's process.
pub(super) struct Publisher {
    pub(super) write: Arc<dyn WriteSide>,
    /// The outbox of `cenote-update`; `cenote-cycle` has none.
    pub(super) outbox: Option<Arc<dyn Feed>>,
    pub(super) storage: Storage,
    pub(super) settings: Settings,
    pub(super) points: Arc<Points>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) requests: Mutex<mpsc::UnboundedReceiver<Asked>>,
    /// In production a table next to the outbox.
    pub(super) dead_letters: std::sync::Mutex<Vec<DeadLetter>>,
    pub(super) progress: Progress,
    /// The request at which its next run is killed, if a script wants that.
    pub(super) killed_at: std::sync::Mutex<Option<StepStore>>,
}

/// How far publishing has come, over all runs of the process.
#[derive(Default)]
pub(super) struct Progress {
    /// Changes that the write side has acknowledged.
    pub(super) acknowledged: AtomicU64,
    /// How many of them the newest version has.
    pub(super) covered: AtomicU64,
    /// The newest version.
    pub(super) version: AtomicU64,
    /// How often a publisher has taken over the log.
    pub(super) taken: AtomicU64,
    /// How many publishers were fenced: alive when another one had taken over.
    pub(super) fenced: AtomicU64,
}

impl Publisher {
    /// Runs until it is killed, or fenced.
    pub(super) async fn run(&self) -> Answer<()> {
        let killed_at = self.killed_at.lock().expect("nothing panics under this lock").take();
        let Some(killed_at) = killed_at else { return self.start(self.storage.clone()).await };
        match killed_at.until_killed(self.start(killed_at.wrap(&self.storage))).await {
            Some(ended) => ended,
            None => Err(Killed(Point::AtRequest).into()),
        }
    }

    /// Starts the program that is deployed: the one from before a field was added does not know the field.
    async fn start(&self, storage: Storage) -> Answer<()> {
        if self.points.knows_weight.load(Relaxed) {
            self.serve(Session::<WithWeight>::open(self, storage).await?).await
        } else {
            self.serve(Session::<WithoutWeight>::open(self, storage).await?).await
        }
    }

    async fn serve<P: Program>(&self, mut session: Session<'_, P>) -> Answer<()> {
        self.answer(&mut session, &Request::Cycle).await?;
        loop {
            tokio::select! {
                biased;
                asked = async { self.requests.lock().await.recv().await } => {
                    let Some((request, answer)) = asked else { return Ok(()) };
                    let published = self.answer(&mut session, &request).await?;
                    // The caller may have gone.
                    drop(answer.send(Ok(published)));
                }
                () = self.due() => {
                    self.answer(&mut session, &Request::Publish).await?;
                }
            }
        }
    }

    /// Waits until there may be something to publish.
    async fn due(&self) {
        match &self.outbox {
            Some(outbox) => outbox.wake(self.settings.idle).await,
            None => clock::sleep(self.settings.cycle).await,
        }
    }

    /// Answers a request, and tries again if the store is away or a validator refuses: nothing is lost meanwhile.
    async fn answer<P: Program>(&self, session: &mut Session<'_, P>, request: &Request) -> Answer<Published> {
        let mut pause = self.settings.backoff;
        loop {
            let error = match session.answer(request).await {
                Ok(published) => return Ok(published),
                Err(error) => error,
            };
            match error.downcast_ref::<CycleError>() {
                Some(error) if error.is_fenced() => {
                    Metrics::count(&self.progress.fenced, 1);
                    return Err(Replaced.into());
                }
                Some(error) if error.validation().is_some() => Metrics::count(&self.metrics.refused, 1),
                Some(error) if error.kind() == ErrorKind::Retry => Metrics::count(&self.metrics.retries, 1),
                _ => return Err(error),
            }
            clock::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    pub(super) fn put_aside(&self, fed: &FeedEntry, reason: &str) {
        Metrics::count(&self.metrics.put_aside, 1);
        let envelope = Envelope { key: fed.key, body: fed.body.clone() };
        let letter = DeadLetter { envelope, reason: reason.to_owned() };
        self.dead_letters.lock().expect("nothing panics under this lock").push(letter);
    }
}
