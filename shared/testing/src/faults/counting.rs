//! Counts requests and bytes, so that tests can limit the requests of a start, a poll or a refresh.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use object_store::Result;

use super::intercept::{Call, Interceptor, Reply, RequestKind, Run, wrap};
use cenote_store::storage::Storage;

/// Counts the requests that go through it.
#[derive(Clone, Debug, Default)]
pub struct CountingStore {
    counts: Arc<Mutex<Counts>>,
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests by kind, failed ones included; kinds without a request are absent.
    pub requests: BTreeMap<RequestKind, u64>,
    /// Bytes of the objects and ranges that were read.
    pub bytes_read: u64,
    /// Bytes of the objects and parts that were sent.
    pub bytes_written: u64,
}

impl Counts {
    /// The requests of one kind.
    #[must_use]
    pub fn of(&self, kind: RequestKind) -> u64 {
        self.requests.get(&kind).copied().unwrap_or(0)
    }

    /// All requests.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.requests.values().sum()
    }
}

impl CountingStore {
    /// Nothing counted yet.
    #[must_use]
    pub fn new() -> CountingStore {
        CountingStore::default()
    }

    /// The same dataset, counted.
    #[must_use]
    pub fn wrap(&self, storage: &Storage) -> Storage {
        wrap(storage, self.clone())
    }

    /// What was counted so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts.lock().expect("counting does not panic").clone()
    }

    /// What was counted since the last `take`.
    pub fn take(&self) -> Counts {
        std::mem::take(&mut self.counts.lock().expect("counting does not panic"))
    }
}

#[async_trait]
impl Interceptor for CountingStore {
    async fn intercept(&self, call: Call, run: Run) -> Result<Reply> {
        {
            let mut counts = self.counts.lock().expect("counting does not panic");
            *counts.requests.entry(call.kind).or_default() += 1;
            counts.bytes_written += call.bytes;
        }
        let reply = run.await?;
        if let Reply::Got(body) = &reply {
            self.counts.lock().expect("counting does not panic").bytes_read += body.bytes.len() as u64;
        }
        Ok(reply)
    }
}
