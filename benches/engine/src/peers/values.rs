//! What the embedded stores share: a record as one value, the file of the store as the snapshot, and copies of it.
//!
//! A value is the record in bincode; title, year and rating are first, so that reading them decodes nothing else, as a
//! careful team would arrange it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use serde::Deserialize;

use super::files::{FORMAT, Files};
use super::{Answer, Place, Produce, Published, Refusal, text_sum, three_fields};
use crate::workload::{Actor, Movie};

/// The first fields of a value.
#[derive(Deserialize)]
struct Head<'a> {
    title: &'a str,
    year: u16,
    rating: f32,
}

/// The whole value, borrowed.
#[derive(Deserialize)]
struct Whole<'a> {
    _title: &'a str,
    _year: u16,
    _rating: f32,
    _runtime_minutes: u16,
    _country: &'a str,
    _genres: Vec<&'a str>,
    cast: Vec<(u32, &'a str)>,
}

type Owned = (String, u16, f32, u16, String, Vec<String>, Vec<Actor>, String);

/// A record as a value.
pub(super) fn encode(movie: &Movie) -> Answer<Vec<u8>> {
    let head = (&movie.title, movie.year, movie.rating, movie.runtime_minutes);
    let rest = (&movie.country, &movie.genres, &movie.cast, &movie.synopsis);
    Ok(bincode::serde::encode_to_vec((head, rest), FORMAT)?)
}

/// The record in a value.
pub(super) fn decode(id: u64, value: &[u8]) -> Answer<Movie> {
    let (owned, _): (Owned, _) = bincode::serde::borrow_decode_from_slice(value, FORMAT)?;
    let (title, year, rating, runtime_minutes, country, genres, cast, synopsis) = owned;
    Ok(Movie { id, title, year, rating, runtime_minutes, country, genres, cast, synopsis })
}

/// The part of the sum for reading three fields of a value.
pub(super) fn sum_3_fields(value: &[u8]) -> Answer<u64> {
    let head = head(value)?;
    Ok(three_fields(head.title, head.year, head.rating))
}

/// The rating of a value.
pub(super) fn rating(value: &[u8]) -> Answer<f64> {
    Ok(f64::from(head(value)?.rating))
}

fn head(value: &[u8]) -> Answer<Head<'_>> {
    Ok(bincode::serde::borrow_decode_from_slice(value, FORMAT)?.0)
}

/// The part of the sum for reading the cast of a value.
pub(super) fn sum_cast(value: &[u8]) -> Answer<u64> {
    let (whole, _): (Whole<'_>, _) = bincode::serde::borrow_decode_from_slice(value, FORMAT)?;
    Ok(whole.cast.iter().map(|(_, name)| text_sum(name)).sum())
}

/// The part of the sum for the value of a key.
pub(super) type Sum = fn(&[u8]) -> Answer<u64>;

/// A producer whose snapshot is the file of the store, and whose changes are files of records.
pub(super) struct StoreProducer {
    folder: PathBuf,
    files: Files,
    build: fn(&Path, &[Movie]) -> Answer<()>,
    /// Whether every version is a whole file.
    whole: bool,
}

impl StoreProducer {
    /// `build` creates the file of the store at a path.
    pub(super) fn new(place: Place, whole: bool, build: fn(&Path, &[Movie]) -> Answer<()>) -> Answer<Self> {
        let Place::Folder(folder) = place else {
            return Err(Refusal::Unsupported("changes go straight into the store: see apply_delta"));
        };
        Ok(Self { files: Files::new(Place::Folder(folder.clone()), false), folder, build, whole })
    }
}

impl Produce for StoreProducer {
    fn publish(&mut self, movies: &[Movie]) -> Answer<Published> {
        let version = self.files.take_version();
        let path = store_path(&self.folder, version);
        (self.build)(&path, movies)?;
        Ok(Published { version, stored: Some(fs::metadata(&path)?.len()), compressed: None })
    }

    fn update(&mut self, movies: &[Movie], changed: &[usize]) -> Answer<Published> {
        if self.whole { self.publish(movies) } else { self.files.update(movies, changed) }
    }
}

fn store_path(folder: &Path, version: u64) -> PathBuf {
    folder.join(format!("store-{version}"))
}

/// The copies of store files of one consumer, which are removed with it.
pub(super) struct Copies {
    pub(super) folder: PathBuf,
    copies: PathBuf,
}

impl Copies {
    pub(super) fn new(folder: &Path, name: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let copies = folder.join(format!("copies-{name}-{}-{number}", std::process::id()));
        Self { folder: folder.to_owned(), copies }
    }

    /// Copies the store of a version, as a service would fetch it.
    pub(super) fn fetch(&self, version: u64) -> Answer<PathBuf> {
        fs::create_dir_all(&self.copies)?;
        let path = self.copies.join(format!("store-{version}"));
        if path.exists() {
            // Unlinked, not overwritten: an older copy may still be mapped.
            fs::remove_file(&path)?;
        }
        fs::copy(store_path(&self.folder, version), &path)?;
        Ok(path)
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        // Left-overs do no harm: the folder is removed after the turn.
        let _ = fs::remove_dir_all(&self.copies);
    }
}
