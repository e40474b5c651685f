//! A racer, and the judge: whoever is told "committed" stands in the log, once; whoever is told "lost" does not; every
//! "unknown" is settled (I1, I6). Judged by a walker that shares no code with the write path.

use std::fmt;
use std::time::Duration;

use cenote_producer::{Producer, Settled};
use cenote_store::env::Env;
use cenote_store::storage::Storage;

use crate::world::{Content, consumer, content, producer, upsert};
use cenote_testing::log_walk::{positions_of, walk};

/// What a racer was told of one mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) mark: String,
    pub(crate) committed: bool,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.committed { "committed" } else { "not-committed" }, self.mark)
    }
}

impl Line {
    pub(crate) fn parse(text: &str) -> Option<Line> {
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
            // Whoever opens must catch up first, which a rival that commits without a pause never lets it.
            env.sleep(env.jitter(Duration::from_millis(80), 1.0)).await;
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
        match producer(storage, env).owner(name).open().await {
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
        Err(error) if error.is_fenced() => None,
        Err(error) if error.unknown().is_some() => loop {
            match producer.settle().await {
                Ok(Settled::Committed(_)) => return Some(true),
                Ok(_) => return Some(false),
                Err(error) if error.is_fenced() => return None,
                Err(error) if error.unknown().is_some() => env.sleep(Duration::from_secs(1)).await,
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
