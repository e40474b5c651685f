//! `sync`: the read model is brought up to date in the command's transaction.
//!
//! It is never stale and never wrong. In return every command waits for every projection, and reads and writes share one
//! database.

use std::sync::Arc;

use super::{Pipeline, Running, Stage};
use crate::Answer;
use crate::write::{Hooks, Projection};

pub(super) async fn start(stage: &Stage) -> Answer<Arc<dyn Running>> {
    let write = stage.write(Hooks { projection: Projection::All, ..Hooks::default() }).await?;
    let live = stage.live_within(&*write).await?;
    let pipeline = Pipeline::new(stage, write, live);
    pipeline.fill(None).await?;
    Ok(Arc::new(pipeline))
}
