//! The tail that the writers of one process share: whose turn it is to put, and what the others have put.
//!
//! A producer commits while its snapshot is named and its log trimmed. Each of these has a writer, and all of them put
//! at the same next position. Who waits for its turn puts where no other writer does.
//!
//! Rules: the log itself decides, as between processes: a writer that waited in vain, or whose turn was dropped half-way,
//! loses a position and no more. What a writer read up to the `open` that superseded it is not taken in: the others must
//! meet that entry themselves, at their own next position, or they would put theirs after it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::LogWriter;
use crate::log::state::LogState;

/// So long a writer waits for its turn: longer than a put takes, shorter than a store that hangs does.
const TURN_TIMEOUT: Duration = Duration::from_secs(2);

/// The newest state of the log that a writer passed on; none before the first.
pub(super) type SharedTail = Arc<Mutex<Option<LogState>>>;

/// A writer's turn. Dropping it passes nothing on.
pub(super) type Turn = Option<OwnedMutexGuard<Option<LogState>>>;

impl LogWriter {
    /// Waits until no other writer of this process puts, and takes in what they have put.
    pub(super) async fn turn(&mut self) -> Turn {
        let turn = self.env.timeout(TURN_TIMEOUT, Arc::clone(&self.tail).lock_owned()).await.ok()?;
        if let Some(newest) = &*turn
            && newest.position > self.log_state.position
            && !self.options.rules.is_fenced(self.epoch, newest.epoch)
            && self.in_flight.is_none()
        {
            self.log_state.clone_from(newest);
            self.sight.saw(&self.env);
        }
        Some(turn)
    }

    /// Takes in what the other writers of this process have put.
    pub async fn take_in(&mut self) {
        drop(self.turn().await);
    }

    /// Ends a turn: the others learn what this writer has put.
    pub(super) fn pass_on(&self, turn: Turn) {
        // This writer and its turn hold the tail; without a third holder no other writer is there.
        if let Some(mut turn) = turn
            && Arc::strong_count(&self.tail) > 2
        {
            *turn = Some(self.log_state.clone());
        }
    }
}
