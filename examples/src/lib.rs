//! What the example programs share: real data to publish.

#![forbid(unsafe_code)]

pub mod compat;
pub mod show;
