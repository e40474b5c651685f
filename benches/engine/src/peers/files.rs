//! The files of the hand-made peers: bincode in zstd, a whole dataset or the changed records of a version.
//!
//! `snapshot-<version>` has each name once and records that refer to names by number, streamed, so that a reader needs no
//! second copy while it builds; `changes-<version>` has whole records, which is what teams that do this send.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use bincode::config::{Configuration, standard};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::{Answer, Place, Published};
use crate::workload::{COUNTRIES, GENRES, Movie, country_name, genre_name};

const LEVEL: i32 = 3;
pub(super) const FORMAT: Configuration = standard();

/// The names to which records refer by number.
#[derive(Serialize, Deserialize)]
pub(super) struct Names {
    pub(super) countries: Vec<Box<str>>,
    pub(super) genres: Vec<Box<str>>,
    /// Ascending by number.
    pub(super) actors: Vec<(u32, Box<str>)>,
    pub(super) records: u64,
}

impl Names {
    fn of(movies: &[Movie]) -> Self {
        let cast = movies.iter().flat_map(|movie| &movie.cast);
        let actors: FxHashMap<u32, &str> = cast.map(|actor| (actor.actor_id, &*actor.name)).collect();
        let mut actors: Vec<_> = actors.into_iter().map(|(id, name)| (id, name.into())).collect();
        actors.sort_unstable_by_key(|actor: &(u32, Box<str>)| actor.0);
        Self {
            countries: (0..COUNTRIES).map(|number| country_name(number).into()).collect(),
            genres: (0..GENRES).map(|number| genre_name(number).into()).collect(),
            actors,
            records: movies.len() as u64,
        }
    }

    pub(super) fn country(&self, name: &str) -> u8 {
        self.countries.binary_search_by_key(&name, |own| own).expect("all countries have names") as u8
    }

    pub(super) fn genre(&self, name: &str) -> u8 {
        self.genres.binary_search_by_key(&name, |own| own).expect("all genres have names") as u8
    }
}

/// A record in a snapshot.
#[derive(Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) id: u64,
    pub(super) title: Box<str>,
    pub(super) year: u16,
    pub(super) rating: f32,
    pub(super) runtime_minutes: u16,
    pub(super) country: u8,
    pub(super) genres: Box<[u8]>,
    pub(super) cast: Box<[u32]>,
    pub(super) synopsis: Box<str>,
}

impl Row {
    fn of(movie: &Movie, names: &Names) -> Self {
        Self {
            id: movie.id,
            title: movie.title.as_str().into(),
            year: movie.year,
            rating: movie.rating,
            runtime_minutes: movie.runtime_minutes,
            country: names.country(&movie.country),
            genres: movie.genres.iter().map(|name| names.genre(name)).collect(),
            cast: movie.cast.iter().map(|actor| actor.actor_id).collect(),
            synopsis: movie.synopsis.as_str().into(),
        }
    }
}

/// The producer of these files. Versions count from 1.
pub(super) struct Files {
    place: Place,
    version: u64,
    whole: bool,
}

impl Files {
    /// With `whole`, every version is a snapshot; else, versions after the first have their changes.
    pub(super) fn new(place: Place, whole: bool) -> Self {
        Self { place, version: 0, whole }
    }

    /// Takes the number of the next version, for a version that another writer stores.
    pub(super) fn take_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    fn write(
        &mut self,
        path: impl Fn(&Path, u64) -> PathBuf,
        content: impl Fn(&mut dyn Write) -> Answer<()>,
    ) -> Answer<Published> {
        let version = self.take_version();
        let bytes = match &self.place {
            Place::Memory => compressed(Vec::new(), content)?.len() as u64,
            Place::Folder(folder) => {
                let path = path(folder, version);
                compressed(BufWriter::new(File::create(&path)?), content)?.flush()?;
                path.metadata()?.len()
            }
        };
        Ok(Published { version, stored: Some(bytes), compressed: Some(bytes) })
    }
}

impl super::Produce for Files {
    fn publish(&mut self, movies: &[Movie]) -> Answer<Published> {
        self.write(snapshot_path, |out| write_snapshot(movies, out))
    }

    fn republish(&mut self, movies: &[Movie]) -> Answer<()> {
        // The files do not record what changed, so the whole dataset is written again.
        self.publish(movies).map(|_| ())
    }

    fn update(&mut self, movies: &[Movie], changed: &[usize]) -> Answer<Published> {
        if self.whole {
            return self.publish(movies);
        }
        self.write(changes_path, |out| {
            put(&(changed.len() as u64), out)?;
            changed.iter().try_for_each(|&place| put(&movies[place], out))
        })
    }
}

fn snapshot_path(folder: &Path, version: u64) -> PathBuf {
    folder.join(format!("snapshot-{version}"))
}

fn changes_path(folder: &Path, version: u64) -> PathBuf {
    folder.join(format!("changes-{version}"))
}

fn compressed<W: Write>(out: W, content: impl Fn(&mut dyn Write) -> Answer<()>) -> Answer<W> {
    let mut encoder = zstd::Encoder::new(out, LEVEL)?;
    content(&mut encoder)?;
    Ok(encoder.finish()?)
}

fn write_snapshot(movies: &[Movie], out: &mut dyn Write) -> Answer<()> {
    let names = Names::of(movies);
    put(&names, out)?;
    movies.iter().try_for_each(|movie| put(&Row::of(movie, &names), out))
}

fn put(value: &impl Serialize, mut out: &mut dyn Write) -> Answer<()> {
    bincode::serde::encode_into_std_write(value, &mut out, FORMAT)?;
    Ok(())
}

/// An open file.
pub(super) struct Open(BufReader<zstd::Decoder<'static, BufReader<File>>>);

impl Open {
    /// Opens a snapshot and reads its names; [`Open::next`] reads its rows.
    pub(super) fn snapshot(folder: &Path, version: u64) -> Answer<(Self, Names)> {
        let mut open = Self::new(&snapshot_path(folder, version))?;
        let names = open.next()?;
        Ok((open, names))
    }

    /// Calls `each` with the changed records of a version.
    pub(super) fn each_change(folder: &Path, version: u64, mut each: impl FnMut(Movie)) -> Answer<()> {
        let mut open = Self::new(&changes_path(folder, version))?;
        let length: u64 = open.next()?;
        for _ in 0..length {
            each(open.next()?);
        }
        Ok(())
    }

    fn new(path: &Path) -> Answer<Self> {
        Ok(Self(BufReader::with_capacity(1 << 17, zstd::Decoder::new(File::open(path)?)?)))
    }

    /// Reads the next value.
    pub(super) fn next<T: for<'de> Deserialize<'de>>(&mut self) -> Answer<T> {
        Ok(bincode::serde::decode_from_std_read(&mut self.0, FORMAT)?)
    }
}
