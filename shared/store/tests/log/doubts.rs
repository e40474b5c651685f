//! Puts without an answer, and a producer that takes over from the one that left them (rules 2 and 3, I6): the doubt is
//! settled by what is in the log, no entry is lost, and none is there twice.

use std::time::Duration;

use cenote_state::ids::{Epoch, Position};
use cenote_store::env::Env;
use cenote_store::log::retention::{Retention, trim};
use cenote_store::log::{Kind, LogWriter, Lost, Outcome};
use cenote_store::storage::Storage;
use cenote_testing::faults::{Fault, FaultyStore, RequestKind, Rule};

use crate::house::{committed, memory, open, options, position, put, reader, snapshot, taking_over};
use cenote_testing::log_walk::{positions_of, walk};

const SECOND: Duration = Duration::from_secs(1);
/// What may befall a conditional create, and whether it has landed two seconds later.
const DOUBTS: [(Fault, bool); 6] = [
    (Fault::AnswerLost, true),
    (Fault::MeetsItself, true),
    (Fault::LandsLater(SECOND), true),
    (Fault::LandsLater(Duration::from_mins(2)), false),
    (Fault::Unavailable, false),
    (Fault::Hang, false),
];

/// What comes behind the doubtful put goes on, and its log start passes it.
async fn trim_past_it(rival: &mut LogWriter) {
    for mark in ["one", "two"] {
        committed(rival, mark).await;
        let (object, body) = snapshot(rival);
        position(rival.publish(object, body).await.unwrap());
    }
    trim(rival, &Retention::new().snapshots(1).younger_than(Duration::ZERO)).await.unwrap();
}

/// A writer whose commit `doubtful` met this fault, and whose caller dropped the call two seconds later.
async fn dropped_in_doubt(storage: &Storage, env: &Env, fault: Fault) -> LogWriter {
    let faults = FaultyStore::new(env.clone());
    let mut first = open(&faults.wrap(storage), env, options("first")).await.unwrap();
    faults.add(Rule::new(fault).on(RequestKind::Create).nth(1));
    faults.add(Rule::new(Fault::Hang).on(RequestKind::Get).times(1));
    let dropped = env.timeout(2 * SECOND, put(&mut first, "doubtful")).await;
    assert!(dropped.is_err(), "{fault:?}: no outcome is reported yet");
    faults.clear();
    first
}

#[tokio::test(start_paused = true)]
async fn a_doubtful_put_is_settled_by_what_the_log_has_after_a_takeover_at_the_tail() {
    for (fault, landed) in DOUBTS {
        for trimmed in [false, true] {
            let (env, storage) = (Env::simulated(9), memory());
            let start = open(&storage, &env, options("start")).await.unwrap();
            let stale = reader(&storage).await.unwrap();
            drop(start);
            env.sleep(20 * SECOND).await;
            let mut first = dropped_in_doubt(&storage, &env, fault).await;
            // Its `open` is behind what the next one has read, and perhaps its commit.
            let mut rival = LogWriter::open_at_tail(&stale, env.clone(), taking_over("rival")).await.unwrap();
            let at = format!("{fault:?}, trimmed: {trimmed}");
            let expected = if landed { (Position(4), 3) } else { (Position(3), 0) };
            assert_eq!((rival.log_state().position, rival.log_state().version.0), expected, "{at}");
            assert_eq!(rival.epoch(), Epoch(3), "{at}");
            committed(&mut rival, "mine").await;
            if trimmed {
                trim_past_it(&mut rival).await;
            }
            // What is still on its way lands, or meets what is there.
            env.sleep(300 * SECOND).await;
            let outcome = first.settle().await.expect("it is in flight");
            match (&outcome, landed, trimmed) {
                (Outcome::Committed(Position(3)), true, false) | (Outcome::Fenced(_), false, false) => {}
                // Landed or not, it can't tell any more.
                (Outcome::Lost(Lost::MayHaveCommitted { kind: Kind::Commit, position: Position(3), .. }), _, true) => {}
                _ => panic!("{at}: {outcome:?}"),
            }
            // What it is asked for later was certainly not put.
            assert!(matches!(put(&mut first, "later").await, Outcome::Fenced(_) | Outcome::Lost(Lost::Trimmed { .. })));
            let entries = walk(&storage).await;
            assert_eq!(positions_of(&entries, "doubtful").len(), usize::from(landed && !trimmed), "{at}");
            assert_eq!(positions_of(&entries, "later"), [0; 0], "{at}");
        }
    }
}

/// A store's client that tries twice by itself gets "exists" for its own first attempt. By then others may have taken
/// over and trimmed: the tombstone does not say that the put was refused. Within a second that can't have happened.
#[tokio::test(start_paused = true)]
async fn an_exists_is_clear_only_if_all_of_it_came_at_once() {
    for landed in [true, false] {
        for wait in [Duration::ZERO, Duration::from_millis(900), Duration::from_millis(1_100), 5 * SECOND] {
            if landed && wait < SECOND {
                continue; // no takeover and trim happen in that time
            }
            let (env, storage) = (Env::simulated(10), memory());
            let faults = FaultyStore::new(env.clone());
            let mut first = open(&faults.wrap(&storage), &env, options("first")).await.unwrap();
            if landed {
                faults.add(Rule::new(Fault::MeetsItself).on(RequestKind::Create).nth(1));
            } else {
                trim_past_it(&mut open(&storage, &env, taking_over("rival")).await.unwrap()).await;
            }
            faults.add(Rule::new(Fault::Slow(wait)).on(RequestKind::Get).nth(1));
            let putting = env.spawn(async move { put(&mut first, "doubtful").await });
            if landed {
                env.sleep(Duration::from_millis(500)).await;
                trim_past_it(&mut open(&storage, &env, taking_over("rival")).await.unwrap()).await;
            }
            let outcome = putting.await.unwrap();
            let at = format!("landed: {landed}, {wait:?}");
            match outcome {
                Outcome::Lost(Lost::Trimmed { .. }) => assert!(wait < SECOND, "{at}: it may have landed"),
                Outcome::Lost(Lost::MayHaveCommitted { .. }) => assert!(wait > SECOND, "{at}: it was refused"),
                other => panic!("{at}: {other:?}"),
            }
        }
    }
}

/// The `open` of one who insists is a put like others.
#[tokio::test(start_paused = true)]
async fn a_doubtful_open_at_the_tail_is_there_once() {
    for (fault, _) in DOUBTS {
        for is_dropped in [false, true] {
            let (env, storage) = (Env::simulated(11), memory());
            let mut first = open(&storage, &env, options("first")).await.unwrap();
            let stale = reader(&storage).await.unwrap();
            committed(&mut first, "missed").await;
            let faults = FaultyStore::new(env.clone());
            // The first create meets what was missed; it is the second that is in doubt.
            faults.add(Rule::new(fault).on(RequestKind::Create).nth(2));
            let stale = cenote_store::log::LogReader::at(faults.wrap(&storage), stale.log_state().clone());
            if is_dropped {
                faults.add(Rule::new(Fault::Hang).on(RequestKind::Get).nth(2));
                let opening = LogWriter::open_at_tail(&stale, env.clone(), taking_over("second"));
                assert!(env.timeout(2 * SECOND, opening).await.is_err(), "{fault:?}");
                faults.clear();
            }
            let mut second = LogWriter::open_at_tail(&stale, env.clone(), taking_over("second")).await.unwrap();
            committed(&mut second, "after").await;
            env.sleep(300 * SECOND).await;
            assert!(matches!(put(&mut first, "late").await, Outcome::Fenced(_)), "{fault:?}");
            let entries = walk(&storage).await;
            let opened = positions_of(&entries, "second").len();
            // A call that was dropped may have opened: then the next one opened again.
            let landed = matches!(fault, Fault::AnswerLost | Fault::MeetsItself | Fault::LandsLater(SECOND));
            assert_eq!(opened, if is_dropped && landed { 2 } else { 1 }, "{fault:?}, dropped: {is_dropped}");
            assert_eq!(second.epoch(), Epoch(1 + opened as u64));
            assert_eq!(positions_of(&entries, "missed").len() + positions_of(&entries, "after").len(), 2);
            committed(&mut second, "still mine").await;
        }
    }
}
