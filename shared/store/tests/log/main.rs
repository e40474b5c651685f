//! The log through its public API: racing writers, lost answers, takeovers, crashes, retention, damage.

mod around;
mod broken;
mod crashes;
mod doubts;
mod follow;
mod house;
mod outcomes;
mod retention;
mod shared_tail;
mod stores;
mod takeover;
