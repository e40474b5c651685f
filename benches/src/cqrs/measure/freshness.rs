//! Freshness: from a command's acknowledgement until a query shows it; and how long the acknowledgement took.
//!
//! Commands come by the clock, whether earlier ones are through or not, and their time counts from when they were due: a
//! side that falls behind can't hide it. Some of them are probes: a thread asks for their product until it shows their
//! version, about every fifth of a millisecond.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};

use super::Row;
use crate::cqrs::Answer;
use crate::cqrs::clock::{self, now};
use crate::cqrs::domain::{Ack, Command, CommandError, Commands, Key, Query, Sum};
use crate::cqrs::read::Queries;
use crate::cqrs::strategy::Running;

/// Probes per second at most: more of them would be a load of their own.
const PROBES: u32 = 200;
/// Between two looks at all probes.
const LOOK: Duration = Duration::from_micros(200);
/// A probe that is not seen for so long, besides the interval, is lost.
const PATIENCE: Duration = Duration::from_secs(60);
/// Commands on their way at a time, in a burst.
const AT_A_TIME: usize = 256;

/// What a phase has shown, in seconds.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    freshness: Vec<f64>,
    acknowledged: Vec<f64>,
    rejected: u64,
    /// From the first command until the last probe was seen; in a burst only.
    whole: Option<f64>,
}

impl Fresh {
    pub(super) fn rows(mut self, row: &dyn Fn(&str, &str, f64) -> Row) -> Vec<Row> {
        self.freshness.sort_by(f64::total_cmp);
        self.acknowledged.sort_by(f64::total_cmp);
        let of = |sorted: &[f64], share: f64| {
            let place = (share * sorted.len() as f64).ceil() as usize;
            sorted.get(place.max(1) - 1).copied()
        };
        let mut rows = Vec::new();
        // Where nothing was seen there is no figure.
        for (figure, share) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
            rows.extend(of(&self.freshness, share).map(|value| row(&format!("freshness_{figure}"), "s", value)));
            rows.extend(of(&self.acknowledged, share).map(|value| row(&format!("ack_{figure}"), "s", value)));
        }
        rows.push(row("freshness_samples", "count", self.freshness.len() as f64));
        rows.push(row("rejected", "count", self.rejected as f64));
        rows.extend(self.whole.map(|whole| row("burst_visible", "s", whole)));
        rows
    }
}

/// What a command's task has to say.
enum Said {
    Acknowledged(f64),
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
    let (said, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let began = now();
    for number in 0..count {
        let due = began + Duration::from_secs_f64(f64::from(number) / f64::from(rate));
        until(due).await;
        let Some(command) = commands.next() else { break };
        let probes = (number % every == 0).then(|| probes.clone());
        let (running, said) = (Arc::clone(running), said.clone());
        clock::spawn(async move { drop(said.send(carry_out(&*running, &command, due, probes).await)) });
    }
    drop((said, probes));
    let mut fresh = Fresh::default();
    while let Some(said) = heard.recv().await {
        fresh.hear(said)?;
    }
    fresh.freshness = prober.finish().await?.0;
    Ok(fresh)
}

/// Waits until then. What is due, or almost, does not wait: a timer's tick is a millisecond, and a thousand of them are
/// all that a second has.
pub(super) async fn until(due: Instant) {
    let left = due.saturating_duration_since(now());
    if left > Duration::from_micros(500) {
        clock::sleep(left).await;
    }
}

/// Many commands at once.
pub(super) async fn burst(running: &Arc<dyn Running>, commands: &mut Commands, count: u64) -> Answer<Fresh> {
    let (probes, prober) = Prober::start(running);
    let every = count.div_ceil(500);
    let began = now();
    let all = commands.take(count as usize).enumerate().map(|(number, command)| {
        let probes = ((number as u64).is_multiple_of(every)).then(|| probes.clone());
        async move { carry_out(&**running, &command, began, probes).await }
    });
    let said: Vec<Said> = stream::iter(all).buffer_unordered(AT_A_TIME).collect().await;
    drop(probes);
    let mut fresh = Fresh::default();
    said.into_iter().try_for_each(|said| fresh.hear(said))?;
    let (freshness, last) = prober.finish().await?;
    (fresh.freshness, fresh.whole) = (freshness, Some(last.saturating_duration_since(began).as_secs_f64()));
    Ok(fresh)
}

impl Fresh {
    fn hear(&mut self, said: Said) -> Answer<()> {
        match said {
            Said::Acknowledged(took) => self.acknowledged.push(took),
            Said::Rejected => self.rejected += 1,
            Said::Failed(error) => return Err(error.into()),
        }
        Ok(())
    }
}

async fn carry_out(running: &dyn Running, command: &Command, due: Instant, probes: Option<Sender<Probe>>) -> Said {
    match running.execute(command).await {
        Ok(ack) => {
            let at = now();
            if let Some(probes) = probes
                && matches!(ack.key, Key::Product(_))
            {
                // The prober outlives all commands.
                drop(probes.send(Probe { ack, at }));
            }
            Said::Acknowledged(at.saturating_duration_since(due).as_secs_f64())
        }
        Err(CommandError::Rejected(_)) => Said::Rejected,
        Err(CommandError::Failed(error)) => Said::Failed(error.to_string()),
    }
}

/// An acknowledged command that is looked for.
struct Probe {
    ack: Ack,
    at: Instant,
}

/// The thread that looks.
struct Prober {
    thread: std::thread::JoinHandle<Answer<(Vec<f64>, Instant)>>,
}

impl Prober {
    /// Looks until all senders are gone and all probes were seen.
    fn start(running: &Arc<dyn Running>) -> (Sender<Probe>, Prober) {
        let (sender, inbox) = mpsc::channel();
        let (queries, patience) = (running.queries(), PATIENCE + running.interval() * 2);
        let runtime = tokio::runtime::Handle::current();
        let thread = std::thread::spawn(move || look(&queries, &inbox, patience, &runtime));
        (sender, Prober { thread })
    }

    async fn finish(self) -> Answer<(Vec<f64>, Instant)> {
        clock::blocking(move || self.thread.join().map_err(|_| "the prober panicked")?).await
    }
}

fn look(
    queries: &Queries,
    inbox: &Receiver<Probe>,
    patience: Duration,
    runtime: &tokio::runtime::Handle,
) -> Answer<(Vec<f64>, Instant)> {
    let (mut open, mut seen, mut last, mut more) = (Vec::<Probe>::new(), Vec::new(), now(), true);
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
            if let Ok(true) = shows {
                seen.push(at.saturating_duration_since(probe.at).as_secs_f64());
                last = at;
                return false;
            }
            if at.saturating_duration_since(probe.at) > patience {
                failed = Some(format!("{} at version {} was never seen", probe.ack.key, probe.ack.version));
            }
            failed = failed.take().or(shows.err().map(|error| error.to_string()));
            true
        });
        if let Some(failed) = failed {
            return Err(failed.into());
        }
        crate::clock::sleep(LOOK);
    }
    Ok((seen, last))
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
