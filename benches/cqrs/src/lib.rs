//! The CQRS baseline: the event-driven read side that a team would otherwise build, built well, beside the engine's.
//!
//! One domain ([`domain`]), one write side ([`mod@write`]), and strategies ([`strategy`]) that carry what a commit changed
//! to where it is read. A strategy is put together from parts: a [`Feed`](write::Feed) tells what changed, a
//! [`Broker`](broker::Broker) carries it, a [`ReadStore`](read::ReadStore) shows it. The same commands and queries go
//! through all; [`measure`] times them, [`faults`] breaks them, [`report`] says what came of it. `benches/cqrs/README.md` is
//! the guide.
//!
//! Rules: the baseline gets whatever a competent team would give it ([`settings`] has each choice with its reason);
//! parts know traits and not each other.

#![forbid(unsafe_code)]

pub mod broker;
#[cfg(feature = "real")]
mod cleanup;
pub mod clock;
mod disk;
pub mod domain;
pub mod faults;
pub mod measure;
pub mod metrics;
pub mod points;
#[cfg(feature = "real")]
pub mod postgres;
pub mod read;
#[cfg(feature = "real")]
pub mod real;
pub mod report;
pub mod settings;
pub mod sqlite;
pub mod strategy;
#[cfg(test)]
mod tests;
pub mod write;

/// What a part fails with: for the log and for people; who calls decides by where it happened.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What a part answers.
pub type Answer<T> = Result<T, Failure>;
