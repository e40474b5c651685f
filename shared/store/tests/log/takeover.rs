//! One owner at a time (rule 3, I1): waiting, taking over, being fenced, closing.

use std::time::Duration;

use cenote_state::ids::{Epoch, Position};
use cenote_store::env::Env;
use cenote_store::log::tail::read_hint;
use cenote_store::log::{LogReader, LogWriter, OpenError, Outcome};
use cenote_testing::faults::{CountingStore, Fault, FaultyStore, LatencyStore, RequestKind, Rule};

use crate::house::{committed, memory, open, options, put, reader, taking_over};
use cenote_testing::log_walk::{positions_of, walk};

#[tokio::test(start_paused = true)]
async fn a_producer_that_opens_waits_for_a_live_owner() {
    let (env, storage) = (Env::simulated(1), memory());
    let mut first = open(&storage, &env, options("first")).await.unwrap();
    let beating = env.spawn(first.heartbeat().beat());
    let waiting = open(&storage, &env, options("second"));
    assert!(env.timeout(Duration::from_mins(5), waiting).await.is_err(), "the first one lives");
    committed(&mut first, "still here").await;
    // The process dies: no more hints, not even a last one.
    beating.abort();
    let died = env.instant();
    let mut second = open(&storage, &env, options("second")).await.unwrap();
    let waited = env.instant() - died;
    assert!(waited >= Duration::from_secs(15) && waited < Duration::from_secs(20), "{waited:?}");
    committed(&mut second, "now me").await;
    match put(&mut first, "too late").await {
        Outcome::Fenced(fenced) => assert_eq!((fenced.own, fenced.epoch), (Epoch(1), Epoch(2))),
        other => panic!("{other:?}"),
    }
    // Final: also for what would fit.
    assert!(matches!(put(&mut first, "again").await, Outcome::Fenced(_)));
    let entries = walk(&storage).await;
    assert!(positions_of(&entries, "too late").is_empty() && positions_of(&entries, "again").is_empty());
}

#[tokio::test(start_paused = true)]
async fn after_the_last_hint_no_producer_waits() {
    let (env, storage) = (Env::simulated(2), memory());
    let mut first = open(&storage, &env, options("first")).await.unwrap();
    let beating = env.spawn(first.heartbeat().beat());
    committed(&mut first, "one").await;
    assert!(first.close().await.is_none());
    beating.await.unwrap();
    assert_eq!(read_hint(&storage).await.unwrap().unwrap().owner, None);
    let closed = env.instant();
    open(&storage, &env, options("second")).await.unwrap();
    assert_eq!(env.instant() - closed, Duration::ZERO);
}

/// A beat that was under way when its writer closed landed after the last hint: the next producer waited for a writer that was closed.
#[tokio::test(start_paused = true)]
async fn a_closed_writers_hint_is_the_last_one_however_slow_the_store() {
    for seed in 0..64 {
        let env = Env::simulated(seed);
        let near = memory();
        let storage = LatencyStore::s3(env.clone()).wrap(&near);
        let mut first = open(&storage, &env, options("first")).await.unwrap();
        let beating = env.spawn(first.heartbeat().beat());
        committed(&mut first, "one").await;
        // The beat for it waits for its second first, and wakes when the last hint does.
        env.sleep(Duration::from_millis(10)).await;
        assert!(env.spawn(async move { first.close().await.is_none() }).await.unwrap());
        beating.await.unwrap();
        env.sleep(Duration::from_secs(5)).await;
        assert_eq!(read_hint(&near).await.unwrap().unwrap().owner, None, "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn taking_over_does_not_wait_and_fences() {
    let (env, storage) = (Env::simulated(3), memory());
    let mut first = open(&storage, &env, options("first")).await.unwrap();
    let started = env.instant();
    let mut second = open(&storage, &env, taking_over("second")).await.unwrap();
    assert_eq!(env.instant() - started, Duration::ZERO);
    assert!(matches!(put(&mut first, "x").await, Outcome::Fenced(_)));
    committed(&mut second, "y").await;
}

#[tokio::test(start_paused = true)]
async fn an_open_that_insists_takes_the_tail_wherever_it_is() {
    let (env, storage) = (Env::simulated(8), memory());
    let mut first = open(&storage, &env, options("first")).await.unwrap();
    let stale = reader(&storage).await.unwrap();
    let mut between = open(&storage, &env, taking_over("between")).await.unwrap();
    let missed = [committed(&mut between, "a").await, committed(&mut between, "b").await];
    let behind = LogWriter::open(&stale, env.clone(), taking_over("second")).await;
    assert!(matches!(behind, Err(OpenError::Behind { position: Position(2) })));
    let mut second = LogWriter::open_at_tail(&stale, env.clone(), taking_over("second")).await.unwrap();
    // It knows what it went past: the epoch in between, and the newest version.
    assert_eq!((second.epoch(), second.log_state().position), (Epoch(3), Position(5)));
    assert_eq!(second.log_state(), reader(&storage).await.unwrap().log_state());
    assert_eq!(second.log_state().version.position(), missed[1]);
    committed(&mut second, "mine").await;
    for superseded in [&mut first, &mut between] {
        assert!(matches!(put(superseded, "x").await, Outcome::Fenced(_)));
    }
    walk(&storage).await;
}

/// By way of S3, to be refused and to read what won took longer than the owner's next version: no producer ever overtook it.
#[tokio::test(start_paused = true)]
async fn an_open_that_insists_overtakes_one_that_puts_without_a_pause() {
    let mark = |count: usize| format!("put {count:04}");
    for seed in 0..16 {
        let (env, near) = (Env::simulated(seed), memory());
        let far = LatencyStore::s3(env.clone()).wrap(&near);
        let mut first = open(&far, &env, options("first")).await.unwrap();
        let stale = LogReader::at(far.clone(), first.log_state().clone());
        let busy = env.spawn(async move {
            for count in 0_usize.. {
                match put(&mut first, &mark(count)).await {
                    Outcome::Committed(_) => {}
                    outcome => return (count, outcome),
                }
            }
            unreachable!("it goes on until it is fenced")
        });
        env.sleep(Duration::from_secs(5)).await;
        let started = env.instant();
        let mut second = LogWriter::open_at_tail(&stale, env.clone(), taking_over("second")).await.unwrap();
        let took = env.instant() - started;
        assert!(took < Duration::from_secs(20), "seed {seed}: it came fifty versions late, and took {took:?}");
        let (written, outcome) = busy.await.unwrap();
        assert!(matches!(outcome, Outcome::Fenced(_)), "seed {seed}: {outcome:?}");
        committed(&mut second, "mine").await;
        let entries = walk(&near).await;
        assert!((0..written).all(|count| positions_of(&entries, &mark(count)).len() == 1), "seed {seed}");
        assert!(positions_of(&entries, &mark(written)).is_empty(), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_superseded_owners_late_hint_does_not_open_the_door() {
    let (env, storage) = (Env::simulated(4), memory());
    let first = open(&storage, &env, options("first")).await.unwrap();
    let mut second = open(&storage, &env, taking_over("second")).await.unwrap();
    let beating = env.spawn(second.heartbeat().beat());
    // The first one's hint lands over the second's.
    env.sleep(Duration::from_secs(6)).await;
    assert!(first.heartbeat().offer().await);
    let waiting = open(&storage, &env, options("third"));
    assert!(env.timeout(Duration::from_mins(1), waiting).await.is_err(), "the second one lives");
    committed(&mut second, "mine").await;
    beating.abort();
}

#[tokio::test(start_paused = true)]
async fn a_put_in_flight_lands_before_or_is_fenced() {
    // The old owner's put may land after its answer; the new one opens at the same position.
    for lands_after in [1, 120] {
        let (env, storage) = (Env::simulated(5), memory());
        let faults = FaultyStore::new(env.clone());
        let mut first = open(&faults.wrap(&storage), &env, options("first")).await.unwrap();
        let late = Fault::LandsLater(Duration::from_secs(lands_after));
        faults.add(Rule::new(late).on(RequestKind::Create).nth(1));
        faults.add(Rule::new(Fault::Unavailable).on(RequestKind::Create));
        let answer = env.timeout(Duration::from_millis(10), put(&mut first, "late")).await;
        assert!(answer.is_err(), "no outcome is reported while it may land");
        env.sleep(Duration::from_secs(10)).await;
        let second = open(&storage, &env, taking_over("second")).await.unwrap();
        env.sleep(Duration::from_secs(200)).await;
        faults.clear();
        let outcome = first.settle().await.expect("it is in flight");
        let found = positions_of(&walk(&storage).await, "late");
        if lands_after == 1 {
            assert!(matches!(outcome, Outcome::Committed(Position(2))), "{outcome:?}");
            assert_eq!((found, second.log_state().position), (vec![2], Position(3)));
        } else {
            assert!(matches!(outcome, Outcome::Fenced(_)), "{outcome:?}");
            assert!(found.is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn creators_race_and_one_makes_the_dataset() {
    let (env, storage) = (Env::simulated(6), memory());
    let empty = LogReader::empty(storage.clone());
    LogWriter::open(&empty, env.clone(), options("one")).await.unwrap();
    let behind = LogWriter::open(&empty, env.clone(), options("two")).await;
    assert!(matches!(behind, Err(OpenError::Behind { position: Position(1) })));
    assert_eq!(walk(&storage).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_hint_is_put_once_a_second_at_most_and_as_promised() {
    let (env, storage) = (Env::simulated(7), memory());
    let counting = CountingStore::new();
    let mut writer = open(&counting.wrap(&storage), &env, options("one")).await.unwrap();
    env.spawn(writer.heartbeat().beat());
    counting.take();
    for index in 0..100 {
        committed(&mut writer, &format!("{index}")).await;
        env.sleep(Duration::from_millis(100)).await;
    }
    let busy = counting.take().of(RequestKind::Put);
    assert!((9..=11).contains(&busy), "{busy} puts in 10 s of commits");
    env.sleep(Duration::from_mins(1)).await;
    let idle = counting.take().of(RequestKind::Put);
    assert!((11..=13).contains(&idle), "{idle} puts in 60 idle s");
    let hint = read_hint(&storage).await.unwrap().unwrap();
    assert_eq!(hint.position, reader(&storage).await.unwrap().log_state().position);
}
