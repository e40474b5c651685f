//! The records: movies and actors, each made alone from its number.

use serde::{Deserialize, Serialize};

use super::random::{Stream, Subject};
use super::tables::{GENRES, Tables, country_name, genre_name};

/// A movie.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Movie {
    /// The key: the movie's number.
    pub id: u64,
    /// 6 to 40 ASCII characters.
    pub title: String,
    /// 1920 to 2025.
    pub year: u16,
    /// 0.00 to 10.00 in steps of a hundredth.
    pub rating: f32,
    /// 40 to 240.
    pub runtime_minutes: u16,
    /// One of 200, very unevenly spread.
    pub country: String,
    /// 1 to 4 different ones, in an order that counts.
    pub genres: Vec<String>,
    /// 3 to 10 different ones, in an order that counts.
    pub cast: Vec<Actor>,
    /// 50 to 300 ASCII characters.
    pub synopsis: String,
}

/// An actor; the same actor is always the same value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Actor {
    /// The actor's number.
    pub actor_id: u32,
    /// First and last name. Different actors may share one.
    pub name: String,
}

/// The rating of a rating integer (hundredths, 0 to 1000).
#[must_use]
pub fn rating_of(integer: u16) -> f32 {
    f32::from(integer) / 100.0
}

/// The rating integer of a rating: the inverse of [`rating_of`].
#[must_use]
pub fn rating_integer(rating: f32) -> u16 {
    (rating * 100.0).round() as u16
}

/// A catalog of a given number of movies: the source of truth of every run.
pub struct Catalog {
    records: u64,
    tables: Tables,
}

impl Catalog {
    /// A catalog of `records` movies with ids from 0 on, and a fifth as many actors.
    ///
    /// # Panics
    /// If there are fewer than 50 movies: a cast of ten needs ten actors.
    #[must_use]
    pub fn new(records: u64) -> Self {
        assert!(records >= 50, "a catalog needs at least 50 movies, not {records}");
        Self { records, tables: Tables::new() }
    }

    /// The number of movies.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The number of actors.
    #[must_use]
    pub fn actors(&self) -> u32 {
        (self.records / 5) as u32
    }

    /// Word `number` of the vocabulary.
    #[must_use]
    pub fn word(&self, number: usize) -> &str {
        self.tables.word(number)
    }

    /// Movie `id` before any change.
    #[must_use]
    pub fn movie(&self, id: u64) -> Movie {
        let mut stream = Stream::new(Subject::Movie, id);
        let mut title = String::new();
        self.tables.draw_text(&mut stream, 6, 40, &mut title);
        let year = 1920 + stream.below(106) as u16;
        let rating = rating_of(stream.below(1001) as u16);
        let runtime_minutes = 40 + stream.below(201) as u16;
        let country = country_name(self.tables.draw_country(&mut stream));
        let length = 1 + stream.below(4);
        let genres = draw_distinct(&mut stream, length, GENRES as u64);
        let length = 3 + stream.below(8);
        let cast = draw_distinct(&mut stream, length, u64::from(self.actors()));
        let mut synopsis = String::new();
        self.tables.draw_text(&mut stream, 50, 300, &mut synopsis);
        Movie {
            id,
            title,
            year,
            rating,
            runtime_minutes,
            country,
            genres: genres.into_iter().map(|number| genre_name(number as usize)).collect(),
            cast: cast.into_iter().map(|number| self.actor(number as u32)).collect(),
            synopsis,
        }
    }

    /// All movies in the order of their ids, before any change.
    pub fn movies(&self) -> impl Iterator<Item = Movie> {
        (0..self.records).map(|id| self.movie(id))
    }

    /// Actor `actor_id`.
    #[must_use]
    pub fn actor(&self, actor_id: u32) -> Actor {
        let mut stream = Stream::new(Subject::Actor, u64::from(actor_id));
        let mut name = String::new();
        self.tables.push_name(&mut stream, &mut name);
        name.push(' ');
        self.tables.push_name(&mut stream, &mut name);
        Actor { actor_id, name }
    }

    /// The rating integers of all movies before any change, with which a chain of change sets starts.
    #[must_use]
    pub fn rating_integers(&self) -> Vec<u16> {
        let mut title = String::new();
        let integer = |id| {
            let mut stream = Stream::new(Subject::Movie, id);
            self.tables.draw_text(&mut stream, 6, 40, &mut title);
            stream.below(106);
            stream.below(1001) as u16
        };
        (0..self.records).map(integer).collect()
    }

    /// The ids that reader `thread` looks up, `count` of them in their order.
    #[must_use]
    pub fn read_keys(&self, thread: u64, count: usize) -> Vec<u64> {
        let mut stream = Stream::new(Subject::ReadKeys, thread);
        (0..count).map(|_| stream.below(self.records)).collect()
    }

    /// Like [`Catalog::read_keys`], for ids that no movie has.
    #[must_use]
    pub fn missing_keys(&self, thread: u64, count: usize) -> Vec<u64> {
        let mut keys = self.read_keys(thread, count);
        keys.iter_mut().for_each(|key| *key += self.records);
        keys
    }
}

/// `length` different numbers below `end`; a number that is taken is replaced by the next free one.
fn draw_distinct(stream: &mut Stream, length: u64, end: u64) -> Vec<u64> {
    let mut drawn = Vec::with_capacity(length as usize);
    for _ in 0..length {
        let mut number = stream.below(end);
        while drawn.contains(&number) {
            number = (number + 1) % end;
        }
        drawn.push(number);
    }
    drawn
}
