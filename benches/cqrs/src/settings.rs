//! Every value that was chosen, in one place, each with its reason.
//!
//! The baseline is tuned as a competent team would tune it; a reader who doubts a figure changes a line here and runs
//! again. Figures are made with [`Settings::FULL`]; faults run with [`Settings::BRISK`], the same parts with shorter
//! timeouts, so that all faults on all strategies end within minutes.

use std::time::Duration;

/// The settings of one run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// The most rows that a relay takes at once. A publish of a thousand costs hardly more than a publish of one, and a
    /// thousand messages of 300 bytes take little memory.
    pub relay_batch: usize,
    /// The most messages that a projector takes at once (prefetch). A transaction costs a sync, which is little per message
    /// if 500 share it; 500 rows are written within milliseconds, so that none waits long for the others.
    pub prefetch: usize,
    /// How long a relay or projector sleeps if no notification wakes it. The write side notifies (`LISTEN`, or in process),
    /// so this only bounds the cost of a lost notification.
    pub idle: Duration,
    /// How often `polling` looks. A second is usual for such jobs: each look is a query on the write database.
    pub polling: Duration,
    /// How far before its watermark `polling` looks again: it misses a transaction that takes longer than this between
    /// `updated_at` and its commit.
    pub polling_overlap: Duration,
    /// How often `cenote-cycle` publishes everything: it reads the whole write database each time.
    pub cycle: Duration,
    /// The most outbox rows that become one version. An entry costs a round trip whatever its size, so a version takes all
    /// rows that wait; this only bounds the delta after a long outage.
    pub update_batch: usize,
    /// How long `cenote-…` keeps old versions, to which it can roll back. On local files there can be hundreds of versions a
    /// second, and a snapshot every few dozen of them: the library's default, a day, would be millions of files.
    pub versions: Duration,
    /// How often a consumer looks at a store that can't push. Local folders are watched.
    pub poll: Duration,
    /// How often the timer empties the near cache: about as often as Tudum's was reloaded.
    pub near_cache: Duration,
    /// Attempts before a message becomes a dead letter: a transient failure ends within a few.
    pub attempts: u32,
    /// The pause before the next attempt; doubled each time.
    pub backoff: Duration,
    /// How long `async` retries a publish that fails before it drops the event: a request can't wait longer, and a longer
    /// queue in memory would be lost in a crash.
    pub publish_patience: Duration,
    /// How long a dead process is away: until its death is noticed, and a new one is scheduled and started.
    pub restart_after: Duration,
    /// The age of the oldest message on its way at which an alarm rings, and from which on a reader counts as wrong.
    pub staleness_max: Duration,
    /// How long an outage lasts.
    pub outage: Duration,
    /// How long outbox rows and captured changes are kept after they were sent, so that they can be replayed.
    pub keep: Duration,
    /// How often older ones are deleted: few at a time and often, so that no delete blocks the write database.
    pub clean_every: Duration,
    /// Connections to a database server for commands or batches, and as many for queries: more than cores, since they wait
    /// for disks; far fewer than requests.
    pub pool: usize,
}

impl Settings {
    /// For figures.
    pub const FULL: Settings = Settings {
        relay_batch: 1_000,
        prefetch: 500,
        idle: Duration::from_millis(50),
        polling: Duration::from_secs(1),
        polling_overlap: Duration::from_millis(100),
        cycle: Duration::from_secs(5),
        update_batch: 20_000,
        versions: Duration::from_mins(10),
        poll: Duration::from_millis(250),
        near_cache: Duration::from_secs(5),
        attempts: 5,
        backoff: Duration::from_millis(20),
        publish_patience: Duration::from_secs(2),
        restart_after: Duration::from_secs(1),
        staleness_max: Duration::from_secs(5),
        outage: Duration::from_mins(1),
        keep: Duration::from_hours(1),
        clean_every: Duration::from_secs(10),
        pool: 8,
    };

    /// For a first look: timers are shorter, or the run would mostly wait for them.
    pub const QUICK: Settings =
        Settings { cycle: Duration::from_secs(1), near_cache: Duration::from_secs(1), ..Settings::FULL };

    /// For faults and tests: the same parts with shorter timeouts and outages.
    pub const BRISK: Settings = Settings {
        polling: Duration::from_millis(100),
        cycle: Duration::from_millis(200),
        poll: Duration::from_millis(50),
        near_cache: Duration::from_millis(200),
        attempts: 3,
        backoff: Duration::from_millis(5),
        publish_patience: Duration::from_millis(60),
        restart_after: Duration::from_millis(60),
        staleness_max: Duration::from_millis(600),
        outage: Duration::from_millis(1_500),
        clean_every: Duration::from_millis(500),
        ..Settings::FULL
    };
}

/// SQLite's cache per connection: the read model of 100,000 products fits.
pub const SQLITE_CACHE_KB: i64 = 64 * 1_024;
/// How much of a file SQLite maps: all of it, which saves a copy for each page that it reads.
pub const SQLITE_MMAP_BYTES: i64 = 4 << 30;
/// How long a connection waits for another process's lock.
pub const SQLITE_BUSY: Duration = Duration::from_secs(10);
/// The most commands that share one transaction on SQLite: it has one writer and a sync per commit, so commands that arrive
/// during one commit share the next, each in its savepoint.
pub const SQLITE_GROUP: usize = 256;
/// The most products in a near cache: more than any catalogue that is measured, some 300 MB in all.
pub const NEAR_CACHE_CARDS: u64 = 1_000_000;
/// The most listings and pages in a near cache: a few MB of ids.
pub const NEAR_CACHE_LISTS: u64 = 100_000;
