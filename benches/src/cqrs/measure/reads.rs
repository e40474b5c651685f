//! Reads: how long each query takes and how many a core answers, alone and while commands go on.
//!
//! One thread asks, one question at a time, as a request would; every field of the answer is looked at. The clock's own
//! cost is in each time, for all alike.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use super::freshness::until;
use super::{Effort, Row};
use crate::compare::Histogram;
use crate::cqrs::clock::{self, now};
use crate::cqrs::domain::{CommandError, Commands, Dice, Query, Sum, World};
use crate::cqrs::read::Queries;
use crate::cqrs::strategy::{Running, Stage};
use crate::cqrs::{Answer, Failure};

/// The three queries, by the names that they have in rows.
const QUERIES: [&str; 3] = ["product", "category", "page"];

/// How one query did.
pub(super) struct Read {
    query: &'static str,
    histogram: Histogram,
    per_second: f64,
}

impl Read {
    /// As rows' worth: several figures.
    pub(super) fn rows(&self, system: &str, load: Option<u32>) -> Vec<Row> {
        let mut rows = Vec::new();
        for (figure, share) in [("read_p50", 0.5), ("read_p99", 0.99), ("read_p999", 0.999)] {
            rows.push(Row::new(system, figure, "ns", self.histogram.quantile(share) as f64));
        }
        rows.push(Row::new(system, "reads_a_second", "1/s", self.per_second));
        rows.into_iter().map(|row| Row { rate: load, ..row.query(self.query) }).collect()
    }
}

/// With nothing else going on.
pub(super) async fn alone(running: &Arc<dyn Running>, stage: &Stage, effort: &Effort) -> Answer<Vec<Read>> {
    let mut reads = Vec::new();
    for query in QUERIES {
        reads.push(time(running.queries(), query, &stage.world, effort.reads).await?);
    }
    Ok(reads)
}

/// While commands go on.
pub(super) async fn under_load(
    running: &Arc<dyn Running>,
    stage: &Stage,
    effort: &Effort,
    commands: &mut Commands,
) -> Answer<Vec<Read>> {
    let (stop, mut own, writer) = (Arc::new(AtomicBool::new(false)), commands.clone(), Arc::clone(running));
    let (stopped, rate) = (Arc::clone(&stop), effort.load);
    let load = clock::spawn(async move {
        let (began, mut number, mut tasks) = (now(), 0_u32, Vec::new());
        while !stopped.load(Relaxed) {
            let due = began + Duration::from_secs_f64(f64::from(number) / f64::from(rate));
            until(due).await;
            number += 1;
            let (writer, Some(command)) = (Arc::clone(&writer), own.next()) else { break };
            tasks.push(clock::spawn(async move { writer.execute(&command).await }));
        }
        // Rejections are part of the load; a failure is none.
        for task in tasks {
            if let Err(CommandError::Failed(error)) = task.await? {
                return Err(error);
            }
        }
        Ok::<_, Failure>(own)
    });
    let reads = alone(running, stage, effort).await;
    stop.store(true, Relaxed);
    *commands = load.await??;
    reads
}

async fn time(queries: Queries, query: &'static str, world: &World, time: Duration) -> Answer<Read> {
    let (world, runtime) = (world.clone(), tokio::runtime::Handle::current());
    clock::blocking(move || {
        let leaves: Vec<u32> = world.reference.leaves().collect();
        let mut dice = Dice::new(7, 7, 7);
        let mut next = move || match query {
            "product" => Query::Product(1 + dice.below(world.products)),
            "category" => Query::Category(leaves[dice.below(leaves.len() as u64) as usize]),
            _ => Query::Page(1 + dice.below(world.pages)),
        };
        let ask = |query| -> Answer<()> {
            let mut sum = Sum::default();
            match &queries {
                Queries::Local(local) => local.ask(query, &mut sum)?,
                Queries::Remote(remote) => runtime.block_on(remote.ask(query, &mut sum))?,
            };
            std::hint::black_box(sum.sum);
            Ok(())
        };
        let warm = now();
        while warm.elapsed() < time / 5 {
            ask(next())?;
        }
        let (mut histogram, mut count, began) = (Histogram::default(), 0_u64, now());
        while began.elapsed() < time {
            let query = next();
            let start = now();
            ask(query)?;
            histogram.add(start.elapsed().as_nanos() as u64);
            count += 1;
        }
        Ok(Read { query, histogram, per_second: count as f64 / began.elapsed().as_secs_f64() })
    })
    .await
}
