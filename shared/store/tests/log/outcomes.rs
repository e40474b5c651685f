//! Outcomes of a put (rule 2): reported rightly whatever the store answers, exactly once, never "not written" too early (I6).

use std::collections::BTreeSet;
use std::time::Duration;

use cenote_state::ids::Position;
use cenote_store::env::Env;
use cenote_store::error::ErrorKind;
use cenote_store::log::retention::{Retention, trim};
use cenote_store::log::{Body, Kind, LogReader, LogWriter, Lost, Outcome, Refused, Trim};
use cenote_store::storage::Storage;
use cenote_testing::faults::{Fault, FaultyStore, LatencyStore, Odds, RequestKind, Rule};

use crate::house::{committed, memory, open, options, position, put, reader, snapshot, taking_over};
use cenote_testing::log_walk::{positions_of, walk};

/// A dataset whose store fails as the test asks.
async fn faulty(seed: u64) -> (Storage, FaultyStore, LogWriter, Env) {
    let env = Env::simulated(seed);
    let faults = FaultyStore::new(env.clone());
    let storage = memory();
    let writer = open(&faults.wrap(&storage), &env, options("one")).await.unwrap();
    (storage, faults, writer, env)
}

#[tokio::test(start_paused = true)]
async fn an_outcome_is_right_whatever_the_store_answers() {
    let faults_of_a_put = [
        Fault::Unavailable,
        Fault::Timeout,
        Fault::AnswerLost,
        Fault::Conflict,
        Fault::SaysExists,
        Fault::MeetsItself,
        Fault::LandsLater(Duration::from_secs(20)),
        Fault::Hang,
    ];
    for fault in faults_of_a_put {
        // A request that hangs takes 20 s to give up: two of them are still within the commit timeout.
        for times in 1..3 {
            let (storage, faults, mut writer, _) = faulty(1).await;
            faults.add(Rule::new(fault).on(RequestKind::Create).prefix("log/").times(times));
            let position = committed(&mut writer, "mark-1").await;
            committed(&mut writer, "mark-2").await;
            assert!(faults.fired() > 0);
            let entries = walk(&storage).await;
            assert_eq!(positions_of(&entries, "mark-1"), [position.0], "{fault:?}");
            assert_eq!(entries.len(), 3);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_put_is_told_at_once_with_its_cause_and_the_writer_goes_on() {
    for (fault, cause) in
        [(Fault::Denied, "403"), (Fault::DiskFull, "No space left on device (os error 28); make room")]
    {
        let (storage, faults, mut writer, env) = faulty(1).await;
        faults.add(Rule::new(fault).on(RequestKind::Create).times(1));
        let started = env.instant();
        let Outcome::Lost(lost @ Lost::Refused(_)) = put(&mut writer, "mark-1").await else { panic!("it was refused") };
        assert_eq!(env.instant(), started, "nothing to wait for");
        assert!(lost.to_string().contains(cause), "{lost}");
        assert_eq!(lost.kind(), ErrorKind::Configuration);
        assert_eq!(committed(&mut writer, "mark-2").await, Position(2));
        assert_eq!(walk(&storage).await.len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_that_the_store_refuses_says_why_at_once() {
    for (fault, cause) in
        [(Fault::Denied, "403; check"), (Fault::DiskFull, "No space left on device (os error 28); make room")]
    {
        let env = Env::simulated(1);
        let faults = FaultyStore::new(env.clone());
        let storage = faults.wrap(&memory());
        faults.add(Rule::new(fault).on(RequestKind::Create));
        let started = env.instant();
        let error = LogWriter::open(&LogReader::empty(storage), env.clone(), options("one")).await.unwrap_err();
        assert_eq!(env.instant(), started, "nothing to wait for");
        assert!(error.to_string().contains(cause), "{error}");
        assert_eq!(error.kind(), ErrorKind::Configuration);
    }
}

/// The first put may still land, so that a later refusal is no proof that nothing was written; but it is the cause that
/// tells most, more than the silence of the last attempt.
#[tokio::test(start_paused = true)]
async fn a_refusal_after_a_doubt_stays_unknown_and_is_its_cause() {
    let (_, faults, mut writer, env) = faulty(2).await;
    faults.add(Rule::new(Fault::LandsLater(Duration::from_secs(150))).on(RequestKind::Create).nth(1));
    faults.add(Rule::new(Fault::Denied).on(RequestKind::Create).times(3));
    faults.add(Rule::new(Fault::Hang).on(RequestKind::Create));
    let started = env.instant();
    let Outcome::Unknown(pending) = put(&mut writer, "late").await else { panic!("nobody can know") };
    assert!(pending.cause().contains("403"), "{}", pending.cause());
    assert!(env.instant() - started <= Duration::from_secs(62), "an attempt ends with the commit timeout");
}

#[tokio::test(start_paused = true)]
async fn what_may_still_land_is_unknown_and_settled_by_its_pending() {
    let (storage, faults, mut writer, env) = faulty(2).await;
    faults.add(Rule::new(Fault::LandsLater(Duration::from_secs(150))).on(RequestKind::Create).nth(1));
    faults.add(Rule::new(Fault::Unavailable).on(RequestKind::Create));
    let started = env.instant();
    let Outcome::Unknown(pending) = put(&mut writer, "late").await else { panic!("the outcome is unknown") };
    assert!(env.instant() - started >= Duration::from_mins(1));
    assert_eq!((pending.position(), pending.is_earlier()), (Position(2), false));
    // Another body does not go first.
    let Outcome::Unknown(earlier) = put(&mut writer, "other").await else { panic!("the first is not settled") };
    assert!(earlier.is_earlier());
    assert_eq!(position(writer.settle_pending(pending).await), Position(2));
    // Both pendings are the same entry, and both hear the same.
    assert_eq!(position(writer.settle_pending(earlier).await), Position(2));
    faults.clear();
    committed(&mut writer, "next").await;
    let entries = walk(&storage).await;
    assert_eq!(positions_of(&entries, "late"), [2]);
    assert!(positions_of(&entries, "other").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_future_loses_nothing() {
    let (storage, faults, mut writer, env) = faulty(3).await;
    faults.add(Rule::new(Fault::AnswerLost).on(RequestKind::Create).nth(1));
    faults.add(Rule::new(Fault::Hang).on(RequestKind::Get).times(1));
    let stale = crate::house::commit(&writer, "second");
    let first = put(&mut writer, "first");
    assert!(env.timeout(Duration::from_secs(1), first).await.is_err(), "it hangs, and is dropped");
    // The next call settles it, and so the second body's parent is stale.
    match writer.append(stale).await.unwrap() {
        Outcome::Lost(Lost::StaleParent { parent, newest }) => assert_eq!((parent.0, newest.0), (0, 2)),
        other => panic!("{other:?}"),
    }
    let position = committed(&mut writer, "third").await;
    let entries = walk(&storage).await;
    assert_eq!(positions_of(&entries, "first"), [2]);
    assert!(positions_of(&entries, "second").is_empty());
    assert_eq!(positions_of(&entries, "third"), [position.0]);
}

/// A put got no clear answer, another took over and trimmed past it, and only then its writer looked: the
/// tombstone was reported as "not written" of an entry that had been in the log (I6). The writer can't know, and says so.
#[tokio::test(start_paused = true)]
async fn what_was_trimmed_before_its_writer_looked_may_have_landed() {
    for (answer, landed) in [(Fault::AnswerLost, true), (Fault::MeetsItself, true), (Fault::Unavailable, false)] {
        let (storage, faults, mut first, env) = faulty(7).await;
        faults.add(Rule::new(answer).on(RequestKind::Create).nth(1));
        faults.add(Rule::new(Fault::Hang).on(RequestKind::Get).times(1));
        let dropped = env.timeout(Duration::from_secs(2), put(&mut first, "doubtful")).await;
        assert!(dropped.is_err(), "it reads what is there, and hangs");
        let mut rival = open(&storage, &env, taking_over("rival")).await.unwrap();
        assert_eq!(!positions_of(&walk(&storage).await, "doubtful").is_empty(), landed);
        for mark in ["one", "two"] {
            committed(&mut rival, mark).await;
            let (object, body) = snapshot(&rival);
            position(rival.publish(object, body).await.unwrap());
        }
        trim(&mut rival, &Retention::new().snapshots(1).younger_than(Duration::ZERO)).await.unwrap();
        match first.settle().await.expect("it is in flight") {
            Outcome::Lost(Lost::MayHaveCommitted { kind: Kind::Commit, position: Position(2), cause }) => {
                assert!(matches!(*cause, Lost::Trimmed { position: Position(2), .. }), "{cause}");
            }
            other => panic!("{answer:?}: {other:?}"),
        }
        // What comes after it was never put.
        assert!(matches!(put(&mut first, "after").await, Outcome::Lost(Lost::Trimmed { .. })));
    }
}

/// The answer to a put was lost, and the read of what is there came back with a bit flipped: that was taken for
/// another's entry, a written entry was reported as "not written", and the writer was at its end (I6).
#[tokio::test(start_paused = true)]
async fn damage_on_the_way_back_is_not_anothers_entry() {
    for damage in [Fault::FlipBit(5_000), Fault::FlipBit(3), Fault::Truncate(0), Fault::Truncate(100)] {
        let (storage, faults, mut writer, _) = faulty(6).await;
        faults.add(Rule::new(Fault::AnswerLost).on(RequestKind::Create).nth(1));
        faults.add(Rule::new(damage).on(RequestKind::Get).prefix("log/").times(1));
        assert_eq!(committed(&mut writer, "first").await.0, 2, "{damage:?}");
        assert_eq!(committed(&mut writer, "second").await.0, 3, "{damage:?}");
        assert_eq!(positions_of(&walk(&storage).await, "first"), [2]);
    }
}

#[tokio::test(start_paused = true)]
async fn many_writers_race_for_every_position() {
    const WRITERS: usize = 64;
    const APPENDS: usize = 20;
    let env = Env::simulated(4);
    let storage = memory();
    let mut owner = open(&storage, &env, options("owner")).await.unwrap();
    let slow = LatencyStore::s3(env.clone()).wrap(&storage);
    let start = reader(&slow).await.unwrap();
    let tasks: Vec<_> = (0..WRITERS)
        .map(|_| {
            let mut writer = LogWriter::join(&start, env.clone(), options("janitor"));
            env.spawn(async move {
                let mut positions = Vec::new();
                for _ in 0..APPENDS {
                    let trim = Body::Trim(Trim { log_start: Position(1) });
                    positions.push(position(writer.append(trim).await.unwrap()));
                }
                positions
            })
        })
        .collect();
    let mut acked = BTreeSet::new();
    for (index, task) in tasks.into_iter().enumerate() {
        committed(&mut owner, &format!("owner-{index:03}")).await;
        for position in task.await.unwrap() {
            assert!(acked.insert(position.0), "{position} was reported twice");
        }
    }
    let entries = walk(&storage).await;
    let trims: BTreeSet<_> = entries.iter().filter(|entry| entry.kind == 5).map(|entry| entry.position).collect();
    assert_eq!(trims, acked);
    assert_eq!(acked.len(), WRITERS * APPENDS);
    assert!((0..WRITERS).all(|index| positions_of(&entries, &format!("owner-{index:03}")).len() == 1));
}

#[tokio::test(start_paused = true)]
async fn on_a_bad_day_every_ack_is_in_the_log_once() {
    for seed in 0..20 {
        let (storage, faults, mut writer, env) = faulty(100 + seed).await;
        faults.set_odds(Odds { says_exists: 0.05, ..Odds::rough() });
        let mut acked = Vec::new();
        for index in 0..40 {
            let mark = format!("mark-{index:03}");
            let mut outcome = put(&mut writer, &mark).await;
            while let Outcome::Unknown(pending) = outcome {
                outcome = writer.settle_pending(pending).await;
            }
            acked.push((mark, position(outcome)));
        }
        faults.clear();
        env.sleep(Duration::from_mins(10)).await;
        let entries = walk(&storage).await;
        for (mark, position) in acked {
            assert_eq!(positions_of(&entries, &mark), [position.0], "seed {seed}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_only_an_owner_may_is_refused() {
    let (storage, _, writer, env) = faulty(5).await;
    let start = reader(&storage).await.unwrap();
    let mut janitor = LogWriter::join(&start, env, options("janitor"));
    let body = crate::house::commit(&writer, "x");
    assert!(matches!(janitor.append(body).await, Err(Refused::NotOwner { .. })));
    let trim = Body::Trim(Trim { log_start: Position(2) });
    assert!(matches!(janitor.append(trim).await, Err(Refused::LogStartAboveCheckpoint { .. })));
}
