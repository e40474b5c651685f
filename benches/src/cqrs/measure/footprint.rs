//! What a reading service takes that has nothing but its read side: a process of its own, on what a run has left.

use std::path::Path;
use std::time::Instant;

use super::Row;
use crate::cqrs::Answer;
use crate::cqrs::clock::now;
use crate::cqrs::domain::{Query, Sum};
use crate::cqrs::strategy::{Stage, Strategy};

/// Opens the read side, asks one question, then all of them: how long until the first right answer, and what memory it
/// takes once everything was read. `began` is when the process did.
pub async fn read_process(strategy: Strategy, stage: &Stage, generation: u32, began: Instant) -> Answer<Vec<Row>> {
    let system = strategy.title(stage.write);
    let before = resident_bytes()?;
    let (queries, guard) = strategy.open_reader(stage, generation).await?;
    let mut sum = Sum::default();
    if !queries.ask(Query::Product(1), &mut sum).await? {
        return Err("the first answer is wrong: there is a product 1".into());
    }
    let first = began.elapsed();
    let (world, opened) = (&stage.world, now());
    for id in 1..=world.products {
        queries.ask(Query::Product(id), &mut sum).await?;
    }
    for category in world.reference.leaves() {
        queries.ask(Query::Category(category), &mut sum).await?;
    }
    for id in 1..=world.page_ids() {
        queries.ask(Query::Page(id), &mut sum).await?;
    }
    let all = opened.elapsed();
    let grown = resident_bytes()?.saturating_sub(before);
    drop(guard);
    Ok(vec![
        Row::new(system, "restart_to_first_answer", "s", first.as_secs_f64()),
        Row::new(system, "every_answer_once", "s", all.as_secs_f64()),
        Row::new(system, "memory_reader", "bytes", grown as f64),
    ])
}

/// What this process holds in memory, maps of files that were read included.
pub fn resident_bytes() -> Answer<u64> {
    let status = std::fs::read_to_string(Path::new("/proc/self/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("the kernel tells no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1_024)
}
