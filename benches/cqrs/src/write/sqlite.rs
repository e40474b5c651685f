//! The write side on SQLite: the embedded default, which needs no server.
//!
//! One writer thread executes commands, several per transaction (see [`Writer`]); readers of feeds have separate
//! connections. An acknowledged command is synced.

use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use cenote_bench_support::sqlite::Pool;
use rusqlite::{Connection, params};
use tokio::sync::Notify;

use super::feeds::{self, SqliteFeed};
use super::rows::{self, Event, unsigned};
use super::{Feed, FeedKind, Hooks, Projection, WriteSide};
use crate::clock::wall;
use crate::domain::{
    Ack, Cause, Change, Command, CommandError, Key, Message, Micros, Reference, Rejected, World, rules,
};
use crate::read::{ReadStores, SqliteReadStores, sqlite_project, sqlite_project_stock};
use crate::sqlite::{Durability, Writer, disk_bytes, pool, table_bytes};
use crate::{Answer, Failure};

/// A write side in one file.
pub struct SqliteWrite {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) writer: Arc<Writer>,
    pub(super) pool: Arc<Pool>,
    pub(super) hooks: Hooks,
    reference: Arc<Reference>,
    /// The feeds that wait for a change.
    pub(super) waiting: Mutex<Vec<Arc<Notify>>>,
    /// The generations of the read model that commands update.
    generations: Arc<RwLock<Vec<u32>>>,
}

impl SqliteWrite {
    /// Opens `write.db` in this folder, or creates it.
    pub fn open(folder: &Path, hooks: Hooks, reference: Arc<Reference>) -> Answer<SqliteWrite> {
        let mut setup = vec![if hooks.events_only { rows::EVENTS } else { rows::STATE }];
        setup.extend(hooks.outbox.then_some(rows::OUTBOX));
        setup.extend(hooks.watermark.then_some(rows::WATERMARK));
        let path = folder.join("write.db");
        let writer = Arc::new(Writer::open(&path, Durability::Machine, &setup.concat())?);
        let inner = Inner {
            writer,
            pool: Arc::new(pool(&path)),
            hooks,
            reference,
            waiting: Mutex::default(),
            generations: Arc::default(),
        };
        Ok(SqliteWrite { inner: Arc::new(inner) })
    }
}

/// A command that is being executed, on the writer's thread.
struct Step<'a> {
    connection: &'a Connection,
    hooks: Hooks,
    reference: &'a Reference,
    generations: &'a [u32],
    at: Micros,
}

impl From<Failure> for CommandError {
    fn from(failure: Failure) -> CommandError {
        CommandError::Failed(failure)
    }
}

impl From<rusqlite::Error> for CommandError {
    fn from(error: rusqlite::Error) -> CommandError {
        CommandError::Failed(error.into())
    }
}

impl Step<'_> {
    fn run(&self, command: &Command) -> Result<(Ack, Message), CommandError> {
        let (version, cause, change) = match command.key() {
            Key::Product(_) => self.product(command)?,
            Key::Page(_) => self.page(command)?,
        };
        let message = Message { version, at: self.at, cause, replay: false, change };
        self.leave(&message)?;
        Ok((Ack { key: command.key(), version }, message))
    }

    fn product(&self, command: &Command) -> Result<(u64, Cause, Change), CommandError> {
        let Key::Product(id) = command.key() else { unreachable!("the caller has checked the kind") };
        if self.hooks.events_only {
            return self.product_event(id, command);
        }
        let (now, version) = rows::product(self.connection, id)?.unzip();
        let (product, cause) = rules::product(now, command, self.reference)?;
        let version = version.unwrap_or(0) + 1;
        rows::put_product(self.connection, &product, version, self.at)?;
        Ok((version, cause, Change::Product(product)))
    }

    fn page(&self, command: &Command) -> Result<(u64, Cause, Change), CommandError> {
        let Key::Page(id) = command.key() else { unreachable!("the caller has checked the kind") };
        if self.hooks.events_only {
            return self.page_event(id, command);
        }
        let before = rows::page_state(self.connection, id)?;
        let version = before.map_or(0, |(_, version)| version) + 1;
        if let Command::Publish(page) = command {
            let exists = |id| -> Result<bool, CommandError> {
                let sql = "SELECT 1 FROM product WHERE id = ?";
                Ok(self.connection.prepare_cached(sql)?.exists([id as i64])?)
            };
            rules::publish(page, exists)?;
            rows::put_page(self.connection, page, version, self.at)?;
            return Ok((version, Cause::Published, Change::Page(page.clone())));
        }
        if !before.is_some_and(|(published, _)| published) {
            return Err(Rejected::NoPage(id).into());
        }
        let sql = "UPDATE page SET published = 0, version = ?, updated_at = ? WHERE id = ?";
        self.connection.prepare_cached(sql)?.execute([version as i64, self.at as i64, id as i64])?;
        Ok((version, Cause::Unpublished, Change::PageGone(id)))
    }

    fn product_event(&self, id: u64, command: &Command) -> Result<(u64, Cause, Change), CommandError> {
        let key = Key::Product(id);
        let now = rows::fold(self.connection, key, u64::MAX)?;
        let before = match now.change {
            Some(Change::Product(product)) => Some(product),
            _ => None,
        };
        let (product, cause) = rules::product(before, command, self.reference)?;
        self.append(key, now.last + 1, &Event::of(command))?;
        Ok((now.last + 1, cause, Change::Product(product)))
    }

    fn page_event(&self, id: u64, command: &Command) -> Result<(u64, Cause, Change), CommandError> {
        let key = Key::Page(id);
        let now = rows::fold(self.connection, key, u64::MAX)?;
        let version = now.last + 1;
        if let Command::Publish(page) = command {
            let exists = |id| -> Result<bool, CommandError> {
                let sql = "SELECT 1 FROM event WHERE key = ? AND version = 1";
                Ok(self.connection.prepare_cached(sql)?.exists([Key::Product(id).to_string()])?)
            };
            rules::publish(page, exists)?;
            self.append(key, version, &Event::Published(page.clone()))?;
            return Ok((version, Cause::Published, Change::Page(page.clone())));
        }
        if !matches!(now.change, Some(Change::Page(_))) {
            return Err(Rejected::NoPage(id).into());
        }
        self.append(key, version, &Event::Unpublished)?;
        Ok((version, Cause::Unpublished, Change::PageGone(id)))
    }

    fn append(&self, key: Key, version: u64, event: &Event) -> Answer<()> {
        let sql = "INSERT INTO event (key, version, at, body) VALUES (?, ?, ?, ?)";
        let body = serde_json::to_vec(event)?;
        self.connection.prepare_cached(sql)?.execute(params![key.to_string(), version as i64, self.at as i64, body])?;
        Ok(())
    }

    /// Writes what the hooks leave for the read side, in the same transaction.
    fn leave(&self, message: &Message) -> Answer<()> {
        if self.hooks.projection == Projection::All {
            for &generation in self.generations {
                sqlite_project(self.connection, generation, message, self.reference)?;
            }
        }
        let only_stock = self.hooks.projection == Projection::Stock && message.cause == Cause::Stocked;
        if only_stock && let Change::Product(product) = &message.change {
            for &generation in self.generations {
                sqlite_project_stock(self.connection, generation, product, message.version)?;
            }
        }
        if self.hooks.outbox && !only_stock {
            let sql = "INSERT INTO outbox (key, body, at) VALUES (?, ?, ?)";
            let row = params![message.key().to_string(), message.encode(), message.at as i64];
            self.connection.prepare_cached(sql)?.execute(row)?;
        }
        Ok(())
    }
}

impl Inner {
    /// Wakes the feeds that wait for a change.
    pub(super) fn notify(&self) {
        self.waiting.lock().expect("nothing panics under this lock").iter().for_each(|waiting| waiting.notify_one());
    }
}

#[async_trait]
impl WriteSide for SqliteWrite {
    async fn seed(&self, world: &World) -> Answer<()> {
        let (world, hooks) = (world.clone(), self.inner.hooks);
        self.inner.writer.run(move |connection| seed(connection, &world, hooks)).await?;
        // From now on triggers fire.
        if hooks.capture {
            self.inner.writer.run(|connection| Ok::<_, Failure>(connection.execute_batch(rows::CAPTURE)?)).await?;
        }
        Ok(())
    }

    async fn execute(&self, command: &Command) -> Result<(Ack, Message), CommandError> {
        let inner = Arc::clone(&self.inner);
        let command = command.clone();
        let carry_out = move |connection: &Connection| {
            let generations = inner.generations.read().expect("nothing panics under this lock");
            let (hooks, reference) = (inner.hooks, &*inner.reference);
            Step { connection, hooks, reference, generations: &generations, at: wall() }.run(&command)
        };
        let done = self.inner.writer.run(carry_out).await?;
        self.inner.notify();
        Ok(done)
    }

    async fn scan(&self, kind: Option<FeedKind>, visitor: &mut (dyn FnMut(Message) + Send)) -> Answer<u64> {
        let hooks = self.inner.hooks;
        self.inner.pool.with(|connection| {
            let moment = connection.transaction()?;
            let position = kind.map_or(Ok(0), |kind| feeds::end(&moment, kind))?;
            if hooks.events_only {
                scan_events(&moment, visitor)?;
            } else {
                scan_state(&moment, visitor)?;
            }
            Ok(position)
        })
    }

    fn feed(&self, kind: FeedKind) -> Answer<Arc<dyn Feed>> {
        self.inner.hooks.keep(kind)?;
        let notify = Arc::new(Notify::new());
        self.inner.waiting.lock().expect("nothing panics under this lock").push(Arc::clone(&notify));
        Ok(Arc::new(SqliteFeed { kind, write: Arc::clone(&self.inner), notify }))
    }

    fn read_stores(&self) -> Answer<Arc<dyn ReadStores>> {
        if self.inner.hooks.projection == Projection::None {
            return Err("this write side projects nothing: open it with a projection".into());
        }
        let (writer, pool) = (Arc::clone(&self.inner.writer), Arc::clone(&self.inner.pool));
        let generations = Arc::clone(&self.inner.generations);
        Ok(Arc::new(SqliteReadStores::within(writer, pool, Arc::clone(&self.inner.reference), generations)))
    }

    fn reference(&self) -> Arc<Reference> {
        Arc::clone(&self.inner.reference)
    }

    async fn migrate_weight(&self) -> Answer<()> {
        let Hooks { events_only, watermark, .. } = self.inner.hooks;
        let migrate = move |connection: &Connection| -> Answer<()> {
            if events_only {
                return weigh_by_events(connection);
            }
            // One statement, as in a migration script: it knows no hooks.
            connection.execute("UPDATE product SET weight_grams = 100 + id % 900, version = version + 1", [])?;
            if watermark {
                // A system that relies on `updated_at` keeps it by a trigger.
                connection.execute("UPDATE product SET updated_at = ?", [wall() as i64])?;
            }
            Ok(())
        };
        self.inner.writer.run(migrate).await?;
        self.inner.notify();
        Ok(())
    }

    async fn disk_bytes(&self) -> Answer<(u64, u64)> {
        let feeds = table_bytes(&self.inner.pool, &["outbox%", "captured%"])?;
        let views = table_bytes(&self.inner.pool, &["%view_%", "page_product_%", "listing_%", "position_%"])?;
        Ok((disk_bytes(self.inner.writer.path()).saturating_sub(feeds + views), feeds))
    }

    async fn clean(&self, keep: Duration) -> Answer<u64> {
        let hooks = self.inner.hooks;
        let until = wall().saturating_sub(u64::try_from(keep.as_micros()).unwrap_or(u64::MAX)) as i64;
        self.inner.writer.run(move |connection| feeds::clean(connection, hooks, until)).await
    }
}

/// Fills the tables, past the commands: loading is not measured.
fn seed(connection: &Connection, world: &World, hooks: Hooks) -> Answer<()> {
    let at = wall();
    if hooks.events_only {
        let sql = "INSERT INTO event (key, version, at, body) VALUES (?, 1, ?, ?)";
        let mut statement = connection.prepare_cached(sql)?;
        let products = world.all_products().map(|product| (Key::Product(product.id), Event::Added(product)));
        let pages = world.all_pages().map(|page| (Key::Page(page.id), Event::Published(page)));
        for (key, event) in products.chain(pages) {
            statement.execute(params![key.to_string(), at as i64, serde_json::to_vec(&event)?])?;
        }
        return Ok(());
    }
    for (id, name) in world.reference.brands.iter().enumerate() {
        connection.prepare_cached("INSERT INTO brand VALUES (?, ?)")?.execute(params![id as i64, name])?;
    }
    for (id, category) in world.reference.categories.iter().enumerate() {
        let row = params![id as i64, category.name, category.parent];
        connection.prepare_cached("INSERT INTO category VALUES (?, ?, ?)")?.execute(row)?;
    }
    world.all_products().try_for_each(|product| rows::put_product(connection, &product, 1, at))?;
    world.all_pages().try_for_each(|page| rows::put_page(connection, &page, 1, at))
}

fn scan_state(connection: &Connection, visitor: &mut (dyn FnMut(Message) + Send)) -> Answer<()> {
    let sql = "SELECT id, name, brand, category, price_cents, stock, weight_grams, version, updated_at FROM product
        ORDER BY id";
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let (product, version) = rows::product_row(row)?;
        let change = Change::Product(product);
        visitor(Message { version, at: unsigned(row, 8)?, cause: Cause::Unknown, replay: true, change });
    }
    let sql = "SELECT id, title, products, published, version, updated_at FROM page ORDER BY id";
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        visitor(Message { replay: true, ..rows::page_row(row)? });
    }
    Ok(())
}

/// All entities from all events: one pass, entity by entity.
fn scan_events(connection: &Connection, visitor: &mut (dyn FnMut(Message) + Send)) -> Answer<()> {
    let sql = "SELECT version, at, body FROM event ORDER BY key, version";
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query([])?;
    let mut folded = rows::Folded::default();
    let mut show = |folded: &rows::Folded| {
        if let Some(message) = folded.message() {
            visitor(Message { replay: true, ..message });
        }
    };
    while let Some(row) = found.next()? {
        let version = unsigned(row, 0)?;
        if version == 1 {
            show(&std::mem::take(&mut folded));
        }
        folded.add(version, unsigned(row, 1)?, row.get_ref(2)?.as_blob()?);
    }
    show(&folded);
    Ok(())
}

/// If events are all that is stored, a migration writes events.
fn weigh_by_events(connection: &Connection) -> Answer<()> {
    let sql = "SELECT key, max(version) FROM event WHERE key LIKE 'product-%' GROUP BY key";
    let mut statement = connection.prepare(sql)?;
    let found = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, unsigned(row, 1)?)))?;
    for (key, version) in found.collect::<Result<Vec<_>, _>>()? {
        let Key::Product(id) = key.parse()? else { continue };
        let body = serde_json::to_vec(&Event::Weighed(100 + (id % 900) as u32))?;
        let sql = "INSERT INTO event (key, version, at, body) VALUES (?, ?, ?, ?)";
        connection.prepare_cached(sql)?.execute(params![key, version as i64 + 1, wall() as i64, body])?;
    }
    Ok(())
}
