//! Reads on one thread and on two: nanoseconds per operation and thread, the median of several passes.

use std::sync::Barrier;
use std::thread;

use cenote_bench_support::clock::timed;

use super::expected::Expected;
use super::figures::{Case, Figure, median};
use super::{Effort, Output, Sample};
use crate::peers::{Answer, Consume};
use crate::workload::COUNTRIES;

/// The usual number of look-ups that share a view: what a request would do.
const BATCH: usize = 16;

/// The longest that a pass should take; slower systems get fewer keys.
const PASS_SECONDS: f64 = 0.5;

/// A read operation.
struct Operation<'a> {
    case: Case,
    keys_max: usize,
    /// Whether its keys are ones that do not exist.
    missing: bool,
    run: &'a (dyn Fn(&[u64]) -> Answer<u64> + Sync),
    expected: &'a (dyn Fn(&[u64]) -> u64 + Sync),
}

/// Look-ups, cast walk, full scan.
pub(super) fn by_key(consumer: &dyn Consume, expected: &Expected, effort: Effort, out: &mut Output<'_>) -> Answer<()> {
    let found = |keys: &[u64]| keys.len() as u64;
    let three = |keys: &[u64]| expected.sum_3_fields(keys);
    let cast = |keys: &[u64]| expected.sum_cast(keys);
    // Sixteen keys at once, by the system's operation for several if it has one; then one after another under one view;
    // then with a view each.
    let modes = [(BATCH, true), (BATCH, false), (1, false)];
    for (batch, many) in modes.into_iter().filter(|(_, many)| !many || consumer.has_many()) {
        let one_by_one = !many && batch > 1 && consumer.has_many();
        let run = |keys: &[u64]| if many { consumer.lookup_many(keys, batch) } else { consumer.lookup(keys, batch) };
        let lookups_per_view = (batch != BATCH).then_some(batch as u32);
        let case = |figure: Figure| Case { lookups_per_view, one_by_one, ..figure.into() };
        let hit =
            Operation { case: case(Figure::LookupHit), keys_max: 1 << 20, missing: false, run: &run, expected: &found };
        if !measure(&hit, expected, effort, out)? {
            return Ok(());
        }
        let run = |keys: &[u64]| {
            if many { consumer.lookup_3_fields_many(keys, batch) } else { consumer.lookup_3_fields(keys, batch) }
        };
        let case = case(Figure::Lookup3Fields);
        let fields = Operation { case, keys_max: 1 << 19, run: &run, expected: &three, ..hit };
        measure(&fields, expected, effort, out)?;
    }
    let run = |keys: &[u64]| consumer.lookup_many(keys, BATCH);
    let case = Figure::LookupMiss.into();
    let miss = Operation { case, keys_max: 1 << 20, missing: true, run: &run, expected: &|_| 0 };
    measure(&miss, expected, effort, out)?;
    let run = |keys: &[u64]| consumer.cast_walk(keys);
    let case = Figure::CastWalk.into();
    let walk = Operation { case, keys_max: 1 << 18, missing: false, run: &run, expected: &cast };
    measure(&walk, expected, effort, out)?;
    full_scan(consumer, expected, effort, out)
}

/// Country find and iterate, when the index is there.
pub(super) fn by_country(
    consumer: &dyn Consume,
    expected: &Expected,
    effort: Effort,
    out: &mut Output<'_>,
) -> Answer<()> {
    let run = |keys: &[u64]| consumer.country_find(keys);
    let sum = |keys: &[u64]| expected.sum_countries(keys);
    let case = Figure::CountryFind.into();
    let find = Operation { case, keys_max: 1 << 19, missing: false, run: &run, expected: &sum };
    measure(&find, expected, effort, out)?;
    let records = expected.catalog.records();
    let all: Vec<_> = (0..COUNTRIES as u64).collect();
    let run = |_: &[u64]| consumer.country_iterate();
    let keys = [all.clone(), all];
    for threads in [1, 2] {
        let seconds = passes(threads, &keys, effort, &run, &|_| records)?;
        let nanos = seconds * 1e9 / records as f64;
        out.sample(Sample::new(Case::from(Figure::CountryIterate).threads(threads as u32), nanos))?;
    }
    Ok(())
}

fn full_scan(consumer: &dyn Consume, expected: &Expected, effort: Effort, out: &mut Output<'_>) -> Answer<()> {
    let sum = expected.sum_ratings();
    let run = |_: &[u64]| {
        // Systems add in different orders, so the last bits differ.
        Ok(u64::from((consumer.full_scan()? - sum).abs() <= sum * 1e-9))
    };
    for threads in [1, 2] {
        let seconds = passes(threads, &[vec![], vec![]], effort, &run, &|_| 1)?;
        let nanos = seconds * 1e9 / expected.catalog.records() as f64;
        out.sample(Sample::new(Case::from(Figure::FullScan).threads(threads as u32), nanos))?;
    }
    Ok(())
}

/// Measures the operation; returns whether the system supports it.
fn measure(operation: &Operation<'_>, expected: &Expected, effort: Effort, out: &mut Output<'_>) -> Answer<bool> {
    let keys = |thread| {
        let catalog = &expected.catalog;
        let count = operation.keys_max;
        if operation.missing { catalog.missing_keys(thread, count) } else { catalog.read_keys(thread, count) }
    };
    let mut keys = [keys(0), keys(1)];
    let probe = &keys[0][..1 << 10];
    let (seconds, answer) = timed(|| (operation.run)(probe));
    if out.supported(operation.case.figure, answer)?.is_none() {
        return Ok(false);
    }
    let affordable = (PASS_SECONDS / seconds * probe.len() as f64) as usize;
    let count = operation.keys_max.min(affordable.max(probe.len()));
    keys.iter_mut().for_each(|keys| keys.truncate(count));
    for threads in [1, 2] {
        let seconds = passes(threads, &keys, effort, operation.run, operation.expected)?;
        let case = operation.case.threads(threads as u32);
        out.sample(Sample::new(case, seconds * 1e9 / count as f64))?;
    }
    Ok(true)
}

/// The median of the passes, in seconds; the first is not counted. A pass takes as long as its slowest thread.
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
                return Err(format!("a read summed up to {answer}, expected {sum}").into());
            }
            slowest = slowest.max(seconds);
        }
        if pass > 0 {
            times.push(slowest);
        }
    }
    Ok(median(&mut times))
}
