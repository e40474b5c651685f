//! The `catalog` workload: movies, their changes and the keys that readers look up, the same to the bit everywhere.
//!
//! Two programs that follow `benches/engine/WORKLOAD.md` produce the same bytes in any language; the tests here assert the
//! check sums of that page. Every record has a separate random stream, so that any record can be made alone, in any order,
//! on any thread.
//!
//! Rules: integer arithmetic only, except for one float division per rating; no state beyond the fixed tables.

mod canonical;
mod catalog;
mod changes;
mod random;
mod tables;
#[cfg(test)]
mod tests;

pub use canonical::{CheckSums, Fnv, check_changes, check_movies, known_movies};
pub use catalog::{Actor, Catalog, Movie, rating_integer, rating_of};
pub use changes::{Change, change_set_sizes};
pub use tables::{COUNTRIES, GENRES, WORDS, country_name, genre_name};
