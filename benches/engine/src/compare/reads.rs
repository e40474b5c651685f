//! Reads, on one thread and two: nanoseconds per operation and thread, the median of several passes.

use std::sync::Barrier;
use std::thread;

use super::rows::median;
use super::truth::Truth;
use super::{Effort, Out, Sample};
use crate::peers::{Answer, Consume};
use crate::workload::COUNTRIES;
use cenote_bench_support::clock::timed;

/// How many look-ups share a view when nothing else is said: what a request would do.
const BATCH: usize = 16;

/// A pass should not take longer; systems that would get fewer keys.
const PASS_SECONDS: f64 = 0.5;

/// One read operation: its name, its keys, what to do and what must come of it.
struct Operation<'a> {
    figure: &'static str,
    keys_max: usize,
    batch: usize,
    one_by_one: bool,
    missing: bool,
    run: &'a (dyn Fn(&[u64]) -> Answer<u64> + Sync),
    expected: &'a (dyn Fn(&[u64]) -> u64 + Sync),
}

/// Look-ups, cast walk, full scan.
pub(super) fn by_key(consumer: &dyn Consume, truth: &Truth, effort: Effort, out: &mut Out<'_>) -> Answer<()> {
    let found = |keys: &[u64]| keys.len() as u64;
    let three = |keys: &[u64]| truth.sum_3_fields(keys);
    let cast = |keys: &[u64]| truth.sum_cast(keys);
    // Sixteen keys that a request has at once, by the system's own way for several where it has one; then one after
    // another under one view; then with a view each.
    let ways = [(BATCH, true), (BATCH, false), (1, false)];
    for (batch, many) in ways.into_iter().filter(|(_, many)| !many || consumer.has_many()) {
        let one_by_one = !many && batch > 1 && consumer.has_many();
        let run = |keys: &[u64]| if many { consumer.lookup_many(keys, batch) } else { consumer.lookup(keys, batch) };
        let hit = Operation {
            figure: "lookup_hit",
            keys_max: 1 << 20,
            batch,
            one_by_one,
            missing: false,
            run: &run,
            expected: &found,
        };
        if !measure(&hit, truth, effort, out)? {
            return Ok(());
        }
        let run = |keys: &[u64]| {
            if many { consumer.lookup_3_fields_many(keys, batch) } else { consumer.lookup_3_fields(keys, batch) }
        };
        let fields = Operation { figure: "lookup_3_fields", keys_max: 1 << 19, run: &run, expected: &three, ..hit };
        measure(&fields, truth, effort, out)?;
    }
    let run = |keys: &[u64]| consumer.lookup_many(keys, BATCH);
    let miss = Operation {
        figure: "lookup_miss",
        keys_max: 1 << 20,
        batch: BATCH,
        one_by_one: false,
        missing: true,
        run: &run,
        expected: &|_| 0,
    };
    measure(&miss, truth, effort, out)?;
    let run = |keys: &[u64]| consumer.cast_walk(keys);
    let walk = Operation { figure: "cast_walk", keys_max: 1 << 18, missing: false, run: &run, expected: &cast, ..miss };
    measure(&walk, truth, effort, out)?;
    full_scan(consumer, truth, effort, out)
}

/// Country find and iterate, when the index is there.
pub(super) fn by_country(consumer: &dyn Consume, truth: &Truth, effort: Effort, out: &mut Out<'_>) -> Answer<()> {
    let run = |keys: &[u64]| consumer.country_find(keys);
    let expected = |keys: &[u64]| truth.sum_countries(keys);
    let find = Operation {
        figure: "country_find",
        keys_max: 1 << 19,
        batch: BATCH,
        one_by_one: false,
        missing: false,
        run: &run,
        expected: &expected,
    };
    measure(&find, truth, effort, out)?;
    let records = truth.catalog.records();
    let all: Vec<_> = (0..COUNTRIES as u64).collect();
    let run = |_: &[u64]| consumer.country_iterate();
    let keys = [all.clone(), all];
    for threads in [1, 2] {
        let seconds = passes(threads, &keys, effort, &run, &|_| records)?;
        let nanos = seconds * 1e9 / records as f64;
        out.sample(Sample::new("country_iterate", "ns", nanos).threads(threads as u32))?;
    }
    Ok(())
}

fn full_scan(consumer: &dyn Consume, truth: &Truth, effort: Effort, out: &mut Out<'_>) -> Answer<()> {
    let expected = truth.sum_ratings();
    let run = |_: &[u64]| {
        let sum = consumer.full_scan()?;
        // Orders of addition differ between systems, and with them the last bits.
        Ok(u64::from((sum - expected).abs() <= expected * 1e-9))
    };
    for threads in [1, 2] {
        let seconds = passes(threads, &[vec![], vec![]], effort, &run, &|_| 1)?;
        let nanos = seconds * 1e9 / truth.catalog.records() as f64;
        out.sample(Sample::new("full_scan", "ns", nanos).threads(threads as u32))?;
    }
    Ok(())
}

/// Whether the system has the operation at all.
fn measure(operation: &Operation<'_>, truth: &Truth, effort: Effort, out: &mut Out<'_>) -> Answer<bool> {
    let keys = |thread| {
        let catalog = &truth.catalog;
        let count = operation.keys_max;
        if operation.missing { catalog.missing_keys(thread, count) } else { catalog.read_keys(thread, count) }
    };
    let mut keys = [keys(0), keys(1)];
    let probe = &keys[0][..1 << 10];
    let (seconds, answer) = timed(|| (operation.run)(probe));
    if out.supported(operation.figure, answer)?.is_none() {
        return Ok(false);
    }
    let affordable = (PASS_SECONDS / seconds * probe.len() as f64) as usize;
    let count = operation.keys_max.min(affordable.max(probe.len()));
    keys.iter_mut().for_each(|keys| keys.truncate(count));
    for threads in [1, 2] {
        let seconds = passes(threads, &keys, effort, operation.run, operation.expected)?;
        let sample = Sample::new(operation.figure, "ns", seconds * 1e9 / count as f64).threads(threads as u32);
        let lookups_per_view = (operation.batch != BATCH).then_some(operation.batch as u32);
        let one_by_one = operation.one_by_one.then_some(true);
        out.sample(Sample { lookups_per_view, one_by_one, ..sample })?;
    }
    Ok(true)
}

/// The median of the passes, after one that is not timed; a pass takes as long as its slowest thread.
fn passes(
    threads: usize,
    keys: &[Vec<u64>; 2],
    effort: Effort,
    run: &(dyn Fn(&[u64]) -> Answer<u64> + Sync),
    expected: &(dyn Fn(&[u64]) -> u64 + Sync),
) -> Answer<f64> {
    let sums = [expected(&keys[0]), expected(&keys[1])];
    let mut times = Vec::new();
    for pass in 0..=effort.passes {
        let barrier = Barrier::new(threads);
        let read = |thread: usize| {
            barrier.wait();
            let (seconds, answer) = timed(|| run(&keys[thread]));
            (seconds, sums[thread], answer)
        };
        let done: Vec<_> = thread::scope(|scope| {
            let readers: Vec<_> = (0..threads).map(|thread| scope.spawn(move || read(thread))).collect();
            readers.into_iter().map(|reader| reader.join().expect("readers do not panic")).collect()
        });
        let mut slowest = 0.0_f64;
        for (seconds, sum, answer) in done {
            let answer = answer?;
            if answer != sum {
                return Err(format!("a read gave {answer} in all, and should have given {sum}").into());
            }
            slowest = slowest.max(seconds);
        }
        if pass > 0 {
            times.push(slowest);
        }
    }
    Ok(median(&mut times))
}
