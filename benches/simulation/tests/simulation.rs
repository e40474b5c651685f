//! The simulation, as a test: seeds that must be well, and for each rule of order one that must not.

use cenote_simulation::{Failure, Outcome, Plan, Rule, Summary, run};

const STEPS: u64 = 20_000;

fn simulate(seed: u64, steps: u64, broken: Option<Rule>) -> Result<Summary, Failure> {
    run(Plan { seed, steps, broken }, &mut |_| {})
}

#[test]
fn every_outcome_is_seen_and_nothing_goes_wrong() {
    let summary = simulate(1, STEPS, None).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(summary.tally.unseen(), [], "a run that never sees an outcome tests too little");
    assert!(summary.tally.of(Outcome::Committed) > 500, "most of it is work: {:?}", summary.tally);
}

/// In these a producer was told "not written" of what had stood until others trimmed past it.
#[test]
fn what_failed_once_does_not_fail_again() {
    for (seed, steps) in [(15, 3_000), (34, STEPS)] {
        simulate(seed, steps, None).unwrap_or_else(|failure| panic!("{failure}"));
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let [one, again, other] = [5, 5, 6].map(|seed| simulate(seed, 3_000, None).expect("all is well"));
    assert_eq!(one, again);
    assert_ne!(one.trace_hash, other.trace_hash);
}

/// A seed, for each rule, with which its absence is seen. What goes wrong is what the rule is there to prevent:
///
/// - `ObjectsBeforeEntry`: an entry names a checkpoint, a delta or a snapshot that is not there;
/// - `SettlePuts`: a caller was told "not written", and it lands;
/// - `SingleOwner`: a superseded producer writes on, and the log does not follow;
/// - `TrimOrder`: tombstones stand above the log start, or live entries name what is gone;
/// - `Garbage`: a sweep takes what its writer is about to name;
/// - `EndOfLog`: a lost entry is taken for the end of the log;
/// - `ReadBack`: a snapshot that rotted on its way is named.
const SEEDS: [(Rule, u64); 7] = [
    (Rule::ObjectsBeforeEntry, 2),
    (Rule::SettlePuts, 2),
    (Rule::SingleOwner, 2),
    (Rule::TrimOrder, 2),
    (Rule::Garbage, 1),
    (Rule::EndOfLog, 2),
    (Rule::ReadBack, 2),
];

#[test]
fn each_broken_rule_makes_something_fail() {
    for (rule, seed) in SEEDS {
        let failed = simulate(seed, STEPS, Some(rule));
        let failure = failed.expect_err(&format!("nobody kept {rule:?}, and all was well"));
        println!("{rule:?}: {failure}");
    }
}

/// Rule 6 is for who writes and for who reads: without it a position is decided anew, and a consumer takes what it sees
/// for all there is.
#[test]
fn without_rule_6_producers_and_consumers_go_wrong() {
    let goes_wrong = |seed| simulate(seed, STEPS, Some(Rule::EndOfLog)).expect_err("nobody kept rule 6").what;
    let (anew, end) = (goes_wrong(2), goes_wrong(1));
    assert!(anew.contains("it follows another entry than the one before it"), "{anew}");
    assert!(end.contains("for the end, and the newest entry is gone"), "{end}");
}

#[test]
fn a_failure_is_seen_again() {
    let fail = || simulate(2, STEPS, Some(Rule::TrimOrder)).expect_err("rule 4 was not kept");
    assert_eq!(fail(), fail());
}
