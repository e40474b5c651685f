//! A durable queue in a SQLite file: the broker that needs no server.
//!
//! One table is the log; a subscription is the position up to which it has acknowledged. A publish returns when it is
//! synced. Acknowledgements are kept in memory and saved at an interval: after a restart the broker delivers a few messages
//! again, which at-least-once allows. Messages that all subscriptions have acknowledged are deleted.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cenote_bench_support::sqlite::Pool;
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::Notify;

use super::{Broker, DeadLetter, Delivery, Depth, Envelope, Subscription};
use crate::clock::{self, now};
use crate::sqlite::{Durability, Writer, disk_bytes, pool};
use crate::{Answer, Failure};

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS log (position INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, body BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS subscription (name TEXT PRIMARY KEY, acknowledged INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS dead (id INTEGER PRIMARY KEY AUTOINCREMENT, subscription TEXT NOT NULL, key TEXT NOT NULL,
        body BLOB NOT NULL, reason TEXT NOT NULL);";

/// How often acknowledgements are saved, and acknowledged messages deleted.
const SAVE_EVERY: Duration = Duration::from_millis(200);

/// The embedded broker.
pub struct EmbeddedBroker {
    inner: Arc<Inner>,
}

struct Inner {
    writer: Writer,
    pool: Pool,
    subscriptions: Mutex<HashMap<String, Arc<State>>>,
    saved_at: Mutex<Instant>,
}

/// One subscription, for all its readers.
struct State {
    progress: Mutex<Progress>,
    arrived: Notify,
}

#[derive(Default)]
struct Progress {
    /// The number of the reader that may read; raised by each that joins.
    reader: u64,
    /// The last position that was delivered.
    delivered: u64,
    /// Delivered and not acknowledged.
    in_flight: BTreeSet<u64>,
    /// Acknowledged although an earlier one is not.
    ahead: BTreeSet<u64>,
    attempts: HashMap<u64, u32>,
}

impl Progress {
    /// Everything up to here is acknowledged.
    fn acknowledged(&self) -> u64 {
        self.in_flight.first().map_or(self.delivered, |first| first - 1)
    }

    fn ack(&mut self, tag: u64) {
        if self.in_flight.remove(&tag) {
            self.ahead.insert(tag);
            self.attempts.remove(&tag);
        }
        let until = self.acknowledged();
        self.ahead.retain(|tag| *tag > until);
    }

    /// Delivers again from the first unacknowledged message.
    fn rewind(&mut self) {
        self.delivered = self.acknowledged();
        self.in_flight.clear();
    }
}

impl EmbeddedBroker {
    /// Opens `broker.db` in this folder, or creates it.
    pub fn open(folder: &Path) -> Answer<EmbeddedBroker> {
        let path = folder.join("broker.db");
        let writer = Writer::open(&path, Durability::Machine, TABLES)?;
        let inner = Inner { writer, pool: pool(&path), subscriptions: Mutex::default(), saved_at: Mutex::new(now()) };
        Ok(EmbeddedBroker { inner: Arc::new(inner) })
    }
}

impl Inner {
    fn subscriptions(&self) -> MutexGuard<'_, HashMap<String, Arc<State>>> {
        self.subscriptions.lock().expect("nothing panics under this lock")
    }

    /// Saves acknowledgements and deletes messages that all have acknowledged, if it is time to.
    async fn save_progress(&self) -> Answer<()> {
        {
            let mut last = self.saved_at.lock().expect("nothing panics under this lock");
            if last.elapsed() < SAVE_EVERY {
                return Ok(());
            }
            *last = now();
        }
        let acknowledged: Vec<(String, u64)> = {
            let subscriptions = self.subscriptions();
            subscriptions.iter().map(|(name, state)| (name.clone(), state.progress().acknowledged())).collect()
        };
        let write = move |connection: &Connection| -> Answer<()> {
            for (name, until) in &acknowledged {
                let sql = "UPDATE subscription SET acknowledged = ? WHERE name = ?";
                connection.prepare_cached(sql)?.execute(params![*until as i64, name])?;
            }
            let sql = "DELETE FROM log WHERE position <= (SELECT min(acknowledged) FROM subscription)";
            connection.prepare_cached(sql)?.execute([])?;
            Ok(())
        };
        self.writer.run(write).await
    }
}

impl State {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().expect("nothing panics under this lock")
    }
}

#[async_trait]
impl Broker for EmbeddedBroker {
    async fn publish(&self, batch: &[Envelope]) -> Answer<()> {
        let batch = batch.to_vec();
        let insert = move |connection: &Connection| -> Answer<()> {
            let mut statement = connection.prepare_cached("INSERT INTO log (key, body) VALUES (?, ?)")?;
            for envelope in &batch {
                statement.execute(params![envelope.key.to_string(), envelope.body])?;
            }
            Ok(())
        };
        self.inner.writer.run(insert).await?;
        self.inner.subscriptions().values().for_each(|state| state.arrived.notify_one());
        Ok(())
    }

    async fn subscribe(&self, name: &str) -> Answer<Arc<dyn Subscription>> {
        let name = name.to_owned();
        let known = self.inner.subscriptions().get(&name).cloned();
        let state = if let Some(state) = known {
            state
        } else {
            let until = join(&self.inner.writer, name.clone()).await?;
            let progress = Mutex::new(Progress { delivered: until, ..Progress::default() });
            let state = Arc::new(State { progress, arrived: Notify::new() });
            Arc::clone(self.inner.subscriptions().entry(name.clone()).or_insert(state))
        };
        let reader = {
            let mut progress = state.progress();
            progress.rewind();
            progress.reader += 1;
            progress.reader
        };
        Ok(Arc::new(Reader { broker: Arc::clone(&self.inner), name, state, reader }))
    }

    async fn disk_bytes(&self) -> Answer<u64> {
        Ok(disk_bytes(self.inner.writer.path()))
    }
}

/// Creates the subscription if it does not exist; returns the acknowledged position. A new one starts at the end of the
/// log.
async fn join(writer: &Writer, name: String) -> Answer<u64> {
    let join = move |connection: &Connection| -> Answer<u64> {
        let sql = "INSERT OR IGNORE INTO subscription SELECT ?, coalesce(max(position), 0) FROM log";
        connection.execute(sql, [&name])?;
        let sql = "SELECT acknowledged FROM subscription WHERE name = ?";
        Ok(connection.query_row(sql, [&name], |row| row.get::<_, i64>(0))? as u64)
    };
    writer.run(join).await
}

struct Reader {
    broker: Arc<Inner>,
    name: String,
    state: Arc<State>,
    reader: u64,
}

impl Reader {
    /// The progress, if this reader still has the subscription.
    fn progress(&self) -> Answer<MutexGuard<'_, Progress>> {
        let progress = self.state.progress();
        if progress.reader != self.reader {
            return Err(format!("another reader has joined {}: subscribe again", self.name).into());
        }
        Ok(progress)
    }

    fn fetch(&self, max: usize) -> Answer<Vec<Delivery>> {
        let (mut after, ahead) = {
            let progress = self.progress()?;
            (progress.delivered, progress.ahead.clone())
        };
        let mut deliveries = Vec::new();
        self.broker.pool.with(|connection| {
            let sql = "SELECT position, key, body FROM log WHERE position > ? ORDER BY position LIMIT ?";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query([after as i64, (max + ahead.len()) as i64])?;
            while let Some(row) = rows.next()?
                && deliveries.len() < max
            {
                after = row.get::<_, i64>(0)? as u64;
                if !ahead.contains(&after) {
                    let envelope = Envelope { key: row.get_ref(1)?.as_str()?.parse()?, body: row.get(2)? };
                    deliveries.push(Delivery { tag: after, attempt: 1, envelope });
                }
            }
            Ok::<_, Failure>(())
        })?;
        let mut progress = self.progress()?;
        progress.delivered = progress.delivered.max(after);
        for delivery in &mut deliveries {
            progress.in_flight.insert(delivery.tag);
            delivery.attempt = progress.attempts.get(&delivery.tag).copied().unwrap_or(0) + 1;
        }
        Ok(deliveries)
    }
}

#[async_trait]
impl Subscription for Reader {
    async fn receive(&self, max: usize, wait: Duration) -> Answer<Vec<Delivery>> {
        let first = self.fetch(max)?;
        if !first.is_empty() {
            return Ok(first);
        }
        let _ = clock::timeout(wait, self.state.arrived.notified()).await;
        self.fetch(max)
    }

    async fn ack(&self, tags: &[u64]) -> Answer<()> {
        {
            let mut progress = self.progress()?;
            tags.iter().for_each(|tag| progress.ack(*tag));
        }
        self.broker.save_progress().await
    }

    async fn retry(&self, tags: &[u64]) -> Answer<()> {
        let mut progress = self.progress()?;
        for tag in tags {
            *progress.attempts.entry(*tag).or_default() += 1;
        }
        progress.rewind();
        Ok(())
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &str) -> Answer<()> {
        let (name, envelope, reason) = (self.name.clone(), delivery.envelope.clone(), reason.to_owned());
        let insert = move |connection: &Connection| -> Answer<()> {
            let sql = "INSERT INTO dead (subscription, key, body, reason) VALUES (?, ?, ?, ?)";
            connection.execute(sql, params![name, envelope.key.to_string(), envelope.body, reason])?;
            Ok(())
        };
        self.broker.writer.run(insert).await?;
        self.ack(&[delivery.tag]).await
    }

    async fn dead_letters(&self) -> Answer<Vec<DeadLetter>> {
        self.broker.pool.with(|connection| {
            let sql = "SELECT key, body, reason FROM dead WHERE subscription = ? ORDER BY id";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query([&self.name])?;
            let mut dead = Vec::new();
            while let Some(row) = rows.next()? {
                let envelope = Envelope { key: row.get_ref(0)?.as_str()?.parse()?, body: row.get(1)? };
                dead.push(DeadLetter { envelope, reason: row.get(2)? });
            }
            Ok(dead)
        })
    }

    async fn redrive(&self) -> Answer<u64> {
        let name = self.name.clone();
        let back = move |connection: &Connection| -> Answer<u64> {
            let sql = "INSERT INTO log (key, body) SELECT key, body FROM dead WHERE subscription = ? ORDER BY id";
            connection.execute(sql, [&name])?;
            Ok(connection.execute("DELETE FROM dead WHERE subscription = ?", [&name])? as u64)
        };
        let driven = self.broker.writer.run::<_, Failure>(back).await?;
        self.broker.subscriptions().values().for_each(|state| state.arrived.notify_one());
        Ok(driven)
    }

    async fn depth(&self) -> Answer<Depth> {
        let (acknowledged, ahead) = {
            let progress = self.state.progress();
            (progress.acknowledged(), progress.ahead.len() as u64)
        };
        self.broker.pool.with(|connection| {
            let number = |sql: &str, parameters: &[&dyn rusqlite::ToSql]| -> Answer<u64> {
                let found = connection.prepare_cached(sql)?.query_row(parameters, |row| row.get::<_, i64>(0));
                Ok(found.optional()?.unwrap_or(0) as u64)
            };
            let after = number("SELECT count(*) FROM log WHERE position > ?", params![acknowledged as i64])?;
            let dead = number("SELECT count(*) FROM dead WHERE subscription = ?", params![self.name])?;
            Ok(Depth { waiting: after.saturating_sub(ahead), dead })
        })
    }
}
