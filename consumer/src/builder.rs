//! The builder: what a consumer is told before it opens. Every option states its default.

use std::sync::Arc;
use std::time::Duration;

use cenote_state::ids::{Timestamp, Version};
use cenote_state::record::{Binding, Registry, Root};
use cenote_state::schema::Schema;
use cenote_state::state::State;
use cenote_state::view::{HashIndex, IndexDeclaration, IndexValue, Indexes, View};
use cenote_store::env::Env;
use cenote_store::log::Rules;
use cenote_store::storage::Storage;
use tokio::sync::{mpsc, watch};

use crate::consumer::Consumer;
use crate::error::OpenError;
use crate::follow::{Follower, Goal};
use crate::memory;
use crate::refresh::Program;
use crate::report::Report;
use crate::shared::{Listener, Shared};
use crate::task;
use crate::watch::{Watch, Watcher};

const POLL: Duration = Duration::from_secs(10);
const WAIT: Duration = Duration::from_secs(60);
/// While there is nothing to serve, the log is looked at this often at least.
const IMPATIENCE: Duration = Duration::from_secs(1);

/// What a consumer is told before it opens.
#[must_use = "a builder does nothing until .open().await"]
pub struct Builder {
    url: String,
    registry: Registry,
    indexes: Vec<IndexDeclaration>,
    watch: Watch,
    wait: Option<Duration>,
    first: Goal,
    max_state_bytes: Option<u64>,
    options: Vec<(String, String)>,
    listeners: Vec<Listener>,
    env: Env,
    storage: Option<Storage>,
    rules: Rules,
    #[cfg(feature = "testing")]
    torn_swaps: bool,
}

/// All that runs, and the handle on it.
type Started = (Consumer, Follower, Watcher, mpsc::UnboundedReceiver<task::Ask>, watch::Receiver<bool>);

impl Builder {
    pub(crate) fn new(url: String, storage: Option<Storage>) -> Builder {
        Builder {
            url,
            registry: Registry::new(),
            indexes: Vec::new(),
            watch: Watch::Poll(POLL),
            wait: Some(WAIT),
            first: Goal::Newest,
            max_state_bytes: None,
            options: Vec::new(),
            listeners: Vec::new(),
            env: Env::system(),
            storage,
            rules: Rules::default(),
            #[cfg(feature = "testing")]
            torn_swaps: false,
        }
    }

    /// Declares a root type that the program reads, and whatever its fields lead to. A type that the dataset lacks is
    /// an empty table.
    pub fn with<T: Root>(mut self) -> Builder {
        self.registry = self.registry.with::<T>();
        self
    }

    /// Keeps a hash index: `view.find(&BY_COUNTRY, "nl")`.
    pub fn index<T: Root, V: IndexValue + ?Sized>(mut self, index: &HashIndex<T, V>) -> Builder {
        self.indexes.push(IndexDeclaration::new(index));
        self
    }

    /// How often the log is looked at, ± 20 %. Default: 10 s. A local folder is watched as well.
    pub fn poll(mut self, every: Duration) -> Builder {
        self.watch = Watch::Poll(every);
        self
    }

    /// Looks at the log only when [`Consumer::refresh`] and its kin are called. Default: polls.
    pub fn manual(mut self) -> Builder {
        self.watch = Watch::Manual;
        self
    }

    /// Opens at once although nothing was published yet; the view is empty then. Default: waits for a first version.
    pub fn allow_empty(mut self) -> Builder {
        self.wait = None;
        self
    }

    /// How long `open` waits for a first version, and through failures of the store. Default: 60 s.
    pub fn wait_for_first(mut self, wait: Duration) -> Builder {
        self.wait = Some(wait);
        self
    }

    /// Opens at this version and not at the newest; with `manual` it stays there until told to go on. Default: the
    /// newest.
    pub fn start_at(mut self, version: Version) -> Builder {
        self.first = Goal::Version(version);
        self
    }

    /// What a state may take in memory; a version that takes more is refused, and the old one served. Default: what
    /// the machine or the container has.
    pub fn max_state_bytes(mut self, bytes: u64) -> Builder {
        self.max_state_bytes = Some(bytes);
        self
    }

    /// An option of the store, like `aws_endpoint`; comes after the environment's. Default: none.
    pub fn option(mut self, key: impl Into<String>, value: impl Into<String>) -> Builder {
        self.options.push((key.into(), value.into()));
        self
    }

    /// Calls `listener` after each new version, the first included, on the consumer's task: keep it short.
    pub fn on_refresh(mut self, listener: impl Fn(&Report) + Send + Sync + 'static) -> Builder {
        self.listeners.push(Arc::new(listener));
        self
    }

    /// Another clock, randomness and cpu pool. Default: the machine's.
    pub fn env(mut self, env: Env) -> Builder {
        self.env = env;
        self
    }

    #[doc(hidden)]
    pub fn rules(mut self, rules: Rules) -> Builder {
        self.rules = rules;
        self
    }

    /// Swaps type by type, as no build may: for the test that shows that such a build is caught.
    #[cfg(feature = "testing")]
    pub fn torn_swaps(mut self) -> Builder {
        self.torn_swaps = true;
        self
    }

    /// Loads the newest version and follows the dataset from then on, in a task of its own.
    ///
    /// # Errors
    /// What is wrong with the program, the URL, the store or the dataset; see [`OpenError`].
    pub async fn open(self) -> Result<Consumer, OpenError> {
        let (consumer, follower, watcher, asked, closing) = self.start().await?;
        let env = consumer.shared.env.clone();
        drop(env.spawn(task::run(follower, watcher, asked, closing)));
        Ok(consumer)
    }

    /// The same from a program without an async runtime: the consumer runs on a thread of its own. Reads need nothing
    /// more; for the rest there is [`Consumer::wait`].
    ///
    /// # Errors
    /// As for [`Builder::open`].
    pub fn open_blocking(self) -> Result<Consumer, OpenError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (opened, result) = std::sync::mpsc::channel();
        std::thread::Builder::new().name("cenote-consumer".to_owned()).spawn(move || {
            runtime.block_on(async {
                match self.start().await {
                    Err(error) => drop(opened.send(Err(error))),
                    Ok((consumer, follower, watcher, asked, closing)) => {
                        drop(opened.send(Ok(consumer)));
                        task::run(follower, watcher, asked, closing).await;
                    }
                }
            });
        })?;
        let lost = || std::io::Error::other("the consumer's thread ended while it opened");
        result.recv().map_err(|_| OpenError::Thread(lost()))?
    }

    async fn start(self) -> Result<Started, OpenError> {
        let declared = self.registry.finish()?;
        let program = Arc::new(Program { declared, indexes: self.indexes });
        let nothing = Arc::new(Schema::default());
        let index_binding = program.bind_indexes(&nothing)?;
        let storage = match self.storage {
            Some(storage) => storage,
            None => Storage::open(&self.url, &self.options).await?,
        };
        let seed = self.env.random();
        let state = State::empty(Arc::clone(&nothing), seed).expect("a schema without types has no wrong keys");
        let binding = Binding::new(&program.declared, &nothing).expect("what is missing reads as empty");
        let indexes = Indexes::build(index_binding, &state, seed, 1);
        let empty = View::with_indexes(state, Arc::new(binding), indexes, Timestamp(0));
        let url = storage.url().to_owned();
        let shared = Arc::new(Shared::new(self.env.clone(), url, empty, self.listeners));
        let limit = self.max_state_bytes.unwrap_or_else(memory::of_machine);
        let mut follower = Follower::new(Arc::clone(&shared), storage.clone(), program, limit, seed);
        follower.rules = self.rules;
        #[cfg(feature = "testing")]
        {
            follower.torn_swaps = self.torn_swaps;
        }
        let mut watcher = Watcher::new(self.env.clone(), self.watch, storage);
        first_version(&mut follower, &mut watcher, self.watch, self.wait, self.first).await?;
        let (asks, asked) = mpsc::unbounded_channel();
        let (closing, is_closing) = watch::channel(false);
        let runtime = tokio::runtime::Handle::current();
        Ok((Consumer { shared, asks, closing, runtime }, follower, watcher, asked, is_closing))
    }
}

/// Loads the first version, waiting for it if there is none yet.
async fn first_version(
    follower: &mut Follower,
    watcher: &mut Watcher,
    watch: Watch,
    wait: Option<Duration>,
    goal: Goal,
) -> Result<(), OpenError> {
    let shared = Arc::clone(&follower.shared);
    let (env, url) = (&shared.env, shared.url.clone());
    let started = env.instant();
    loop {
        let result = follower.refresh(goal).await;
        watcher.looked();
        if shared.cell.version() > Version::EMPTY {
            // If it is not the newest, the status says so.
            return Ok(());
        }
        let waited = env.instant() - started;
        match (result, wait) {
            (Err(source), _) if !source.is_retryable() => return Err(OpenError::Refresh { url, source }),
            (_, None) => return Ok(()),
            (Err(source), Some(wait)) if waited >= wait => return Err(OpenError::Refresh { url, source }),
            (Ok(_), Some(wait)) if waited >= wait => return Err(OpenError::NotFound { url, waited }),
            _ => {}
        }
        let pause = match watch {
            Watch::Poll(every) => every.min(IMPATIENCE),
            Watch::Manual => IMPATIENCE,
        };
        tokio::select! {
            biased;
            () = watcher.due() => {}
            () = env.sleep(pause) => {}
        }
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("url", &self.url).field("watch", &self.watch).finish_non_exhaustive()
    }
}
