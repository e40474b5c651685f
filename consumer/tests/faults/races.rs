//! Two producers at once: in memory over a store that has bad days, and as real processes on files.

use std::collections::BTreeSet;
use std::time::Duration;

use cenote_store::env::Env;
use cenote_store::storage::Storage;
use cenote_testing::faults::{FaultyStore, LatencyStore, Odds};

use crate::child::{Child, Part};
use crate::racing::{Line, judge, race};

/// In virtual time, over a store that takes its time and sometimes loses answers.
fn race_in_memory(seed: u64) -> (usize, usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let storage = crate::world::memory();
        let env = Env::simulated(seed);
        let faults = FaultyStore::new(env.clone());
        let longest = Duration::from_secs(30);
        faults.set_odds(Odds { longest, ..Odds::rough() });
        let slow = faults.wrap(&LatencyStore::s3(env.clone()).wrap(&storage));
        let (mut one, two) =
            futures::join!(race(slow.clone(), env.clone(), "one"), race(slow.clone(), env.clone(), "two"));
        one.extend(two);
        // What is still on its way may land where it can.
        faults.clear();
        env.sleep(Duration::from_secs(300)).await;
        assert_eq!(faults.on_their_way(), 0);
        judge(&storage, &env, &one, &format!("seed {seed}")).await;
        let committed = one.iter().filter(|line| line.committed).count();
        (committed, one.len() - committed)
    })
}

#[test]
fn two_producers_race_1000_times_in_memory() {
    let (mut committed, mut lost) = (0, 0);
    for seed in 0..1_000 {
        let (stood, fell) = race_in_memory(seed);
        (committed, lost) = (committed + stood, lost + fell);
    }
    assert!(committed > 10_000 && lost > 100, "both ways out are walked: {committed} committed, {lost} not");
}

#[test]
fn two_processes_race_50_times_on_files() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let mut rivals_met = 0;
    for round in 0..50 {
        let dataset = folder.path().join(round.to_string());
        let racer = |name: &str| Child::start(&Part::Racer { dataset: dataset.clone(), name: name.to_owned() });
        let racers = [racer("one"), racer("two")];
        let mut told = Vec::new();
        for racer in racers {
            let (words, ended_well) = racer.all();
            assert!(ended_well, "round {round}: {words:?}");
            told.extend(words.iter().filter(|word| *word != "ready").filter_map(|word| Line::parse(word)));
        }
        assert!(told.len() >= 4, "round {round}: {told:?}");
        let names: BTreeSet<_> = told.iter().map(|line| &line.mark).collect();
        assert_eq!(names.len(), told.len(), "every mark is tried once");
        rivals_met += usize::from(told.iter().any(|line| !line.committed));
        runtime.block_on(async {
            let storage = Storage::open(&dataset.display().to_string(), &[]).await.expect("it opens");
            judge(&storage, &Env::system(), &told, &format!("round {round}: {told:?}")).await;
        });
    }
    assert!(rivals_met > 5, "the rivals met in {rivals_met} of 50 rounds only");
}
