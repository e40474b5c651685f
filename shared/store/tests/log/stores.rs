//! Stores that do not keep put-if-absent are refused before anything is trusted to them.

use std::time::Duration;

use cenote_store::env::Env;
use cenote_store::error::ErrorKind;
use cenote_store::log::proof::{Lack, Race, race};
use cenote_store::log::{LogWriter, OpenError, Refused};
use cenote_testing::faults::{CountingStore, Fault, FaultyStore, RequestKind, Rule};

use crate::house::{committed, memory, open, options, reader, taking_over};

/// What the store lacks, as the error says.
fn lack(error: &OpenError) -> Lack {
    match error {
        OpenError::Refused(Refused::Unfit(unfit)) => unfit.lack,
        other => panic!("{other}"),
    }
}

/// A store that ignores the condition, a proxy that drops the header, a store that says yes to both.
#[tokio::test(start_paused = true)]
async fn a_store_that_accepts_a_second_entry_is_refused_at_every_opening() {
    for fault in [Fault::IgnoresCondition, Fault::SaysCreated] {
        let (env, storage) = (Env::simulated(1), memory());
        let faults = FaultyStore::new(env.clone());
        // The dataset was made when the store was in order.
        let mut first = open(&storage, &env, options("first")).await.unwrap();
        committed(&mut first, "one").await;
        assert!(first.close().await.is_none());
        faults.add(Rule::new(fault).on(RequestKind::Create).prefix("log/"));
        let error = open(&faults.wrap(&storage), &env, taking_over("second")).await.unwrap_err();
        assert_eq!((lack(&error), error.kind()), (Lack::Condition, ErrorKind::Configuration));
        let text = error.to_string();
        for part in ["memory://test", "If-None-Match", "versitygw 1.8", "S3Proxy 2.6"] {
            assert!(text.contains(part), "{part} is missing in: {text}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_dataset_is_made_on_a_store_where_several_writers_win() {
    let faults_of =
        [(Fault::IgnoresCondition, 8), (Fault::SaysCreated, 8), (Fault::ChecksFirst(Duration::from_millis(1)), 8)];
    for (fault, winners) in faults_of {
        let (env, storage) = (Env::simulated(2), memory());
        let faults = FaultyStore::new(env.clone());
        faults.add(Rule::new(fault).on(RequestKind::Create));
        let error = open(&faults.wrap(&storage), &env, options("one")).await.unwrap_err();
        assert_eq!(lack(&error), Lack::OneWinner { writers: 8, winners }, "{fault:?}");
        assert_eq!(storage.list("", None).await.unwrap(), [], "nothing is left");
    }
}

/// A store that answered one writer, and shows another's object.
#[tokio::test(start_paused = true)]
async fn the_winners_object_must_be_there() {
    let (env, storage) = (Env::simulated(3), memory());
    let faults = FaultyStore::new(env.clone());
    // The first writer wins and is overwritten by one that was refused.
    faults.add(Rule::new(Fault::Garble(3)).on(RequestKind::Create).nth(1));
    let found = race(&faults.wrap(&storage), &env, Race { rounds: 1, writers: 4 }).await.unwrap_err();
    assert!(found.to_string().contains("not the one of the writer that was told it had won"), "{found}");
}

/// Errors prove nothing: they are no winner, and no reason to call a store unfit.
#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_proves_nothing() {
    let (env, storage) = (Env::simulated(4), memory());
    let faults = FaultyStore::new(env.clone());
    let faulty = faults.wrap(&storage);
    for fault in [Fault::AnswerLost, Fault::Unavailable, Fault::Conflict, Fault::MeetsItself] {
        faults.add(Rule::new(fault).on(RequestKind::Create).times(5));
    }
    race(&faulty, &env, Race::default()).await.unwrap();
    faults.clear();
    faults.add(Rule::new(Fault::Timeout).on(RequestKind::Create).prefix("check/"));
    let error = open(&faulty, &env, options("one")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
    faults.clear();
    // The second put of the same entry is answered late, not at all, then well.
    let mut writer = open(&faulty, &env, options("one")).await.unwrap();
    committed(&mut writer, "x").await;
    faults.add(Rule::new(Fault::AnswerLost).on(RequestKind::Create).prefix("log/").times(3));
    let mut second = open(&faulty, &env, taking_over("two")).await.unwrap();
    committed(&mut second, "y").await;
    assert_eq!(faults.fired(), 3 + 20 + 32);
}

#[tokio::test(start_paused = true)]
async fn the_proof_is_one_request() {
    let (env, storage) = (Env::simulated(5), memory());
    open(&storage, &env, options("one")).await.unwrap();
    let counting = CountingStore::new();
    let seen = reader(&counting.wrap(&storage)).await.unwrap();
    counting.take();
    LogWriter::open(&seen, env.clone(), taking_over("two")).await.unwrap();
    assert_eq!(counting.take().of(RequestKind::Create), 2, "the entry, and the same again");
}
