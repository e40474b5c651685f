//! The reading child: loads, memory, refreshes; then reads and latencies.

use std::path::Path;

use super::machine::{Bytes, Meter, forget};
use super::rows::median;
use super::truth::Truth;
use super::{Chain, Effort, Out, Sample, latency, reads};
use crate::peers::{Answer, Consume, Memory, System};
use cenote_bench_support::clock::timed;

/// Reads with this system what was published to `folder`, and says what it cost.
pub fn consume(
    system: &dyn System,
    records: u64,
    folder: &Path,
    effort: Effort,
    meter: Meter,
    out: &mut Out<'_>,
) -> Answer<()> {
    let chain = Chain::read(folder)?;
    let mut truth = Truth::new(records);
    let before = meter.now()?;
    cold_load(system, &chain, folder, &truth, meter, out)?;
    let mut consumer = warm_loads(system, &chain, folder, effort, out)?;
    reads::by_key(&*consumer, &truth, effort, out)?;
    apply_all(&*consumer, &chain, &mut truth, (meter, before), out)?;
    latency::phases(system, &*consumer, &chain, &truth, effort, out)?;
    let indexed = consumer.index_countries();
    if out.supported("country_find, country_iterate", indexed)?.is_some() {
        reads::by_country(&*consumer, &truth, effort, out)?;
    }
    Ok(())
}

/// The first load of the process from files that are not in the page cache; and what it holds afterwards.
fn cold_load(
    system: &dyn System,
    chain: &Chain,
    folder: &Path,
    truth: &Truth,
    meter: Meter,
    out: &mut Out<'_>,
) -> Answer<()> {
    forget(folder)?;
    let before = meter.now()?;
    let mut consumer = system.consume(folder)?;
    let (seconds, loaded) = timed(|| consumer.load(chain.first.version));
    loaded?;
    // All of it is read here, so that what is mapped is resident when memory is counted.
    truth.check_all(&*consumer)?;
    let bytes = meter.now()?.since(&before, consumer.memory());
    out.sample(Sample::new("load_cold", "s", seconds))?;
    let per_record = bytes as f64 / truth.catalog.records() as f64;
    Ok(out.sample(Sample::new("bytes_per_record", "bytes", per_record))?)
}

/// Loads again and again from the page cache; the last consumer stays.
fn warm_loads(
    system: &dyn System,
    chain: &Chain,
    folder: &Path,
    effort: Effort,
    out: &mut Out<'_>,
) -> Answer<Box<dyn Consume>> {
    let mut times = Vec::new();
    let mut last = None;
    for _ in 0..effort.passes {
        drop(last.take());
        let mut consumer = system.consume(folder)?;
        let (seconds, loaded) = timed(|| consumer.load(chain.first.version));
        loaded?;
        times.push(seconds);
        last = Some(consumer);
    }
    out.sample(Sample::new("load_warm", "s", median(&mut times)))?;
    Ok(last.expect("there is at least one pass"))
}

/// Refreshes along the chain, each checked; time and peak memory.
fn apply_all(
    consumer: &dyn Consume,
    chain: &Chain,
    truth: &mut Truth,
    (meter, before): (Meter, Bytes),
    out: &mut Out<'_>,
) -> Answer<()> {
    for steps in chain.steps.chunk_by(|a, b| a.changes == b.changes) {
        let (mut times, mut ratios) = (Vec::new(), Vec::new());
        for step in steps {
            let changes = truth.change(step.changes, step.repetition);
            let at_rest = meter.now()?.since(&before, consumer.memory());
            meter.mark()?;
            let (seconds, refreshed) = timed(|| consumer.refresh(step.published.version));
            refreshed?;
            let peak = meter.highest()?.since(&before, consumer.memory());
            truth.check_changed(consumer, &changes)?;
            times.push(seconds);
            ratios.push(peak as f64 / at_rest.max(1) as f64);
        }
        let changes = steps[0].changes;
        out.sample(Sample::new("apply_delta", "s", median(&mut times)).changes(changes))?;
        if !matches!(consumer.memory(), Memory::Told(_)) {
            out.sample(Sample::new("refresh_peak_ratio", "ratio", median(&mut ratios)).changes(changes))?;
        }
    }
    Ok(())
}
