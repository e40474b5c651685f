//! A producer that races another, and the check of the result: a mark that was reported as committed is in the log once, a
//! mark that was reported as lost is not, and every unknown outcome is settled (I1, I6). The check walks the log by code
//! that the write path does not use.

use std::fmt;
use std::time::Duration;

use cenote_consumer::OnEmpty;
use cenote_producer::{Producer, Settled};
use cenote_store::env::Env;
use cenote_store::storage::Storage;

use crate::dataset::{Content, consumer, content, producer, upsert};
use cenote_testing::log_walk::{positions_of, walk};

/// What was reported to a racer about one mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) mark: String,
    pub(crate) committed: bool,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.committed { "committed" } else { "not-committed" }, self.mark)
    }
}

impl Outcome {
    pub(crate) fn parse(text: &str) -> Option<Outcome> {
        let (word, mark) = text.split_once(' ')?;
        Some(Outcome { mark: mark.to_owned(), committed: word == "committed" })
    }
}

/// How many marks each racer publishes.
const MARKS: u64 = 10;

/// The record of a mark: each mark has another.
fn record(mark: &str) -> Content {
    let (name, number) = mark.split_once('-').expect("a mark has a name and a number");
    let id = u64::from(name.as_bytes()[0]) * 1_000 + number.parse::<u64>().expect("a number");
    Content::from([(id, mark.to_owned())])
}

/// Opens, and tries until it succeeds; publishes its marks; after being fenced it opens once more and goes on.
pub(crate) async fn race(storage: Storage, env: Env, name: &str) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let mut number = 0;
    for _ in 0..2 {
        if number == MARKS {
            break;
        }
        let mut producer = open(&storage, &env, name).await;
        while number < MARKS {
            let mark = format!("{name}-{number}");
            number += 1;
            // A producer that opens must catch up first, which a rival that commits without a pause would prevent.
            env.sleep(env.jitter(Duration::from_millis(80), 1.0)).await;
            let committed = publish(&mut producer, &mark, &env).await;
            outcomes.push(Outcome { mark, committed: committed == Some(true) });
            if committed.is_none() {
                break;
            }
        }
    }
    outcomes
}

async fn open(storage: &Storage, env: &Env, name: &str) -> Producer {
    for _ in 0..200 {
        match producer(storage, env).owner(name).open().await {
            Ok(producer) => return producer,
            // The store fails, or the rival is faster: try again.
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
                Err(error) => panic!("settling does not fail in this way: {error}"),
            }
        },
        Err(_) => Some(false),
    }
}

/// Checks that the log holds what was reported, and that a consumer sees it.
pub(crate) async fn check(storage: &Storage, env: &Env, outcomes: &[Outcome], at: &str) {
    let entries = walk(storage).await;
    let mut expected = Content::new();
    for outcome in outcomes {
        let positions = positions_of(&entries, &outcome.mark);
        assert_eq!(positions.len(), usize::from(outcome.committed), "{at}: {outcome}, found at {positions:?}");
        if outcome.committed {
            expected.append(&mut record(&outcome.mark));
        }
    }
    let consumer =
        consumer(storage, env).when_empty(OnEmpty::Open).open().await.unwrap_or_else(|error| panic!("{at}: {error}"));
    assert_eq!(content(&consumer.view()), expected, "{at}");
}
