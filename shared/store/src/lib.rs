//! Where Cenote meets the outside.
//!
//! Clock, randomness and threads ([`mod@env`]), a dataset's objects ([`storage`]), the order of its versions ([`log`]), and
//! the one place where stored bytes become a state ([`load`]). Errors have a kind by remedy ([`mod@error`]).
//!
//! This crate is internal: services depend on `cenote-consumer`, jobs on `cenote-producer`, and both export what their
//! users need.

#![forbid(unsafe_code)]
#![warn(clippy::missing_errors_doc)]

#[cfg(feature = "cli")]
pub mod cli;
pub mod docs;
pub mod env;
pub mod error;
pub mod load;
pub mod log;
pub mod storage;
