//! Whole views: readers on several threads never see a part of a version (I2).
//!
//! Money moves between accounts and vaults, two types with an index; in every view the sums over both, the counts by
//! index and the key look-ups agree. A build that swaps type by type must fail this.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use cenote_consumer::storage::Storage;
use cenote_consumer::{Consumer, ConsumerBuilder, HashIndex, Record, ReloadPolicy, View};
use cenote_store::env::Env;

use crate::chain::Chain;
use crate::memory;

#[derive(Clone, Debug, PartialEq, Record)]
#[record(key = "id")]
struct Account {
    id: u32,
    cents: i64,
    /// Whether there is any.
    has: bool,
}

#[derive(Clone, Debug, PartialEq, Record)]
#[record(key = "id")]
struct Vault {
    id: u32,
    cents: i64,
    has: bool,
}

const RICH_ACCOUNTS: HashIndex<Account, bool> = HashIndex::on("has");
const RICH_VAULTS: HashIndex<Vault, bool> = HashIndex::on("has");

const EACH: u32 = 8;
const TOTAL: i64 = 100 * EACH as i64;

/// What is wrong with a view, if anything is.
fn flaw(view: &View) -> Option<String> {
    let accounts: i64 = view.all::<Account>().map(AccountRef::cents).sum();
    let vaults: i64 = view.all::<Vault>().map(VaultRef::cents).sum();
    if accounts + vaults != TOTAL {
        return Some(format!("version {}: {accounts} and {vaults} are not {TOTAL}", view.version()));
    }
    let rich = view.all::<Account>().filter(|account| account.cents() > 0).count();
    let found = view.find(&RICH_ACCOUNTS, true);
    if found.len() != rich || found.iter().any(|account| account.cents() == 0) {
        return Some(format!("version {}: the index has {} of {rich} accounts", view.version(), found.len()));
    }
    let rich = view.all::<Vault>().filter(|vault| vault.cents() > 0).count();
    let found = view.find(&RICH_VAULTS, true).len();
    if found != rich {
        return Some(format!("version {}: the index has {found} of {rich} vaults", view.version()));
    }
    let by_key: i64 = (0..EACH)
        .map(|id| {
            let account = view.get::<Account>(id).map_or(0, AccountRef::cents);
            account + view.get::<Vault>(id).map_or(0, VaultRef::cents)
        })
        .sum();
    (by_key != TOTAL).then(|| format!("version {}: by key there is {by_key}", view.version()))
}

/// Reads views until `done`.
///
/// # Errors
/// The first flaw.
fn read(consumer: &Consumer, done: &AtomicBool, views: &AtomicU64) -> Result<(), String> {
    let mut held = Vec::new();
    let mut last = 0;
    while !done.load(Ordering::Relaxed) {
        let count = views.fetch_add(1, Ordering::Relaxed);
        let version = consumer.with(|view| flaw(view).map_or(Ok(view.version().0), Err))?;
        if version < last {
            return Err(format!("version {version} after {last} (I8)"));
        }
        last = version;
        if count.is_multiple_of(1_000) {
            held.push(consumer.view());
            if held.len() > 10 {
                held.remove(0);
            }
            held.iter().try_for_each(|view| flaw(view).map_or(Ok(()), Err))?;
        }
    }
    Ok(())
}

/// Runs `versions` transfers while two readers read, until they have read `views_min` views.
///
/// # Errors
/// The first flaw.
async fn run(
    versions: u64,
    views_min: u64,
    build: impl FnOnce(ConsumerBuilder<Storage>) -> ConsumerBuilder<Storage>,
) -> Result<u64, String> {
    let (storage, env) = (memory().await, Env::system());
    let mut chain = Chain::create(&storage, &env, |registry| registry.with::<Account>().with::<Vault>()).await;
    let mut cents = [[100_i64; EACH as usize], [0; EACH as usize]];
    chain
        .commit(|edit| {
            for id in 0..EACH {
                edit.put(&Account { id, cents: 100, has: true });
                edit.put(&Vault { id, cents: 0, has: false });
            }
        })
        .await;
    let builder = Consumer::builder_on(storage.clone()).env(env).reload(ReloadPolicy::Manual);
    let builder = builder.with::<Account>().with::<Vault>().index(&RICH_ACCOUNTS).index(&RICH_VAULTS);
    let consumer = Arc::new(build(builder).open().await.expect("it opens"));
    let (done, views) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (consumer, done, views) = (Arc::clone(&consumer), Arc::clone(&done), Arc::clone(&views));
            std::thread::spawn(move || read(&consumer, &done, &views))
        })
        .collect();
    let mut random = 1_u64;
    let mut draw = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for version in 0.. {
        if version >= versions && views.load(Ordering::Relaxed) >= views_min
            || readers.iter().any(std::thread::JoinHandle::is_finished)
        {
            break;
        }
        let side = draw(2) as usize;
        let (from, to) = (draw(EACH.into()) as usize, draw(EACH.into()) as usize);
        let moved = if draw(3) == 0 { cents[side][from] } else { cents[side][from] / 2 };
        cents[side][from] -= moved;
        cents[1 - side][to] += moved;
        let amounts = [(side, from), (1 - side, to)].map(|(side, id)| (side, id as u32, cents[side][id]));
        chain
            .commit(|edit| {
                for (side, id, cents) in amounts {
                    match side {
                        0 => edit.put(&Account { id, cents, has: cents > 0 }),
                        _ => edit.put(&Vault { id, cents, has: cents > 0 }),
                    }
                }
            })
            .await;
        consumer.refresh().await.expect("it refreshes");
    }
    done.store(true, Ordering::Relaxed);
    let results: Result<Vec<()>, String> =
        readers.into_iter().map(|reader| reader.join().expect("a reader does not panic")).collect();
    results.map(|_| views.load(Ordering::Relaxed))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_are_whole() {
    let views = run(10_000, 1_000_000, |builder| builder).await.expect("every view is one version");
    assert!(views >= 1_000_000, "{views} views were read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swapping_type_by_type_is_caught() {
    let flaw = run(100_000, u64::MAX, ConsumerBuilder::torn_swaps).await.expect_err("torn views were not seen");
    assert!(flaw.contains("version"), "{flaw}");
}
