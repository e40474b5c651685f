//! `sqlite` (in memory, changed in place) and `sqlite-file` (a file that is replaced whole), through `rusqlite`.
//!
//! A record is a row with a column per field; the cast is a separate table, as usual in SQL. A database in memory has one
//! connection, in a lock; a file has one connection per reader.

use std::path::Path;
use std::sync::{Mutex, RwLock};

use cenote_bench_support::sqlite::Pool;
use rusqlite::backup::Backup;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Transaction, params};

use super::files::Open;
use super::values::{Copies, StoreProducer};
use super::{Answer, Consume, Memory, Place, Produce, System, text_sum, three_fields};
use crate::workload::{Actor, COUNTRIES, Movie, country_name};

/// An SQLite database with tables of movies, actors and casts.
pub(super) struct Sqlite {
    pub(super) on: On,
}

/// Where the database is.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum On {
    Memory,
    File,
}

impl System for Sqlite {
    fn name(&self) -> &'static str {
        match self.on {
            On::Memory => "sqlite",
            On::File => "sqlite-file",
        }
    }

    fn spare_versions(&self) -> u64 {
        match self.on {
            On::Memory => 200,
            On::File => 4,
        }
    }

    fn goes_back(&self) -> bool {
        self.on == On::File
    }

    fn produce(&self, place: Place) -> Answer<Box<dyn Produce>> {
        Ok(Box::new(StoreProducer::new(place, self.on == On::File, build)?))
    }

    fn consume(&self, folder: &Path) -> Answer<Box<dyn Consume>> {
        let copies = Copies::new(folder, self.name());
        Ok(Box::new(Reader { on: self.on, database: RwLock::default(), copies }))
    }
}

const TABLES: &str = "
    CREATE TABLE movie (id INTEGER PRIMARY KEY, title TEXT, year INTEGER, rating REAL, runtime_minutes INTEGER,
        country TEXT, genres TEXT, synopsis TEXT);
    CREATE TABLE actor (actor_id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE played (id INTEGER, place INTEGER, actor_id INTEGER, PRIMARY KEY (id, place)) WITHOUT ROWID;";
const CAST: &str = "SELECT actor_id, name FROM played JOIN actor USING (actor_id) WHERE id = ? ORDER BY place";

fn build(path: &Path, movies: &[Movie]) -> Answer<()> {
    let mut connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "off")?;
    connection.pragma_update(None, "synchronous", "off")?;
    connection.execute_batch(TABLES)?;
    let txn = connection.transaction()?;
    movies.iter().try_for_each(|movie| upsert(&txn, movie))?;
    txn.commit()?;
    Ok(())
}

fn upsert(txn: &Transaction<'_>, movie: &Movie) -> Answer<()> {
    txn.prepare_cached("INSERT OR REPLACE INTO movie VALUES (?, ?, ?, ?, ?, ?, ?, ?)")?.execute(params![
        movie.id as i64,
        movie.title,
        movie.year,
        movie.rating,
        movie.runtime_minutes,
        movie.country,
        movie.genres.join(","),
        movie.synopsis
    ])?;
    txn.prepare_cached("DELETE FROM played WHERE id = ?")?.execute([movie.id as i64])?;
    for (place, actor) in movie.cast.iter().enumerate() {
        let row = params![actor.actor_id, actor.name];
        txn.prepare_cached("INSERT OR IGNORE INTO actor VALUES (?, ?)")?.execute(row)?;
        let row = params![movie.id as i64, place as i64, actor.actor_id];
        txn.prepare_cached("INSERT INTO played VALUES (?, ?, ?)")?.execute(row)?;
    }
    Ok(())
}

/// One state of the database.
enum Database {
    /// One connection that all readers share.
    Memory(Mutex<Connection>),
    /// A connection per reader.
    File(Pool),
}

impl Database {
    fn with<T>(&self, work: impl FnOnce(&mut Connection) -> Answer<T>) -> Answer<T> {
        match self {
            Database::Memory(connection) => work(&mut connection.lock().expect("no reader panics")),
            Database::File(pool) => pool.with(work),
        }
    }
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "mmap_size", 64_i64 << 30)
}

struct Reader {
    on: On,
    /// None before the first version is loaded.
    database: RwLock<Option<Database>>,
    copies: Copies,
}

impl Reader {
    fn with<T>(&self, work: impl FnOnce(&mut Connection) -> Answer<T>) -> Answer<T> {
        let database = self.database.read().expect("no refresh panics");
        database.as_ref().ok_or("no version was loaded")?.with(work)
    }

    fn fetch(&self, version: u64) -> Answer<Database> {
        let pool = Pool::new(&self.copies.fetch(version)?, set_up);
        if self.on == On::File {
            // The first connection is part of the load.
            pool.with(|_| Ok::<_, rusqlite::Error>(()))?;
            return Ok(Database::File(pool));
        }
        let mut memory = Connection::open_in_memory()?;
        Backup::new(&pool.open()?, &mut memory)?.step(-1)?;
        Ok(Database::Memory(Mutex::new(memory)))
    }

    /// Takes one connection and read transaction per `batch` keys.
    fn each(
        &self,
        keys: &[u64],
        batch: usize,
        sql: &str,
        sum: fn(&mut CachedStatement<'_>, u64) -> Answer<u64>,
    ) -> Answer<u64> {
        let request = |keys: &[u64]| {
            self.with(|connection| {
                let txn = connection.transaction()?;
                let mut statement = txn.prepare_cached(sql)?;
                let mut total = 0;
                for &key in keys {
                    total += sum(&mut statement, key)?;
                }
                Ok(total)
            })
        };
        keys.chunks(batch).try_fold(0, |total, keys| Ok(total + request(keys)?))
    }
}

impl Consume for Reader {
    fn load(&mut self, version: u64) -> Answer<()> {
        self.database = RwLock::new(Some(self.fetch(version)?));
        Ok(())
    }

    fn refresh(&self, version: u64) -> Answer<()> {
        if self.on == On::File {
            let after = self.fetch(version)?;
            *self.database.write().expect("no refresh panics") = Some(after);
            return Ok(());
        }
        let mut changed = Vec::new();
        Open::each_change(&self.copies.folder, version, |movie| changed.push(movie))?;
        self.with(|connection| {
            let txn = connection.transaction()?;
            changed.iter().try_for_each(|movie| upsert(&txn, movie))?;
            Ok(txn.commit()?)
        })
    }

    fn memory(&self) -> Memory {
        Memory::Resident
    }

    fn movie(&self, id: u64) -> Answer<Option<Movie>> {
        self.with(|connection| {
            let mut statement = connection.prepare_cached("SELECT * FROM movie WHERE id = ?")?;
            let movie = statement.query_row([id as i64], |row| {
                Ok(Movie {
                    id,
                    title: row.get(1)?,
                    year: row.get(2)?,
                    rating: row.get(3)?,
                    runtime_minutes: row.get(4)?,
                    country: row.get(5)?,
                    genres: row.get::<_, String>(6)?.split(',').map(str::to_owned).collect(),
                    cast: Vec::new(),
                    synopsis: row.get(7)?,
                })
            });
            let Some(mut movie) = movie.optional()? else { return Ok(None) };
            let mut statement = connection.prepare_cached(CAST)?;
            let actor = |row: &rusqlite::Row<'_>| Ok(Actor { actor_id: row.get(0)?, name: row.get(1)? });
            movie.cast = statement.query_map([id as i64], actor)?.collect::<Result<_, _>>()?;
            Ok(Some(movie))
        })
    }

    fn lookup(&self, keys: &[u64], batch: usize) -> Answer<u64> {
        self.each(keys, batch, "SELECT id FROM movie WHERE id = ?", |statement, key| {
            Ok(u64::from(statement.exists([key as i64])?))
        })
    }

    fn lookup_3_fields(&self, keys: &[u64], batch: usize) -> Answer<u64> {
        self.each(keys, batch, "SELECT title, year, rating FROM movie WHERE id = ?", |statement, key| {
            let mut rows = statement.query([key as i64])?;
            let Some(row) = rows.next()? else { return Ok(0) };
            Ok(three_fields(row.get_ref(0)?.as_str()?, row.get(1)?, row.get(2)?))
        })
    }

    fn cast_walk(&self, keys: &[u64]) -> Answer<u64> {
        self.each(keys, 16, CAST, |statement, key| {
            let mut rows = statement.query([key as i64])?;
            let mut total = 0;
            while let Some(row) = rows.next()? {
                total += text_sum(row.get_ref(1)?.as_str()?);
            }
            Ok(total)
        })
    }

    fn full_scan(&self) -> Answer<f64> {
        self.with(|connection| Ok(connection.query_row("SELECT sum(rating) FROM movie", [], |row| row.get(0))?))
    }

    fn index_countries(&mut self) -> Answer<()> {
        let sql = "CREATE INDEX by_country ON movie (country)";
        if self.on == On::Memory {
            return self.with(|connection| Ok(connection.execute_batch(sql)?));
        }
        let Some(Database::File(pool)) = self.database.get_mut().expect("no refresh panics") else {
            return Err("no version was loaded".into());
        };
        Connection::open(pool.path())?.execute_batch(sql)?;
        // The idle connections have an older schema.
        pool.close();
        Ok(pool.with(|_| Ok::<_, rusqlite::Error>(()))?)
    }

    fn country_find(&self, keys: &[u64]) -> Answer<u64> {
        self.each(keys, 16, "SELECT count(*) FROM movie WHERE country = ?", |statement, key| {
            let country = country_name((key % COUNTRIES as u64) as usize);
            Ok(statement.query_row([country], |row| row.get::<_, i64>(0))? as u64)
        })
    }

    fn country_iterate(&self) -> Answer<u64> {
        let all: Vec<_> = (0..COUNTRIES as u64).collect();
        self.each(&all, COUNTRIES, "SELECT id FROM movie WHERE country = ?", |statement, number| {
            let mut rows = statement.query([country_name(number as usize)])?;
            let mut found = 0;
            while let Some(row) = rows.next()? {
                std::hint::black_box(row.get::<_, i64>(0)?);
                found += 1;
            }
            Ok(found)
        })
    }
}
