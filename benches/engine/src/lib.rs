//! The benchmark of the engine: the workload, the systems that it is compared with, and the comparison.
//!
//! A claim of speed or size counts when both sides did the same work in one run on one machine. So there is one
//! definition of the work ([`workload`]), one trait for the systems that do it ([`peers::System`]), and one runner ([`compare`]).
//!
//! Rule: no dependency on test support, and no feature `testing`: the engine is built as for production.

// Opening an LMDB file is unsafe, and one peer has to.
#![cfg_attr(not(feature = "peers"), forbid(unsafe_code))]
#![deny(unsafe_code)]

pub mod compare;
pub mod peers;
pub mod workload;
