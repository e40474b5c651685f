//! The feeds of the write side on PostgreSQL that are tables; the replication slot is in [`capture`](super::capture).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::{Client, Transaction};
use tokio::sync::Notify;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::super::rows::Folded;
use super::super::{Feed, FeedEntry, FeedKind};
use super::rows::{self, SETTLED, unsigned};
use crate::Answer;
use crate::clock::{self, wall};
use crate::domain::{Key, Message, Micros};
use crate::postgres::Database;

/// One feed of one write side.
pub(super) struct PostgresFeed {
    kind: FeedKind,
    database: Arc<Database>,
    notify: Arc<Notify>,
}

/// The position of a feed in the snapshot of the transaction.
pub(super) async fn end(moment: &Transaction<'_>, kind: FeedKind) -> Answer<u64> {
    let sql = match kind {
        // These two store what was fetched.
        FeedKind::Outbox | FeedKind::Changes => return Ok(0),
        FeedKind::Updated => {
            "SELECT greatest((SELECT max(updated_at) FROM product), (SELECT max(updated_at) FROM page), 0)".to_owned()
        }
        // Rows after this may have been shown already: they come twice rather than never.
        FeedKind::Events => format!("SELECT {SETTLED} - 1"),
    };
    Ok(unsigned(&moment.query_one(&sql, &[]).await?, 0))
}

impl PostgresFeed {
    pub(super) fn new(kind: FeedKind, database: Arc<Database>) -> PostgresFeed {
        let notify = database.subscribe();
        PostgresFeed { kind, database, notify }
    }

    async fn number(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Answer<Option<u64>> {
        let client = self.database.get().await?;
        let statement = client.prepare_cached(sql).await?;
        let row = client.query_opt(&statement, parameters).await?;
        Ok(row.and_then(|row| row.get::<_, Option<i64>>(0)).map(|number| number as u64))
    }

    async fn outbox(&self, sql: &str, parameter: i64) -> Answer<Vec<FeedEntry>> {
        let client = self.database.get().await?;
        let statement = client.prepare_cached(sql).await?;
        client.query(&statement, &[&parameter]).await?.iter().map(outbox_row).collect()
    }

    async fn events(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Answer<Vec<FeedEntry>> {
        let client = self.database.get().await?;
        let statement = client.prepare_cached(sql).await?;
        let rows = client.query(&statement, parameters).await?;
        fold_all(&client, &rows).await
    }
}

/// A row of `position, key, body`.
fn outbox_row(row: &Row) -> Answer<FeedEntry> {
    Ok(FeedEntry { position: unsigned(row, 0), key: row.get::<_, &str>(1).parse()?, body: row.get(2) })
}

/// Rows of `position, key, version, body`: a reader gets the state after each event.
async fn fold_all(client: &Client, rows: &[Row]) -> Answer<Vec<FeedEntry>> {
    let wanted: HashMap<(&str, u64), usize> =
        rows.iter().enumerate().map(|(number, row)| ((row.get(1), unsigned(row, 2)), number)).collect();
    let mut keys: Vec<&str> = rows.iter().map(|row| row.get(1)).collect();
    keys.sort_unstable();
    keys.dedup();
    // One query for the history of all of them.
    let sql = "SELECT key, version, at, body FROM event WHERE key = ANY($1) ORDER BY key, version";
    let statement = client.prepare_cached(sql).await?;
    let history = client.query(&statement, &[&keys]).await?;
    let mut states: Vec<Option<Message>> = vec![None; rows.len()];
    let (mut folded, mut of) = (Folded::default(), "");
    for row in &history {
        let (key, version): (&str, u64) = (row.get(0), unsigned(row, 1));
        if key != of {
            (folded, of) = (Folded::default(), key);
        }
        folded.add(version, unsigned(row, 2), row.get(3));
        if let Some(&number) = wanted.get(&(key, version)) {
            states[number] = folded.message().filter(|_| folded.version == version);
        }
    }
    let fed = |(row, state): (&Row, &Option<Message>)| {
        // Without a state, the event can't be decoded, by the reader neither, which decides what to do.
        let body = state.as_ref().map_or_else(|| row.get(3), Message::encode);
        Ok(FeedEntry { position: unsigned(row, 0), key: row.get::<_, &str>(1).parse()?, body })
    };
    rows.iter().zip(&states).map(fed).collect()
}

/// Entities that changed since, including this time: several commits may have the same one.
async fn updated(database: &Database, since: u64) -> Answer<Vec<FeedEntry>> {
    let client = database.get().await?;
    let since = since as i64;
    let sql = format!("SELECT {} FROM product WHERE updated_at >= $1", rows::PRODUCT);
    let statement = client.prepare_cached(&sql).await?;
    let products = client.query(&statement, &[&since]).await?;
    let sql = format!("SELECT {} FROM page WHERE updated_at >= $1", rows::PAGE);
    let statement = client.prepare_cached(&sql).await?;
    let pages = client.query(&statement, &[&since]).await?;
    let mut messages: Vec<Message> = products.iter().map(rows::product_message).collect();
    messages.extend(pages.iter().map(rows::page_message));
    messages.sort_by_key(|message| message.at);
    Ok(messages
        .iter()
        .map(|message| FeedEntry { position: message.at, key: message.key(), body: message.encode() })
        .collect())
}

#[async_trait]
impl Feed for PostgresFeed {
    async fn next(&self, after: u64, limit: usize) -> Answer<Vec<FeedEntry>> {
        let limit = limit as i64;
        match self.kind {
            FeedKind::Outbox => {
                let sql = "SELECT position, key, body FROM outbox WHERE sent_at IS NULL ORDER BY position LIMIT $1";
                self.outbox(sql, limit).await
            }
            FeedKind::Events => {
                let sql = format!(
                    "SELECT position, key, version, body FROM event WHERE position > $1 AND position < {SETTLED}
                    ORDER BY position LIMIT $2"
                );
                self.events(&sql, &[&(after as i64), &limit]).await
            }
            FeedKind::Updated => updated(&self.database, after).await,
            FeedKind::Changes => unreachable!("changes are read from the slot"),
        }
    }

    async fn done(&self, fed: &[FeedEntry]) -> Answer<()> {
        if self.kind != FeedKind::Outbox || fed.is_empty() {
            return Ok(());
        }
        let positions: Vec<i64> = fed.iter().map(|fed| fed.position as i64).collect();
        let client = self.database.get().await?;
        let statement = client
            .prepare_cached("UPDATE outbox SET sent_at = $1 WHERE position = ANY($2) AND sent_at IS NULL")
            .await?;
        client.execute(&statement, &[&(wall() as i64), &positions]).await?;
        Ok(())
    }

    async fn waiting(&self, after: u64) -> Answer<u64> {
        let after = after as i64;
        let number = match self.kind {
            FeedKind::Outbox => self.number("SELECT count(*) FROM outbox WHERE sent_at IS NULL", &[]).await?,
            FeedKind::Events => self.number("SELECT count(*) FROM event WHERE position > $1", &[&after]).await?,
            FeedKind::Updated => {
                let sql = "SELECT (SELECT count(*) FROM product WHERE updated_at > $1)
                    + (SELECT count(*) FROM page WHERE updated_at > $1)";
                self.number(sql, &[&after]).await?
            }
            FeedKind::Changes => unreachable!("changes are read from the slot"),
        };
        Ok(number.unwrap_or(0))
    }

    async fn oldest(&self, after: u64) -> Answer<Option<Micros>> {
        let after = after as i64;
        match self.kind {
            FeedKind::Outbox => {
                let sql = "SELECT at FROM outbox WHERE sent_at IS NULL ORDER BY position LIMIT 1";
                self.number(sql, &[]).await
            }
            FeedKind::Events => {
                let sql = "SELECT at FROM event WHERE position > $1 ORDER BY position LIMIT 1";
                self.number(sql, &[&after]).await
            }
            FeedKind::Updated => {
                let sql = "SELECT least((SELECT min(updated_at) FROM product WHERE updated_at > $1),
                    (SELECT min(updated_at) FROM page WHERE updated_at > $1))";
                self.number(sql, &[&after]).await
            }
            FeedKind::Changes => unreachable!("changes are read from the slot"),
        }
    }

    async fn replay(&self, since: Micros) -> Answer<Option<Vec<FeedEntry>>> {
        let since = since as i64;
        let replayed = match self.kind {
            FeedKind::Outbox => {
                let sql =
                    "SELECT position, key, body FROM outbox WHERE sent_at IS NOT NULL AND at >= $1 ORDER BY position";
                self.outbox(sql, since).await?
            }
            FeedKind::Events => {
                let sql = "SELECT position, key, version, body FROM event WHERE at >= $1 ORDER BY position";
                self.events(sql, &[&since]).await?
            }
            FeedKind::Updated => updated(&self.database, since as u64).await?,
            FeedKind::Changes => unreachable!("changes are read from the slot"),
        };
        let again = replayed.into_iter().filter_map(|fed| {
            let message = Message { replay: true, ..Message::decode(&fed.body).ok()? };
            Some(FeedEntry { body: message.encode(), ..fed })
        });
        Ok(Some(again.collect()))
    }

    async fn poison(&self, key: Key) -> Answer<bool> {
        let (key, body, at) = (key.to_string(), b"{\"not\": \"a message\"}".to_vec(), wall() as i64);
        let sql = match self.kind {
            FeedKind::Outbox => "INSERT INTO outbox (key, body, at) VALUES ($1, $2, $3)",
            FeedKind::Events => {
                "INSERT INTO event (key, version, at, body)
                SELECT $1, coalesce(max(version), 0) + 1, $3, $2 FROM event WHERE key = $1"
            }
            FeedKind::Changes | FeedKind::Updated => return Ok(false),
        };
        self.database.get().await?.execute(sql, &[&key, &body, &at]).await?;
        self.database.notify();
        Ok(true)
    }

    async fn wake(&self, at_most: Duration) {
        let _ = clock::timeout(at_most, self.notify.notified()).await;
    }
}
