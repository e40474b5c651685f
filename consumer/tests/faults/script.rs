//! What a producer does in the tests that kill it, step by step, and a record of what was acknowledged.

use std::path::PathBuf;
use std::sync::Mutex;

use cenote_producer::Producer;
use cenote_store::env::Env;
use cenote_store::storage::Storage;

use crate::dataset::{Content, large, producer, publish, small};

/// What a producer tried to publish, and what was acknowledged. In a file, it outlives a killed process.
pub(crate) struct Journal {
    acks: Mutex<Acks>,
    file: Option<PathBuf>,
}

/// Numbers of [`contents`]; 0 is the empty dataset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Acks {
    pub(crate) tried: usize,
    pub(crate) acknowledged: usize,
}

impl Journal {
    pub(crate) fn new() -> Journal {
        Journal { acks: Mutex::default(), file: None }
    }

    pub(crate) fn in_file(file: PathBuf) -> Journal {
        Journal { acks: Mutex::default(), file: Some(file) }
    }

    pub(crate) fn read_file(file: &PathBuf) -> Acks {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let number = |line: &str| line.split(' ').nth(1).and_then(|number| number.parse().ok());
        let last = |word: &str| text.lines().rfind(|line| line.starts_with(word)).and_then(number).unwrap_or(0);
        Acks { tried: last("tried"), acknowledged: last("acknowledged") }
    }

    pub(crate) fn acks(&self) -> Acks {
        *self.acks.lock().unwrap()
    }

    fn tried(&self, number: usize) {
        self.acks.lock().unwrap().tried = number;
        self.write(&format!("tried {number}\n"));
    }

    fn acknowledged(&self, number: usize) {
        self.acks.lock().unwrap().acknowledged = number;
        self.write(&format!("acknowledged {number}\n"));
    }

    fn write(&self, line: &str) {
        use std::io::Write as _;
        let Some(file) = &self.file else { return };
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file).expect("the journal opens");
        file.write_all(line.as_bytes()).expect("the journal is written");
    }
}

/// What is published, in order; 0 is the empty dataset.
pub(crate) fn contents() -> Vec<Content> {
    let first = small(30, "first");
    let mut second = first.clone();
    second.extend(large(1));
    let third = small(25, "third");
    let fourth = small(40, "third");
    vec![Content::new(), first, second, third, fourth]
}

/// Opens, publishes, makes snapshots (the second one trims, which writes a checkpoint), and closes.
pub(crate) async fn run(storage: Storage, env: Env, journal: &Journal) {
    let contents = contents();
    let mut producer = producer(&storage, &env).open().await.expect("the store works until the producer is killed");
    step(&mut producer, journal, &contents, 1).await;
    producer.snapshot().await.expect("a snapshot");
    step(&mut producer, journal, &contents, 2).await;
    step(&mut producer, journal, &contents, 3).await;
    let report = producer.snapshot().await.expect("a snapshot");
    assert!(report.trimmed.tombstones > 0, "the script trims: {report:?}");
    step(&mut producer, journal, &contents, 4).await;
    producer.close().await.expect("it closes");
}

async fn step(producer: &mut Producer, journal: &Journal, contents: &[Content], number: usize) {
    journal.tried(number);
    publish(producer, &contents[number]).await.expect("the store works until the producer is killed");
    journal.acknowledged(number);
}
