//! What every store must do, as one function that tests call with a storage.
//!
//! Each wrapper and each kind of store goes through it. It panics with a message that says what is wrong. The storage
//! must be empty; the function leaves objects behind.

use bytes::Bytes;

use cenote_store::env::Env;
use cenote_store::storage::{Created, Listed, Storage, StorageErrorKind};

/// Writers that race for one name.
const WRITERS: usize = 32;
/// Races, each for a different name.
const ROUNDS: usize = 3;
/// Too large for one put.
const LARGE_BYTES: usize = 20 << 20;

/// Checks a storage. Needs a tokio runtime, for the race one with several threads.
///
/// # Panics
/// If the storage does not do what the protocol relies on.
pub async fn conformance(storage: &Storage) {
    absent_is_none(storage).await;
    what_is_put_is_read(storage).await;
    ranges_and_tails(storage).await;
    empty_objects(storage).await;
    one_winner(storage).await;
    lists(storage).await;
    deletes(storage).await;
    large_objects(storage).await;
}

/// The answer, or a panic that names the request and its error.
fn ok<T>(result: Result<T, cenote_store::storage::StorageError>, what: &str) -> T {
    result.unwrap_or_else(|error| panic!("{what}: {error}"))
}

async fn absent_is_none(storage: &Storage) {
    let name = "absent/00000000000000000001";
    assert_eq!(ok(storage.get(name).await, "get"), None, "get of an absent object");
    assert_eq!(ok(storage.get_range(name, 0..1).await, "get_range"), None, "range of an absent object");
    assert_eq!(ok(storage.get_range(name, 0..0).await, "get_range"), None, "empty range of an absent object");
    assert_eq!(ok(storage.get_tail(name, 8).await, "get_tail"), None, "tail of an absent object");
    assert_eq!(ok(storage.size(name).await, "size"), None, "size of an absent object");
    assert_eq!(ok(storage.list("absent", None).await, "list"), [], "list of an absent folder");
    ok(storage.delete(name).await, "delete of an absent object");
}

async fn what_is_put_is_read(storage: &Storage) {
    let (name, first, second) = ("objects/one", Bytes::from_static(b"first"), Bytes::from_static(b"second, longer"));
    assert_eq!(ok(storage.create(name, first.clone()).await, "create"), Created::Yes);
    assert_eq!(ok(storage.get(name).await, "get"), Some(first.clone()), "get after create");
    assert_eq!(ok(storage.create(name, second.clone()).await, "create"), Created::Exists, "create over an object");
    assert_eq!(ok(storage.get(name).await, "get"), Some(first), "a lost create must change nothing");
    ok(storage.put(name, second.clone()).await, "put over an object");
    assert_eq!(ok(storage.get(name).await, "get"), Some(second.clone()), "get after put");
    assert_eq!(ok(storage.size(name).await, "size"), Some(14), "size after put");
    assert_eq!(ok(storage.get_bounded(name, 14).await, "get_bounded"), Some(second), "an object at its limit");
    let error = storage.get_bounded(name, 13).await.expect_err("an object beyond its limit must be refused");
    assert_eq!(error.kind, StorageErrorKind::TooLarge, "{error}");
    ok(storage.put_large("objects/small", vec![Bytes::from_static(b"a"), Bytes::from_static(b"b")]).await, "put_large");
    assert_eq!(ok(storage.get("objects/small").await, "get").as_deref(), Some(&b"ab"[..]), "a small put_large");
}

async fn ranges_and_tails(storage: &Storage) {
    let name = "objects/ranges";
    ok(storage.put(name, Bytes::from_static(b"0123456789")).await, "put");
    for (range, expected) in [(0..10, "0123456789"), (3..5, "34"), (9..10, "9"), (8..20, "89"), (4..4, "")] {
        let found = ok(storage.get_range(name, range.clone()).await, "get_range").expect("the object is there");
        assert_eq!(found, expected, "range {range:?}");
    }
    assert!(storage.get_range(name, 10..11).await.is_err(), "a range behind the end must be refused");
    for (bytes, expected) in [(3, "789"), (10, "0123456789"), (11, "0123456789"), (1 << 20, "0123456789")] {
        let tail = ok(storage.get_tail(name, bytes).await, "get_tail").expect("the object is there");
        assert_eq!((tail.bytes.as_ref(), tail.size), (expected.as_bytes(), 10), "the last {bytes} bytes");
    }
}

async fn empty_objects(storage: &Storage) {
    let name = "objects/empty";
    assert_eq!(ok(storage.create(name, Bytes::new()).await, "create of an empty object"), Created::Yes);
    assert_eq!(ok(storage.get(name).await, "get"), Some(Bytes::new()), "an empty object");
    assert_eq!(ok(storage.size(name).await, "size"), Some(0), "size of an empty object");
    let tail = ok(storage.get_tail(name, 8).await, "tail of an empty object").expect("the object is there");
    assert_eq!((tail.bytes.len(), tail.size), (0, 0), "tail of an empty object");
    assert_eq!(
        ok(storage.create(name, Bytes::from_static(b"x")).await, "create"),
        Created::Exists,
        "over an empty one"
    );
}

async fn one_winner(storage: &Storage) {
    let env = Env::system();
    for round in 0..ROUNDS {
        let name = format!("race/{round:020}");
        let race = (0..WRITERS).map(|writer| {
            let (storage, name) = (storage.clone(), name.clone());
            env.spawn(async move { (writer, storage.create(&name, mark(writer)).await) })
        });
        let mut winners = Vec::new();
        for task in race.collect::<Vec<_>>() {
            let (writer, created) = task.await.expect("a writer does not panic");
            if ok(created, "create in a race") == Created::Yes {
                winners.push(writer);
            }
        }
        let [winner] = winners[..] else {
            panic!("of {WRITERS} racing writers {winners:?} got the answer that they won")
        };
        let found = ok(storage.get(&name).await, "get").expect("a race leaves an object");
        assert_eq!(found, mark(winner), "the object is not the winner's");
    }
}

/// A writer's distinct object, long enough that a partial write would show.
fn mark(writer: usize) -> Bytes {
    Bytes::from(vec![u8::try_from(writer).expect("few writers"); 10_000])
}

async fn lists(storage: &Storage) {
    for number in [3, 1, 10, 2] {
        ok(storage.put(&format!("list/{number:020}"), Bytes::from(vec![0; number])).await, "put");
    }
    ok(storage.put("listing/x", Bytes::new()).await, "put");
    let listed = |numbers: &[u64]| {
        numbers.iter().map(|n| Listed { name: format!("list/{n:020}"), size: *n }).collect::<Vec<_>>()
    };
    assert_eq!(ok(storage.list("list", None).await, "list"), listed(&[1, 2, 3, 10]), "a folder, in order");
    let after = format!("list/{:020}", 2);
    assert_eq!(ok(storage.list("list", Some(&after)).await, "list"), listed(&[3, 10]), "what comes after a name");
    let after = format!("list/{:020}", 5);
    assert_eq!(ok(storage.list("list", Some(&after)).await, "list"), listed(&[10]), "what comes after an absent name");
    let after = format!("list/{:020}", 10);
    assert_eq!(ok(storage.list("list", Some(&after)).await, "list"), [], "nothing comes after the last");
    let all = ok(storage.list("", None).await, "list of everything");
    assert!(all.iter().any(|one| one.name == "listing/x"), "everything holds what is in each folder: {all:?}");
}

async fn deletes(storage: &Storage) {
    let name = "objects/deleted";
    ok(storage.put(name, Bytes::from_static(b"x")).await, "put");
    ok(storage.delete(name).await, "delete");
    assert_eq!(ok(storage.get(name).await, "get"), None, "get after delete");
    ok(storage.delete(name).await, "delete twice");
    assert_eq!(ok(storage.create(name, Bytes::from_static(b"y")).await, "create"), Created::Yes, "after delete");
}

async fn large_objects(storage: &Storage) {
    let name = "objects/large";
    let bytes: Bytes = (0..LARGE_BYTES / 4).flat_map(|word| (word as u32).to_le_bytes()).collect::<Vec<_>>().into();
    let pieces = [0..1, 1..5_000_000, 5_000_000..5_000_000, 5_000_000..LARGE_BYTES];
    ok(storage.put_large(name, pieces.into_iter().map(|range| bytes.slice(range)).collect()).await, "put_large");
    assert_eq!(ok(storage.size(name).await, "size"), Some(LARGE_BYTES as u64), "size of a large object");
    let found = ok(storage.get(name).await, "get").expect("the object is there");
    assert!(found == bytes, "a large object came back changed");
    let range = (8 << 20) - 3..(8 << 20) + 3;
    let found = ok(storage.get_range(name, range.start as u64..range.end as u64).await, "get_range");
    assert_eq!(found, Some(bytes.slice(range)), "a range across two parts");
    let tail = ok(storage.get_tail(name, 100).await, "get_tail").expect("the object is there");
    assert_eq!((tail.bytes, tail.size), (bytes.slice(LARGE_BYTES - 100..), LARGE_BYTES as u64), "a large one's tail");
}
