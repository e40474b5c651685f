//! How long single look-ups take while refreshes come: never, once a second, back to back.
//!
//! One thread looks keys up and times each, with a view of its own; another refreshes. The clock's cost is in every
//! value, for all systems alike.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::truth::Truth;
use super::{Chain, Effort, Out, Sample, Step};
use crate::clock::{now, sleep};
use crate::peers::{Answer, Consume, System};

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
        out.note(format!("refreshes {name}: {refreshes} during {} look-ups", histogram.count))?;
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

/// Counts by value, 128 steps per power of two: an error below 0.8 %.
pub(crate) struct Histogram {
    counts: Vec<u64>,
    count: u64,
    max: u64,
}

const STEP_BITS: u32 = 7;

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; 64 << STEP_BITS], count: 0, max: 0 }
    }
}

impl Histogram {
    pub(crate) fn add(&mut self, value: u64) {
        self.counts[place(value)] += 1;
        self.count += 1;
        self.max = self.max.max(value);
    }

    /// The value that this share of all values is not above; at 1, the highest exactly.
    pub(crate) fn quantile(&self, share: f64) -> u64 {
        let wanted = (share * self.count as f64).ceil() as u64;
        let mut seen = 0;
        let reaches = |&count: &u64| {
            seen += count;
            seen >= wanted
        };
        let found = self.counts.iter().position(reaches);
        if share >= 1.0 { self.max } else { found.map_or(self.max, value) }
    }
}

fn place(value: u64) -> usize {
    let exponent = value.checked_ilog2().unwrap_or(0);
    if exponent < STEP_BITS {
        return value as usize;
    }
    let shift = exponent - STEP_BITS;
    let step = (value >> shift) - (1 << STEP_BITS);
    (((shift + 1) as usize) << STEP_BITS) + step as usize
}

/// The lowest value of a place.
fn value(place: usize) -> u64 {
    let (power, step) = (place >> STEP_BITS, (place & ((1 << STEP_BITS) - 1)) as u64);
    match power.checked_sub(1) {
        None => step,
        Some(shift) => ((1 << STEP_BITS) + step) << shift,
    }
}
