//! A cycle: populate → diff → encode → verify → validate → propose. Each step consumes the type that the step before made.
//!
//! ```text
//! Input          what the user gives, row by row                       (populate)
//! Input          .diff()      what of it is new, and which ordinals it gets
//! Diffed         .encode()    the delta as it will be written
//! Encoded        .verify()    decoded again, applied to the old state, digests compared
//! Verified       .validate()  the validators see the old view and the new one
//! Validated      .propose()   the entry that the producer puts into the log
//! ```
//! Nothing leaves the process before the entry is put, so a step that fails ends the cycle with nothing visible (I6).

pub(crate) mod commit;
pub(crate) mod diff;
mod emit;
pub(crate) mod encode;
pub(crate) mod populate;
mod root_input;
mod segment_rows;
mod train;
pub(crate) mod validate;
pub(crate) mod verify;
