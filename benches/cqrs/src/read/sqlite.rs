//! The read model on SQLite: denormalised products with an index by category, pages as lists of references.
//!
//! A page stores its products' ids, and its query joins: a change of a product is a change of one row, whichever pages show
//! it. Each generation has separate tables, in a separate file or in the write side's.
//!
//! Rules: a row is replaced only by a newer version; a page that is gone leaves its version, so that an older message does
//! not restore it; stock has a separate version, for the strategy that projects it sooner.

use std::path::Path;
use std::sync::{Arc, RwLock};

use async_trait::async_trait;
use cenote_bench_support::sqlite::Pool;
use rusqlite::{Connection, Row, params};

use super::{Applied, LocalQueries, Queries, ReadStore, ReadStores};
use crate::Answer;
use crate::domain::{Card, Change, Key, LISTING, Message, Page, Product, Query, Reference, Visitor};
use crate::sqlite::{Durability, Writer, disk_bytes, pool, table_bytes};

fn tables(generation: u32) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS product_view_{generation} (id INTEGER PRIMARY KEY, category INTEGER NOT NULL,
            name TEXT NOT NULL, brand TEXT NOT NULL, category_path TEXT NOT NULL, price_cents INTEGER NOT NULL,
            stock INTEGER NOT NULL, weight_grams INTEGER, version INTEGER NOT NULL, stock_version INTEGER NOT NULL);
        CREATE INDEX IF NOT EXISTS listing_{generation} ON product_view_{generation} (category, id);
        CREATE TABLE IF NOT EXISTS page_view_{generation} (id INTEGER PRIMARY KEY, title TEXT NOT NULL,
            version INTEGER NOT NULL, gone INTEGER NOT NULL);
        CREATE TABLE IF NOT EXISTS page_product_{generation} (page INTEGER NOT NULL, place INTEGER NOT NULL,
            product INTEGER NOT NULL, PRIMARY KEY (page, place)) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS position_{generation} (only INTEGER PRIMARY KEY CHECK (only = 0),
            position INTEGER NOT NULL);"
    )
}

/// Applies a message to one generation; returns whether it was newer than the stored row. A write side that projects in the
/// command's transaction calls this, too.
pub fn sqlite_project(
    connection: &Connection,
    generation: u32,
    message: &Message,
    reference: &Reference,
) -> Answer<bool> {
    match &message.change {
        Change::Product(product) => put_product(connection, generation, product, message.version, reference),
        Change::Page(page) => put_page(connection, generation, page, message.version),
        Change::PageGone(id) => {
            let gone = Page { id: *id, title: String::new(), products: Vec::new() };
            let newer = put_page(connection, generation, &gone, message.version)?;
            if newer {
                let sql = format!("UPDATE page_view_{generation} SET gone = 1 WHERE id = ?");
                connection.prepare_cached(&sql)?.execute([*id as i64])?;
            }
            Ok(newer)
        }
    }
}

fn put_product(
    connection: &Connection,
    generation: u32,
    product: &Product,
    version: u64,
    reference: &Reference,
) -> Answer<bool> {
    let sql = format!(
        "INSERT INTO product_view_{generation} VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9)
        ON CONFLICT (id) DO UPDATE SET category = ?2, name = ?3, brand = ?4, category_path = ?5, price_cents = ?6,
            stock = iif(stock_version < ?9, ?7, stock), weight_grams = ?8, version = ?9,
            stock_version = max(stock_version, ?9)
        WHERE version < ?9"
    );
    let row = params![
        product.id as i64,
        product.category,
        product.name,
        reference.brand(product.brand),
        reference.path(product.category),
        product.price_cents as i64,
        product.stock,
        product.weight_grams,
        version as i64
    ];
    Ok(connection.prepare_cached(&sql)?.execute(row)? > 0)
}

fn put_page(connection: &Connection, generation: u32, page: &Page, version: u64) -> Answer<bool> {
    let sql = format!(
        "INSERT INTO page_view_{generation} VALUES (?1, ?2, ?3, 0)
        ON CONFLICT (id) DO UPDATE SET title = ?2, version = ?3, gone = 0 WHERE version < ?3"
    );
    if connection.prepare_cached(&sql)?.execute(params![page.id as i64, page.title, version as i64])? == 0 {
        return Ok(false);
    }
    let sql = format!("DELETE FROM page_product_{generation} WHERE page = ?");
    connection.prepare_cached(&sql)?.execute([page.id as i64])?;
    let sql = format!("INSERT INTO page_product_{generation} VALUES (?, ?, ?)");
    let mut statement = connection.prepare_cached(&sql)?;
    for (place, product) in page.products.iter().enumerate() {
        statement.execute([page.id as i64, place as i64, *product as i64])?;
    }
    Ok(true)
}

fn apply(
    connection: &Connection,
    generation: u32,
    batch: &[Message],
    position: Option<u64>,
    reference: &Reference,
) -> Answer<Applied> {
    let mut applied = Applied::default();
    for message in batch {
        if sqlite_project(connection, generation, message, reference)? {
            applied.written += 1;
        } else {
            applied.stale += 1;
        }
    }
    if let Some(position) = position {
        let sql = format!("INSERT OR REPLACE INTO position_{generation} VALUES (0, ?)");
        connection.prepare_cached(&sql)?.execute([position as i64])?;
    }
    Ok(applied)
}

/// The queries of one generation, as SQL.
struct Sql {
    product: String,
    category: String,
    page: String,
    page_products: String,
}

impl Sql {
    fn new(generation: u32) -> Sql {
        const CARD: &str = "p.id, p.name, p.brand, p.category_path, p.price_cents, p.stock, p.weight_grams,
            max(p.version, p.stock_version)";
        let from = format!("FROM product_view_{generation} p");
        Sql {
            product: format!("SELECT {CARD} {from} WHERE p.id = ? AND p.version > 0"),
            category: format!("SELECT {CARD} {from} WHERE p.category = ? AND p.version > 0 ORDER BY p.id LIMIT {LISTING}"),
            page: format!("SELECT title, version FROM page_view_{generation} WHERE id = ? AND NOT gone"),
            page_products: format!(
                "SELECT {CARD} FROM page_product_{generation} r CROSS JOIN product_view_{generation} p ON p.id = r.product
                WHERE r.page = ? AND p.version > 0 ORDER BY r.place"
            ),
        }
    }
}

fn show(row: &Row<'_>, visitor: &mut dyn Visitor) -> Answer<()> {
    visitor.product(Card {
        id: row.get::<_, i64>(0)? as u64,
        name: row.get_ref(1)?.as_str()?,
        brand: row.get_ref(2)?.as_str()?,
        category_path: row.get_ref(3)?.as_str()?,
        price_cents: row.get::<_, i64>(4)? as u64,
        stock: row.get(5)?,
        weight_grams: row.get(6)?,
        version: row.get::<_, i64>(7)? as u64,
    });
    Ok(())
}

fn show_all(connection: &Connection, sql: &str, key: i64, visitor: &mut dyn Visitor) -> Answer<bool> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([key])?;
    let mut found = false;
    while let Some(row) = rows.next()? {
        show(row, visitor)?;
        found = true;
    }
    Ok(found)
}

/// One generation's answers.
struct Answers {
    pool: Arc<Pool>,
    sql: Sql,
}

impl LocalQueries for Answers {
    fn ask(&self, query: Query, visitor: &mut dyn Visitor) -> Answer<bool> {
        self.pool.with(|connection| match query {
            Query::Product(id) => show_all(connection, &self.sql.product, id as i64, visitor),
            Query::Category(category) => {
                show_all(connection, &self.sql.category, category.into(), visitor)?;
                Ok(true)
            }
            Query::Page(id) => {
                // Both statements read the same snapshot.
                let moment = connection.transaction()?;
                let mut statement = moment.prepare_cached(&self.sql.page)?;
                let mut rows = statement.query([id as i64])?;
                let Some(row) = rows.next()? else { return Ok(false) };
                visitor.page(row.get_ref(0)?.as_str()?, row.get::<_, i64>(1)? as u64);
                show_all(&moment, &self.sql.page_products, id as i64, visitor)?;
                Ok(true)
            }
        })
    }
}

/// Updates one product's stock, in the command's transaction. A product that the outbox has not delivered yet gets a row
/// that no query shows, so that its stock is not lost.
pub fn sqlite_project_stock(connection: &Connection, generation: u32, product: &Product, version: u64) -> Answer<()> {
    let sql = format!(
        "INSERT INTO product_view_{generation} VALUES (?1, -1, '', '', '', 0, ?2, NULL, 0, ?3)
        ON CONFLICT (id) DO UPDATE SET stock = ?2, stock_version = ?3 WHERE stock_version < ?3"
    );
    connection.prepare_cached(&sql)?.execute(params![product.id as i64, product.stock, version as i64])?;
    Ok(())
}

/// Generations in one SQLite file.
pub struct SqliteReadStores {
    writer: Arc<Writer>,
    pool: Arc<Pool>,
    reference: Arc<Reference>,
    /// The generations that exist, for a write side that projects to them.
    generations: Arc<RwLock<Vec<u32>>>,
    /// Whether the database is the write side's.
    is_guest: bool,
}

impl SqliteReadStores {
    /// Opens `read.db` in this folder, or creates it. It can be rebuilt, so it is not synced at every commit.
    pub fn open(folder: &Path, reference: Arc<Reference>) -> Answer<SqliteReadStores> {
        SqliteReadStores::open_at(&folder.join("read.db"), reference)
    }

    /// Opens this file, or creates it.
    pub fn open_at(path: &Path, reference: Arc<Reference>) -> Answer<SqliteReadStores> {
        let writer = Arc::new(Writer::open(path, Durability::Process, "")?);
        let (pool, generations) = (Arc::new(pool(path)), Arc::default());
        Ok(SqliteReadStores { writer, pool, reference, generations, is_guest: false })
    }

    /// In a database that the write side has open.
    #[must_use]
    pub fn within(
        writer: Arc<Writer>,
        pool: Arc<Pool>,
        reference: Arc<Reference>,
        generations: Arc<RwLock<Vec<u32>>>,
    ) -> SqliteReadStores {
        SqliteReadStores { writer, pool, reference, generations, is_guest: true }
    }
}

#[async_trait]
impl ReadStores for SqliteReadStores {
    async fn open(&self, generation: u32) -> Answer<Arc<dyn ReadStore>> {
        let generations = Arc::clone(&self.generations);
        // On the writer's thread: commands before it are committed with it, and commands after it project to it.
        let make = move |connection: &Connection| -> Answer<()> {
            connection.execute_batch(&tables(generation))?;
            let mut generations = generations.write().expect("nothing panics under this lock");
            if !generations.contains(&generation) {
                generations.push(generation);
            }
            Ok(())
        };
        self.writer.run(make).await?;
        let answers = Answers { pool: Arc::clone(&self.pool), sql: Sql::new(generation) };
        Ok(Arc::new(SqliteRead {
            generation,
            writer: Arc::clone(&self.writer),
            answers: Arc::new(answers),
            reference: Arc::clone(&self.reference),
            is_guest: self.is_guest,
        }))
    }

    async fn remove(&self, generation: u32) -> Answer<()> {
        self.generations.write().expect("nothing panics under this lock").retain(|own| *own != generation);
        let drop = move |connection: &Connection| -> Answer<()> {
            for table in ["product_view", "page_view", "page_product", "position"] {
                connection.execute_batch(&format!("DROP TABLE IF EXISTS {table}_{generation}"))?;
            }
            Ok(())
        };
        self.writer.run(drop).await
    }
}

/// One generation.
struct SqliteRead {
    generation: u32,
    writer: Arc<Writer>,
    answers: Arc<Answers>,
    reference: Arc<Reference>,
    is_guest: bool,
}

#[async_trait]
impl ReadStore for SqliteRead {
    fn queries(&self) -> Queries {
        Queries::Local(Arc::<Answers>::clone(&self.answers))
    }

    async fn apply(&self, batch: &[Message], position: Option<u64>) -> Answer<Applied> {
        let (batch, generation, reference) = (batch.to_vec(), self.generation, Arc::clone(&self.reference));
        self.writer.run(move |connection| apply(connection, generation, &batch, position, &reference)).await
    }

    async fn position(&self) -> Answer<u64> {
        let sql = format!("SELECT coalesce(max(position), 0) FROM position_{}", self.generation);
        self.answers
            .pool
            .with(|connection| Ok(connection.prepare_cached(&sql)?.query_row([], |row| row.get::<_, i64>(0))? as u64))
    }

    async fn reconnect(&self) -> Answer<()> {
        self.answers.pool.close();
        Ok(())
    }

    async fn corrupt(&self, key: Key) -> Answer<()> {
        let (generation, (table, column, id)) = (
            self.generation,
            match key {
                Key::Product(id) => ("product_view", "name", id),
                Key::Page(id) => ("page_view", "title", id),
            },
        );
        let spoil = move |connection: &Connection| -> Answer<()> {
            let sql = format!("UPDATE {table}_{generation} SET {column} = 'spoiled by a script' WHERE id = ?");
            connection.execute(&sql, [id as i64])?;
            Ok(())
        };
        self.writer.run(spoil).await
    }

    async fn disk_bytes(&self) -> Answer<u64> {
        if self.is_guest {
            return table_bytes(&self.answers.pool, &["%view_%", "page_product_%", "listing_%", "position_%"]);
        }
        Ok(disk_bytes(self.writer.path()))
    }
}
