//! SQLite as a careful team uses it: one thread that writes, a pool of connections that read, and a write-ahead log.
//!
//! The writer takes closures. Those that arrive while a transaction is being committed share the next one, each in its
//! savepoint: a sync costs milliseconds, and in groups a thousand commands a second need a hundred syncs. No caller gets
//! its result before the commit.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use cenote_bench_support::sqlite::Pool;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::settings::{SQLITE_BUSY, SQLITE_CACHE_KB, SQLITE_GROUP, SQLITE_MMAP_BYTES};
use super::{Answer, Failure};

/// What a commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A crash of the machine: `synchronous=FULL`. For the write side, and for messages that a broker has accepted.
    Machine,
    /// A crash of the process: `synchronous=NORMAL`. For what can be rebuilt after a crash of the machine.
    Process,
}

/// Runs inside the savepoint. It returns whether to keep its changes, and what to run after the commit with the commit's
/// error, if there was one.
type Job = Box<dyn FnOnce(&Connection) -> (bool, Finish) + Send>;
type Finish = Box<dyn FnOnce(Option<String>) + Send>;

/// The one writer of a database.
pub struct Writer {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<thread::JoinHandle<()>>,
    path: PathBuf,
}

impl Writer {
    /// Opens the database, creates it if it does not exist, and runs `setup` on it.
    pub fn open(path: &Path, durability: Durability, setup: &str) -> Answer<Writer> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        let synchronous = if durability == Durability::Machine { "full" } else { "normal" };
        connection.pragma_update(None, "synchronous", synchronous)?;
        tune(&connection)?;
        connection.execute_batch(setup)?;
        let (jobs, inbox) = mpsc::channel();
        let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let thread = thread::Builder::new().name(format!("sqlite-{name}")).spawn(move || work(&connection, &inbox))?;
        Ok(Writer { jobs: Some(jobs), thread: Some(thread), path: path.to_owned() })
    }

    /// Does `work` in a transaction; returns when it is committed. An error of `work` undoes only the changes of `work`.
    pub async fn run<R, E>(&self, work: impl FnOnce(&Connection) -> Result<R, E> + Send + 'static) -> Result<R, E>
    where
        R: Send + 'static,
        E: From<Failure> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let result = work(connection);
            let keep = result.is_ok();
            let finish = move |failed: Option<String>| {
                let failed = failed.map(|error| E::from(format!("the commit failed: {error}").into()));
                let result = result.and_then(|value| failed.map_or(Ok(value), Err));
                // The caller may have been stopped meanwhile.
                drop(answer.send(result));
            };
            (keep, Box::new(finish))
        });
        let gone = || E::from(format!("{} did not take the write: try again", self.path.display()).into());
        self.jobs.as_ref().ok_or_else(gone)?.send(job).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic was reported by that thread.
            let _ = thread.join();
        }
    }
}

fn work(connection: &Connection, inbox: &mpsc::Receiver<Job>) {
    while let Ok(first) = inbox.recv() {
        let mut finishes = Vec::new();
        let done = group(connection, first, inbox, &mut finishes);
        let failed = done.err().map(|error| {
            let _ = connection.execute_batch("ROLLBACK");
            error.to_string()
        });
        finishes.into_iter().for_each(|finish| finish(failed.clone()));
    }
}

fn group(
    connection: &Connection,
    first: Job,
    inbox: &mpsc::Receiver<Job>,
    finishes: &mut Vec<Finish>,
) -> rusqlite::Result<()> {
    let run = |sql| connection.prepare_cached(sql)?.execute([]);
    // If this fails, the job is dropped, and its caller gets an error.
    run("BEGIN IMMEDIATE")?;
    let mut next = Some(first);
    while let Some(job) = next.take() {
        run("SAVEPOINT job")?;
        let (keep, finish) = job(connection);
        finishes.push(finish);
        if !keep {
            run("ROLLBACK TO job")?;
        }
        run("RELEASE job")?;
        if finishes.len() < SQLITE_GROUP {
            next = inbox.try_recv().ok();
        }
    }
    run("COMMIT").map(|_| ())
}

fn tune(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(SQLITE_BUSY)?;
    connection.pragma_update(None, "cache_size", -SQLITE_CACHE_KB)?;
    connection.pragma_update(None, "mmap_size", SQLITE_MMAP_BYTES)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// A pool of connections that read this file, which the writer has created.
#[must_use]
pub fn pool(path: &Path) -> Pool {
    Pool::new(path, tune)
}

/// Bytes of the tables and indexes whose names are like one of these, by the pages that they have in the file.
pub fn table_bytes(pool: &Pool, names: &[&str]) -> Answer<u64> {
    pool.with(|connection| {
        let sql = "SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE name LIKE ?";
        let mut statement = connection.prepare(sql)?;
        let sizes = names.iter().map(|name| statement.query_row([name], |row| row.get::<_, i64>(0)));
        Ok(sizes.sum::<rusqlite::Result<i64>>()? as u64)
    })
}

/// Bytes of a database: the file, its write-ahead log and the log's index.
pub fn disk_bytes(path: &Path) -> u64 {
    ["", "-wal", "-shm"]
        .iter()
        .filter_map(|suffix| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            std::fs::metadata(name).ok().map(|found| found.len())
        })
        .sum()
}
