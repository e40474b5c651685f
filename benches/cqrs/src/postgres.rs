//! PostgreSQL as a careful team uses it: a pool of connections whose statements stay prepared, and a schema per run.
//!
//! Two things are easy to get wrong. Notifications are sent after the commit and not in it: `NOTIFY` in a transaction
//! takes a lock that serializes commits. And a replication slot without a reader keeps the log without bound: a schema is
//! dropped together with its slot; what a killed run has left is removed with the server (`benches/cqrs/services/down`).

use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use deadpool_postgres::{Client, Manager, ManagerConfig, Pool, RecyclingMethod};
use futures::future::poll_fn;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_postgres::{AsyncMessage, Config, NoTls};

use super::cleanup::in_destructor;
use super::settings::Settings;
use super::{Answer, Failure, clock};

/// How long a listener waits before it connects again.
const LISTEN_AGAIN: Duration = Duration::from_millis(200);

/// Where a part has its tables.
#[derive(Debug, Clone, Copy)]
pub struct SchemaLocation<'a> {
    /// The server and database.
    pub url: &'a str,
    /// The schema, which no other part uses.
    pub schema: &'a str,
    /// Whether it outlives the part, for a later process.
    pub keep: bool,
}

impl SchemaLocation<'_> {
    /// Connects.
    pub async fn open(&self, settings: &Settings) -> Answer<Database> {
        Database::open(self.url, self.schema, settings.pool, self.keep).await
    }
}

/// One schema of a database, and connections to it.
pub struct Database {
    url: String,
    schema: String,
    pool: Pool,
    /// For queries of readers, which must not queue with commands.
    readers: Pool,
    /// Set when there is something to notify of.
    news: Arc<Notify>,
    /// The feeds that wait for a notification.
    waiting: Arc<Mutex<Vec<Arc<Notify>>>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// Whether the schema outlives this.
    keep: bool,
}

impl Database {
    /// Connects, and creates the schema if it does not exist. It is dropped with this, unless `keep` is set for a later
    /// process.
    pub async fn open(url: &str, schema: &str, connections: usize, keep: bool) -> Answer<Database> {
        let database = Database {
            url: url.to_owned(),
            pool: pool(url, schema, connections)?,
            readers: pool(url, schema, connections)?,
            schema: schema.to_owned(),
            keep,
            news: Arc::default(),
            waiting: Arc::default(),
            tasks: Mutex::default(),
        };
        database.get().await?.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {schema}")).await?;
        Ok(database)
    }

    /// A connection, for as long as it is held.
    pub async fn get(&self) -> Answer<Client> {
        Ok(self.pool.get().await?)
    }

    /// A connection for a reader's query.
    pub async fn reader(&self) -> Answer<Client> {
        Ok(self.readers.get().await?)
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The schema; also the name of the channel for notifications, of the publication and of the slot.
    #[must_use]
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Closes all connections; the next query opens new ones.
    pub fn reconnect(&self) {
        self.pool.retain(|_, _| false);
        self.readers.retain(|_, _| false);
    }

    /// Bytes on disk of these tables, their indexes and long values.
    pub async fn table_bytes(&self, tables: &[&str]) -> Answer<u64> {
        let sql = "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c
            JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = $1 AND c.relkind = 'r' AND ($2::text[] = '{}' OR c.relname = ANY($2))";
        let row = self.get().await?.query_one(sql, &[&self.schema, &tables]).await?;
        Ok(row.get::<_, i64>(0) as u64)
    }

    // --- notifications ------------------------------------------------------------------------------------------------------

    /// Starts notifications: one connection notifies, one listens, as between the processes of a writer and a relay.
    pub fn start_notifications(&self) {
        let notify = notify(self.pool.clone(), self.schema.clone(), Arc::clone(&self.news));
        let listen = listen(self.url.clone(), self.schema.clone(), Arc::clone(&self.waiting));
        let tasks = [clock::spawn(notify), clock::spawn(listen)];
        self.tasks.lock().expect("nothing panics under this lock").extend(tasks);
    }

    /// Notifies of a commit. Calls that come faster than notifications can be sent share one.
    pub fn notify(&self) {
        self.news.notify_one();
    }

    /// Woken by each notification.
    #[must_use]
    pub fn subscribe(&self) -> Arc<Notify> {
        let notify = Arc::new(Notify::new());
        self.waiting.lock().expect("nothing panics under this lock").push(Arc::clone(&notify));
        notify
    }
}

impl Drop for Database {
    /// Drops the schema, its publication and its slot.
    fn drop(&mut self) {
        self.tasks.lock().expect("nothing panics under this lock").drain(..).for_each(|task| task.abort());
        self.pool.close();
        self.readers.close();
        // A slot is never kept: the server would keep the log for it.
        in_destructor(|| remove(&self.url, &self.schema, self.keep));
    }
}

fn pool(url: &str, schema: &str, connections: usize) -> Answer<Pool> {
    let mut config = Config::from_str(url)?;
    config.application_name("cenote-cqrs").options(format!("-c search_path={schema}"));
    config.connect_timeout(Duration::from_secs(5));
    // Checking the connection would cost a round trip per query; a dead connection fails anyway.
    let manager = Manager::from_config(config, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
    Ok(Pool::builder(manager).max_size(connections).build()?)
}

/// A connection outside of any pool, and the task that serves it.
async fn connect(url: &str) -> Answer<tokio_postgres::Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    clock::spawn(async move {
        // The client's next call fails if it has ended.
        let _ = connection.await;
    });
    Ok(client)
}

async fn notify(pool: Pool, channel: String, news: Arc<Notify>) {
    loop {
        news.notified().await;
        if let Ok(client) = pool.get().await {
            // A lost notification costs the listener its idle time, and nothing else.
            let _ = client.batch_execute(&format!("NOTIFY {channel}")).await;
        }
    }
}

async fn listen(url: String, channel: String, waiting: Arc<Mutex<Vec<Arc<Notify>>>>) {
    loop {
        // Whatever ended it, relays poll meanwhile.
        let _ = listen_once(&url, &channel, &waiting).await;
        clock::sleep(LISTEN_AGAIN).await;
    }
}

async fn listen_once(url: &str, channel: &str, waiting: &Mutex<Vec<Arc<Notify>>>) -> Answer<()> {
    let (client, mut connection) = tokio_postgres::connect(url, NoTls).await?;
    let command = format!("LISTEN {channel}");
    let asked = client.batch_execute(&command);
    let heard = async {
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(_) = message? {
                waiting.lock().expect("nothing panics under this lock").iter().for_each(|waits| waits.notify_one());
            }
        }
        Err::<(), Failure>("the connection has ended".into())
    };
    // `heard` drives the connection for both; it ends with the connection.
    let asked = async { Ok::<_, Failure>(asked.await?) };
    futures::future::try_join(asked, heard).await.map(|_| ())
}

/// Drops a schema with its publication and slot; only these two if it is to be kept.
async fn remove(url: &str, schema: &str, keep: bool) -> Answer<()> {
    let client = connect(url).await?;
    drop_slot(&client, schema).await?;
    client.batch_execute(&format!("DROP PUBLICATION IF EXISTS {schema}")).await?;
    if !keep {
        client.batch_execute(&format!("DROP SCHEMA IF EXISTS {schema} CASCADE")).await?;
    }
    Ok(())
}

/// Drops a slot; ends a connection that still reads it.
async fn drop_slot(client: &tokio_postgres::Client, slot: &str) -> Answer<()> {
    for _ in 0..50 {
        let sql = "SELECT active_pid FROM pg_replication_slots WHERE slot_name = $1";
        let Some(row) = client.query_opt(sql, &[&slot]).await? else { return Ok(()) };
        let Some(reader) = row.get::<_, Option<i32>>(0) else {
            client.execute("SELECT pg_drop_replication_slot($1::text::name)", &[&slot]).await?;
            return Ok(());
        };
        client.execute("SELECT pg_terminate_backend($1)", &[&reader]).await?;
        clock::sleep(Duration::from_millis(20)).await;
    }
    Err(format!("the slot {slot} is still being read: end its reader").into())
}
