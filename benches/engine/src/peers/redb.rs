//! `redb`: an embedded B-tree in Rust; a record is one value, a refresh is one write transaction.

use std::path::Path;

use ::redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use super::files::Open;
use super::values::{Copies, StoreProducer, Sum, decode, encode, rating, sum_3_fields, sum_cast};
use super::{Answer, Consume, Memory, Place, Produce, System};
use crate::workload::Movie;

/// A `redb` database with a table of movies.
pub(super) struct Redb;

impl System for Redb {
    fn name(&self) -> &'static str {
        "redb"
    }

    fn spare_versions(&self) -> u64 {
        200
    }

    fn produce(&self, place: Place) -> Answer<Box<dyn Produce>> {
        Ok(Box::new(StoreProducer::new(place, false, build)?))
    }

    fn consume(&self, folder: &Path) -> Answer<Box<dyn Consume>> {
        Ok(Box::new(Reader { copies: Copies::new(folder, "redb"), database: None }))
    }
}

const MOVIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("movies");

/// Enough for the whole dataset, which the other systems hold, too.
const CACHE_BYTES: usize = 8 << 30;

fn build(path: &Path, movies: &[Movie]) -> Answer<()> {
    let mut database = Database::create(path)?;
    let txn = database.begin_write()?;
    let mut table = txn.open_table(MOVIES)?;
    for movie in movies {
        table.insert(movie.id, encode(movie)?.as_slice())?;
    }
    drop(table);
    txn.commit()?;
    database.compact()?;
    Ok(())
}

struct Reader {
    /// Declared before its copies, so that it is closed before they are removed.
    database: Option<Database>,
    copies: Copies,
}

impl Reader {
    fn database(&self) -> Answer<&Database> {
        Ok(self.database.as_ref().ok_or("no version was loaded")?)
    }

    /// One read transaction per `batch` keys.
    fn each(&self, keys: &[u64], batch: usize, sum: Sum) -> Answer<u64> {
        let mut total = 0;
        for keys in keys.chunks(batch) {
            let table = self.database()?.begin_read()?.open_table(MOVIES)?;
            for key in keys {
                if let Some(value) = table.get(key)? {
                    total += sum(value.value())?;
                }
            }
        }
        Ok(total)
    }
}

impl Consume for Reader {
    fn load(&mut self, version: u64) -> Answer<()> {
        let path = self.copies.fetch(version)?;
        self.database = Some(Database::builder().set_cache_size(CACHE_BYTES).open(path)?);
        Ok(())
    }

    fn refresh(&self, version: u64) -> Answer<()> {
        let mut changed = Vec::new();
        Open::each_change(&self.copies.folder, version, |movie| changed.push(movie))?;
        let mut txn = self.database()?.begin_write()?;
        // After a crash, a replica is fetched again.
        txn.set_durability(Durability::None)?;
        let mut table = txn.open_table(MOVIES)?;
        for movie in changed {
            table.insert(movie.id, encode(&movie)?.as_slice())?;
        }
        drop(table);
        txn.commit()?;
        Ok(())
    }

    fn memory(&self) -> Memory {
        Memory::Heap
    }

    fn movie(&self, id: u64) -> Answer<Option<Movie>> {
        let table = self.database()?.begin_read()?.open_table(MOVIES)?;
        table.get(id)?.map(|value| decode(id, value.value())).transpose()
    }

    fn lookup(&self, keys: &[u64], batch: usize) -> Answer<u64> {
        self.each(keys, batch, |value| Ok(std::hint::black_box(value).len().min(1) as u64))
    }

    fn lookup_3_fields(&self, keys: &[u64], batch: usize) -> Answer<u64> {
        self.each(keys, batch, sum_3_fields)
    }

    fn cast_walk(&self, keys: &[u64]) -> Answer<u64> {
        self.each(keys, 16, sum_cast)
    }

    fn full_scan(&self) -> Answer<f64> {
        let table = self.database()?.begin_read()?.open_table(MOVIES)?;
        let mut sum = 0.0;
        for entry in table.iter()? {
            sum += rating(entry?.1.value())?;
        }
        Ok(sum)
    }
}
