//! Hash indexes against scans of the same view.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::{ChangedRoots, IndexBinding, IndexDeclaration, IndexError, Indexes};
use crate::ids::Timestamp;
use crate::record::Declared;
use crate::record::tests::World;
use crate::schema::Schema;
use crate::view::{HashIndex, IndexValue, Matches, View};
use crate::{Key, Record};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Record)]
enum Genre {
    Drama,
    Comedy,
    #[record(other)]
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Record)]
struct Studio {
    city: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Record)]
struct Actor {
    name: String,
    studio: Studio,
}

#[derive(Clone, Debug, PartialEq, Record)]
#[record(key = "id")]
struct Film {
    id: u64,
    title: String,
    #[record(dedup)]
    country: String,
    year: u16,
    rating: Option<f32>,
    genre: Genre,
    cast: Vec<Actor>,
    lead: Option<Actor>,
    tags: Option<BTreeSet<String>>,
    facts: BTreeMap<String, i32>,
    sequel: Option<Key<Film>>,
    #[record(packed)]
    plot: Option<String>,
}

const BY_COUNTRY: HashIndex<Film, str> = HashIndex::on("country");
const BY_YEAR: HashIndex<Film, u16> = HashIndex::on("year");
const BY_RATING: HashIndex<Film, f32> = HashIndex::on("rating");
const BY_GENRE: HashIndex<Film, Genre> = HashIndex::on("genre");
const BY_ACTOR: HashIndex<Film, String> = HashIndex::on("cast.name");
const BY_CITY: HashIndex<Film, str> = HashIndex::on("cast.studio.city");
const BY_LEAD: HashIndex<Film, str> = HashIndex::on("lead.name");
const BY_TAG: HashIndex<Film, str> = HashIndex::on("tags");
const BY_FACT: HashIndex<Film, str> = HashIndex::on("facts.keys");
const BY_NUMBER: HashIndex<Film, i32> = HashIndex::on("facts.values");
const BY_SEQUEL: HashIndex<Film, Key<Film>> = HashIndex::on("sequel");
const BY_PLOT: HashIndex<Film, str> = HashIndex::on("plot");

fn declarations() -> Vec<IndexDeclaration> {
    vec![
        IndexDeclaration::new(&BY_COUNTRY),
        IndexDeclaration::new(&BY_YEAR),
        IndexDeclaration::new(&BY_RATING),
        IndexDeclaration::new(&BY_GENRE),
        IndexDeclaration::new(&BY_ACTOR),
        IndexDeclaration::new(&BY_CITY),
        IndexDeclaration::new(&BY_LEAD),
        IndexDeclaration::new(&BY_TAG),
        IndexDeclaration::new(&BY_FACT),
        IndexDeclaration::new(&BY_NUMBER),
        IndexDeclaration::new(&BY_SEQUEL),
        IndexDeclaration::new(&BY_PLOT),
        // Declared twice: kept once.
        IndexDeclaration::new(&BY_COUNTRY),
    ]
}

fn film(id: u64, seed: u32) -> Film {
    let city = |seed: u32| (!seed.is_multiple_of(3)).then(|| format!("city {}", seed % 2));
    let actor = |seed: u32| Actor { name: format!("actor {}", seed % 7), studio: Studio { city: city(seed) } };
    Film {
        id,
        title: format!("{seed}"),
        country: ["nl", "be", ""][seed as usize % 3].to_owned(),
        year: 1990 + (seed % 4) as u16,
        rating: (!seed.is_multiple_of(4)).then_some((seed % 5) as f32),
        genre: [Genre::Drama, Genre::Comedy, Genre::Unknown][seed as usize % 3],
        cast: (0..seed % 4).map(|at| actor(seed + at)).collect(),
        lead: seed.is_multiple_of(2).then(|| actor(seed)),
        tags: (!seed.is_multiple_of(5)).then(|| (0..seed % 3).map(|at| format!("tag {at}")).collect()),
        facts: (0..seed % 3).map(|at| (format!("fact {at}"), (seed % 6) as i32 - 3)).collect(),
        sequel: (!seed.is_multiple_of(3)).then(|| Key::new(u64::from(seed % 6))),
        plot: (!seed.is_multiple_of(6)).then(|| format!("the pool {}", seed % 5)),
    }
}

fn binding(declared: &Declared, chain: &Schema) -> Arc<IndexBinding> {
    Arc::new(IndexBinding::new(&declarations(), declared, chain).expect("the paths are sound"))
}

fn view(world: &World, indexes: Indexes) -> View {
    View::with_indexes(world.state.clone(), Arc::new(world.binding()), indexes, Timestamp(0))
}

fn ids<'v>(found: Matches<'v, Film>) -> Vec<u64> {
    assert_eq!(found.len(), found.iter().count());
    found.iter().map(FilmRef::id).collect()
}

fn scan(view: &View, is_match: impl Fn(&Film) -> bool) -> Vec<u64> {
    view.all::<Film>().map(FilmRef::to_owned).filter(|film| is_match(film)).map(|film| film.id).collect()
}

/// Every index finds what a scan finds.
fn check(view: &View) {
    for country in ["nl", "be", "", "xx"] {
        assert_eq!(ids(view.find(&BY_COUNTRY, country)), scan(view, |film| film.country == country));
    }
    for year in 1989..1995 {
        assert_eq!(ids(view.find(&BY_YEAR, year)), scan(view, |film| film.year == year));
    }
    for rating in [None, Some(0.0), Some(3.0), Some(9.0)] {
        assert_eq!(ids(view.find(&BY_RATING, rating)), scan(view, |film| film.rating == rating));
    }
    for genre in [Genre::Drama, Genre::Comedy, Genre::Unknown] {
        assert_eq!(ids(view.find(&BY_GENRE, genre)), scan(view, |film| film.genre == genre));
    }
    for number in 0..7 {
        let name = format!("actor {number}");
        let plays = |film: &Film| film.cast.iter().any(|actor| actor.name == name);
        assert_eq!(ids(view.find(&BY_ACTOR, name.as_str())), scan(view, plays));
        let leads = |film: &Film| film.lead.as_ref().is_some_and(|lead| lead.name == name);
        assert_eq!(ids(view.find(&BY_LEAD, name.as_str())), scan(view, leads));
    }
    assert_eq!(ids(view.find(&BY_LEAD, None)), scan(view, |film| film.lead.is_none()));
    for city in [None, Some("city 0"), Some("city 1")] {
        let at = |film: &Film| film.cast.iter().any(|actor| actor.studio.city.as_deref() == city);
        assert_eq!(ids(view.find(&BY_CITY, city)), scan(view, at));
    }
    assert_eq!(ids(view.find(&BY_TAG, None)), scan(view, |film| film.tags.is_none()));
    let tagged = |film: &Film| film.tags.as_ref().is_some_and(|tags| tags.contains("tag 1"));
    assert_eq!(ids(view.find(&BY_TAG, "tag 1")), scan(view, tagged));
    assert_eq!(ids(view.find(&BY_FACT, "fact 0")), scan(view, |film| film.facts.contains_key("fact 0")));
    assert_eq!(ids(view.find(&BY_NUMBER, -2)), scan(view, |film| film.facts.values().any(|&fact| fact == -2)));
    for plot in [None, Some("the pool 2"), Some("the pool 9")] {
        assert_eq!(ids(view.find(&BY_PLOT, plot)), scan(view, |film| film.plot.as_deref() == plot));
    }
    let key = Key::<Film>::new(4);
    assert_eq!(ids(view.find(&BY_SEQUEL, key.lend())), scan(view, |film| film.sequel.as_ref() == Some(&key)));
    let both = view.find(&BY_COUNTRY, "nl").and(&view.find(&BY_YEAR, 1992));
    assert_eq!(ids(both), scan(view, |film| film.country == "nl" && film.year == 1992));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// After any changes, an updated index equals one that is built again, and older views keep theirs (I2, I3).
    #[test]
    fn indexes_follow_their_state(steps in prop::collection::vec(
        (prop::collection::btree_map(0_u32..600, any::<u32>(), 1..40), any::<bool>()), 1..8,
    )) {
        let mut world = World::of(|registry| registry.with::<Film>());
        world.add_all(&(0..400).map(|id| film(id, id as u32)).collect::<Vec<_>>());
        let bound = binding(&world.declared, world.state.schema());
        let mut indexes = Indexes::build(Arc::clone(&bound), &world.state, 3, 2, u64::MAX).unwrap();
        let mut live: BTreeSet<u32> = (0..400).collect();
        let first = view(&world, indexes.clone());
        for (touched, removes) in steps {
            let old = world.state.clone();
            let (present, absent): (Vec<_>, Vec<_>) = touched.into_iter().partition(|(at, _)| live.contains(at));
            let (gone, changed): (Vec<_>, Vec<_>) = present.into_iter().partition(|(_, seed)| removes && seed % 2 == 0);
            let films = |of: Vec<(u32, u32)>| -> Vec<_> {
                of.into_iter().map(|(at, seed)| (at, film(u64::from(at), seed))).collect()
            };
            let gone: Vec<u32> = gone.into_iter().map(|(at, _)| at).collect();
            // New ordinals are dense after the table's end.
            let end = live.last().map_or(0, |last| last + 1).max(400);
            let fresh: Vec<_> = (end..).zip(absent).map(|(at, (_, seed))| (at, seed)).collect();
            live.retain(|at| !gone.contains(at));
            live.extend(fresh.iter().map(|(at, _)| *at));
            let delta = world.change(&gone, &films(fresh), &films(changed));
            let mut changed = ChangedRoots::default();
            changed.note(&delta, &world.state, &bound);
            indexes = indexes.updated(Arc::clone(&bound), &old, &world.state, changed, 3, 2, u64::MAX).unwrap();
            indexes.check_invariants(&world.state);
            check(&view(&world, indexes.clone()));
        }
        check(&first);
        first.indexes().check_invariants(first.state());
    }
}

#[test]
fn an_update_costs_what_changed() {
    let mut world = World::of(|registry| registry.with::<Film>());
    world.add_all(&(0..2_000).map(|id| film(id, id as u32)).collect::<Vec<_>>());
    let bound = binding(&world.declared, world.state.schema());
    let mut changed = ChangedRoots::default();
    let mut title = film(7, 7);
    title.title = "another".into();
    let delta = world.change(&[], &[], &[(7, title)]);
    changed.note(&delta, &world.state, &bound);
    assert!(changed.is_empty(), "no index reads the title (I10)");
    let delta = world.change(&[8], &[], &[(9, film(9, 10))]);
    changed.note(&delta, &world.state, &bound);
    assert!(changed.len_max() <= 2, "one record went, one changed (I10)");
}

#[derive(Clone, Debug, PartialEq, Record)]
struct Part {
    numbers: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq, Record)]
#[record(key = "id")]
struct Machine {
    id: u64,
    parts: Vec<Part>,
    shelves: Vec<Shelf>,
}

#[derive(Clone, Debug, PartialEq, Record)]
struct Shelf {
    parts: Vec<Part>,
}

const BY_NUMBER_OF_PART: HashIndex<Machine, u32> = HashIndex::on("parts.numbers");
const BY_NUMBER_ON_SHELF: HashIndex<Machine, u32> = HashIndex::on("shelves.parts.numbers");

fn machine(id: u64, parts: usize, numbers: u32) -> Machine {
    let part = Part { numbers: (0..numbers).collect() };
    let parts = vec![part; parts];
    Machine { id, shelves: vec![Shelf { parts: parts.clone() }; 4], parts }
}

/// One component, referred to thousands of times, with thousands of numbers: an index takes memory by its values, and
/// each component is read once, whether it is built or updated (I9).
#[test]
fn an_index_takes_memory_by_values_and_not_by_paths() {
    let mut world = World::of(|registry| registry.with::<Machine>());
    world.add_all(&[machine(1, 3_000, 3_000)]);
    let declared = [IndexDeclaration::new(&BY_NUMBER_OF_PART), IndexDeclaration::new(&BY_NUMBER_ON_SHELF)];
    let bound = Arc::new(IndexBinding::new(&declared, &world.declared, world.state.schema()).expect("they fit"));
    let root = world.state.schema().find("Machine").expect("it is there");
    let values = |at: usize| {
        let mut count = 0;
        bound.indexes[at].path.values(&world.state, crate::ids::Ordinal(0), &mut |_| count += 1);
        count
    };
    assert!(values(0) <= 257 * 3_000 && values(1) <= 257 * 3_000, "{} and {} values are met", values(0), values(1));
    assert_eq!(world.state.table(root).len(), 1);
    let indexes = Indexes::build(Arc::clone(&bound), &world.state, 3, 2, 1 << 20).expect("they fit");
    indexes.check_invariants(&world.state);
    let old = world.state.clone();
    let delta = world.change(&[], &[(1, machine(2, 3_000, 3_001))], &[]);
    let mut changed = ChangedRoots::default();
    changed.note(&delta, &world.state, &bound);
    let updated = indexes.updated(bound, &old, &world.state, changed, 3, 2, 4 << 20).expect("they fit");
    updated.check_invariants(&world.state);
    assert_eq!(view(&world, updated).find(&BY_NUMBER_ON_SHELF, 3_000).len(), 1);
}

#[test]
fn indexes_that_take_too_much_are_refused() {
    let mut world = World::of(|registry| registry.with::<Film>());
    world.add_all(&(0..500).map(|id| film(id, id as u32)).collect::<Vec<_>>());
    let bound = binding(&world.declared, world.state.schema());
    let build = |bytes_max| Indexes::build(Arc::clone(&bound), &world.state, 3, 2, bytes_max);
    let indexes = build(u64::MAX).expect("there is room for any");
    let needed = indexes.memory_bytes() as u64;
    assert!(build(needed / 4).expect_err("too little").needed > needed / 4);
    let old = world.state.clone();
    let more: Vec<_> = (500..620).map(|at| (at, film(u64::from(at), at))).collect();
    let delta = world.change(&[], &more, &[]);
    let mut changed = ChangedRoots::default();
    changed.note(&delta, &world.state, &bound);
    let update = |bytes_max| indexes.updated(Arc::clone(&bound), &old, &world.state, changed.clone(), 3, 2, bytes_max);
    let updated = update(u64::MAX).expect("there is room for any").memory_bytes() as u64;
    assert!(updated > needed);
    assert!(update(needed).is_err());
    update(updated + (64 << 10)).expect("what is counted is near to what they take").check_invariants(&world.state);
}

#[test]
fn wrong_indexes_say_what_to_write() {
    fn problem<V: IndexValue + ?Sized>(path: &'static str) -> String {
        let world = World::of(|registry| registry.with::<Film>());
        let index: HashIndex<Film, V> = HashIndex::on(path);
        let declared = [IndexDeclaration::new(&index)];
        let error: IndexError = IndexBinding::new(&declared, &world.declared, world.state.schema()).expect_err("wrong");
        error.to_string()
    }
    assert_eq!(
        problem::<str>("land"),
        "index on Film.land: Film has no field land; it has id, title, country, year, rating, genre, cast, lead, tags, \
         facts, sequel, plot"
    );
    assert_eq!(
        problem::<u32>("year"),
        "index on Film.year: its values are u16, not u32; declare it as HashIndex<Film, u16>"
    );
    assert_eq!(problem::<str>("cast"), "index on Film.cast: cast is a component; name one of its fields: cast.…");
    assert_eq!(
        problem::<str>("title.length"),
        "index on Film.title.length: title is not a component; the path must end there"
    );
    assert_eq!(problem::<str>("facts"), "index on Film.facts: facts is a map; write facts.keys or facts.values");
    assert_eq!(
        problem::<u64>("cast.name"),
        "index on Film.cast.name: its values are String, not u64; declare it as HashIndex<Film, String>"
    );
}

#[test]
fn an_undeclared_root_is_named() {
    let error = IndexBinding::new(&declarations(), &Declared::default(), &Schema::default()).expect_err("undeclared");
    assert_eq!(error.to_string(), "index on Film.country: Film is not declared; add .with::<Film>()");
}

#[test]
#[should_panic(expected = "the index on year is not declared")]
fn an_undeclared_index_panics_with_the_remedy() {
    let world = World::of(|registry| registry.with::<Film>());
    let _ = world.view().find(&BY_YEAR, 1990);
}

#[test]
fn a_dataset_without_the_type_has_no_matches() {
    let declared = World::of(|registry| registry.with::<Film>()).declared;
    let world = World::on(declared, Schema::default());
    let bound = binding(&world.declared, world.state.schema());
    let view = view(&world, Indexes::build(bound, &world.state, 3, 1, u64::MAX).unwrap());
    assert!(view.find(&BY_YEAR, 1990).is_empty());
    assert!(view.find(&BY_RATING, None).is_empty());
}
