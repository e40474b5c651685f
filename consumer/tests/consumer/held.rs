//! A consumer fetches, decodes and holds what its program declares; and reads of it what one that holds everything does.

use std::sync::Arc;

use cenote_consumer::dynamic::NameError;
use cenote_consumer::{Consumer, ConsumerBuilder, HashIndex, Key, Record, RefreshPath, ReloadPolicy, View};
use cenote_producer::{Allow, Producer, ProducerBuilder, SnapshotPolicy};
use cenote_store::env::Env;
use cenote_store::storage::Storage;
use cenote_testing::faults::CountingStore;

use crate::memory;

/// The producer's records, as its program has them at first.
mod first {
    use super::{Key, Record};

    #[derive(Record)]
    #[record(key = "id")]
    pub(crate) struct Movie {
        pub(crate) id: u64,
        pub(crate) title: String,
        pub(crate) year: u16,
        #[record(dedup)]
        pub(crate) country: String,
        pub(crate) genres: Vec<Genre>,
        pub(crate) studio: Option<Key<Studio>>,
        pub(crate) rating: Option<f32>,
        #[record(packed)]
        pub(crate) plot: String,
    }

    #[derive(Record)]
    pub(crate) struct Genre {
        pub(crate) name: String,
        pub(crate) weight: Option<u32>,
        pub(crate) origin: Origin,
    }

    #[derive(Record)]
    pub(crate) struct Origin {
        pub(crate) city: String,
    }

    /// Its key leads through a component.
    #[derive(Record)]
    #[record(key = ["name", "seat.city"])]
    pub(crate) struct Studio {
        pub(crate) name: String,
        pub(crate) seat: Seat,
        pub(crate) films: u32,
    }

    #[derive(Record)]
    pub(crate) struct Seat {
        pub(crate) street: Option<String>,
        pub(crate) city: String,
    }

    #[derive(Record)]
    #[record(key = "id")]
    pub(crate) struct Note {
        pub(crate) id: u64,
        pub(crate) text: String,
    }
}

/// Later: a wider year, votes, no rating.
mod second {
    use super::first::{Genre, Studio};
    use super::{Key, Record};

    #[derive(Record)]
    #[record(key = "id")]
    pub(crate) struct Movie {
        pub(crate) id: u64,
        pub(crate) title: String,
        pub(crate) year: u32,
        #[record(dedup)]
        pub(crate) country: String,
        pub(crate) genres: Vec<Genre>,
        pub(crate) studio: Option<Key<Studio>>,
        #[record(packed)]
        pub(crate) plot: String,
        pub(crate) votes: Option<u64>,
    }
}

/// Later still: another name for the title, a score, no plot.
mod third {
    use super::first::{Genre, Studio};
    use super::{Key, Record};

    #[derive(Record)]
    #[record(key = "id")]
    pub(crate) struct Movie {
        pub(crate) id: u64,
        #[record(was = "title")]
        pub(crate) name: String,
        pub(crate) year: u32,
        #[record(dedup)]
        pub(crate) country: String,
        pub(crate) genres: Vec<Genre>,
        pub(crate) studio: Option<Key<Studio>>,
        pub(crate) votes: Option<u64>,
        pub(crate) score: Option<i32>,
    }
}

/// What the service reads.
mod narrow {
    use super::{Key, Record};

    #[derive(Clone, Debug, PartialEq, Record)]
    #[record(key = "id")]
    pub(crate) struct Movie {
        pub(crate) id: u64,
        pub(crate) year: u32,
        pub(crate) genres: Vec<Genre>,
        pub(crate) studio: Option<Key<Studio>>,
        pub(crate) rating: Option<f32>,
        pub(crate) score: Option<i32>,
    }

    #[derive(Clone, Debug, PartialEq, Record)]
    pub(crate) struct Genre {
        pub(crate) name: String,
    }

    #[derive(Clone, Debug, PartialEq, Record)]
    #[record(key = ["name", "seat.city"])]
    pub(crate) struct Studio {
        pub(crate) name: String,
        pub(crate) seat: Seat,
    }

    #[derive(Clone, Debug, PartialEq, Record)]
    pub(crate) struct Seat {
        pub(crate) city: String,
    }
}

const BY_GENRE: HashIndex<narrow::Movie, str> = HashIndex::on("genres.name");
const BY_YEAR: HashIndex<narrow::Movie, u32> = HashIndex::on("year");

/// Numbers from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

fn genre(number: u64) -> first::Genre {
    let origin = first::Origin { city: format!("city {}", number % 5) };
    first::Genre {
        name: format!("genre {}", number % 7),
        weight: (!number.is_multiple_of(3)).then_some(number as u32),
        origin,
    }
}

fn movie(id: u64, dice: &mut Dice) -> first::Movie {
    let studio = (!dice.one_in(4)).then(|| Key::new((format!("studio {}", dice.below(6)).as_str(), "Delft")));
    first::Movie {
        id,
        title: format!("title {} of {id}", dice.below(50)),
        year: 1_900 + dice.below(120) as u16,
        country: format!("country {}", dice.below(4)),
        genres: (0..dice.below(4)).map(|_| genre(dice.below(12))).collect(),
        studio,
        rating: dice.one_in(2).then(|| dice.below(10) as f32),
        plot: format!("{} once upon a time {}", "there was ".repeat(dice.below(9) as usize), dice.below(9)),
    }
}

fn second(movie: first::Movie, dice: &mut Dice) -> second::Movie {
    let first::Movie { id, title, year, country, genres, studio, rating: _, plot } = movie;
    let (year, votes) = (u32::from(year) * 1_000, dice.one_in(2).then(|| dice.below(1 << 40)));
    second::Movie { id, title, year, country, genres, studio, plot, votes }
}

fn third(movie: second::Movie, dice: &mut Dice) -> third::Movie {
    let second::Movie { id, title: name, year, country, genres, studio, plot: _, votes } = movie;
    let score = dice.one_in(2).then(|| dice.below(100) as i32 - 50);
    third::Movie { id, name, year, country, genres, studio, votes, score }
}

fn studio(number: u64, dice: &mut Dice) -> first::Studio {
    let seat =
        first::Seat { street: dice.one_in(2).then(|| format!("street {}", dice.below(9))), city: "Delft".into() };
    first::Studio { name: format!("studio {number}"), seat, films: dice.below(9) as u32 }
}

/// A producer at one stage of its program's life.
async fn producer(storage: &Storage, env: &Env, stage: usize) -> Producer {
    let builder: ProducerBuilder<Storage> = Producer::builder_on(storage.clone())
        .env(env.clone())
        .snapshots(SnapshotPolicy::Manual)
        .take_over()
        .with::<first::Studio>()
        .with::<first::Note>();
    let builder = match stage {
        0 => builder.with::<first::Movie>(),
        1 => builder.with::<second::Movie>().allow(Allow::remove("Movie.rating")),
        _ => builder.with::<third::Movie>().allow(Allow::remove("Movie.plot")),
    };
    builder.open().await.expect("it opens")
}

fn consumer(storage: &Storage, env: &Env) -> ConsumerBuilder<Storage> {
    Consumer::builder_on(storage.clone())
        .env(env.clone())
        .with::<narrow::Movie>()
        .index(&BY_GENRE)
        .index(&BY_YEAR)
        .reload(ReloadPolicy::Manual)
}

/// All that the service's program can see of a view.
fn seen(view: &View) -> (Vec<narrow::Movie>, Vec<narrow::Studio>, Vec<Vec<u64>>, usize) {
    let ids = |matches: Vec<narrow::Movie>| matches.iter().map(|movie| movie.id).collect::<Vec<_>>();
    let by_genre = (0..7).map(|number| {
        let found = view.find(&BY_GENRE, format!("genre {number}").as_str());
        ids(found.iter().map(|movie| movie.to_owned()).collect())
    });
    let by_year =
        (0..40).map(|year| ids(view.find(&BY_YEAR, 1_900 + year).iter().map(|movie| movie.to_owned()).collect()));
    let indexed = by_genre.chain(by_year).collect();
    let by_key = view.all::<narrow::Movie>().filter(|movie| {
        let found = view.get::<narrow::Movie>(movie.id()).expect("it is found by its key");
        assert_eq!(found.to_owned(), (*movie).to_owned());
        movie.studio().is_some_and(|key| view.get_key(key).is_some())
    });
    let with_studio = by_key.count();
    let movies = view.all::<narrow::Movie>().map(|movie| movie.to_owned()).collect();
    let studios = view.all::<narrow::Studio>().map(|studio| studio.to_owned()).collect();
    (movies, studios, indexed, with_studio)
}

/// A random chain (additions, deletions, patches, another schema) followed by deltas, by snapshots, and after restarts.
#[tokio::test(start_paused = true)]
async fn what_is_declared_reads_as_if_everything_was_held() {
    for seed in 0..12 {
        follow(seed).await;
    }
}

async fn follow(seed: u64) {
    let (storage, env, mut dice) = (memory().await, Env::simulated(seed), Dice(seed));
    let mut stage = 0;
    let mut source = producer(&storage, &env, stage).await;
    source.update(|changes| Ok(changes.upsert(&movie(0, &mut dice))?)).await.expect("it is published");
    let mut whole = consumer(&storage, &env).whole().open().await.expect("it opens");
    let mut narrow = consumer(&storage, &env).open().await.expect("it opens");
    for step in 0..40 {
        if stage < 2 && dice.one_in(12) {
            stage += 1;
            source.close().await.expect("it closes");
            source = producer(&storage, &env, stage).await;
        }
        let made = source.update(|changes| {
            for _ in 0..dice.below(6) {
                let made = movie(dice.below(60), &mut dice);
                match stage {
                    0 => changes.upsert(&made)?,
                    1 => changes.upsert(&second(made, &mut dice))?,
                    _ => {
                        let made = second(made, &mut dice);
                        changes.upsert(&third(made, &mut dice))?;
                    }
                }
            }
            for _ in 0..dice.below(3) {
                changes.upsert(&studio(dice.below(6), &mut dice))?;
                changes.upsert(&first::Note { id: dice.below(30), text: format!("note {}", dice.below(99)) })?;
            }
            if dice.one_in(3) {
                let id = dice.below(60);
                match stage {
                    0 => changes.delete::<first::Movie>(id)?,
                    1 => changes.delete::<second::Movie>(id)?,
                    _ => changes.delete::<third::Movie>(id)?,
                };
            }
            Ok(())
        });
        made.await.expect("it is published");
        if dice.one_in(5) {
            source.snapshot().await.expect("a snapshot");
        }
        if dice.one_in(6) {
            narrow = consumer(&storage, &env).open().await.expect("it opens");
        }
        if dice.one_in(9) {
            whole = consumer(&storage, &env).whole().open().await.expect("it opens");
        }
        if dice.one_in(3) {
            continue;
        }
        narrow.refresh().await.expect("it refreshes");
        whole.refresh().await.expect("it refreshes");
        let (held, all) = (narrow.view(), whole.view());
        assert_eq!(held.version(), all.version());
        assert_eq!(seen(&held), seen(&all), "seed {seed}, step {step}");
        assert_eq!(held.state().digest(), all.state().digest(), "seed {seed}, step {step}");
        held.state().check_invariants();
        held.indexes().check_invariants(held.state());
        let counts = narrow.status().held;
        assert!(counts.types < counts.types_of && counts.fields < counts.fields_of, "{counts}");
        assert_eq!(whole.status().held.fields, whole.status().held.fields_of);
    }
    source.close().await.expect("it closes");
}

/// A dataset of which the program declares little.
async fn wide(storage: &Storage, env: &Env, movies: u64) -> Producer {
    let (mut source, mut dice) = (producer(storage, env, 0).await, Dice(7));
    let text = |dice: &mut Dice| (0..40).map(|_| format!("{:x}", dice.below(1 << 31))).collect::<String>();
    source
        .cycle(async |writer| {
            for id in 0..movies {
                let mut made = movie(id, &mut dice);
                made.plot = text(&mut dice);
                writer.add(&made)?;
                writer.add(&first::Note { id, text: text(&mut dice) })?;
            }
            Ok(())
        })
        .await
        .expect("it is published");
    source.snapshot().await.expect("a snapshot");
    source
}

#[tokio::test(start_paused = true)]
async fn types_and_fields_that_are_not_declared_are_neither_fetched_nor_held() {
    let (storage, env) = (memory().await, Env::simulated(1));
    let mut source = wide(&storage, &env, 8_000).await;
    let counting = CountingStore::new();
    let whole = consumer(&counting.wrap(&storage), &env).whole().open().await.expect("it opens");
    let all = counting.take();
    let narrow = consumer(&counting.wrap(&storage), &env).open().await.expect("it opens");
    let held = counting.take();
    assert!(held.total() <= all.total() + 1, "{held:?} of {all:?}");
    let notes = whole.view().state().memory()[whole.view().schema().find("Note").expect("it is there").index()].bytes();
    assert!(held.bytes_read + notes as u64 / 2 < all.bytes_read, "{held:?} of {all:?}");
    assert!(narrow.view().memory_bytes() + (notes as u64) < whole.view().memory_bytes());

    // The plots of declared movies are as large as the notes, and no more fetched than these.
    assert!(held.bytes_read * 4 < all.bytes_read, "{held:?} of {all:?}");
    assert!(narrow.view().memory_bytes() * 3 < whole.view().memory_bytes());

    // What is not held changes: the consumer goes on to the version, and holds no more.
    let before = narrow.view();
    source
        .update(|changes| Ok(changes.upsert(&first::Note { id: 3, text: "other".into() })?))
        .await
        .expect("published");
    narrow.refresh().await.expect("it refreshes");
    let after = narrow.view();
    assert!(after.version() > before.version());
    let same = after.state().tables().iter().zip(before.state().tables()).all(|(new, old)| Arc::ptr_eq(new, old));
    assert!(same, "no table of what is held was touched");
    whole.refresh().await.expect("it refreshes");
    assert_eq!(after.state().digest(), whole.view().state().digest());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_held_says_so() {
    let (storage, env) = (memory().await, Env::simulated(1));
    let _source = wide(&storage, &env, 10).await;
    let narrow = consumer(&storage, &env).open().await.expect("it opens");
    let view = narrow.view();
    let error = view.named("Note").expect_err("it is not held");
    assert_eq!(
        error.to_string(),
        "the consumer does not hold type Note, which the program does not declare; add .with::<Note>() or .whole() where the consumer is built"
    );
    let record = view.named("Movie").expect("it is held").iter().next().expect("there is one");
    let error = record.get("plot").expect_err("it is not held");
    assert_eq!(
        error.to_string(),
        "the consumer does not hold Movie.plot, which the program does not declare; declare the field, or add .whole() where the consumer is built"
    );
    assert!(matches!(record.get("plott"), Err(NameError::UnknownField { .. })));
    assert!(matches!(view.named("Notes"), Err(NameError::UnknownType { .. })));
    assert!(view.dataset_schema().find("Note").is_some_and(|id| !view.dataset_schema().get(id).fields.is_empty()));
    assert_eq!(narrow.status().held.to_string(), "4 of 7 types, 9 of 20 fields");
    let whole = consumer(&storage, &env).whole().open().await.expect("it opens");
    assert_eq!(whole.view().named("Note").expect("it is held").len(), 10);
    assert_eq!(whole.status().held.to_string(), "7 of 7 types, 20 of 20 fields");
}

/// What the service reads after its field got the name that it waited for.
mod renamed {
    use super::Record;

    #[derive(Clone, Debug, PartialEq, Record)]
    #[record(key = "id")]
    pub(crate) struct Movie {
        pub(crate) id: u64,
        #[record(default)]
        pub(crate) name: String,
    }
}

/// The field was there under a name that the program does not know, so its values were not held.
#[tokio::test(start_paused = true)]
async fn a_field_that_is_renamed_to_a_declared_name_is_read_again() {
    for with_snapshot in [true, false] {
        let (storage, env) = (memory().await, Env::simulated(1));
        let mut dice = Dice(1);
        for stage in 0..2 {
            let mut source = producer(&storage, &env, stage).await;
            let published = source.update(|changes| match stage {
                0 => Ok(changes.upsert(&movie(1, &mut dice))?),
                _ => {
                    let made = movie(2, &mut dice);
                    Ok(changes.upsert(&second(made, &mut dice))?)
                }
            });
            published.await.expect("it is published");
            if with_snapshot {
                source.snapshot().await.expect("a snapshot");
            }
            source.close().await.expect("it closes");
        }
        let builder = Consumer::builder_on(storage.clone()).env(env.clone()).with::<renamed::Movie>();
        let waiting = builder.reload(ReloadPolicy::Manual).open().await.expect("it opens");
        assert_eq!(waiting.view().get::<renamed::Movie>(1).expect("it is there").name(), "");
        let mut source = producer(&storage, &env, 2).await;
        source.update(|_| Ok(())).await.expect("it is published");
        let paths = Arc::new(std::sync::Mutex::new(Vec::new()));
        let noted = Arc::clone(&paths);
        waiting.on_refresh(move |report| noted.lock().expect("no panic").push(report.path));
        waiting.refresh().await.expect("it refreshes");
        let view = waiting.view();
        assert!(view.get::<renamed::Movie>(1).expect("it is there").name().starts_with("title "));
        assert!(view.get::<renamed::Movie>(2).expect("it is there").name().starts_with("title "));
        view.state().check_invariants();
        let paths = std::mem::take(&mut *paths.lock().expect("no panic"));
        let from_snapshot = matches!(paths.as_slice(), [RefreshPath::Snapshot { .. }]);
        assert_eq!(from_snapshot, with_snapshot, "{paths:?}");
        source.close().await.expect("it closes");
    }
}
