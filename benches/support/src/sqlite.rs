//! A pool of SQLite connections that read one file.
//!
//! It grows to as many connections as there are readers at a time, and never waits: a query takes microseconds, and a limit
//! would be a lock. Connections are reused in the order of last use, so their statements stay prepared and their caches
//! warm.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OpenFlags};

/// What every new connection is set up with.
pub type SetUp = fn(&Connection) -> rusqlite::Result<()>;

/// The connections to one file.
pub struct Pool {
    path: PathBuf,
    set_up: SetUp,
    idle: Mutex<Vec<Connection>>,
}

impl Pool {
    /// A pool for this file, which a writer has created. It opens no connection yet.
    #[must_use]
    pub fn new(path: &Path, set_up: SetUp) -> Pool {
        Pool { path: path.to_owned(), set_up, idle: Mutex::default() }
    }

    /// Does `work` with a connection.
    ///
    /// # Errors
    /// If no connection can be opened, or `work` fails.
    pub fn with<R, E>(&self, work: impl FnOnce(&mut Connection) -> Result<R, E>) -> Result<R, E>
    where
        E: From<rusqlite::Error>,
    {
        let idle = self.idle().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.open()?,
        };
        let result = work(&mut connection);
        self.idle().push(connection);
        result
    }

    /// Opens a connection outside of the pool, which only reads.
    ///
    /// # Errors
    /// If the file can't be opened.
    pub fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        (self.set_up)(&connection)?;
        Ok(connection)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Closes all connections that are not in use.
    pub fn close(&self) {
        self.idle().clear();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
