//! An S3 server within the process, over HTTP on loopback: for tests only (feature `s3-server`).
//!
//! It is `s3s-fs` on a folder, with signatures checked. Its put-if-absent checks first and writes later, so that several
//! racing writers could win: `Locked` makes each write exclusive.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3, S3Request, S3Response, S3Result, dto};
use s3s_fs::FileSystem;
use tokio::net::TcpListener;
use tokio::sync::{RwLock, watch};

use cenote_store::env::Env;
use cenote_store::storage::{Storage, StorageError};

/// The one bucket.
pub const BUCKET: &str = "cenote";
/// The key id that the server takes.
pub const ACCESS_KEY_ID: &str = "CENOTETESTKEY";
/// Its secret.
pub const SECRET_ACCESS_KEY: &str = "cenote-test-secret";

/// A running server; dropping it closes its port and its connections.
#[derive(Debug)]
pub struct S3Server {
    address: SocketAddr,
    _running: watch::Sender<()>,
}

impl S3Server {
    /// Starts a server whose objects are in `folder`, on a free port of loopback.
    pub async fn start(folder: &Path) -> std::io::Result<S3Server> {
        std::fs::create_dir_all(folder.join(BUCKET))?;
        let files = FileSystem::new(folder).map_err(|error| std::io::Error::other(format!("{error:?}")))?;
        let mut builder = S3ServiceBuilder::new(Locked { root: folder.to_owned(), files, lock: Arc::default() });
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY_ID, SECRET_ACCESS_KEY));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (running, stopped) = watch::channel(());
        drop(Env::system().spawn(serve(listener, builder.build(), stopped)));
        Ok(S3Server { address, _running: running })
    }

    /// Where it listens: `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The URL of a dataset in the bucket.
    #[must_use]
    pub fn url(&self, dataset: &str) -> String {
        format!("s3://{BUCKET}/{dataset}")
    }

    /// The options with which [`Storage::open`] gets there.
    #[must_use]
    pub fn options(&self) -> Vec<(String, String)> {
        let pairs = [
            ("endpoint", self.endpoint()),
            ("region", "us-east-1".to_owned()),
            ("access_key_id", ACCESS_KEY_ID.to_owned()),
            ("secret_access_key", SECRET_ACCESS_KEY.to_owned()),
        ];
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// A dataset in the bucket.
    pub async fn storage(&self, dataset: &str) -> Result<Storage, StorageError> {
        Storage::open(&self.url(dataset), &self.options()).await
    }
}

async fn serve(listener: TcpListener, service: S3Service, mut stopped: watch::Receiver<()>) {
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stopped.changed() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((socket, _)) = accepted else { continue };
        let (service, mut stopped) = (service.clone(), stopped.clone());
        let connection = async move {
            let http = auto::Builder::new(TokioExecutor::new());
            tokio::select! {
                biased;
                _ = stopped.changed() => {}
                // The client notices a broken connection.
                _ = http.serve_connection(TokioIo::new(socket), service) => {}
            }
        };
        drop(Env::system().spawn(connection));
    }
}

/// One write at a time, reads in parallel: makes check-then-write atomic.
struct Locked {
    root: PathBuf,
    files: FileSystem,
    lock: Arc<RwLock<()>>,
}

impl Locked {
    /// `s3s-fs` fails with 500 at a suffix longer than the object; S3 sends the object, and 416 if it is empty.
    async fn cut_suffix(&self, request: &mut S3Request<dto::GetObjectInput>) -> S3Result<()> {
        let Some(dto::Range::Suffix { length }) = request.input.range else { return Ok(()) };
        let input = &request.input;
        let path = self.root.join(&input.bucket).join(&input.key);
        match std::fs::metadata(path).map(|found| found.len()) {
            Ok(0) => Err(s3s::s3_error!(InvalidRange)),
            Ok(size) => {
                request.input.range = Some(dto::Range::Suffix { length: length.min(size) });
                Ok(())
            }
            // It is absent, or not a plain name: the file system answers.
            Err(_) => Ok(()),
        }
    }
}

macro_rules! locked {
    ($($lock:ident $operation:ident($input:ident) -> $output:ident;)*) => {
        #[async_trait::async_trait]
        impl S3 for Locked {
            async fn get_object(
                &self,
                mut request: S3Request<dto::GetObjectInput>,
            ) -> S3Result<S3Response<dto::GetObjectOutput>> {
                let _held = self.lock.read().await;
                self.cut_suffix(&mut request).await?;
                self.files.get_object(request).await
            }

            $(async fn $operation(&self, request: S3Request<dto::$input>) -> S3Result<S3Response<dto::$output>> {
                let _held = self.lock.$lock().await;
                self.files.$operation(request).await
            })*
        }
    };
}

locked! {
    read head_object(HeadObjectInput) -> HeadObjectOutput;
    read head_bucket(HeadBucketInput) -> HeadBucketOutput;
    read list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output;
    read upload_part(UploadPartInput) -> UploadPartOutput;
    write put_object(PutObjectInput) -> PutObjectOutput;
    write delete_object(DeleteObjectInput) -> DeleteObjectOutput;
    write delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput;
    write create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput;
    write complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput;
    write abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput;
}
