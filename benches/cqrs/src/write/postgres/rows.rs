//! The write side's tables on PostgreSQL, and entities to and from their rows.

use std::collections::HashSet;

use deadpool_postgres::Transaction;
use futures::TryStreamExt;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::super::rows::Folded;
use crate::Answer;
use crate::domain::{Cause, Change, Key, Message, Micros, Page, Product};

/// Tables of state. Rows are rewritten often: each block has free space, so that most updates stay in the block and change
/// no index.
pub(super) const STATE: &str = "
    CREATE TABLE brand (id integer PRIMARY KEY, name text NOT NULL);
    CREATE TABLE category (id integer PRIMARY KEY, name text NOT NULL, parent integer);
    CREATE TABLE product (id bigint PRIMARY KEY, name text NOT NULL, brand integer NOT NULL REFERENCES brand,
        category integer NOT NULL REFERENCES category, price_cents bigint NOT NULL CHECK (price_cents > 0),
        stock integer NOT NULL CHECK (stock >= 0), weight_grams integer, version bigint NOT NULL,
        updated_at bigint NOT NULL) WITH (fillfactor = 80);
    CREATE TABLE page (id bigint PRIMARY KEY, title text NOT NULL, products bigint[] NOT NULL, published boolean NOT NULL,
        version bigint NOT NULL, updated_at bigint NOT NULL) WITH (fillfactor = 80);";

/// What `polling` needs to find changed rows.
pub(super) const WATERMARK: &str = "
    CREATE INDEX product_updated ON product (updated_at);
    CREATE INDEX page_updated ON page (updated_at);";

/// The transactional outbox. A command gets its number while it holds the entity's lock, so numbers rise within a key.
/// Between keys a lower one may be committed later, so the relay asks for unsent rows and never for rows after a number.
pub(super) const OUTBOX: &str = "
    CREATE TABLE outbox (position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key text NOT NULL, body bytea NOT NULL,
        at bigint NOT NULL, sent_at bigint);
    CREATE INDEX outbox_unsent ON outbox (position) WHERE sent_at IS NULL;";

/// The event store. A position is the transaction's number and a number within it: readers stop before the oldest open
/// transaction, so that no event appears before their position later. UNIQUE is the optimistic lock: two writers can't both
/// write version 7 of an entity.
pub(super) const EVENTS: &str = "
    CREATE SEQUENCE event_number;
    CREATE TABLE event (position bigint PRIMARY KEY
            DEFAULT ((pg_current_xact_id()::text::bigint << 20) | (nextval('event_number') & 1048575)),
        key text NOT NULL, version bigint NOT NULL, at bigint NOT NULL, body bytea NOT NULL, UNIQUE (key, version));";

/// The first position of a transaction that may still be open: before it no event can be added.
pub(super) const SETTLED: &str = "(pg_snapshot_xmin(pg_current_snapshot())::text::bigint << 20)";

/// A product's columns, as [`product_row`] reads them.
pub(super) const PRODUCT: &str = "id, name, brand, category, price_cents, stock, weight_grams, version, updated_at";
/// A page's columns, as [`page_row`] reads them.
pub(super) const PAGE: &str = "id, title, products, published, version, updated_at";

pub(super) fn unsigned(row: &Row, column: usize) -> u64 {
    row.get::<_, i64>(column) as u64
}

/// A row of [`PRODUCT`].
pub(super) fn product_row(row: &Row) -> (Product, u64) {
    let product = Product {
        id: unsigned(row, 0),
        name: row.get(1),
        brand: row.get::<_, i32>(2) as u32,
        category: row.get::<_, i32>(3) as u32,
        price_cents: unsigned(row, 4),
        stock: row.get::<_, i32>(5) as u32,
        weight_grams: row.get::<_, Option<i32>>(6).map(|grams| grams as u32),
    };
    (product, unsigned(row, 7))
}

/// A row of [`PRODUCT`], as a message.
pub(super) fn product_message(row: &Row) -> Message {
    let (product, version) = product_row(row);
    Message { version, at: unsigned(row, 8), cause: Cause::Unknown, replay: false, change: Change::Product(product) }
}

/// A row of [`PAGE`], as a message.
pub(super) fn page_message(row: &Row) -> Message {
    let id = unsigned(row, 0);
    let change = if row.get(3) {
        let products = row.get::<_, Vec<i64>>(2).into_iter().map(|id| id as u64).collect();
        Change::Page(Page { id, title: row.get(1), products })
    } else {
        Change::PageGone(id)
    };
    Message { version: unsigned(row, 4), at: unsigned(row, 5), cause: Cause::Unknown, replay: false, change }
}

/// A product and its version, locked until the transaction ends.
pub(super) async fn product(transaction: &Transaction<'_>, id: u64) -> Answer<Option<(Product, u64)>> {
    let sql = "SELECT id, name, brand, category, price_cents, stock, weight_grams, version FROM product
        WHERE id = $1 FOR NO KEY UPDATE";
    let statement = transaction.prepare_cached(sql).await?;
    Ok(transaction.query_opt(&statement, &[&(id as i64)]).await?.as_ref().map(product_row))
}

/// Whether a page is published, and its version; locked until the transaction ends.
pub(super) async fn page_state(transaction: &Transaction<'_>, id: u64) -> Answer<Option<(bool, u64)>> {
    let sql = "SELECT published, version FROM page WHERE id = $1 FOR NO KEY UPDATE";
    let statement = transaction.prepare_cached(sql).await?;
    let row = transaction.query_opt(&statement, &[&(id as i64)]).await?;
    Ok(row.map(|row| (row.get(0), unsigned(&row, 1))))
}

/// Which of these products exist.
pub(super) async fn existing(transaction: &Transaction<'_>, ids: &[u64], events_only: bool) -> Answer<HashSet<u64>> {
    if events_only {
        let keys: Vec<String> = ids.iter().map(|id| Key::Product(*id).to_string()).collect();
        let statement = transaction.prepare_cached("SELECT key FROM event WHERE key = ANY($1) AND version = 1").await?;
        let rows = transaction.query(&statement, &[&keys]).await?;
        let id = |row: &Row| match row.get::<_, &str>(0).parse() {
            Ok(Key::Product(id)) => Some(id),
            _ => None,
        };
        return Ok(rows.iter().filter_map(id).collect());
    }
    let ids: Vec<i64> = ids.iter().map(|id| *id as i64).collect();
    let statement = transaction.prepare_cached("SELECT id FROM product WHERE id = ANY($1)").await?;
    Ok(transaction.query(&statement, &[&ids]).await?.iter().map(|row| unsigned(row, 0)).collect())
}

/// Writes a product. Whether it is new decides which statement: an upsert would take an index lock each time.
pub(super) async fn put_product(
    transaction: &Transaction<'_>,
    product: &Product,
    version: u64,
    at: Micros,
) -> Answer<()> {
    let sql = if version == 1 {
        "INSERT INTO product VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
    } else {
        "UPDATE product SET name = $2, brand = $3, category = $4, price_cents = $5, stock = $6, weight_grams = $7,
            version = $8, updated_at = $9 WHERE id = $1"
    };
    let statement = transaction.prepare_cached(sql).await?;
    let weight = product.weight_grams.map(|grams| grams as i32);
    let row: [&(dyn ToSql + Sync); 9] = [
        &(product.id as i64),
        &product.name,
        &(product.brand as i32),
        &(product.category as i32),
        &(product.price_cents as i64),
        &(product.stock as i32),
        &weight,
        &(version as i64),
        &(at as i64),
    ];
    transaction.execute(&statement, &row).await?;
    Ok(())
}

/// Writes a page: published, or taken down with the products that it showed.
pub(super) async fn put_page(transaction: &Transaction<'_>, change: &Change, version: u64, at: Micros) -> Answer<()> {
    let (version, at) = (version as i64, at as i64);
    match change {
        Change::Page(page) => {
            let sql = if version == 1 {
                "INSERT INTO page (id, title, products, published, version, updated_at) VALUES ($1, $2, $3, true, $4, $5)"
            } else {
                "UPDATE page SET title = $2, products = $3, published = true, version = $4, updated_at = $5 WHERE id = $1"
            };
            let statement = transaction.prepare_cached(sql).await?;
            let products: Vec<i64> = page.products.iter().map(|id| *id as i64).collect();
            transaction.execute(&statement, &[&(page.id as i64), &page.title, &products, &version, &at]).await?;
        }
        Change::PageGone(id) => {
            let sql = "UPDATE page SET published = false, version = $2, updated_at = $3 WHERE id = $1";
            let statement = transaction.prepare_cached(sql).await?;
            transaction.execute(&statement, &[&(*id as i64), &version, &at]).await?;
        }
        Change::Product(_) => unreachable!("the caller has checked the kind"),
    }
    Ok(())
}

/// An entity from its events.
pub(super) async fn fold(transaction: &Transaction<'_>, key: Key) -> Answer<Folded> {
    let mut folded = Folded::default();
    let sql = "SELECT version, at, body FROM event WHERE key = $1 ORDER BY version";
    let statement = transaction.prepare_cached(sql).await?;
    for row in transaction.query(&statement, &[&key.to_string()]).await? {
        folded.add(unsigned(&row, 0), unsigned(&row, 1), row.get(2));
    }
    Ok(folded)
}

/// Shows every row of a query, without holding them all.
pub(super) async fn each(
    transaction: &Transaction<'_>,
    sql: &str,
    visitor: &mut (dyn FnMut(&Row) -> Answer<()> + Send),
) -> Answer<()> {
    let none: [i64; 0] = [];
    let rows = transaction.query_raw(sql, none).await?;
    let mut rows = std::pin::pin!(rows);
    while let Some(row) = rows.try_next().await? {
        visitor(&row)?;
    }
    Ok(())
}
