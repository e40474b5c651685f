//! Two producers at once: whoever is told "committed" stands in the log, once; whoever is told "lost" does not; every
//! "unknown" is settled (I1, I6). Judged by a walker that shares no code with the write path.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use cenote_producer::{CycleError, Producer, Settled};
use cenote_shared::env::Env;
use cenote_shared::storage::Storage;
use cenote_shared::storage::faults::{FaultyStore, LatencyStore, Odds};

use crate::child::{Child, Part};
use crate::log_walk::{positions_of, walk};
use crate::world::{Content, consumer, content, producer, upsert};

/// What a racer was told of one mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    mark: String,
    committed: bool,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.committed { "committed" } else { "not-committed" }, self.mark)
    }
}

impl Line {
    fn parse(text: &str) -> Option<Line> {
        let (word, mark) = text.split_once(' ')?;
        Some(Line { mark: mark.to_owned(), committed: word == "committed" })
    }
}

/// Marks of each racer.
const MARKS: u64 = 10;

/// The record that a mark stands for: one of its own.
fn record(mark: &str) -> Content {
    let (name, number) = mark.split_once('-').expect("a mark has a name and a number");
    let id = u64::from(name.as_bytes()[0]) * 1_000 + number.parse::<u64>().expect("a number");
    Content::from([(id, mark.to_owned())])
}

/// Opens whatever it takes, publishes its marks; after being fenced it opens once more and goes on.
pub(crate) async fn race(storage: Storage, env: Env, name: &str) -> Vec<Line> {
    let mut told = Vec::new();
    let mut number = 0;
    for _ in 0..2 {
        if number == MARKS {
            break;
        }
        let mut producer = open(&storage, &env, name).await;
        while number < MARKS {
            let mark = format!("{name}-{number}");
            number += 1;
            let committed = publish(&mut producer, &mark, &env).await;
            told.push(Line { mark, committed: committed == Some(true) });
            if committed.is_none() {
                break;
            }
        }
    }
    told
}

async fn open(storage: &Storage, env: &Env, name: &str) -> Producer {
    for _ in 0..200 {
        match producer(storage, env).holder(name).open().await {
            Ok(producer) => return producer,
            // The store has a bad day, or the rival is fast: again.
            Err(_) => env.sleep(Duration::from_millis(100)).await,
        }
    }
    panic!("{name} could not open");
}

/// Whether the mark was committed; none if the producer was fenced, and it was not.
async fn publish(producer: &mut Producer, mark: &str, env: &Env) -> Option<bool> {
    let updated = producer.update(|changes| {
        changes.tag("mark", mark);
        upsert(changes, &record(mark))
    });
    match updated.await {
        Ok(_) => Some(true),
        Err(CycleError::Fenced(_)) => None,
        Err(CycleError::Unknown(_)) => loop {
            match producer.settle().await {
                Ok(Settled::Committed(_)) => return Some(true),
                Ok(_) => return Some(false),
                Err(CycleError::Fenced(_)) => return None,
                Err(CycleError::Unknown(_)) => env.sleep(Duration::from_secs(1)).await,
                Err(error) => panic!("settling can't end so: {error}"),
            }
        },
        Err(_) => Some(false),
    }
}

/// The log holds what it was said to hold, and a consumer sees it.
pub(crate) async fn judge(storage: &Storage, env: &Env, told: &[Line], at: &str) {
    let entries = walk(storage).await;
    let mut expected = Content::new();
    for line in told {
        let stands = positions_of(&entries, &line.mark);
        assert_eq!(stands.len(), usize::from(line.committed), "{at}: {line}, found at {stands:?}");
        if line.committed {
            expected.append(&mut record(&line.mark));
        }
    }
    let consumer = consumer(storage, env).allow_empty().open().await.unwrap_or_else(|error| panic!("{at}: {error}"));
    assert_eq!(content(&consumer.view()), expected, "{at}");
}

/// In virtual time, over a store that takes its time and sometimes loses answers.
fn race_in_memory(seed: u64) -> (usize, usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let storage = crate::world::memory();
        let env = Env::simulated(seed);
        let faults = FaultyStore::new(env.clone());
        let longest = Duration::from_secs(30);
        faults.set_odds(Odds { longest, ..Odds::rough() });
        let slow = faults.wrap(&LatencyStore::s3(env.clone()).wrap(&storage));
        let (mut one, two) =
            futures::join!(race(slow.clone(), env.clone(), "one"), race(slow.clone(), env.clone(), "two"));
        one.extend(two);
        // What is still on its way may land where it can.
        faults.clear();
        env.sleep(Duration::from_secs(300)).await;
        assert_eq!(faults.on_their_way(), 0);
        judge(&storage, &env, &one, &format!("seed {seed}")).await;
        let committed = one.iter().filter(|line| line.committed).count();
        (committed, one.len() - committed)
    })
}

#[test]
fn two_producers_race_1000_times_in_memory() {
    let (mut committed, mut lost) = (0, 0);
    for seed in 0..1_000 {
        let (stood, fell) = race_in_memory(seed);
        (committed, lost) = (committed + stood, lost + fell);
    }
    assert!(committed > 10_000 && lost > 100, "both ways out are walked: {committed} committed, {lost} not");
}

#[test]
fn two_processes_race_50_times_on_files() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let mut rivals_met = 0;
    for round in 0..50 {
        let dataset = folder.path().join(round.to_string());
        let racer = |name: &str| Child::start(&Part::Racer { dataset: dataset.clone(), name: name.to_owned() });
        let racers = [racer("one"), racer("two")];
        let mut told = Vec::new();
        for racer in racers {
            let (words, ended_well) = racer.all();
            assert!(ended_well, "round {round}: {words:?}");
            told.extend(words.iter().filter(|word| *word != "ready").filter_map(|word| Line::parse(word)));
        }
        assert!(told.len() >= 4, "round {round}: {told:?}");
        let names: BTreeSet<_> = told.iter().map(|line| &line.mark).collect();
        assert_eq!(names.len(), told.len(), "every mark is tried once");
        rivals_met += usize::from(told.iter().any(|line| !line.committed));
        runtime.block_on(async {
            let storage = Storage::open(&dataset.display().to_string(), &[]).await.expect("it opens");
            judge(&storage, &Env::system(), &told, &format!("round {round}: {told:?}")).await;
        });
    }
    assert!(rivals_met > 5, "the rivals met in {rivals_met} of 50 rounds only");
}
