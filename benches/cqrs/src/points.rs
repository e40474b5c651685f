//! Fault points: switches that parts look at, and points at which a process can be killed.
//!
//! All are off unless a scripted fault turns them on. A process that is killed returns [`Killed`] up to [`Tasks`], which
//! starts it again after a while, with nothing but what was stored.
//!
//! [`Tasks`]: crate::strategy::Tasks

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::clock;
use super::domain::{Key, Message};

/// A moment in a process's work at which it can be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Point {
    /// The command is committed; nothing was published.
    CommittedNotPublished,
    /// The broker (or Cenote's log) has it; the feed does not know that.
    PublishedNotMarked,
    /// Messages were received; nothing was applied.
    ReceivedNotApplied,
    /// Messages were applied; the broker does not know that.
    AppliedNotAcked,
    /// At one of the requests to a store.
    AtRequest,
}

/// A process died on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("killed on purpose at {0:?}")]
pub struct Killed(pub Point);

/// A part is away on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} does not answer: try again later")]
pub struct Away(pub &'static str);

/// The switches and points of one run.
#[derive(Debug, Default)]
pub struct Points {
    /// The broker refuses connections.
    pub broker_down: AtomicBool,
    /// The read store refuses connections.
    pub store_down: AtomicBool,
    /// Every message is published twice.
    pub duplicate: AtomicBool,
    /// Messages arrive in another order, within keys too.
    pub reorder: AtomicBool,
    /// The projector knows the field that was added.
    pub knows_weight: AtomicBool,
    /// A bug in the publisher's mapping that a validator detects: prices become zero.
    pub bug_seen: AtomicBool,
    /// A bug in the publisher's mapping that no validator detects: names are lost.
    pub bug_unseen: AtomicBool,
    /// By how many microseconds the projector is slower for each message.
    pub slow_micros: AtomicU64,
    armed: Mutex<HashMap<Point, u32>>,
    /// Calls that the broker and the read store refused while they were away.
    refused: AtomicU64,
    /// What was delivered since a script began to watch; `None` if none does.
    delivered: Mutex<Option<Delivered>>,
}

/// What a reader got from the broker: shows whether a fault took place.
#[derive(Debug, Default)]
struct Delivered {
    seen: HashSet<(String, Key, u64)>,
    newest: HashMap<(String, Key), u64>,
    disorder: Disorder,
}

/// How deliveries differed from "once each, in order".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Disorder {
    /// Deliveries of a message that had been delivered before.
    pub twice: u64,
    /// Deliveries of a message after a newer one of its key.
    pub late: u64,
}

impl Points {
    /// The next `times` processes that reach the point are killed there.
    pub fn arm(&self, point: Point, times: u32) {
        self.armed.lock().expect("arming does not panic").insert(point, times);
    }

    /// Whether a process is still to be killed at this point.
    #[must_use]
    pub fn is_armed(&self, point: Point) -> bool {
        self.armed.lock().expect("arming does not panic").get(&point).is_some_and(|times| *times > 0)
    }

    /// Fails if the process is to be killed here.
    ///
    /// # Errors
    /// The caller returns it up to the top of the process.
    pub fn reach(&self, point: Point) -> Result<(), Killed> {
        match self.armed.lock().expect("arming does not panic").get_mut(&point) {
            Some(times) if *times > 0 => {
                *times -= 1;
                Err(Killed(point))
            }
            _ => Ok(()),
        }
    }

    /// Waits as long as a slow projector takes longer for `messages`.
    pub async fn slow_down(&self, messages: usize) {
        let micros = self.slow_micros.load(Relaxed) * messages as u64;
        if micros > 0 {
            clock::sleep(Duration::from_micros(micros)).await;
        }
    }

    /// Fails if the broker is away.
    pub fn broker(&self) -> Result<(), Away> {
        self.answers(&self.broker_down, "the broker")
    }

    /// Fails if the read store is away.
    pub fn store(&self) -> Result<(), Away> {
        self.answers(&self.store_down, "the read store")
    }

    fn answers(&self, down: &AtomicBool, part: &'static str) -> Result<(), Away> {
        if !down.load(Relaxed) {
            return Ok(());
        }
        self.refused.fetch_add(1, Relaxed);
        Err(Away(part))
    }

    /// How many calls the broker and the read store have refused.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// Watches deliveries from now on. It decodes each message, so no figures are made with it.
    pub fn watch_deliveries(&self) {
        *self.delivered.lock().expect("looking does not panic") = Some(Delivered::default());
    }

    /// Reports that this message was delivered to a subscription.
    pub fn delivered(&self, subscription: &str, body: &[u8]) {
        let mut delivered = self.delivered.lock().expect("looking does not panic");
        let (Some(delivered), Ok(message)) = (&mut *delivered, Message::decode(body)) else { return };
        let (key, version) = (message.key(), message.version);
        let newest = delivered.newest.entry((subscription.to_owned(), key)).or_default();
        delivered.disorder.late += u64::from(version < *newest);
        *newest = version.max(*newest);
        delivered.disorder.twice += u64::from(!delivered.seen.insert((subscription.to_owned(), key, version)));
    }

    /// What was seen since a script began to watch.
    #[must_use]
    pub fn disorder(&self) -> Disorder {
        self.delivered
            .lock()
            .expect("looking does not panic")
            .as_ref()
            .map(|delivered| delivered.disorder)
            .unwrap_or_default()
    }
}
