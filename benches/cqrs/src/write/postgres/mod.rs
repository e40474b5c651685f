//! The write side on PostgreSQL: for real runs.
//!
//! Each command is a transaction on a pooled connection with prepared statements. It locks the entity's row first, so what
//! it writes afterwards is in order within the key. The server lets concurrent commands share a sync of the log. If events
//! are all that is stored there is no lock: two writers of one version meet at the unique index, and the second tries
//! again.

mod capture;
mod feeds;
mod rows;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::Transaction;
use tokio::sync::RwLock;
use tokio_postgres::IsolationLevel;
use tokio_postgres::error::SqlState;

use self::capture::Capture;
use self::feeds::PostgresFeed;
use super::rows::{Event, Folded};
use super::{Feed, FeedKind, Hooks, Projection, WriteSide};
use crate::clock::wall;
use crate::domain::{
    Ack, Cause, Change, Command, CommandError, Key, Message, Micros, Reference, Rejected, World, rules,
};
use crate::postgres::{Database, SchemaLocation};
use crate::read::{PostgresReadStores, ReadStores, postgres_project, postgres_project_stock};
use crate::settings::Settings;
use crate::{Answer, Failure};

/// How often a command tries again after another one was faster with the same new entity or version.
const ATTEMPTS: usize = 20;
/// How many rows one statement of the seed inserts.
const SEED_ROWS: usize = 1_000;

/// A write side in one schema, which is dropped with it.
pub struct PostgresWrite {
    database: Arc<Database>,
    hooks: Hooks,
    reference: Arc<Reference>,
    /// The generations of the read model that commands update. A command holds it while it is executed, so that once a
    /// generation is added, no command is under way that does not know it.
    generations: Arc<RwLock<Vec<u32>>>,
    capture: Option<Arc<Capture>>,
}

impl PostgresWrite {
    /// Creates a write side in a new schema at this server.
    pub async fn open(
        at: &SchemaLocation<'_>,
        hooks: Hooks,
        reference: Arc<Reference>,
        settings: &Settings,
    ) -> Answer<PostgresWrite> {
        let database = Arc::new(at.open(settings).await?);
        let mut setup = vec![if hooks.events_only { rows::EVENTS } else { rows::STATE }];
        setup.extend(hooks.outbox.then_some(rows::OUTBOX));
        setup.extend(hooks.watermark.then_some(rows::WATERMARK));
        database.get().await?.batch_execute(&setup.concat()).await?;
        if hooks.outbox || hooks.watermark || hooks.events_only {
            database.start_notifications();
        }
        let capture = hooks.capture.then(|| Arc::new(Capture::new(Arc::clone(&database), settings)));
        Ok(PostgresWrite { database, hooks, reference, generations: Arc::default(), capture })
    }

    /// Executes a command, in one transaction.
    async fn carry_out(&self, command: &Command) -> Result<(Ack, Message), CommandError> {
        let generations = self.generations.read().await;
        let mut client = self.database.get().await?;
        let transaction = client.transaction().await.map_err(Failure::from)?;
        let at = wall();
        let (version, cause, change) = match command.key() {
            Key::Product(id) => self.product(&transaction, id, command, at).await?,
            Key::Page(id) => self.page(&transaction, id, command, at).await?,
        };
        let message = Message { version, at, cause, replay: false, change };
        self.leave(&transaction, &generations, &message).await?;
        transaction.commit().await.map_err(Failure::from)?;
        Ok((Ack { key: command.key(), version }, message))
    }

    async fn product(
        &self,
        transaction: &Transaction<'_>,
        id: u64,
        command: &Command,
        at: Micros,
    ) -> Result<(u64, Cause, Change), CommandError> {
        if self.hooks.events_only {
            return self.product_event(transaction, id, command, at).await;
        }
        let (now, version) = rows::product(transaction, id).await?.unzip();
        let (product, cause) = rules::product(now, command, &self.reference)?;
        let version = version.unwrap_or(0) + 1;
        rows::put_product(transaction, &product, version, at).await?;
        Ok((version, cause, Change::Product(product)))
    }

    async fn page(
        &self,
        transaction: &Transaction<'_>,
        id: u64,
        command: &Command,
        at: Micros,
    ) -> Result<(u64, Cause, Change), CommandError> {
        let (published, last) = if self.hooks.events_only {
            let now = rows::fold(transaction, Key::Page(id)).await?;
            (matches!(now.change, Some(Change::Page(_))), now.last)
        } else {
            rows::page_state(transaction, id).await?.unwrap_or_default()
        };
        let version = last + 1;
        let (cause, change, event) = if let Command::Publish(page) = command {
            let there = rows::existing(transaction, &page.products, self.hooks.events_only).await?;
            rules::publish::<CommandError>(page, |id| Ok(there.contains(&id)))?;
            (Cause::Published, Change::Page(page.clone()), Event::Published(page.clone()))
        } else if published {
            (Cause::Unpublished, Change::PageGone(id), Event::Unpublished)
        } else {
            return Err(Rejected::NoPage(id).into());
        };
        if self.hooks.events_only {
            append(transaction, Key::Page(id), version, at, &event).await?;
        } else {
            rows::put_page(transaction, &change, version, at).await?;
        }
        Ok((version, cause, change))
    }

    async fn product_event(
        &self,
        transaction: &Transaction<'_>,
        id: u64,
        command: &Command,
        at: Micros,
    ) -> Result<(u64, Cause, Change), CommandError> {
        let key = Key::Product(id);
        let now = rows::fold(transaction, key).await?;
        let before = match now.change {
            Some(Change::Product(product)) => Some(product),
            _ => None,
        };
        let (product, cause) = rules::product(before, command, &self.reference)?;
        append(transaction, key, now.last + 1, at, &Event::of(command)).await?;
        Ok((now.last + 1, cause, Change::Product(product)))
    }

    /// Writes what the hooks leave for the read side, in the same transaction.
    async fn leave(&self, transaction: &Transaction<'_>, generations: &[u32], message: &Message) -> Answer<()> {
        let only_stock = self.hooks.projection == Projection::Stock && message.cause == Cause::Stocked;
        if self.hooks.projection == Projection::All || only_stock {
            for &generation in generations {
                match &message.change {
                    Change::Product(product) if only_stock => {
                        postgres_project_stock(transaction, generation, product, message.version).await?;
                    }
                    _ => postgres_project(transaction, generation, message, &self.reference).await?,
                }
            }
        }
        if self.hooks.outbox && !only_stock {
            let sql = "INSERT INTO outbox (key, body, at) VALUES ($1, $2, $3)";
            let statement = transaction.prepare_cached(sql).await?;
            let row = (message.key().to_string(), message.encode(), message.at as i64);
            transaction.execute(&statement, &[&row.0, &row.1, &row.2]).await?;
        }
        Ok(())
    }
}

async fn append(transaction: &Transaction<'_>, key: Key, version: u64, at: Micros, event: &Event) -> Answer<()> {
    let sql = "INSERT INTO event (key, version, at, body) VALUES ($1, $2, $3, $4)";
    let statement = transaction.prepare_cached(sql).await?;
    let body = serde_json::to_vec(event)?;
    transaction.execute(&statement, &[&key.to_string(), &(version as i64), &(at as i64), &body]).await?;
    Ok(())
}

/// Whether another command was faster with the same new entity or version, so that a new attempt sees its result.
fn was_beaten(error: &CommandError) -> bool {
    let CommandError::Failed(failure) = error else { return false };
    let code = failure.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::code);
    code == Some(&SqlState::UNIQUE_VIOLATION)
}

#[async_trait]
impl WriteSide for PostgresWrite {
    async fn seed(&self, world: &World) -> Answer<()> {
        let mut client = self.database.get().await?;
        let transaction = client.transaction().await?;
        if self.hooks.events_only {
            seed_events(&transaction, world).await?;
        } else {
            seed_state(&transaction, world).await?;
        }
        transaction.commit().await?;
        // A new table has no statistics; a table in production has.
        client.batch_execute("ANALYZE").await?;
        // From now on changes are captured.
        match &self.capture {
            Some(capture) => capture.create().await,
            None => Ok(()),
        }
    }

    async fn execute(&self, command: &Command) -> Result<(Ack, Message), CommandError> {
        let mut attempt = 1;
        loop {
            match self.carry_out(command).await {
                Err(error) if attempt < ATTEMPTS && was_beaten(&error) => attempt += 1,
                done => {
                    if done.is_ok() {
                        self.database.notify();
                    }
                    return done;
                }
            }
        }
    }

    async fn scan(&self, kind: Option<FeedKind>, visitor: &mut (dyn FnMut(Message) + Send)) -> Answer<u64> {
        let mut client = self.database.get().await?;
        let level = IsolationLevel::RepeatableRead;
        let moment = client.build_transaction().isolation_level(level).read_only(true).start().await?;
        let position = match kind {
            Some(kind) => feeds::end(&moment, kind).await?,
            None => 0,
        };
        if self.hooks.events_only {
            scan_events(&moment, visitor).await?;
        } else {
            scan_state(&moment, visitor).await?;
        }
        moment.commit().await?;
        Ok(position)
    }

    fn feed(&self, kind: FeedKind) -> Answer<Arc<dyn Feed>> {
        self.hooks.keep(kind)?;
        match (&self.capture, kind) {
            (Some(capture), FeedKind::Changes) => Ok(Arc::<Capture>::clone(capture)),
            _ => Ok(Arc::new(PostgresFeed::new(kind, Arc::clone(&self.database)))),
        }
    }

    fn read_stores(&self) -> Answer<Arc<dyn ReadStores>> {
        if self.hooks.projection == Projection::None {
            return Err("this write side projects nothing: open it with a projection".into());
        }
        let (database, generations) = (Arc::clone(&self.database), Arc::clone(&self.generations));
        Ok(Arc::new(PostgresReadStores::within(database, Arc::clone(&self.reference), generations)))
    }

    fn reference(&self) -> Arc<Reference> {
        Arc::clone(&self.reference)
    }

    async fn migrate_weight(&self) -> Answer<()> {
        let at = wall() as i64;
        // One statement, as in a migration script: it knows no hooks.
        let state = "UPDATE product SET weight_grams = 100 + id % 900, version = version + 1";
        // A system that relies on `updated_at` keeps it by a trigger.
        let watermark = "UPDATE product SET weight_grams = 100 + id % 900, version = version + 1, updated_at = $1";
        // If events are all that is stored, a migration writes events.
        let events = r#"INSERT INTO event (key, version, at, body)
            SELECT key, max(version) + 1, $1, convert_to('{"Weighed":' || 100 + substr(key, 9)::bigint % 900 || '}', 'UTF8')
            FROM event WHERE key LIKE 'product-%' GROUP BY key"#;
        let client = self.database.get().await?;
        if self.hooks.events_only {
            client.execute(events, &[&at]).await?;
        } else if self.hooks.watermark {
            client.execute(watermark, &[&at]).await?;
        } else {
            client.execute(state, &[]).await?;
        }
        self.database.notify();
        Ok(())
    }

    async fn disk_bytes(&self) -> Answer<(u64, u64)> {
        let state = self.database.table_bytes(&["product", "page", "brand", "category", "event"]).await?;
        let mut feeds = self.database.table_bytes(&["outbox"]).await?;
        if let Some(capture) = &self.capture {
            feeds += capture.retained_bytes().await?;
        }
        Ok((state, feeds))
    }

    async fn clean(&self, keep: Duration) -> Answer<u64> {
        if !self.hooks.outbox {
            return Ok(0);
        }
        let until = wall().saturating_sub(u64::try_from(keep.as_micros()).unwrap_or(u64::MAX)) as i64;
        // A limit, so that a clean-up never blocks commands for long.
        let sql = "DELETE FROM outbox WHERE position IN
            (SELECT position FROM outbox WHERE sent_at < $1 ORDER BY position LIMIT 5000)";
        let client = self.database.get().await?;
        let statement = client.prepare_cached(sql).await?;
        Ok(client.execute(&statement, &[&until]).await?)
    }
}

/// Fills the tables, past the commands: loading is not measured.
async fn seed_state(transaction: &Transaction<'_>, world: &World) -> Answer<()> {
    let at = wall() as i64;
    let reference = &world.reference;
    let ids: Vec<i32> = (0..reference.brands.len() as i32).collect();
    let sql = "INSERT INTO brand SELECT * FROM unnest($1::integer[], $2::text[])";
    transaction.execute(sql, &[&ids, &reference.brands]).await?;
    let ids: Vec<i32> = (0..reference.categories.len() as i32).collect();
    let names: Vec<&str> = reference.categories.iter().map(|category| category.name.as_str()).collect();
    let parents: Vec<Option<i32>> = reference.categories.iter().map(|own| own.parent.map(|id| id as i32)).collect();
    let sql = "INSERT INTO category SELECT * FROM unnest($1::integer[], $2::text[], $3::integer[])";
    transaction.execute(sql, &[&ids, &names, &parents]).await?;

    let sql = "INSERT INTO product SELECT id, name, brand, category, price, stock, NULL, 1, $7
        FROM unnest($1::bigint[], $2::text[], $3::integer[], $4::integer[], $5::bigint[], $6::integer[])
        AS u (id, name, brand, category, price, stock)";
    let statement = transaction.prepare_cached(sql).await?;
    let products: Vec<_> = world.all_products().collect();
    for some in products.chunks(SEED_ROWS) {
        let ids: Vec<i64> = some.iter().map(|product| product.id as i64).collect();
        let names: Vec<&str> = some.iter().map(|product| product.name.as_str()).collect();
        let brands: Vec<i32> = some.iter().map(|product| product.brand as i32).collect();
        let categories: Vec<i32> = some.iter().map(|product| product.category as i32).collect();
        let prices: Vec<i64> = some.iter().map(|product| product.price_cents as i64).collect();
        let stocks: Vec<i32> = some.iter().map(|product| product.stock as i32).collect();
        transaction.execute(&statement, &[&ids, &names, &brands, &categories, &prices, &stocks, &at]).await?;
    }
    for page in world.all_pages() {
        rows::put_page(transaction, &Change::Page(page), 1, at as u64).await?;
    }
    Ok(())
}

async fn seed_events(transaction: &Transaction<'_>, world: &World) -> Answer<()> {
    let at = wall() as i64;
    let products = world.all_products().map(|product| (Key::Product(product.id), Event::Added(product)));
    let pages = world.all_pages().map(|page| (Key::Page(page.id), Event::Published(page)));
    let all: Vec<_> = products.chain(pages).collect();
    let sql = "INSERT INTO event (key, version, at, body)
        SELECT key, 1, $3, body FROM unnest($1::text[], $2::bytea[]) AS u (key, body)";
    let statement = transaction.prepare_cached(sql).await?;
    for some in all.chunks(SEED_ROWS) {
        let keys: Vec<String> = some.iter().map(|(key, _)| key.to_string()).collect();
        let bodies = some.iter().map(|(_, event)| serde_json::to_vec(event)).collect::<Result<Vec<_>, _>>()?;
        transaction.execute(&statement, &[&keys, &bodies, &at]).await?;
    }
    Ok(())
}

async fn scan_state(moment: &Transaction<'_>, visitor: &mut (dyn FnMut(Message) + Send)) -> Answer<()> {
    let sql = format!("SELECT {} FROM product ORDER BY id", rows::PRODUCT);
    let mut show = |row: &_| {
        visitor(Message { replay: true, ..rows::product_message(row) });
        Ok(())
    };
    rows::each(moment, &sql, &mut show).await?;
    let sql = format!("SELECT {} FROM page ORDER BY id", rows::PAGE);
    let mut show = |row: &_| {
        visitor(Message { replay: true, ..rows::page_message(row) });
        Ok(())
    };
    rows::each(moment, &sql, &mut show).await
}

/// All entities from all events: one pass, entity by entity.
async fn scan_events(moment: &Transaction<'_>, visitor: &mut (dyn FnMut(Message) + Send)) -> Answer<()> {
    let mut folded = Folded::default();
    let mut show = |folded: &Folded| {
        if let Some(message) = folded.message() {
            visitor(Message { replay: true, ..message });
        }
    };
    let mut add = |row: &tokio_postgres::Row| {
        let version = rows::unsigned(row, 0);
        if version == 1 {
            show(&std::mem::take(&mut folded));
        }
        folded.add(version, rows::unsigned(row, 1), row.get(2));
        Ok(())
    };
    rows::each(moment, "SELECT version, at, body FROM event ORDER BY key, version", &mut add).await?;
    show(&folded);
    Ok(())
}
