//! Behaviour through the public API, on storage in memory, in virtual time.

mod cells;
mod doubts;
mod foreign;
mod keys;
mod layout;
mod lifecycle;
mod metric_labels;
mod model;
mod outcomes;
mod packed;
mod recovery;
mod requests;
mod rows;
mod schema;
mod snapshots;
mod validators;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::future::Future;

use cenote_producer::env::Env;
use cenote_producer::{BoxError, CycleError, Key, Producer, ProducerBuilder, Record, SnapshotPolicy, Update, Writer};

/// A root with every way to hold a component.
#[derive(Clone, Debug, PartialEq, Record)]
#[record(key = "id")]
pub(crate) struct Movie {
    pub(crate) id: u64,
    pub(crate) title: String,
    pub(crate) rating: Option<f32>,
    #[record(dedup)]
    pub(crate) country: String,
    pub(crate) genres: BTreeSet<Genre>,
    pub(crate) cast: Vec<Actor>,
    pub(crate) roles: BTreeMap<String, Actor>,
    pub(crate) sequels: Vec<Key<Movie>>,
    #[record(packed)]
    pub(crate) plot: String,
}

/// A component.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Record)]
pub(crate) struct Genre {
    pub(crate) name: String,
}

/// A component that holds another.
#[derive(Clone, Debug, PartialEq, Record)]
pub(crate) struct Actor {
    pub(crate) name: String,
    pub(crate) agency: Option<Agency>,
}

/// A component of a component.
#[derive(Clone, Debug, PartialEq, Record)]
pub(crate) struct Agency {
    pub(crate) city: String,
}

/// A root with a text key.
#[derive(Clone, Debug, PartialEq, Record)]
#[record(key = "code")]
pub(crate) struct Country {
    pub(crate) code: String,
    pub(crate) people: i64,
}

/// A movie of which only the number matters.
pub(crate) fn movie(id: u64) -> Movie {
    Movie {
        id,
        title: format!("movie {id}"),
        rating: None,
        country: "nl".into(),
        genres: BTreeSet::new(),
        cast: Vec::new(),
        roles: BTreeMap::new(),
        sequels: Vec::new(),
        plot: format!("the plot of movie {id} is much like that of any other movie"),
    }
}

/// An error's message and those of its sources.
pub(crate) fn chain(error: &dyn Error) -> String {
    let source = error.source().map_or_else(String::new, |source| format!(": {}", chain(source)));
    format!("{error}{source}")
}

/// Runs a test on one thread, in virtual time.
pub(crate) fn run<F: Future>(test: F) -> F::Output {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().expect("a runtime can be made").block_on(test)
}

/// A producer of movies and countries on a dataset of this name.
pub(crate) fn producer(name: &str) -> ProducerBuilder {
    Producer::builder(format!("memory://{name}")).with::<Movie>().with::<Country>().env(Env::simulated(7))
}
