//! What can be wrong with a line, with all that is needed to correct it: file, line, field, and what to do.

use std::fmt;

use cenote_state::record::WriteError;
use cenote_state::row::RECORD_BYTES_MAX;
use cenote_state::schema::limits;

use super::lines::LINE_BYTES_MAX;

/// A file of JSON Lines can't be read as records.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", self.place())]
pub(crate) struct JsonError {
    /// The file's name, as it was given.
    pub(crate) file: String,
    /// The line, from 1; 0 if it is about the file.
    pub(crate) line: u64,
    /// The path of the field, like `cast[3].name`; empty if it is about the whole line.
    pub(crate) field: String,
    /// What is wrong.
    pub(crate) problem: Problem,
}

/// All that is wrong with a file: each kind of mistake once, at the first line that has it.
#[derive(Debug, Default)]
pub(crate) struct JsonErrors {
    /// Each with how many further lines have it.
    kinds: Vec<(JsonError, u64)>,
    /// Lines whose kind of mistake is not listed.
    hidden: u64,
}

/// Kinds of mistakes that are listed.
const LISTED: usize = 20;

impl JsonErrors {
    pub(super) fn add(&mut self, error: JsonError) {
        match self.kinds.iter().position(|(known, _)| known.is_like(&error)) {
            Some(known) => self.kinds[known].1 += 1,
            None if self.kinds.len() < LISTED => self.kinds.push((error, 0)),
            None => self.hidden += 1,
        }
    }

    /// With the error after which nothing can be read.
    pub(super) fn ended_by(&mut self, error: JsonError) -> JsonErrors {
        self.add(error);
        std::mem::take(self)
    }

    /// Fails if there are any.
    pub(super) fn none_so_far(&mut self) -> Result<(), JsonErrors> {
        if self.kinds.is_empty() { Ok(()) } else { Err(std::mem::take(self)) }
    }

    /// The first of each kind, in the order in which they were found.
    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &JsonError> {
        self.kinds.iter().map(|(error, _)| error)
    }
}

impl From<JsonError> for JsonErrors {
    fn from(error: JsonError) -> JsonErrors {
        JsonErrors { kinds: vec![(error, 0)], hidden: 0 }
    }
}

impl std::error::Error for JsonErrors {}

impl fmt::Display for JsonErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kinds.len() > 1 {
            write!(f, "{} kinds of mistakes:", self.kinds.len())?;
        }
        for (error, more) in &self.kinds {
            f.write_str(if self.kinds.len() > 1 { "\n  " } else { "" })?;
            error.fmt(f)?;
            match more {
                0 => {}
                1 => f.write_str("; 1 more line has this mistake")?,
                more => write!(f, "; {more} more lines have this mistake")?,
            }
        }
        if self.hidden > 0 {
            write!(f, "\n  {} more lines have other mistakes", self.hidden)?;
        }
        Ok(())
    }
}

impl JsonError {
    /// Reading failed.
    pub(crate) fn io(file: &str, error: std::io::Error) -> JsonError {
        Fault::from(Problem::Io(error)).on(file, 0)
    }

    /// The file is not what it was when it was read first.
    pub(crate) fn changed(file: &str) -> JsonError {
        Fault::from(Problem::Changed).on(file, 0)
    }

    /// Whether it is the same kind of mistake, in the same field.
    fn is_like(&self, other: &JsonError) -> bool {
        let mut fields = [&self.field, &other.field].map(|field| {
            // Elements of an array are one field.
            field.chars().filter(|character| !character.is_ascii_digit())
        });
        let [mine, theirs] = &mut fields;
        std::mem::discriminant(&self.problem) == std::mem::discriminant(&other.problem) && mine.eq(theirs)
    }

    fn place(&self) -> String {
        match (self.line, self.field.as_str()) {
            (0, _) => self.file.clone(),
            (line, "") => format!("{}, line {line}", self.file),
            (line, field) => format!("{}, line {line}, field {field}", self.file),
        }
    }
}

/// What is wrong with a line, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Problem {
    /// Reading failed.
    #[error("can't be read: {0}; check the path and its permissions")]
    Io(std::io::Error),
    /// Another program wrote to the file.
    #[error("was changed while it was read; run again when nobody writes to it")]
    Changed,
    /// The file has no records, and the dataset does not know the type.
    #[error("no records; a new type's schema is found from its records, so give it at least one line")]
    Empty,
    /// Longer than can be a record.
    #[error("longer than {LINE_BYTES_MAX} bytes; give each record its own line, and split those that are too large")]
    LineTooLong,
    /// Not text.
    #[error("not UTF-8 from byte {byte} on; convert the file to UTF-8")]
    NotUtf8 {
        /// The place in the line, from 1.
        byte: usize,
    },
    /// Not JSON.
    #[error("malformed JSON at column {column}: expected {expected}; correct the line")]
    Malformed {
        /// The place in the line, in characters from 1.
        column: usize,
        /// What is expected there.
        expected: &'static str,
    },
    /// A line that is no record.
    #[error("{found}, where a record is expected; write an object like {{\"id\": 1}} on each line")]
    NotAnObject {
        /// What it is.
        found: &'static str,
    },
    /// Two fields of one name.
    #[error("there twice in one object; remove one of them")]
    FieldTwice,
    /// A value of another kind than the schema's.
    #[error("{found}, but the dataset keeps {expected}; {remedy}")]
    WrongType {
        /// What is there.
        found: String,
        /// What the schema has.
        expected: String,
        /// What to write instead.
        remedy: &'static str,
    },
    /// A value of another kind than on a line before.
    #[error(
        "{found}, but {before} on line {line}; make them the same kind, use two fields, or add --as FIELD=json to keep their JSON as text"
    )]
    MixedKinds {
        /// What is there.
        found: &'static str,
        /// What was there.
        before: &'static str,
        /// On that line.
        line: u64,
    },
    /// A value that can't be read as the command line says.
    #[error("{found}, which --as FIELD={wanted} does not take; correct it, or take json, which takes all")]
    NotAsSaid {
        /// What is there.
        found: &'static str,
        /// What was said.
        wanted: &'static str,
    },
    /// A negative number and one above the range of `i64`.
    #[error(
        "a number above 9223372036854775807, but a negative one on line {negative_line}: no integer type holds both; correct one, or add --as FIELD=string"
    )]
    MixedSigns {
        /// Where a negative number is.
        negative_line: u64,
    },
    /// A whole number that an `f64` would change, among fractions.
    #[error(
        "a whole number that an f64 can't hold exactly, but a number with a fraction on line {fraction_line}; round one, or add --as FIELD=string"
    )]
    Inexact {
        /// Where a fraction is.
        fraction_line: u64,
    },
    /// A number that its type can't hold.
    #[error(
        "{number} is out of range: {kind} goes from {min} to {max}; correct it, or write it as a string in another field"
    )]
    OutOfRange {
        /// As it is written.
        number: String,
        /// The type.
        kind: String,
        /// The least.
        min: String,
        /// The greatest.
        max: String,
    },
    /// A whole number that a float would change.
    #[error("{number} can't be held exactly by {kind}; round it, or write it as a string in another field")]
    NotExact {
        /// As it is written.
        number: String,
        /// The float type.
        kind: &'static str,
    },
    /// A field of the key isn't there.
    #[error("missing, but part of the key; give every record a value for it, or take another key")]
    MissingKey,
    /// Keys that several lines have.
    #[error(
        "{} of {type_name} under a key that an earlier line has; keep one line for each: {}",
        counted(*.count),
        shown_keys(.keys)
    )]
    DuplicateKeys {
        /// The type.
        type_name: String,
        /// How many records too many.
        count: u64,
        /// The first ten such keys, each with its lines.
        keys: Vec<(String, Vec<u64>)>,
    },
    /// A field that every record must have isn't there.
    #[error("missing, but the dataset has no Option there ({expected}); give it a value, or run again with --optional")]
    Missing {
        /// What the schema has.
        expected: String,
    },
    /// A field that the dataset's type doesn't have.
    #[error(
        "not a field of the dataset's {type_name}; remove it, or run again with --add-fields to add it as optional"
    )]
    UnknownField {
        /// The type.
        type_name: String,
    },
    /// A null in an array.
    #[error("null in an array; leave it out, or make the elements objects, whose fields may be null")]
    NullElement,
    /// A null in a map.
    #[error("null in a map; leave the entry out, or make the values objects, whose fields may be null")]
    NullEntry,
    /// An array in an array, where the dataset keeps something else.
    #[error("an array in an array, but the dataset keeps {expected} in the outer one; write that")]
    NestedArray {
        /// What the schema has.
        expected: String,
    },
    /// Not a variant.
    #[error("{found:?} is none of the dataset's variants ({variants}); write one of them")]
    UnknownVariant {
        /// What is there.
        found: String,
        /// What could be there.
        variants: String,
    },
    /// More columns than a dataset may have.
    #[error(
        "one field name too many: a dataset has {} columns at most; if the names are data, add --as FIELD=map",
        limits::COLUMNS
    )]
    TooManyFields,
    /// A name that is too long, or empty.
    #[error(
        "a name of {bytes} bytes; a field or component has a name of 1 to {} bytes, so rename it",
        limits::NAME_BYTES
    )]
    Name {
        /// How long it is.
        bytes: usize,
    },
    /// A record's canonical bytes are too many. A list meets this limit before that of its elements, which have four
    /// bytes or more each.
    #[error("the record passes {RECORD_BYTES_MAX} bytes here; split it, or keep large content elsewhere")]
    RecordTooLarge,
    /// The inferred schema can't be one.
    #[error("{0}")]
    Schema(String),
    /// The producer refused a component.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Lines named for each key that several have.
const NAMED_LINES: usize = 10;

fn counted(records: u64) -> String {
    if records == 1 { "1 record".to_owned() } else { format!("{records} records") }
}

fn shown_keys(keys: &[(String, Vec<u64>)]) -> String {
    let shown = keys.iter().map(|(key, lines)| {
        let first: Vec<String> = lines.iter().take(NAMED_LINES).map(u64::to_string).collect();
        let more = if lines.len() > NAMED_LINES { ", …" } else { "" };
        format!("{} (lines {}{more})", shortened(key), first.join(", "))
    });
    shown.collect::<Vec<_>>().join("; ")
}

/// Text as errors show it: a million characters would hide the rest.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(40) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
    }
}

/// A problem on its way out, from the value to the line; collects the field's path.
#[derive(Debug)]
pub(super) struct Fault {
    field: String,
    problem: Problem,
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Fault {
        Fault { field: String::new(), problem }
    }
}

impl Fault {
    /// The same, seen from the object that has the field.
    pub(super) fn within(self, name: &str) -> Fault {
        let dot = if self.field.is_empty() || self.field.starts_with('[') { "" } else { "." };
        Fault { field: format!("{name}{dot}{}", self.field), ..self }
    }

    /// The same, seen from the array that has the element.
    pub(super) fn at(self, index: usize) -> Fault {
        self.within(&format!("[{index}]"))
    }

    pub(super) fn problem(&self) -> &Problem {
        &self.problem
    }

    /// With the place that only the reader of lines knows.
    pub(super) fn on(self, file: &str, line: u64) -> JsonError {
        // What is wrong with the text as such is not about the field in which it shows.
        let field = if matches!(self.problem, Problem::Malformed { .. }) { String::new() } else { self.field };
        JsonError { file: file.to_owned(), line, field, problem: self.problem }
    }
}
