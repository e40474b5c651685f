//! The read model on Redis: a value per product and per page, a sorted set per category, a list of references per page.
//!
//! A query is one round trip: `SORT … BY nosort GET` follows references at the server, so that a page comes with its
//! products. A batch is one script, which compares versions before it writes: it is atomic, and a message that comes again
//! changes nothing. One node is assumed: in a cluster, references would cross nodes.
//!
//! A value begins with what the script reads, as text: `version|category|` or `version|gone|`. Only readers read the rest:
//! bincode for a product, whose texts are borrowed from the answer, and the headline for a page.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, ErrorKind, RedisError, Script, ServerErrorKind, Value, cmd, pipe};
use serde::{Deserialize, Serialize};

use super::{Applied, Queries, ReadStore, ReadStores, RemoteQueries};
use crate::cleanup::in_destructor;
use crate::domain::{Card, Change, Key, LISTING, Message, Query, Reference, Visitor};
use crate::points::Away;
use crate::{Answer, Failure};

/// How long an answer may take; a script for a full batch takes some milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);
/// Messages per script: while one runs, the server answers no other query.
const BATCH: usize = 500;

/// KEYS: the generation's prefix. ARGV: the position or nothing, then five for each message: kind, id, version, the category
/// or the references, and the value.
const APPLY: &str = r"
    local prefix, written = KEYS[1], 0
    for at = 2, #ARGV, 5 do
        local kind, id, version, where, value = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
        local key = prefix .. kind .. id
        local old_version, old_where = string.match(redis.call('GETRANGE', key, 0, 40), '^(%d+)|(%d*)|')
        if tonumber(old_version or 0) < tonumber(version) then
            redis.call('SET', key, value)
            if kind == 'g' then
                redis.call('DEL', prefix .. 'r' .. id)
                for product in string.gmatch(where, '%d+') do
                    redis.call('RPUSH', prefix .. 'r' .. id, product)
                end
            elseif old_where ~= where then
                if old_where then redis.call('ZREM', prefix .. 'c' .. old_where, id) end
                redis.call('ZADD', prefix .. 'c' .. where, id, id)
            end
            written = written + 1
        end
    end
    if ARGV[1] ~= '' then redis.call('SET', prefix .. 'position', ARGV[1]) end
    return written";

/// A product in its value, after the head.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    id: u64,
    name: &'a str,
    brand: &'a str,
    category_path: &'a str,
    price_cents: u64,
    stock: u32,
    weight_grams: Option<u32>,
}

/// A value, encoded.
fn value(head: &str, stored: &Stored<'_>) -> Answer<Vec<u8>> {
    let mut bytes = head.as_bytes().to_vec();
    bytes.extend(bincode::serde::encode_to_vec(stored, bincode::config::standard())?);
    Ok(bytes)
}

/// A value's version, the second part of its head, and the rest.
fn split(bytes: &[u8]) -> Answer<(u64, &str, &[u8])> {
    let mut parts = bytes.splitn(3, |byte| *byte == b'|');
    let mut next = || parts.next().ok_or("a value without a head: rebuild this read model");
    let (version, state, rest) = (next()?, next()?, next()?);
    Ok((std::str::from_utf8(version)?.parse()?, std::str::from_utf8(state)?, rest))
}

fn stored(bytes: &[u8]) -> Answer<Stored<'_>> {
    Ok(bincode::serde::borrow_decode_from_slice(bytes, bincode::config::standard())?.0)
}

fn show(bytes: &[u8], visitor: &mut (dyn Visitor + Send)) -> Answer<()> {
    let (version, _, rest) = split(bytes)?;
    let Stored { id, name, brand, category_path, price_cents, stock, weight_grams } = stored(rest)?;
    visitor.product(Card { id, name, brand, category_path, price_cents, stock, weight_grams, version });
    Ok(())
}

/// Shows the products of an answer; a reference to a missing product shows nothing.
fn show_all(products: &Value, visitor: &mut (dyn Visitor + Send)) -> Answer<()> {
    let Value::Array(products) = products else {
        return Err(format!("Redis answered {products:?} in place of a list").into());
    };
    products.iter().try_for_each(|product| match product {
        Value::BulkString(bytes) => show(bytes, visitor),
        _ => Ok(()),
    })
}

/// Whether a failure is of the connection and not of the query.
fn is_lost(failure: &Failure) -> bool {
    failure.downcast_ref::<RedisError>().is_some_and(|error| {
        let loading = error.kind() == ErrorKind::Server(ServerErrorKind::BusyLoading);
        loading || error.is_io_error() || error.is_timeout() || error.is_connection_dropped()
    })
}

/// Maps a lost connection to [`Away`], which is retried without limit.
fn or_away(failure: Failure) -> Failure {
    if is_lost(&failure) { Away("Redis").into() } else { failure }
}

/// Connections: one for queries, one for batches, so that neither waits for the other.
struct Server {
    client: Client,
    connections: RwLock<Connections>,
}

#[derive(Clone)]
struct Connections {
    ask: ConnectionManager,
    write: ConnectionManager,
}

impl Server {
    async fn connect(client: &Client) -> Answer<Connections> {
        let config = || {
            ConnectionManagerConfig::new()
                .set_number_of_retries(2)
                .set_response_timeout(Some(PATIENCE))
                .set_connection_timeout(Some(PATIENCE))
        };
        let ask = ConnectionManager::new_with_config(client.clone(), config()).await?;
        Ok(Connections { ask, write: ConnectionManager::new_with_config(client.clone(), config()).await? })
    }

    fn ask(&self) -> ConnectionManager {
        self.connections.read().expect("nothing panics under this lock").ask.clone()
    }

    fn write(&self) -> ConnectionManager {
        self.connections.read().expect("nothing panics under this lock").write.clone()
    }
}

/// The queries of one generation.
struct Answers {
    server: Arc<Server>,
    prefix: String,
}

impl Answers {
    fn key(&self, kind: char, id: impl std::fmt::Display) -> String {
        format!("{}{kind}{id}", self.prefix)
    }
}

#[async_trait]
impl RemoteQueries for Answers {
    async fn ask(&self, query: Query, visitor: &mut (dyn Visitor + Send)) -> Answer<bool> {
        match self.ask_once(query, visitor).await {
            // This query found the connection gone. Nothing was shown, so it is repeated.
            Err(error) if is_lost(&error) => self.ask_once(query, visitor).await,
            done => done,
        }
    }
}

impl Answers {
    async fn ask_once(&self, query: Query, visitor: &mut (dyn Visitor + Send)) -> Answer<bool> {
        let mut server = self.server.ask();
        let products = self.key('p', '*');
        match query {
            Query::Product(id) => {
                let found: Value = cmd("GET").arg(self.key('p', id)).query_async(&mut server).await?;
                let Value::BulkString(bytes) = found else { return Ok(false) };
                show(&bytes, visitor)?;
            }
            Query::Category(category) => {
                let mut sort = cmd("SORT");
                sort.arg(self.key('c', category)).arg("BY").arg("nosort").arg("LIMIT").arg(0).arg(LISTING);
                show_all(&sort.arg("GET").arg(products).query_async(&mut server).await?, visitor)?;
            }
            Query::Page(id) => {
                let mut both = pipe();
                // In one transaction: a page and its references change together.
                both.atomic().cmd("GET").arg(self.key('g', id));
                both.cmd("SORT").arg(self.key('r', id)).arg("BY").arg("nosort").arg("GET").arg(products);
                let (page, products): (Value, Value) = both.query_async(&mut server).await?;
                let Value::BulkString(page) = page else { return Ok(false) };
                let (version, gone, title) = split(&page)?;
                if gone == "1" {
                    return Ok(false);
                }
                visitor.page(std::str::from_utf8(title)?, version);
                show_all(&products, visitor)?;
            }
        }
        Ok(true)
    }
}

/// Generations at one server, under a prefix that no other run uses.
pub struct RedisReadStores {
    server: Arc<Server>,
    reference: Arc<Reference>,
    prefix: String,
    /// The server's memory before.
    before: u64,
    keep: bool,
}

impl RedisReadStores {
    /// Connects. Keys begin with this name, and may exist already; they are removed with this, unless `keep` is set for a
    /// later process.
    pub async fn open(url: &str, name: &str, keep: bool, reference: Arc<Reference>) -> Answer<RedisReadStores> {
        let prefix = format!("{name}:");
        let client = Client::open(url)?;
        let connections = RwLock::new(Server::connect(&client).await?);
        let server = Arc::new(Server { client, connections });
        let before = used_memory(&server).await?;
        Ok(RedisReadStores { server, reference, prefix, before, keep })
    }

    fn prefix(&self, generation: u32) -> String {
        format!("{}{generation}:", self.prefix)
    }
}

async fn used_memory(server: &Server) -> Answer<u64> {
    let info: String = cmd("INFO").arg("memory").query_async(&mut server.write()).await?;
    let line = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    Ok(line.ok_or("Redis does not report how much memory it uses")?.trim().parse()?)
}

impl Drop for RedisReadStores {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        in_destructor(|| async {
            let mut connection = self.server.client.get_multiplexed_async_connection().await?;
            unlink_all(&mut connection, &self.prefix).await
        });
    }
}

/// Removes every key with this prefix, some at a time.
async fn unlink_all(connection: &mut (impl redis::aio::ConnectionLike + Send), prefix: &str) -> Answer<()> {
    let (pattern, mut cursor) = (format!("{prefix}*"), 0_u64);
    loop {
        let mut scan = cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(1_000);
        let (next, keys): (u64, Vec<String>) = scan.query_async(connection).await?;
        if !keys.is_empty() {
            let _: u64 = cmd("UNLINK").arg(keys).query_async(connection).await?;
        }
        cursor = next;
        if cursor == 0 {
            return Ok(());
        }
    }
}

#[async_trait]
impl ReadStores for RedisReadStores {
    async fn open(&self, generation: u32) -> Answer<Arc<dyn ReadStore>> {
        let answers = Answers { server: Arc::clone(&self.server), prefix: self.prefix(generation) };
        Ok(Arc::new(RedisRead {
            answers: Arc::new(answers),
            reference: Arc::clone(&self.reference),
            apply: Script::new(APPLY),
            before: self.before,
        }))
    }

    async fn remove(&self, generation: u32) -> Answer<()> {
        unlink_all(&mut self.server.write(), &self.prefix(generation)).await
    }
}

/// One generation.
struct RedisRead {
    answers: Arc<Answers>,
    reference: Arc<Reference>,
    apply: Script,
    before: u64,
}

impl RedisRead {
    /// The five arguments of a message.
    fn arguments(&self, message: &Message) -> Answer<(char, u64, u64, String, Vec<u8>)> {
        let version = message.version;
        Ok(match &message.change {
            Change::Product(product) => {
                let stored = Stored {
                    id: product.id,
                    name: &product.name,
                    brand: self.reference.brand(product.brand),
                    category_path: self.reference.path(product.category),
                    price_cents: product.price_cents,
                    stock: product.stock,
                    weight_grams: product.weight_grams,
                };
                let category = product.category.to_string();
                let value = value(&format!("{version}|{category}|"), &stored)?;
                ('p', product.id, version, category, value)
            }
            Change::Page(page) => {
                let references: Vec<String> = page.products.iter().map(u64::to_string).collect();
                ('g', page.id, version, references.join(","), format!("{version}|0|{}", page.title).into_bytes())
            }
            Change::PageGone(id) => ('g', *id, version, String::new(), format!("{version}|1|").into_bytes()),
        })
    }

    async fn run(&self, batch: &[Message], position: Option<u64>) -> Answer<u64> {
        let mut call = self.apply.key(&self.answers.prefix);
        call.arg(position.map_or_else(String::new, |position| position.to_string()));
        for message in batch {
            let (kind, id, version, place, value) = self.arguments(message)?;
            call.arg(kind.to_string()).arg(id).arg(version).arg(place).arg(value);
        }
        Ok(call.invoke_async(&mut self.answers.server.write()).await?)
    }
}

#[async_trait]
impl ReadStore for RedisRead {
    fn queries(&self) -> Queries {
        Queries::Remote(Arc::<Answers>::clone(&self.answers))
    }

    async fn apply(&self, batch: &[Message], position: Option<u64>) -> Answer<Applied> {
        let chunks = batch.len().div_ceil(BATCH).max(1);
        let mut written = 0;
        for number in 0..chunks {
            let some = &batch[number * BATCH..batch.len().min((number + 1) * BATCH)];
            // The position is stored with the last one, so that a retry starts with the first.
            written += self.run(some, position.filter(|_| number + 1 == chunks)).await.map_err(or_away)?;
        }
        Ok(Applied { written, stale: (batch.len() as u64).saturating_sub(written) })
    }

    async fn position(&self) -> Answer<u64> {
        let mut server = self.answers.server.ask();
        let key = format!("{}position", self.answers.prefix);
        let found: Option<u64> = cmd("GET").arg(key).query_async(&mut server).await?;
        Ok(found.unwrap_or(0))
    }

    async fn reconnect(&self) -> Answer<()> {
        let server = &self.answers.server;
        let connections = Server::connect(&server.client).await?;
        *server.connections.write().expect("nothing panics under this lock") = connections;
        Ok(())
    }

    async fn corrupt(&self, key: Key) -> Answer<()> {
        let spoiled = "spoiled by a script";
        let mut server = self.answers.server.write();
        let key = match key {
            Key::Product(id) => self.answers.key('p', id),
            Key::Page(id) => self.answers.key('g', id),
        };
        let before: Vec<u8> = cmd("GET").arg(&key).query_async(&mut server).await?;
        let (version, state, rest) = split(&before)?;
        let head = format!("{version}|{state}|");
        let bytes = match stored(rest) {
            Ok(stored) if key.contains(":p") => value(&head, &Stored { name: spoiled, ..stored })?,
            _ => [head.as_bytes(), spoiled.as_bytes()].concat(),
        };
        let () = cmd("SET").arg(&key).arg(bytes).query_async(&mut server).await?;
        Ok(())
    }

    /// By how much the server's memory has grown since the stores were opened.
    async fn disk_bytes(&self) -> Answer<u64> {
        Ok(used_memory(&self.answers.server).await?.saturating_sub(self.before))
    }
}
