//! The messages of all faults, and that nothing is lost: each fault against a consumer that follows, one that starts, a
//! producer that publishes, and one that opens.
//!
//! Whatever they report, no version is lost or partly visible, and all of them recover after the fault. Kinds and messages
//! are in `messages.txt`, which `UPDATE_EXPECT=1` writes again. A party without a line gets along with the fault.

use std::collections::BTreeMap;
use std::time::Duration;

use cenote_consumer::error::ErrorKind;
use cenote_consumer::{Consumer, Health, OpenError, RefreshError, Version};
use cenote_producer::{CycleError, Producer};
use cenote_store::env::Env;
use cenote_store::log::{LogReader, LogWriter, Outcome, WriterOptions};
use cenote_store::storage::Storage;
use cenote_testing::faults::FaultyStore;
use expect_test::expect_file;

use crate::cases::{CASES, Case, Injection};
use crate::damage::{Undo, commit_newer, damage};
use crate::dataset::{Content, consumer, content, large, memory, message, producer, publish, small, upsert};

/// The process that meets the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Party {
    Follower,
    Fresh,
    Producer,
    Opening,
}

/// A dataset with every kind of object, its producer, and a consumer that is two versions behind.
struct Setup {
    /// The objects as they are.
    storage: Storage,
    /// The objects as the parties see them, through the faults.
    faulty: Storage,
    faults: FaultyStore,
    env: Env,
    producer: Producer,
    follower: Consumer,
    versions: BTreeMap<Version, Content>,
}

impl Setup {
    async fn new() -> Setup {
        let (storage, env) = (memory(), Env::simulated(1));
        let faults = FaultyStore::new(env.clone());
        let faulty = faults.wrap(&storage);
        let options = |options: &mut WriterOptions| options.commit_timeout = Duration::from_mins(1);
        let mut producer = producer(&faulty, &env).writer_options(options).open().await.expect("it opens");
        let mut versions = BTreeMap::from([(Version::EMPTY, Content::new())]);
        // Large records that are replaced make the snapshot the cheapest route.
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
        // The hint catches up, and the producer checks its last entry.
        env.sleep(Duration::from_secs(61)).await;
        Setup { storage, faulty, faults, env, producer, follower, versions }
    }

    fn check_follower(&self, case: &Case) {
        let view = self.follower.view();
        let whole = self.versions.get(&view.version());
        let whole = whole.unwrap_or_else(|| panic!("{}: no version {} was published", case.name, view.version()));
        assert_eq!(content(&view), *whole, "{}: a version is whole (I2)", case.name);
        assert!(self.follower.is_serving(), "{}", case.name);
    }

    async fn inject(&mut self, case: &Case) -> Vec<Undo> {
        match case.injection {
            Injection::Store(rules) => rules().into_iter().for_each(|rule| self.faults.add(rule)),
            Injection::Object(object, how) => return vec![damage(&self.storage, object, how).await],
            Injection::Replaced => {
                self.delete_all().await;
                let env = Env::simulated(99);
                let mut other = producer(&self.storage, &env).open().await.expect("it is made again");
                publish(&mut other, &small(2, "other")).await.expect("it is published");
                other.close().await.expect("it closes");
            }
            Injection::CommittedByNewer => {
                commit_newer(&self.storage, &self.env).await;
                self.env.sleep(Duration::from_secs(1)).await;
            }
            Injection::Deleted => self.delete_all().await,
            Injection::Foreign => {
                self.delete_all().await;
                let script = bytes::Bytes::from_static(b"#!/bin/sh\nexit 0\n");
                self.storage.put("log/00000000000000000001", script).await.expect("it can be put");
            }
        }
        Vec::new()
    }

    async fn delete_all(&self) {
        for listed in self.storage.list("", None).await.expect("it can be listed") {
            self.storage.delete(&listed.name).await.expect("it can be deleted");
        }
    }

    /// What this party reports while the fault lasts; nothing if it gets along.
    async fn report(&mut self, party: Party) -> Option<Report> {
        match party {
            Party::Follower => self.follower.refresh().await.err().as_ref().map(Report::of_refresh),
            Party::Fresh => match consumer(&self.faulty, &self.env).open().await {
                Ok(opened) => {
                    let view = opened.view();
                    let known = self.versions.get(&view.version()) == Some(&content(&view));
                    assert!(known || content(&view) == small(2, "other"), "a version is whole (I2)");
                    opened.status().last_error.as_ref().map(Report::of_refresh)
                }
                Err(error) => Some(Report::of_open(&error)),
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
                        None
                    }
                    Err(error) => {
                        if let Some(unknown) = error.unknown() {
                            // It may be committed; then readers see it whole.
                            self.versions.insert(Version(unknown.position.0), after);
                        }
                        Some(Report::of_cycle(&error))
                    }
                }
            }
            Party::Opening => producer(&self.faulty, &self.env).open().await.err().as_ref().map(Report::of_producer),
        }
    }

    /// Ends the fault, and checks that all parties reach the same newest version, and no acknowledged version is lost.
    async fn recovers(&mut self, case: &Case, party: Party, undo: Vec<Undo>) {
        let at = format!("{} ({party:?})", case.name);
        self.faults.clear();
        for undo in undo {
            undo.restore(&self.storage).await;
        }
        // Puts that were on their way land, and versions in quarantine are tried again.
        self.env.sleep(Duration::from_secs(400)).await;
        if party == Party::Producer {
            self.producer.settle().await.unwrap_or_else(|error| panic!("{at}: {}", message(&error)));
        }
        let version = self.follower.refresh().await.unwrap_or_else(|error| panic!("{at}: {}", message(&error)));
        self.check_follower(case);
        let fresh = consumer(&self.storage, &self.env).open().await;
        let fresh = fresh.unwrap_or_else(|error| panic!("{at}: {}", message(&error)));
        assert_eq!((fresh.version(), content(&fresh.view())), (version, content(&self.follower.view())), "{at}");
        let mut next = producer(&self.storage, &self.env).open().await;
        let next = next.as_mut().unwrap_or_else(|error| panic!("{at}: {}", message(error)));
        assert_eq!(content(&next.view()), content(&fresh.view()), "{at}");
        let after = small(4, "after");
        publish(next, &after).await.unwrap_or_else(|error| panic!("{at}: {}", message(&error)));
        self.follower.refresh().await.unwrap_or_else(|error| panic!("{at}: {}", message(&error)));
        assert_eq!(content(&self.follower.view()), after, "{at}");
        assert_eq!(self.follower.status().health, Health::Fresh, "{at}");
    }
}

/// An error as a caller sees it.
struct Report {
    kind: ErrorKind,
    message: String,
}

impl Report {
    fn of_refresh(error: &RefreshError) -> Report {
        Report { kind: error.kind(), message: message(error) }
    }

    fn of_open(error: &OpenError) -> Report {
        Report { kind: error.kind(), message: message(error) }
    }

    fn of_cycle(error: &CycleError) -> Report {
        Report { kind: error.kind(), message: message(error) }
    }

    fn of_producer(error: &cenote_producer::OpenError) -> Report {
        Report { kind: error.kind(), message: message(error) }
    }
}

#[tokio::test(start_paused = true)]
async fn every_fault_has_its_message_and_loses_nothing() {
    let mut reports = String::new();
    for case in CASES {
        reports.push_str(&format!("# {}\n", case.name));
        for party in [Party::Follower, Party::Fresh, Party::Producer, Party::Opening] {
            let mut setup = Setup::new().await;
            let undo = setup.inject(case).await;
            if let Some(Report { kind, message }) = setup.report(party).await {
                reports.push_str(&format!("{party:?}: {kind:?}, {message}\n"));
                if matches!(case.injection, Injection::Store(_)) {
                    assert!(setup.faults.fired() > 0, "{}", case.name);
                }
            }
            setup.check_follower(case);
            if case.recovers() {
                setup.recovers(case, party, undo).await;
            }
        }
        reports.push('\n');
    }
    expect_file!["messages.txt"].assert_eq(&reports);
}
