//! The check sums of `WORKLOAD.md`, computed by an independent implementation.

use super::*;

#[test]
fn words_are_the_written_ones() {
    let catalog = Catalog::new(1_000);
    assert_eq!([0, 1, 2, 4095].map(|number| catalog.word(number)), ["sa", "fal", "tutefa", "pe"]);
}

#[test]
fn all_lines_of_a_thousand_movies() {
    let sums = check_movies(Catalog::new(1_000).movies());
    assert_eq!(sums, CheckSums { bytes: 602_130, hash: Fnv(0x04bf_c94f_7ea9_0ee7) });
    assert_eq!(Some(sums), known_movies(1_000));
}

#[test]
fn all_lines_of_a_hundred_thousand_movies() {
    Catalog::new(100_000).assert_known();
}

#[test]
fn change_sets_on_the_initial_state() {
    let check = |records, size, hash, first: (u64, u16, u16)| {
        let catalog = Catalog::new(records);
        let changes = catalog.changes(size, 0, &mut catalog.rating_integers());
        assert_eq!(changes.len() as u64, size);
        assert_eq!(check_changes(&changes), Fnv(hash), "{size} changes of {records} movies");
        if size == 10 {
            assert_eq!((changes[0].id, changes[0].rating_integer, changes[0].runtime_minutes), first);
        }
    };
    check(1_000, 10, 0x21bb_1790_c511_5f96, (943, 771, 103));
    check(1_000, 1_000, 0xfd94_783b_bda5_9639, (0, 0, 0));
    check(100_000, 10, 0x7a89_fcac_a122_47cd, (43_943, 771, 103));
    check(100_000, 1_000, 0x5ce2_8823_a749_c217, (0, 0, 0));
    check(100_000, 100_000, 0xb8ad_0433_251a_0c31, (0, 0, 0));
}

#[test]
fn every_change_changes_its_movie() {
    let catalog = Catalog::new(1_000);
    let mut ratings = catalog.rating_integers();
    for repetition in 0..3 {
        let before = ratings.clone();
        for change in catalog.changes(1_000, repetition, &mut ratings) {
            assert_ne!(before[change.id as usize], change.rating_integer);
            assert_eq!(ratings[change.id as usize], change.rating_integer);
        }
    }
}

#[test]
fn read_keys_are_the_written_ones() {
    let check = |records, keys: [u64; 4]| assert_eq!(Catalog::new(records).read_keys(0, 4), keys);
    check(1_000, [435, 630, 453, 587]);
    check(100_000, [51_435, 73_630, 54_453, 12_587]);
    check(1_000_000, [451_435, 273_630, 154_453, 112_587]);
    check(5_000_000, [2_451_435, 3_273_630, 4_154_453, 112_587]);
    assert_eq!(Catalog::new(1_000).missing_keys(0, 2), [1_435, 1_630]);
}

#[test]
fn rating_integers_are_those_of_the_movies() {
    let catalog = Catalog::new(1_000);
    let ratings: Vec<_> = catalog.movies().map(|movie| rating_integer(movie.rating)).collect();
    assert_eq!(ratings, catalog.rating_integers());
    assert!((0..=1_000).all(|integer| rating_integer(rating_of(integer)) == integer));
}

#[test]
fn the_first_line_reads_as_json() {
    let mut line = String::new();
    let movie = Catalog::new(1_000).movie(0);
    movie.write_canonical(&mut line).expect("a String takes all text");
    assert!(line.ends_with("\"}\n"));
    let read: Movie = serde_json::from_str(&line).expect("canonical lines are JSON");
    assert_eq!(read, movie);
}
