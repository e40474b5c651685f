//! Measuring: the same commands and queries through every strategy, one strategy per process.
//!
//! Freshness, read latency and acknowledgement time are separate figures: an event-driven read side may match in the first
//! and not in the second. At the end of a turn every possible answer is compared with the write side, so that no figure
//! comes from a wrong read side.

mod footprint;
mod freshness;
mod reads;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Answer;
use super::clock;
use super::faults::{differences, drain};
use super::strategy::{Location, Running, Stage, Strategy};

pub use footprint::{ExpectedAnswers, read_process, resident_bytes};

/// One figure of one strategy.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The name of the figure.
    pub figure: String,
    /// The strategy, by its title.
    pub system: String,
    /// Commands per second, if the figure depends on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// How many commands came at once, if the figure depends on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u64>,
    /// The query, if the figure depends on it: `product`, `category` or `page`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The unit of the value: `s`, `ns`, `bytes`, `1/s` or `count`.
    pub unit: String,
    /// The value.
    pub value: f64,
}

impl Measurement {
    /// A figure that depends on nothing else.
    #[must_use]
    pub fn new(system: &str, figure: &str, unit: &str, value: f64) -> Measurement {
        Measurement { figure: figure.into(), system: system.into(), unit: unit.into(), value, ..Measurement::default() }
    }

    /// The same at this many commands per second.
    #[must_use]
    pub fn at(self, rate: u32) -> Measurement {
        Measurement { rate: Some(rate), ..self }
    }

    /// The same for this query.
    #[must_use]
    pub fn query(self, query: &str) -> Measurement {
        Measurement { query: Some(query.to_owned()), ..self }
    }
}

/// How much is measured.
#[derive(Debug, Clone)]
pub struct Effort {
    /// Commands per second, one phase each.
    pub rates: Vec<u32>,
    /// How long a phase of commands lasts.
    pub phase: Duration,
    /// Commands that come at once.
    pub burst: u64,
    /// How long each query is timed.
    pub reads: Duration,
    /// Commands per second while reads are timed under load.
    pub load: u32,
    /// How long idle readers are watched, to count their requests.
    pub idle: Duration,
}

impl Effort {
    /// For figures.
    #[must_use]
    pub fn full() -> Effort {
        Effort {
            rates: vec![10, 100, 1_000],
            phase: Duration::from_secs(10),
            burst: 10_000,
            reads: Duration::from_secs(2),
            load: 1_000,
            idle: Duration::from_secs(30),
        }
    }

    /// For a first look.
    #[must_use]
    pub fn quick() -> Effort {
        Effort {
            phase: Duration::from_millis(800),
            burst: 1_000,
            reads: Duration::from_millis(150),
            idle: Duration::from_millis(1_500),
            ..Effort::full()
        }
    }

    /// How long a phase lasts at this rate: long enough for a 99th percentile, but at most twice the phase.
    fn phase(&self, rate: u32) -> Duration {
        Duration::from_secs_f64(COMMANDS_MIN / f64::from(rate)).min(self.phase * 2).max(self.phase)
    }

    /// The rates of a strategy's phases: one that polls every ten seconds shows no more in three short phases than in one.
    fn rates(&self, strategy: Strategy) -> Vec<u32> {
        let slow = strategy == Strategy::CenoteUpdate(Location::S3Slow) && self.phase < Duration::from_secs(5);
        if slow { self.rates.iter().copied().skip(1).take(1).collect() } else { self.rates.clone() }
    }
}

/// With so many commands, a hundred probes are acknowledged.
const COMMANDS_MIN: f64 = 140.0;

/// One strategy's turn: everything except what needs a separate process.
pub async fn turn(
    strategy: Strategy,
    stage: &Stage,
    effort: &Effort,
    say: &mut (dyn FnMut(Measurement) + Send),
) -> Answer<ExpectedAnswers> {
    let system = strategy.title(stage.write);
    let row = |figure: &str, unit: &str, value: f64| Measurement::new(system, figure, unit, value);
    let running = strategy.start(stage).await?;
    say(row("bootstrap", "s", stage.since_seeded().as_secs_f64()));
    check(&running, stage).await?;

    let mut commands = stage.world.commands(0);
    let rates = effort.rates(strategy);
    for &rate in &rates {
        let fresh = freshness::at_rate(&running, &mut commands, rate, effort.phase(rate)).await?;
        fresh.rows(&row).into_iter().for_each(|row| say(row.at(rate)));
    }
    // With one phase only, in a first look, the rest would be waiting.
    if rates.len() > 1 || effort.rates.len() == 1 {
        let fresh = freshness::burst(&running, &mut commands, effort.burst).await?;
        fresh.rows(&row).into_iter().for_each(|row| say(Measurement { burst: Some(effort.burst), ..row }));
        check(&running, stage).await?;

        for own in reads::alone(&running, stage, effort).await? {
            own.rows(system, None).into_iter().for_each(&mut *say);
        }
        let (loaded, pace) = reads::under_load(&running, stage, effort, &mut commands).await?;
        loaded.iter().flat_map(|own| own.rows(system, Some(effort.load))).for_each(&mut *say);
        let answered = pace.per_second().map(|rate| row("answered_under_reads", "1/s", rate).at(effort.load));
        answered.into_iter().for_each(&mut *say);
        say(row("rebuild", "s", running.rebuild().await?.as_secs_f64()));
    }
    check(&running, stage).await?;
    if let Some(cenote) = running.cenote() {
        say(row("log_entries", "count", cenote.published().0 as f64));
        requests(cenote, effort, &row, say).await;
    }
    let usage = running.usage().await?;
    say(row("disk_write_side", "bytes", usage.write as f64));
    say(row("disk_feeds", "bytes", usage.feeds as f64));
    say(row("disk_broker", "bytes", usage.broker as f64));
    say(row("disk_read_side", "bytes", usage.read as f64));
    say(row("memory_all_parts", "bytes", resident_bytes()? as f64));
    for (part, bytes) in stage.server_memory(strategy) {
        say(row(part, "bytes", bytes as f64));
    }
    say(row("clock_cost", "ns", reads::clock_cost()));
    say(row("processes", "count", strategy.processes().len() as f64));
    let expected = ExpectedAnswers::new(running.generation(), &running.truth().await?, &stage.world);
    running.stop().await;
    Ok(expected)
}

/// Waits until all queues are empty, and compares every answer.
async fn check(running: &Arc<dyn Running>, stage: &Stage) -> Answer<()> {
    if !drain(&**running, Duration::from_mins(2)).await? {
        return Err(format!("queues do not become empty: {:?}", running.reading().await?).into());
    }
    if running.cenote().is_none() {
        // Cenote's readers report their version; a cache that a timer empties does not.
        clock::sleep(running.interval().mul_f64(1.2)).await;
    }
    match differences(&**running, &stage.world, 1).await?.first() {
        Some(wrong) => Err(format!("the read side is wrong, so its figures would mean nothing: {wrong}").into()),
        None => Ok(()),
    }
}

/// The requests of an idle reader to the store, as requests a month.
async fn requests(
    cenote: &super::strategy::cenote::Cenote,
    effort: &Effort,
    row: &dyn Fn(&str, &str, f64) -> Measurement,
    say: &mut (dyn FnMut(Measurement) + Send),
) {
    const MONTH: f64 = 30.0 * 86_400.0;
    say(row("polls_a_month", "count", MONTH / cenote.poll().as_secs_f64()));
    // A short time shows nothing of a reader that polls rarely.
    if effort.idle < cenote.poll() * 2 {
        return;
    }
    // A reader that polls often needs less time.
    let idle = effort.idle.min(cenote.poll() * 40);
    let before = cenote.reader_requests.counts().total();
    clock::sleep(idle).await;
    let asked = cenote.reader_requests.counts().total() - before;
    say(row("idle_requests_a_month", "count", asked as f64 * MONTH / idle.as_secs_f64()));
}
