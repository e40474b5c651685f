//! Cenote's engine: the state of a dataset in memory, and the bytes it is written as.
//!
//! In the order in which one thing is made of another: numbers ([`ids`]), hashes ([`hash`]), the shape of records ([`schema`]), one
//! record ([`row`]), records as structs ([`record`]), bytes ([`segment`]), records by number ([`table`]), look-ups
//! ([`index`]), the dataset ([`state`]), change ([`delta`]), what a reader holds ([`view`]), the durable form ([`blob`]).
//!
//! This crate does no I/O, knows no async runtime and reads no clock; its dependencies show it. It is internal: services
//! depend on `cenote-consumer`, jobs on `cenote-producer`, and both export what their users need.

// One module is excepted, with its reason.
#![deny(unsafe_code)]

// The derive names `::cenote_state`, in this crate's tests, too.
extern crate self as cenote_state;

pub mod blob;
pub mod codec;
pub mod delta;
pub mod digest;
pub mod hash;
pub mod held;
pub mod ids;
pub mod index;
pub mod keys;
pub mod layout;
pub mod packed;
pub mod parallel;
mod raw;
pub mod record;
pub mod row;
pub mod schema;
pub mod segment;
pub mod shown;
pub mod state;
pub mod table;
pub mod token;
pub mod view;
mod wire;

pub use cenote_derive::Record;
pub use ids::{Ordinal, Timestamp, Version};
pub use packed::Text;
pub use record::{Key, KeyOf, List, Map, Record, Root, Set};
pub use schema::Allow;
pub use token::Token;
pub use view::{Diff, HashIndex, TableRef, View};

/// What generated code names.
#[doc(hidden)]
pub mod __derive {
    pub use serde::{Serialize, Serializer};

    pub use cenote_derive::{RecordOfConsumer, RecordOfProducer};

    pub use crate::ids::Ordinal;
    pub use crate::keys::KeyRef;
    pub use crate::record::bind::ValueBinding;
    pub use crate::record::*;
    pub use crate::row::Order;
    pub use crate::schema::{Shape, ValueKind};
    pub use crate::segment::Cell;
}
