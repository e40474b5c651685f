//! The store is put to the test: put-if-absent must refuse, and of racing writers one must win.
//!
//! Everything rests on put-if-absent, and some servers take the condition and ignore it, drop it on the way, or check first
//! and write later. Such a store looks well until two writers meet, and a producer meets itself: its next commit and its
//! snapshot's entry want the same position. Then entries are overwritten that were acknowledged.
//!
//! - [`refuses`]: at every opening for writing, the first entry is put again under its condition. One request; it shows a
//!   store that ignores the condition.
//! - [`race`]: when a dataset is made, writers race for a few names. It shows a store that writes in two steps.
//!
//! Rules: a store is trusted once it was seen to refuse; an answer that did not come proves nothing, either way; what a
//! race leaves is deleted, and a sweep finds what a crash left ([`FOLDER`]).

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;

use crate::env::Env;
use crate::error::{ErrorKind, with_sources};
use crate::storage::{Created, Operation, Storage, StorageError, StorageErrorKind};
use cenote_state::ids::Timestamp;

/// Where writers race.
pub const FOLDER: &str = "check";
/// Servers that were seen to keep the condition.
pub const PASSED: &str =
    "Ceph RGW 16.2, versitygw 1.8, SeaweedFS (November 2026), moto 5, gofakes3 1.2, S3Proxy 4.1, Azurite 3";
/// Servers that were seen not to.
pub const FAILED: &str = "S3Proxy 2.6 and s3rver 3.7 ignore the condition, S3Mock 4.7 writes in two steps";

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// After an hour a check is over.
const OVER_MS: u64 = 60 * 60 * 1_000;
/// A request is given up after this long.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);

/// The store does not keep put-if-absent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the store of {url} can't hold a dataset: {lack}. Two writers, or a producer and its own background work, would \
     overwrite each other's log entries. Use a store with atomic conditional puts (If-None-Match: *), and no proxy that \
     drops the header. Known to pass: {PASSED}. Known to fail: {FAILED}"
)]
pub struct UnfitStore {
    /// The dataset.
    pub url: String,
    /// What was seen.
    pub lack: Lack,
}

/// What an unfit store did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Lack {
    /// It accepted a put-if-absent although the object was there.
    #[error("it accepted a put under the condition that the object is absent, although the object was there")]
    Condition,
    /// Several racing writers got the answer that they had won.
    #[error("of {writers} writers that raced for one name, it told {winners} that they had won")]
    OneWinner {
        /// How many raced.
        writers: usize,
        /// How many got the answer that they had won.
        winners: usize,
    },
    /// The object that was there after a race was not the winner's.
    #[error("after a race for one name, the object there was not the one of the writer that was told it had won")]
    WinnersObject,
}

/// Why a store was not found fit.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// It is not.
    #[error(transparent)]
    Unfit(#[from] UnfitStore),
    /// It did not answer, so that nothing was proven.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl ProofError {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            ProofError::Unfit(_) => ErrorKind::Configuration,
            ProofError::Storage(error) => error.kind(),
        }
    }
}

/// Whether the store refuses the object at `name`, which is there, a second time. Tries for `timeout` if it does not answer.
///
/// # Errors
/// If it takes it, or gives no answer.
pub async fn refuses(
    storage: &Storage,
    env: &Env,
    name: &str,
    bytes: &Bytes,
    timeout: Duration,
) -> Result<(), ProofError> {
    let (started, mut pause) = (env.instant(), FIRST_PAUSE);
    loop {
        let error = match env.timeout(ATTEMPT_TIMEOUT, storage.create(name, bytes.clone())).await {
            Ok(Ok(Created::Exists)) => return Ok(()),
            Ok(Ok(Created::Yes)) => return Err(unfit(storage, Lack::Condition)),
            Ok(Err(error)) => error,
            Err(timed_out) => {
                let url = format!("{}/{name}", storage.url());
                StorageError::new(url, Operation::Create, StorageErrorKind::Timeout, timed_out)
            }
        };
        if env.instant() - started >= timeout {
            return Err(error.into());
        }
        env.sleep(env.jitter(pause, 0.2)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// How large a race is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Race {
    /// Names that are raced for, all at once. Default: 4.
    pub rounds: usize,
    /// Writers for each. Default: 8.
    pub writers: usize,
}

impl Default for Race {
    fn default() -> Race {
        Race { rounds: 4, writers: 8 }
    }
}

/// Whether one of the writers that race for a name wins, in every round.
///
/// # Errors
/// If several do, or the store does not say who did in any round.
pub async fn race(storage: &Storage, env: &Env, race: Race) -> Result<(), ProofError> {
    let (now, id) = (env.now().0, env.random());
    let names: Vec<String> = (0..race.rounds).map(|round| format!("{FOLDER}/{now:020}-{id:016x}-{round}")).collect();
    let rounds = join_all(names.iter().map(|name| one_round(storage, name, race.writers))).await;
    for name in &names {
        let _ = storage.delete(name).await;
    }
    let mut silent = None;
    let mut decided = false;
    for round in rounds {
        match round {
            Ok(()) => decided = true,
            Err(ProofError::Storage(error)) => silent = Some(error),
            Err(unfit) => return Err(unfit),
        }
    }
    match silent {
        Some(error) if !decided => Err(error.into()),
        _ => Ok(()),
    }
}

/// Whether the race or check that left this object began an hour ago or longer.
#[must_use]
pub fn is_over(name: &str, now: Timestamp) -> bool {
    let began = name.strip_prefix(FOLDER).and_then(|name| name.strip_prefix('/')?.split('-').next()?.parse().ok());
    began.is_some_and(|began: u64| now.0.saturating_sub(began) >= OVER_MS)
}

/// One thing that a store must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// What it must do.
    pub what: &'static str,
    /// What it did instead; none if it did.
    pub lack: Option<String>,
}

/// Checks what a dataset needs of a store, with larger races than at the making of a dataset. Leaves nothing behind.
pub async fn check(storage: &Storage, env: &Env) -> Vec<Checked> {
    let (now, id) = (env.now().0, env.random());
    let name = format!("{FOLDER}/{now:020}-{id:016x}");
    let first = Bytes::from_static(b"first, by a check of this store; it can be deleted");
    let second = Bytes::from_static(b"second, by a check of this store; it can be deleted");
    let absent = async { Ok(same(&storage.get(&name).await?, &None, "an object that was never put")) };
    let created = async {
        match storage.create(&name, first.clone()).await? {
            Created::Yes => Ok(same(&storage.get(&name).await?, &Some(first.clone()), "an object that was just put")),
            Created::Exists => Ok(Some("it said that an object exists which was never put".to_owned())),
        }
    };
    let refused = async {
        refuses(storage, env, &name, &second, ATTEMPT_TIMEOUT).await?;
        Ok(same(&storage.get(&name).await?, &Some(first.clone()), "an object after a refused put"))
    };
    let raced = async { race(storage, env, Race { rounds: 16, writers: 16 }).await };
    let ranges = async {
        let (range, tail) = (storage.get_range(&name, 2..7).await?, storage.get_tail(&name, 7).await?);
        let range = same(&range, &Some(first.slice(2..7)), "a range of an object");
        let tail = same(&tail.map(|tail| tail.bytes), &Some(first.slice(first.len() - 7..)), "the end of an object");
        Ok(range.or(tail))
    };
    let replaced = async {
        storage.put(&name, second.clone()).await?;
        Ok(same(&storage.get(&name).await?, &Some(second.clone()), "an object that was just replaced"))
    };
    let listed = async {
        let names: Vec<_> = storage.list(FOLDER, None).await?.into_iter().map(|listed| listed.name).collect();
        Ok((!names.contains(&name)).then(|| "it did not list an object that was just put".to_owned()))
    };
    let deleted = async {
        storage.delete(&name).await?;
        Ok(same(&storage.get(&name).await?, &None, "an object that was just deleted"))
    };
    let mut checked = Vec::new();
    let mut note = |what, lack: Result<Option<String>, ProofError>| {
        let lack = lack.unwrap_or_else(|error| Some(with_sources(&error)));
        checked.push(Checked { what, lack });
    };
    note("says that a missing object is missing", absent.await);
    note("shows a new object at once", created.await);
    note("refuses a second object under the condition that there is none", refused.await);
    note("lets one of 16 racing writers win, in each of 16 rounds", raced.await.map(|()| None));
    note("reads ranges, and the end of an object", ranges.await);
    note("shows a replaced object at once", replaced.await);
    note("lists a new object at once", listed.await);
    note("deletes", deleted.await);
    checked
}

fn same<T: PartialEq>(found: &T, expected: &T, what: &str) -> Option<String> {
    (found != expected).then(|| format!("it showed something else for {what}"))
}

async fn one_round(storage: &Storage, name: &str, writers: usize) -> Result<(), ProofError> {
    let bytes = |writer: usize| Bytes::from(format!("writer {writer} of a race for this name; it can be deleted\n"));
    let answers = join_all((0..writers).map(|writer| storage.create(name, bytes(writer)))).await;
    let (mut winners, mut failed) = (Vec::new(), None);
    for (writer, answer) in answers.into_iter().enumerate() {
        match answer {
            Ok(Created::Yes) => winners.push(writer),
            Ok(Created::Exists) => {}
            Err(error) => failed = Some(error),
        }
    }
    match (winners.as_slice(), failed) {
        ([winner], _) => {
            let stands = async |storage: &Storage| storage.get(name).await.ok().flatten();
            let winners = bytes(*winner);
            // Damage on the way is not the store's: it is looked at twice.
            match (stands(storage).await, stands(storage).await) {
                (Some(first), Some(second)) if first == second && first != winners => {
                    Err(unfit(storage, Lack::WinnersObject))
                }
                _ => Ok(()),
            }
        }
        // The winner's answer was lost.
        ([], Some(error)) => Err(error.into()),
        ([], None) => Ok(()),
        (winners, _) => Err(unfit(storage, Lack::OneWinner { writers, winners: winners.len() })),
    }
}

fn unfit(storage: &Storage, lack: Lack) -> ProofError {
    UnfitStore { url: storage.url().to_owned(), lack }.into()
}
