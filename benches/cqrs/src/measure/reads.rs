//! Reads: how long each query takes and how many a core answers, alone and while commands go on.
//!
//! One thread asks one query at a time, as a request would, and reads every field of the answer. Each time includes the cost
//! of the clock, which is a separate figure (`clock_cost`). Reads a second are counted in rounds in which nothing is timed
//! and no query is generated.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use super::freshness::{CommandResult, Pace, carry_out, until};
use super::{Effort, Measurement};
use crate::clock::{self, now};
use crate::domain::{Commands, Query, Random, Sum, World};
use crate::read::Queries;
use crate::strategy::{Running, Stage};
use crate::{Answer, Failure};
use cenote_bench_support::histogram::Histogram;

/// The three queries, by their names in figures.
const QUERIES: [&str; 3] = ["product", "category", "page"];
/// Queries that are generated beforehand: more than there are products.
const QUESTIONS: usize = 1 << 18;
/// Queries between two checks of the time.
const ROUND: usize = 16;

/// The times of one query.
pub(super) struct Read {
    query: &'static str,
    histogram: Histogram,
    timed: usize,
    per_second: f64,
}

impl Read {
    /// As figures.
    pub(super) fn rows(&self, system: &str, load: Option<u32>) -> Vec<Measurement> {
        let mut rows = Vec::new();
        for (figure, share, needed) in [("read_p50", 0.5, 2), ("read_p99", 0.99, 100), ("read_p999", 0.999, 1_000)] {
            if self.timed >= needed {
                rows.push(Measurement::new(system, figure, "ns", self.histogram.quantile(share) as f64));
            }
        }
        rows.push(Measurement::new(system, "reads_a_second", "1/s", self.per_second));
        rows.into_iter().map(|row| Measurement { rate: load, ..row.query(self.query) }).collect()
    }
}

/// With no other load.
pub(super) async fn alone(running: &Arc<dyn Running>, stage: &Stage, effort: &Effort) -> Answer<Vec<Read>> {
    let mut reads = Vec::new();
    for query in QUERIES {
        reads.push(time(running.queries(), query, &stage.world, effort.reads).await?);
    }
    Ok(reads)
}

/// While commands arrive; also how many of them were answered a second.
pub(super) async fn under_load(
    running: &Arc<dyn Running>,
    stage: &Stage,
    effort: &Effort,
    commands: &mut Commands,
) -> Answer<(Vec<Read>, Pace)> {
    let (stop, mut own, writer) = (Arc::new(AtomicBool::new(false)), commands.clone(), Arc::clone(running));
    let (stopped, rate) = (Arc::clone(&stop), effort.load);
    let load = clock::spawn(async move {
        let (began, mut number, mut tasks) = (now(), 0_u32, Vec::new());
        while !stopped.load(Relaxed) {
            let due = began + Duration::from_secs_f64(f64::from(number) / f64::from(rate));
            until(due).await;
            number += 1;
            let (writer, Some(command)) = (Arc::clone(&writer), own.next()) else { break };
            tasks.push(clock::spawn(async move { carry_out(&*writer, &command, due, None).await }));
        }
        let mut pace = Pace::default();
        // Rejections are part of the load; a failure is not.
        for task in tasks {
            let done = task.await?;
            pace.answered(done.at);
            if let CommandResult::Failed(error) = done.result {
                return Err(error.into());
            }
        }
        Ok::<_, Failure>((own, pace))
    });
    let reads = alone(running, stage, effort).await;
    stop.store(true, Relaxed);
    let (own, pace) = load.await??;
    *commands = own;
    Ok((reads?, pace))
}

/// The cost of reading the clock, in nanoseconds: each time of a read includes it.
pub(super) fn clock_cost() -> f64 {
    const LOOKS: u32 = 100_000;
    let began = now();
    (0..LOOKS).for_each(|_| _ = std::hint::black_box(now()));
    began.elapsed().as_nanos() as f64 / f64::from(LOOKS)
}

/// The queries of one kind, the same for all strategies.
fn questions(query: &str, world: &World) -> Vec<Query> {
    let leaves: Vec<u32> = world.reference.leaves().collect();
    let mut random = Random::new(7, 7, 7);
    let next = || match query {
        "product" => Query::Product(1 + random.below(world.products)),
        "category" => Query::Category(leaves[random.below(leaves.len() as u64) as usize]),
        _ => Query::Page(1 + random.below(world.pages)),
    };
    std::iter::repeat_with(next).take(QUESTIONS).collect()
}

async fn time(queries: Queries, query: &'static str, world: &World, time: Duration) -> Answer<Read> {
    let (questions, runtime) = (questions(query, world), tokio::runtime::Handle::current());
    clock::blocking(move || {
        let ask = |query| -> Answer<()> {
            let mut sum = Sum::default();
            match &queries {
                Queries::Local(local) => local.ask(query, &mut sum)?,
                Queries::Remote(remote) => runtime.block_on(remote.ask(query, &mut sum))?,
            };
            std::hint::black_box(sum.sum);
            Ok(())
        };
        let mut next = questions.iter().copied().cycle();
        let warm = now();
        while warm.elapsed() < time / 5 {
            next.by_ref().take(ROUND).try_for_each(&ask)?;
        }
        let (mut histogram, mut timed, began) = (Histogram::default(), 0, now());
        while began.elapsed() < time / 2 {
            for query in next.by_ref().take(ROUND) {
                let start = now();
                ask(query)?;
                histogram.add(start.elapsed().as_nanos() as u64);
            }
            timed += ROUND;
        }
        let (mut count, began) = (0, now());
        while began.elapsed() < time / 2 {
            next.by_ref().take(ROUND).try_for_each(&ask)?;
            count += ROUND;
        }
        Ok(Read { query, histogram, timed, per_second: count as f64 / began.elapsed().as_secs_f64() })
    })
    .await
}
