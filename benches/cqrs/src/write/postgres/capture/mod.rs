//! Change capture on PostgreSQL: a logical replication slot, read as pgoutput.
//!
//! The slot stores the position of its reader, and the server keeps the log from there. So fetched changes stay in a buffer
//! until they are done, and only then the position is acknowledged, always at the end of a transaction. After a lost
//! connection the server sends again what was not acknowledged.
//!
//! A position is made of the commit's position in the log and a number within the transaction. A change of a product carries
//! the old row (REPLICA IDENTITY FULL), since the mailer compares the price with the one before.

mod decode;

use std::collections::VecDeque;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pgwire_replication::{Lsn, ReplicationClient, ReplicationConfig, ReplicationEvent};
use tokio::sync::Mutex;
use tokio_postgres::config::Host;

use self::decode::Decoder;
use super::super::{Feed, FeedEntry};
use crate::Answer;
use crate::clock::{self, now};
use crate::domain::{Key, Message, Micros};
use crate::postgres::Database;
use crate::settings::Settings;

/// How often at most the server gets the acknowledged position: it writes the slot's state for that.
const ACKNOWLEDGE: Duration = Duration::from_millis(100);
/// How long [`Feed::waiting`] waits until the server has sent all, before it reports that more is to come.
const SENT_WAIT: Duration = Duration::from_millis(20);

/// The slot of one write side, and the changes that were fetched from it.
pub(super) struct Capture {
    database: Arc<Database>,
    /// The most changes that are fetched ahead; the rest waits in the server's log.
    ahead: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    stream: Option<Stream>,
    /// Fetched and not done.
    fetched: VecDeque<Change>,
    /// The end of the last transaction that is done as a whole.
    done_until: u64,
}

struct Stream {
    client: ReplicationClient,
    decoder: Decoder,
    /// The commit position of the transaction under way, and how many of its changes have come.
    commit: u64,
    number: u64,
}

struct Change {
    fed: FeedEntry,
    at: Micros,
    /// Where the transaction ends, if this is its last change: acknowledged with it.
    ends: Option<u64>,
}

impl Capture {
    pub(super) fn new(database: Arc<Database>, settings: &Settings) -> Capture {
        Capture { database, ahead: settings.relay_batch * 4, state: Mutex::default() }
    }

    /// Creates publication and slot. Later commits are captured.
    pub(super) async fn create(&self) -> Answer<()> {
        let name = self.database.schema();
        let client = self.database.get().await?;
        let sql = format!(
            "ALTER TABLE product REPLICA IDENTITY FULL; CREATE PUBLICATION {name} FOR TABLE {name}.product, {name}.page"
        );
        client.batch_execute(&sql).await?;
        // In a separate statement: a transaction that has written can't create a slot.
        client.execute("SELECT pg_create_logical_replication_slot($1::text::name, 'pgoutput')", &[&name]).await?;
        Ok(())
    }

    /// Bytes of the log that the server keeps for this slot.
    pub(super) async fn retained_bytes(&self) -> Answer<u64> {
        let sql = "SELECT coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)), 0)::bigint
            FROM pg_replication_slots WHERE slot_name = $1";
        let row = self.database.get().await?.query_one(sql, &[&self.database.schema()]).await?;
        Ok(row.get::<_, i64>(0) as u64)
    }

    async fn connect(&self) -> Answer<Stream> {
        let config = tokio_postgres::Config::from_str(self.database.url())?;
        let Some(Host::Tcp(host)) = config.get_hosts().first() else {
            return Err("the address of PostgreSQL names no host: give one".into());
        };
        let (user, name) = (config.get_user().unwrap_or("postgres"), self.database.schema());
        let password = config.get_password().map_or(String::new(), |bytes| String::from_utf8_lossy(bytes).into_owned());
        let config = ReplicationConfig::new(
            host.clone(),
            user.to_owned(),
            password,
            config.get_dbname().unwrap_or(user).to_owned(),
            name.to_owned(),
            name,
        )
        .with_port(config.get_ports().first().copied().unwrap_or(5432))
        .with_status_interval(ACKNOWLEDGE)
        .with_buffer_size(self.ahead)
        .with_application_name(name);
        let mut client = ReplicationClient::connect(config).await?;
        client.wait_started().await?;
        Ok(Stream { client, decoder: Decoder::new(), commit: 0, number: 0 })
    }

    /// Fetches the changes that have arrived, and waits at most this long for the first.
    async fn fetch(&self, state: &mut State, wait: Duration) -> Answer<()> {
        if state.stream.is_none() {
            // The server sends again what was not acknowledged, so the buffer would have it twice.
            state.fetched.clear();
            state.stream = Some(self.connect().await?);
        }
        let began = now();
        while state.fetched.len() < self.ahead {
            let Some(stream) = &mut state.stream else { break };
            // After the first change, take only those that are here already.
            let left = if state.fetched.is_empty() { wait.saturating_sub(began.elapsed()) } else { Duration::ZERO };
            let Some(event) = clock::timeout(left, stream.client.recv()).await else { break };
            let taken = match event {
                Ok(Some(event)) => stream.take(event, &mut state.fetched, &mut state.done_until),
                Ok(None) => Err("replication has ended: connecting again".into()),
                Err(error) => Err(error.into()),
            };
            if let Err(error) = taken {
                state.stream = None;
                return Err(error);
            }
            // At once: a server that shuts down waits until all is acknowledged.
            state.acknowledge();
        }
        Ok(())
    }

    /// Whether the server has sent all that is committed.
    async fn has_sent_all(&self) -> Answer<bool> {
        let sql = "SELECT sent_lsn >= pg_current_wal_flush_lsn() FROM pg_stat_replication WHERE application_name = $1";
        let client = self.database.get().await?;
        let statement = client.prepare_cached(sql).await?;
        let row = client.query_opt(&statement, &[&self.database.schema()]).await?;
        Ok(row.and_then(|row| row.get::<_, Option<bool>>(0)).unwrap_or(false))
    }
}

impl Stream {
    fn take(&mut self, event: ReplicationEvent, fetched: &mut VecDeque<Change>, done_until: &mut u64) -> Answer<()> {
        match event {
            ReplicationEvent::Begin { final_lsn, .. } => (self.commit, self.number) = (final_lsn.as_u64(), 0),
            ReplicationEvent::XLogData { data, .. } => {
                if let Some(message) = self.decoder.decode(data)? {
                    fetched.push_back(self.change(message));
                }
            }
            ReplicationEvent::Commit { end_lsn, .. } => {
                match fetched.back_mut() {
                    Some(last) if self.number > 0 => last.ends = Some(end_lsn.as_u64()),
                    // No change of this transaction is captured, or all are done; and none before it is open.
                    None => *done_until = end_lsn.as_u64(),
                    Some(_) => {}
                }
                self.number = 0;
            }
            ReplicationEvent::KeepAlive { wal_end, .. } if fetched.is_empty() && self.number == 0 => {
                *done_until = (*done_until).max(wal_end.as_u64());
            }
            _ => {}
        }
        Ok(())
    }

    fn change(&mut self, message: Message) -> Change {
        self.number += 1;
        // Log positions are multiples of eight, and no transaction here has eight million rows.
        let position = (self.commit >> 3 << 23) | self.number.min((1 << 23) - 1);
        Change { at: message.at, fed: FeedEntry { position, key: message.key(), body: message.encode() }, ends: None }
    }
}

impl State {
    /// Acknowledges what is done.
    fn acknowledge(&self) {
        if let Some(stream) = &self.stream
            && self.done_until > 0
        {
            stream.client.update_applied_lsn(Lsn::from_u64(self.done_until));
        }
    }
}

#[async_trait]
impl Feed for Capture {
    async fn next(&self, _after: u64, limit: usize) -> Answer<Vec<FeedEntry>> {
        let mut state = self.state.lock().await;
        self.fetch(&mut state, Duration::ZERO).await?;
        Ok(state.fetched.iter().take(limit).map(|change| change.fed.clone()).collect())
    }

    async fn done(&self, fed: &[FeedEntry]) -> Answer<()> {
        let Some(last) = fed.last() else { return Ok(()) };
        let mut state = self.state.lock().await;
        while let Some(change) = state.fetched.pop_front_if(|change| change.fed.position <= last.position) {
            if let Some(end) = change.ends {
                state.done_until = state.done_until.max(end);
            }
        }
        state.acknowledge();
        Ok(())
    }

    /// Counts the fetched changes; those in the server's log, whose number is unknown, count as one.
    async fn waiting(&self, _after: u64) -> Answer<u64> {
        let mut state = self.state.lock().await;
        let sent_all = self.has_sent_all().await?;
        self.fetch(&mut state, if sent_all { Duration::ZERO } else { SENT_WAIT }).await?;
        Ok(state.fetched.len() as u64 + u64::from(!sent_all))
    }

    async fn oldest(&self, _after: u64) -> Answer<Option<Micros>> {
        Ok(self.state.lock().await.fetched.front().map(|change| change.at))
    }

    async fn replay(&self, _since: Micros) -> Answer<Option<Vec<FeedEntry>>> {
        // The server drops the log once it is acknowledged.
        Ok(None)
    }

    async fn poison(&self, _key: Key) -> Answer<bool> {
        Ok(false)
    }

    async fn wake(&self, at_most: Duration) {
        let mut state = self.state.lock().await;
        if state.fetched.is_empty() && self.fetch(&mut state, at_most).await.is_err() {
            clock::sleep(at_most).await;
        }
    }
}
