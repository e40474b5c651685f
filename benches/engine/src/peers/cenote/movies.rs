//! The movies as records of the engine; components hold what repeats, once.

use cenote_consumer::HashIndex;
use cenote_state::{Record, Root};

use crate::peers::{text_sum, three_fields};
use crate::workload;

/// A movie, plain or packed, and the reads of the comparison.
pub trait Film: Root<Key = u64> + for<'s> From<&'s workload::Movie> + Into<workload::Movie> {
    /// The name of the system.
    const SYSTEM: &'static str;
    /// The index of the country queries.
    const BY_COUNTRY: HashIndex<Self, str>;

    /// The part of the sum for reading title, year and rating.
    fn sum_3_fields(movie: Self::Ref<'_>) -> u64;
    /// The part of the sum for reading the names of the cast.
    fn sum_cast(movie: Self::Ref<'_>) -> u64;
    /// The rating.
    fn rating_of(movie: Self::Ref<'_>) -> f64;
}

/// The index of the country queries, for plain movies.
pub const BY_COUNTRY: HashIndex<Movie, str> = Movie::BY_COUNTRY;

/// A genre: a component, of which there are 40.
#[derive(Record, Debug)]
pub struct Genre {
    /// As in the workload.
    pub name: String,
}

/// An actor: a component.
#[derive(Record, Debug)]
pub struct Actor {
    /// As in the workload.
    pub actor_id: u32,
    /// As in the workload.
    pub name: String,
}

macro_rules! movie {
    ($(#[$doc:meta])* $name:ident, $system:literal, $(#[$text:meta])*) => {
        $(#[$doc])*
        #[derive(Record, Debug)]
        #[record(key = "id")]
        pub struct $name {
            /// As in the workload.
            pub id: u64,
            /// As in the workload.
            pub title: String,
            /// As in the workload.
            pub year: u16,
            /// As in the workload.
            pub rating: f32,
            /// As in the workload.
            pub runtime_minutes: u16,
            /// As in the workload.
            #[record(dedup)]
            pub country: String,
            /// As in the workload.
            pub genres: Vec<Genre>,
            /// As in the workload.
            pub cast: Vec<Actor>,
            /// As in the workload.
            $(#[$text])*
            pub synopsis: String,
        }

        impl From<&workload::Movie> for $name {
            fn from(movie: &workload::Movie) -> $name {
                let actor = |actor: &workload::Actor| Actor { actor_id: actor.actor_id, name: actor.name.clone() };
                $name {
                    id: movie.id,
                    title: movie.title.clone(),
                    year: movie.year,
                    rating: movie.rating,
                    runtime_minutes: movie.runtime_minutes,
                    country: movie.country.clone(),
                    genres: movie.genres.iter().map(|name| Genre { name: name.clone() }).collect(),
                    cast: movie.cast.iter().map(actor).collect(),
                    synopsis: movie.synopsis.clone(),
                }
            }
        }

        impl From<$name> for workload::Movie {
            fn from(movie: $name) -> workload::Movie {
                let actor = |actor: Actor| workload::Actor { actor_id: actor.actor_id, name: actor.name };
                workload::Movie {
                    id: movie.id,
                    title: movie.title,
                    year: movie.year,
                    rating: movie.rating,
                    runtime_minutes: movie.runtime_minutes,
                    country: movie.country,
                    genres: movie.genres.into_iter().map(|genre| genre.name).collect(),
                    cast: movie.cast.into_iter().map(actor).collect(),
                    synopsis: movie.synopsis,
                }
            }
        }

        impl Film for $name {
            const SYSTEM: &'static str = $system;
            const BY_COUNTRY: HashIndex<$name, str> = HashIndex::on("country");

            #[inline(always)]
            fn sum_3_fields(movie: Self::Ref<'_>) -> u64 {
                three_fields(movie.title(), movie.year(), movie.rating())
            }
            #[inline(always)]
            fn sum_cast(movie: Self::Ref<'_>) -> u64 {
                movie.cast().iter().map(|actor| text_sum(actor.name())).sum()
            }
            #[inline(always)]
            fn rating_of(movie: Self::Ref<'_>) -> f64 {
                f64::from(movie.rating())
            }
        }
    };
}

movie!(
    /// A movie with all text plain.
    Movie,
    "cenote",
);
movie!(
    /// A movie with its synopsis packed.
    PackedMovie,
    "cenote-packed",
    #[record(packed)]
);
