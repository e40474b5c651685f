//! The audit: every query with a right answer is asked, and its answer is compared with the write side.

use std::time::Duration;

use crate::Answer;
use crate::clock::{self, now};
use crate::domain::{Difference, World};
use crate::strategy::Running;

/// At most `limit` wrong answers. Commands must have stopped.
pub async fn differences(running: &dyn Running, world: &World, limit: usize) -> Answer<Vec<Difference>> {
    let (truth, queries) = (running.truth().await?, running.queries());
    let mut wrong = Vec::new();
    for query in truth.questions(&world.reference, world.page_ids()) {
        let (expected, found) = (truth.answer(query, &world.reference), queries.collect(query).await?);
        if expected != found {
            wrong.push(Difference { query, expected, found });
            if wrong.len() == limit {
                break;
            }
        }
    }
    Ok(wrong)
}

/// Waits until all queues report empty and all processes run; `false` if they don't within `patience`.
pub async fn drain(running: &dyn Running, patience: Duration) -> Answer<bool> {
    let began = now();
    let mut quiet = 0;
    while quiet < 3 {
        let reading = running.reading().await?;
        quiet = if reading.lag_messages == 0 && reading.down == 0 { quiet + 1 } else { 0 };
        if began.elapsed() > patience {
            return Ok(false);
        }
        clock::sleep(Duration::from_millis(10)).await;
    }
    Ok(true)
}

/// The same, and one interval more, in which whatever polls has polled.
pub async fn settle(running: &dyn Running, patience: Duration) -> Answer<bool> {
    let is_drained = drain(running, patience).await?;
    clock::sleep(running.interval().mul_f64(1.5)).await;
    Ok(is_drained)
}
