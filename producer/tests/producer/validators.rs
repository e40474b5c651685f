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
    let message = "the validator DanglingKeys refused the version: a key leads to no record: Movie 4, sequels: there is no \
                   Movie 77";
    run(check(builder, movies.collect(), message));
}

#[test]
fn what_a_key_leads_to_must_not_go() {
    run(async {
        let mut producer = producer("validate-dangling-delete").validate(DanglingKeys).open().await.unwrap();
        let first = Movie { sequels: vec![Key::new(2)], ..movie(1) };
        publish(&mut producer, vec![first, movie(2), movie(3)]).await.unwrap();
        let error = producer.update(|changes| Ok(changes.delete::<Movie>(2)?)).await.unwrap_err();
        assert!(chain(&error).ends_with("a key leads to no record: Movie 1, sequels: there is no Movie 2"), "{error}");
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
        assert_eq!((error.types[0].count, error.types[0].first.len()), (20, 10));
        assert_eq!(
            error.to_string(),
            "20 records of Movie came under a key that was taken, the first: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9; add each \
             record once"
        );
        producer.check_invariants();
        publish(&mut producer, vec![movie(1)]).await.unwrap();
        // Those of all types are reported together.
        let countries = ["nl", "nl"].map(|code| Country { code: code.into(), people: 1 });
        let both = producer.cycle(async |writer| {
            [1, 1].iter().try_for_each(|id| writer.add(&movie(*id)))?;
            Ok(countries.iter().try_for_each(|one| writer.add(one))?)
        });
        assert_eq!(
            both.await.unwrap_err().to_string(),
            "1 record of Movie came under a key that was taken, the first: 1; 1 record of Country came under a key that \
             was taken, the first: nl; add each record once"
        );
    });
}

#[test]
fn a_validator_that_could_never_refuse_is_refused() {
    #[derive(Record)]
    #[record(key = "id")]
    struct Undeclared {
        id: u8,
    }
    let said = |builder: ProducerBuilder| {
        let error = run(builder.open()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Program);
        let said = error.to_string();
        said.strip_prefix("validators that could never refuse a version: ").expect(&said).to_owned()
    };
    let types = "its types are Movie, Movie.country, Genre, Actor, Agency, Country";
    let idle = |name: &str| producer(&format!("idle-{name}"));
    // All are reported together.
    let builder = idle("types")
        .validate(RecordCountVariance::named("Moovie", 0.1))
        .validate(FractionChanged::of::<Undeclared>(0.1))
        .validate(MinimumCount::named("movie", 5))
        .validate(MinimumCount::of::<Movie>(5));
    let said_of = |name: &str| format!("the producer declares no type {name}; {types}");
    assert_eq!(
        said(builder),
        format!(
            "RecordCountVariance of Moovie: {}; FractionChanged of Undeclared: {}; MinimumCount of movie: {}",
            said_of("Moovie"),
            said_of("Undeclared"),
            said_of("movie")
        )
    );
    assert_eq!(
        said(idle("per-cent").validate(RecordCountVariance::of::<Movie>(25.0))),
        "RecordCountVariance of Movie: 25 is more than all; a share goes from 0 to 1, so write 0.25 for 25 %"
    );
    for share in [f64::NAN, -0.1] {
        let expected = format!("FractionChanged of Movie: {share} is no share; write 0.10 for 10 %");
        assert_eq!(said(idle("no-share").validate(FractionChanged::of::<Movie>(share))), expected);
    }
    assert!(said(idle("all").validate(FractionChanged::of::<Movie>(1.0))).contains("no more than all records"));
    assert!(said(idle("none").validate(MinimumCount::of::<Movie>(0))).contains("every version has 0 records or more"));
    // Where another producer's type is concerned as well: this one never changes it.
    run(async {
        let mut first = producer("idle-others").open().await.unwrap();
        first.update(|changes| Ok(changes.upsert(&movie(1))?)).await.unwrap();
        first.close().await.unwrap();
        let countries = Producer::builder("memory://idle-others").with::<Country>().env(Env::simulated(7));
        let error = countries.validate(MinimumCount::of::<Movie>(1)).open().await.unwrap_err();
        assert!(error.to_string().ends_with("the producer declares no type Movie; its types are Country"), "{error}");
    });
}

#[test]
fn all_validators_are_told_together() {
    run(async {
        let builder = producer("validate-all")
            .validate(MinimumCount::of::<Movie>(2))
            .validate_with("calm", |_, _| panic!("no {}", "calm"))
            .validate_with("content", |_, _| Ok(()))
            .validate(MinimumCount::of::<Country>(1));
        let mut producer = builder.open().await.unwrap();
        let error = publish(&mut producer, vec![movie(1)]).await.unwrap_err();
        assert_eq!(
            chain(&error),
            "the validator MinimumCount of Movie refused the version: there are 1 records; 2 is the minimum; the validator \
             calm refused the version: it panicked: no calm; correct it; the validator MinimumCount of Country refused the \
             version: there are 0 records; 1 is the minimum"
        );
        let refusals = &error.validation().unwrap().refusals;
        let names: Vec<&str> = refusals.iter().map(|refusal| refusal.validator.as_str()).collect();
        assert_eq!(names, ["MinimumCount of Movie", "calm", "MinimumCount of Country"]);
    });
}

#[test]
fn a_dangling_key_in_a_component_is_named_by_the_record_that_holds_it() {
    #[derive(Clone, Record)]
    #[record(key = "id")]
    struct Shelf {
        id: String,
        boxes: Vec<Crate>,
    }
    #[derive(Clone, Record)]
    struct Crate {
        lids: BTreeMap<String, Lid>,
    }
    #[derive(Clone, Record)]
    struct Lid {
        shelf: Key<Shelf>,
    }
    run(async {
        let builder = Producer::builder("memory://dangling-component").with::<Shelf>().env(Env::simulated(7));
        let mut producer = builder.validate(DanglingKeys).open().await.unwrap();
        let shelf = |id: &str, to: &str| {
            let lids = [("x".to_owned(), Lid { shelf: Key::new(to) })].into();
            Shelf { id: id.into(), boxes: vec![Crate { lids }] }
        };
        let shelves = [shelf("a", "b"), shelf("b", "c"), shelf("d", "e")];
        let filled = producer.cycle(async |writer| Ok(shelves.iter().try_for_each(|shelf| writer.add(shelf))?));
        let said = chain(&filled.await.unwrap_err());
        let expected = "2 keys lead to no record, the first: Shelf b, Lid.shelf: there is no Shelf c; Shelf d, Lid.shelf: \
                        there is no Shelf e";
        assert!(said.ends_with(expected), "{said}");
    });
}

#[test]
fn a_type_is_emptied_only_if_that_is_said() {
    run(async {
        let mut producer = producer("emptied").open().await.unwrap();
        let error = producer.cycle(async |_| Ok(())).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (
                ErrorKind::Program,
                "Movie was given no record, and the dataset has none yet; Country was given no record, and the dataset has \
                 none yet; add records, or call writer.allow_empty::<Movie>(), writer.allow_empty::<Country>() if that is \
                 meant"
            )
        );
        assert_eq!(error.emptied().unwrap().types.len(), 2);
        let unchanged = producer.update(|_| Ok(())).await.unwrap();
        assert!(unchanged.cycled.committed().is_none() && producer.version() == cenote_producer::Version::EMPTY);
        // One type is enough for a first version.
        publish(&mut producer, vec![movie(1), movie(2)]).await.unwrap();
        let country = Country { code: "nl".into(), people: 1 };
        let forgotten = producer.cycle(async |writer| Ok(writer.add(&country)?)).await.unwrap_err();
        let expected = "Movie has 2 records and was given none; add records, or call writer.allow_empty::<Movie>() if that \
                        is meant";
        assert_eq!(forgotten.to_string(), expected);
        producer.check_invariants();
        let meant = producer.cycle(async |writer| {
            writer.allow_empty::<Movie>()?;
            Ok(writer.add(&country)?)
        });
        meant.await.unwrap();
        assert_eq!((producer.view().len::<Movie>(), producer.view().len::<Country>()), (0, 1));
    });
    // A first version without a record, if that is meant.
    run(async {
        let mut producer = producer("emptied-first").open().await.unwrap();
        let empty = async |writer: &mut Writer| {
            writer.allow_empty::<Movie>()?;
            Ok(writer.allow_empty::<Country>()?)
        };
        assert!(producer.cycle(empty).await.unwrap().committed().is_some());
    });
}

#[test]
fn a_dry_run_writes_nothing_and_shows_everything() {
    run(async {
        let mut live = producer("dry").validate(MinimumCount::of::<Movie>(1)).open().await.unwrap();
        publish(&mut live, vec![movie(1), movie(2), movie(3)]).await.unwrap();
        let version = live.version();
        // While another producer is alive, and without waiting for it.
        let dry = producer("dry").validate(MinimumCount::of::<Movie>(2)).dry_run().await.unwrap();
        let changed = Movie { title: "new".into(), ..movie(1) };
        let preview = dry.cycle(async |writer| {
            [&changed, &movie(3), &movie(4)].into_iter().try_for_each(|movie| writer.add(movie))?;
            Ok(())
        });
        let preview = preview.await.unwrap();
        assert_eq!(preview.report.unwrap().to_string(), "Movie: 1 added, 1 changed, 1 removed");
        let diff = preview.newer.diff::<Movie>(&preview.older);
        let keys = |records: &[MovieRef<'_>]| records.iter().map(|movie| movie.id()).collect::<Vec<_>>();
        assert_eq!((keys(&diff.added), keys(&diff.removed), diff.updated.len()), (vec![4], vec![2], 1));
        let named = preview.newer.named_diff(&preview.older, "Movie");
        let removed: Vec<_> = named.removed.iter().filter_map(|record| record.key_text()).collect();
        assert_eq!((named.added.len(), removed, named.updated.len()), (1, vec!["2".to_owned()], 1));
        let refused = dry.cycle(async |writer| Ok(writer.add(&movie(1))?)).await.unwrap_err();
        assert!(refused.validation().is_some());
        let same = dry.update(|changes| Ok(changes.delete::<Movie>(77)?)).await.unwrap();
        assert!(same.report.is_none());
        publish(&mut live, vec![movie(1)]).await.unwrap();
        assert_eq!(live.version().0, version.0 + 1, "the dry run wrote nothing, and fenced nobody");
        let dry = producer("dry").dry_run().await.unwrap();
        let preview = dry.republish(version).await.unwrap();
        assert_eq!(preview.report.unwrap().to_string(), "Movie: 2 added, 0 changed, 0 removed");
    });
}

#[test]
fn a_closure_that_fails_or_panics_is_counted() {
    use std::panic::AssertUnwindSafe;

    use futures::FutureExt;

    let recorder = Failures::default();
    metrics::with_local_recorder(&recorder, || {
        run(async {
            let mut producer = producer("closures").open().await.unwrap();
            let failed = producer.cycle(async |_| Err("the source is down".into())).await.unwrap_err();
            assert_eq!(chain(&failed), "the closure that gives the records failed: the source is down");
            assert_eq!(recorder.count(), 1);
            producer.update(|_| Err::<(), _>("no".into())).await.unwrap_err();
            assert_eq!(recorder.count(), 2);
            let panicking = producer.cycle(async |_| panic!("a bug"));
            AssertUnwindSafe(panicking).catch_unwind().await.unwrap_err();
            assert_eq!(recorder.count(), 3);
            let panicking = producer.update(|_| -> Result<(), BoxError> { panic!("a bug") });
            AssertUnwindSafe(panicking).catch_unwind().await.unwrap_err();
            assert_eq!(recorder.count(), 4);
            publish(&mut producer, vec![movie(1)]).await.unwrap();
            assert_eq!(recorder.count(), 4, "the producer goes on");
        });
    });
}

/// Counts what is counted as a failure.
#[derive(Default)]
struct Failures(std::sync::Arc<std::sync::atomic::AtomicU64>);

impl Failures {
    fn count(&self) -> u64 {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl metrics::Recorder for Failures {
    fn describe_counter(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn describe_gauge(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn describe_histogram(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn register_counter(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
        match key.name() {
            "cenote_producer_failures_total" => metrics::Counter::from_arc(self.0.clone()),
            _ => metrics::Counter::noop(),
        }
    }
    fn register_gauge(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
        metrics::Gauge::noop()
    }
    fn register_histogram(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Histogram {
        metrics::Histogram::noop()
    }
}
