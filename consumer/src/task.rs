//! The owner's task: one loop that looks when it is time, or when somebody asks.
//!
//! Rules: whoever asks is answered by a look that began after the question; questions that wait together are answered
//! together; closing does not wait for a refresh, whose future is dropped.

use std::time::Duration;

use cenote_state::ids::Version;
use tokio::sync::{mpsc, oneshot, watch};

use crate::error::RefreshFailed;
use crate::follow::{Follower, Goal};
use crate::watch::Watcher;

/// How often the retired views are looked at while there are any.
const SWEEP_EVERY: Duration = Duration::from_millis(200);

/// A wish to be refreshed now.
pub(crate) struct Ask {
    pub(crate) goal: Goal,
    pub(crate) reply: oneshot::Sender<Result<Version, RefreshFailed>>,
}

/// Runs until the handle closes or goes.
pub(crate) async fn run(
    mut follower: Follower,
    mut watcher: Watcher,
    mut asked: mpsc::UnboundedReceiver<Ask>,
    mut closing: watch::Receiver<bool>,
) {
    let shared = follower.shared.clone();
    tokio::select! {
        biased;
        // An error means that the handle is gone.
        _ = closing.wait_for(|closing| *closing) => {}
        () = follow(&mut follower, &mut watcher, &mut asked) => {}
    }
    drop((follower, watcher, asked));
    shared.sweep().await;
    shared.close();
}

async fn follow(follower: &mut Follower, watcher: &mut Watcher, asked: &mut mpsc::UnboundedReceiver<Ask>) {
    let shared = follower.shared.clone();
    loop {
        let ask = tokio::select! {
            biased;
            ask = asked.recv() => match ask {
                Some(ask) => Some(ask),
                None => return,
            },
            () = watcher.due() => None,
            () = shared.env.sleep(SWEEP_EVERY), if shared.has_retired() => {
                shared.sweep().await;
                continue;
            }
        };
        answer(follower, asked, ask).await;
        watcher.looked();
        shared.sweep().await;
    }
}

/// One refresh for everybody who wants the newest; then those who want a certain version, one by one.
async fn answer(follower: &mut Follower, asked: &mut mpsc::UnboundedReceiver<Ask>, first: Option<Ask>) {
    let mut asks: Vec<Ask> = first.into_iter().collect();
    while let Ok(ask) = asked.try_recv() {
        asks.push(ask);
    }
    let is_poll = asks.is_empty();
    let (newest, certain): (Vec<_>, Vec<_>) = asks.into_iter().partition(|ask| ask.goal == Goal::Newest);
    for ask in certain {
        let result = follower.refresh(ask.goal).await;
        // Who asked may have gone.
        let _ = ask.reply.send(result);
    }
    if is_poll || !newest.is_empty() {
        let result = follower.refresh(Goal::Newest).await;
        for ask in newest {
            let _ = ask.reply.send(result.clone());
        }
    }
}
