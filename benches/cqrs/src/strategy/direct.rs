//! A projector that reads a feed without a broker.
//!
//! It stores its position with what it writes, in one transaction, so a batch is applied once, whenever the process dies.
//! What can't be decoded becomes a dead letter.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::mailer::Mailbox;
use super::projector::known;
use crate::Answer;
use crate::broker::{DeadLetter, Envelope};
use crate::clock;
use crate::domain::Message;
use crate::metrics::Metrics;
use crate::points::{Point, Points};
use crate::read::Live;
use crate::settings::Settings;
use crate::write::{Feed, FeedEntry};

/// The projector's process.
pub(super) struct Direct {
    pub(super) feed: Arc<dyn Feed>,
    pub(super) live: Arc<Live>,
    pub(super) pace: Pace,
    pub(super) settings: Settings,
    pub(super) points: Arc<Points>,
    pub(super) metrics: Arc<Metrics>,
    /// In production a table next to the read model.
    pub(super) dead_letters: Arc<Mutex<Vec<DeadLetter>>>,
    pub(super) mailbox: Arc<Mailbox>,
}

/// When to read the feed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// After each commit.
    Woken,
    /// At an interval, and from this far before the position.
    Every(Duration, Duration),
}

impl Direct {
    /// Runs until it is killed.
    pub(super) async fn run(&self) -> Answer<()> {
        let mut position = self.live.store().position().await?;
        loop {
            let back = match self.pace {
                Pace::Woken => Duration::ZERO,
                Pace::Every(_, overlap) => overlap,
            };
            let after = position.saturating_sub(u64::try_from(back.as_micros()).unwrap_or(0));
            let fed = self.feed.next(after, self.settings.prefetch).await?;
            let newest = fed.iter().map(|fed| fed.position).max().unwrap_or(position).max(position);
            if !fed.is_empty() {
                self.points.reach(Point::ReceivedNotApplied)?;
                self.points.slow_down(fed.iter().filter(|fed| fed.position > position).count()).await;
                self.project(&fed, newest).await?;
                self.points.reach(Point::AppliedNotAcked)?;
            }
            let moved = newest > position;
            position = newest;
            if !moved {
                self.metrics.caught_up();
            }
            match self.pace {
                Pace::Woken if moved => {}
                Pace::Woken => self.feed.wake(self.settings.idle).await,
                Pace::Every(interval, _) => clock::sleep(interval).await,
            }
        }
    }

    async fn project(&self, fed: &[FeedEntry], newest: u64) -> Answer<()> {
        let mut batch = Vec::new();
        for fed in fed {
            match Message::decode(&fed.body) {
                Ok(message) => batch.push(message),
                Err(error) => self.put_aside(fed, &error.to_string()),
            }
        }
        batch.iter().for_each(|message| self.mailbox.consider(message, &self.metrics));
        let last = batch.last().map(|message| message.at);
        let batch: Vec<_> = batch.into_iter().map(|message| known(message, &self.points)).collect();
        let mut pause = self.settings.backoff;
        while self.live.apply(&batch, Some(newest)).await.is_err() {
            Metrics::count(&self.metrics.retries, 1);
            clock::sleep(pause).await;
            pause = (pause * 2).min(self.settings.restart_after);
        }
        if let Some(at) = last {
            self.metrics.applied_from(at);
        }
        Ok(())
    }

    fn put_aside(&self, fed: &FeedEntry, reason: &str) {
        let envelope = Envelope { key: fed.key, body: fed.body.clone() };
        let mut dead_letters = self.dead_letters.lock().expect("nothing panics under this lock");
        if !dead_letters.iter().any(|own| own.envelope == envelope) {
            Metrics::count(&self.metrics.put_aside, 1);
            dead_letters.push(DeadLetter { envelope, reason: reason.to_owned() });
        }
    }
}
