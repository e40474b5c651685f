//! The read model on Cassandra: a row per product and per page, and a partition per category with the whole cards in it.
//!
//! The timestamp of a write is its entity's version, so the newer of two wins in whatever order they come, and one that
//! comes again changes nothing, without lightweight transactions. That does not remove a product from the category that it
//! has left: a batch reads the stored categories first, one batch at a time, as there is one projector.
//!
//! Rules: a product's row is written after its listings, so that a repeated batch finds again what it has to remove. A
//! listing is one partition, in the order of ids. A page is two round trips, and not of one moment: there are no snapshots.
//! A page that is gone leaves its version.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use scylla::client::PoolSize;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::errors::{ExecutionError, RequestAttemptError};
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::MaybeUnset;
use tokio::sync::Mutex;

use super::{Applied, Queries, ReadStore, ReadStores, RemoteQueries};
use crate::cleanup::in_destructor;
use crate::disk::folder_bytes;
use crate::domain::{Card, Change, Key, LISTING, Message, Query, Reference, Visitor};
use crate::points::Away;
use crate::{Answer, Failure};

/// How long an answer may take, and a connection.
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections: one carries thousands of requests, a second shares the driver's work.
const CONNECTIONS: NonZeroUsize = NonZeroUsize::new(2).expect("two is not zero");
/// Concurrent writes: enough to keep the server busy, few enough that it answers readers meanwhile.
const AT_A_TIME: usize = 64;
/// The most keys in one query.
const KEYS: usize = 100;

/// The columns of a [`CardRow`].
const CARD: &str = "id, name, brand, category_path, price_cents, stock, weight_grams, version";
type CardRow<'a> = (i64, &'a str, &'a str, &'a str, i64, i32, Option<i32>, i64);

fn tables(generation: u32) -> [String; 4] {
    let card =
        "name text, brand text, category_path text, price_cents bigint, stock int, weight_grams int, version bigint";
    [
        format!("product_{generation} (id bigint PRIMARY KEY, category int, {card})"),
        format!("listing_{generation} (category int, id bigint, {card}, PRIMARY KEY (category, id))"),
        format!(
            "page_{generation} (id bigint PRIMARY KEY, title text, products frozen<list<bigint>>, version bigint,
            gone boolean)"
        ),
        format!("position_{generation} (one int PRIMARY KEY, position bigint)"),
    ]
}

/// A connected driver, and the statements of one generation.
struct Prepared {
    session: Arc<Session>,
    product: PreparedStatement,
    products: PreparedStatement,
    category: PreparedStatement,
    page: PreparedStatement,
    product_versions: PreparedStatement,
    page_versions: PreparedStatement,
    put_product: PreparedStatement,
    put_listing: PreparedStatement,
    leave_listing: PreparedStatement,
    put_page: PreparedStatement,
    position: PreparedStatement,
    put_position: PreparedStatement,
}

impl Prepared {
    async fn new(session: Arc<Session>, generation: u32) -> Answer<Prepared> {
        let prepare = async |cql: String| session.prepare(cql).await;
        let (product, listing) = (format!("product_{generation}"), format!("listing_{generation}"));
        let (page, position) = (format!("page_{generation}"), format!("position_{generation}"));
        let put = |table: &str| {
            format!("INSERT INTO {table} (category, {CARD}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?")
        };
        Ok(Prepared {
            product: prepare(format!("SELECT {CARD} FROM {product} WHERE id = ?")).await?,
            products: prepare(format!("SELECT {CARD} FROM {product} WHERE id IN ?")).await?,
            category: prepare(format!("SELECT {CARD} FROM {listing} WHERE category = ? LIMIT {LISTING}")).await?,
            page: prepare(format!("SELECT title, products, version, gone FROM {page} WHERE id = ?")).await?,
            product_versions: prepare(format!("SELECT id, version, category FROM {product} WHERE id IN ?")).await?,
            page_versions: prepare(format!("SELECT id, version FROM {page} WHERE id IN ?")).await?,
            put_product: prepare(put(&product)).await?,
            put_listing: prepare(put(&listing)).await?,
            leave_listing: prepare(format!("DELETE FROM {listing} USING TIMESTAMP ? WHERE category = ? AND id = ?"))
                .await?,
            put_page: prepare(format!(
                "INSERT INTO {page} (id, title, products, version, gone) VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?"
            ))
            .await?,
            position: prepare(format!("SELECT position FROM {position} WHERE one = 0")).await?,
            put_position: prepare(format!("INSERT INTO {position} (one, position) VALUES (0, ?)")).await?,
            session,
        })
    }

    async fn run(&self, statement: &PreparedStatement, values: impl SerializeRow) -> Answer<()> {
        self.session.execute_unpaged(statement, values).await?;
        Ok(())
    }
}

/// A version as a timestamp. Every second one is free, for a script that corrupts a row.
fn timestamp(version: u64) -> i64 {
    version as i64 * 2
}

fn show(
    (id, name, brand, category_path, price, stock, weight, version): &CardRow<'_>,
    visitor: &mut (dyn Visitor + Send),
) {
    visitor.product(Card {
        id: *id as u64,
        name,
        brand,
        category_path,
        price_cents: *price as u64,
        stock: *stock as u32,
        weight_grams: weight.map(|grams| grams as u32),
        version: *version as u64,
    });
}

/// Maps a failure of the connection, and not of the query, to [`Away`], which is retried without limit.
fn or_away(failure: Failure) -> Failure {
    let lost = match failure.downcast_ref::<ExecutionError>() {
        Some(ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, _))) => {
            use scylla::errors::DbError::{IsBootstrapping, Overloaded, ReadTimeout, Unavailable, WriteTimeout};
            matches!(
                error,
                Unavailable { .. } | Overloaded | IsBootstrapping | ReadTimeout { .. } | WriteTimeout { .. }
            )
        }
        Some(ExecutionError::LastAttemptError(RequestAttemptError::BrokenConnectionError(_))) => true,
        Some(error) => matches!(
            error,
            ExecutionError::EmptyPlan | ExecutionError::ConnectionPoolError(_) | ExecutionError::RequestTimeout(_)
        ),
        None => false,
    };
    if lost { Away("Cassandra").into() } else { failure }
}

/// The queries of one generation.
struct Answers {
    prepared: ArcSwap<Prepared>,
}

#[async_trait]
impl RemoteQueries for Answers {
    async fn ask(&self, query: Query, visitor: &mut (dyn Visitor + Send)) -> Answer<bool> {
        let own = self.prepared.load_full();
        match query {
            Query::Product(id) => {
                let found = own.session.execute_unpaged(&own.product, (id as i64,)).await?.into_rows_result()?;
                let Some(card) = found.maybe_first_row::<CardRow<'_>>()? else { return Ok(false) };
                show(&card, visitor);
            }
            Query::Category(category) => {
                let found = own.session.execute_unpaged(&own.category, (category as i32,)).await?.into_rows_result()?;
                for card in found.rows::<CardRow<'_>>()? {
                    show(&card?, visitor);
                }
            }
            Query::Page(id) => {
                let found = own.session.execute_unpaged(&own.page, (id as i64,)).await?.into_rows_result()?;
                let Some((title, ids, version, gone)) = found.maybe_first_row::<(&str, Vec<i64>, i64, bool)>()? else {
                    return Ok(false);
                };
                if gone {
                    return Ok(false);
                }
                let products = own.session.execute_unpaged(&own.products, (&ids,)).await?.into_rows_result()?;
                let cards = products.rows::<CardRow<'_>>()?.map(|card| card.map(|card| (card.0, card)));
                let cards: HashMap<i64, CardRow<'_>> = cards.collect::<Result<_, _>>()?;
                visitor.page(title, version as u64);
                // A page refers to products that this read model may not have yet.
                ids.iter().filter_map(|id| cards.get(id)).for_each(|card| show(card, visitor));
            }
        }
        Ok(true)
    }
}

/// Generations in one keyspace.
pub struct CassandraReadStores {
    address: String,
    session: Arc<Session>,
    keyspace: String,
    reference: Arc<Reference>,
    folder: Option<std::path::PathBuf>,
    keep: bool,
}

async fn connect(address: &str) -> Answer<Session> {
    let builder = SessionBuilder::new().known_node(address).connection_timeout(PATIENCE);
    Ok(builder.pool_size(PoolSize::PerHost(CONNECTIONS)).fetch_schema_metadata(false).build().await?)
}

async fn connect_to(address: &str, keyspace: &str) -> Answer<Session> {
    let session = connect(address).await?;
    session.use_keyspace(keyspace, false).await?;
    Ok(session)
}

impl CassandraReadStores {
    /// Connects, and creates the keyspace if it does not exist; it is dropped with this, unless `keep` is set for a later
    /// process. `folder` is the server's data folder, if it is known.
    pub async fn open(
        address: &str,
        keyspace: &str,
        keep: bool,
        folder: Option<std::path::PathBuf>,
        reference: Arc<Reference>,
    ) -> Answer<CassandraReadStores> {
        let session = connect(address).await?;
        // One node has one replica.
        let cql = format!(
            "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}"
        );
        session.query_unpaged(cql, ()).await?;
        session.use_keyspace(keyspace, false).await?;
        let (address, keyspace, session) = (address.to_owned(), keyspace.to_owned(), Arc::new(session));
        Ok(CassandraReadStores { address, session, keyspace, reference, folder, keep })
    }
}

impl Drop for CassandraReadStores {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        in_destructor(|| async {
            let session = connect(&self.address).await?;
            session.query_unpaged(format!("DROP KEYSPACE IF EXISTS {}", self.keyspace), ()).await?;
            Ok(())
        });
    }
}

#[async_trait]
impl ReadStores for CassandraReadStores {
    async fn open(&self, generation: u32) -> Answer<Arc<dyn ReadStore>> {
        for table in tables(generation) {
            self.session.query_unpaged(format!("CREATE TABLE IF NOT EXISTS {table}"), ()).await?;
        }
        let prepared = Prepared::new(Arc::clone(&self.session), generation).await?;
        Ok(Arc::new(CassandraRead {
            generation,
            answers: Arc::new(Answers { prepared: ArcSwap::from_pointee(prepared) }),
            reference: Arc::clone(&self.reference),
            writing: Mutex::default(),
            address: self.address.clone(),
            keyspace: self.keyspace.clone(),
            folder: self.folder.clone(),
        }))
    }

    async fn remove(&self, generation: u32) -> Answer<()> {
        for table in ["product", "listing", "page", "position"] {
            self.session.query_unpaged(format!("DROP TABLE IF EXISTS {table}_{generation}"), ()).await?;
        }
        Ok(())
    }
}

/// One generation.
struct CassandraRead {
    generation: u32,
    answers: Arc<Answers>,
    reference: Arc<Reference>,
    /// One batch at a time, since each reads the stored rows first.
    writing: Mutex<()>,
    address: String,
    keyspace: String,
    folder: Option<std::path::PathBuf>,
}

/// What is stored of an entity.
#[derive(Clone, Copy, Default)]
struct Known {
    version: u64,
    category: Option<i32>,
}

impl CassandraRead {
    async fn known(&self, own: &Prepared, batch: &[Message]) -> Answer<HashMap<Key, Known>> {
        let (mut products, mut pages, mut known) = (Vec::new(), Vec::new(), HashMap::new());
        for message in batch {
            match message.key() {
                Key::Product(id) => products.push(id as i64),
                Key::Page(id) => pages.push(id as i64),
            }
        }
        for ids in products.chunks(KEYS) {
            let found = own.session.execute_unpaged(&own.product_versions, (ids,)).await?.into_rows_result()?;
            for row in found.rows::<(i64, i64, Option<i32>)>()? {
                let (id, version, category) = row?;
                known.insert(Key::Product(id as u64), Known { version: version as u64, category });
            }
        }
        for ids in pages.chunks(KEYS) {
            let found = own.session.execute_unpaged(&own.page_versions, (ids,)).await?.into_rows_result()?;
            for row in found.rows::<(i64, i64)>()? {
                let (id, version) = row?;
                known.insert(Key::Page(id as u64), Known { version: version as u64, category: None });
            }
        }
        Ok(known)
    }

    async fn put(&self, own: &Prepared, message: &Message, before: Known) -> Answer<()> {
        let (version, at) = (message.version as i64, timestamp(message.version));
        match &message.change {
            Change::Product(product) => {
                let (id, category) = (product.id as i64, product.category as i32);
                if let Some(left) = before.category.filter(|left| *left != category) {
                    own.run(&own.leave_listing, (at, left, id)).await?;
                }
                // An absent weight is left out: written as null it would be a tombstone.
                let weight = MaybeUnset::from_option(product.weight_grams.map(|grams| grams as i32));
                let (brand, path) = (self.reference.brand(product.brand), self.reference.path(product.category));
                let (price, stock) = (product.price_cents as i64, product.stock as i32);
                let row = (category, id, &product.name, brand, path, price, stock, weight, version, at);
                own.run(&own.put_listing, &row).await?;
                own.run(&own.put_product, &row).await
            }
            Change::Page(page) => {
                let products: Vec<i64> = page.products.iter().map(|id| *id as i64).collect();
                own.run(&own.put_page, (page.id as i64, &page.title, products, version, false, at)).await
            }
            Change::PageGone(id) => {
                own.run(&own.put_page, (*id as i64, "", Vec::<i64>::new(), version, true, at)).await
            }
        }
    }

    async fn apply_once(&self, batch: &[Message], position: Option<u64>) -> Answer<Applied> {
        let _alone = self.writing.lock().await;
        let own = self.answers.prepared.load_full();
        let before = self.known(&own, batch).await?;
        let mut newest: HashMap<Key, &Message> = HashMap::new();
        let mut written = 0;
        for message in batch {
            let there = before.get(&message.key()).map_or(0, |known| known.version);
            let last = newest.get(&message.key()).map_or(there, |newer| newer.version);
            if message.version > last {
                newest.insert(message.key(), message);
                written += 1;
            }
        }
        let mut puts = Vec::with_capacity(newest.len());
        for (key, message) in newest {
            puts.push(self.put(&own, message, before.get(&key).copied().unwrap_or_default()));
        }
        stream::iter(puts).buffer_unordered(AT_A_TIME).try_collect::<()>().await?;
        // Last, so that a retry starts with the first.
        if let Some(position) = position {
            own.run(&own.put_position, (position as i64,)).await?;
        }
        Ok(Applied { written, stale: batch.len() as u64 - written })
    }
}

#[async_trait]
impl ReadStore for CassandraRead {
    fn queries(&self) -> Queries {
        Queries::Remote(Arc::<Answers>::clone(&self.answers))
    }

    async fn apply(&self, batch: &[Message], position: Option<u64>) -> Answer<Applied> {
        self.apply_once(batch, position).await.map_err(or_away)
    }

    async fn position(&self) -> Answer<u64> {
        let own = self.answers.prepared.load_full();
        let found = own.session.execute_unpaged(&own.position, ()).await?.into_rows_result()?;
        Ok(found.maybe_first_row::<(i64,)>()?.map_or(0, |(position,)| position as u64))
    }

    async fn reconnect(&self) -> Answer<()> {
        let session = Arc::new(connect_to(&self.address, &self.keyspace).await?);
        self.answers.prepared.store(Arc::new(Prepared::new(session, self.generation).await?));
        Ok(())
    }

    async fn corrupt(&self, key: Key) -> Answer<()> {
        let own = self.answers.prepared.load_full();
        let (table, column, versions, id) = match key {
            Key::Product(id) => ("product", "name", &own.product_versions, id),
            Key::Page(id) => ("page", "title", &own.page_versions, id),
        };
        let found = own.session.execute_unpaged(versions, (vec![id as i64],)).await?.into_rows_result()?;
        let version = match key {
            Key::Product(_) => found.first_row::<(i64, i64, Option<i32>)>()?.1,
            Key::Page(_) => found.first_row::<(i64, i64)>()?.1,
        };
        let cql = format!(
            "UPDATE {table}_{} USING TIMESTAMP ? SET {column} = 'spoiled by a script' WHERE id = ?",
            self.generation
        );
        own.session.query_unpaged(cql, (timestamp(version as u64) + 1, id as i64)).await?;
        Ok(())
    }

    /// The size of the server's folder; the commit log, which all tables share, is most of it while there is little data.
    async fn disk_bytes(&self) -> Answer<u64> {
        Ok(self.folder.as_deref().map_or(0, folder_bytes))
    }
}
