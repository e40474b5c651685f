//! One `ObjectStore` around another that shows each request to an interceptor, which runs it, or does not.
//!
//! A request is a [`Call`] (what, where, how many bytes) and a future that carries it out and owns all that it needs:
//! an interceptor may drop it, run it in a separate task, or change its answer.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::path::Path as Key;
use object_store::{
    Attributes, CopyOptions, Error, Extensions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    UploadPart,
};
use tokio::sync::Mutex;

use cenote_store::env::Env;
use cenote_store::storage::Storage;

/// The kinds of requests that a store gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RequestKind {
    /// Read an object or a range of it.
    Get,
    /// Read an object's size.
    Head,
    /// Put an object, replacing an existing one.
    Put,
    /// Put an object if there is none.
    Create,
    /// Begin an upload in parts.
    Begin,
    /// Send a part.
    Part,
    /// Complete an upload in parts.
    Complete,
    /// Abort an upload in parts.
    Abort,
    /// Delete an object.
    Delete,
    /// List objects.
    List,
}

impl RequestKind {
    /// Whether the request can change what readers see.
    #[must_use]
    pub fn is_write(self) -> bool {
        matches!(self, RequestKind::Put | RequestKind::Create | RequestKind::Complete | RequestKind::Delete)
    }

    /// Whether the request reads an object, or its size.
    #[must_use]
    pub fn is_read(self) -> bool {
        matches!(self, RequestKind::Get | RequestKind::Head)
    }
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) kind: RequestKind,
    pub(super) key: String,
    /// The bytes that it sends.
    pub(super) bytes: u64,
    /// The bit that arrives wrong, if one was set.
    garble: Arc<OnceLock<u64>>,
    /// How the store treats the condition of a put-if-absent, if not as it should.
    condition: Arc<OnceLock<Condition>>,
}

/// What a store makes of the condition of a put-if-absent.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// It overwrites what is there.
    Ignored,
    /// It checks, waits so long, and overwrites what is there by then.
    CheckedFirst(Env, Duration),
}

impl Call {
    /// This bit of a put's payload arrives wrong, counted from the first byte, modulo the length.
    pub(super) fn garble(&self, bit: u64) {
        let _ = self.garble.set(bit);
    }

    /// The store treats a put-if-absent like this.
    pub(super) fn condition(&self, condition: Condition) {
        let _ = self.condition.set(condition);
    }
}

/// The future that carries out a request.
pub(super) type Run = BoxFuture<'static, Result<Reply>>;

/// A request's answer.
pub(super) enum Reply {
    Done,
    Put(PutResult),
    Got(Body),
    Upload(Box<dyn MultipartUpload>),
    Listed(Vec<ObjectMeta>),
}

/// A get's answer, with its bytes.
pub(super) struct Body {
    pub(super) bytes: Bytes,
    start: u64,
    meta: ObjectMeta,
    attributes: Attributes,
    extensions: Extensions,
}

/// Sees every request; a request that it does not run does not happen.
#[async_trait]
pub(super) trait Interceptor: fmt::Debug + Send + Sync + 'static {
    async fn intercept(&self, call: Call, run: Run) -> Result<Reply>;
}

/// `storage`, with every request going through `interceptor`.
pub(super) fn wrap(storage: &Storage, interceptor: impl Interceptor) -> Storage {
    storage.wrapped(|inner| Arc::new(Intercepted { inner, interceptor: Arc::new(interceptor) }))
}

#[derive(Debug)]
struct Intercepted<I> {
    inner: Arc<dyn ObjectStore>,
    interceptor: Arc<I>,
}

impl<I> fmt::Display for Intercepted<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Intercepted({})", self.inner)
    }
}

fn call(kind: RequestKind, key: &Key, bytes: usize) -> Call {
    Call { kind, key: key.to_string(), bytes: bytes as u64, garble: Arc::default(), condition: Arc::default() }
}

/// The payload as it arrives.
fn arrives(payload: PutPayload, garble: &OnceLock<u64>) -> PutPayload {
    let Some(bit) = garble.get() else { return payload };
    let mut bytes = payload.iter().flatten().copied().collect::<Vec<_>>();
    flip(&mut bytes, *bit);
    bytes.into()
}

/// Flips one bit, counted from the first byte, modulo the length.
fn flip(bytes: &mut [u8], bit: u64) {
    if bytes.is_empty() {
        return;
    }
    let bit = usize::try_from(bit % (bytes.len() as u64 * 8)).expect("less than the bits of a buffer");
    bytes[bit / 8] ^= 1 << (bit % 8);
}

#[async_trait]
impl<I: Interceptor> ObjectStore for Intercepted<I> {
    async fn put_opts(&self, key: &Key, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let kind = if matches!(options.mode, PutMode::Create) { RequestKind::Create } else { RequestKind::Put };
        let call = call(kind, key, payload.content_length());
        let (inner, key, garble) = (self.inner.clone(), key.clone(), call.garble.clone());
        let condition = call.condition.clone();
        let run = async move {
            let mode = match condition.get() {
                None => options.mode,
                Some(Condition::Ignored) => PutMode::Overwrite,
                Some(Condition::CheckedFirst(env, wait)) => {
                    if inner.head(&key).await.is_ok() {
                        return Err(Error::AlreadyExists { path: key.to_string(), source: "412".into() });
                    }
                    env.sleep(*wait).await;
                    PutMode::Overwrite
                }
            };
            inner.put_opts(&key, arrives(payload, &garble), PutOptions { mode, ..options }).await.map(Reply::Put)
        };
        put(self.interceptor.intercept(call, run.boxed()).await?)
    }

    async fn put_multipart_opts(&self, key: &Key, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let call = call(RequestKind::Begin, key, 0);
        let (inner, inner_key) = (self.inner.clone(), key.clone());
        let run = async move { inner.put_multipart_opts(&inner_key, options).await.map(Reply::Upload) };
        match self.interceptor.intercept(call, run.boxed()).await? {
            Reply::Upload(upload) => {
                let (key, interceptor) = (key.clone(), self.interceptor.clone());
                Ok(Box::new(InterceptedUpload { key, interceptor, inner: Arc::new(Mutex::new(upload)) }))
            }
            _ => Err(wrong_reply()),
        }
    }

    async fn get_opts(&self, key: &Key, options: GetOptions) -> Result<GetResult> {
        let kind = if options.head { RequestKind::Head } else { RequestKind::Get };
        let (call, inner, key) = (call(kind, key, 0), self.inner.clone(), key.clone());
        let run = async move { got(inner.get_opts(&key, options).await?, kind).await.map(Reply::Got) };
        match self.interceptor.intercept(call, run.boxed()).await? {
            Reply::Got(body) => Ok(body.into_result()),
            _ => Err(wrong_reply()),
        }
    }

    fn delete_stream(&self, keys: BoxStream<'static, Result<Key>>) -> BoxStream<'static, Result<Key>> {
        let (inner, interceptor) = (self.inner.clone(), self.interceptor.clone());
        let delete_one = move |key: Result<Key>| {
            let (inner, interceptor) = (inner.clone(), interceptor.clone());
            async move {
                let key = key?;
                let (call, inner_key) = (call(RequestKind::Delete, &key, 0), key.clone());
                let run = async move { inner.delete(&inner_key).await.map(|()| Reply::Done) };
                interceptor.intercept(call, run.boxed()).await.map(|_| key)
            }
        };
        keys.then(delete_one).boxed()
    }

    fn list(&self, prefix: Option<&Key>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(prefix, None)
    }

    fn list_with_offset(&self, prefix: Option<&Key>, offset: &Key) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(prefix, Some(offset.clone()))
    }

    async fn list_with_delimiter(&self, _prefix: Option<&Key>) -> Result<ListResult> {
        Err(self.unused("list_with_delimiter"))
    }

    async fn copy_opts(&self, _from: &Key, _to: &Key, _options: CopyOptions) -> Result<()> {
        Err(self.unused("copy_opts"))
    }
}

impl<I: Interceptor> Intercepted<I> {
    fn listed(&self, prefix: Option<&Key>, offset: Option<Key>) -> BoxStream<'static, Result<ObjectMeta>> {
        let prefix = prefix.cloned().unwrap_or_default();
        let (call, inner, interceptor) =
            (call(RequestKind::List, &prefix, 0), self.inner.clone(), self.interceptor.clone());
        let run = async move {
            let stream = match offset {
                Some(offset) => inner.list_with_offset(Some(&prefix), &offset),
                None => inner.list(Some(&prefix)),
            };
            stream.try_collect().await.map(Reply::Listed)
        };
        let answer = async move {
            match interceptor.intercept(call, run.boxed()).await? {
                Reply::Listed(listed) => Ok(futures::stream::iter(listed.into_iter().map(Ok))),
                _ => Err(wrong_reply()),
            }
        };
        futures::stream::once(answer).try_flatten().boxed()
    }

    /// `Storage` never asks for these.
    fn unused(&self, operation: &str) -> Error {
        Error::NotImplemented { operation: operation.to_owned(), implementer: self.to_string() }
    }
}

#[derive(Debug)]
struct InterceptedUpload<I> {
    key: Key,
    interceptor: Arc<I>,
    inner: Arc<Mutex<Box<dyn MultipartUpload>>>,
}

#[async_trait]
impl<I: Interceptor> MultipartUpload for InterceptedUpload<I> {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let call = call(RequestKind::Part, &self.key, data.content_length());
        let part = self.inner.try_lock().expect("parts are sent before the upload is completed").put_part(data);
        let interceptor = self.interceptor.clone();
        async move { interceptor.intercept(call, part.map(|done| done.map(|()| Reply::Done)).boxed()).await.map(|_| ()) }
            .boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let inner = self.inner.clone();
        let run = async move { inner.lock().await.complete().await.map(Reply::Put) };
        put(self.interceptor.intercept(call(RequestKind::Complete, &self.key, 0), run.boxed()).await?)
    }

    async fn abort(&mut self) -> Result<()> {
        let inner = self.inner.clone();
        let run = async move { inner.lock().await.abort().await.map(|()| Reply::Done) };
        self.interceptor.intercept(call(RequestKind::Abort, &self.key, 0), run.boxed()).await.map(|_| ())
    }
}

fn put(reply: Reply) -> Result<PutResult> {
    match reply {
        Reply::Put(result) => Ok(result),
        _ => Err(wrong_reply()),
    }
}

async fn got(result: GetResult, kind: RequestKind) -> Result<Body> {
    let (start, meta) = (result.range.start, result.meta.clone());
    let (attributes, extensions) = (result.attributes.clone(), result.extensions.clone());
    let bytes = if kind == RequestKind::Head { Bytes::new() } else { result.bytes().await? };
    Ok(Body { bytes, start, meta, attributes, extensions })
}

impl Body {
    /// Makes the object's size fit the bytes, so that a wrong length does not reveal the damage.
    pub(super) fn truncate(&mut self, bytes: usize) {
        self.bytes.truncate(bytes);
        self.meta.size = self.start + self.bytes.len() as u64;
    }

    /// Flips one bit, counted from the first byte, modulo the length.
    pub(super) fn flip(&mut self, bit: u64) {
        let mut bytes = self.bytes.to_vec();
        flip(&mut bytes, bit);
        self.bytes = bytes.into();
    }

    fn into_result(self) -> GetResult {
        let range = self.start..self.start + self.bytes.len() as u64;
        let stream = futures::stream::once(async move { Ok(self.bytes) }).boxed();
        GetResult {
            payload: GetResultPayload::Stream(stream),
            meta: self.meta,
            range,
            attributes: self.attributes,
            extensions: self.extensions,
        }
    }
}

fn wrong_reply() -> Error {
    Error::Generic { store: "faults", source: "an interceptor gave another request's reply".into() }
}
