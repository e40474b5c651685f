//! The feeds of the write side on SQLite.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Deserialize;
use tokio::sync::Notify;

use super::rows::{self, unsigned};
use super::sqlite::Inner;
use super::{Feed, FeedEntry, FeedKind, Hooks};
use crate::Answer;
use crate::clock::{self, wall};
use crate::domain::{Cause, Change, Key, Message, Micros, Page, Product};

/// One feed of one write side.
pub(super) struct SqliteFeed {
    pub(super) kind: FeedKind,
    pub(super) write: Arc<Inner>,
    pub(super) notify: Arc<Notify>,
}

/// The last position.
pub(super) fn end(connection: &Connection, kind: FeedKind) -> Answer<u64> {
    let sql = match kind {
        FeedKind::Outbox => "SELECT coalesce(max(position), 0) FROM outbox",
        FeedKind::Changes => "SELECT coalesce(max(position), 0) FROM captured",
        FeedKind::Updated => {
            "SELECT max(coalesce((SELECT max(updated_at) FROM product), 0), coalesce((SELECT max(updated_at) FROM page), 0))"
        }
        FeedKind::Events => "SELECT coalesce(max(position), 0) FROM event",
    };
    Ok(connection.prepare_cached(sql)?.query_row([], |row| unsigned(row, 0))?)
}

/// Deletes what was sent before `until`.
pub(super) fn clean(connection: &Connection, hooks: Hooks, until: i64) -> Answer<u64> {
    let mut gone = 0;
    if hooks.outbox {
        // Only the oldest, so that a clean-up never blocks commands for long.
        let sql = "DELETE FROM outbox WHERE position IN (SELECT position FROM outbox ORDER BY position LIMIT 5000)
            AND sent_at < ?";
        gone += connection.prepare_cached(sql)?.execute([until])?;
    }
    if hooks.capture {
        let sql = "DELETE FROM captured WHERE position IN (SELECT position FROM captured ORDER BY position LIMIT 5000)
            AND at < ? AND position <= (SELECT position FROM captured_until)";
        gone += connection.prepare_cached(sql)?.execute([until])?;
    }
    Ok(gone as u64)
}

/// Entities that changed since, including this time: several commits may have the same one.
fn updated(connection: &Connection, since: u64) -> Answer<Vec<FeedEntry>> {
    let sql = "SELECT id, name, brand, category, price_cents, stock, weight_grams, version, updated_at FROM product
        WHERE updated_at >= ? ORDER BY updated_at";
    let mut messages = Vec::new();
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query([since as i64])?;
    while let Some(row) = found.next()? {
        let (product, version) = rows::product_row(row)?;
        let (at, change) = (unsigned(row, 8)?, Change::Product(product));
        messages.push(Message { version, at, cause: Cause::Unknown, replay: false, change });
    }
    let sql = "SELECT id, title, products, published, version, updated_at FROM page WHERE updated_at >= ?
        ORDER BY updated_at";
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query([since as i64])?;
    while let Some(row) = found.next()? {
        messages.push(rows::page_row(row)?);
    }
    messages.sort_by_key(|message| message.at);
    Ok(messages.iter().map(|message| fed(message.at, message)).collect())
}

fn fed(position: u64, message: &Message) -> FeedEntry {
    FeedEntry { position, key: message.key(), body: message.encode() }
}

/// A row of `position, key, body`.
fn outbox_row(row: &Row<'_>) -> Answer<FeedEntry> {
    Ok(FeedEntry { position: unsigned(row, 0)?, key: row.get_ref(1)?.as_str()?.parse()?, body: row.get(2)? })
}

/// A row as a trigger stores it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Captured {
    Product {
        #[serde(flatten)]
        product: Product,
        version: u64,
    },
    Page {
        #[serde(flatten)]
        page: Page,
        published: u8,
        version: u64,
    },
}

/// A row of `position, row, price_before, at`.
fn captured_row(row: &Row<'_>) -> Answer<FeedEntry> {
    let at = unsigned(row, 3)?;
    let (version, cause, change) = match serde_json::from_str(row.get_ref(1)?.as_str()?)? {
        Captured::Product { product, version } => {
            let before = row.get::<_, Option<i64>>(2)?.map(|price| price as u64);
            let cheaper = before.is_some_and(|before| product.price_cents < before);
            (version, if cheaper { Cause::Cheaper } else { Cause::Unknown }, Change::Product(product))
        }
        Captured::Page { page, published: 1, version } => (version, Cause::Unknown, Change::Page(page)),
        Captured::Page { page, version, .. } => (version, Cause::Unknown, Change::PageGone(page.id)),
    };
    Ok(fed(unsigned(row, 0)?, &Message { version, at, cause, replay: false, change }))
}

/// A row of `position, key, version, body`: a reader gets the state after the event.
fn event_row(connection: &Connection, row: &Row<'_>) -> Answer<FeedEntry> {
    let key: Key = row.get_ref(1)?.as_str()?.parse()?;
    let (position, version) = (unsigned(row, 0)?, unsigned(row, 2)?);
    let folded = rows::fold(connection, key, version)?;
    match folded.message().filter(|_| folded.version == version) {
        Some(message) => Ok(fed(position, &message)),
        // The event can't be decoded, by the reader neither, which decides what to do.
        None => Ok(FeedEntry { position, key, body: row.get(3)? }),
    }
}

impl SqliteFeed {
    fn select(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        read: impl Fn(&Connection, &Row<'_>) -> Answer<FeedEntry>,
    ) -> Answer<Vec<FeedEntry>> {
        self.write.pool.with(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(parameters)?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(read(connection, row)?);
            }
            Ok(found)
        })
    }

    fn number(&self, sql: &str, parameters: impl rusqlite::Params) -> Answer<Option<u64>> {
        self.write.pool.with(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let found = statement.query_row(parameters, |row| row.get::<_, Option<i64>>(0)).optional()?;
            Ok(found.flatten().map(|number| number as u64))
        })
    }
}

#[async_trait]
impl Feed for SqliteFeed {
    async fn next(&self, after: u64, limit: usize) -> Answer<Vec<FeedEntry>> {
        let limit = limit as i64;
        match self.kind {
            FeedKind::Outbox => {
                let sql = "SELECT position, key, body FROM outbox WHERE sent_at IS NULL ORDER BY position LIMIT ?";
                self.select(sql, [limit], |_, row| outbox_row(row))
            }
            FeedKind::Changes => {
                let sql = "SELECT position, row, price_before, at FROM captured
                    WHERE position > (SELECT position FROM captured_until) ORDER BY position LIMIT ?";
                self.select(sql, [limit], |_, row| captured_row(row))
            }
            FeedKind::Updated => self.write.pool.with(|connection| updated(connection, after)),
            FeedKind::Events => {
                let sql = "SELECT position, key, version, body FROM event WHERE position > ? ORDER BY position LIMIT ?";
                self.select(sql, [after as i64, limit], event_row)
            }
        }
    }

    async fn done(&self, fed: &[FeedEntry]) -> Answer<()> {
        let (Some(first), Some(last)) = (fed.first(), fed.last()) else { return Ok(()) };
        let (first, last, kind) = (first.position as i64, last.position as i64, self.kind);
        let mark = move |connection: &Connection| -> Answer<()> {
            match kind {
                // One writer, so positions are in the order of commits: no unsent row can appear in between.
                FeedKind::Outbox => {
                    let sql = "UPDATE outbox SET sent_at = ? WHERE position BETWEEN ? AND ? AND sent_at IS NULL";
                    connection.prepare_cached(sql)?.execute([wall() as i64, first, last])?;
                }
                FeedKind::Changes => {
                    connection.prepare_cached("UPDATE captured_until SET position = ?")?.execute([last])?;
                }
                FeedKind::Updated | FeedKind::Events => {}
            }
            Ok(())
        };
        self.write.writer.run(mark).await
    }

    async fn waiting(&self, after: u64) -> Answer<u64> {
        let after = after as i64;
        let number = match self.kind {
            FeedKind::Outbox => self.number("SELECT count(*) FROM outbox WHERE sent_at IS NULL", []),
            FeedKind::Changes => {
                self.number("SELECT count(*) FROM captured WHERE position > (SELECT position FROM captured_until)", [])
            }
            FeedKind::Updated => self.number(
                "SELECT (SELECT count(*) FROM product WHERE updated_at > ?1)
                    + (SELECT count(*) FROM page WHERE updated_at > ?1)",
                [after],
            ),
            FeedKind::Events => self.number("SELECT count(*) FROM event WHERE position > ?", [after]),
        };
        Ok(number?.unwrap_or(0))
    }

    async fn oldest(&self, after: u64) -> Answer<Option<Micros>> {
        let after = after as i64;
        match self.kind {
            FeedKind::Outbox => {
                self.number("SELECT at FROM outbox WHERE sent_at IS NULL ORDER BY position LIMIT 1", [])
            }
            FeedKind::Changes => self.number(
                "SELECT at FROM captured WHERE position > (SELECT position FROM captured_until) ORDER BY position LIMIT 1",
                [],
            ),
            FeedKind::Updated => {
                let of = |table| format!("SELECT min(updated_at) FROM {table} WHERE updated_at > ?");
                let oldest = [self.number(&of("product"), [after])?, self.number(&of("page"), [after])?];
                Ok(oldest.into_iter().flatten().min())
            }
            FeedKind::Events => {
                self.number("SELECT at FROM event WHERE position > ? ORDER BY position LIMIT 1", [after])
            }
        }
    }

    async fn replay(&self, since: Micros) -> Answer<Option<Vec<FeedEntry>>> {
        let since = since as i64;
        let replayed = match self.kind {
            FeedKind::Outbox => {
                let sql =
                    "SELECT position, key, body FROM outbox WHERE sent_at IS NOT NULL AND at >= ? ORDER BY position";
                self.select(sql, [since], |_, row| outbox_row(row))?
            }
            FeedKind::Changes => {
                let sql = "SELECT position, row, price_before, at FROM captured WHERE at >= ?
                    AND position <= (SELECT position FROM captured_until) ORDER BY position";
                self.select(sql, [since], |_, row| captured_row(row))?
            }
            FeedKind::Updated => self.write.pool.with(|connection| updated(connection, since as u64))?,
            FeedKind::Events => {
                let sql = "SELECT position, key, version, body FROM event WHERE at >= ? ORDER BY position";
                self.select(sql, [since], event_row)?
            }
        };
        let again = replayed.into_iter().filter_map(|fed| {
            let message = Message { replay: true, ..Message::decode(&fed.body).ok()? };
            Some(FeedEntry { body: message.encode(), ..fed })
        });
        Ok(Some(again.collect()))
    }

    async fn poison(&self, key: Key) -> Answer<bool> {
        let (kind, body) = (self.kind, b"{\"not\": \"a message\"}".to_vec());
        let spoil = move |connection: &Connection| -> Answer<bool> {
            let at = wall() as i64;
            let key = key.to_string();
            match kind {
                FeedKind::Outbox => {
                    let sql = "INSERT INTO outbox (key, body, at) VALUES (?, ?, ?)";
                    connection.execute(sql, params![key, body, at])?;
                }
                FeedKind::Events => {
                    let sql = "INSERT INTO event (key, version, at, body)
                        SELECT ?1, coalesce(max(version), 0) + 1, ?3, ?2 FROM event WHERE key = ?1";
                    connection.execute(sql, params![key, body, at])?;
                }
                FeedKind::Changes | FeedKind::Updated => return Ok(false),
            }
            Ok(true)
        };
        let spoiled = self.write.writer.run(spoil).await?;
        self.write.notify();
        Ok(spoiled)
    }

    async fn wake(&self, at_most: Duration) {
        let _ = clock::timeout(at_most, self.notify.notified()).await;
    }
}
