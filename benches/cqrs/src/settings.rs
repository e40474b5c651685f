//! Every value that was chosen, in one place, each with its reason.
//!
//! The baseline is tuned as a competent team would tune it; whoever doubts a figure changes a line here and runs again.
//! [`Settings::FULL`] is what figures are made with; faults run with [`Settings::BRISK`], the same parts with shorter
//! patience, so that ten faults by eleven strategies end within minutes.

use std::time::Duration;

/// The settings of one run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Most rows that a relay takes at once. One publish for a thousand costs hardly more than for one, and a thousand
    /// messages of 300 bytes are nothing to hold.
    pub relay_batch: usize,
    /// Most messages that a projector takes at once (prefetch). A transaction costs a sync; spread over 500 it is
    /// nothing, and 500 rows are written within milliseconds, so that none waits long for the others.
    pub prefetch: usize,
    /// How long a relay or projector sleeps when nobody wakes it. The write side notifies (`LISTEN`, or in process), so this
    /// only bounds what a lost notice costs.
    pub idle: Duration,
    /// How often `polling` looks. A second is what such jobs run at: each look is a query on the write database.
    pub polling: Duration,
    /// How far back behind its watermark `polling` looks again: a transaction that takes longer than this between its
    /// `updated_at` and its commit is missed.
    pub polling_overlap: Duration,
    /// How often `cenote-cycle` publishes everything: it reads the whole write database each time.
    pub cycle: Duration,
    /// Most outbox rows that become one version. An entry costs a round trip whatever is in it, so a version takes all
    /// that came; this only bounds its delta after a long outage.
    pub update_batch: usize,
    /// How long `cenote-…` keeps old versions: what one can go back to. On local files there can be hundreds of versions a
    /// second, and a snapshot every few dozen of them: the library's default, a day, would be millions of files.
    pub versions: Duration,
    /// How often a consumer looks at a store that can't push. Local folders are watched.
    pub poll: Duration,
    /// How often the timer refreshes the near cache: Tudum's was reloaded about so often.
    pub near_cache: Duration,
    /// Attempts for a message before it becomes a dead letter: transient trouble ends within a few.
    pub attempts: u32,
    /// Pause before an attempt is repeated; doubled each time.
    pub backoff: Duration,
    /// How long `async` repeats a publish that fails before it gives the event up: a request can't wait longer, and
    /// memory for more would be a queue that a crash loses.
    pub publish_patience: Duration,
    /// How long a dead process stays away: noticed, scheduled, started.
    pub restart_after: Duration,
    /// Beyond this age of the oldest message on its way somebody is paged; beyond it a reader counts as wrong, too.
    pub staleness_max: Duration,
    /// How long a fault lasts that is an outage.
    pub outage: Duration,
    /// How long outbox rows and captured changes are kept after they were sent: what can be replayed.
    pub keep: Duration,
    /// How often what is older gets deleted: little and often, so that no delete holds the write database up.
    pub clean_every: Duration,
    /// Connections to a database server, for commands or batches, and as many for questions: more than cores, since they
    /// wait for disks; far fewer than requests.
    pub pool: usize,
}

impl Settings {
    /// What figures are made with.
    pub const FULL: Settings = Settings {
        relay_batch: 1_000,
        prefetch: 500,
        idle: Duration::from_millis(50),
        polling: Duration::from_secs(1),
        polling_overlap: Duration::from_millis(100),
        cycle: Duration::from_secs(5),
        update_batch: 20_000,
        versions: Duration::from_secs(600),
        poll: Duration::from_millis(250),
        near_cache: Duration::from_secs(5),
        attempts: 5,
        backoff: Duration::from_millis(20),
        publish_patience: Duration::from_secs(2),
        restart_after: Duration::from_secs(1),
        staleness_max: Duration::from_secs(5),
        outage: Duration::from_secs(60),
        keep: Duration::from_secs(3_600),
        clean_every: Duration::from_secs(10),
        pool: 8,
    };

    /// For a first look: what goes by the clock goes faster, or it would be all that is waited for.
    pub const QUICK: Settings =
        Settings { cycle: Duration::from_secs(1), near_cache: Duration::from_secs(1), ..Settings::FULL };

    /// Shorter patience and outages, for faults and tests; what runs is the same.
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
/// How much of a file SQLite maps: all of it, which saves a copy per page read.
pub const SQLITE_MMAP_BYTES: i64 = 4 << 30;
/// How long a connection waits for another process's lock.
pub const SQLITE_BUSY: Duration = Duration::from_secs(10);
/// Most commands that share one transaction on SQLite: it has one writer and a sync per commit, so that what arrives
/// during one commit shares the next; each command is in a savepoint of its own.
pub const SQLITE_GROUP: usize = 256;
