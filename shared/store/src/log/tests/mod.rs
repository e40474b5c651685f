//! Tests of the log, by subject.

mod formats;
mod hostile;
mod plans;
mod samples;
