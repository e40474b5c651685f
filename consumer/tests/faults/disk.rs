//! A full disk: a real child process under a limit on the size of files.

use cenote_store::env::Env;
use cenote_store::storage::Storage;

use crate::child::{Child, Job, report};
use crate::dataset::{consumer, content, large, message, producer, publish, small};

/// Publishes a little, then more than a file may hold, then a little again; reports each outcome.
pub(crate) async fn publish_too_much(storage: Storage) {
    let env = Env::system();
    let mut producer = producer(&storage, &env).open().await.expect("an entry fits");
    publish(&mut producer, &small(5, "before")).await.expect("an entry fits");
    report("before");
    match publish(&mut producer, &large(1)).await {
        Ok(_) => report("it fit"),
        Err(error) => report(&message(&error)),
    }
    publish(&mut producer, &small(5, "after")).await.expect("an entry fits, and the producer goes on");
    report("after");
    producer.close().await.expect("it closes");
}

async fn seen(dataset: &std::path::Path) -> crate::dataset::Content {
    let storage = Storage::open(&dataset.display().to_string(), &[]).await.expect("it opens");
    content(&consumer(&storage, &Env::system()).open().await.expect("it can be read").view())
}

#[test]
fn a_file_that_may_not_grow_is_a_full_disk_and_damages_no_version() {
    let folder = tempfile::tempdir().expect("a folder");
    let dataset = folder.path().join("dataset");
    // Blocks of 512 or 1,024 bytes, by the shell. Ignored, the signal becomes an error of the write.
    let child = Child::start_under("trap '' XFSZ; ulimit -f 512", &Job::FullDisk { dataset: dataset.clone() });
    let (lines, succeeded) = child.all();
    assert!(succeeded, "{lines:?}");
    let [before, error, after] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((before.as_str(), after.as_str()), ("before", "after"));
    let url = format!("file://{}", dataset.display());
    let (start, end) = (
        format!("the object that the entry would name could not be put: cannot write {url}/blobs/"),
        ": File too large (os error 27); raise the limit on the size of files",
    );
    assert!(error.starts_with(&start) && error.contains(end), "{error}");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    assert_eq!(runtime.block_on(seen(&dataset)), small(5, "after"));
}

#[test]
fn a_process_that_dies_of_the_limit_leaves_the_last_version() {
    let folder = tempfile::tempdir().expect("a folder");
    let dataset = folder.path().join("dataset");
    // Not ignored, the signal kills in the middle of a write.
    let (lines, succeeded) = Child::start_under("ulimit -f 512", &Job::FullDisk { dataset: dataset.clone() }).all();
    assert!(!succeeded, "{lines:?}");
    assert_eq!(lines, ["before"]);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    assert_eq!(runtime.block_on(seen(&dataset)), small(5, "before"));
    runtime.block_on(async {
        let storage = Storage::open(&dataset.display().to_string(), &[]).await.expect("it opens");
        let mut next = producer(&storage, &Env::system()).open().await.expect("the next one goes on");
        publish(&mut next, &large(1)).await.expect("there is room now");
        next.close().await.expect("it closes");
    });
    assert_eq!(runtime.block_on(seen(&dataset)), large(1));
}
