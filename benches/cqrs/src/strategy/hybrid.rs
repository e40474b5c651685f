//! `hybrid`: stock, which must not be oversold, is projected in the command's transaction; the rest is relayed from the
//! outbox.

use std::sync::Arc;

use super::{Pipeline, Running, Stage};
use crate::Answer;
use crate::write::{FeedKind, Hooks, Projection};

pub(super) async fn start(stage: &Stage) -> Answer<Arc<dyn Running>> {
    let write = stage.write(Hooks { projection: Projection::Stock, outbox: true, ..Hooks::default() }).await?;
    let live = stage.live_within(&*write).await?;
    let mut pipeline = Pipeline::new(stage, write, live);
    pipeline.fill(None).await?;
    pipeline.consume(stage.broker().await?).await?;
    pipeline.relay(FeedKind::Outbox)?;
    Ok(Arc::new(pipeline))
}
