//! Every kind of store goes through the same checks, wrappers included; S3 over HTTP has `tests/s3.rs`.

use std::sync::Arc;

use cenote_store::env::Env;
use cenote_store::storage::Storage;
use cenote_testing::conformance::conformance;
use cenote_testing::faults::{CountingStore, FaultyStore, StepStore};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory() {
    conformance(&Storage::open("memory://conformance", &[]).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn local_files() {
    let folder = tempfile::tempdir().unwrap();
    conformance(&Storage::open(folder.path().join("dataset").to_str().unwrap(), &[]).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn wrappers_that_do_nothing() {
    let memory = Storage::new("memory://wrapped", Arc::new(object_store::memory::InMemory::new()));
    let counted = CountingStore::new().wrap(&memory);
    let stepped = StepStore::new().wrap(&counted);
    conformance(&FaultyStore::new(Env::system()).wrap(&stepped)).await;
}
