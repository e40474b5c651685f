//! Answers reads with what was there before a write, for a while after it, as stores do that are consistent in the end only.
//!
//! Writes and their conditions are as they should be. No store that Cenote is known to work on reads like this; a proxy or a
//! cache in front of one may.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use object_store::memory::InMemory;
use object_store::path::Path as Key;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use cenote_store::env::{Env, Instant};
use cenote_store::storage::Storage;

/// Makes the storage that it wraps answer late.
#[derive(Clone, Debug)]
pub struct StaleStore {
    env: Env,
    script: Arc<Mutex<Script>>,
    /// Objects as they were before their last write.
    before: Arc<InMemory>,
}

#[derive(Debug, Default)]
struct Script {
    odds: f64,
    lag: Duration,
    written: HashMap<Key, Instant>,
    fired: u64,
}

impl StaleStore {
    /// Reads are right until [`set`](StaleStore::set) is called.
    #[must_use]
    pub fn new(env: Env) -> StaleStore {
        StaleStore { env, script: Arc::default(), before: Arc::default() }
    }

    /// The same dataset, as this store shows it.
    #[must_use]
    pub fn wrap(&self, storage: &Storage) -> Storage {
        storage.wrapped(|inner| Arc::new(Stale { inner, shared: self.clone() }))
    }

    /// From now on this share of reads is stale that come within `lag` after a write; 0 ends it.
    pub fn set(&self, odds: f64, lag: Duration) {
        let mut script = self.script();
        (script.odds, script.lag) = (odds, lag);
    }

    /// How many reads were stale.
    #[must_use]
    pub fn fired(&self) -> u64 {
        self.script().fired
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().expect("the script is not held across a panic")
    }

    /// Whether a read of `key` now gets what was there before the last write.
    fn is_stale(&self, key: &Key) -> bool {
        let mut script = self.script();
        if script.odds <= 0.0 {
            return false;
        }
        let now = self.env.instant();
        let is_recent = script.written.get(key).is_some_and(|written| now < *written + script.lag);
        let chance = (self.env.random() >> 11) as f64 / (1_u64 << 53) as f64;
        let is_stale = is_recent && chance < script.odds;
        script.fired += u64::from(is_stale);
        is_stale
    }

    /// Keeps what is there before a write.
    async fn keep(&self, inner: &dyn ObjectStore, key: &Key) -> Result<()> {
        match inner.get_opts(key, GetOptions::new()).await {
            Ok(found) => drop(self.before.put(key, found.bytes().await?.into()).await?),
            Err(Error::NotFound { .. }) => match self.before.delete(key).await {
                Ok(()) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            },
            Err(error) => return Err(error),
        }
        self.script().written.insert(key.clone(), self.env.instant());
        Ok(())
    }
}

#[derive(Debug)]
struct Stale {
    inner: Arc<dyn ObjectStore>,
    shared: StaleStore,
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stale({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Stale {
    async fn put_opts(&self, key: &Key, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let exists = self.inner.head(key).await.is_ok();
        let refused = exists && matches!(options.mode, object_store::PutMode::Create);
        if !refused {
            self.shared.keep(&*self.inner, key).await?;
        }
        self.inner.put_opts(key, payload, options).await
    }

    async fn put_multipart_opts(&self, key: &Key, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(key, options).await
    }

    async fn get_opts(&self, key: &Key, options: GetOptions) -> Result<GetResult> {
        match self.shared.is_stale(key) {
            true => self.shared.before.get_opts(key, options).await,
            false => self.inner.get_opts(key, options).await,
        }
    }

    fn delete_stream(&self, keys: BoxStream<'static, Result<Key>>) -> BoxStream<'static, Result<Key>> {
        let (inner, shared) = (self.inner.clone(), self.shared.clone());
        let delete_one = move |key: Result<Key>| {
            let (inner, shared) = (inner.clone(), shared.clone());
            async move {
                let key = key?;
                shared.keep(&*inner, &key).await?;
                inner.delete(&key).await.map(|()| key)
            }
            .boxed()
        };
        keys.then(delete_one).boxed()
    }

    fn list(&self, prefix: Option<&Key>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Key>, offset: &Key) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Key>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Key, to: &Key, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
