//! Opening a dataset for publishing: read the schema, load, catch up, then take it.
//!
//! The schema may be refused, so it is checked before anything is written. If another producer wrote entries before this
//! producer's `open`, they are read first. A producer that never pauses could keep this one catching up without end: after
//! a few times `open` is put at the tail wherever that is, and the entries before it are read after it.

use cenote_state::record::Declared;
use cenote_state::schema::{Allow, Schema};
use cenote_store::log::{LogReader, LogWriter, OpenError as LogOpenError, ReadError, WriterOptions};
use cenote_store::storage::Storage;

use crate::error::OpenCause;
use crate::heartbeat::HeartbeatTask;
use crate::load::{Loaded, Loader};

/// How often a producer that takes over catches up before it takes the tail unseen.
const CATCH_UPS: usize = 3;

/// What opening needs.
pub(crate) struct Opening<'o> {
    pub(crate) loader: &'o Loader,
    pub(crate) options: &'o WriterOptions,
    pub(crate) declared: &'o Declared,
    pub(crate) allow: &'o [Allow],
}

/// A dataset that is this producer's.
pub(crate) struct Opened {
    pub(crate) log: LogWriter,
    pub(crate) heartbeat: HeartbeatTask,
    /// The newest version.
    pub(crate) committed: Loaded,
    /// The schema of the next version.
    pub(crate) schema: Schema,
}

impl Opening<'_> {
    /// Takes the dataset, from the newest version that was loaded.
    pub(crate) async fn take(&self, mut reader: LogReader, mut committed: Loaded) -> Result<Opened, OpenCause> {
        let (storage, env) = (reader.storage().clone(), &self.loader.env);
        let mut catch_ups = 0;
        while !self.options.take_over || catch_ups < CATCH_UPS {
            let schema = self.evolved(&committed)?;
            match LogWriter::open(&reader, env.clone(), self.options.clone()).await {
                Ok(log) => {
                    let heartbeat = HeartbeatTask::start(&log, env);
                    return Ok(Opened { log, heartbeat, committed, schema });
                }
                Err(LogOpenError::Behind { .. }) => {
                    reader = start(&storage, self.options).await?;
                    committed = self.caught_up(&reader, committed).await?;
                    catch_ups += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.evolved(&committed)?;
        let mut log = LogWriter::open_at_tail(&reader, env.clone(), self.options.clone()).await?;
        // Loading what came before `open` may take longer than the promised time between two heartbeats.
        let heartbeat = HeartbeatTask::start(&log, env);
        match self.missed(&log, committed).await {
            Ok((committed, schema)) => Ok(Opened { log, heartbeat, committed, schema }),
            Err(error) => {
                // This producer can't use the dataset, so no other one has to wait for it.
                log.close().await;
                Err(error)
            }
        }
    }

    /// The version that was committed just before our `open`, and the schema of the next.
    async fn missed(&self, log: &LogWriter, committed: Loaded) -> Result<(Loaded, Schema), OpenCause> {
        let reader = LogReader::at(log.storage().clone(), log.log_state().clone()).with_rules(self.options.rules);
        let committed = self.caught_up(&reader, committed).await?;
        let schema = self.evolved(&committed)?;
        Ok((committed, schema))
    }

    fn evolved(&self, committed: &Loaded) -> Result<Schema, OpenCause> {
        let evolved = committed.state.schema().evolve(self.declared, self.allow)?;
        for change in &evolved.changes {
            tracing::info!(%change, "the schema changes with the next version");
        }
        Ok(evolved.schema)
    }

    /// The newest state: rolled forward from one that was loaded before, if the log still has the commits between.
    async fn caught_up(&self, reader: &LogReader, from: Loaded) -> Result<Loaded, OpenCause> {
        let newest = reader.log_state().version;
        match self.loader.forward(reader, from, newest).await {
            Ok(loaded) if loaded.state.version() == newest => Ok(loaded),
            Err(error) if !matches!(error, OpenCause::Read(ReadError::Trimmed { .. } | ReadError::Replaced { .. })) => {
                Err(error)
            }
            _ => self.loader.load(reader, newest).await,
        }
    }
}

/// A reader at the tail; before the first entry if there is no dataset yet.
pub(crate) async fn start(storage: &Storage, options: &WriterOptions) -> Result<LogReader, OpenCause> {
    match LogReader::start_with(storage.clone(), options.rules).await {
        Err(ReadError::NotFound { .. }) => Ok(LogReader::empty(storage.clone()).with_rules(options.rules)),
        other => Ok(other?),
    }
}
