//! Runs the table of faults: each row against a consumer that follows, one that starts, a producer that publishes, and
//! one that opens. Whatever they say, nothing is lost, nothing is half-visible, and all of them recover.

use std::collections::BTreeMap;
use std::time::Duration;

use cenote_consumer::{Consumer, Health, Version};
use cenote_producer::Producer;
use cenote_store::env::Env;
use cenote_store::log::{LogReader, LogWriter, Outcome, WriterOptions};
use cenote_store::storage::Storage;
use cenote_testing::faults::FaultyStore;

use crate::damage::{Undo, commit_newer, damage};
use crate::rows::{ROWS, Row, Strike};
use crate::world::{Content, consumer, content, large, memory, producer, publish, said, small, upsert};

/// Who meets the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Party {
    Follower,
    Fresh,
    Producer,
    Opening,
}

/// A dataset with every kind of object, its producer, and a consumer two versions behind.
struct World {
    /// As it is.
    storage: Storage,
    /// As the store's users see it.
    faulty: Storage,
    faults: FaultyStore,
    env: Env,
    producer: Producer,
    follower: Consumer,
    versions: BTreeMap<Version, Content>,
}

impl World {
    async fn new() -> World {
        let (storage, env) = (memory(), Env::simulated(1));
        let faults = FaultyStore::new(env.clone());
        let faulty = faults.wrap(&storage);
        let options = |options: &mut WriterOptions| options.commit_timeout = Duration::from_secs(60);
        let mut producer = producer(&faulty, &env).writer_options(options).open().await.expect("it opens");
        let mut versions = BTreeMap::from([(Version::EMPTY, Content::new())]);
        // What is large and replaced makes the snapshot the cheapest way.
        for content in [large(1), small(20, "second")] {
            let version = publish(&mut producer, &content).await.expect("it is published").version();
            versions.insert(version, content);
        }
        producer.snapshot().await.expect("a snapshot");
        let reader = LogReader::start(storage.clone()).await.expect("a log");
        let mut janitor = LogWriter::join(&reader, env.clone(), WriterOptions::default());
        assert!(matches!(janitor.checkpoint().await, Ok(Outcome::Committed(_))));
        let follower = consumer(&faulty, &env).open().await.expect("it opens");
        let mut content = small(20, "second");
        for more in [large(2), small(3, "newest")] {
            content.extend(more.clone());
            let updated = producer.update(|changes| upsert(changes, &more)).await.expect("it is published");
            versions.insert(updated.version(), content.clone());
        }
        // The hint catches up, and the producer has reason to look back.
        env.sleep(Duration::from_secs(61)).await;
        World { storage, faulty, faults, env, producer, follower, versions }
    }

    fn check_follower(&self, row: &Row) {
        let view = self.follower.view();
        let whole = self.versions.get(&view.version());
        let whole = whole.unwrap_or_else(|| panic!("{}: nobody published {}", row.fault, view.version()));
        assert_eq!(content(&view), *whole, "{}: a version is whole, or not there (I2)", row.fault);
        assert!(self.follower.is_serving(), "{}", row.fault);
    }

    async fn strike(&mut self, row: &Row) -> Vec<Undo> {
        match row.strike {
            Strike::Store(rules) => rules().into_iter().for_each(|rule| self.faults.add(rule)),
            Strike::Object(object, how) => return vec![damage(&self.storage, object, how).await],
            Strike::MadeAnew => {
                self.delete_all().await;
                let env = Env::simulated(99);
                let mut other = producer(&self.storage, &env).open().await.expect("it is made anew");
                publish(&mut other, &small(2, "other")).await.expect("it is published");
                other.close().await.expect("goodbye");
            }
            Strike::CommittedByNewer => {
                commit_newer(&self.storage, &self.env).await;
                self.env.sleep(Duration::from_secs(1)).await;
            }
            Strike::Gone => self.delete_all().await,
            Strike::NotOurs => {
                self.delete_all().await;
                let script = bytes::Bytes::from_static(b"#!/bin/sh\nexit 0\n");
                self.storage.put("log/00000000000000000001", script).await.expect("it can be put");
            }
        }
        Vec::new()
    }

    async fn delete_all(&self) {
        for listed in self.storage.list("", None).await.expect("it can be listed") {
            self.storage.delete(&listed.name).await.expect("it can go");
        }
    }

    /// What this party says while the fault lasts; nothing if it gets along.
    async fn says(&mut self, party: Party) -> String {
        match party {
            Party::Follower => match self.follower.refresh().await {
                Ok(_) => String::new(),
                Err(error) => said(&*error),
            },
            Party::Fresh => match consumer(&self.faulty, &self.env).open().await {
                Ok(opened) => {
                    let view = opened.view();
                    let known = self.versions.get(&view.version()) == Some(&content(&view));
                    assert!(known || content(&view) == small(2, "other"), "a version is whole, or not there (I2)");
                    opened.status().last_error.map_or(String::new(), |error| said(&*error))
                }
                Err(error) => said(&error),
            },
            Party::Producer => {
                let more = small(1, "during");
                let newest = self.versions.last_key_value().expect("some").1.clone();
                let result = self.producer.update(|changes| upsert(changes, &more)).await;
                let mut after = newest;
                after.extend(more);
                match result {
                    Ok(updated) => {
                        self.versions.insert(updated.version(), after);
                        String::new()
                    }
                    Err(error) => {
                        if let Some(unknown) = error.unknown() {
                            // It may stand there: whoever sees it sees it whole.
                            self.versions.insert(Version(unknown.position.0), after);
                        }
                        said(&error)
                    }
                }
            }
            Party::Opening => match producer(&self.faulty, &self.env).open().await {
                Ok(_) => String::new(),
                Err(error) => said(&error),
            },
        }
    }

    /// The fault is over: everybody comes to the same newest version, and nothing that was acknowledged is lost.
    async fn recovers(&mut self, row: &Row, party: Party, undo: Vec<Undo>) {
        let at = format!("{} ({party:?})", row.fault);
        self.faults.clear();
        for undo in undo {
            undo.restore(&self.storage).await;
        }
        // Puts that were on their way land, what is in quarantine is tried again.
        self.env.sleep(Duration::from_secs(400)).await;
        if party == Party::Producer {
            self.producer.settle().await.unwrap_or_else(|error| panic!("{at}: {}", said(&error)));
        }
        let version = self.follower.refresh().await.unwrap_or_else(|error| panic!("{at}: {}", said(&*error)));
        self.check_follower(row);
        let fresh = consumer(&self.storage, &self.env).open().await;
        let fresh = fresh.unwrap_or_else(|error| panic!("{at}: {}", said(&error)));
        assert_eq!((fresh.version(), content(&fresh.view())), (version, content(&self.follower.view())), "{at}");
        let mut next = producer(&self.storage, &self.env).open().await;
        let next = next.as_mut().unwrap_or_else(|error| panic!("{at}: {}", said(error)));
        assert_eq!(content(&next.view()), content(&fresh.view()), "{at}");
        let after = small(4, "after");
        publish(next, &after).await.unwrap_or_else(|error| panic!("{at}: {}", said(&error)));
        self.follower.refresh().await.unwrap_or_else(|error| panic!("{at}: {}", said(&*error)));
        assert_eq!(content(&self.follower.view()), after, "{at}");
        assert_eq!(self.follower.status().health, Health::Fresh, "{at}");
    }
}

/// What a row expects of a party.
fn expected(row: &Row, party: Party) -> &'static str {
    match party {
        Party::Follower => row.follower,
        Party::Fresh => row.fresh,
        Party::Producer => row.producer,
        Party::Opening => row.opening,
    }
}

#[tokio::test(start_paused = true)]
async fn every_fault_has_its_message_and_loses_nothing() {
    let mut wrong = Vec::new();
    for row in ROWS {
        for party in [Party::Follower, Party::Fresh, Party::Producer, Party::Opening] {
            let mut world = World::new().await;
            let undo = world.strike(row).await;
            let says = world.says(party).await;
            if says != expected(row, party) {
                wrong.push(format!(
                    "{} ({party:?}):\n  it says  {says}\n  expected {}",
                    row.fault,
                    expected(row, party)
                ));
            }
            if matches!(row.strike, Strike::Store(_)) && !says.is_empty() {
                assert!(world.faults.fired() > 0, "{}", row.fault);
            }
            world.check_follower(row);
            if row.recovers() {
                world.recovers(row, party, undo).await;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
