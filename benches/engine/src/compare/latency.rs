//! How long single look-ups take while no refresh runs, one a second, or one after another.
//!
//! One thread looks keys up, each with a new view, and times each; another refreshes. The cost of the clock is in every
//! value, for all systems alike.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use cenote_bench_support::clock::{now, sleep};
use cenote_bench_support::histogram::Histogram;

use super::expected::Expected;
use super::figures::{Case, Figure, Refreshes};
use super::{Chain, Effort, Output, Sample, Step};
use crate::peers::{Answer, Consume, System};

const KEYS: usize = 1 << 20;

/// All three rates. Where versions only go forward, `continuous` refreshes to those that `1/s` left.
pub(super) fn phases(
    system: &dyn System,
    consumer: &dyn Consume,
    chain: &Chain,
    expected: &Expected,
    effort: Effort,
    out: &mut Output<'_>,
) -> Answer<()> {
    let keys = expected.catalog.read_keys(0, KEYS);
    if out.supported("lookup_p50 to lookup_max", consumer.lookup(&keys[..1], 1))?.is_none() {
        return Ok(());
    }
    let never = AtomicBool::new(false);
    print(Refreshes::Never, None, &read(consumer, &keys, effort.seconds, &never)?, out)?;
    let slow = (effort.seconds.ceil() as usize).min(chain.spare.len() / 2);
    let (first, rest) = chain.spare.split_at(slow);
    for (rate, steps, pause) in [(Refreshes::EverySecond, first, 1.0), (Refreshes::Continuous, rest, 0.0)] {
        let Some(step) = steps.first() else { continue };
        let targets = Targets { steps, again: system.goes_back(), pause: Duration::from_secs_f64(pause) };
        let (histogram, refreshes) = with_refreshes(consumer, &keys, &targets, effort.seconds)?;
        out.note(format!("refreshes {rate}: {refreshes} during {} look-ups", histogram.count()))?;
        print(rate, Some(step.changes), &histogram, out)?;
    }
    Ok(())
}

/// The versions to refresh to.
struct Targets<'a> {
    steps: &'a [Step],
    /// Whether to start over after the last one.
    again: bool,
    pause: Duration,
}

/// Reads until the time is up or there is no version left to refresh to.
fn with_refreshes(
    consumer: &dyn Consume,
    keys: &[u64],
    targets: &Targets<'_>,
    seconds: f64,
) -> Answer<(Histogram, u64)> {
    let (stop_reads, stop_refreshes) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let refresher = scope.spawn(|| {
            let done = refresh(consumer, targets, &stop_refreshes);
            stop_reads.store(true, Ordering::Relaxed);
            done
        });
        let histogram = read(consumer, keys, seconds, &stop_reads);
        stop_refreshes.store(true, Ordering::Relaxed);
        let refreshes = refresher.join().expect("refreshes do not panic")?;
        Ok((histogram?, refreshes))
    })
}

fn refresh(consumer: &dyn Consume, targets: &Targets<'_>, stop: &AtomicBool) -> Answer<u64> {
    let mut refreshes = 0;
    loop {
        for step in targets.steps {
            if stop.load(Ordering::Relaxed) {
                return Ok(refreshes);
            }
            consumer.refresh(step.published.version)?;
            refreshes += 1;
            sleep(targets.pause);
        }
        if !targets.again {
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

fn print(refreshes: Refreshes, changes: Option<u64>, histogram: &Histogram, out: &mut Output<'_>) -> Answer<()> {
    let quantiles =
        [(Figure::LookupP50, 0.5), (Figure::LookupP99, 0.99), (Figure::LookupP999, 0.999), (Figure::LookupMax, 1.0)];
    for (figure, share) in quantiles {
        let case = Case { refreshes: Some(refreshes), changes, ..figure.into() };
        out.sample(Sample::new(case, histogram.quantile(share) as f64))?;
    }
    Ok(())
}
