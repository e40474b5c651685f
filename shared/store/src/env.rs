//! The outside as the code sees it: storage, clock, randomness, the cpu pool.
//!
//! Whatever waits, spawns, draws a random number or reads a clock goes through one [`Env`], so that a seeded
//! simulation can own time and order: one thread, virtual time, seeded draws. clippy bans the rest.

use std::future::Future;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use cenote_state::ids::Timestamp;

/// The clock, the randomness and the cpu pool that everything shares. Cheap to clone.
///
/// # Example
/// ```
/// use std::time::Duration;
///
/// use cenote_consumer::env::Env;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // With a seed, two environments draw the same numbers; `Env::system()` has the machine's.
/// let (env, other) = (Env::simulated(7), Env::simulated(7));
/// assert_eq!((env.random(), env.random_id()), (other.random(), other.random_id()));
/// assert!(env.jitter(Duration::from_secs(10), 0.2) <= Duration::from_secs(12));
///
/// let (before, since) = (env.now(), env.instant());
/// env.sleep(Duration::from_millis(1)).await;
/// assert!(env.now() >= before && since.elapsed() >= Duration::from_millis(1));
/// assert!(env.timeout(Duration::from_millis(1), std::future::pending::<()>()).await.is_err());
///
/// assert_eq!(env.cpu(|| 6 * 7).await?, 42);
/// assert_eq!(env.spawn(async { 6 * 7 }).await?, 42);
/// assert!(Env::system().threads() >= env.threads());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Env {
    inner: Arc<Inner>,
}

struct Inner {
    random: Mutex<SplitMix>,
    simulated: bool,
    threads: usize,
    start: OnceLock<Instant>,
    /// By how much a simulation's wall clock was set forward, or back.
    set_by_ms: AtomicI64,
}

/// A cpu task panicked; the panic was contained.
#[derive(Debug, thiserror::Error)]
#[error("a computation panicked: {message}")]
pub struct Panicked {
    /// What the panic said.
    pub message: String,
}

/// The wait was longer than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("timed out")]
pub struct TimedOut;

/// A task that was spawned; dropping it lets the task run on.
pub type Task<T> = tokio::task::JoinHandle<T>;

/// A point on the monotonic clock (virtual in a simulation).
pub type Instant = tokio::time::Instant;

/// Where a simulation's wall clock starts: 2026-01-01T00:00:00Z.
const SIMULATION_START_MS: u64 = 1_767_225_600_000;

impl Env {
    /// The real thing: the machine's clock, its randomness, all its cores.
    ///
    /// [Example](Env#example)
    #[must_use]
    pub fn system() -> Env {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Env::new(os_seed(), false, threads)
    }

    /// Seeded randomness, one thread. Under a runtime with paused time the clocks are virtual.
    ///
    /// [Example](Env#example)
    #[must_use]
    pub fn simulated(seed: u64) -> Env {
        Env::new(seed, true, 1)
    }

    fn new(seed: u64, simulated: bool, threads: usize) -> Env {
        Env {
            inner: Arc::new(Inner {
                random: Mutex::new(SplitMix(seed)),
                simulated,
                threads,
                start: OnceLock::new(),
                set_by_ms: AtomicI64::new(0),
            }),
        }
    }

    /// How many threads a computation may use.
    ///
    /// [Example](Env#example)
    #[must_use]
    pub fn threads(&self) -> usize {
        self.inner.threads
    }

    /// The wall clock.
    ///
    /// [Example](Env#example)
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    pub fn now(&self) -> Timestamp {
        if self.inner.simulated {
            let unset = SIMULATION_START_MS + self.uptime_ms();
            return Timestamp(unset.saturating_add_signed(self.inner.set_by_ms.load(Ordering::Relaxed)));
        }
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Timestamp(since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Sets a simulation's wall clock forward, or back; the monotonic one goes on. The machine's is left alone.
    ///
    /// ```
    /// # use cenote_consumer::env::Env;
    /// let env = Env::simulated(1);
    /// let before = env.now();
    /// env.set_clock_by(5_000);
    /// assert_eq!(env.now().0, before.0 + 5_000);
    /// ```
    pub fn set_clock_by(&self, milliseconds: i64) {
        self.inner.set_by_ms.fetch_add(milliseconds, Ordering::Relaxed);
    }

    /// Virtual milliseconds since this environment's first look at the clock.
    fn uptime_ms(&self) -> u64 {
        let now = self.instant();
        let start = *self.inner.start.get_or_init(|| now);
        u64::try_from(now.saturating_duration_since(start).as_millis()).unwrap_or(u64::MAX)
    }

    /// The monotonic clock.
    ///
    /// [Example](Env#example)
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
    pub fn instant(&self) -> Instant {
        tokio::time::Instant::now()
    }

    /// Waits.
    ///
    /// [Example](Env#example)
    #[expect(clippy::disallowed_methods, reason = "the one place that waits for time")]
    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    /// Waits for `future`, but no longer than `duration`.
    ///
    /// [Example](Env#example)
    ///
    /// # Errors
    /// If the time is up first; `future` is dropped then.
    #[expect(clippy::disallowed_methods, reason = "the one place that waits for time")]
    pub async fn timeout<F: Future>(&self, duration: Duration, future: F) -> Result<F::Output, TimedOut> {
        tokio::time::timeout(duration, future).await.map_err(|_| TimedOut)
    }

    /// Runs `future` concurrently with the caller.
    ///
    /// [Example](Env#example)
    #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
    pub fn spawn<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        tokio::spawn(future)
    }

    /// Runs a computation off the async threads (inline in a simulation).
    ///
    /// [Example](Env#example)
    ///
    /// # Errors
    /// If the computation panics.
    #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
    pub async fn cpu<R, F>(&self, work: F) -> Result<R, Panicked>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let contained = move || std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).map_err(panicked);
        if self.inner.simulated {
            return contained();
        }
        match tokio::task::spawn_blocking(contained).await {
            Ok(result) => result,
            Err(error) => Err(Panicked { message: error.to_string() }),
        }
    }

    /// 64 random bits.
    ///
    /// [Example](Env#example)
    #[must_use]
    pub fn random(&self) -> u64 {
        self.inner.random.lock().expect("drawing a number does not panic").next()
    }

    /// 16 random bytes: an id or a nonce.
    ///
    /// [Example](Env#example)
    #[must_use]
    pub fn random_id(&self) -> [u8; 16] {
        let (low, high) = (self.random(), self.random());
        (u128::from(high) << 64 | u128::from(low)).to_le_bytes()
    }

    /// `duration`, moved by up to ± `share` (0.2 = ± 20 %), so that many pollers spread out.
    ///
    /// [Example](Env#example)
    #[must_use]
    pub fn jitter(&self, duration: Duration, share: f64) -> Duration {
        let unit = (self.random() >> 11) as f64 / (1_u64 << 53) as f64;
        duration.mul_f64(1.0 + share * (2.0 * unit - 1.0))
    }
}

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Env").field("simulated", &self.inner.simulated).field("threads", &self.inner.threads).finish()
    }
}

fn panicked(payload: Box<dyn std::any::Any + Send>) -> Panicked {
    let message = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    Panicked { message }
}

/// A seed from the operating system, by way of the standard library's hasher keys.
fn os_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

/// SplitMix64: small, seedable, good enough for nonces of writers who do not attack each other.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}
