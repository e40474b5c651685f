//! `redis`: a server on loopback, started for the run; a record is one value, a batch of look-ups is one `MGET`.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use ::redis::{Client, Connection};

use super::files::{Files, Open};
use super::values::{Sum, decode, encode, rating, sum_3_fields, sum_cast};
use super::{Answer, Consume, Memory, Place, Produce, Refusal, System};
use crate::workload::Movie;
use cenote_bench_support::clock;

/// A Redis server with a key per movie.
pub(super) struct Redis;

const SERVER: &str = "redis-server";

impl System for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn missing(&self) -> Option<String> {
        let found = Command::new(SERVER).arg("--version").stdout(Stdio::null()).status();
        found.is_err().then(|| format!("there is no {SERVER} on the path"))
    }

    fn spare_versions(&self) -> u64 {
        200
    }

    fn produce(&self, place: Place) -> Answer<Box<dyn Produce>> {
        match place {
            Place::Memory => Err(Refusal::Unsupported("changes go straight into the server: see apply_delta")),
            folder @ Place::Folder(_) => Ok(Box::new(Records(Files::new(folder, false)))),
        }
    }

    fn consume(&self, folder: &Path) -> Answer<Box<dyn Consume>> {
        Ok(Box::new(Reader { folder: folder.to_owned(), server: None }))
    }
}

/// Every version, the first too, is a file of whole records.
struct Records(Files);

impl Produce for Records {
    fn publish(&mut self, movies: &[Movie]) -> Answer<super::Published> {
        let all: Vec<_> = (0..movies.len()).collect();
        self.0.update(movies, &all)
    }

    fn update(&mut self, movies: &[Movie], changed: &[usize]) -> Answer<super::Published> {
        self.0.update(movies, changed)
    }
}

/// A server that this process started, and idle connections to it.
struct Server {
    process: Child,
    client: Client,
    idle: Mutex<Vec<Connection>>,
    /// The memory of the empty server.
    empty_bytes: u64,
}

impl Server {
    fn start() -> Answer<Self> {
        // The port is free again when the listener is dropped.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
        let process = Command::new(SERVER)
            .args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()?;
        let client = Client::open(format!("redis://127.0.0.1:{port}"))?;
        let mut server = Self { process, client, idle: Mutex::default(), empty_bytes: 0 };
        server.wait()?;
        server.empty_bytes = server.used_bytes()?;
        Ok(server)
    }

    fn wait(&self) -> Answer<()> {
        for _ in 0..100 {
            if self.client.get_connection().is_ok() {
                return Ok(());
            }
            clock::sleep(Duration::from_millis(50));
        }
        Err("the server does not answer".into())
    }

    fn with<T>(&self, work: impl FnOnce(&mut Connection) -> Answer<T>) -> Answer<T> {
        let idle = self.idle.lock().expect("no reader panics").pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.client.get_connection()?,
        };
        let answer = work(&mut connection)?;
        self.idle.lock().expect("no reader panics").push(connection);
        Ok(answer)
    }

    fn used_bytes(&self) -> Answer<u64> {
        let info: String = self.with(|connection| Ok(::redis::cmd("INFO").arg("memory").query(connection)?))?;
        let line = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        Ok(line.ok_or("the server reports no used_memory")?.trim().parse()?)
    }

    /// Sets the records of a version, in one transaction if `atomic`.
    fn put(&self, folder: &Path, version: u64, atomic: bool) -> Answer<()> {
        let mut pipe = ::redis::pipe();
        let mut failed = None;
        let mut waiting = 0;
        Open::each_change(folder, version, |movie| {
            match encode(&movie) {
                Ok(value) => drop(pipe.set(movie.id, value).ignore()),
                Err(refusal) => failed = Some(refusal),
            }
            waiting += 1;
            if !atomic && waiting % 1_000 == 0 {
                failed = failed.take().or(self.flush(&mut pipe).err());
            }
        })?;
        if atomic {
            pipe.atomic();
        }
        self.flush(&mut pipe)?;
        failed.map_or(Ok(()), Err)
    }

    fn flush(&self, pipe: &mut ::redis::Pipeline) -> Answer<()> {
        if pipe.is_empty() {
            return Ok(());
        }
        self.with(|connection| Ok(pipe.query::<()>(connection)?))?;
        pipe.clear();
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The data is only for this run.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Reader {
    folder: PathBuf,
    server: Option<Server>,
}

impl Reader {
    fn server(&self) -> Answer<&Server> {
        Ok(self.server.as_ref().ok_or("no version was loaded")?)
    }

    fn each(&self, keys: &[u64], batch: usize, sum: Sum) -> Answer<u64> {
        let mut total = 0;
        for keys in keys.chunks(batch) {
            for value in self.values(keys)?.into_iter().flatten() {
                total += sum(&value)?;
            }
        }
        Ok(total)
    }

    fn values(&self, keys: &[u64]) -> Answer<Vec<Option<Vec<u8>>>> {
        self.server()?.with(|connection| Ok(::redis::cmd("MGET").arg(keys).query(connection)?))
    }
}

impl Consume for Reader {
    fn load(&mut self, version: u64) -> Answer<()> {
        self.server = None;
        let server = Server::start()?;
        server.put(&self.folder, version, false)?;
        self.server = Some(server);
        Ok(())
    }

    fn refresh(&self, version: u64) -> Answer<()> {
        self.server()?.put(&self.folder, version, true)
    }

    fn memory(&self) -> Memory {
        let used = |server: &Server| Some(server.used_bytes().ok()?.saturating_sub(server.empty_bytes));
        Memory::Reported(self.server.as_ref().and_then(used).unwrap_or_default())
    }

    fn movie(&self, id: u64) -> Answer<Option<Movie>> {
        let values = self.values(&[id])?;
        values.into_iter().flatten().next().map(|value| decode(id, &value)).transpose()
    }

    fn lookup(&self, keys: &[u64], batch: usize) -> Answer<u64> {
        self.each(keys, batch, |value| Ok(value.len().min(1) as u64))
    }

    fn lookup_3_fields(&self, keys: &[u64], batch: usize) -> Answer<u64> {
        self.each(keys, batch, sum_3_fields)
    }

    fn cast_walk(&self, keys: &[u64]) -> Answer<u64> {
        self.each(keys, 16, sum_cast)
    }

    fn full_scan(&self) -> Answer<f64> {
        let mut sum = 0.0;
        let mut cursor = 0_u64;
        loop {
            let page = |connection: &mut Connection| {
                Ok(::redis::cmd("SCAN").arg(cursor).arg("COUNT").arg(1_000).query(connection)?)
            };
            let (next, keys): (u64, Vec<u64>) = self.server()?.with(page)?;
            for value in self.values(&keys)?.into_iter().flatten() {
                sum += rating(&value)?;
            }
            cursor = next;
            if cursor == 0 {
                return Ok(sum);
            }
        }
    }
}
