//! The outside, where a dataset's objects are: S3, Google, Azure, local files, memory.
//!
//! A thin layer over `object_store` with exactly the operations that the protocol needs, names relative to the
//! dataset, "not found" as a value, and errors sorted by remedy. Nothing here retries beyond one short round or waits:
//! the callers know what an unanswered put means.
//!
//! Rules: a name is checked before it becomes a key; a body is as long as announced or the read fails; an object with
//! a limit is refused before its body is read (I9); bytes are read twice before they are called
//! damaged (`Storage::get_checked`); a put that was answered survives a crash of the machine (local
//! files and their folders are synced); an error of a write means that it may have landed or not.

mod answer;
mod error;
#[cfg(feature = "cloud")]
mod http;
mod location;
mod open;
#[cfg(feature = "cloud")]
mod settings;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use cenote_state::ids::Timestamp;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path as Key;
use object_store::{
    GetOptions, GetRange, GetResult, GetResultPayload, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode,
    PutPayload,
};

pub use error::{Operation, StorageError, StorageErrorKind};
use error::{TooLarge, WrongLength};
pub use location::{DatasetUrl, Location};
/// The crate of the stores that [`Storage::new`] takes.
pub use object_store;

/// Objects up to here go up in one request.
const ONE_PUT_BYTES: usize = 16 << 20;
/// The parts of larger ones; S3 wants 5 MiB at least, and some stores all of one size.
const PART_BYTES: usize = 8 << 20;
/// S3 takes 10,000 parts; larger objects get larger parts.
const PARTS: usize = 9_000;
/// Parts on their way at the same time.
const PARTS_IN_FLIGHT: usize = 4;

/// One dataset's place on a store. Cheap to clone.
///
/// Names are relative to it, like `log/00000000000000000042`.
///
/// # Example
/// ```
/// use std::sync::Arc;
///
/// use cenote_consumer::storage::{Created, Storage, object_store};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // By URL, or on a store that a program made and configured.
/// let storage = Storage::open("memory://storage-example", &[]).await?;
/// let other = Storage::new("a name for messages", Arc::new(object_store::memory::InMemory::new()));
/// assert!(storage.local_folder().is_none() && other.url() == "a name for messages");
///
/// storage.put("notes/a", "anything".into()).await?;
/// storage.put_large("notes/b", vec!["in ".into(), "parts".into()]).await?;
/// assert_eq!(storage.create("notes/b", "b".into()).await?, Created::Exists);
/// let names: Vec<_> = storage.list("notes", None).await?.into_iter().map(|object| object.name).collect();
/// assert_eq!(names, ["notes/a", "notes/b"]);
///
/// assert_eq!(storage.size("notes/b").await?, Some(8));
/// assert!(storage.modified("notes/b").await?.is_some());
/// assert_eq!(storage.get("notes/b").await?.unwrap(), "in parts");
/// assert_eq!(storage.get_range("notes/b", 3..5).await?.unwrap(), "pa");
/// assert_eq!(storage.get_tail("notes/b", 5).await?.unwrap().bytes, "parts");
/// assert!(storage.get_bounded("notes/b", 7).await.is_err(), "the object is larger");
///
/// storage.delete("notes/b").await?;
/// assert!(storage.get("notes/b").await?.is_none());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Storage {
    url: Arc<str>,
    store: Arc<dyn ObjectStore>,
    /// The same store with more patience, for objects that are put.
    patient: Arc<dyn ObjectStore>,
    folder: Option<Arc<Path>>,
}

/// What became of a put-if-absent that was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// The object is there, and it is ours.
    Yes,
    /// The store says that an object is there. It may be our own from an unanswered attempt before: read it.
    Exists,
}

/// What to read of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it, if it has at most so many bytes.
    Whole {
        /// The limit.
        max_bytes: u64,
    },
    /// These bytes, or those of them that there are.
    Range(Range<u64>),
}

/// The end of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The last bytes: as many as were asked for, or all that there are.
    pub bytes: Bytes,
    /// The size of the whole object.
    pub size: u64,
}

/// One object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name, relative to the dataset.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
}

impl std::fmt::Debug for Storage {
    /// Only the URL: the store's own form may show a proxy's password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Storage").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Storage {
    /// A dataset on a store that the caller made, which is already rooted at the dataset. `url` is for messages.
    ///
    /// [Example](Storage#example)
    pub fn new(url: impl Into<String>, store: Arc<dyn ObjectStore>) -> Storage {
        let url = open::without_secrets(&url.into());
        Storage { url: url.into(), patient: store.clone(), store, folder: None }
    }

    /// Opens a dataset by URL, without a request: `s3://bucket/path`, `gs://bucket/path`, `az://container/path`,
    /// `file:///path`, a plain path, or `memory://name` (shared within the process).
    ///
    /// The usual environment variables (`AWS_…`, `GOOGLE_…`, `AZURE_…`) count, `options` come after them; a key that
    /// nothing would read is refused. A folder that is missing is made by the first write.
    ///
    /// [Example](Storage#example)
    ///
    /// # Errors
    /// If the URL, an option or a credential is refused; no request is made.
    pub async fn open(url: &str, options: &[(String, String)]) -> Result<Storage, StorageError> {
        let opened = open::open(url, options, std::env::vars_os())?;
        let patient = opened.patient.unwrap_or_else(|| opened.store.clone());
        let folder = opened.folder.map(PathBuf::into);
        Ok(Storage { url: opened.url.into(), store: opened.store, patient, folder })
    }

    /// The dataset's URL, without a slash at its end.
    ///
    /// [Example](Storage#example)
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The dataset's folder, if it is one of local files. It may not exist yet; `NAME#<digits>` in it are staged puts.
    ///
    /// [Example](Storage#example)
    #[must_use]
    pub fn local_folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The same dataset through a wrapper around its store.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn wrapped(&self, wrap: impl FnOnce(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore>) -> Storage {
        let store = wrap(self.store.clone());
        Storage { patient: store.clone(), store, ..self.clone() }
    }

    /// A whole object; `None` if it is not there.
    ///
    /// [Example](Storage#example)
    ///
    /// # Errors
    /// If the store refuses or fails.
    pub async fn get(&self, name: &str) -> Result<Option<Bytes>, StorageError> {
        self.get_bounded(name, u64::MAX).await
    }

    /// A whole object of at most `max_bytes`; a larger one is an error before its body is read.
    ///
    /// [Example](Storage#example)
    ///
    /// # Errors
    /// If the store refuses or fails; [`TooLarge`](StorageErrorKind::TooLarge) if the object is larger.
    pub async fn get_bounded(&self, name: &str, max_bytes: u64) -> Result<Option<Bytes>, StorageError> {
        let key = self.key(name, Operation::Read)?;
        let Some(result) = self.found(name, self.store.get_opts(&key, GetOptions::new()).await)? else {
            return Ok(None);
        };
        self.body(name, result, max_bytes).await.map(Some)
    }

    /// What `check` makes of an object's bytes. Bytes that it refuses may have been damaged on their way: they are fetched
    /// once more before that is called damage. `None` if the object is not there.
    ///
    /// # Errors
    /// Outside: the store's. Inside: the check's.
    pub(crate) async fn get_checked<T, E>(
        &self,
        name: &str,
        part: Part,
        check: impl Fn(&Bytes) -> Result<T, E>,
    ) -> Result<Option<Result<T, E>>, StorageError> {
        let Some(bytes) = self.get_part(name, part.clone()).await? else { return Ok(None) };
        let first = check(&bytes);
        if first.is_ok() {
            return Ok(Some(first));
        }
        Ok(match self.get_part(name, part).await? {
            Some(again) if again == bytes => Some(first),
            again => again.map(|again| check(&again)),
        })
    }

    async fn get_part(&self, name: &str, part: Part) -> Result<Option<Bytes>, StorageError> {
        match part {
            Part::Whole { max_bytes } => self.get_bounded(name, max_bytes).await,
            Part::Range(range) => self.get_range(name, range).await,
        }
    }

    /// The bytes of `range`: fewer if the object ends in it, an error if it begins after the end.
    ///
    /// [Example](Storage#example)
    ///
    /// # Errors
    /// If the store refuses or fails, also if `range` begins after the object's end.
    pub async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Option<Bytes>, StorageError> {
        let key = self.key(name, Operation::Read)?;
        if range.is_empty() {
            return Ok(self.size(name).await?.map(|_| Bytes::new()));
        }
        let max_bytes = range.end - range.start;
        let options = GetOptions::new().with_range(Some(GetRange::Bounded(range)));
        let Some(result) = self.found(name, self.store.get_opts(&key, options).await)? else { return Ok(None) };
        self.body(name, result, max_bytes).await.map(Some)
    }

    /// The last `bytes` of an object, and its size, in one request.
    ///
    /// [Example](Storage#example)
    ///
    /// # Errors
    /// If the store refuses or fails.
    pub async fn get_tail(&self, name: &str, bytes: u64) -> Result<Option<Tail>, StorageError> {
        let key = self.key(name, Operation::Read)?;
        let options = GetOptions::new().with_range(Some(GetRange::Suffix(bytes)));
        let result = match self.store.get_opts(&key, options).await {
            // S3 has no suffix of an empty object, Azure none at all.
            Err(error) if lacks_suffix(&error) => return self.tail_in_two_requests(name, bytes).await,
            result => result,
        };
        let Some(result) = self.found(name, result)? else { return Ok(None) };
        let size = result.meta.size;
        Ok(Some(Tail { bytes: self.body(name, result, bytes).await?, size }))
    }

    async fn tail_in_two_requests(&self, name: &str, bytes: u64) -> Result<Option<Tail>, StorageError> {
        let Some(size) = self.size(name).await? else { return Ok(None) };
        let range = size.saturating_sub(bytes)..size;
        Ok(self.get_range(name, range).await?.map(|bytes| Tail { bytes, size }))
    }

    /// The size of an object.
    ///
    /// [Example](Storage#example)
    ///
    /// # Errors
    /// If the store refuses or fails.
    pub async fn size(&self, name: &str) -> Result<Option<u64>, StorageError> {
        let key = self.key(name, Operation::Read)?;
        Ok(self.found(name, self.store.head(&key).await)?.map(|meta| meta.size))
    }

    /// When an object was put, by the store's clock; `None` if it is missing.
    ///
    /// [Example](Storage#example)
    ///
    /// # Errors
    /// If the store refuses or fails.
    pub async fn modified(&self, name: &str) -> Result<Option<Timestamp>, StorageError> {
        let key = self.key(name, Operation::Read)?;
        let meta = self.found(name, self.store.head(&key).await)?;
        Ok(meta.map(|meta| Timestamp(u64::try_from(meta.last_modified.timestamp_millis()).unwrap_or(0))))
    }

    /// Puts an object if there is none of that name.
    ///
    /// [Example](Storage#example)
    ///
    /// # Errors
    /// If the store refuses or fails. The object may have landed, or may still land.
    pub async fn create(&self, name: &str, bytes: Bytes) -> Result<Created, StorageError> {
        let key = self.key(name, Operation::Create)?;
        match self.store.put_opts(&key, bytes.into(), PutMode::Create.into()).await {
            Ok(_) => Ok(Created::Yes),
            // 409: two conditional writes met, and perhaps neither took effect.
            Err(error) if is_exists(&error) => Ok(Created::Exists),
            Err(error) => Err(self.failed(name, Operation::Create, error)),
        }
    }

    /// Puts an object, over whatever is there.
    ///
    /// [Example](Storage#example)
    ///
    /// # Errors
    /// If the store refuses or fails. The object may have landed, or may still land.
    pub async fn put(&self, name: &str, bytes: Bytes) -> Result<(), StorageError> {
        self.put_payload(&self.store, name, bytes.into()).await
    }

    async fn put_payload(
        &self,
        store: &Arc<dyn ObjectStore>,
        name: &str,
        payload: PutPayload,
    ) -> Result<(), StorageError> {
        let key = self.key(name, Operation::Write)?;
        match store.put_opts(&key, payload, PutMode::Overwrite.into()).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.failed(name, Operation::Write, error)),
        }
    }

    /// Puts the object made of `parts` one after another: in one request if it is small, in several if it is not.
    ///
    /// A future dropped half-way leaves an unfinished upload at the store, which no reader sees; a rule on the bucket
    /// that ends unfinished uploads after a day frees it.
    ///
    /// [Example](Storage#example)
    ///
    /// # Errors
    /// If the store refuses or fails. The object may have landed.
    pub async fn put_large(&self, name: &str, parts: Vec<Bytes>) -> Result<(), StorageError> {
        let total = parts.iter().map(Bytes::len).sum::<usize>();
        if total <= ONE_PUT_BYTES {
            return self.put_payload(&self.patient, name, parts.into_iter().collect()).await;
        }
        let key = self.key(name, Operation::Write)?;
        let failed = |error| self.failed(name, Operation::Write, error);
        let mut upload = self.patient.put_multipart_opts(&key, Default::default()).await.map_err(failed)?;
        let result = send(upload.as_mut(), in_parts_of(parts, PART_BYTES.max(total.div_ceil(PARTS)))).await;
        if result.is_err() {
            // The first error is the one that tells; an upload that stays is invisible.
            let _ = upload.abort().await;
        }
        result.map_err(failed)
    }

    /// Deletes an object; one that is absent is fine.
    ///
    /// [Example](Storage#example)
    ///
    /// # Errors
    /// If the store refuses or fails.
    pub async fn delete(&self, name: &str) -> Result<(), StorageError> {
        let key = self.key(name, Operation::Delete)?;
        match self.store.delete(&key).await {
            Err(error) if !is_absent(&error) => Err(self.failed(name, Operation::Delete, error)),
            _ => Ok(()),
        }
    }

    /// The objects in `folder` (`""` is the dataset), of names above `after` (a name like theirs), in order of names.
    ///
    /// [Example](Storage#example)
    ///
    /// # Errors
    /// If the store refuses or fails.
    pub async fn list(&self, folder: &str, after: Option<&str>) -> Result<Vec<Listed>, StorageError> {
        let prefix = self.key(folder, Operation::List)?;
        let stream = match after {
            Some(after) => self.store.list_with_offset(Some(&prefix), &self.key(after, Operation::List)?),
            None => self.store.list(Some(&prefix)),
        };
        let listed = stream.map_ok(|meta| Listed { name: meta.location.into(), size: meta.size });
        let mut listed: Vec<_> =
            listed.try_collect().await.map_err(|error| self.failed(folder, Operation::List, error))?;
        listed.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(listed)
    }

    /// The key of a name. Names come from log entries too, so they may be hostile: `..` and the like are refused.
    fn key(&self, name: &str, operation: Operation) -> Result<Key, StorageError> {
        Key::parse(name).map_err(|error| self.failed(name, operation, error.into()))
    }

    /// Makes "not found" a value, unless it is the bucket that is missing.
    fn found<T>(&self, name: &str, result: object_store::Result<T>) -> Result<Option<T>, StorageError> {
        match result {
            Ok(found) => Ok(Some(found)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(self.failed(name, Operation::Read, error)),
        }
    }

    async fn body(&self, name: &str, result: GetResult, max: u64) -> Result<Bytes, StorageError> {
        let expected = result.range.end.saturating_sub(result.range.start);
        if expected > max {
            let (url, size) = (self.url_of(name), result.meta.size);
            return Err(StorageError::new(url, Operation::Read, StorageErrorKind::TooLarge, TooLarge { size, max }));
        }
        let bytes = match result.payload {
            GetResultPayload::File(..) => result.bytes().await,
            GetResultPayload::Stream(stream) => collect(stream, expected).await,
        };
        let bytes = bytes.map_err(|error| self.failed(name, Operation::Read, error))?;
        if bytes.len() as u64 == expected {
            return Ok(bytes);
        }
        let source = WrongLength { expected, found: bytes.len() as u64 };
        Err(StorageError::new(self.url_of(name), Operation::Read, StorageErrorKind::Unavailable, source))
    }

    fn failed(&self, name: &str, operation: Operation, error: object_store::Error) -> StorageError {
        StorageError::classify(&self.url_of(name), operation, &error)
    }

    fn url_of(&self, name: &str) -> String {
        format!("{}/{name}", self.url)
    }
}

/// The body of `expected` bytes; stops when more come. Room is made as bytes come, not as they are announced.
async fn collect(
    mut stream: impl futures::Stream<Item = object_store::Result<Bytes>> + Unpin,
    expected: u64,
) -> object_store::Result<Bytes> {
    let Some(first) = stream.try_next().await? else { return Ok(Bytes::new()) };
    if first.len() as u64 >= expected {
        return Ok(first);
    }
    let mut body = BytesMut::from(first);
    while let Some(chunk) = stream.try_next().await? {
        body.extend_from_slice(&chunk);
        if body.len() as u64 > expected {
            break;
        }
    }
    Ok(body.freeze())
}

/// Sends the parts, a few at a time, and makes them an object.
async fn send(upload: &mut dyn MultipartUpload, parts: Vec<PutPayload>) -> object_store::Result<()> {
    let sent = futures::stream::iter(parts).map(|part| upload.put_part(part)).buffered(PARTS_IN_FLIGHT);
    sent.try_collect::<()>().await?;
    upload.complete().await.map(|_| ())
}

/// Cuts and joins `pieces` to payloads of `part_bytes` each (the last may be shorter), without copying.
fn in_parts_of(pieces: Vec<Bytes>, part_bytes: usize) -> Vec<PutPayload> {
    let mut parts = Vec::new();
    let (mut part, mut room) = (Vec::new(), part_bytes);
    for mut piece in pieces {
        while piece.len() >= room {
            part.push(piece.split_to(room));
            parts.push(std::mem::take(&mut part).into_iter().collect());
            room = part_bytes;
        }
        if !piece.is_empty() {
            room -= piece.len();
            part.push(piece);
        }
    }
    if !part.is_empty() {
        parts.push(part.into_iter().collect());
    }
    parts
}

/// Whether the object is not there; a bucket that is not there is an error.
fn is_absent(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { .. }) && !answer::is_bucket_missing(error)
}

/// Whether a put-if-absent was refused because the object exists. S3's 409 says less.
fn is_exists(error: &object_store::Error) -> bool {
    match error {
        object_store::Error::AlreadyExists { .. } => answer::http_status(error) != Some(409),
        object_store::Error::Precondition { .. } => true,
        _ => false,
    }
}

fn lacks_suffix(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotSupported { .. }) || answer::http_status(error) == Some(416)
}
