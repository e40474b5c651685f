//! Each rule of order, broken on purpose, lets the accident happen that it is there to prevent.

use std::time::Duration;

use cenote_store::env::Env;
use cenote_store::log::retention::{Retention, trim};
use cenote_store::log::{LogReader, LogWriter, Lost, Outcome, ReadError, Rule, Rules, WriterOptions};
use cenote_store::storage::Storage;
use cenote_testing::faults::{Fault, FaultyStore, Moment, RequestKind, Rule as FaultRule, StepStore};

use crate::house::{blob_commit, committed, memory, open, position, put, snapshot};
use cenote_testing::log_walk::{positions_of, walk};

fn breaking(rule: Option<Rule>) -> WriterOptions {
    let rules = rule.map_or(Rules::default(), Rules::broken);
    WriterOptions { take_over: true, rules, ..WriterOptions::default() }
}

/// A crash after any step of an open and a commit with a blob; how many named objects are not there.
async fn missing_after_a_crash(rule: Option<Rule>) -> usize {
    let mut missing = 0;
    let publish = async |storage: &Storage, env: &Env| {
        let mut writer = open(storage, env, breaking(rule)).await.unwrap();
        let (object, body) = blob_commit(&writer, "x");
        position(writer.publish(object, body).await.unwrap());
    };
    let recorder = StepStore::new();
    publish(&recorder.wrap(&memory()), &Env::simulated(1)).await;
    for number in 0..recorder.steps().len() {
        let (env, storage) = (Env::simulated(1), memory());
        let killer = StepStore::kill_at(number, Moment::After);
        let wrapped = killer.wrap(&storage);
        killer.until_killed(publish(&wrapped, &env)).await;
        missing = missing.max(missing_objects(&storage).await);
    }
    missing
}

async fn missing_objects(storage: &Storage) -> usize {
    let Ok(reader) = LogReader::start(storage.clone()).await else { return 0 };
    let (mut live, mut missing) = (reader.walk_live(), 0);
    while let Some(entry) = live.next().await.unwrap() {
        if let Some(object) = entry.body.object() {
            missing += usize::from(storage.size(&object.name).await.unwrap().is_none());
        }
    }
    missing
}

#[tokio::test(start_paused = true)]
async fn without_rule_1_an_entry_names_what_is_not_there() {
    assert_eq!(missing_after_a_crash(None).await, 0);
    assert!(missing_after_a_crash(Some(Rule::ObjectsBeforeEntry)).await > 0);
}

#[tokio::test(start_paused = true)]
async fn without_rule_2_what_lands_is_reported_as_not_written() {
    let (env, storage) = (Env::simulated(2), memory());
    let faults = FaultyStore::new(env.clone());
    let mut writer = open(&faults.wrap(&storage), &env, breaking(Some(Rule::SettlePuts))).await.unwrap();
    let late = Fault::LandsLater(Duration::from_secs(5));
    faults.add(FaultRule::new(late).on(RequestKind::Create).nth(1));
    assert!(matches!(put(&mut writer, "not written").await, Outcome::Lost(Lost::Nothing { .. })));
    env.sleep(Duration::from_secs(10)).await;
    assert_eq!(positions_of(&walk(&storage).await, "not written"), [2]);
}

#[tokio::test(start_paused = true)]
async fn without_rule_3_a_superseded_producer_breaks_the_log() {
    let (env, storage) = (Env::simulated(3), memory());
    let mut first = open(&storage, &env, breaking(Some(Rule::SingleOwner))).await.unwrap();
    committed(&mut first, "one").await;
    let mut second = open(&storage, &env, breaking(None)).await.unwrap();
    committed(&mut second, "two").await;
    assert!(matches!(put(&mut first, "three").await, Outcome::Committed(_)));
    assert!(matches!(LogReader::start(storage).await, Err(ReadError::Damaged { .. })));
}

#[tokio::test(start_paused = true)]
async fn without_rule_4_a_crash_in_a_trim_leaves_names_without_objects() {
    for (rule, hurts) in [(None, false), (Some(Rule::TrimOrder), true)] {
        let mut hurt = false;
        for number in 0..40 {
            let (env, storage) = (Env::simulated(4), memory());
            let mut writer = open(&storage, &env, breaking(rule)).await.unwrap();
            for _ in 0..3 {
                committed(&mut writer, "x").await;
                let (object, body) = snapshot(&writer);
                position(writer.publish(object, body).await.unwrap());
            }
            let killer = StepStore::kill_at(number, Moment::After);
            let start = LogReader::start(killer.wrap(&storage));
            let keep = Retention::new().snapshots(1).younger_than(Duration::ZERO);
            killer
                .until_killed(async {
                    let reader = start.await.unwrap();
                    let mut janitor = LogWriter::join(&reader, env.clone(), breaking(rule));
                    trim(&mut janitor, &keep).await
                })
                .await;
            hurt |= missing_objects_or_unreadable(&storage).await;
        }
        assert_eq!(hurt, hurts, "{rule:?}");
    }
}

/// Whether what the log still shows as live can't be read.
async fn missing_objects_or_unreadable(storage: &Storage) -> bool {
    let Ok(reader) = LogReader::start(storage.clone()).await else { return true };
    let mut live = reader.walk_live();
    loop {
        match live.next().await {
            Ok(Some(entry)) => {
                let Some(object) = entry.body.object() else { continue };
                if storage.size(&object.name).await.unwrap().is_none() {
                    return true;
                }
            }
            Ok(None) => return false,
            // Tombstones below a log start that was raised are what a trim is; a start at the new log start goes on.
            Err(_) => return true,
        }
    }
}
