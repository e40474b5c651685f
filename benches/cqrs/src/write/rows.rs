//! The write side's tables on SQLite, and entities to and from their rows.
//!
//! With [`Hooks::events_only`](super::Hooks) there is one table, of events, and an entity is folded from its events. An
//! event that this program can't decode is skipped.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use crate::Answer;
use crate::domain::{Cause, Change, Command, Key, Message, Micros, Page, Product};

/// Tables of state.
pub(super) const STATE: &str = "
    CREATE TABLE IF NOT EXISTS brand (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS category (id INTEGER PRIMARY KEY, name TEXT NOT NULL, parent INTEGER);
    CREATE TABLE IF NOT EXISTS product (id INTEGER PRIMARY KEY, name TEXT NOT NULL, brand INTEGER NOT NULL,
        category INTEGER NOT NULL, price_cents INTEGER NOT NULL CHECK (price_cents > 0),
        stock INTEGER NOT NULL CHECK (stock >= 0), weight_grams INTEGER, version INTEGER NOT NULL,
        updated_at INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS page (id INTEGER PRIMARY KEY, title TEXT NOT NULL, products TEXT NOT NULL,
        published INTEGER NOT NULL, version INTEGER NOT NULL, updated_at INTEGER NOT NULL);";

/// What `polling` needs to find changed rows.
pub(super) const WATERMARK: &str = "
    CREATE INDEX IF NOT EXISTS product_updated ON product (updated_at);
    CREATE INDEX IF NOT EXISTS page_updated ON page (updated_at);";

/// The transactional outbox. The partial index holds only rows that were not sent.
pub(super) const OUTBOX: &str = "
    CREATE TABLE IF NOT EXISTS outbox (position INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, body BLOB NOT NULL,
        at INTEGER NOT NULL, sent_at INTEGER);
    CREATE INDEX IF NOT EXISTS outbox_unsent ON outbox (position) WHERE sent_at IS NULL;";

/// Change capture by triggers: each change of a row stores the new row; a second table stores the reader's position.
pub(super) const CAPTURE: &str = "
    CREATE TABLE IF NOT EXISTS captured (position INTEGER PRIMARY KEY AUTOINCREMENT, entity TEXT NOT NULL,
        id INTEGER NOT NULL, row TEXT NOT NULL, price_before INTEGER, at INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS captured_until (position INTEGER NOT NULL);
    INSERT INTO captured_until SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM captured_until);
    CREATE TRIGGER IF NOT EXISTS product_inserted AFTER INSERT ON product BEGIN
        INSERT INTO captured (entity, id, row, at) VALUES ('product', new.id, json_object('id', new.id, 'name', new.name,
            'brand', new.brand, 'category', new.category, 'price_cents', new.price_cents, 'stock', new.stock,
            'weight_grams', new.weight_grams, 'version', new.version), new.updated_at); END;
    CREATE TRIGGER IF NOT EXISTS product_updated AFTER UPDATE ON product BEGIN
        INSERT INTO captured (entity, id, row, price_before, at) VALUES ('product', new.id, json_object('id', new.id,
            'name', new.name, 'brand', new.brand, 'category', new.category, 'price_cents', new.price_cents,
            'stock', new.stock, 'weight_grams', new.weight_grams, 'version', new.version), old.price_cents,
            new.updated_at); END;
    CREATE TRIGGER IF NOT EXISTS page_inserted AFTER INSERT ON page BEGIN
        INSERT INTO captured (entity, id, row, at) VALUES ('page', new.id, json_object('id', new.id, 'title', new.title,
            'products', json(new.products), 'published', new.published, 'version', new.version), new.updated_at); END;
    CREATE TRIGGER IF NOT EXISTS page_updated AFTER UPDATE ON page BEGIN
        INSERT INTO captured (entity, id, row, at) VALUES ('page', new.id, json_object('id', new.id, 'title', new.title,
            'products', json(new.products), 'published', new.published, 'version', new.version), new.updated_at); END;";

/// The event store. The unique index is the optimistic lock: two writers can't both write version 7 of an entity.
pub(super) const EVENTS: &str = "
    CREATE TABLE IF NOT EXISTS event (position INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL,
        version INTEGER NOT NULL, at INTEGER NOT NULL, body BLOB NOT NULL, UNIQUE (key, version));";

/// What happened to an entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Event {
    Added(Product),
    Renamed(String),
    Priced(u64),
    /// By how many.
    Stocked(i64),
    Moved(u32),
    Weighed(u32),
    Published(Page),
    Unpublished,
}

impl Event {
    /// The event of a command.
    pub(super) fn of(command: &Command) -> Event {
        match command {
            Command::Add(product) => Event::Added(product.clone()),
            Command::Rename { name, .. } => Event::Renamed(name.clone()),
            Command::Price { price_cents, .. } => Event::Priced(*price_cents),
            Command::Stock { by, .. } => Event::Stocked(*by),
            Command::Move { category, .. } => Event::Moved(*category),
            Command::Publish(page) => Event::Published(page.clone()),
            Command::Unpublish { .. } => Event::Unpublished,
        }
    }
}

/// An entity, folded from its events.
#[derive(Debug, Clone, Default)]
pub(super) struct Folded {
    pub(super) change: Option<Change>,
    pub(super) cause: Option<Cause>,
    /// Of the last event that could be decoded.
    pub(super) version: u64,
    /// Of the last event.
    pub(super) last: u64,
    pub(super) at: Micros,
}

impl Folded {
    /// Applies one more event.
    pub(super) fn add(&mut self, version: u64, at: Micros, body: &[u8]) {
        self.last = version;
        let Ok(event) = serde_json::from_slice(body) else { return };
        (self.version, self.at) = (version, at);
        let (change, cause) = match (event, self.change.take()) {
            (Event::Added(product), _) => (Some(Change::Product(product)), Cause::Added),
            (Event::Published(page), _) => (Some(Change::Page(page)), Cause::Published),
            (Event::Unpublished, Some(Change::Page(page))) => (Some(Change::PageGone(page.id)), Cause::Unpublished),
            (event, Some(Change::Product(mut product))) => {
                let cause = apply(&mut product, event);
                (Some(Change::Product(product)), cause)
            }
            (_, change) => (change, Cause::Unknown),
        };
        (self.change, self.cause) = (change, Some(cause));
    }

    /// As a message.
    pub(super) fn message(&self) -> Option<Message> {
        let cause = self.cause.unwrap_or(Cause::Unknown);
        Some(Message { version: self.version, at: self.at, cause, replay: false, change: self.change.clone()? })
    }
}

fn apply(product: &mut Product, event: Event) -> Cause {
    match event {
        Event::Renamed(name) => {
            product.name = name;
            Cause::Renamed
        }
        Event::Priced(price) => {
            let before = std::mem::replace(&mut product.price_cents, price);
            if price < before { Cause::Cheaper } else { Cause::Dearer }
        }
        Event::Stocked(by) => {
            product.stock = u32::try_from(i64::from(product.stock) + by).unwrap_or(0);
            Cause::Stocked
        }
        Event::Moved(category) => {
            product.category = category;
            Cause::Moved
        }
        Event::Weighed(grams) => {
            product.weight_grams = Some(grams);
            Cause::Unknown
        }
        Event::Added(_) | Event::Published(_) | Event::Unpublished => Cause::Unknown,
    }
}

/// An entity from its events, up to this version.
pub(super) fn fold(connection: &Connection, key: Key, until: u64) -> Answer<Folded> {
    let mut folded = Folded::default();
    let sql = "SELECT version, at, body FROM event WHERE key = ? AND version <= ? ORDER BY version";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![key.to_string(), i64::try_from(until).unwrap_or(i64::MAX)])?;
    while let Some(row) = rows.next()? {
        folded.add(unsigned(row, 0)?, unsigned(row, 1)?, row.get_ref(2)?.as_blob()?);
    }
    Ok(folded)
}

/// A product and its version.
pub(super) fn product(connection: &Connection, id: u64) -> Answer<Option<(Product, u64)>> {
    let sql = "SELECT id, name, brand, category, price_cents, stock, weight_grams, version FROM product WHERE id = ?";
    Ok(connection.prepare_cached(sql)?.query_row([id as i64], product_row).optional()?)
}

/// A row of `id, name, brand, category, price_cents, stock, weight_grams, version`.
pub(super) fn product_row(row: &Row<'_>) -> rusqlite::Result<(Product, u64)> {
    let product = Product {
        id: unsigned(row, 0)?,
        name: row.get(1)?,
        brand: row.get(2)?,
        category: row.get(3)?,
        price_cents: unsigned(row, 4)?,
        stock: row.get(5)?,
        weight_grams: row.get(6)?,
    };
    Ok((product, unsigned(row, 7)?))
}

/// Writes a product.
pub(super) fn put_product(connection: &Connection, product: &Product, version: u64, at: Micros) -> Answer<()> {
    let sql = "INSERT INTO product (id, name, brand, category, price_cents, stock, weight_grams, version, updated_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (id) DO UPDATE SET name = ?2, brand = ?3, category = ?4,
        price_cents = ?5, stock = ?6, weight_grams = ?7, version = ?8, updated_at = ?9";
    connection.prepare_cached(sql)?.execute(params![
        product.id as i64,
        product.name,
        product.brand,
        product.category,
        product.price_cents as i64,
        product.stock,
        product.weight_grams,
        version as i64,
        at as i64
    ])?;
    Ok(())
}

/// Whether a page is published, and its version.
pub(super) fn page_state(connection: &Connection, id: u64) -> Answer<Option<(bool, u64)>> {
    let sql = "SELECT published, version FROM page WHERE id = ?";
    let row = |row: &Row<'_>| Ok((row.get(0)?, unsigned(row, 1)?));
    Ok(connection.prepare_cached(sql)?.query_row([id as i64], row).optional()?)
}

/// Writes a page as published.
pub(super) fn put_page(connection: &Connection, page: &Page, version: u64, at: Micros) -> Answer<()> {
    let sql = "INSERT INTO page (id, title, products, published, version, updated_at) VALUES (?1, ?2, ?3, 1, ?4, ?5)
        ON CONFLICT (id) DO UPDATE SET title = ?2, products = ?3, published = 1, version = ?4, updated_at = ?5";
    let products = serde_json::to_string(&page.products)?;
    connection.prepare_cached(sql)?.execute(params![
        page.id as i64,
        page.title,
        products,
        version as i64,
        at as i64
    ])?;
    Ok(())
}

/// A row of `id, title, products, published, version, updated_at`.
pub(super) fn page_row(row: &Row<'_>) -> Answer<Message> {
    let id = unsigned(row, 0)?;
    let published: bool = row.get(3)?;
    let change = if published {
        let products = serde_json::from_str(row.get_ref(2)?.as_str()?)?;
        Change::Page(Page { id, title: row.get(1)?, products })
    } else {
        Change::PageGone(id)
    };
    Ok(Message { version: unsigned(row, 4)?, at: unsigned(row, 5)?, cause: Cause::Unknown, replay: false, change })
}

/// SQLite's integers are signed; ids, versions and times are below 2⁶³.
pub(super) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|value| value as u64)
}
