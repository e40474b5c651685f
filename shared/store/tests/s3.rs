//! S3 over HTTP on loopback, with signatures checked, against a server within this process.

use bytes::Bytes;
use cenote_store::storage::{Storage, StorageErrorKind};
use cenote_testing::conformance::conformance;
use cenote_testing::s3_server::{ACCESS_KEY_ID, S3Server};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s3_over_http() {
    let folder = tempfile::tempdir().unwrap();
    let server = S3Server::start(folder.path()).await.unwrap();
    conformance(&server.storage("media/catalog").await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_datasets_in_one_bucket_do_not_see_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let server = S3Server::start(folder.path()).await.unwrap();
    let (one, other) = (server.storage("one").await.unwrap(), server.storage("one-more").await.unwrap());
    one.put("hint", Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(other.get("hint").await.unwrap(), None);
    assert_eq!(other.list("", None).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_denied_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let server = S3Server::start(folder.path()).await.unwrap();
    let mut options = server.options();
    options.retain(|(key, _)| key != "secret_access_key");
    options.push(("secret_access_key".into(), "wrong".into()));
    let storage = Storage::open(&server.url("x"), &options).await.unwrap();
    let error = storage.get("hint").await.unwrap_err();
    assert_eq!(error.kind, StorageErrorKind::Denied);
    assert!(error.to_string().contains("does not accept the credentials"), "{error}");
    assert!(!format!("{error:?} {error}").contains(ACCESS_KEY_ID), "messages must not carry keys");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_bucket_is_not_an_empty_dataset() {
    let folder = tempfile::tempdir().unwrap();
    let server = S3Server::start(folder.path()).await.unwrap();
    let storage = Storage::open("s3://no-such-bucket/x", &server.options()).await.unwrap();
    let error = storage.list("log", None).await.unwrap_err();
    assert_eq!(error.kind, StorageErrorKind::Configuration, "{error}");
    assert!(error.to_string().contains("the bucket does not exist"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_gone_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let server = S3Server::start(folder.path()).await.unwrap();
    let storage = server.storage("x").await.unwrap();
    assert_eq!(storage.get("hint").await.unwrap(), None);
    drop(server);
    let error = storage.get("hint").await.unwrap_err();
    assert_eq!(error.kind, StorageErrorKind::Unavailable, "{error}");
    assert!(error.is_retryable());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_silent_times_out() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pairs = [
        ("endpoint", format!("http://{}", silent.local_addr().unwrap())),
        ("access_key_id", ACCESS_KEY_ID.to_owned()),
        ("secret_access_key", "any".to_owned()),
        ("read_timeout", "200ms".to_owned()),
    ];
    let options: Vec<_> = pairs.map(|(key, value)| (key.to_owned(), value)).into();
    let storage = Storage::open("s3://bucket/x", &options).await.unwrap();
    let error = storage.get("hint").await.unwrap_err();
    assert_eq!(error.kind, StorageErrorKind::Timeout, "{error}");
    let error = storage.create("hint", Bytes::new()).await.unwrap_err();
    assert_eq!(error.kind, StorageErrorKind::Timeout, "{error}");
}
