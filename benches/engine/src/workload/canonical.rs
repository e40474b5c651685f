//! The canonical text of the workload and its check sums, which show whether two programs made the same records.

use std::fmt::{self, Write};

use super::catalog::{Catalog, Movie, rating_integer};
use super::changes::Change;

/// FNV-1a with 64 bits, over text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fnv(pub u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Write for Fnv {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Ok(())
    }
}

/// The length and hash of many canonical lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckSums {
    /// The bytes of all lines.
    pub bytes: u64,
    /// Their hash.
    pub hash: Fnv,
}

impl Movie {
    /// The movie as one line of JSON, fields in a fixed order, no spaces, newline at the end.
    ///
    /// All text of the workload is plain ASCII without quotes, so nothing needs escaping.
    pub fn write_canonical(&self, out: &mut impl Write) -> fmt::Result {
        let rating = rating_integer(self.rating);
        write!(out, r#"{{"id":{},"title":"{}","year":{},"rating":"#, self.id, self.title, self.year)?;
        write!(out, r#"{}.{:02},"runtime_minutes":{}"#, rating / 100, rating % 100, self.runtime_minutes)?;
        write!(out, r#","country":"{}","genres":["#, self.country)?;
        for (place, genre) in self.genres.iter().enumerate() {
            write!(out, r#"{}"{genre}""#, comma(place))?;
        }
        out.write_str(r#"],"cast":["#)?;
        for (place, actor) in self.cast.iter().enumerate() {
            write!(out, r#"{}{{"actor_id":{},"name":"{}"}}"#, comma(place), actor.actor_id, actor.name)?;
        }
        writeln!(out, r#"],"synopsis":"{}"}}"#, self.synopsis)
    }
}

fn comma(place: usize) -> &'static str {
    if place == 0 { "" } else { "," }
}

/// The check sums of these movies' canonical lines.
#[must_use]
pub fn check_movies(movies: impl IntoIterator<Item = Movie>) -> CheckSums {
    let mut sums = CheckSums::default();
    let mut line = String::new();
    for movie in movies {
        line.clear();
        movie.write_canonical(&mut line).expect("a String takes all text");
        sums.bytes += line.len() as u64;
        sums.hash.write_str(&line).expect("a hash takes all text");
    }
    sums
}

/// The hash of a change set: a line `id,rating integer,runtime` per change.
#[must_use]
pub fn check_changes(changes: &[Change]) -> Fnv {
    let mut hash = Fnv::default();
    for change in changes {
        writeln!(hash, "{},{},{}", change.id, change.rating_integer, change.runtime_minutes)
            .expect("a hash takes all text");
    }
    hash
}

/// The check sums of the whole catalog before any change, for the sizes that `WORKLOAD.md` lists.
#[must_use]
pub fn known_movies(records: u64) -> Option<CheckSums> {
    let (bytes, hash) = match records {
        1_000 => (602_130, 0x04bf_c94f_7ea9_0ee7),
        100_000 => (61_718_271, 0x57c5_f83b_c6d8_43d0),
        1_000_000 => (624_520_893, 0x244e_dd2d_282e_be1a),
        5_000_000 => (3_142_071_163, 0x69b6_2801_1ddc_abf0),
        _ => return None,
    };
    Some(CheckSums { bytes, hash: Fnv(hash) })
}

impl Catalog {
    /// Compares the check sums of all movies with the known ones of this size, if any.
    ///
    /// # Panics
    /// If they differ: this program would measure another workload.
    pub fn assert_known(&self) {
        if let Some(known) = known_movies(self.records()) {
            let found = check_movies(self.movies());
            assert_eq!(found, known, "the generator's {} movies are not the workload's", self.records());
        }
    }
}
