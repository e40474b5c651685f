//! How long single look-ups take while refreshes come: never, once a second, back to back.
//!
//! One thread looks keys up and times each, with a view of its own; another refreshes. The clock's cost is in every
//! value, for all systems alike.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use cenote_bench_support::histogram::Histogram;

use super::truth::Truth;
use super::{Chain, Effort, Out, Sample, Step};
use crate::peers::{Answer, Consume, System};
use cenote_bench_support::clock::{now, sleep};

const KEYS: usize = 1 << 20;

/// All three phases. Where versions only go forward, what the slow phase leaves is for the fast one.
pub(super) fn phases(
    system: &dyn System,
    consumer: &dyn Consume,
    chain: &Chain,
    truth: &Truth,
    effort: Effort,
    out: &mut Out<'_>,
) -> Answer<()> {
    let keys = truth.catalog.read_keys(0, KEYS);
    if out.supported("lookup_p50 to lookup_max", consumer.lookup(&keys[..1], 1))?.is_none() {
        return Ok(());
    }
    let never = AtomicBool::new(false);
    say("none", None, &read(consumer, &keys, effort.seconds, &never)?, out)?;
    let slow = (effort.seconds.ceil() as usize).min(chain.spare.len() / 2);
    let (first, rest) = chain.spare.split_at(slow);
    for (name, steps, pause) in [("1/s", first, 1.0), ("continuous", rest, 0.0)] {
        let Some(step) = steps.first() else { continue };
        let visit = Visit { steps, again: system.goes_back(), pause: Duration::from_secs_f64(pause) };
        let (histogram, refreshes) = with_refreshes(consumer, &keys, &visit, effort.seconds)?;
        out.note(format!("refreshes {name}: {refreshes} during {} look-ups", histogram.count()))?;
        say(name, Some(step.changes), &histogram, out)?;
    }
    Ok(())
}

/// The versions that a phase refreshes to.
struct Visit<'a> {
    steps: &'a [Step],
    /// Whether to start over at the end.
    again: bool,
    pause: Duration,
}

/// Reads until the time is up or there is no version left to refresh to.
fn with_refreshes(consumer: &dyn Consume, keys: &[u64], visit: &Visit<'_>, seconds: f64) -> Answer<(Histogram, u64)> {
    let (stop_reads, stop_refreshes) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let refresher = scope.spawn(|| {
            let done = refresh(consumer, visit, &stop_refreshes);
            stop_reads.store(true, Ordering::Relaxed);
            done
        });
        let histogram = read(consumer, keys, seconds, &stop_reads);
        stop_refreshes.store(true, Ordering::Relaxed);
        let refreshes = refresher.join().expect("refreshes do not panic")?;
        Ok((histogram?, refreshes))
    })
}

fn refresh(consumer: &dyn Consume, visit: &Visit<'_>, stop: &AtomicBool) -> Answer<u64> {
    let mut refreshes = 0;
    loop {
        for step in visit.steps {
            if stop.load(Ordering::Relaxed) {
                return Ok(refreshes);
            }
            consumer.refresh(step.published.version)?;
            refreshes += 1;
            sleep(visit.pause);
        }
        if !visit.again {
            return Ok(refreshes);
        }
    }
}

fn read(consumer: &dyn Consume, keys: &[u64], seconds: f64, stop: &AtomicBool) -> Answer<Histogram> {
    let mut histogram = Histogram::default();
    let begin = now();
    for key in keys.iter().cycle() {
        let start = now();
        let found = consumer.lookup(std::slice::from_ref(key), 1)?;
        let taken = start.elapsed();
        if found != 1 {
            return Err(format!("movie {key} was not found during a refresh").into());
        }
        histogram.add(taken.as_nanos() as u64);
        if (start - begin).as_secs_f64() > seconds || stop.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(histogram)
}

fn say(refreshes: &str, changes: Option<u64>, histogram: &Histogram, out: &mut Out<'_>) -> Answer<()> {
    let quantiles = [("lookup_p50", 0.5), ("lookup_p99", 0.99), ("lookup_p999", 0.999), ("lookup_max", 1.0)];
    for (figure, quantile) in quantiles {
        let sample = Sample::new(figure, "ns", histogram.quantile(quantile) as f64);
        out.sample(Sample { refreshes: Some(refreshes.into()), changes, ..sample })?;
    }
    Ok(())
}
