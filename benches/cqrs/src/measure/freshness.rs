//! Freshness: from a command's acknowledgement until a query shows it; and how long the acknowledgement took.
//!
//! Commands are called at fixed times, whether earlier ones are done or not. There are three times: `ack` is from a command's
//! call until its acknowledgement, without the lateness of a timer or of this program; `freshness` is from there until a
//! query shows it; `visible` is from when it was due until a query shows it, so that neither a slow side nor an overloaded
//! machine can hide. The answered commands a second are reported next to the rate.
//!
//! Some commands are probes: a thread asks for their product about every 0.2 ms until it shows their version.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};

use super::Measurement;
use crate::Answer;
use crate::clock::{self, now};
use crate::domain::{Ack, Command, CommandError, Commands, Key, Query, Sum};
use crate::read::Queries;
use crate::strategy::Running;

/// The most probes per second: more would be a load themselves.
const PROBES: u32 = 200;
/// Between two looks at all probes.
const LOOK: Duration = Duration::from_micros(200);
/// A probe that is not visible for so long, in addition to the interval, is lost.
const PATIENCE: Duration = Duration::from_mins(1);
/// Concurrent commands in a burst.
const AT_A_TIME: usize = 256;
/// The fewest values with a 99th percentile.
const P99_SAMPLES: usize = 100;

/// The times of a phase, in seconds.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    /// From acknowledgement to visible.
    freshness: Vec<f64>,
    /// From when it was due to visible.
    visible: Vec<f64>,
    /// From the call to the acknowledgement.
    acknowledged: Vec<f64>,
    /// From when it was due to the call: the lateness of this program.
    late: Vec<f64>,
    rejected: u64,
    pace: Pace,
    /// From the first command until the last probe was visible; in a burst only.
    whole: Option<f64>,
}

impl Fresh {
    pub(super) fn rows(mut self, row: &dyn Fn(&str, &str, f64) -> Measurement) -> Vec<Measurement> {
        let mut rows = vec![
            row("freshness_samples", "count", self.freshness.len() as f64),
            row("ack_samples", "count", self.acknowledged.len() as f64),
            row("rejected", "count", self.rejected as f64),
        ];
        let all = [
            ("freshness", &mut self.freshness),
            ("visible", &mut self.visible),
            ("ack", &mut self.acknowledged),
            ("late", &mut self.late),
        ];
        for (name, values) in all {
            rows.extend(quantiles(values).map(|(figure, value)| row(&format!("{name}_{figure}"), "s", value)));
        }
        rows.extend(self.pace.per_second().map(|rate| row("answered_a_second", "1/s", rate)));
        rows.extend(self.whole.map(|whole| row("burst_visible", "s", whole)));
        rows
    }

    fn record(&mut self, done: Done) -> Answer<()> {
        self.pace.answered(done.at);
        self.late.push(done.began.saturating_duration_since(done.due).as_secs_f64());
        match done.result {
            CommandResult::Acknowledged => {
                self.acknowledged.push(done.at.saturating_duration_since(done.began).as_secs_f64());
            }
            CommandResult::Rejected => self.rejected += 1,
            CommandResult::Failed(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn saw(&mut self, sights: Vec<Sight>) {
        (self.freshness, self.visible) = sights.into_iter().map(|sight| (sight.freshness, sight.visible)).unzip();
    }
}

/// The quantiles that have enough values; no values, no figure.
fn quantiles(values: &mut [f64]) -> impl Iterator<Item = (&'static str, f64)> {
    values.sort_by(f64::total_cmp);
    let shares = [("p50", 0.5, 2), ("p99", 0.99, P99_SAMPLES), ("max", 1.0, 1)];
    shares.into_iter().filter(|(_, _, needed)| values.len() >= *needed).map(|(figure, share, _)| {
        let place = (share * values.len() as f64).ceil() as usize;
        (figure, values[place.max(1) - 1])
    })
}

/// How fast commands were answered, from the first answer to the last.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    first: Option<Instant>,
    last: Option<Instant>,
    count: u64,
}

impl Pace {
    pub(super) fn answered(&mut self, at: Instant) {
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
        self.count += 1;
    }

    pub(super) fn per_second(&self) -> Option<f64> {
        let time = self.last?.saturating_duration_since(self.first?).as_secs_f64();
        (time > 0.0).then(|| (self.count - 1) as f64 / time)
    }
}

/// A command that is done.
pub(super) struct Done {
    due: Instant,
    began: Instant,
    pub(super) at: Instant,
    pub(super) result: CommandResult,
}

pub(super) enum CommandResult {
    Acknowledged,
    Rejected,
    Failed(String),
}

/// Commands at this rate, for this long.
pub(super) async fn at_rate(
    running: &Arc<dyn Running>,
    commands: &mut Commands,
    rate: u32,
    time: Duration,
) -> Answer<Fresh> {
    let (probes, prober) = Prober::start(running);
    let (every, count) = (rate.div_ceil(PROBES), (f64::from(rate) * time.as_secs_f64()).ceil().max(2.0) as u32);
    let (results, mut received) = tokio::sync::mpsc::unbounded_channel();
    let began = now();
    for number in 0..count {
        let due = began + Duration::from_secs_f64(f64::from(number) / f64::from(rate));
        until(due).await;
        let Some(command) = commands.next() else { break };
        let probes = (number % every == 0).then(|| probes.clone());
        let (running, results) = (Arc::clone(running), results.clone());
        clock::spawn(async move { drop(results.send(carry_out(&*running, &command, due, probes).await)) });
    }
    drop((results, probes));
    let mut fresh = Fresh::default();
    while let Some(done) = received.recv().await {
        fresh.record(done)?;
    }
    fresh.saw(prober.finish().await?);
    Ok(fresh)
}

/// Waits until `due`, unless it is less than half a millisecond away: a timer's tick is a millisecond, too long at a thousand
/// commands a second.
pub(super) async fn until(due: Instant) {
    let left = due.saturating_duration_since(now());
    if left > Duration::from_micros(500) {
        clock::sleep(left).await;
    }
}

/// Many commands at once: all are due at the beginning, and [`AT_A_TIME`] are called concurrently.
pub(super) async fn burst(running: &Arc<dyn Running>, commands: &mut Commands, count: u64) -> Answer<Fresh> {
    let (probes, prober) = Prober::start(running);
    let every = count.div_ceil(500);
    let began = now();
    let all = commands.take(count as usize).enumerate().map(|(number, command)| {
        let probes = ((number as u64).is_multiple_of(every)).then(|| probes.clone());
        async move { carry_out(&**running, &command, began, probes).await }
    });
    let done: Vec<Done> = stream::iter(all).buffer_unordered(AT_A_TIME).collect().await;
    drop(probes);
    let mut fresh = Fresh::default();
    done.into_iter().try_for_each(|done| fresh.record(done))?;
    let sights = prober.finish().await?;
    let last = sights.iter().map(|sight| sight.at).max();
    fresh.whole = last.map(|last| last.saturating_duration_since(began).as_secs_f64());
    fresh.saw(sights);
    Ok(fresh)
}

/// Calls a command that was due at `due`.
pub(super) async fn carry_out(
    running: &dyn Running,
    command: &Command,
    due: Instant,
    probes: Option<Sender<Probe>>,
) -> Done {
    let began = now();
    let answer = running.execute(command).await;
    let at = now();
    let result = match answer {
        Ok(ack) => {
            if let Some(probes) = probes
                && matches!(ack.key, Key::Product(_))
            {
                // The prober outlives all commands.
                drop(probes.send(Probe { ack, due, at }));
            }
            CommandResult::Acknowledged
        }
        Err(CommandError::Rejected(_)) => CommandResult::Rejected,
        Err(CommandError::Failed(error)) => CommandResult::Failed(error.to_string()),
    };
    Done { due, began, at, result }
}

/// An acknowledged command that is not visible yet.
pub(super) struct Probe {
    ack: Ack,
    due: Instant,
    at: Instant,
}

/// A probe that became visible.
struct Sight {
    freshness: f64,
    visible: f64,
    at: Instant,
}

/// The thread that looks for probes.
struct Prober {
    thread: std::thread::JoinHandle<Answer<Vec<Sight>>>,
}

impl Prober {
    /// Looks until all senders are gone and all probes were visible.
    fn start(running: &Arc<dyn Running>) -> (Sender<Probe>, Prober) {
        let (sender, inbox) = mpsc::channel();
        let (queries, patience) = (running.queries(), PATIENCE + running.interval() * 2);
        let runtime = tokio::runtime::Handle::current();
        let thread = std::thread::spawn(move || look(&queries, &inbox, patience, &runtime));
        (sender, Prober { thread })
    }

    async fn finish(self) -> Answer<Vec<Sight>> {
        clock::blocking(move || self.thread.join().map_err(|_| "the prober panicked")?).await
    }
}

fn look(
    queries: &Queries,
    inbox: &Receiver<Probe>,
    patience: Duration,
    runtime: &tokio::runtime::Handle,
) -> Answer<Vec<Sight>> {
    let (mut open, mut seen, mut more) = (Vec::<Probe>::new(), Vec::new(), true);
    while more || !open.is_empty() {
        loop {
            match inbox.try_recv() {
                Ok(probe) => open.push(probe),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    more = false;
                    break;
                }
            }
        }
        let mut failed = None;
        open.retain(|probe| {
            let shows = shows(queries, probe, runtime);
            let at = now();
            let since = |then: Instant| at.saturating_duration_since(then);
            if let Ok(true) = shows {
                let (freshness, visible) = (since(probe.at).as_secs_f64(), since(probe.due).as_secs_f64());
                seen.push(Sight { freshness, visible, at });
                return false;
            }
            if since(probe.at) > patience {
                failed = Some(format!("{} at version {} never became visible", probe.ack.key, probe.ack.version));
            }
            failed = failed.take().or(shows.err().map(|error| error.to_string()));
            true
        });
        if let Some(failed) = failed {
            return Err(failed.into());
        }
        cenote_bench_support::clock::sleep(LOOK);
    }
    Ok(seen)
}

fn shows(queries: &Queries, probe: &Probe, runtime: &tokio::runtime::Handle) -> Answer<bool> {
    let mut sum = Sum::default();
    let query = Query::of(probe.ack.key);
    match queries {
        Queries::Local(local) => local.ask(query, &mut sum)?,
        Queries::Remote(remote) => runtime.block_on(remote.ask(query, &mut sum))?,
    };
    Ok(sum.version.is_some_and(|version| version >= probe.ack.version))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The acknowledgement time is without the lateness of the call; the time from when it was due includes it.
    #[test]
    fn lateness_is_not_the_commands() {
        let due = now();
        let (began, at) = (due + Duration::from_secs(3), due + Duration::from_secs(4));
        let mut fresh = Fresh::default();
        fresh.record(Done { due, began, at, result: CommandResult::Acknowledged }).unwrap();
        fresh.saw(vec![Sight { freshness: 0.5, visible: 4.5, at }]);
        let rows = fresh.rows(&|figure, unit, value| Measurement::new("a", figure, unit, value));
        let of = |figure: &str| rows.iter().find(|row| row.figure == figure).map(|row| row.value);
        assert_eq!((of("ack_max"), of("late_max"), of("visible_max")), (Some(1.0), Some(3.0), Some(4.5)));
        assert_eq!((of("freshness_max"), of("freshness_p99")), (Some(0.5), None));
    }

    #[test]
    fn a_quantile_needs_values() {
        let figures = |count: usize| quantiles(&mut vec![1.0; count]).map(|(figure, _)| figure).collect::<Vec<_>>();
        assert_eq!(figures(0), Vec::<&str>::new());
        assert_eq!(figures(99), ["p50", "max"]);
        assert_eq!(figures(100), ["p50", "p99", "max"]);
    }
}
