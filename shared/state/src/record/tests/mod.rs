//! Structs to rows to segments to readers, and back.

mod declaring;
mod round_trip;
mod variants;
mod world;

pub(crate) use world::World;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::{Key, Record};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Record)]
enum Genre {
    #[default]
    Drama,
    Comedy,
    #[record(other)]
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Record)]
struct Actor {
    actor_id: u32,
    name: String,
}

#[derive(Clone, Debug, PartialEq, Record)]
#[record(key = "id")]
struct Movie {
    id: u64,
    title: String,
    year: u16,
    #[record(dedup)]
    country: String,
    rating: Option<f32>,
    genres: Vec<Genre>,
    cast: Vec<Actor>,
    lead: Option<Actor>,
    crew: HashSet<Actor>,
    sequels: Vec<Key<Movie>>,
    facts: BTreeMap<String, String>,
    votes: HashMap<i8, Vec<u8>>,
    tags: Option<BTreeSet<String>>,
    poster: Vec<u8>,
    #[record(default)]
    genre: Genre,
    #[record(dedup)]
    languages: Vec<String>,
    #[record(packed)]
    synopsis: String,
    #[record(packed)]
    review: Option<String>,
}

fn movie(id: u64) -> Movie {
    let actor = |number: u32| Actor { actor_id: number, name: format!("Actor {number}") };
    Movie {
        id,
        title: format!("Movie {id}"),
        year: 1900 + id as u16,
        country: if id.is_multiple_of(2) { "nl".into() } else { "be".into() },
        rating: (!id.is_multiple_of(3)).then_some(id as f32 / 10.0),
        genres: vec![Genre::Comedy, Genre::Drama, Genre::Comedy],
        cast: vec![actor(id as u32), actor(1), actor(2)],
        lead: (id.is_multiple_of(2)).then(|| actor(3)),
        crew: [actor(5), actor(4), actor(id as u32)].into(),
        sequels: vec![Key::new(id + 1), Key::new(999)],
        facts: [("b".to_owned(), String::new()), ("a".to_owned(), "x".to_owned())].into(),
        votes: [(-3, vec![1, 2]), (2, vec![]), (i8::MIN, vec![0])].into(),
        tags: (!id.is_multiple_of(2)).then(|| ["z".to_owned(), "é".to_owned()].into()),
        poster: vec![0, 255, id as u8],
        genre: Genre::Unknown,
        languages: vec!["nl".to_owned(), "fr".to_owned(), "nl".to_owned()],
        synopsis: "the pool ".repeat(id as usize),
        review: (id % 3 == 1).then(|| format!("the schönste pool of {id}")),
    }
}

#[test]
fn records_come_back_as_they_went_in() {
    let mut world = World::of(|registry| registry.with::<Movie>());
    let movies: Vec<Movie> = (1..=40).map(movie).collect();
    world.add_all(&movies);
    let view = world.view();
    assert_eq!(view.len::<Movie>(), 40);
    for movie in &movies {
        assert_eq!(view.get::<Movie>(movie.id).expect("it was added").to_owned(), *movie);
    }
    let all: Vec<Movie> = view.all::<Movie>().map(MovieRef::to_owned).collect();
    assert_eq!(all, movies);
    assert!(view.get::<Movie>(41).is_none());
}

#[test]
fn readers_read_in_place() {
    let mut world = World::of(|registry| registry.with::<Movie>());
    world.add_all(&[movie(1), movie(2)]);
    let view = world.view();
    let movie = view.get::<Movie>(2).expect("it was added");
    assert_eq!((movie.id(), movie.title(), movie.year(), movie.country()), (2, "Movie 2", 1902, "nl"));
    assert_eq!(movie.rating(), Some(0.2));
    assert_eq!(movie.cast().get(1).expect("three actors").name(), "Actor 1");
    assert_eq!(movie.cast().iter().map(ActorRef::actor_id).collect::<Vec<_>>(), [2, 1, 2]);
    assert_eq!(movie.facts().get("a"), Some("x"));
    assert_eq!(movie.facts().get("c"), None);
    assert_eq!(movie.votes().get(-3), Some(&[1, 2][..]));
    assert_eq!(movie.votes().keys().collect::<Vec<_>>(), [i8::MIN, -3, 2]);
    assert!(movie.tags().is_none());
    assert!(movie.genres().contains(Genre::Comedy));
    let first = view.get::<Movie>(1).expect("it was added");
    assert!(first.tags().expect("odd movies have tags").contains("é"));
    let sequels: Vec<_> = first.sequels().iter().map(|key| key.get(&view).map(MovieRef::id)).collect();
    assert_eq!(sequels, [Some(2), None], "a key may dangle");
    assert_eq!(first.sequels().get(0).expect("two sequels").value(), Some(2));
    assert!(first.synopsis() == "the pool " && first.review().expect("there is one") == "the schönste pool of 1");
    assert!(movie.review().is_none() && first.synopsis() < movie.synopsis() && movie.synopsis().len() == 18);
    assert_ne!(first, movie);
    assert_eq!(first, view.get_key(Key::<Movie>::new(1).lend()).expect("it was added"));
    assert!(format!("{first:?}").starts_with("Movie { id: 1, title: \"Movie 1\""), "{first:?}");
}
