//! Guides: what to know before running Cenote. Nothing here but documentation.

#[doc = include_str!("storage.md")]
pub mod storage {}

#[doc = include_str!("failures.md")]
pub mod failures {}

#[doc = include_str!("schema_changes.md")]
pub mod schema_changes {}

#[doc = include_str!("what_is_held.md")]
pub mod what_is_held {}

#[doc = include_str!("packed_text.md")]
pub mod packed_text {}
