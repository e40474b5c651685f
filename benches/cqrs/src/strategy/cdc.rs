//! `cdc`: changes are captured from the database and relayed, whichever program writes to the tables: by logical
//! replication on PostgreSQL, by triggers on SQLite (shown as `cdc-embedded`).

use std::sync::Arc;

use super::{Pipeline, Running, Stage};
use crate::Answer;
use crate::write::{FeedKind, Hooks};

pub(super) async fn start(stage: &Stage) -> Answer<Arc<dyn Running>> {
    let write = stage.write(Hooks { capture: true, ..Hooks::default() }).await?;
    let live = stage.live().await?;
    let mut pipeline = Pipeline::new(stage, write, live);
    pipeline.fill(None).await?;
    pipeline.consume(stage.broker().await?).await?;
    pipeline.relay(FeedKind::Changes)?;
    Ok(Arc::new(pipeline))
}
