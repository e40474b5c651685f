//! A snapshot becomes a state, or names what is wrong with it.

use cenote_state::blob::{BlobError, TAIL_BYTES, encode_snapshot, footer_of, repair_checksums};
use cenote_state::delta::Changes;
use cenote_state::hash::Hash;
use cenote_state::held::Selection;
use cenote_state::ids::{DatasetId, Ordinal, Timestamp, Version};
use cenote_state::state::State;
use cenote_store::env::Env;
use cenote_store::error::ErrorKind;
use cenote_store::load::{LoadError, SnapshotToLoad, snapshot};
use cenote_store::log::{ObjectRef, Snapshot};

use crate::chain::{ANY_SIZE, Chain, ROOT, empty, memory, row};

const DATASET: DatasetId = DatasetId([7; 16]);
const RECORDS: u32 = 2_000;

fn text(number: u32) -> String {
    "abcdefgh ".repeat(2_000) + &number.to_string()
}

/// Records with long texts.
fn state() -> State {
    let empty = empty();
    let mut changes = Changes::new(&empty);
    (0..RECORDS).for_each(|number| changes.add(ROOT, Ordinal(number), &row(number, &text(number))));
    empty.applied(&changes.finish(), Version(1), 1).unwrap()
}

/// All texts, in the order of their ordinals.
fn texts(state: &State) -> Vec<String> {
    let table = state.table(ROOT);
    let text = |number| table.row(Ordinal(number)).expect("it is live").cell(1).text().to_owned();
    (0..RECORDS).map(text).collect()
}

#[tokio::test]
async fn a_snapshot_is_fetched_by_ranges() {
    let state = state();
    let storage = memory();
    let blob = encode_snapshot(DATASET, &state, 2);
    storage.put_large("snapshots/1", blob.parts.clone()).await.unwrap();
    let object = ObjectRef { name: "snapshots/1".to_owned(), length: blob.length(), hash: blob.footer_hash };
    let committed_at = Timestamp::default();
    let kept = Snapshot { version: Version(3), object, digest: state.digest(), committed_at };
    let what =
        SnapshotToLoad { dataset: DATASET, snapshot: kept, selection: Selection::Whole, bytes_max: ANY_SIZE, seed: 1 };
    let (loaded, took) = snapshot(&storage, &Env::system(), &what, &|_, _| {}).await.unwrap();
    assert_eq!(texts(&loaded), (0..RECORDS).map(text).collect::<Vec<_>>());
    assert_eq!(loaded.digest(), state.digest());
    assert_eq!(loaded.version(), Version(3));
    assert!(took.bytes < blob.length() * 21 / 20 + (64 << 10), "{took:?} of {}", blob.length());

    let small = SnapshotToLoad { bytes_max: 1 << 20, ..what.clone() };
    let error = snapshot(&storage, &Env::system(), &small, &|_, _| {}).await.unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.kind()),
        ("cannot decode snapshots/1 of version 3", ErrorKind::Configuration)
    );
    let LoadError::Blob { source, .. } = &error else { panic!("{error}") };
    let source = source.to_string();
    assert!(source.starts_with("it needs ") && source.contains("raise max_state_bytes"), "{source}");
}

/// Loads a snapshot of a small dataset, after `spoil` changed what the log says and `damage` its bytes.
async fn error_of(spoil: impl FnOnce(&mut SnapshotToLoad), damage: impl FnOnce(&mut Vec<u8>)) -> LoadError {
    let mut chain = Chain::new().await;
    chain.commit().await;
    let mut what = chain.snapshot().await;
    // The log goes on after the snapshot's version, as it must for an entry to name the snapshot.
    chain.commit().await;
    chain.spoil(&what.snapshot.object.name, damage).await;
    spoil(&mut what);
    let loaded = snapshot(&chain.storage, &chain.env, &what, &|_, _| {}).await;
    let error = loaded.expect_err("it is damaged");
    assert!(error.to_string().contains(&what.snapshot.object.name), "{error}");
    assert_eq!(error.version(), Some(Version(2)));
    error
}

#[tokio::test]
async fn a_missing_snapshot_is_named() {
    let error = error_of(|what| what.snapshot.object.name = "snapshots/2".into(), |_| {}).await;
    assert!(matches!(&error, LoadError::Missing { .. }), "{error}");
    assert!(error.to_string().starts_with("snapshots/2 is missing though the log names it"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Damaged);
}

/// Shorter, longer, or another object.
#[tokio::test]
async fn a_snapshot_has_the_length_that_the_log_names() {
    for damage in [(|bytes: &mut Vec<u8>| bytes.truncate(100)) as fn(&mut Vec<u8>), |bytes| bytes.push(0)] {
        let error = error_of(|_| {}, damage).await;
        assert!(matches!(&error, LoadError::Altered { .. }), "{error}");
        let text = error.to_string();
        let end = " is not the object that version 2 names: its length or hash differs; restore it from a copy, or \
                   make a snapshot";
        assert!(text.ends_with(end), "{text}");
    }
    // Whole, and not the one that is named.
    let error = error_of(|what| what.snapshot.object.length += 1, |_| {}).await;
    assert!(matches!(&error, LoadError::Altered { .. }), "{error}");
}

/// Whole, consistent in itself, of the same records and length, and another: its schema calls a field by another name.
#[tokio::test]
async fn a_foreign_snapshot_of_the_same_digest_is_refused() {
    let rename = |bytes: &mut Vec<u8>| {
        let footer = footer_of(bytes).expect("it is sound");
        let name = &footer.schema.expect("a snapshot has a schema").types[0].fields[1].name;
        let at = bytes.windows(name.len()).rposition(|window| window == name.as_bytes()).expect("the footer has it");
        bytes[at] ^= 1;
        repair_checksums(bytes);
        assert_ne!(footer_of(bytes).expect("it is sound").schema.expect("it has one").types[0].fields[1].name, *name);
    };
    let error = error_of(|_| {}, rename).await;
    assert!(matches!(&error, LoadError::Altered { .. }), "{error}");
    let named = |what: &mut SnapshotToLoad| what.snapshot.object.hash = Hash::of(b"another");
    let error = error_of(named, |_| {}).await;
    assert!(matches!(&error, LoadError::Altered { .. }), "{error}");
}

#[tokio::test]
async fn a_snapshot_of_another_state_or_dataset_is_refused() {
    let error = error_of(|what| what.snapshot.digest ^= 1, |_| {}).await;
    assert!(matches!(&error, LoadError::Blob { source: BlobError::Digest { .. }, .. }), "{error}");
    let error = error_of(|what| what.dataset = DATASET, |_| {}).await;
    assert!(matches!(&error, LoadError::Blob { source: BlobError::Dataset { .. }, .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Damaged);
}

/// Wherever a bit flips, it is found: in the header, in a section, in the footer, in the tail.
#[tokio::test]
async fn a_snapshot_whose_bytes_changed_is_refused() {
    let length = {
        let mut chain = Chain::new().await;
        chain.commit().await;
        chain.snapshot().await.snapshot.object.length as usize
    };
    for at in [20, 40, length - TAIL_BYTES - 20, length - TAIL_BYTES + 1] {
        let error = error_of(|_| {}, |bytes| bytes[at] ^= 4).await;
        assert!(matches!(&error, LoadError::Blob { .. }), "byte {at}: {error}");
        let text = error.to_string();
        assert!(text.ends_with(" of version 2; restore it from a copy, or make another snapshot"), "{text}");
    }
}
