//! Each kind of damage to a commit or its delta has one error, which names the version, the object, the cause and the
//! next step; what was proven before stays.

use bytes::Bytes;
use cenote_state::blob::{BlobError, encode_delta};
use cenote_state::delta::Changes;
use cenote_state::hash::Hash;
use cenote_state::ids::{ColumnId, DatasetId, Ordinal, Version};
use cenote_store::error::{ErrorKind, with_sources};
use cenote_store::load::{Commits, Fetched, LoadError, Replay, roll};
use cenote_store::log::retention::{Retention, trim};
use cenote_store::log::{Body, DeltaPlace, Outcome, ReadError, names};
use cenote_store::storage::StorageErrorKind;

use crate::chain::{Chain, ROOT, empty, row};

fn entry(version: Version) -> String {
    names::log_entry(version.position())
}

#[tokio::test]
async fn a_log_without_damage_is_replayed_to_its_end() {
    let mut chain = Chain::new().await;
    chain.commit().await;
    chain.commit_blob(|_| {}).await;
    chain.put(chain.state.clone(), DeltaPlace::None, |_| {}).await;
    let (state, rolled) = chain.load().await;
    rolled.expect("nothing is damaged");
    assert_eq!((state.version(), state.digest()), (chain.state.version(), chain.state.digest()));
    assert_eq!(state.table(ROOT).len(), 20);
}

#[tokio::test]
async fn entries_that_were_just_read_are_not_read_again() {
    let mut chain = Chain::new().await;
    let first = chain.commit().await;
    chain.commit_blob(|_| {}).await;
    let reader = chain.reader().await;
    let mut recent = Vec::new();
    let mut walk = reader.walk_live();
    while let Some(entry) = walk.next().await.expect("it is whole") {
        recent.push(entry);
    }
    // Without the log itself: only the blob is left to fetch.
    chain.storage.delete(&entry(first)).await.expect("it goes");
    let mut commits = Commits::after(&reader, Version::EMPTY, chain.state.version(), &recent);
    let (replay, rolled) = roll(&chain.env, &mut commits, chain.replay(), Replay::step, &|_| {}).await;
    rolled.expect("everything is here");
    assert_eq!(replay.map(|replay| replay.commits()), Some(2));
}

#[tokio::test]
async fn a_commit_names_the_version_before_it() {
    let mut chain = Chain::new().await;
    let first = chain.commit().await;
    let second = chain.commit_spoiled(|commit| commit.parent = Version::EMPTY).await;
    let error = chain.error_after(first).await;
    assert!(matches!(&error, LoadError::Parent { version, .. } if *version == second), "{error}");
    assert_eq!((error.kind(), error.version()), (ErrorKind::Damaged, Some(second)));
    assert_eq!(
        with_sources(&error),
        "log/00000000000000000003 is damaged: version 3 follows version 0, and the version before it is 2; \
         restore it from a copy, or make a snapshot"
    );
}

#[tokio::test]
async fn a_commit_names_the_state_before_it() {
    let mut chain = Chain::new().await;
    let first = chain.commit().await;
    chain.commit_spoiled(|commit| commit.parent_digest = 5).await;
    let error = chain.error_after(first).await;
    assert!(matches!(&error, LoadError::ParentDigest { expected: 5, .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Damaged);
    let text = with_sources(&error);
    let start = "log/00000000000000000003 is damaged: version 3 follows a state with the digest \
                 00000000000000000000000000000005, and the state before it has ";
    assert!(text.starts_with(start), "{text}");
    assert!(text.ends_with("; restore it from a copy, or make a snapshot"), "{text}");
}

#[tokio::test]
async fn digests_and_counts_are_compared() {
    for (what, says) in
        [(0, "the digest of column 11 of type 0"), (1, "type 0 has 20 records, not 21"), (2, "its digest is ")]
    {
        let mut chain = Chain::new().await;
        let first = chain.commit().await;
        let second = chain
            .commit_spoiled(|commit| match what {
                0 => commit.column_digests[1].2 ^= 1,
                1 => commit.counts[0].1 += 1,
                _ => commit.digest ^= 1,
            })
            .await;
        let error = chain.error_after(first).await;
        assert!(matches!(&error, LoadError::Differs { version, .. } if *version == second), "{error}");
        assert_eq!(error.kind(), ErrorKind::Damaged);
        let text = with_sources(&error);
        let start = format!("version 3, read from log/00000000000000000003, differs from what was committed: {says}");
        assert!(text.starts_with(&start), "{text}");
        assert!(text.ends_with("; restore the object from a copy, or make a snapshot"), "{text}");
    }
}

/// A commit that lists a column or a type that its state does not have.
#[tokio::test]
async fn digests_and_counts_of_nothing_differ() {
    for what in 0..2 {
        let mut chain = Chain::new().await;
        let first = chain.commit().await;
        chain
            .commit_spoiled(|commit| match what {
                0 => commit.column_digests.push((ROOT, ColumnId(77), 0)),
                _ => commit.counts.push((cenote_state::ids::TypeId(9), 0)),
            })
            .await;
        let error = chain.error_after(first).await;
        assert!(matches!(&error, LoadError::Differs { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_blob_has_the_length_that_its_commit_names() {
    let mut chain = Chain::new().await;
    let first = chain.commit().await;
    let (second, blob) = chain.commit_blob(|_| {}).await;
    chain.spoil(&blob, |bytes| bytes.truncate(bytes.len() - 1)).await;
    let error = chain.error_after(first).await;
    assert!(matches!(&error, LoadError::Altered { version, .. } if *version == second), "{error}");
    assert_eq!((error.kind(), error.version()), (ErrorKind::Damaged, Some(second)));
    let text = with_sources(&error);
    let expected = format!(
        "{blob} is not the object that version 3 names: its length or hash differs; restore it from a copy, or \
         make a snapshot"
    );
    assert_eq!(text, expected);

    chain.spoil(&blob, |bytes| bytes.extend([0; 2])).await;
    let error = chain.error_after(first).await;
    let LoadError::Storage(refused) = &error else { panic!("{error}") };
    assert_eq!((refused.kind, error.kind()), (StorageErrorKind::TooLarge, ErrorKind::Damaged));
    assert!(error.to_string().contains(&blob), "{error}");
}

#[tokio::test]
async fn a_blob_has_the_hash_that_its_commit_names() {
    let mut chain = Chain::new().await;
    let first = chain.commit().await;
    // The blob is whole, and not the one that the entry names.
    let (second, blob) = chain.commit_blob(|object| object.hash = Hash::of(b"another")).await;
    let error = chain.error_after(first).await;
    assert!(
        matches!(&error, LoadError::Altered { version, object } if (*version, object) == (second, &blob)),
        "{error}"
    );
}

#[tokio::test]
async fn a_missing_blob_is_explained_by_its_entry() {
    let mut chain = Chain::new().await;
    let first = chain.commit().await;
    let (second, blob) = chain.commit_blob(|_| {}).await;
    chain.storage.delete(&blob).await.expect("it goes");
    let error = chain.error_after(first).await;
    assert!(matches!(&error, LoadError::Read(ReadError::Missing { .. })), "{error}");
    assert_eq!(error.kind(), ErrorKind::Damaged);
    let named_by = entry(second);
    let expected = format!(
        "{blob} is missing, and {named_by} names it: if it doesn't appear within minutes, restore it from a copy"
    );
    assert_eq!(with_sources(&error), expected);
}

#[tokio::test]
async fn what_was_trimmed_meanwhile_is_no_damage() {
    let mut chain = Chain::new().await;
    chain.commit_blob(|_| {}).await;
    let mut commits = chain.commits().await;
    let what = chain.snapshot().await;
    let outcome = chain.writer.append(Body::Snapshot(what.snapshot)).await.expect("it is not refused");
    assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
    let keep = Retention::new().snapshots(1).younger_than(std::time::Duration::ZERO);
    trim(&mut chain.writer, &keep).await.expect("it is trimmed");
    let error = commits.next().await.expect_err("it was trimmed");
    assert!(matches!(&error, LoadError::Read(ReadError::Trimmed { .. })), "{error}");
    assert_eq!(error.kind(), ErrorKind::Retry);
}

#[tokio::test]
async fn a_delta_that_cannot_be_decoded_names_its_object() {
    let mut chain = Chain::new().await;
    let first = chain.commit().await;
    let (delta, state) = chain.ten_more();
    let short = delta.slice(..delta.len() - 40);
    let second = chain.put(state, DeltaPlace::Inline(short), |_| {}).await;
    let error = chain.error_after(first).await;
    assert!(matches!(&error, LoadError::Blob { version, .. } if *version == second), "{error}");
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert_eq!(
        with_sources(&error),
        "cannot decode log/00000000000000000003 of version 3; restore it from a copy, or make another snapshot: \
         it is not a Cenote blob, or it was cut off: the bytes at its end are not a blob's"
    );
}

#[tokio::test]
async fn a_delta_of_another_dataset_is_refused() {
    let mut chain = Chain::new().await;
    let first = chain.commit().await;
    let mut changes = Changes::new(&chain.state);
    changes.add(ROOT, Ordinal(10), &row(10, "a text"));
    let delta = encode_delta(DatasetId([9; 16]), &changes.finish(), &chain.state, 1).to_bytes();
    chain.put(chain.state.clone(), DeltaPlace::Inline(delta), |_| {}).await;
    let error = chain.error_after(first).await;
    assert!(matches!(&error, LoadError::Blob { source: BlobError::Dataset { .. }, .. }), "{error}");
}

#[tokio::test]
async fn a_delta_of_a_newer_format_needs_an_upgrade() {
    let mut chain = Chain::new().await;
    let first = chain.commit().await;
    let (delta, state) = chain.ten_more();
    let mut newer = delta.to_vec();
    for at in [8, newer.len() - cenote_state::blob::TAIL_BYTES + 4] {
        newer[at..at + 2].copy_from_slice(&3_u16.to_le_bytes());
    }
    chain.put(state, DeltaPlace::Inline(Bytes::from(newer)), |_| {}).await;
    let error = chain.error_after(first).await;
    assert_eq!(error.kind(), ErrorKind::Upgrade, "{error}");
    assert_eq!(
        with_sources(&error),
        "cannot decode log/00000000000000000003 of version 3: it has format 3, this release reads up to 2; \
         upgrade this program"
    );
}

#[tokio::test]
async fn a_delta_that_does_not_fit_its_parent_names_its_object() {
    let mut chain = Chain::new().await;
    let first = chain.commit().await;
    // Made for a state with another record.
    let mut changes = Changes::new(&chain.state);
    changes.add(ROOT, Ordinal(10), &row(10, "a text"));
    let other = chain.state.applied(&changes.finish(), Version(1), 1).expect("it fits");
    let mut changes = Changes::new(&other);
    changes.remove(ROOT, Ordinal(10));
    let delta = encode_delta(chain.dataset(), &changes.finish(), &other, 1).to_bytes();
    let second = chain.put(chain.state.clone(), DeltaPlace::Inline(delta), |_| {}).await;
    let error = chain.error_after(first).await;
    assert!(matches!(&error, LoadError::Apply { version, .. } if *version == second), "{error}");
    assert_eq!(error.kind(), ErrorKind::Damaged);
    let text = with_sources(&error);
    let start = "log/00000000000000000003 does not fit the parent of version 3; restore it from a copy, or make a \
                 snapshot: it does not fit the records of type R";
    assert!(text.starts_with(start), "{text}");
}

#[tokio::test]
async fn a_delta_larger_than_allowed_is_a_matter_of_the_configuration() {
    let mut chain = Chain::new().await;
    chain.commit().await;
    let fetched = chain.commits().await.next().await.expect("it is fetched").expect("there is one");
    let state = chain.replay().into_state();
    let replay = Replay::new(state, fetched.time, chain.dataset(), 10, 1);
    let error = replay.apply(&fetched).expect_err("ten bytes are too few");
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(with_sources(&error).ends_with("raise max_state_bytes if the machine has them"), "{error}");
}

#[tokio::test]
async fn a_schema_with_a_wrong_key_names_its_entry() {
    let mut chain = Chain::new().await;
    chain.commit().await;
    let mut fetched = chain.commits().await.next().await.expect("it is fetched").expect("there is one");
    let schema = fetched.commit.schema.as_mut().expect("it is the first");
    schema.types[0].kind = cenote_state::schema::TypeKind::Root { key: vec![vec!["nothing".into()]] };
    let error = chain.replay().apply(&fetched).expect_err("the key leads nowhere");
    assert!(matches!(&error, LoadError::Key { .. }), "{error}");
    let text = with_sources(&error);
    let start = "log/00000000000000000002 is damaged: the schema of version 2 has a wrong key; restore it from a \
                 copy, or make a snapshot: type R: the key names nothing";
    assert!(text.starts_with(start), "{text}");
}

#[tokio::test]
async fn a_panic_is_contained_and_reported() {
    let mut chain = Chain::new().await;
    chain.commit().await;
    let mut commits = chain.commits().await;
    let panics: fn(&mut (), &Fetched) -> Result<(), LoadError> = |(), _| panic!("a bug");
    let (left, rolled) = roll(&chain.env, &mut commits, (), panics, &|_| {}).await;
    let error = rolled.expect_err("it panics");
    assert!(left.is_none());
    assert_eq!(
        with_sources(&error),
        "cannot load version 2 from log/00000000000000000002; please report this: a computation panicked: a bug"
    );
}

/// An error leaves the replay where it was: the right commit is taken after it.
#[tokio::test]
async fn a_replay_goes_on_after_an_error() {
    let mut chain = Chain::new().await;
    chain.commit().await;
    let fetched = chain.commits().await.next().await.expect("it is fetched").expect("there is one");
    let mut wrong = fetched.clone();
    wrong.commit.digest ^= 1;
    let mut replay = chain.replay();
    replay.step(&wrong).expect_err("it differs");
    assert_eq!((replay.state().version(), replay.commits()), (Version::EMPTY, 0));
    assert_eq!(replay.state().digest(), empty().digest());
    replay.step(&fetched).expect("it is right");
    assert_eq!((replay.state().digest(), replay.committed_at()), (chain.state.digest(), fetched.time));
}
