//! Where the run can hurt itself: switches that parts look at, and points at which a process can be told to die.
//!
//! All are off unless a scripted fault turns them on. A process that dies returns [`Killed`] up to whoever keeps it
//! running, which starts it again a while later, with nothing but what was stored.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::clock;
use super::domain::{Key, Message};

/// A moment in a process's work at which it may die.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Point {
    /// The command is committed; nothing was published.
    CommittedNotPublished,
    /// The broker (or the engine's log) has it; the feed does not know.
    PublishedNotMarked,
    /// Messages were received; nothing was applied.
    ReceivedNotApplied,
    /// Messages were applied; the broker does not know.
    AppliedNotAcked,
    /// At one of the requests to a store.
    AtRequest,
}

/// A process died on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("killed on purpose at {0:?}")]
pub struct Killed(pub Point);

/// A part that is away on purpose.
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
    /// A bug in the publisher's mapping that a validator can see: prices become zero.
    pub bug_seen: AtomicBool,
    /// A bug in the publisher's mapping that no validator looks for: names get lost.
    pub bug_unseen: AtomicBool,
    /// How long the projector takes for each message, in microseconds, besides what it takes.
    pub slow_micros: AtomicU64,
    armed: Mutex<HashMap<Point, u32>>,
    /// What the broker and the read store refused while they were away.
    refused: AtomicU64,
    /// What was delivered since a script began to look; none while nobody does.
    delivered: Mutex<Option<Delivered>>,
}

/// What came out of the broker, as a reader of it has seen it: whether a fault has taken place.
#[derive(Debug, Default)]
struct Delivered {
    seen: HashSet<(String, Key, u64)>,
    newest: HashMap<(String, Key), u64>,
    said: Disorder,
}

/// How deliveries differed from one each, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Disorder {
    /// Deliveries of a message that had been delivered.
    pub twice: u64,
    /// Deliveries of a message after a newer one of its key.
    pub late: u64,
}

impl Points {
    /// The next `times` processes that reach the point die there.
    pub fn arm(&self, point: Point, times: u32) {
        self.armed.lock().expect("arming does not panic").insert(point, times);
    }

    /// Whether a death at this point is still to come.
    #[must_use]
    pub fn is_armed(&self, point: Point) -> bool {
        self.armed.lock().expect("arming does not panic").get(&point).is_some_and(|times| *times > 0)
    }

    /// Dies here, if told to.
    ///
    /// # Errors
    /// To be handed up, past everything.
    pub fn reach(&self, point: Point) -> Result<(), Killed> {
        match self.armed.lock().expect("arming does not panic").get_mut(&point) {
            Some(times) if *times > 0 => {
                *times -= 1;
                Err(Killed(point))
            }
            _ => Ok(()),
        }
    }

    /// Takes as long for `messages` as the slow projector does.
    pub async fn drag(&self, messages: usize) {
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

    /// From now on looks at what is delivered; it costs a look into each message, so nobody does while figures are made.
    pub fn look_at_deliveries(&self) {
        *self.delivered.lock().expect("looking does not panic") = Some(Delivered::default());
    }

    /// This message was delivered to a subscription.
    pub fn delivered(&self, subscription: &str, body: &[u8]) {
        let mut delivered = self.delivered.lock().expect("looking does not panic");
        let (Some(delivered), Ok(message)) = (&mut *delivered, Message::decode(body)) else { return };
        let (key, version) = (message.key(), message.version);
        let newest = delivered.newest.entry((subscription.to_owned(), key)).or_default();
        delivered.said.late += u64::from(version < *newest);
        *newest = version.max(*newest);
        delivered.said.twice += u64::from(!delivered.seen.insert((subscription.to_owned(), key, version)));
    }

    /// What was seen of deliveries, since somebody has looked.
    #[must_use]
    pub fn disorder(&self) -> Disorder {
        self.delivered.lock().expect("looking does not panic").as_ref().map(|own| own.said).unwrap_or_default()
    }
}
