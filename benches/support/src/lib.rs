//! What the benches share: real time, memory, random numbers, quantiles, and figures as text, tables, charts and pages.
//!
//! Nothing here knows a workload or a system; each bench says what it measures.

#![forbid(unsafe_code)]

pub mod chart;
pub mod clock;
pub mod histogram;
pub mod machine;
pub mod numbers;
pub mod page;
pub mod random;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod table;
