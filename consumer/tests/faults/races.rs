//! Two producers at once: in memory over a store that fails at times, and as real processes on files.

use std::collections::BTreeSet;
use std::time::Duration;

use cenote_store::env::Env;
use cenote_store::storage::Storage;
use cenote_testing::faults::{FaultyStore, LatencyStore, Odds};

use crate::child::{Child, Job};
use crate::racing::{Outcome, check, race};

/// In virtual time, over a store that is slow and sometimes loses answers.
fn race_in_memory(seed: u64) -> (usize, usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let storage = crate::dataset::memory();
        let env = Env::simulated(seed);
        let faults = FaultyStore::new(env.clone());
        let longest = Duration::from_secs(30);
        faults.set_odds(Odds { longest, ..Odds::rough() });
        let slow = faults.wrap(&LatencyStore::s3(env.clone()).wrap(&storage));
        let (mut one, two) =
            futures::join!(race(slow.clone(), env.clone(), "one"), race(slow.clone(), env.clone(), "two"));
        one.extend(two);
        // Puts that are still on their way land.
        faults.clear();
        env.sleep(Duration::from_mins(5)).await;
        assert_eq!(faults.delayed(), 0);
        check(&storage, &env, &one, &format!("seed {seed}")).await;
        let committed = one.iter().filter(|outcome| outcome.committed).count();
        (committed, one.len() - committed)
    })
}

#[test]
fn two_producers_race_1000_times_in_memory() {
    let (mut committed, mut lost) = (0, 0);
    for seed in 0..1_000 {
        let (of_one, not_of_one) = race_in_memory(seed);
        (committed, lost) = (committed + of_one, lost + not_of_one);
    }
    assert!(committed > 10_000 && lost > 100, "both outcomes are covered: {committed} committed, {lost} not");
}

#[test]
fn two_processes_race_50_times_on_files() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let mut rivals_met = 0;
    for round in 0..50 {
        let dataset = folder.path().join(round.to_string());
        let racer = |name: &str| Child::start(&Job::Race { dataset: dataset.clone(), name: name.to_owned() });
        let racers = [racer("one"), racer("two")];
        let mut outcomes = Vec::new();
        for racer in racers {
            let (lines, succeeded) = racer.all();
            assert!(succeeded, "round {round}: {lines:?}");
            outcomes.extend(lines.iter().filter(|line| *line != "ready").filter_map(|line| Outcome::parse(line)));
        }
        assert!(outcomes.len() >= 4, "round {round}: {outcomes:?}");
        let names: BTreeSet<_> = outcomes.iter().map(|outcome| &outcome.mark).collect();
        assert_eq!(names.len(), outcomes.len(), "every mark is tried once");
        rivals_met += usize::from(outcomes.iter().any(|outcome| !outcome.committed));
        runtime.block_on(async {
            let storage = Storage::open(&dataset.display().to_string(), &[]).await.expect("it opens");
            check(&storage, &Env::system(), &outcomes, &format!("round {round}: {outcomes:?}")).await;
        });
    }
    assert!(rivals_met > 5, "the rivals met in {rivals_met} of 50 rounds only");
}
