//! JSON Lines: a record on each line, as people and other programs hand data over.
//!
//! A file is read once or twice, a line at a time, in memory that follows the longest line and the schema: first to
//! `infer` a schema, if the dataset has none for the type yet; then to make each line a row of the chain's schema
//! (`read`). Numbers are read from their text, so that nothing passes through an f64 on its way to an integer,
//! and floats are rounded once, correctly.
//!
//! | JSON | inferred | by the dataset's schema also |
//! | --- | --- | --- |
//! | whole number | `i64`; `u64` if one is above `i64`'s range | any integer whose range it fits; a float that holds it exactly |
//! | number with a fraction or an exponent | `f64` | `f32` |
//! | string | `String` | deduplicated `String`, enum by its variant's name, bytes as hexadecimal digits |
//! | `true`, `false` | `bool` | |
//! | object | a component, named `Parent.field` | a map: its names are the keys |
//! | array | a list | a set; a composite `Key<T>`: its parts |
//! | missing, `null` | `Option` | |
//! | `"NaN"`, `"Infinity"`, `"-Infinity"` | `String` | `f64`, `f32`: JSON has no numbers for them |
//!
//! Rules: whole numbers and fractions in one field are an `f64` only if every whole number is exactly one; a number
//! never changes its value on the way in. A field that is null or empty (`null`, `[]`, `{}`) on every line has no type
//! yet: it is left out and reported. If the type lacks a field, such a value is skipped, and any other is an error.
//! Fields have the order in which they are first met. Blank lines are skipped.
//!
//! Every error names the file, the line, the field, and what to do. For the program only: the library's interface takes
//! records and rows.

mod adapt;
mod cursor;
mod error;
mod fill;
mod infer;
mod lines;
mod number;
mod read;
mod reading;

pub(crate) use adapt::{Wishes, adapt, reading_of};
pub(crate) use error::JsonError;
pub(crate) use fill::{explain_duplicates, fill};
pub(crate) use infer::{Inferred, infer};
pub(crate) use lines::Lines;
pub(crate) use reading::{As, Reading};
