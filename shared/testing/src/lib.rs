//! Test support: stores that fail, an S3 server, suites that every store must pass, bytes that lie.
//!
//! - [`faults`]: wrappers around a store that count, delay, fail or stop requests.
//! - [`conformance`]: what any store must do, as one suite.
//! - [`hostile`]: every decoder as a plain function of bytes, for seeded mutations and fuzzers.
//! - [`interner`]: components of datasets that a test makes by hand.
//! - [`log_walk`]: a reader of a dataset's log that shares no code with the real one.
//! - [`scripted_server`]: a small S3 server whose answers a test writes.
//! - [`metrics`](mod@metrics): a recorder that keeps names and labels.
//! - `s3_server` (feature `s3-server`): an S3 server within the process.

#![forbid(unsafe_code)]

pub mod conformance;
pub mod faults;
pub mod hostile;
pub mod interner;
pub mod log_walk;
pub mod metrics;
#[cfg(feature = "s3-server")]
pub mod s3_server;
pub mod scripted_server;
