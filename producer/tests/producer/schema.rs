//! A schema that changes on a running chain.

use super::*;
use cenote_producer::error::ErrorKind;
use cenote_producer::{Allow, Cycled};

/// The records as an older release of a program has them.
mod old {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Record)]
    #[record(key = "id")]
    pub(crate) struct Film {
        pub(crate) id: u64,
        pub(crate) title: String,
        pub(crate) minutes: u16,
        pub(crate) studio: Option<Studio>,
    }

    #[derive(Clone, Debug, PartialEq, Record)]
    pub(crate) struct Studio {
        pub(crate) name: String,
        pub(crate) town: Town,
    }

    #[derive(Clone, Debug, PartialEq, Record)]
    pub(crate) struct Town {
        pub(crate) name: String,
    }
}

/// As a newer release has them: without the studio, with a year, and more minutes.
mod new {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Record)]
    #[record(key = "id")]
    pub(crate) struct Film {
        pub(crate) id: u64,
        pub(crate) title: String,
        pub(crate) minutes: u32,
        pub(crate) year: Option<u16>,
    }
}

fn old_film(id: u64) -> old::Film {
    let town = old::Town { name: format!("town {}", id % 2) };
    let studio = Some(old::Studio { name: format!("studio {}", id % 3), town });
    old::Film { id, title: format!("film {id}"), minutes: 90, studio }
}

fn on<T: cenote_state::Root>(name: &str) -> ProducerBuilder {
    Producer::builder(format!("memory://{name}")).with::<T>().env(Env::simulated(7)).snapshots(SnapshotPolicy::Manual)
}

async fn publish_old(name: &str) -> Producer {
    let mut producer = on::<old::Film>(name).open().await.unwrap();
    let filled = producer.cycle(async |writer| (0..9).try_for_each(|id| Ok(writer.add(&old_film(id))?)));
    filled.await.unwrap();
    producer.close().await.unwrap();
    producer
}

fn count(producer: &Producer, type_name: &str) -> usize {
    let view = producer.view();
    view.schema().find(type_name).map_or(0, |id| view.state().table(id).len())
}

#[test]
fn what_would_be_lost_is_refused_before_anything_is_written() {
    run(async {
        let old = publish_old("schema-refused").await;
        let error = on::<new::Film>("schema-refused").open().await.unwrap_err();
        assert!(error.schema().is_some() && error.kind() == ErrorKind::Program, "{error}");
        assert!(error.to_string().contains(".allow(Allow::remove(\"Film.studio\"))"), "{error}");
        let again = on::<old::Film>("schema-refused").open().await.unwrap();
        assert_eq!(again.epoch().0, old.epoch().0 + 1, "the refused one took no epoch");
    });
}

#[test]
fn a_changed_schema_alone_is_a_version() {
    run(async {
        publish_old("schema-alone").await;
        let open = || on::<new::Film>("schema-alone").allow(Allow::remove("Film.studio")).open();
        let mut producer = open().await.unwrap();
        let before = producer.version();
        assert_eq!(count(&producer, "Studio"), 6, "they are there until a version without them is committed");
        let cycled = producer.update(|_| Ok(())).await.unwrap().cycled;
        let report = cycled.committed().unwrap();
        assert!(report.schema_changed && report.version > before);
        // Records that only the removed column referred to are removed, and records that only these referred to.
        assert_eq!((count(&producer, "Studio"), count(&producer, "Town")), (0, 0));
        producer.check_invariants();
        assert!(matches!(producer.update(|_| Ok(())).await.unwrap().cycled, Cycled::Unchanged(_)));

        let film = new::Film { id: 3, title: "film 3".into(), minutes: 100_000, year: Some(1999) };
        producer.update(|changes| Ok(changes.upsert(&film)?)).await.unwrap();
        producer.close().await.unwrap();
        let producer = open().await.unwrap();
        producer.check_invariants();
        let view = producer.view();
        assert_eq!(view.get::<new::Film>(3).unwrap().to_owned(), film);
        assert_eq!(view.get::<new::Film>(4).unwrap().year(), None);
        assert_eq!(view.get::<new::Film>(4).unwrap().minutes(), 90);
    });
}

/// The studio without its town.
mod smaller {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Record)]
    #[record(key = "id")]
    pub(crate) struct Film {
        pub(crate) id: u64,
        pub(crate) title: String,
        pub(crate) minutes: u16,
        pub(crate) studio: Option<Studio>,
    }

    #[derive(Clone, Debug, PartialEq, Record)]
    pub(crate) struct Studio {
        pub(crate) name: String,
    }
}

#[test]
fn components_that_a_schema_change_makes_equal_become_one() {
    run(async {
        publish_old("schema-equal").await;
        let open = || on::<smaller::Film>("schema-equal").allow(Allow::remove("Studio.town")).open();
        let films = (0..9).map(|id| {
            let old::Film { id, title, minutes, studio } = old_film(id);
            smaller::Film { id, title, minutes, studio: studio.map(|old| smaller::Studio { name: old.name }) }
        });
        let films: Vec<_> = films.collect();
        let mut producer = open().await.unwrap();
        producer.update(|_| Ok(())).await.unwrap();
        producer.close().await.unwrap();
        let mut producer = open().await.unwrap();
        assert_eq!(count(&producer, "Studio"), 6, "some have the same name now");
        let fill = || async |writer: &mut Writer| Ok(films.iter().try_for_each(|film| writer.add(film))?);
        producer.cycle(fill()).await.unwrap();
        assert_eq!(count(&producer, "Studio"), 3);
        producer.check_invariants();
        assert!(matches!(producer.cycle(fill()).await.unwrap(), Cycled::Unchanged(_)));
    });
}

/// With a field that older records lack.
mod larger {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Record)]
    #[record(key = "id")]
    pub(crate) struct Film {
        pub(crate) id: u64,
        pub(crate) title: String,
        pub(crate) minutes: u16,
        pub(crate) studio: Option<old::Studio>,
        #[record(default)]
        pub(crate) stars: u8,
    }
}

#[test]
fn a_default_that_is_given_is_a_value() {
    run(async {
        publish_old("schema-default").await;
        let mut producer = on::<larger::Film>("schema-default").open().await.unwrap();
        let films = (0..9).map(|id| {
            let old::Film { id, title, minutes, studio } = old_film(id);
            larger::Film { id, title, minutes, studio, stars: 0 }
        });
        let films: Vec<_> = films.collect();
        let fill = || async |writer: &mut Writer| Ok(films.iter().try_for_each(|film| writer.add(film))?);
        let cycled = producer.cycle(fill()).await.unwrap();
        assert_eq!(cycled.committed().unwrap().of_type("Film").unwrap().changed, 9);
        assert!(matches!(producer.cycle(fill()).await.unwrap(), Cycled::Unchanged(_)));
    });
}

#[test]
fn an_old_version_is_republished_under_the_new_schema() {
    run(async {
        let old = publish_old("schema-republish").await;
        let version = old.version();
        let mut producer =
            on::<new::Film>("schema-republish").allow(Allow::remove("Film.studio")).open().await.unwrap();
        producer.update(|changes| Ok(changes.delete::<new::Film>(4)?)).await.unwrap();
        assert_eq!(count(&producer, "Film"), 8);
        producer.republish(version).await.unwrap();
        assert_eq!(count(&producer, "Film"), 9);
        assert_eq!(producer.view().get::<new::Film>(4).unwrap().title(), "film 4");
        producer.check_invariants();
    });
}

#[test]
fn types_of_other_programs_are_carried_over() {
    run(async {
        let mut both = producer("schema-carried").open().await.unwrap();
        let country = Country { code: "nl".into(), people: 17_000_000 };
        let filled = both.cycle(async |writer| {
            writer.add(&movie(1))?;
            Ok(writer.add(&country)?)
        });
        filled.await.unwrap();
        both.close().await.unwrap();
        let mut movies = on::<Movie>("schema-carried").open().await.unwrap();
        movies.cycle(async |writer| Ok(writer.add(&movie(2))?)).await.unwrap();
        assert_eq!((count(&movies, "Movie"), count(&movies, "Country")), (1, 1));
        let error = movies.update(|changes| Ok(changes.upsert(&country)?)).await.unwrap_err();
        assert!(error.to_string().contains(".with::<Country>()"), "{error}");
        movies.check_invariants();
    });
}

#[test]
fn a_dataset_without_types_is_refused() {
    run(async {
        let opened = Producer::builder("memory://schema-nothing").open().await;
        let error = opened.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Program);
        assert_eq!(error.to_string(), "no type is declared: add .with::<T>() for each root type that is published");
    });
}

#[test]
fn a_type_is_dropped_with_its_records() {
    run(async {
        publish_old("schema-drop").await;
        let mut others = on::<Country>("schema-drop").open().await.unwrap();
        others.update(|changes| Ok(changes.upsert(&Country { code: "nl".into(), people: 1 })?)).await.unwrap();
        others.close().await.unwrap();
        let builder = || on::<Country>("schema-drop").allow(Allow::remove_type("Film"));
        let mut producer = builder().open().await.unwrap();
        let dropped = producer.update(|_| Ok(())).await.unwrap();
        assert!(dropped.cycled.committed().is_some_and(|report| report.schema_changed));
        assert_eq!(producer.schema().to_string(), "Country (root, key code)\n    code: String\n    people: i64\n");
        let named: Vec<String> = producer.view().named_tables().map(|table| table.schema().name.clone()).collect();
        assert_eq!((named, count(&producer, "Country")), (vec!["Country".to_owned()], 1));
        producer.check_invariants();
        producer.snapshot().await.unwrap();
        producer.close().await.unwrap();
        // From the snapshot, by the log, and with the permission still in the program.
        let mut producer = builder().open().await.unwrap();
        assert!(producer.update(|_| Ok(())).await.unwrap().cycled.committed().is_none());
        producer.check_invariants();
        producer.close().await.unwrap();
        // The name is free.
        let mut producer = on::<new::Film>("schema-drop").open().await.unwrap();
        let film = new::Film { id: 1, title: "again".into(), minutes: 1, year: None };
        producer.update(|changes| Ok(changes.upsert(&film)?)).await.unwrap();
        assert_eq!((count(&producer, "Film"), count(&producer, "Country")), (1, 1));
        producer.check_invariants();
    });
}
