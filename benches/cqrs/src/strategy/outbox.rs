//! `outbox`: the command's transaction inserts a row, a relay publishes it, a projector applies it. Nothing is lost.

use std::sync::Arc;

use super::{Pipeline, Running, Stage};
use crate::Answer;
use crate::clock;
use crate::read::NearCache;
use crate::write::{FeedKind, Hooks};

/// The cache in front of the read store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Near {
    None,
    /// A near cache that a timer empties.
    Timer,
    /// A near cache that learns what was applied.
    Events,
}

pub(super) async fn start(stage: &Stage, near: Near) -> Answer<Arc<dyn Running>> {
    let write = stage.write(Hooks { outbox: true, ..Hooks::default() }).await?;
    let live = stage.live().await?;
    let mut pipeline = Pipeline::new(stage, write, live);
    pipeline.fill(None).await?;
    pipeline.consume(stage.broker().await?).await?;
    pipeline.relay(FeedKind::Outbox)?;
    if near != Near::None {
        cache(&mut pipeline, near);
    }
    Ok(Arc::new(pipeline))
}

fn cache(pipeline: &mut Pipeline, near: Near) {
    let cache = NearCache::new(pipeline.live.queries());
    pipeline.front = Some(cache.queries());
    if near == Near::Events {
        // The projector reports what it applied, so the store has the change before the cache drops it.
        pipeline.live.listen(move |applied| cache.forget(applied));
        return;
    }
    let every = pipeline.settings.near_cache;
    pipeline.interval = every;
    pipeline.tasks.keep("near cache", move || {
        let cache = Arc::clone(&cache);
        Box::pin(async move {
            loop {
                clock::sleep(every).await;
                cache.clear();
            }
        })
    });
}
