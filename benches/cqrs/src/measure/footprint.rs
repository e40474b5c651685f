//! What a service takes that only reads: a separate process, on what a run left.
//!
//! Its answers are compared with the write side's at the end of the run ([`ExpectedAnswers`]), so that it is timed up to
//! the first right answer. An object server that it reads from is another process, as a database server is.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::Measurement;
use crate::Answer;
use crate::clock::now;
use crate::domain::{Digest, Query, Truth, World};
use crate::strategy::{Stage, Strategy};

/// The answers that the process that reads must give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectedAnswers {
    /// Which generation of the read model is live.
    pub generation: u32,
    /// A digest of the right answer to the first question.
    first: u64,
    /// A digest of the right answers to all questions.
    all: u64,
}

/// The queries: all initial products, all categories, and all pages.
fn questions(world: &World) -> impl Iterator<Item = Query> + '_ {
    let products = (1..=world.products).map(Query::Product);
    let categories = world.reference.leaves().map(Query::Category);
    products.chain(categories).chain((1..=world.page_ids()).map(Query::Page))
}

impl ExpectedAnswers {
    /// The right answers, by the write side.
    pub(super) fn new(generation: u32, truth: &Truth, world: &World) -> ExpectedAnswers {
        let (mut digest, mut first) = (Digest::default(), None);
        for query in questions(world) {
            truth.answer(query, &world.reference).show(&mut digest);
            first.get_or_insert(digest.value());
        }
        ExpectedAnswers { generation, first: first.unwrap_or_default(), all: digest.value() }
    }
}

/// Opens the read side, asks one query, then all of them: measures the time until the first right answer, and the memory
/// after everything was read. `began` is when the process started.
pub async fn read_process(
    strategy: Strategy,
    stage: &Stage,
    expected: &ExpectedAnswers,
    began: Instant,
) -> Answer<Vec<Measurement>> {
    let system = strategy.title(stage.write);
    let before = resident_bytes()?;
    let (queries, guard) = strategy.open_reader(stage, expected.generation).await?;
    let (mut digest, mut asked) = (Digest::default(), questions(&stage.world));
    let first = asked.next().ok_or("the catalogue is empty")?;
    queries.ask(first, &mut digest).await?;
    let first = began.elapsed();
    if digest.value() != expected.first {
        return Err("the first answer of the process that reads is wrong".into());
    }
    let opened = now();
    for query in asked {
        queries.ask(query, &mut digest).await?;
    }
    let all = opened.elapsed();
    let grown = resident_bytes()?.saturating_sub(before);
    if digest.value() != expected.all {
        return Err("an answer of the process that reads is wrong".into());
    }
    drop(guard);
    Ok(vec![
        Measurement::new(system, "restart_to_first_answer", "s", first.as_secs_f64()),
        Measurement::new(system, "every_answer_once", "s", all.as_secs_f64()),
        Measurement::new(system, "memory_reader", "bytes", grown as f64),
    ])
}

/// The resident memory of this process, including mapped files that it has read.
pub fn resident_bytes() -> Answer<u64> {
    Ok(cenote_bench_support::machine::process_memory()?.resident)
}
