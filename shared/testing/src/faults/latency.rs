//! Adds S3's latencies to a store that answers at once.
//!
//! Waits are drawn from a log-normal distribution through the two percentiles that users of S3 publish. Half of a wait
//! comes before the request takes effect, half after it. Bandwidth and throttling are not modelled.

use std::time::Duration;

use async_trait::async_trait;
use object_store::Result;

use super::intercept::{Call, Interceptor, Reply, RequestKind, Run, wrap};
use cenote_store::env::Env;
use cenote_store::storage::Storage;

/// How long one kind of request takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// The median.
    pub p50: Duration,
    /// The 99th percentile.
    pub p99: Duration,
}

/// Delays requests.
#[derive(Clone, Debug)]
pub struct LatencyStore {
    env: Env,
    reads: Latency,
    writes: Latency,
}

/// Where the 99th percentile of the normal distribution lies.
const P99_SIGMAS: f64 = 2.326;

impl LatencyStore {
    /// As published for S3: a put takes 100 ms (p99 195 ms), a get 63 ms (p99 78 ms). Lists take as long as gets,
    /// deletes and the steps of an upload in parts as long as puts.
    #[must_use]
    pub fn s3(env: Env) -> LatencyStore {
        let milliseconds = |p50, p99| Latency { p50: Duration::from_millis(p50), p99: Duration::from_millis(p99) };
        LatencyStore::new(env, milliseconds(63, 78), milliseconds(100, 195))
    }

    /// Other waits.
    #[must_use]
    pub fn new(env: Env, reads: Latency, writes: Latency) -> LatencyStore {
        LatencyStore { env, reads, writes }
    }

    /// The same dataset with these latencies.
    #[must_use]
    pub fn wrap(&self, storage: &Storage) -> Storage {
        wrap(storage, self.clone())
    }

    fn wait(&self, kind: RequestKind) -> Duration {
        let latency = if kind.is_read() || kind == RequestKind::List { self.reads } else { self.writes };
        latency.at(normal(&self.env))
    }
}

impl Latency {
    /// The wait at `sigmas` from the median.
    fn at(self, sigmas: f64) -> Duration {
        let spread = (self.p99.as_secs_f64() / self.p50.as_secs_f64().max(1e-9)).max(1.0).ln() / P99_SIGMAS;
        // No wait beyond four sigmas: a test must not time out by chance.
        self.p50.mul_f64((spread * sigmas.clamp(-4.0, 4.0)).exp())
    }
}

/// A draw from the normal distribution (Box and Muller).
fn normal(env: &Env) -> f64 {
    let unit = || ((env.random() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    let (radius, angle) = (unit(), unit());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

#[async_trait]
impl Interceptor for LatencyStore {
    async fn intercept(&self, call: Call, run: Run) -> Result<Reply> {
        let half = self.wait(call.kind) / 2;
        self.env.sleep(half).await;
        let reply = run.await;
        self.env.sleep(half).await;
        reply
    }
}
