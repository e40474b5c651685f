//! The outcome of a version if the store fails, the caller drops the call, or the process dies (I6).

use std::time::Duration;

use cenote_state::ids::{Position, Version};
use cenote_store::storage::Storage;
use cenote_testing::faults::{Fault, FaultyStore, LatencyStore, Moment, RequestKind, Rule, StepStore};

use super::*;
use cenote_producer::Retention;
use cenote_producer::error::{ErrorKind, Lost, Refused};
use cenote_producer::{Cycled, Settled};

const COMMIT_TIMEOUT: Duration = Duration::from_secs(10);

async fn storage(name: &str) -> Storage {
    Storage::open(&format!("memory://{name}"), &[]).await.unwrap()
}

fn on(storage: Storage) -> ProducerBuilder<Storage> {
    let builder = Producer::builder_on(storage).with::<Movie>().with::<Country>().env(Env::simulated(7));
    builder.commit_timeout(COMMIT_TIMEOUT).snapshots(SnapshotPolicy::Manual)
}

async fn upsert(producer: &mut Producer, id: u64) -> Result<Version, CycleError> {
    Ok(producer.update(|changes| Ok(changes.upsert(&movie(id))?)).await?.version())
}

fn ids(producer: &Producer) -> Vec<u64> {
    let mut ids: Vec<u64> = producer.view().all::<Movie>().map(super::MovieRef::id).collect();
    ids.sort_unstable();
    ids
}

/// A producer with movie 1 on a store that can be made to fail.
async fn faulty(name: &str) -> (Producer, FaultyStore) {
    let faults = FaultyStore::new(Env::simulated(3));
    let mut producer = on(faults.wrap(&storage(name).await)).open().await.unwrap();
    upsert(&mut producer, 1).await.unwrap();
    (producer, faults)
}

#[test]
fn a_blob_that_can_not_be_put_changes_nothing() {
    run(async {
        let (mut producer, faults) = faulty("outcomes-blob").await;
        faults.add(Rule::new(Fault::Unavailable).prefix("blobs/"));
        // Hard to compress, and more than an entry holds.
        let noisy: Vec<Movie> = (100..112).map(|id| Movie { title: noise(id), ..movie(id) }).collect();
        let change = |changes: &mut Update| noisy.iter().try_for_each(|movie| Ok(changes.upsert(movie)?));
        let error = producer.update(change).await.unwrap_err();
        assert!(error.refused().is_some() && error.kind() == ErrorKind::Retry, "{error}");
        assert!(faults.fired() > 0);
        assert_eq!(ids(&producer), [1]);
        producer.check_invariants();
        faults.clear();
        producer.update(change).await.unwrap();
        assert_eq!(ids(&producer).len(), 13);
        producer.check_invariants();
        producer.close().await.unwrap();
        let again = on(storage("outcomes-blob").await).open().await.unwrap();
        assert_eq!(ids(&again).len(), 13, "the blob is read back");
    });
}

pub(super) fn noise(seed: u64) -> String {
    let env = Env::simulated(seed);
    (0..200_000).map(|_| char::from(33 + (env.random() % 90) as u8)).collect()
}

#[test]
fn a_lost_answer_is_a_commit() {
    run(async {
        let (mut producer, faults) = faulty("outcomes-answer").await;
        faults.add(Rule::new(Fault::AnswerLost).on(RequestKind::Create).prefix("log/").nth(1));
        upsert(&mut producer, 2).await.unwrap();
        assert_eq!(faults.fired(), 1);
        assert_eq!(ids(&producer), [1, 2]);
        producer.check_invariants();
    });
}

#[test]
fn an_unknown_commit_that_lands_is_found() {
    run(async {
        let (mut producer, faults) = faulty("outcomes-lands").await;
        let before = producer.version();
        faults.add(Rule::new(Fault::LandsLater(Duration::from_secs(30))).on(RequestKind::Create).prefix("log/"));
        let error = upsert(&mut producer, 2).await.unwrap_err();
        assert!(error.unknown().is_some(), "{error}");
        assert_eq!((producer.version(), ids(&producer)), (before, vec![1]), "an unknown outcome changes nothing");
        assert!(producer.settle().await.unwrap_err().unknown().is_some(), "it may still land");
        tokio::task::yield_now().await;
        faults.clear();
        let Settled::Committed(version) = producer.settle().await.unwrap() else { panic!("it landed") };
        assert_eq!(version, producer.version());
        assert_eq!(ids(&producer), [1, 2]);
        producer.check_invariants();
        upsert(&mut producer, 3).await.unwrap();
        assert_eq!(ids(&producer), [1, 2, 3]);
    });
}

#[test]
fn the_next_call_settles_what_is_unknown() {
    run(async {
        let (mut producer, faults) = faulty("outcomes-unknown").await;
        faults.add(Rule::new(Fault::Timeout).prefix("log/"));
        let error = upsert(&mut producer, 2).await.unwrap_err();
        assert!(error.unknown().is_some(), "{error}");
        let error = upsert(&mut producer, 3).await.unwrap_err();
        assert!(error.unknown().is_some(), "the first one comes first: {error}");
        faults.clear();
        // The producer puts the same bytes again, which commits them; then comes this one.
        upsert(&mut producer, 4).await.unwrap();
        assert_eq!(ids(&producer), [1, 2, 4]);
        producer.check_invariants();
    });
}

#[test]
fn a_dropped_call_is_settled_by_the_next() {
    let (mut landed, mut lost) = (0, 0);
    for wait in 0..30 {
        run(async {
            let env = Env::simulated(7);
            let faults = FaultyStore::new(env.clone());
            let mut producer =
                on(faults.wrap(&storage(&format!("outcomes-dropped-{wait}")).await)).open().await.unwrap();
            upsert(&mut producer, 1).await.unwrap();
            faults.add(Rule::new(Fault::Slow(Duration::from_millis(100))));
            let dropped = env.timeout(Duration::from_millis(wait * 10), upsert(&mut producer, 2)).await;
            match producer.settle().await.unwrap() {
                Settled::Committed(_) => landed += 1,
                Settled::NotCommitted => lost += 1,
                _ => {}
            }
            assert_eq!(ids(&producer).contains(&2), producer.version().0 == 3, "{dropped:?}");
            producer.check_invariants();
            upsert(&mut producer, 3).await.unwrap();
            assert!(ids(&producer).contains(&3));
            producer.check_invariants();
        });
    }
    assert!(landed > 0, "some were dropped while their entry was on its way; {lost} before");
}

/// All that a producer does until it is killed; acknowledged versions are noted.
async fn publish_some(storage: Storage, acknowledged: &mut Vec<(Version, Vec<u64>)>) -> Result<(), CycleError> {
    let opened = on(storage).open().await;
    let mut producer = match opened {
        Ok(producer) => producer,
        Err(error) if matches!(error.kind(), ErrorKind::Retry | ErrorKind::Damaged) => return Ok(()),
        Err(error) => panic!("{error}"),
    };
    for step in 0..3_u64 {
        let movies: Vec<Movie> = (step..step + 3).map(movie).collect();
        let fill = producer.cycle(async |writer| movies.iter().try_for_each(|movie| Ok(writer.add(movie)?)));
        let version = fill.await?.version();
        acknowledged.push((version, ids(&producer)));
    }
    let _ = producer.snapshot().await;
    let version = upsert(&mut producer, 50).await?;
    acknowledged.push((version, ids(&producer)));
    producer.close().await
}

#[test]
fn killed_at_any_step_the_next_producer_goes_on() {
    let steps = run(async {
        let recorder = StepStore::new();
        publish_some(recorder.wrap(&storage("outcomes-kill-recorded").await), &mut Vec::new()).await.unwrap();
        recorder.steps().len()
    });
    assert!(steps > 10, "{steps} steps");
    for number in 0..steps {
        for moment in [Moment::Before, Moment::After] {
            run(async {
                let name = format!("outcomes-kill-{number}-{moment:?}");
                let killer = StepStore::kill_at(number, moment);
                let mut acknowledged = Vec::new();
                let mortal = killer.wrap(&storage(&name).await);
                let _ = killer.until_killed(publish_some(mortal, &mut acknowledged)).await;
                let mut next = on(storage(&name).await).take_over().open().await.unwrap();
                next.check_invariants();
                if let Some((version, movies)) = acknowledged.last() {
                    assert!(next.version() >= *version, "step {number} {moment:?}: what was acknowledged is there");
                    if next.version() == *version {
                        assert_eq!(ids(&next), *movies);
                    }
                }
                upsert(&mut next, 99).await.unwrap();
                next.check_invariants();
            });
        }
    }
}

/// I6: a commit that others built on and then trimmed is never reported as "not committed".
#[test]
fn a_commit_that_was_trimmed_before_it_was_settled_may_have_committed() {
    run(async {
        let (mut first, faults) = faulty("outcomes-trimmed").await;
        faults.add(Rule::new(Fault::AnswerLost).on(RequestKind::Create).prefix("log/").nth(1));
        faults.add(Rule::new(Fault::Hang).on(RequestKind::Get).prefix("log/"));
        let error = upsert(&mut first, 2).await.unwrap_err();
        assert!(error.unknown().is_some(), "{error}");
        faults.clear();
        let keep = Retention::new().snapshots(1).younger_than(Duration::ZERO);
        let mut rival = on(storage("outcomes-trimmed").await).retention(keep).take_over().open().await.unwrap();
        assert_eq!(ids(&rival), [1, 2], "it is committed");
        for id in [3, 4] {
            upsert(&mut rival, id).await.unwrap();
            rival.snapshot().await.unwrap();
        }
        let error = first.settle().await.unwrap_err();
        assert!(error.may_have_committed() && error.kind() == ErrorKind::Stop, "{error}");
        let expected = "the version may have been committed: open the dataset again and see what it holds";
        assert_eq!(error.to_string(), expected);
        assert!(matches!(error.lost(), Some(Lost::MayHaveCommitted { position: Position(3), .. })), "{error:?}");
        assert_eq!(first.settle().await.unwrap(), Settled::Nothing, "the outcome is reported once");
        let error = upsert(&mut first, 5).await.unwrap_err();
        assert!(error.lost().is_some() && !error.may_have_committed(), "this one was never put: {error}");
    });
}

/// A regression: `take_over` never came to an end against a producer that commits without a pause, or one that is as far
/// from the store and waits for its puts only.
#[test]
fn a_producer_that_never_pauses_is_taken_over() {
    for (far, pause) in [(false, Duration::from_millis(200)), (true, Duration::ZERO)] {
        run(async {
            let env = Env::simulated(11);
            let near = storage(&format!("outcomes-busy-{far}")).await;
            // To read the log from its hint to its tail takes longer than a commit does.
            let on_s3 = LatencyStore::s3(env.clone()).wrap(&near);
            let mut first = on(if far { on_s3.clone() } else { near.clone() }).open().await.unwrap();
            let busy = env.spawn({
                let env = env.clone();
                async move {
                    for id in 1.. {
                        if let Err(error) = upsert(&mut first, id).await {
                            return (id, error);
                        }
                        env.sleep(pause).await;
                    }
                    unreachable!("it goes on until it is fenced")
                }
            });
            env.sleep(Duration::from_secs(5)).await;
            let opening = env.timeout(Duration::from_secs(30), on(on_s3).take_over().open()).await;
            let mut second = opening.expect("it comes to an end").unwrap();
            let (fenced, error) = busy.await.unwrap();
            assert!(error.is_fenced(), "{error}");
            assert_eq!(ids(&second), (1..fenced).collect::<Vec<_>>(), "what was committed meanwhile is caught up with");
            second.check_invariants();
            upsert(&mut second, fenced).await.unwrap();
            second.close().await.unwrap();
            assert_eq!(ids(&on(near).open().await.unwrap()).len() as u64, fenced);
        });
    }
}

/// A regression: entries put after a log was deleted are read by no consumer.
#[test]
fn a_producer_notices_that_its_dataset_was_deleted_or_replaced() {
    for replaced in [false, true] {
        run(async {
            let env = Env::simulated(12);
            let near = storage(&format!("outcomes-deleted-{replaced}")).await;
            let mut producer = on(near.clone()).open().await.unwrap();
            upsert(&mut producer, 1).await.unwrap();
            for object in near.list("", None).await.unwrap() {
                near.delete(&object.name).await.unwrap();
            }
            if replaced {
                let other_env = Env::simulated(13);
                let mut other = on(near.clone()).env(other_env).take_over().open().await.unwrap();
                upsert(&mut other, 7).await.unwrap();
            }
            env.sleep(Duration::from_secs(61)).await;
            let before = near.list("log", None).await.unwrap();
            let error = upsert(&mut producer, 2).await.unwrap_err();
            let expected = if replaced { "the dataset was created again" } else { "no dataset at" };
            let text = chain(&error);
            assert!(matches!(error.refused(), Some(Refused::Gone(_))) && error.kind() == ErrorKind::Stop, "{text}");
            assert!(
                text.starts_with("the log that this writer appended to is gone: ") && text.contains(expected),
                "{text}"
            );
            assert_eq!(near.list("log", None).await.unwrap(), before, "nothing was put");
            assert_eq!(ids(&producer), [1]);
            // The hint is another dataset's, or deleted: this producer writes no heartbeat and no last hint.
            near.delete("hint").await.unwrap();
            env.sleep(Duration::from_secs(61)).await;
            producer.close().await.unwrap();
            assert!(near.get("hint").await.unwrap().is_none());
        });
    }
}

#[test]
fn a_promise_is_waited_for() {
    run(async {
        let first = producer("outcomes-promise").open().await.unwrap();
        let env = Env::simulated(1);
        let waiting = env.timeout(Duration::from_secs(40), producer("outcomes-promise").open()).await;
        assert!(waiting.is_err(), "the first producer is alive");
        // Dropped, and not closed: its promise must break first.
        drop(first);
        let started = env.instant();
        let second = producer("outcomes-promise").open().await.unwrap();
        assert!(env.instant() - started >= Duration::from_secs(5));
        assert_eq!(second.epoch().0, 2);
    });
}

#[test]
fn a_version_that_was_made_by_a_rival_is_not_lost() {
    run(async {
        let mut first = producer("outcomes-rival").open().await.unwrap();
        upsert(&mut first, 1).await.unwrap();
        let mut second = producer("outcomes-rival").take_over().open().await.unwrap();
        let rival = upsert(&mut second, 2).await.unwrap();
        assert!(upsert(&mut first, 3).await.unwrap_err().is_fenced());
        let unchanged = second.cycle(async |writer| {
            writer.add(&movie(1))?;
            Ok(writer.add(&movie(2))?)
        });
        assert!(matches!(unchanged.await.unwrap(), Cycled::Unchanged(token) if token.version() == rival));
    });
}
