//! A producer's life, step by step, and what it was told of it: the script of all deaths.

use std::path::PathBuf;
use std::sync::Mutex;

use cenote_producer::Producer;
use cenote_store::env::Env;
use cenote_store::storage::Storage;

use crate::world::{Content, large, producer, publish, small};

/// What a producer tried to publish, and what it was told. In a file, it outlives a killed process.
pub(crate) struct Diary {
    told: Mutex<Told>,
    file: Option<PathBuf>,
}

/// Numbers of [`CONTENTS`]; 0 is "nothing yet".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) tried: usize,
    pub(crate) acknowledged: usize,
}

impl Diary {
    pub(crate) fn new() -> Diary {
        Diary { told: Mutex::default(), file: None }
    }

    pub(crate) fn in_file(file: PathBuf) -> Diary {
        Diary { told: Mutex::default(), file: Some(file) }
    }

    pub(crate) fn read_file(file: &PathBuf) -> Told {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let number = |line: &str| line.split(' ').nth(1).and_then(|number| number.parse().ok());
        let last = |word: &str| text.lines().rfind(|line| line.starts_with(word)).and_then(number).unwrap_or(0);
        Told { tried: last("tried"), acknowledged: last("told") }
    }

    pub(crate) fn told(&self) -> Told {
        *self.told.lock().unwrap()
    }

    fn tries(&self, number: usize) {
        self.told.lock().unwrap().tried = number;
        self.write(&format!("tried {number}\n"));
    }

    fn is_told(&self, number: usize) {
        self.told.lock().unwrap().acknowledged = number;
        self.write(&format!("told {number}\n"));
    }

    fn write(&self, line: &str) {
        use std::io::Write as _;
        let Some(file) = &self.file else { return };
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file).expect("the diary opens");
        file.write_all(line.as_bytes()).expect("the diary is written");
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

/// Opens, publishes, makes snapshots (the second one trims, which writes a checkpoint), says goodbye.
pub(crate) async fn life(storage: Storage, env: Env, diary: &Diary) {
    let contents = contents();
    let mut producer = producer(&storage, &env).open().await.expect("the store works until it dies");
    step(&mut producer, diary, &contents, 1).await;
    producer.snapshot().await.expect("a snapshot");
    step(&mut producer, diary, &contents, 2).await;
    step(&mut producer, diary, &contents, 3).await;
    let report = producer.snapshot().await.expect("a snapshot");
    assert!(report.trimmed.tombstones > 0, "the life has a trim in it: {report:?}");
    step(&mut producer, diary, &contents, 4).await;
    producer.close().await.expect("goodbye");
}

async fn step(producer: &mut Producer, diary: &Diary, contents: &[Content], number: usize) {
    diary.tries(number);
    publish(producer, &contents[number]).await.expect("the store works until it dies");
    diary.is_told(number);
}
