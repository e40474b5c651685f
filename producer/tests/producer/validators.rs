//! Each validator refuses what it should, and leaves the producer able to go on (I6).

use super::*;
use cenote_producer::error::ErrorKind;
use cenote_producer::{DanglingKeys, FractionChanged, MinimumCount, RecordCountVariance};

async fn publish(producer: &mut Producer, movies: Vec<Movie>) -> Result<(), CycleError> {
    let filled = producer.cycle(async |writer| movies.iter().try_for_each(|movie| Ok(writer.add(movie)?)));
    filled.await.map(drop)
}

/// Publishes ten movies, then what must be refused, then ten again.
async fn check(builder: ProducerBuilder, refused: Vec<Movie>, message: &str) {
    let mut producer = builder.open().await.unwrap();
    let ten = || (0..10).map(movie).collect::<Vec<_>>();
    publish(&mut producer, ten()).await.unwrap();
    let version = producer.version();
    let error = publish(&mut producer, refused).await.unwrap_err();
    assert!(error.validation().is_some() && error.kind() == ErrorKind::Program, "{error}");
    assert_eq!(chain(&error), message);
    assert_eq!(producer.version(), version, "nothing was written");
    producer.check_invariants();
    publish(&mut producer, [ten(), vec![movie(10)]].concat()).await.unwrap();
}

#[test]
fn the_count_must_not_vary_too_much() {
    let builder = producer("validate-variance").validate(RecordCountVariance::of::<Movie>(0.10));
    let message = "the validator RecordCountVariance of Movie refused the version: 10 records became 12, which is 20.0 %; \
                   10.0 % are allowed";
    run(check(builder, (0..12).map(movie).collect(), message));
}

#[test]
fn not_too_much_may_change() {
    let builder = producer("validate-fraction").validate(FractionChanged::of::<Movie>(0.20));
    let change = |id| Movie { title: "new".into(), ..movie(id) };
    // Two are different, one is removed; added records do not count.
    let movies = (0..9).map(|id| if id < 2 { change(id) } else { movie(id) }).chain([movie(90), movie(91)]);
    let message = "the validator FractionChanged of Movie refused the version: 3 of 10 records are gone or different, 30.0 %; \
                   20.0 % are allowed";
    run(check(builder, movies.collect(), message));
}

#[test]
fn there_must_be_enough() {
    let builder = producer("validate-minimum").validate(MinimumCount::of::<Movie>(10));
    let message = "the validator MinimumCount of Movie refused the version: there are 9 records; 10 is the minimum";
    run(check(builder, (0..9).map(movie).collect(), message));
}

#[test]
fn a_new_key_must_lead_somewhere() {
    let builder = producer("validate-dangling").validate(DanglingKeys);
    let dangling = Movie { sequels: vec![Key::new(3), Key::new(77)], ..movie(4) };
    let movies = (0..10).map(|id| if id == 4 { dangling.clone() } else { movie(id) });
    let message = "the validator DanglingKeys refused the version: 1 keys lead to no record, the first: Movie.sequels of \
                   ordinal 4 to Movie";
    run(check(builder, movies.collect(), message));
}

#[test]
fn what_a_key_leads_to_must_not_go() {
    run(async {
        let mut producer = producer("validate-dangling-delete").validate(DanglingKeys).open().await.unwrap();
        let first = Movie { sequels: vec![Key::new(2)], ..movie(1) };
        publish(&mut producer, vec![first, movie(2), movie(3)]).await.unwrap();
        let error = producer.update(|changes| Ok(changes.delete::<Movie>(2)?)).await.unwrap_err();
        assert!(chain(&error).contains("Movie.sequels of ordinal 0 to Movie"), "{error}");
        producer.update(|changes| Ok(changes.delete::<Movie>(3)?)).await.unwrap();
    });
}

#[test]
fn a_closure_sees_both_views() {
    let builder = producer("validate-closure").validate_with("no fewer", |old, new| {
        let (old, new) = (old.len::<Movie>(), new.len::<Movie>());
        if new < old { Err(format!("{new} after {old}").into()) } else { Ok(()) }
    });
    run(check(builder, vec![movie(1)], "the validator no fewer refused the version: 1 after 10"));
}

#[test]
fn keys_that_come_twice_are_named() {
    run(async {
        let mut producer = producer("validate-duplicates").open().await.unwrap();
        publish(&mut producer, (0..5).map(movie).collect()).await.unwrap();
        // Both kinds: keys that the last version has, and new ones.
        let movies = (0..20).chain(0..20).map(movie).collect();
        let error = publish(&mut producer, movies).await.unwrap_err();
        let error = error.duplicate_keys().unwrap();
        assert_eq!((error.count, error.first.len()), (20, 10));
        assert_eq!(
            error.to_string(),
            "20 records of Movie came under a key that was taken, the first: 0; 1; 2; 3; 4; 5; 6; 7; 8; 9; add each \
             record once"
        );
        producer.check_invariants();
        publish(&mut producer, vec![movie(1)]).await.unwrap();
        let countries = ["nl", "nl"].map(|code| Country { code: code.into(), people: 1 });
        let error = producer.cycle(async |writer| countries.iter().try_for_each(|one| Ok(writer.add(one)?))).await;
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("1 records of Country came under a key that was taken, the first: nl;")
        );
    });
}
