//! `map-cow`: the records of `map` in a persistent map, so that a version costs what changed and shares the rest.

use std::path::Path;
use std::sync::Arc;

use imbl::shared_ptr::DefaultSharedPtr;
use rustc_hash::FxBuildHasher;

use super::files::{Files, Names, Open};
use super::handmade::{Actor, Actors, Handmade, Movies, Record, View, read_records};
use super::{Answer, Consume, Place, Produce, System};
use crate::workload;

/// A persistent map that shares unchanged records between versions.
pub(super) struct MapCow;

impl System for MapCow {
    fn name(&self) -> &'static str {
        "map-cow"
    }

    fn spare_versions(&self) -> u64 {
        200
    }

    fn produce(&self, place: Place) -> Answer<Box<dyn Produce>> {
        Ok(Box::new(Files::new(place, false)))
    }

    fn consume(&self, folder: &Path) -> Answer<Box<dyn Consume>> {
        Ok(Box::new(Handmade::<Persistent>::new(folder)))
    }
}

/// A persistent map, and the actors by number, which the next version's records share.
struct Persistent {
    movies: imbl::GenericHashMap<u64, Arc<Record>, FxBuildHasher, DefaultSharedPtr>,
    actors: Arc<Actors>,
}

impl Movies for Persistent {
    fn load(folder: &Path, version: u64) -> Answer<View<Self>> {
        let mut movies = imbl::GenericHashMap::with_hasher(FxBuildHasher);
        let (names, actors) = read_records(folder, version, |id, record| {
            movies.insert(id, record);
        })?;
        Ok(View::new(Self { movies, actors: Arc::new(actors) }, Arc::new(names)))
    }

    fn next(before: &View<Self>, folder: &Path, version: u64) -> Answer<View<Self>> {
        let mut movies = before.movies.movies.clone();
        let mut actors = Arc::clone(&before.movies.actors);
        Open::each_change(folder, version, |movie| {
            movies.insert(movie.id, Arc::new(record(movie, &before.names, &mut actors)));
        })?;
        Ok(View::new(Self { movies, actors }, Arc::clone(&before.names)))
    }

    fn get(&self, id: u64) -> Option<&Arc<Record>> {
        self.movies.get(&id)
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.movies.values()
    }
}

fn record(movie: workload::Movie, names: &Names, actors: &mut Arc<Actors>) -> Record {
    let mut share = |actor: workload::Actor| match actors.get(&actor.actor_id) {
        Some(shared) if *shared.name == *actor.name => Arc::clone(shared),
        _ => {
            let shared = Arc::new(Actor { id: actor.actor_id, name: actor.name.into() });
            Arc::make_mut(actors).insert(shared.id, Arc::clone(&shared));
            shared
        }
    };
    Record {
        cast: movie.cast.into_iter().map(&mut share).collect(),
        genres: movie.genres.iter().map(|name| names.genre(name)).collect(),
        country: names.country(&movie.country),
        title: movie.title.into(),
        synopsis: movie.synopsis.into(),
        rating: movie.rating,
        year: movie.year,
        runtime_minutes: movie.runtime_minutes,
    }
}
