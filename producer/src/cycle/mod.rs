//! A cycle: populate → diff → encode → verify → validate → commit, each a type that the next step consumes.
//!
//! ```text
//! Input          what the user gives, row by row                       (populate)
//! Input          .diff()      what of it is new, and which ordinals it gets
//! Diffed         .encode()    the delta as it will be written
//! Encoded        .verify()    read again, applied to the old state, digests compared
//! Verified       .validate()  the user's say, on the old view and the new
//! Validated      .commit()    what the log is asked to put
//! ```
//! Nothing leaves the process before the log is asked, so whatever fails before ends the cycle with nothing visible
//! (I6).

pub(crate) mod commit;
pub(crate) mod diff;
pub(crate) mod encode;
pub(crate) mod populate;
mod train;
pub(crate) mod validate;
pub(crate) mod verify;
