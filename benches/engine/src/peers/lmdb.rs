//! `lmdb`: a memory-mapped B+ tree, through `heed`; a record is one value, a refresh is one write transaction.

use std::path::{Path, PathBuf};

use heed::byteorder::BigEndian;
use heed::types::{Bytes, U64};
use heed::{Database, Env, EnvFlags, EnvOpenOptions};

use super::files::Open;
use super::values::{Copies, StoreProducer, Sum, decode, encode, rating, sum_3_fields, sum_cast};
use super::{Answer, Consume, Memory, Place, Produce, System};
use crate::workload::Movie;

/// An LMDB environment with a table of movies.
pub(super) struct Lmdb;

impl System for Lmdb {
    fn name(&self) -> &'static str {
        "lmdb"
    }

    fn spare_versions(&self) -> u64 {
        200
    }

    fn produce(&self, place: Place) -> Answer<Box<dyn Produce>> {
        Ok(Box::new(StoreProducer::new(place, false, build)?))
    }

    fn consume(&self, folder: &Path) -> Answer<Box<dyn Consume>> {
        Ok(Box::new(Reader { copies: Copies::new(folder, "lmdb"), store: None }))
    }
}

type Table = Database<U64<BigEndian>, Bytes>;

/// Address space only; the file takes what it holds.
const MAP_BYTES: usize = 64 << 30;

fn build(path: &Path, movies: &[Movie]) -> Answer<()> {
    let env = open(path)?;
    let mut txn = env.write_txn()?;
    let table: Table = env.create_database(&mut txn, None)?;
    for movie in movies {
        table.put(&mut txn, &movie.id, &encode(movie)?)?;
    }
    txn.commit()?;
    env.force_sync()?;
    Ok(())
}

fn open(path: &Path) -> Answer<Env> {
    let mut options = EnvOpenOptions::new();
    options.map_size(MAP_BYTES);
    #[expect(unsafe_code, reason = "a map of a file is only as sound as the file is left alone")]
    // SAFETY: only this process uses the file: it was created here or copied into a folder of this consumer, and it is
    // written only through this environment. `NO_SUB_DIR` names the file itself;
    // `NO_SYNC` can lose a replica in a crash of the machine, and a replica is fetched again.
    let env = unsafe { options.flags(EnvFlags::NO_SUB_DIR | EnvFlags::NO_SYNC).open(path)? };
    Ok(env)
}

struct Store {
    env: Env,
    table: Table,
}

struct Reader {
    copies: Copies,
    store: Option<Store>,
}

impl Reader {
    fn store(&self) -> Answer<&Store> {
        Ok(self.store.as_ref().ok_or("no version was loaded")?)
    }

    /// One read transaction per `batch` keys.
    fn each(&self, keys: &[u64], batch: usize, sum: Sum) -> Answer<u64> {
        let store = self.store()?;
        let mut total = 0;
        for keys in keys.chunks(batch) {
            let txn = store.env.read_txn()?;
            for key in keys {
                if let Some(value) = store.table.get(&txn, key)? {
                    total += sum(value)?;
                }
            }
        }
        Ok(total)
    }
}

impl Consume for Reader {
    fn load(&mut self, version: u64) -> Answer<()> {
        let path: PathBuf = self.copies.fetch(version)?;
        let env = open(&path)?;
        let txn = env.read_txn()?;
        let table = env.open_database(&txn, None)?.ok_or("the store has no table")?;
        drop(txn);
        self.store = Some(Store { env, table });
        Ok(())
    }

    fn refresh(&self, version: u64) -> Answer<()> {
        let store = self.store()?;
        let mut txn = store.env.write_txn()?;
        let mut changed = Vec::new();
        Open::each_change(&self.copies.folder, version, |movie| changed.push(movie))?;
        for movie in changed {
            store.table.put(&mut txn, &movie.id, &encode(&movie)?)?;
        }
        txn.commit()?;
        Ok(())
    }

    fn memory(&self) -> Memory {
        Memory::Resident
    }

    fn movie(&self, id: u64) -> Answer<Option<Movie>> {
        let store = self.store()?;
        let txn = store.env.read_txn()?;
        store.table.get(&txn, &id)?.map(|value| decode(id, value)).transpose()
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
        let store = self.store()?;
        let txn = store.env.read_txn()?;
        let mut sum = 0.0;
        for entry in store.table.iter(&txn)? {
            sum += rating(entry?.1)?;
        }
        Ok(sum)
    }
}
