//! What Cenote's producer and consumer agree on.
//!
//! In the order in which one thing is made of another: numbers ([`ids`]), the shape of records ([`schema`]), one
//! record ([`row`]), the outside ([`env`], [`storage`]).

#![forbid(unsafe_code)]

pub mod codec;
pub mod delta;
pub mod digest;
pub mod env;
pub mod ids;
pub mod index;
pub mod keys;
pub mod layout;
pub mod log;
pub mod row;
pub mod schema;
pub mod segment;
pub mod state;
pub mod storage;
pub mod table;
