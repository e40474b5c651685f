//! Opening a dataset for publishing: read the schema, load, catch up, then take it (rule 3).
//!
//! The schema may be refused, so it is looked at before anything is written. Whoever was faster than our `open` is caught
//! up with first; when a holder that is taken over from never pauses, that would go on for ever: after a few times
//! `open` goes to the tail wherever it is, and what was missed is read after it.

use std::sync::Arc;

use cenote_state::record::{Binding, Declared};
use cenote_state::schema::{Allow, Schema};
use cenote_store::log::{LogReader, LogWriter, OpenError as LogOpenError, ReadError, WriterOptions};
use cenote_store::storage::Storage;

use crate::base::Base;
use crate::builder::{Place, ProducerBuilder};
use crate::error::OpenError;
use crate::load::{Loaded, Loader};
use crate::producer::{Heartbeat, Producer};

/// Who takes over catches up so often before it takes the tail unseen.
const CATCH_UPS: usize = 3;

impl Producer {
    pub(crate) async fn open(builder: ProducerBuilder) -> Result<Producer, OpenError> {
        let ProducerBuilder { place, registry, declare, allow, validators, env, writer, keep, snapshots, bytes_max } =
            builder;
        let storage = match place {
            Place::Storage(storage) => storage,
            Place::Url(url, options) => Storage::open(&url, &options).await?,
        };
        let loader = Loader { env: env.clone(), seed: env.random(), bytes_max };
        let reader = start(&storage, &writer).await?;
        let committed = loader.load(&reader, reader.outline().version).await?;
        let registry = match declare {
            Some(declare) => declare(committed.state.schema(), registry).map_err(OpenError::DeclareWith)?,
            None => registry,
        };
        let declared = registry.finish()?;
        if declared.roots().is_empty() {
            return Err(OpenError::NothingDeclared);
        }
        let taking = Taking { loader: &loader, options: &writer, declared: &declared, allow: &allow };
        let (log, heartbeat, committed, schema) = taking.take(reader, committed).await?;
        let roots = declared.roots().iter().map(|id| {
            let name = &declared.schema().get(*id).name;
            schema.find(name).expect("the next schema has every declared type")
        });
        let roots = roots.collect();
        let binding = Arc::new(Binding::new(&declared, &schema)?);
        let (state, threads) = (committed.state.clone(), env.threads());
        let base = env.cpu(move || Base::of_state(state.relayout(Arc::new(schema), threads)?)).await??;
        let version = committed.state.version();
        tracing::info!(dataset = storage.url(), epoch = %log.epoch(), %version, "dataset opened");
        Ok(Producer {
            log,
            _heartbeat: heartbeat,
            loader,
            committed,
            base,
            binding,
            roots,
            validators: validators.into(),
            in_flight: None,
            snapshots,
            keep,
            running: None,
            options: writer,
            env,
        })
    }
}

/// What it takes to take a dataset.
struct Taking<'o> {
    loader: &'o Loader,
    options: &'o WriterOptions,
    declared: &'o Declared,
    allow: &'o [Allow],
}

impl Taking<'_> {
    /// The log in our hands, with its heartbeat, the newest state, and the schema of the next commit.
    async fn take(
        &self,
        mut reader: LogReader,
        mut committed: Loaded,
    ) -> Result<(LogWriter, Heartbeat, Loaded, Schema), OpenError> {
        let (storage, env) = (reader.storage().clone(), &self.loader.env);
        let mut catch_ups = 0;
        while !self.options.take_over || catch_ups < CATCH_UPS {
            let schema = self.evolved(&committed)?;
            match LogWriter::open(&reader, env.clone(), self.options.clone()).await {
                Ok(log) => {
                    let heartbeat = Heartbeat::of(&log, env);
                    return Ok((log, heartbeat, committed, schema));
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
        // What came before it may take longer to load than we have promised to be heard within.
        let heartbeat = Heartbeat::of(&log, env);
        match self.came_after(&log, committed).await {
            Ok((committed, schema)) => Ok((log, heartbeat, committed, schema)),
            Err(error) => {
                // We hold what we can't use: nobody has to wait for us.
                log.close().await;
                Err(error)
            }
        }
    }

    /// What was committed before our `open` while nobody of us looked, and what it means for the schema.
    async fn came_after(&self, log: &LogWriter, committed: Loaded) -> Result<(Loaded, Schema), OpenError> {
        let reader = LogReader::at(log.storage().clone(), log.outline().clone()).with_rules(self.options.rules);
        let committed = self.caught_up(&reader, committed).await?;
        let schema = self.evolved(&committed)?;
        Ok((committed, schema))
    }

    fn evolved(&self, committed: &Loaded) -> Result<Schema, OpenError> {
        let evolved = committed.state.schema().evolve(self.declared, self.allow)?;
        for change in &evolved.changes {
            tracing::info!(%change, "the schema changes with the next version");
        }
        Ok(evolved.schema)
    }

    /// The newest state: rolled forward from one that was loaded a moment ago, if its way is still there.
    async fn caught_up(&self, reader: &LogReader, from: Loaded) -> Result<Loaded, OpenError> {
        let newest = reader.outline().version;
        match self.loader.forward(reader, from, newest).await {
            Ok(loaded) if loaded.state.version() == newest => Ok(loaded),
            Err(error) if !matches!(error, OpenError::Read(ReadError::Trimmed { .. } | ReadError::Replaced { .. })) => {
                Err(error)
            }
            _ => self.loader.load(reader, newest).await,
        }
    }
}

/// A reader at the tail; before the first entry if there is no dataset yet.
pub(crate) async fn start(storage: &Storage, options: &WriterOptions) -> Result<LogReader, OpenError> {
    match LogReader::start_with(storage.clone(), options.rules).await {
        Err(ReadError::NotFound { .. }) => Ok(LogReader::empty(storage.clone()).with_rules(options.rules)),
        other => Ok(other?),
    }
}
