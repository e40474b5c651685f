//! PostgreSQL as a careful team uses it: a pool of connections whose statements stay prepared, and a schema per run.
//!
//! Two of its parts are easily got wrong. Notices are sent after the commit and not in it: `NOTIFY` in a transaction
//! takes a lock that lets commits pass one at a time. And a replication slot keeps the log for ever once nobody reads it:
//! a schema is dropped together with its slot; what a killed run has left goes with the server (`benches/cqrs/services/down`).

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

/// How long a lost connection's listener waits before it asks again.
const LISTEN_AGAIN: Duration = Duration::from_millis(200);

/// Where a part has its tables.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The server and database.
    pub url: &'a str,
    /// The schema, which no other part has.
    pub schema: &'a str,
    /// Whether it outlives the part, for a process that comes after.
    pub keep: bool,
}

impl Place<'_> {
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
    /// For questions of readers, who must not stand in a queue with commands.
    readers: Pool,
    /// Set when there is something to tell.
    news: Arc<Notify>,
    /// Whoever waits for news.
    waiting: Arc<Mutex<Vec<Arc<Notify>>>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// Whether the schema outlives this.
    keep: bool,
}

impl Database {
    /// Connects, and makes the schema if there is none. It is dropped with this, unless it is to be kept for a process that
    /// comes after.
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

    /// A connection for a reader's question.
    pub async fn reader(&self) -> Answer<Client> {
        Ok(self.readers.get().await?)
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The schema; also the name of the channel for notices, of the publication and of the slot.
    #[must_use]
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Closes all connections; the next question opens new ones.
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

    // --- notices ------------------------------------------------------------------------------------------------------

    /// Starts to carry notices: one connection tells, one listens, as between the processes of a writer and a relay.
    pub fn carry_news(&self) {
        let tell = tell(self.pool.clone(), self.schema.clone(), Arc::clone(&self.news));
        let listen = listen(self.url.clone(), self.schema.clone(), Arc::clone(&self.waiting));
        let tasks = [clock::spawn(tell), clock::spawn(listen)];
        self.tasks.lock().expect("nothing panics under this lock").extend(tasks);
    }

    /// Something was committed. Notices that come faster than they can be sent become one.
    pub fn tell(&self) {
        self.news.notify_one();
    }

    /// Woken by each notice.
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
        // A slot is never kept: it would keep the log.
        in_destructor(|| remove(&self.url, &self.schema, self.keep));
    }
}

fn pool(url: &str, schema: &str, connections: usize) -> Answer<Pool> {
    let mut config = Config::from_str(url)?;
    config.application_name("cenote-cqrs").options(format!("-c search_path={schema}"));
    config.connect_timeout(Duration::from_secs(5));
    // Asking the server whether it is still there would cost a round trip per question; a dead connection says so itself.
    let manager = Manager::from_config(config, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
    Ok(Pool::builder(manager).max_size(connections).build()?)
}

/// A connection outside of any pool, and the task that serves it.
async fn connect(url: &str) -> Answer<tokio_postgres::Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    clock::spawn(async move {
        // Its end is told to whoever asks the client next.
        let _ = connection.await;
    });
    Ok(client)
}

async fn tell(pool: Pool, channel: String, news: Arc<Notify>) {
    loop {
        news.notified().await;
        if let Ok(client) = pool.get().await {
            // A notice that is lost costs the listener its idle time, and nothing else.
            let _ = client.batch_execute(&format!("NOTIFY {channel}")).await;
        }
    }
}

async fn listen(url: String, channel: String, waiting: Arc<Mutex<Vec<Arc<Notify>>>>) {
    loop {
        // Whatever ended it, relays look by themselves meanwhile.
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
    // `heard` drives the connection, also for the question beside it; it ends with the connection.
    let asked = async { Ok::<_, Failure>(asked.await?) };
    futures::future::try_join(asked, heard).await.map(|_| ())
}

/// Drops a schema with everything that belongs to it, or only what must not be kept.
async fn remove(url: &str, schema: &str, keep: bool) -> Answer<()> {
    let client = connect(url).await?;
    drop_slot(&client, schema).await?;
    client.batch_execute(&format!("DROP PUBLICATION IF EXISTS {schema}")).await?;
    if !keep {
        client.batch_execute(&format!("DROP SCHEMA IF EXISTS {schema} CASCADE")).await?;
    }
    Ok(())
}

/// Drops a slot, ending whoever still reads it.
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
