//! `event-sourced`: the write side stores events and nothing else; the projector follows them from its position.
//!
//! There is no second truth that could differ, and history is kept. Every event that was ever written has to stay
//! readable.

use std::sync::Arc;

use super::direct::Pace;
use super::{Pipeline, Running, Stage};
use crate::Answer;
use crate::write::{FeedKind, Hooks};

pub(super) async fn start(stage: &Stage) -> Answer<Arc<dyn Running>> {
    let write = stage.write(Hooks { events_only: true, ..Hooks::default() }).await?;
    let live = stage.live().await?;
    let mut pipeline = Pipeline::new(stage, write, live);
    pipeline.fill(Some(FeedKind::Events)).await?;
    pipeline.follow(FeedKind::Events, Pace::Woken)?;
    Ok(Arc::new(pipeline))
}
