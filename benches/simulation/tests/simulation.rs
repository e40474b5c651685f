//! The simulation as a test: seeds without a failure, and for each rule of order a seed that fails without it.

use cenote_simulation::{Failure, Outcome, Plan, Rule, Summary, run};

const STEPS: u64 = 20_000;

fn simulate(seed: u64, steps: u64, broken: Option<Rule>) -> Result<Summary, Failure> {
    run(Plan { seed, steps, broken }, &mut |_| {})
}

#[test]
fn every_outcome_occurs_and_nothing_fails() {
    let runs = [1, 2, 3].map(|seed| simulate(seed, STEPS, None).unwrap_or_else(|failure| panic!("{failure}")));
    let unseen = |outcome: &Outcome| runs.iter().all(|summary| summary.tally.of(*outcome) == 0);
    let unseen: Vec<Outcome> = Outcome::ALL.into_iter().filter(unseen).collect();
    assert_eq!(unseen, [], "runs without one of the outcomes test too little");
    let tally = &runs[0].tally;
    assert!(tally.of(Outcome::Committed) > 500, "most steps publish: {tally:?}");
}

/// With these seeds, a producer once reported "not written" for a version that others had already trimmed.
#[test]
fn seeds_that_failed_once_do_not_fail_again() {
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

/// Each rule, broken, leads to a failure in the way that the rule prevents:
///
/// - `ObjectsBeforeEntry`: an entry names a checkpoint, a delta or a snapshot that does not exist;
/// - `SettlePuts`: a put that was reported as "not written" takes effect;
/// - `SingleOwner`: a superseded producer goes on writing, and the log is not a chain;
/// - `TrimOrder`: tombstones are above the start of the log, or live entries name deleted objects;
/// - `Garbage`: a sweep deletes an object that a writer is about to name;
/// - `EndOfLog`: a missing entry is taken for the end of the log;
/// - `ReadBack`: a snapshot that was corrupted on its way is named.
///
/// How many of ten seeds find it is the simulation's score, which `simulate --score` prints; here one of three has to.
#[test]
fn each_broken_rule_leads_to_a_failure() {
    for rule in Rule::ALL {
        let failure = (1..=3).find_map(|seed| simulate(seed, STEPS, Some(rule)).err());
        let failure = failure.unwrap_or_else(|| panic!("{rule:?} was not kept, and nothing failed"));
        println!("{rule:?}: {failure}");
    }
}

/// The end of the log matters to writers and to readers: without the rule, a position is written twice, and a consumer takes
/// the last entry that it can read for the newest.
#[test]
fn without_the_end_of_the_log_producers_and_consumers_fail() {
    for what in ["it follows another entry than the one before it", "for the end, and the newest entry is gone"] {
        let mut failures = (1..=60).filter_map(|seed| simulate(seed, STEPS, Some(Rule::EndOfLog)).err());
        assert!(failures.any(|failure| failure.what.contains(what)), "no seed leads to this: {what}");
    }
}

#[test]
fn a_failure_repeats() {
    let fail = || simulate(2, STEPS, Some(Rule::TrimOrder)).expect_err("TrimOrder was not kept");
    assert_eq!(fail(), fail());
}
