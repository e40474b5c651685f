//! What the benches share: real time, random numbers, quantiles, and figures as numbers, tables and charts for people.
//!
//! Nothing here knows a workload or a system; each bench says what it measures.

#![forbid(unsafe_code)]

pub mod chart;
pub mod clock;
pub mod histogram;
pub mod numbers;
pub mod random;
pub mod table;
