//! Loading: a snapshot becomes a state, commits roll it forward, and each kind of damage is found and named.

mod chain;
mod damage;
mod snapshot;
