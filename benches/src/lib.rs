//! What Cenote is measured with: the workload, the systems it is held against, and the comparison of them all.
//!
//! A claim of speed or size counts when both sides did the same work in one run on one machine. So there is one
//! definition of the work ([`workload`]), one trait for whoever does it ([`peers::System`]), and one runner.

#![forbid(unsafe_code)]

pub mod workload;
