//! The CQRS baseline: the event-driven read side that a team would otherwise build, built well and measured next to Cenote.
//!
//! One domain ([`domain`]), one write side ([`mod@write`]), and strategies ([`strategy`]) that carry what a commit changed
//! to where it is read. A strategy is built from parts: a [`Feed`](write::Feed) yields what changed, a
//! [`Broker`](broker::Broker) carries it, a [`ReadStore`](read::ReadStore) shows it. The same commands and queries go
//! through all; [`measure`] times them, [`faults`] breaks them, [`report`] shows the results. `benches/cqrs/README.md` is
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

/// An error of a part, for logs and people: callers decide by where it happened, and not by its type.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The result of a part.
pub type Answer<T> = Result<T, Failure>;
