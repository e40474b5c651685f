//! Starting: from a builder's options to a consumer that serves a first version, and the task that keeps it up to date.

use std::sync::Arc;
use std::time::Duration;

use cenote_state::held::Selection;
use cenote_state::ids::{Timestamp, Version};
use cenote_state::record::{Binding, Registry};
use cenote_state::schema::Schema;
use cenote_state::state::State;
use cenote_state::view::{IndexDeclaration, Indexes, View};
use cenote_store::env::Env;
use cenote_store::log::Rules;
use cenote_store::storage::Location;
use tokio::sync::{mpsc, watch};

use crate::builder::OnEmpty;
use crate::consumer::Consumer;
use crate::error::OpenCause;
use crate::follow::{Follower, Goal};
use crate::inner::{Inner, Listener};
use crate::memory;
use crate::program::Program;
use crate::task::{Alive, Task};
use crate::watch::{POLL_MIN, ReloadPolicy, Watcher};

/// While there is no version to serve, the log is polled at least this often.
const FIRST_POLL: Duration = Duration::from_secs(1);

/// What a builder was given.
pub(crate) struct Options {
    pub(crate) registry: Registry,
    pub(crate) indexes: Vec<IndexDeclaration>,
    pub(crate) whole: bool,
    pub(crate) reload: ReloadPolicy,
    pub(crate) when_empty: OnEmpty,
    pub(crate) start_at: Goal,
    pub(crate) max_state_bytes: Option<u64>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) env: Env,
    pub(crate) rules: Rules,
    #[cfg(feature = "testing")]
    pub(crate) torn_swaps: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            registry: Registry::new(),
            indexes: Vec::new(),
            whole: false,
            reload: ReloadPolicy::default(),
            when_empty: OnEmpty::default(),
            start_at: Goal::Newest,
            max_state_bytes: None,
            listeners: Vec::new(),
            env: Env::system(),
            rules: Rules::default(),
            #[cfg(feature = "testing")]
            torn_swaps: false,
        }
    }
}

/// Opens the dataset and loads a first version. The caller runs the task.
pub(crate) async fn start<L: Location>(location: L, options: Options) -> Result<(Consumer, Task), OpenCause> {
    let declared = Arc::new(options.registry.finish()?);
    let selection = if options.whole { Selection::Whole } else { Selection::declared(Arc::clone(&declared)) };
    let program = Arc::new(Program { declared, indexes: options.indexes, selection });
    let env = options.env;
    let seed = env.random();
    let empty = empty_view(&program, seed)?;
    let storage = location.open().await?;
    let inner = Arc::new(Inner::new(env.clone(), storage.url().to_owned(), empty, options.listeners));
    let limit = options.max_state_bytes.unwrap_or_else(memory::of_machine);
    let mut follower = Follower::new(Arc::clone(&inner), storage.clone(), program, limit, seed);
    follower.rules = options.rules;
    #[cfg(feature = "testing")]
    {
        follower.torn_swaps = options.torn_swaps;
    }
    let mut watcher = Watcher::new(env, options.reload, storage);
    first_version(&mut follower, &mut watcher, options.reload, options.when_empty, options.start_at).await?;
    let (sender, requests) = mpsc::unbounded_channel();
    let (close, closing) = watch::channel(false);
    let alive = Alive(Arc::clone(&inner));
    let consumer = Consumer::new(inner, sender, close, tokio::runtime::Handle::current());
    Ok((consumer, Task { alive, follower, watcher, requests, closing }))
}

/// The same on a separate thread, which runs the task.
pub(crate) fn start_on_thread<L: Location>(location: L, options: Options) -> Result<Consumer, OpenCause> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (opened, result) = std::sync::mpsc::channel();
    let run = async move {
        match start(location, options).await {
            Err(error) => drop(opened.send(Err(error))),
            Ok((consumer, task)) => {
                drop(opened.send(Ok(consumer)));
                task.run().await;
            }
        }
    };
    let thread = std::thread::Builder::new().name("cenote-consumer".to_owned());
    thread.spawn(move || runtime.block_on(run))?;
    let ended = || std::io::Error::other("the consumer's thread ended while it opened");
    result.recv().map_err(|_| OpenCause::Thread(ended()))?
}

/// The view before the first version.
fn empty_view(program: &Program, seed: u64) -> Result<View, OpenCause> {
    let nothing = Arc::new(Schema::default());
    let index_binding = program.bind_indexes(&nothing)?;
    let binding = Binding::new(&program.declared, &nothing).expect("types that the dataset lacks are empty tables");
    let state = State::empty_of(&program.selection, nothing, seed).expect("a schema without types has no wrong keys");
    let indexes = Indexes::build(index_binding, &state, seed, 1, u64::MAX).expect("there is room for any");
    Ok(View::with_indexes(state, Arc::new(binding), indexes, Timestamp(0)))
}

/// Loads the first version; waits for it if none exists.
async fn first_version(
    follower: &mut Follower,
    watcher: &mut Watcher,
    reload: ReloadPolicy,
    when_empty: OnEmpty,
    goal: Goal,
) -> Result<(), OpenCause> {
    let inner = Arc::clone(&follower.inner);
    let (env, url) = (&inner.env, inner.url.clone());
    let started = env.instant();
    let pause = match reload {
        ReloadPolicy::Poll(every) => every.clamp(POLL_MIN, FIRST_POLL),
        ReloadPolicy::Manual => FIRST_POLL,
    };
    loop {
        let result = follower.refresh(goal).await;
        watcher.looked();
        if inner.cell.version() > Version::EMPTY {
            // If it is not the newest, the status shows it.
            return Ok(());
        }
        let waited = env.instant() - started;
        match (result, when_empty) {
            (Err(source), _) if !source.cause().recovery().is_transient() => {
                return Err(OpenCause::Refresh { url, source });
            }
            (_, OnEmpty::Open) => return Ok(()),
            (Err(source), OnEmpty::Wait(wait)) if waited >= wait => return Err(OpenCause::Refresh { url, source }),
            (Ok(_), OnEmpty::Wait(wait)) if waited >= wait => return Err(OpenCause::NotFound { url, waited }),
            _ => {}
        }
        tokio::select! {
            biased;
            _ = watcher.due() => {}
            () = env.sleep(pause) => {}
        }
    }
}
