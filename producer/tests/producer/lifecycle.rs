//! A dataset from its first version on: made, changed, taken over, republished.

use super::*;
use cenote_producer::{Cycled, Settled};

async fn fill(writer: &mut Writer, movies: &[Movie]) -> Result<(), BoxError> {
    movies.iter().try_for_each(|movie| Ok(writer.add(movie)?))
}

#[test]
fn a_dataset_is_made_and_changed() {
    run(async {
        let mut producer = producer("lifecycle-made").open().await.unwrap();
        let movies = [movie(1), movie(2), movie(3)];
        let first = producer.cycle(async |writer| fill(writer, &movies).await).await.unwrap();
        let report = first.committed().unwrap();
        assert_eq!(report.of_type("Movie").unwrap().added, 3);
        assert_eq!(report.of_type("Movie.country").unwrap().added, 1, "the name of a country is kept once");
        assert_eq!(report.to_string(), "new schema; Movie: 3 added, 0 changed, 0 removed");
        producer.check_invariants();

        let again = producer.cycle(async |writer| fill(writer, &movies).await).await.unwrap();
        assert!(matches!(again, Cycled::Unchanged(token) if token == first.token()));

        let updated = producer
            .update(|changes| {
                changes.upsert(&Movie { title: "other".into(), ..movie(2) })?;
                Ok(changes.delete::<Movie>(17)?)
            })
            .await
            .unwrap();
        assert!(!updated.value);
        assert!(updated.version() > first.version());
        assert_eq!(producer.view().get::<Movie>(2).unwrap().title(), "other");
        producer.check_invariants();

        let republished = producer.republish(first.version()).await.unwrap();
        assert_eq!(republished.committed().unwrap().of_type("Movie").unwrap().changed, 1);
        assert_eq!(producer.view().get::<Movie>(2).unwrap().title(), "movie 2");
        producer.check_invariants();
        producer.close().await.unwrap();
    });
}

#[test]
fn a_dataset_is_opened_again() {
    run(async {
        let mut first = producer("lifecycle-again").open().await.unwrap();
        let movies: Vec<_> = (0..1_000).map(movie).collect();
        first.cycle(async |writer| fill(writer, &movies).await).await.unwrap();
        let version = first.version();
        first.close().await.unwrap();
        let mut second = producer("lifecycle-again").open().await.unwrap();
        assert_eq!(second.version(), version);
        assert_eq!(second.epoch().0, 2);
        second.check_invariants();
        let unchanged = second.cycle(async |writer| fill(writer, &movies).await).await.unwrap();
        assert!(matches!(unchanged, Cycled::Unchanged(_)));
        assert_eq!(second.settle().await.unwrap(), Settled::Nothing);
    });
}

#[test]
fn a_rival_fences_the_first_producer() {
    run(async {
        let mut first = producer("lifecycle-rival").open().await.unwrap();
        first.cycle(async |writer| fill(writer, &[movie(1)]).await).await.unwrap();
        let mut second = producer("lifecycle-rival").take_over().open().await.unwrap();
        let error = first.update(|changes| Ok(changes.upsert(&movie(2))?)).await.unwrap_err();
        assert!(error.is_fenced(), "{error}");
        let error = first.update(|changes| Ok(changes.upsert(&movie(2))?)).await.unwrap_err();
        assert!(error.is_fenced(), "fenced for good: {error}");
        second.update(|changes| Ok(changes.upsert(&movie(3))?)).await.unwrap();
        assert_eq!(second.view().len::<Movie>(), 2);
    });
}

#[test]
fn a_snapshot_is_made_by_hand_and_started_from() {
    run(async {
        let open = || producer("lifecycle-snapshot").snapshots(SnapshotPolicy::Manual).open();
        let mut first = open().await.unwrap();
        let movies: Vec<_> = (0..1_000).map(movie).collect();
        first.cycle(async |writer| fill(writer, &movies).await).await.unwrap();
        let report = first.snapshot().await.unwrap();
        assert_eq!(report.version, first.version());
        first.update(|changes| Ok(changes.delete::<Movie>(17)?)).await.unwrap();
        first.check_invariants();
        first.close().await.unwrap();
        let second = open().await.unwrap();
        assert_eq!(second.view().len::<Movie>(), 999);
        second.check_invariants();
    });
}

#[test]
fn a_closed_producer_says_so() {
    run(async {
        let mut producer = producer("lifecycle-closed").open().await.unwrap();
        producer.update(|changes| Ok(changes.upsert(&movie(1))?)).await.unwrap();
        producer.close().await.unwrap();
        let expected = "the producer is closed; open another to write";
        let errors = [
            producer.cycle(async |writer| Ok(writer.add(&movie(2))?)).await.unwrap_err(),
            producer.update(|changes| Ok(changes.upsert(&movie(2))?)).await.unwrap_err(),
            producer.republish(producer.version()).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!((error.to_string().as_str(), error.kind()), (expected, cenote_producer::error::ErrorKind::Stop));
        }
        let error = producer.snapshot().await.unwrap_err();
        assert_eq!(error.to_string(), "the producer is closed; open another to make a snapshot");
        producer.close().await.unwrap();
        assert_eq!(producer.view().len::<Movie>(), 1, "it can still be read");
    });
}
