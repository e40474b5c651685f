//! The read model on PostgreSQL: the same denormalised tables as on SQLite, with few round trips.
//!
//! A query is one round trip, also for a page with its products. A batch is a few statements on arrays in one transaction.
//! The read model can be rebuilt, so commits are not awaited (`synchronous_commit = off`): a crash of the server loses the
//! last fraction of a second together with its position. In the command's transaction the command's setting holds.
//!
//! Rules, as on SQLite: only newer versions replace a row, a page that is gone leaves its version, stock has a separate
//! version.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use deadpool_postgres::{PoolError, Transaction};
use tokio::sync::RwLock;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::{Applied, Queries, ReadStore, ReadStores, RemoteQueries};
use crate::domain::{Card, Change, Key, LISTING, Message, Product, Query, Reference, Visitor};
use crate::points::Away;
use crate::postgres::{Database, SchemaLocation};
use crate::settings::Settings;
use crate::{Answer, Failure};

fn tables(generation: u32) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS product_view_{generation} (id bigint PRIMARY KEY, category integer, name text NOT NULL,
            brand text NOT NULL, category_path text NOT NULL, price_cents bigint NOT NULL, stock integer NOT NULL,
            weight_grams integer, version bigint NOT NULL, stock_version bigint NOT NULL) WITH (fillfactor = 80);
        CREATE INDEX IF NOT EXISTS listing_{generation} ON product_view_{generation} (category, id);
        CREATE TABLE IF NOT EXISTS page_view_{generation} (id bigint PRIMARY KEY, title text NOT NULL,
            products bigint[] NOT NULL, version bigint NOT NULL, gone boolean NOT NULL) WITH (fillfactor = 80);
        CREATE TABLE IF NOT EXISTS position_{generation} (one integer PRIMARY KEY CHECK (one = 0),
            position bigint NOT NULL)"
    )
}

/// The columns of a batch, and what happens to an existing row.
fn upsert_products(generation: u32) -> String {
    format!(
        "INSERT INTO product_view_{generation}
        SELECT *, version FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::bigint[],
            $7::integer[], $8::integer[], $9::bigint[])
            AS new (id, category, name, brand, category_path, price_cents, stock, weight_grams, version)
        ON CONFLICT (id) DO UPDATE SET category = excluded.category, name = excluded.name, brand = excluded.brand,
            category_path = excluded.category_path, price_cents = excluded.price_cents,
            stock = CASE WHEN product_view_{generation}.stock_version < excluded.version THEN excluded.stock
                ELSE product_view_{generation}.stock END,
            weight_grams = excluded.weight_grams, version = excluded.version,
            stock_version = greatest(product_view_{generation}.stock_version, excluded.version)
        WHERE product_view_{generation}.version < excluded.version
        RETURNING id"
    )
}

fn upsert_page(generation: u32) -> String {
    format!(
        "INSERT INTO page_view_{generation} VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (id) DO UPDATE SET title = excluded.title, products = excluded.products, version = excluded.version,
            gone = excluded.gone
        WHERE page_view_{generation}.version < excluded.version"
    )
}

/// Applies a message to one generation, in the command's transaction.
pub async fn postgres_project(
    transaction: &Transaction<'_>,
    generation: u32,
    message: &Message,
    reference: &Reference,
) -> Answer<()> {
    put_all(transaction, generation, std::slice::from_ref(message), reference).await.map(|_| ())
}

/// Updates one product's stock, in the command's transaction. A product that the outbox has not delivered yet gets a row
/// that no query shows, so that its stock is not lost.
pub async fn postgres_project_stock(
    transaction: &Transaction<'_>,
    generation: u32,
    product: &Product,
    version: u64,
) -> Answer<()> {
    let sql = format!(
        "INSERT INTO product_view_{generation} AS old VALUES ($1, NULL, '', '', '', 0, $2, NULL, 0, $3)
        ON CONFLICT (id) DO UPDATE SET stock = excluded.stock, stock_version = excluded.stock_version
        WHERE old.stock_version < excluded.stock_version"
    );
    let statement = transaction.prepare_cached(&sql).await?;
    transaction.execute(&statement, &[&(product.id as i64), &(product.stock as i32), &(version as i64)]).await?;
    Ok(())
}

/// Applies messages; returns how many changed something.
async fn put_all(
    transaction: &Transaction<'_>,
    generation: u32,
    batch: &[Message],
    reference: &Reference,
) -> Answer<Applied> {
    // A statement can't change a row twice: of several versions in a batch, only the newest counts. In the order of keys,
    // so that two concurrent writers don't deadlock.
    let mut newest: BTreeMap<Key, &Message> = BTreeMap::new();
    for message in batch {
        let last = newest.entry(message.key()).or_insert(message);
        if message.version > last.version {
            *last = message;
        }
    }
    let mut written = HashSet::new();
    let mut products: Vec<(&Product, u64)> = Vec::new();
    for (key, message) in &newest {
        if let Change::Product(product) = &message.change {
            products.push((product, message.version));
        } else if put_page(transaction, generation, message).await? {
            written.insert(*key);
        }
    }
    written.extend(put_products(transaction, generation, &products, reference).await?);
    // A version that the newest has superseded counts as written, if it came in order.
    let mut last: HashMap<Key, u64> = HashMap::new();
    let is_newer = |message: &&Message| {
        let last = last.entry(message.key()).or_default();
        written.contains(&message.key()) && message.version > std::mem::replace(last, message.version.max(*last))
    };
    let changes = batch.iter().filter(is_newer).count() as u64;
    Ok(Applied { written: changes, stale: batch.len() as u64 - changes })
}

/// Which of them were newer than the stored rows.
async fn put_products(
    transaction: &Transaction<'_>,
    generation: u32,
    products: &[(&Product, u64)],
    reference: &Reference,
) -> Answer<Vec<Key>> {
    if products.is_empty() {
        return Ok(Vec::new());
    }
    let statement = transaction.prepare_cached(&upsert_products(generation)).await?;
    let of = |column: fn(&Product) -> i64| products.iter().map(|(own, _)| column(own)).collect::<Vec<i64>>();
    let small = |column: fn(&Product) -> i32| products.iter().map(|(own, _)| column(own)).collect::<Vec<i32>>();
    let names: Vec<&str> = products.iter().map(|(own, _)| own.name.as_str()).collect();
    let brands: Vec<&str> = products.iter().map(|(own, _)| reference.brand(own.brand)).collect();
    let paths: Vec<&str> = products.iter().map(|(own, _)| reference.path(own.category)).collect();
    let weights: Vec<Option<i32>> =
        products.iter().map(|(own, _)| own.weight_grams.map(|grams| grams as i32)).collect();
    let versions: Vec<i64> = products.iter().map(|(_, version)| *version as i64).collect();
    let (ids, categories) = (of(|own| own.id as i64), small(|own| own.category as i32));
    let (prices, stocks) = (of(|own| own.price_cents as i64), small(|own| own.stock as i32));
    let columns: [&(dyn ToSql + Sync); 9] =
        [&ids, &categories, &names, &brands, &paths, &prices, &stocks, &weights, &versions];
    let written = transaction.query(&statement, &columns).await?;
    Ok(written.iter().map(|row| Key::Product(row.get::<_, i64>(0) as u64)).collect())
}

/// Whether it was newer than the stored page.
async fn put_page(transaction: &Transaction<'_>, generation: u32, message: &Message) -> Answer<bool> {
    let (id, title, products, gone) = match &message.change {
        Change::Page(page) => (page.id, page.title.as_str(), page.products.as_slice(), false),
        Change::PageGone(id) => (*id, "", [].as_slice(), true),
        Change::Product(_) => unreachable!("the caller has checked the kind"),
    };
    let products: Vec<i64> = products.iter().map(|id| *id as i64).collect();
    let statement = transaction.prepare_cached(&upsert_page(generation)).await?;
    let row = (id as i64, title, products, message.version as i64, gone);
    Ok(transaction.execute(&statement, &[&row.0, &row.1, &row.2, &row.3, &row.4]).await? > 0)
}

/// The queries of one generation, as SQL.
struct Sql {
    product: String,
    category: String,
    page: String,
}

const CARD: &str = "p.id, p.name, p.brand, p.category_path, p.price_cents, p.stock, p.weight_grams, greatest(p.version, p.stock_version)";

impl Sql {
    fn new(generation: u32) -> Sql {
        let from = format!("FROM product_view_{generation} p");
        Sql {
            product: format!("SELECT {CARD} {from} WHERE p.id = $1 AND p.version > 0"),
            category: format!(
                "SELECT {CARD} {from} WHERE p.category = $1 AND p.version > 0 ORDER BY p.id LIMIT {LISTING}"
            ),
            // A page whose products are all missing still has a headline, hence the outer join.
            page: format!(
                "SELECT {CARD}, g.title, g.version FROM page_view_{generation} g
                LEFT JOIN LATERAL unnest(g.products) WITH ORDINALITY r (id, place) ON true
                LEFT JOIN product_view_{generation} p ON p.id = r.id AND p.version > 0
                WHERE g.id = $1 AND NOT g.gone ORDER BY r.place"
            ),
        }
    }
}

fn show(row: &Row, visitor: &mut (dyn Visitor + Send)) -> Answer<()> {
    visitor.product(Card {
        id: row.try_get::<_, i64>(0)? as u64,
        name: row.try_get(1)?,
        brand: row.try_get(2)?,
        category_path: row.try_get(3)?,
        price_cents: row.try_get::<_, i64>(4)? as u64,
        stock: row.try_get::<_, i32>(5)? as u32,
        weight_grams: row.try_get::<_, Option<i32>>(6)?.map(|grams| grams as u32),
        version: row.try_get::<_, i64>(7)? as u64,
    });
    Ok(())
}

/// The queries of one generation.
struct Answers {
    database: Arc<Database>,
    sql: Sql,
}

#[async_trait]
impl RemoteQueries for Answers {
    async fn ask(&self, query: Query, visitor: &mut (dyn Visitor + Send)) -> Answer<bool> {
        let client = self.database.reader().await?;
        let rows = match query {
            Query::Product(id) => {
                let statement = client.prepare_cached(&self.sql.product).await?;
                client.query(&statement, &[&(id as i64)]).await?
            }
            Query::Category(category) => {
                let statement = client.prepare_cached(&self.sql.category).await?;
                client.query(&statement, &[&(category as i32)]).await?
            }
            Query::Page(id) => {
                let statement = client.prepare_cached(&self.sql.page).await?;
                let rows = client.query(&statement, &[&(id as i64)]).await?;
                let Some(first) = rows.first() else { return Ok(false) };
                visitor.page(first.try_get(8)?, first.try_get::<_, i64>(9)? as u64);
                rows
            }
        };
        for row in &rows {
            // A page refers to products that this read model may not have yet.
            if row.try_get::<_, Option<i64>>(0)?.is_some() {
                show(row, visitor)?;
            }
        }
        Ok(!rows.is_empty() || matches!(query, Query::Category(_)))
    }
}

/// Generations in one schema.
pub struct PostgresReadStores {
    database: Arc<Database>,
    reference: Arc<Reference>,
    /// The generations that exist, for a write side that projects to them.
    generations: Arc<RwLock<Vec<u32>>>,
}

impl PostgresReadStores {
    /// In a schema at this server, which may hold generations already.
    pub async fn open(
        at: &SchemaLocation<'_>,
        reference: Arc<Reference>,
        settings: &Settings,
    ) -> Answer<PostgresReadStores> {
        let database = Arc::new(at.open(settings).await?);
        Ok(PostgresReadStores::within(database, reference, Arc::default()))
    }

    /// In a schema that the write side has open.
    #[must_use]
    pub fn within(
        database: Arc<Database>,
        reference: Arc<Reference>,
        generations: Arc<RwLock<Vec<u32>>>,
    ) -> PostgresReadStores {
        PostgresReadStores { database, reference, generations }
    }
}

#[async_trait]
impl ReadStores for PostgresReadStores {
    async fn open(&self, generation: u32) -> Answer<Arc<dyn ReadStore>> {
        self.database.get().await?.batch_execute(&tables(generation)).await?;
        let mut generations = self.generations.write().await;
        if !generations.contains(&generation) {
            generations.push(generation);
        }
        let answers = Arc::new(Answers { database: Arc::clone(&self.database), sql: Sql::new(generation) });
        Ok(Arc::new(PostgresRead { generation, answers, reference: Arc::clone(&self.reference) }))
    }

    async fn remove(&self, generation: u32) -> Answer<()> {
        self.generations.write().await.retain(|own| *own != generation);
        let tables = ["product_view", "page_view", "position"].map(|table| format!("{table}_{generation}")).join(", ");
        self.database.get().await?.batch_execute(&format!("DROP TABLE IF EXISTS {tables}")).await?;
        Ok(())
    }
}

/// Maps a failure of the connection, and not of the query, to [`Away`], which is retried without limit.
fn or_away(failure: Failure) -> Failure {
    let lost = failure.downcast_ref::<tokio_postgres::Error>().is_some_and(|error| match error.code() {
        // A connection that ended, or a server that shuts down, starts up or recovers.
        Some(code) => code.code().starts_with("08") || code.code().starts_with("57P"),
        None => {
            error.is_closed() || std::error::Error::source(error).is_some_and(|source| source.is::<std::io::Error>())
        }
    });
    if lost || failure.is::<PoolError>() { Away("PostgreSQL").into() } else { failure }
}

/// One generation.
struct PostgresRead {
    generation: u32,
    answers: Arc<Answers>,
    reference: Arc<Reference>,
}

impl PostgresRead {
    async fn apply_once(&self, batch: &[Message], position: Option<u64>) -> Answer<Applied> {
        let mut client = self.answers.database.get().await?;
        let transaction = client.transaction().await?;
        transaction.batch_execute("SET LOCAL synchronous_commit = off").await?;
        let applied = put_all(&transaction, self.generation, batch, &self.reference).await?;
        if let Some(position) = position {
            let sql = format!(
                "INSERT INTO position_{} VALUES (0, $1) ON CONFLICT (one) DO UPDATE SET position = excluded.position",
                self.generation
            );
            let statement = transaction.prepare_cached(&sql).await?;
            transaction.execute(&statement, &[&(position as i64)]).await?;
        }
        transaction.commit().await?;
        Ok(applied)
    }
}

#[async_trait]
impl ReadStore for PostgresRead {
    fn queries(&self) -> Queries {
        Queries::Remote(Arc::<Answers>::clone(&self.answers))
    }

    async fn apply(&self, batch: &[Message], position: Option<u64>) -> Answer<Applied> {
        self.apply_once(batch, position).await.map_err(or_away)
    }

    async fn position(&self) -> Answer<u64> {
        let sql = format!("SELECT coalesce(max(position), 0) FROM position_{}", self.generation);
        let row = self.answers.database.get().await?.query_one(&sql, &[]).await?;
        Ok(row.get::<_, i64>(0) as u64)
    }

    async fn reconnect(&self) -> Answer<()> {
        self.answers.database.reconnect();
        Ok(())
    }

    async fn corrupt(&self, key: Key) -> Answer<()> {
        let (table, column, id) = match key {
            Key::Product(id) => ("product_view", "name", id),
            Key::Page(id) => ("page_view", "title", id),
        };
        let sql = format!("UPDATE {table}_{} SET {column} = 'spoiled by a script' WHERE id = $1", self.generation);
        self.answers.database.get().await?.execute(&sql, &[&(id as i64)]).await?;
        Ok(())
    }

    async fn disk_bytes(&self) -> Answer<u64> {
        let tables = ["product_view", "page_view", "position"].map(|table| format!("{table}_{}", self.generation));
        let tables: Vec<&str> = tables.iter().map(String::as_str).collect();
        self.answers.database.table_bytes(&tables).await
    }
}
