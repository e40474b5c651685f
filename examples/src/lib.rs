//! What the example programs share: real data to publish.

#![forbid(unsafe_code)]

pub mod compat;

/// The README's program, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
