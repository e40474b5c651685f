//! Look-ups: the persistent structures of a view's key index, hash indexes and live bits.
//!
//! All of them are trees of `Arc`s: `clone` copies a pointer, an edit after it copies only the pages that it touches, and
//! the older clone never changes (I2, I3, I10). They are pure memory: no I/O, no runtime, no clock. They know ordinals
//! and bytes; what a key or a value *is* comes in through closures and slices.

pub mod bitmap;
mod directory;
pub mod hash;
pub mod key;
pub mod postings;

pub use bitmap::LiveSet;
pub(crate) use directory::Directory;
pub use hash::{ValueIndex, ValueIndexBuilder};
pub(crate) use key::Near;
pub use key::{Home, KeyIndex};
pub use postings::Postings;
