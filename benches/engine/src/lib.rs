//! What Cenote is measured with: the workload, the systems it is held against, and the comparison of them all.
//!
//! A claim of speed or size counts when both sides did the same work in one run on one machine. So there is one
//! definition of the work ([`workload`]), one trait for whoever does it ([`peers::System`]), and one runner.

// Opening an LMDB file is unsafe in its crate, and one peer has to.
#![cfg_attr(not(feature = "peers"), forbid(unsafe_code))]
#![deny(unsafe_code)]

pub mod compare;
pub mod peers;
pub mod workload;
