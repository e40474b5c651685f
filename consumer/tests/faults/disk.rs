//! A full disk, for real: a child process under a limit on the size of files.

use cenote_store::env::Env;
use cenote_store::storage::Storage;

use crate::child::{Child, Part, say};
use crate::world::{consumer, content, large, producer, publish, said, small};

/// Publishes little, then more than a file may have, then little again; says what came of it.
pub(crate) async fn publish_too_much(storage: Storage) {
    let env = Env::system();
    let mut producer = producer(&storage, &env).open().await.expect("an entry fits");
    publish(&mut producer, &small(5, "before")).await.expect("an entry fits");
    say("before");
    match publish(&mut producer, &large(1)).await {
        Ok(_) => say("it fit"),
        Err(error) => say(&said(&error)),
    }
    publish(&mut producer, &small(5, "after")).await.expect("an entry fits, and the producer goes on");
    say("after");
    producer.close().await.expect("goodbye");
}

async fn seen(dataset: &std::path::Path) -> crate::world::Content {
    let storage = Storage::open(&dataset.display().to_string(), &[]).await.expect("it opens");
    content(&consumer(&storage, &Env::system()).open().await.expect("it can be read").view())
}

#[test]
fn a_file_that_may_not_grow_is_told_as_a_full_disk_and_hurts_no_version() {
    let folder = tempfile::tempdir().expect("a folder");
    let dataset = folder.path().join("dataset");
    // Blocks of 512 or 1,024 bytes, by the shell. Ignored, the signal becomes an error of the write.
    let child = Child::start_under("trap '' XFSZ; ulimit -f 512", &Part::FullDisk { dataset: dataset.clone() });
    let (words, ended_well) = child.all();
    assert!(ended_well, "{words:?}");
    let [before, error, after] = &words[..] else { panic!("{words:?}") };
    assert_eq!((before.as_str(), after.as_str()), ("before", "after"));
    let url = format!("file://{}", dataset.display());
    let (start, end) = (
        format!("the object that the entry would name could not be put: cannot write {url}/blobs/"),
        ": no space left at the store; make room",
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
    let (words, ended_well) = Child::start_under("ulimit -f 512", &Part::FullDisk { dataset: dataset.clone() }).all();
    assert!(!ended_well, "{words:?}");
    assert_eq!(words, ["before"]);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    assert_eq!(runtime.block_on(seen(&dataset)), small(5, "before"));
    runtime.block_on(async {
        let storage = Storage::open(&dataset.display().to_string(), &[]).await.expect("it opens");
        let mut next = producer(&storage, &Env::system()).open().await.expect("the next one goes on");
        publish(&mut next, &large(1)).await.expect("there is room now");
        next.close().await.expect("goodbye");
    });
    assert_eq!(runtime.block_on(seen(&dataset)), large(1));
}
