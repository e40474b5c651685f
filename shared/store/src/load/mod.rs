//! Loading: where stored bytes become states. The one module of this crate in which storage and states meet.
//!
//! A state is loaded from a [`snapshot()`] and rolled forward, commit by commit: [`Commits`] fetches each commit with its
//! delta, [`Replay`] applies it and proves the result against the log (I5). Producer, consumer and the verification use
//! nothing else, so that each kind of damage is found by one check and has one message.
//!
//! Rules: an object is used only if its length and its hash are those that the log names; a state is used only if its
//! parent, its columns' digests, its counts and its own digest are those of its commit.

mod commits;
mod error;
mod replay;
mod snapshot;

pub use commits::{Commits, DeltaBytes, Fetched};
pub use error::LoadError;
pub use replay::{Applied, Proven, Replay, check_parent, roll};
pub use snapshot::{SnapshotToLoad, Transfer, snapshot};
