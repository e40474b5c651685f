//! The log through its public API: racing writers, lost answers, takeovers, crashes, retention, damage.

#[path = "../log_walk/mod.rs"]
mod log_walk;

mod broken;
mod crashes;
mod doubts;
mod follow;
mod house;
mod outcomes;
mod retention;
mod takeover;
