//! `polling`: a job queries the write database for rows that changed since its last query.
//!
//! It is simple, and sees states only: neither causes nor the states in between. Its interval bounds its freshness.

use std::sync::Arc;

use super::direct::Pace;
use super::{Pipeline, Running, Stage};
use crate::Answer;
use crate::write::{FeedKind, Hooks};

pub(super) async fn start(stage: &Stage) -> Answer<Arc<dyn Running>> {
    let write = stage.write(Hooks { watermark: true, ..Hooks::default() }).await?;
    let live = stage.live().await?;
    let mut pipeline = Pipeline::new(stage, write, live);
    pipeline.fill(Some(FeedKind::Updated)).await?;
    pipeline.follow(FeedKind::Updated, Pace::Every(stage.settings.polling, stage.settings.polling_overlap))?;
    Ok(Arc::new(pipeline))
}
