//! The reading process of a turn: loads, memory, refreshes; then reads and latencies.

use std::path::Path;

use cenote_bench_support::clock::timed;

use super::expected::Expected;
use super::figures::{Case, Figure, median};
use super::memory::{Bytes, Meter, drop_from_page_cache};
use super::{Chain, Effort, Output, Sample, latency, reads};
use crate::peers::{Answer, Consume, Memory, System};

/// Reads with this system what was published to `folder`, and prints what it cost.
pub fn consume(
    system: &dyn System,
    records: u64,
    folder: &Path,
    effort: Effort,
    meter: Meter,
    out: &mut Output<'_>,
) -> Answer<()> {
    let chain = Chain::read(folder)?;
    let mut expected = Expected::new(records);
    let before = meter.now()?;
    cold_load(system, &chain, folder, &expected, meter, out)?;
    let mut consumer = warm_loads(system, &chain, folder, effort, out)?;
    reads::by_key(&*consumer, &expected, effort, out)?;
    apply_all(&*consumer, &chain, &mut expected, (meter, before), out)?;
    latency::phases(system, &*consumer, &chain, &expected, effort, out)?;
    let indexed = consumer.index_countries();
    if out.supported("country_find, country_iterate", indexed)?.is_some() {
        reads::by_country(&*consumer, &expected, effort, out)?;
    }
    Ok(())
}

/// Times the first load of the process, from files that are not in the page cache, and counts its memory.
fn cold_load(
    system: &dyn System,
    chain: &Chain,
    folder: &Path,
    expected: &Expected,
    meter: Meter,
    out: &mut Output<'_>,
) -> Answer<()> {
    drop_from_page_cache(folder)?;
    let before = meter.now()?;
    let mut consumer = system.consume(folder)?;
    let (seconds, loaded) = timed(|| consumer.load(chain.first.version));
    loaded?;
    // Reads every record first, so that mapped pages are resident when memory is counted.
    expected.check_all(&*consumer)?;
    let bytes = meter.now()?.since(&before, consumer.memory());
    out.sample(Sample::new(Figure::LoadCold, seconds))?;
    let per_record = bytes as f64 / expected.catalog.records() as f64;
    Ok(out.sample(Sample::new(Figure::BytesPerRecord, per_record))?)
}

/// Times loads from the page cache; the last consumer is returned.
fn warm_loads(
    system: &dyn System,
    chain: &Chain,
    folder: &Path,
    effort: Effort,
    out: &mut Output<'_>,
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
    out.sample(Sample::new(Figure::LoadWarm, median(&mut times)))?;
    Ok(last.expect("there is at least one pass"))
}

/// Refreshes along the chain and checks each version; times the refreshes and counts their peak memory.
fn apply_all(
    consumer: &dyn Consume,
    chain: &Chain,
    expected: &mut Expected,
    (meter, before): (Meter, Bytes),
    out: &mut Output<'_>,
) -> Answer<()> {
    for steps in chain.steps.chunk_by(|a, b| a.changes == b.changes) {
        let (mut times, mut ratios) = (Vec::new(), Vec::new());
        for step in steps {
            let changes = expected.change(step.changes, step.repetition);
            let at_rest = meter.now()?.since(&before, consumer.memory());
            meter.reset()?;
            let (seconds, refreshed) = timed(|| consumer.refresh(step.published.version));
            refreshed?;
            let peak = meter.highest()?.since(&before, consumer.memory());
            expected.check_changed(consumer, &changes)?;
            times.push(seconds);
            ratios.push(peak as f64 / at_rest.max(1) as f64);
        }
        let case = |figure: Figure| Case::from(figure).changes(steps[0].changes);
        out.sample(Sample::new(case(Figure::ApplyDelta), median(&mut times)))?;
        if !matches!(consumer.memory(), Memory::Reported(_)) {
            out.sample(Sample::new(case(Figure::RefreshPeakRatio), median(&mut ratios)))?;
        }
    }
    Ok(())
}
