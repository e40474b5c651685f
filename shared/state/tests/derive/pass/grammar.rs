//! All of the grammar, in a crate that warns of missing docs and unreachable items.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use cenote_state::{Key, Record, Text, View};

/// A value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Record)]
pub enum Genre {
    /// Sad.
    #[default]
    #[record(name = "drama")]
    Drama,
    /// Not known to this program.
    #[record(other)]
    Other,
}

/// A component.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Record)]
pub struct Place {
    /// A part of keys.
    pub zip: String,
    /// A part of keys.
    pub r#type: u8,
}

/// A root.
#[derive(Clone, Debug, PartialEq, Record)]
#[record(key = ["id", "place.zip", "genre"], name = "movies", crate = ::cenote_state)]
pub struct Movie {
    /// A part of the key.
    pub id: i64,
    /// A part of the key leads through it.
    pub place: Place,
    /// A part of the key.
    pub genre: Genre,
    small: Option<i8>,
    wide: Option<f64>,
    flag: bool,
    #[record(name = "bytes", was = "blob")]
    payload: Vec<u8>,
    blobs: Vec<Vec<u8>>,
    places: BTreeSet<Place>,
    more: Option<HashSet<i16>>,
    by_name: BTreeMap<String, Place>,
    by_number: HashMap<u16, Vec<u8>>,
    #[record(dedup)]
    country: Option<String>,
    #[record(dedup, default)]
    words: BTreeMap<Genre, String>,
    next: Option<Key<Movie>>,
    owner: Key<Owner>,
    #[record(default)]
    mood: Genre,
    #[record(packed, default)]
    synopsis: String,
    #[record(packed, was = "critique")]
    review: Option<String>,
}

/// A root whose key is another's.
#[derive(Record)]
#[record(key = "movie, name")]
pub struct Owner {
    movie: Key<Movie>,
    #[record(dedup)]
    name: String,
}

/// Literals find their types.
pub fn read(view: &View) -> Option<String> {
    let movie = view.get::<Movie>((42, "1011", Genre::Drama))?;
    let key: Key<Movie> = Key::new((movie.id(), movie.place().zip(), movie.genre()));
    let owner = view.get::<Owner>((key.lend(), "me"))?;
    let kind: u8 = movie.place().r#type();
    Some(format!("{} {kind} {:?}", owner.name(), movie.owner().get(view)?.to_owned().movie))
}

fn _private_fields_are_read(movie: MovieRef<'_>) -> Option<i8> {
    let _ = (movie.flag(), movie.wide(), movie.payload(), movie.blobs(), movie.places(), movie.more());
    let _ = (movie.by_name().get("x"), movie.by_number().get(7), movie.country(), movie.words(), movie.next());
    let _: (Text<'_>, Option<Text<'_>>) = (movie.synopsis(), movie.review());
    let _: (u32, Movie) = (movie.ordinal().0, movie.to_owned());
    movie.small()
}
