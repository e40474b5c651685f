//! Every installed system holds the generator's records, before and after changes.

use super::*;
use crate::workload::{Catalog, Movie};

/// Publishes, loads, refreshes; compares all records after each.
fn check(system: &dyn System) {
    if let Some(missing) = system.missing() {
        eprintln!("skipped {}: {missing}", system.name());
        return;
    }
    let folder = tempfile::tempdir().expect("a folder for the versions");
    // A whole number of the batches that systems write in, so that the last one is full and none is left.
    let catalog = Catalog::new(1_000);
    let mut movies: Vec<_> = catalog.movies().collect();
    let mut ratings = catalog.rating_integers();
    let mut producer = must(system.produce(Place::Folder(folder.path().to_owned())));
    let first = must(producer.publish(&movies));
    let mut consumer = must(system.consume(folder.path()));
    must(consumer.load(first.version));
    agree(system, consumer.as_ref(), &movies);
    for repetition in 0..2 {
        let changes = catalog.changes(40, repetition, &mut ratings);
        changes.iter().for_each(|change| change.apply(&mut movies[change.id as usize]));
        let places: Vec<_> = changes.iter().map(|change| change.id as usize).collect();
        match producer.update(&movies, &places) {
            Err(Refusal::Unsupported(_)) => return,
            published => must(consumer.refresh(must(published).version)),
        }
        agree(system, consumer.as_ref(), &movies);
    }
    reads_agree(system, consumer.as_mut(), &catalog, &movies);
}

fn agree(system: &dyn System, consumer: &dyn Consume, movies: &[Movie]) {
    for movie in movies {
        assert_eq!(must(consumer.movie(movie.id)).as_ref(), Some(movie), "{}", system.name());
    }
    assert_eq!(must(consumer.movie(movies.len() as u64)), None, "{}", system.name());
}

fn reads_agree(system: &dyn System, consumer: &mut dyn Consume, catalog: &Catalog, movies: &[Movie]) {
    let name = system.name();
    let keys = catalog.read_keys(0, 1_000);
    let read = || keys.iter().map(|&key| &movies[key as usize]);
    assert_eq!(must(consumer.lookup(&keys, 16)), 1_000, "{name}");
    assert_eq!(must(consumer.lookup(&catalog.missing_keys(0, 100), 1)), 0, "{name}");
    let fields: u64 = read().map(|movie| three_fields(&movie.title, movie.year, movie.rating)).sum();
    assert_eq!(must(consumer.lookup_3_fields(&keys, 16)), fields, "{name}");
    let names: u64 = read().flat_map(|movie| &movie.cast).map(|actor| text_sum(&actor.name)).sum();
    assert_eq!(must(consumer.cast_walk(&keys)), names, "{name}");
    let ratings: f64 = movies.iter().map(|movie| f64::from(movie.rating)).sum();
    assert!((must(consumer.full_scan()) - ratings).abs() < 1e-6, "{name}");
    if let Err(Refusal::Unsupported(_)) = consumer.index_countries() {
        return;
    }
    let of_country = |key: u64| {
        let country = crate::workload::country_name((key % 200) as usize);
        movies.iter().filter(|movie| movie.country == country).count() as u64
    };
    assert_eq!(must(consumer.country_find(&keys[..50])), keys[..50].iter().map(|&key| of_country(key)).sum::<u64>());
    assert_eq!(must(consumer.country_iterate()), movies.len() as u64, "{name}");
}

fn must<T>(answer: Answer<T>) -> T {
    match answer {
        Ok(answer) => answer,
        Err(Refusal::Unsupported(why)) => panic!("not supported: {why}"),
        Err(Refusal::Failed(error)) => panic!("failed: {error}"),
    }
}

#[test]
fn every_system_agrees_with_the_generator() {
    all().iter().for_each(|system| check(system.as_ref()));
}
